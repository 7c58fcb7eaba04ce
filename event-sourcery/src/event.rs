//! What an event is: a type with a stored name and a JSON object as its payload.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::context::Context;
use crate::error::{DecodeError, Error, NameKind, PayloadError, Result};
use crate::limits;
use crate::new_event::NewEvent;
use crate::payload;

/// Something that happened, as the caller's own type.
///
/// Derive it: `#[derive(Event)]` covers a struct with named fields, an enum whose variants are events, and an enum
/// that gathers event structs. The guide page [*defining events*](crate::guide::defining_events) shows all three.
///
/// The stored name belongs to the type, not to its module path: moving a type to another module changes nothing.
///
/// ```
/// use event_sourcery::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event(name = "invoicing.Paid", alias = "InvoicePaid")]
/// struct Paid {
///     invoice_number: String,
/// }
///
/// assert_eq!(Paid::NAMES, ["invoicing.Paid", "InvoicePaid"]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "this type does not implement `Event`",
    note = "add `#[derive(Event, Serialize, Deserialize)]` to `{Self}`",
    note = "a variant of an event enum holds one event struct, `Paid(InvoicePaid)`, or has named fields, `Paid {{ number: String }}`"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// Every stored name that this type decodes: the current names and their aliases, without a catch-all.
    const NAMES: &'static [&'static str];

    /// Whether events of every other name are decoded too, by a catch-all variant.
    const CATCH_ALL: bool = false;

    /// The name this event is stored under: 1 to 200 characters, no NUL.
    fn event_name(&self) -> Cow<'static, str>;

    /// The payload as the text of a JSON object.
    ///
    /// # Errors
    ///
    /// Any [`PayloadError`]: what cannot be read back equal is refused here, before anything is written.
    fn encode(&self) -> Result<String, PayloadError>;

    /// An event from its stored name and payload.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnknownName`] for a name outside [`NAMES`](Event::NAMES), [`DecodeError::Invalid`] for a payload
    /// that does not fit the type.
    fn decode(name: &str, data: &str) -> Result<Self, DecodeError>;

    /// This event with a context of its own: correlation id, causation id, components.
    fn with_context(self, context: Context) -> NewEvent<Self> {
        NewEvent::new(self).with_context(context)
    }

    /// This event with an id given by the caller, so that a repeated append is recognised.
    fn with_id(self, id: Uuid) -> NewEvent<Self> {
        NewEvent::new(self).with_id(id)
    }

    /// This event with the time at which it happened, for imports. Cut to microseconds; years 1 to 9999, of which
    /// [`Timestamp`] leaves out the last 26 hours.
    fn with_created_at(self, created_at: Timestamp) -> NewEvent<Self> {
        NewEvent::new(self).with_created_at(created_at)
    }
}

/// An event as it is stored: a name and a JSON object, undecoded.
///
/// It is what a catch-all variant holds, and an event type of its own: `load_stream::<RawEvent>` reads any stream.
///
/// ```
/// use event_sourcery::RawEvent;
///
/// let raw = RawEvent::new("invoicing.Paid", r#"{"invoice_number": "1003"}"#)?;
/// assert_eq!(raw.name(), "invoicing.Paid");
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RawEvent {
    name: Cow<'static, str>,
    data: Box<RawValue>,
}

impl RawEvent {
    /// A raw event from its name and the text of a JSON object.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for a name outside 1 to 200 characters or with a NUL, [`Error::InvalidPayload`] for text
    /// that is not a JSON object.
    pub fn new(name: impl Into<Cow<'static, str>>, data: impl Into<String>) -> Result<Self> {
        let name = name.into();
        limits::check_name(NameKind::EventName, &name)?;
        let raw = payload::check(data.into())
            .and_then(|data| RawValue::from_string(data).map_err(PayloadError::from))
            .map_err(|source| Error::InvalidPayload { name: name.to_string(), source })?;
        Ok(Self { name, data: raw })
    }

    /// The stored name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload as it stands in the store.
    #[must_use]
    pub fn data(&self) -> &RawValue {
        &self.data
    }
}

/// Equal names and payloads that are equal as JSON values.
impl PartialEq for RawEvent {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && payload::equal_json(self.data.get(), other.data.get())
    }
}

impl Event for RawEvent {
    const NAMES: &'static [&'static str] = &[];
    const CATCH_ALL: bool = true;

    fn event_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    fn encode(&self) -> Result<String, PayloadError> {
        Ok(self.data.get().to_owned())
    }

    fn decode(name: &str, data: &str) -> Result<Self, DecodeError> {
        payload::expect_object(data)?;
        let data: Box<RawValue> = serde_json::from_str(data)?;
        Ok(Self { name: Cow::Owned(name.to_owned()), data })
    }
}

/// A boxed event is that event: for the large variant of an enum.
impl<E: Event> Event for Box<E> {
    const NAMES: &'static [&'static str] = E::NAMES;
    const CATCH_ALL: bool = E::CATCH_ALL;

    fn event_name(&self) -> Cow<'static, str> {
        E::event_name(self)
    }

    fn encode(&self) -> Result<String, PayloadError> {
        E::encode(self)
    }

    fn decode(name: &str, data: &str) -> Result<Self, DecodeError> {
        E::decode(name, data).map(Self::new)
    }
}
