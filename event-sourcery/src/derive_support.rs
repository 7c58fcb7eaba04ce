//! What the code that `#[derive(Event)]` generates calls. Not for use by hand: it changes without notice.

mod forms;
mod marks;
mod names;
mod variant;

use serde::de::{DeserializeOwned, IgnoredAny};
pub use serde::{Serialize, Serializer};

pub use self::forms::{SplitName, current_version, split, upcast};
pub use self::marks::{assert_has_subject, assert_is_looked_into, assert_stands_open, default_mask};
pub use self::names::{assert_distinct, assert_names_its_events, concat, count};
#[cfg(feature = "testing")]
pub(crate) use self::variant::deserialize_variant;
pub use self::variant::{decode_variant, encode_variant};
pub use crate::error::{DecodeError, PayloadError};
pub use crate::event::{Event, RawEvent};
use crate::payload;
pub use crate::privacy::Personal;
pub use crate::privacy::marks::{KeptMarks, Marked, Marks, NotPersonal, Subject};
pub use crate::tag::{Tag, Tags};
#[cfg(feature = "testing")]
pub use crate::testing::{Forms, MarkedFields, NotTraced, ReadBySerde, Traced};
pub use crate::upcast::Upcaster;

/// Keeps what only the schema lock needs, and only while its feature is on.
#[cfg(feature = "testing")]
#[doc(hidden)]
#[macro_export]
macro_rules! __for_the_schema_lock {
    ($($items:tt)*) => { $($items)* };
}

/// Keeps what only the schema lock needs, and only while its feature is on.
#[cfg(not(feature = "testing"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __for_the_schema_lock {
    ($($items:tt)*) => {};
}

pub use crate::__for_the_schema_lock as for_the_schema_lock;

/// What an event with fields has to be, so that a missing derive is reported as what it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is an event with fields and does not implement serde's `Serialize` and `Deserialize`",
    label = "its fields are to be the payload",
    note = "add `#[derive(Serialize, Deserialize)]` to `{Self}`"
)]
pub trait Fields: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Fields for T {}

/// The payload of a struct with fields.
///
/// # Errors
///
/// [`PayloadError`], for what could not be read back equal.
pub fn encode<T: Fields>(event: &T) -> Result<String, PayloadError> {
    payload::encode(event)
}

/// A struct with fields from its payload.
///
/// # Errors
///
/// [`DecodeError`], for what does not fit.
pub fn decode<T: Fields>(data: &str) -> Result<T, DecodeError> {
    payload::decode(data)
}

/// The payload of an event without fields.
#[must_use]
pub fn encode_empty() -> String {
    "{}".to_owned()
}

/// Checks the payload of an event without fields: a JSON object, whatever is in it.
///
/// # Errors
///
/// [`DecodeError`], for what does not fit.
pub fn decode_empty(data: &str) -> Result<(), DecodeError> {
    payload::decode::<IgnoredAny>(data).map(|_| ())
}
