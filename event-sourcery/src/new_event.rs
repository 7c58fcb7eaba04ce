//! Events on their way into the store: alone, in lists, of several types; each with what the caller set for it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::backend::{NewRecord, StoredEvent};
use crate::context::Context;
use crate::error::{Error, NameKind, PayloadError, Result, Source};
use crate::event::Event;
use crate::limits;
use crate::panics::caught;
use crate::payload;
use crate::privacy::marks::{Mark, Marks};
use crate::tag::{Tag, Tags};

/// An event to be appended, with what the caller set for it: context, id, time, tags.
///
/// Made by [`Event::with_context`], [`Event::with_id`], [`Event::with_created_at`] and [`Event::with_tags`]. Id and time that are not set
/// are made when the event is appended: a version 7 UUID, and now.
#[derive(Debug, Clone)]
pub struct NewEvent<E> {
    event: E,
    context: Context,
    id: Option<Uuid>,
    created_at: Option<Timestamp>,
    /// Besides those of the event itself.
    tags: Vec<Tag>,
}

impl<E: Event> NewEvent<E> {
    /// An event with nothing set.
    pub fn new(event: E) -> Self {
        Self { event, context: Context::default(), id: None, created_at: None, tags: Vec::new() }
    }

    /// This event with a context.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// This event with an id.
    #[must_use]
    pub fn with_id(self, id: Uuid) -> Self {
        Self { id: Some(id), ..self }
    }

    /// This event with the time at which it happened. Cut to microseconds; years 1 to 9999.
    #[must_use]
    pub fn with_created_at(self, created_at: Timestamp) -> Self {
        Self { created_at: Some(created_at), ..self }
    }

    /// This event with these tags too, besides [its own](Event::tags): up to 64 in all. A repeat of an append is told by ids and
    /// payloads, whatever the tags.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        self.tags.extend(tags);
        self
    }

    fn encode(self) -> Result<PendingEvent> {
        let id = self.id.unwrap_or_else(Uuid::now_v7);
        let created_at = self.created_at.unwrap_or_else(Timestamp::now);
        let mut pending = PendingEvent::new(&self.event, self.context, id, created_at)?;
        if !self.tags.is_empty() {
            pending.record.tags = tags_of(&self.event, self.tags)?;
        }
        Ok(pending)
    }
}

/// The payload, which was looked through, and the version of its form.
pub(crate) fn encode<E: Event>(event: &E) -> Result<(String, u32), PayloadError> {
    let schema_version = event.schema_version();
    // The databases' columns are signed.
    if schema_version == 0 || i32::try_from(schema_version).is_err() {
        let problem = format!("its schema version is {schema_version}, and they go from 1 to {}", i32::MAX);
        return Err(PayloadError::NotStorable { problem });
    }
    let data = event.encode()?;
    if E::IS_CHECKED {
        return Ok((data, schema_version));
    }
    let name = event.event_name();
    let again = |text: &str| -> Result<String, Source> {
        Ok(E::decode_stored(&name, schema_version, text)?.encode()?)
    };
    Ok((payload::check_by_hand(data, &again)?, schema_version))
}

/// Which fields are to be encrypted. A type without any is not asked.
fn marks_of<E: Event>(event: &E) -> Result<Vec<Mark>, PayloadError> {
    if !E::IS_MARKED {
        return Ok(Vec::new());
    }
    let mut marks = Marks::default();
    event.marks(&mut marks);
    marks.into_parts()
}

/// The tags of an event, its own and others.
fn tags_of<E: Event>(event: &E, others: Vec<Tag>) -> Result<Vec<Tag>> {
    let mut tags = Tags::default();
    event.tags(&mut tags);
    others.into_iter().for_each(|tag| tags.push(tag));
    tags.into_tags()
}

/// 0001-01-01T00:00:00Z, the first time that all backends and the reference can hold.
const FIRST_TIME: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Cuts a time to the microseconds that are stored, and refuses what is outside the years 1 to 9999.
pub(crate) fn storable(created_at: Timestamp) -> Result<Timestamp> {
    let nanoseconds = created_at.subsec_nanosecond();
    // By parts: `Timestamp::from_microsecond` refuses the fractions of the last second that a `Timestamp` can be in.
    match Timestamp::new(created_at.as_second(), nanoseconds - nanoseconds % 1_000) {
        Ok(cut) if cut >= FIRST_TIME => Ok(cut),
        _ => Err(Error::InvalidTime { created_at }),
    }
}

/// Whether a stored event is what this type would write for the same event: fields are compared as the caller's type
/// reads them, so that an older form, an added field with a default or another order of keys makes no difference. Equal
/// payloads in forms of different versions are different events.
fn repeats<E: Event>(stored: &StoredEvent, new: &NewRecord) -> bool {
    let same = |name: &str, schema_version, data: &str| {
        name == new.name && schema_version == new.schema_version && payload::equal_json(data, &new.data)
    };
    if same(&stored.name, stored.schema_version, &stored.data) {
        return true;
    }
    let Ok(Ok(stored)) = caught(|| E::decode_stored(&stored.name, stored.schema_version, &stored.data))
    else {
        return false;
    };
    stored.encode().is_ok_and(|data| same(&stored.event_name(), stored.schema_version(), &data))
}

/// An encoded event, waiting for its context and its append.
#[derive(Debug)]
#[doc(hidden)]
pub struct PendingEvent {
    pub(crate) context: Context,
    pub(crate) record: NewRecord,
    /// Whether a stored event is this one, as the caller's type reads it.
    pub(crate) repeats: fn(&StoredEvent, &NewRecord) -> bool,
}

impl PendingEvent {
    pub(crate) fn new<E: Event>(
        event: &E,
        context: Context,
        id: Uuid,
        created_at: Timestamp,
    ) -> Result<Self> {
        let name = event.event_name();
        limits::check_name(NameKind::EventName, &name)?;
        let encoded = encode(event).and_then(|encoded| Ok((encoded, marks_of(event)?)));
        let ((data, schema_version), marks) = match encoded {
            Ok(encoded) => encoded,
            Err(problem) => {
                // It may quote what is to be encrypted.
                let is_marked = !marks_of(event).is_ok_and(|marks| marks.is_empty());
                let problem = if is_marked { problem.without_words() } else { problem };
                return Err(Error::InvalidPayload { name: name.into_owned(), problem });
            }
        };
        Ok(Self {
            context,
            record: NewRecord {
                id,
                name,
                data,
                context: String::new(),
                created_at: storable(created_at)?,
                schema_version,
                tags: tags_of(event, Vec::new())?,
                marks,
            },
            repeats: repeats::<E>,
        })
    }
}

/// What can be appended: an event, a list or an array of events, or a tuple of events of several types.
///
/// Each may be an event as it is, or one with a context, an id or a time of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be appended",
    label = "neither an event nor a list of events",
    note = "an event derives `Event`; a list is a `Vec`, an array, or a tuple of events"
)]
pub trait IntoEvents {
    /// Adds the events, encoded, to the end of `events`.
    #[doc(hidden)]
    fn encode_into(self, events: &mut Encoded) -> Result<()>;
}

/// The encoded events of one append.
#[derive(Debug, Default)]
#[doc(hidden)]
pub struct Encoded(pub(crate) Vec<PendingEvent>);

impl<E: Event> IntoEvents for E {
    fn encode_into(self, events: &mut Encoded) -> Result<()> {
        NewEvent::new(self).encode_into(events)
    }
}

impl<E: Event> IntoEvents for NewEvent<E> {
    fn encode_into(self, events: &mut Encoded) -> Result<()> {
        events.0.push(self.encode()?);
        Ok(())
    }
}

impl<T: IntoEvents> IntoEvents for Vec<T> {
    fn encode_into(self, events: &mut Encoded) -> Result<()> {
        events.0.reserve(self.len());
        self.into_iter().try_for_each(|event| event.encode_into(events))
    }
}

impl<T: IntoEvents, const N: usize> IntoEvents for [T; N] {
    fn encode_into(self, events: &mut Encoded) -> Result<()> {
        events.0.reserve(N);
        self.into_iter().try_for_each(|event| event.encode_into(events))
    }
}

/// One event: as it is, or with a context, an id or a time of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one event",
    label = "one event is wanted here",
    note = "an event derives `Event`"
)]
pub trait IntoEvent {
    /// The event, encoded.
    #[doc(hidden)]
    fn into_event(self) -> Result<PendingEvent>;
}

impl<E: Event> IntoEvent for E {
    fn into_event(self) -> Result<PendingEvent> {
        NewEvent::new(self).encode()
    }
}

impl<E: Event> IntoEvent for NewEvent<E> {
    fn into_event(self) -> Result<PendingEvent> {
        self.encode()
    }
}

macro_rules! tuples_of_events {
    ($(($($part:ident)+))+) => {$(
        impl<$($part: IntoEvents),+> IntoEvents for ($($part,)+) {
            fn encode_into(self, events: &mut Encoded) -> Result<()> {
                #[allow(non_snake_case, reason = "the type parameters name the parts")]
                let ($($part,)+) = self;
                $($part.encode_into(events)?;)+
                Ok(())
            }
        }
    )+};
}

tuples_of_events! { (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }
