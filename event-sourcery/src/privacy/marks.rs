//! Which fields of an event are to be encrypted, and for whom: what derived code tells.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::personal::Personal;
use super::pointers;
use crate::error::PayloadError;
use crate::event::Event;
#[cfg(feature = "testing")]
use crate::testing::MarkedFields;

/// Why a field is refused that stands for all of an object.
const NO_PLACE: &str = "an encrypted field of a `transparent` type stands for a whole object, and has no \
     place of its own: remove `transparent`";

/// A field of a payload that is to be encrypted, or was.
#[derive(Clone)]
pub(crate) struct Mark {
    /// Where it stands: a JSON pointer.
    pub(crate) at: String,
    pub(crate) whose: Whose,
    /// What it reads as once its subject was shredded, as JSON.
    pub(crate) mask: String,
}

/// Whom a field is about.
#[derive(Clone)]
pub(crate) enum Whose {
    /// The one whom the stream is about: its name tells.
    Stream,
    Subject(Arc<str>),
    /// Nobody: the field that should tell is `null`.
    Nobody,
}

/// The subject of fields, as derived code finds it.
#[derive(Clone)]
pub struct Subject(Result<Whose, &'static str>);

impl Subject {
    /// The one whom the stream is named after.
    #[must_use]
    pub const fn stream() -> Self {
        Self(Ok(Whose::Stream))
    }

    /// The one whom a field names, in the form in which serde writes it.
    pub fn of<T: Serialize + ?Sized>(field: &T) -> Self {
        Self(match serde_json::to_value(field) {
            Ok(Value::String(text)) => Ok(Whose::Subject(text.into())),
            Ok(Value::Number(number)) => Ok(Whose::Subject(number.to_string().into())),
            Ok(Value::Null) => Ok(Whose::Nobody),
            _ => Err("its data subject is neither a text nor a number as serde writes it"),
        })
    }
}

/// Nothing of whom it names.
impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject")
    }
}

/// The marks of an event, as they are collected.
#[derive(Default)]
pub struct Marks {
    marks: Vec<Mark>,
    /// Where the value at hand stands.
    at: String,
    problem: Option<PayloadError>,
}

impl Marks {
    /// What was collected.
    pub(crate) fn into_parts(self) -> Result<Vec<Mark>, PayloadError> {
        self.problem.map_or(Ok(self.marks), Err)
    }

    /// What is in the value that stands at this key, or this place, of the one at hand.
    pub fn within(&mut self, step: &str, inner: impl FnOnce(&mut Self)) {
        let end = self.at.len();
        pointers::push(&mut self.at, step);
        inner(self);
        self.at.truncate(end);
    }

    /// The same for the key that a map writes for this one.
    pub(super) fn within_key<K: Serialize + ?Sized>(&mut self, key: &K, inner: impl FnOnce(&mut Self)) {
        match serde_json::to_value(key) {
            Ok(Value::String(key)) => self.within(&key, inner),
            Ok(Value::Number(key)) => self.within(&key.to_string(), inner),
            Ok(Value::Bool(key)) => self.within(if key { "true" } else { "false" }, inner),
            _ => self.refuse("the keys of a map with encrypted fields are neither texts nor numbers"),
        }
    }

    /// What is in a value whose fields stand among those of the one at hand.
    pub fn flattened(&mut self, inner: impl FnOnce(&mut Self)) {
        let before = self.marks.len();
        inner(self);
        if self.marks.iter().skip(before).any(|mark| mark.at == self.at) {
            self.refuse(NO_PLACE);
        }
    }

    /// The value at hand is to be encrypted.
    pub fn seal<T: Serialize + ?Sized>(&mut self, subject: &Subject, mask: &T) {
        if self.at.is_empty() {
            return self.refuse(NO_PLACE);
        }
        match (&subject.0, serde_json::to_string(mask)) {
            (Ok(whose), Ok(mask)) => {
                self.marks.push(Mark { at: self.at.clone(), whose: whose.clone(), mask });
            }
            (Err(problem), _) => self.refuse(problem),
            (_, Err(_)) => self.refuse("the mask of an encrypted field cannot be written as JSON"),
        }
    }

    pub(crate) fn keep(&mut self, kept: &KeptMarks) {
        self.marks.extend(kept.0.iter().cloned());
    }

    fn refuse(&mut self, problem: &str) {
        self.problem.get_or_insert_with(|| PayloadError::NotStorable { problem: problem.to_owned() });
    }
}

/// Nothing of what is in it.
impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marks").field("count", &self.marks.len()).finish_non_exhaustive()
    }
}

/// What was encrypted of an event that was read: so who passes it on as it is keeps it so.
#[derive(Clone)]
pub struct KeptMarks(pub(crate) Arc<[Mark]>);

/// Nothing of what is in it.
impl fmt::Debug for KeptMarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptMarks").field("count", &self.0.len()).finish()
    }
}

/// Asks a type, which derived code knows by its name alone, whether it is [`Personal`]: its own functions are found first where
/// it is, and those of [`NotPersonal`] where it is not.
#[derive(Debug)]
pub struct Marked<T: ?Sized>(PhantomData<fn(&T)>);

impl<T> Marked<T> {
    /// The question.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Marked<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Personal> Marked<T> {
    /// Whether there are marks in it.
    pub const IS_MARKED: bool = T::IS_MARKED;
    /// Whether it leaves it to whoever holds it to name their subject.
    pub const NEEDS_SUBJECT: bool = T::NEEDS_SUBJECT;

    /// Collects its marks.
    pub fn marks(&self, value: &T, subject: &Subject, marks: &mut Marks) {
        value.marks(subject, marks);
    }

    /// Tells the schema lock of its marks.
    #[cfg(feature = "testing")]
    pub fn tell_marks(&self, subject: &str, marks: &mut MarkedFields) {
        T::tell_marks(subject, marks);
    }
}

impl<T: Event> Marked<T> {
    /// Whether there are marks in it where it is appended: within another event nobody asks it for them.
    pub const IS_MARKED_EVENT: bool = <T as Event>::IS_MARKED;
}

/// What holds of every type that is not [`Personal`].
pub trait NotPersonal {
    /// There are none.
    const IS_MARKED: bool = false;
    /// It is no event.
    const IS_MARKED_EVENT: bool = false;
    /// There is nothing to name a subject of.
    const NEEDS_SUBJECT: bool = false;

    /// Collects nothing.
    fn marks<V>(&self, value: &V, subject: &Subject, marks: &mut Marks) {
        let _ = (value, subject, marks);
    }

    /// Tells of nothing.
    #[cfg(feature = "testing")]
    fn tell_marks(&self, subject: &str, marks: &mut MarkedFields) {
        let _ = (subject, marks);
    }
}

impl<T: ?Sized> NotPersonal for Marked<T> {}
