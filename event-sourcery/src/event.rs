//! What an event is: a type with a stored name and a JSON object as its payload.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::context::Context;
use crate::error::{DecodeError, Error, NameKind, PayloadError, Result};
use crate::hidden::Hidden;
use crate::limits;
use crate::new_event::NewEvent;
use crate::payload;
use crate::privacy::marks::{KeptMarks, Marks};
use crate::tag::{Tag, Tags};

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

    /// Whether [`encode`](Event::encode) has looked through what it gives. Whatever is written by hand is looked through by
    /// the store.
    #[doc(hidden)]
    const IS_CHECKED: bool = false;

    /// Whether there may be marks in it: fields that are to be encrypted.
    #[doc(hidden)]
    const IS_MARKED: bool = false;

    /// The name this event is stored under: 1 to 200 characters, no NUL.
    fn event_name(&self) -> Cow<'static, str>;

    /// The payload as the text of a JSON object.
    ///
    /// # Errors
    ///
    /// Any [`PayloadError`]: what cannot be read back equal is refused here, before anything is written.
    fn encode(&self) -> Result<String, PayloadError>;

    /// An event from its stored name and a payload in the current form.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnknownName`] for a name outside [`NAMES`](Event::NAMES), [`DecodeError::Invalid`] for a payload
    /// that does not fit the type.
    fn decode(name: &str, data: &str) -> Result<Self, DecodeError>;

    /// The version of the form that [`encode`](Event::encode) writes, from 1. It is stored beside the payload.
    ///
    /// Derived, it is one more than there are [upcasters](crate::guide::evolving_events). Whoever writes another version by
    /// hand writes [`decode_stored`](Event::decode_stored) as well: the one that is provided refuses every version but 1,
    /// so that such an event would be stored and never read.
    fn schema_version(&self) -> u32 {
        1
    }

    /// An event from its stored name and a payload in the form of any version. Every read goes through here.
    ///
    /// Derived, it runs the upcasters from that version on; a payload in the current form costs nothing extra. Without
    /// upcasters there is one form, and its version is 1. A version of 0, which no event of ours carries, counts as 1.
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Event::decode); [`DecodeError::NewerForm`] for a version that this type does not know,
    /// [`DecodeError::UpcastFailed`] where an upcaster fails.
    fn decode_stored(name: &str, schema_version: u32, data: &str) -> Result<Self, DecodeError> {
        if schema_version <= 1 {
            return Self::decode(name, data);
        }
        if Self::CATCH_ALL || Self::NAMES.contains(&name) {
            return Err(DecodeError::NewerForm { found: schema_version, known: 1 });
        }
        Err(DecodeError::UnknownName)
    }

    /// Collects the fields that are to be encrypted.
    #[doc(hidden)]
    fn marks(&self, marks: &mut Marks) {
        let _ = marks;
    }

    /// Keeps what was encrypted of it in the store, where it is passed on as it is.
    #[doc(hidden)]
    fn keep_marks(&mut self, kept: &KeptMarks) {
        let _ = kept;
    }

    /// Collects its tags: what it is about, besides its stream. Derived, they are the fields that `#[event(tags(..))]` names.
    ///
    /// They are stored beside the payload, as they are when the event is written, and are never encrypted.
    fn tags(&self, tags: &mut Tags) {
        let _ = tags;
    }

    /// Keeps the tags that it has in the store, where it is passed on as it is.
    #[doc(hidden)]
    fn keep_tags(&mut self, kept: &[Tag]) {
        let _ = kept;
    }

    /// Tells the schema lock which forms this type stores.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    fn forms(forms: &mut crate::testing::Forms) {
        forms.written_by_hand::<Self>();
    }

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

    /// This event with these tags, besides [its own](Event::tags).
    fn with_tags(self, tags: impl IntoIterator<Item = Tag>) -> NewEvent<Self> {
        NewEvent::new(self).with_tags(tags)
    }
}

/// An event as it is stored: a name and a JSON object, undecoded.
///
/// It is what a catch-all variant holds, and an event type of its own: `load_stream::<RawEvent>` reads any stream. It
/// keeps the version of its form and its tags, so that an event can be copied as it is, and what was encrypted of it, so that it is in
/// the copy too. `Debug` shows no payload, but how long it is.
///
/// ```
/// use event_sourcery::RawEvent;
///
/// let raw = RawEvent::new("invoicing.Paid", r#"{"invoice_number": "1003"}"#)?;
/// assert_eq!(raw.name(), "invoicing.Paid");
/// assert_eq!(raw.schema_version(), 1);
/// # Ok::<(), event_sourcery::Error>(())
/// ```
#[derive(Clone)]
pub struct RawEvent {
    name: Cow<'static, str>,
    schema_version: u32,
    data: Box<RawValue>,
    tags: Vec<Tag>,
    kept: Option<KeptMarks>,
}

impl RawEvent {
    /// A raw event from its name and the text of a JSON object, in the form of version 1.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for a name outside 1 to 200 characters or with a NUL, [`Error::InvalidPayload`] for text
    /// that is not a JSON object, or one that no store would give back: see [`PayloadError`].
    pub fn new(name: impl Into<Cow<'static, str>>, data: impl Into<String>) -> Result<Self> {
        let name = name.into();
        limits::check_name(NameKind::EventName, &name)?;
        let raw = payload::check(data.into())
            .and_then(|data| RawValue::from_string(data).map_err(PayloadError::from))
            .map_err(|problem| Error::InvalidPayload { name: name.to_string(), problem })?;
        Ok(Self { name, schema_version: 1, data: raw, tags: Vec::new(), kept: None })
    }

    /// This event in the form of another version: 1 to 2,147,483,647. Appending refuses others.
    #[must_use]
    pub fn with_schema_version(self, schema_version: u32) -> Self {
        Self { schema_version, ..self }
    }

    /// The stored name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version of the form that the payload is in.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// The payload as it stands in the store.
    #[must_use]
    pub fn data(&self) -> &RawValue {
        &self.data
    }
}

/// Without the payload.
impl fmt::Debug for RawEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, schema_version, data, tags, .. } = self;
        f.debug_struct("RawEvent")
            .field("name", name)
            .field("schema_version", schema_version)
            .field("data", &Hidden(data.get()))
            .field("tags", tags)
            .finish_non_exhaustive()
    }
}

/// Equal names, equal versions, and payloads that are equal as JSON values, whatever their tags.
impl PartialEq for RawEvent {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.schema_version == other.schema_version
            && payload::equal_json(self.data.get(), other.data.get())
    }
}

impl Event for RawEvent {
    const NAMES: &'static [&'static str] = &[];
    const CATCH_ALL: bool = true;
    const IS_CHECKED: bool = true;
    const IS_MARKED: bool = true;

    fn event_name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    /// What was read may have been written by others, and is looked through again.
    fn encode(&self) -> Result<String, PayloadError> {
        payload::check(self.data.get().to_owned())
    }

    fn decode(name: &str, data: &str) -> Result<Self, DecodeError> {
        Self::decode_stored(name, 1, data)
    }

    fn schema_version(&self) -> u32 {
        self.schema_version
    }

    fn decode_stored(name: &str, schema_version: u32, data: &str) -> Result<Self, DecodeError> {
        payload::expect_object(data)?;
        let data: Box<RawValue> = serde_json::from_str(data)?;
        let name = Cow::Owned(name.to_owned());
        Ok(Self { name, schema_version, data, tags: Vec::new(), kept: None })
    }

    /// Those it was read with.
    fn marks(&self, marks: &mut Marks) {
        if let Some(kept) = &self.kept {
            marks.keep(kept);
        }
    }

    fn keep_marks(&mut self, kept: &KeptMarks) {
        self.kept = Some(kept.clone());
    }

    /// Those it was read with.
    fn tags(&self, tags: &mut Tags) {
        self.tags.iter().for_each(|tag| tags.push(tag.clone()));
    }

    fn keep_tags(&mut self, kept: &[Tag]) {
        self.tags = kept.to_vec();
    }

    /// None of its own.
    #[cfg(feature = "testing")]
    fn forms(_: &mut crate::testing::Forms) {}
}

/// A boxed event is that event: for the large variant of an enum.
impl<E: Event> Event for Box<E> {
    const NAMES: &'static [&'static str] = E::NAMES;
    const CATCH_ALL: bool = E::CATCH_ALL;
    const IS_CHECKED: bool = E::IS_CHECKED;
    const IS_MARKED: bool = E::IS_MARKED;

    fn event_name(&self) -> Cow<'static, str> {
        E::event_name(self)
    }

    fn encode(&self) -> Result<String, PayloadError> {
        E::encode(self)
    }

    fn decode(name: &str, data: &str) -> Result<Self, DecodeError> {
        E::decode(name, data).map(Self::new)
    }

    fn schema_version(&self) -> u32 {
        E::schema_version(self)
    }

    fn decode_stored(name: &str, schema_version: u32, data: &str) -> Result<Self, DecodeError> {
        E::decode_stored(name, schema_version, data).map(Self::new)
    }

    fn marks(&self, marks: &mut Marks) {
        E::marks(self, marks);
    }

    fn keep_marks(&mut self, kept: &KeptMarks) {
        E::keep_marks(self, kept);
    }

    fn tags(&self, tags: &mut Tags) {
        E::tags(self, tags);
    }

    fn keep_tags(&mut self, kept: &[Tag]) {
        E::keep_tags(self, kept);
    }

    #[cfg(feature = "testing")]
    fn forms(forms: &mut crate::testing::Forms) {
        E::forms(forms);
    }
}
