//! Types within events that hold personal data.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use super::marks::{Marks, Subject};
#[cfg(feature = "testing")]
use crate::testing::MarkedFields;

/// A type within events that has fields which are to be encrypted: derive it, `#[derive(Personal)]`, on a struct with named fields
/// that is no event itself, and mark its fields as those of an event.
///
/// An event, or another such type, that has a field of this type encrypts what is marked in it, without a further word; also in
/// an `Option`, a `Box`, a list, an array or the values of a map. Whatever else stands between the two has to derive it too: within a
/// type that does not, nobody looks for marks, and what is marked is stored in the clear. Where the field's type says so (a tuple, a
/// set), it does not compile. Where no field of its own is the [subject](crate::guide::data_privacy), it is that of whoever holds it.
///
/// ```
/// use event_sourcery::Event;
/// use event_sourcery::privacy::Personal;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Personal, Serialize, Deserialize)]
/// struct Address {
///     #[event(encrypted, mask = "somewhere")]
///     street: String,
///     country: String,
/// }
///
/// #[derive(Event, Serialize, Deserialize)]
/// struct CustomerMoved {
///     #[event(subject)]
///     customer: String,
///     addresses: Vec<Address>,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no marked fields",
    label = "this type does not implement `Personal`",
    note = "add `#[derive(Personal)]` to `{Self}`, and mark its fields: `#[event(encrypted)]`"
)]
pub trait Personal {
    /// Whether there are marks in it.
    #[doc(hidden)]
    const IS_MARKED: bool;

    /// Whether it leaves it to whoever holds it to name their subject.
    #[doc(hidden)]
    const NEEDS_SUBJECT: bool;

    /// Collects its marks; `subject` is that of whoever holds it.
    #[doc(hidden)]
    fn marks(&self, subject: &Subject, marks: &mut Marks);

    /// Tells the schema lock of its marks; `subject` is where that of whoever holds it stands.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    fn tell_marks(subject: &str, marks: &mut MarkedFields);
}

macro_rules! of_what_it_holds {
    () => {
        const IS_MARKED: bool = T::IS_MARKED;
        const NEEDS_SUBJECT: bool = T::NEEDS_SUBJECT;
    };
}

macro_rules! lists {
    ($([$($parameters:tt)*] $list:ty;)*) => {$(
        impl<$($parameters)*> Personal for $list {
            of_what_it_holds!();

            fn marks(&self, subject: &Subject, marks: &mut Marks) {
                for (place, item) in self.iter().enumerate() {
                    marks.within(&place.to_string(), |marks| item.marks(subject, marks));
                }
            }

            #[cfg(feature = "testing")]
            fn tell_marks(subject: &str, marks: &mut MarkedFields) {
                marks.within("[]", |marks| T::tell_marks(subject, marks));
            }
        }
    )*};
}

lists! {
    [T: Personal] Vec<T>;
    [T: Personal] VecDeque<T>;
    [T: Personal, const N: usize] [T; N];
}

macro_rules! maps {
    ($([$($parameters:tt)*] $map:ty;)*) => {$(
        impl<K: Serialize, T: Personal $($parameters)*> Personal for $map {
            of_what_it_holds!();

            fn marks(&self, subject: &Subject, marks: &mut Marks) {
                for (key, value) in self {
                    marks.within_key(key, |marks| value.marks(subject, marks));
                }
            }

            #[cfg(feature = "testing")]
            fn tell_marks(subject: &str, marks: &mut MarkedFields) {
                marks.within("{}", |marks| T::tell_marks(subject, marks));
            }
        }
    )*};
}

maps! {
    [] BTreeMap<K, T>;
    [, S] HashMap<K, T, S>;
}

impl<T: Personal> Personal for Option<T> {
    of_what_it_holds!();

    fn marks(&self, subject: &Subject, marks: &mut Marks) {
        if let Some(value) = self {
            value.marks(subject, marks);
        }
    }

    #[cfg(feature = "testing")]
    fn tell_marks(subject: &str, marks: &mut MarkedFields) {
        T::tell_marks(subject, marks);
    }
}

impl<T: Personal> Personal for Box<T> {
    of_what_it_holds!();

    fn marks(&self, subject: &Subject, marks: &mut Marks) {
        T::marks(self, subject, marks);
    }

    #[cfg(feature = "testing")]
    fn tell_marks(subject: &str, marks: &mut MarkedFields) {
        T::tell_marks(subject, marks);
    }
}
