//! Events as they are read: wrapped with what the store knows about them.

use jiff::Timestamp;
use uuid::Uuid;

use crate::backend::{StoredEvent, StoredRecord};
use crate::context::Context;
use crate::error::{DecodeError, Error, Result, said, without_values};
use crate::event::Event;
use crate::panics::caught;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};
use crate::tag::Tag;
use crate::version::Version;

/// An event of a stream, with what the store knows about it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WrappedEvent<E> {
    /// The event itself.
    pub event: E,
    /// Its number in the stream, from 1; `None` in a stream without versions.
    pub version: Option<Version>,
    /// Its id.
    pub uuid: Uuid,
    /// When it happened, in UTC, to the microsecond.
    pub created_at: Timestamp,
    /// Correlation id, causation id, and named components.
    pub context: Context,
    /// What it is about, besides its stream: its tags, in order.
    pub tags: Vec<Tag>,
}

/// An event with its place: stream, tenant and position in the whole store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recorded<E> {
    /// The event, wrapped.
    pub wrapped_event: WrappedEvent<E>,
    /// Its stream.
    pub stream_id: StreamId,
    /// Whose stream it is.
    pub tenant_id: TenantId,
    /// Where it stands in the whole store.
    pub position: Position,
}

impl<E> WrappedEvent<E> {
    /// An event as a test of yours needs it: with a new id, that happened now, with an empty context, and without a version. What
    /// a store hands over has all that the store knows.
    ///
    /// ```
    /// use event_sourcery::{RawEvent, WrappedEvent};
    ///
    /// let paid = WrappedEvent::new(RawEvent::new("Paid", "{}")?).with_version(3);
    /// assert_eq!(paid.version, Some(3));
    /// # Ok::<(), event_sourcery::Error>(())
    /// ```
    #[must_use]
    pub fn new(event: E) -> Self {
        let now = Timestamp::now();
        // As it would be read: in whole microseconds.
        let created_at = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let (uuid, context, tags) = (Uuid::now_v7(), Context::new(), Vec::new());
        Self { event, version: None, uuid, created_at, context, tags }
    }

    /// The same with its number in the stream, from 1; `None`, as in a stream without versions.
    #[must_use]
    pub fn with_version(self, version: impl Into<Option<Version>>) -> Self {
        Self { version: version.into(), ..self }
    }

    /// The same with this id.
    #[must_use]
    pub fn with_id(self, id: Uuid) -> Self {
        Self { uuid: id, ..self }
    }

    /// The same, having happened then.
    #[must_use]
    pub fn with_created_at(self, created_at: Timestamp) -> Self {
        Self { created_at, ..self }
    }

    /// The same with this context.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The same with these tags.
    #[must_use]
    pub fn with_tags(self, tags: impl IntoIterator<Item = Tag>) -> Self {
        Self { tags: tags.into_iter().collect(), ..self }
    }
}

impl<E> Recorded<E> {
    /// A record as a test of yours needs it: an event of the default tenant, at its place in a stream and in the store. So a
    /// handler or a projection can be called without a store.
    ///
    /// ```
    /// use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
    ///
    /// fn on(names: &mut Vec<String>, recorded: &Recorded<RawEvent>) {
    ///     names.push(recorded.event().name().to_owned());
    /// }
    ///
    /// let paid = WrappedEvent::new(RawEvent::new("Paid", "{}")?).with_version(1);
    /// let mut names = Vec::new();
    /// on(&mut names, &Recorded::new(paid, StreamId::random(), Position::from_i64(7)));
    /// assert_eq!(names, ["Paid"]);
    /// # Ok::<(), event_sourcery::Error>(())
    /// ```
    #[must_use]
    pub const fn new(wrapped_event: WrappedEvent<E>, stream_id: StreamId, position: Position) -> Self {
        Self { wrapped_event, stream_id, tenant_id: TenantId::DEFAULT, position }
    }

    /// The same, of this tenant.
    #[must_use]
    pub fn with_tenant_id(self, tenant_id: TenantId) -> Self {
        Self { tenant_id, ..self }
    }

    /// The event itself.
    #[must_use]
    pub const fn event(&self) -> &E {
        &self.wrapped_event.event
    }

    /// The event itself, without what the store knows about it.
    #[must_use]
    pub fn into_event(self) -> E {
        self.wrapped_event.event
    }
}

/// What is said of an event that is partly encrypted, where it does not decode.
const WITHHELD: &str = "it does not fit, and why is left out, for it may quote what is encrypted";

impl<E: Event> WrappedEvent<E> {
    pub(crate) fn decode(stream: &StreamId, stored: &StoredEvent) -> Result<Self> {
        stored.check(stream)?;
        stored.check_opening(stream)?;
        let kept = stored.kept_marks();
        let invalid = |problem: String| {
            // Its words may quote what is encrypted in the store.
            let problem = if kept.is_some() { WITHHELD.to_owned() } else { problem };
            stored.invalid(stream, format!("{problem} (as {})", std::any::type_name::<E>()))
        };
        let decoded = caught(|| E::decode_stored(&stored.name, stored.schema_version, &stored.data));
        let mut event =
            match decoded.map_err(|panic| invalid(format!("decoding it panicked: {}", said(&panic))))? {
                Ok(event) => event,
                Err(DecodeError::UnknownName) => {
                    return Err(Error::UnknownEvent {
                        name: stored.name.to_string(),
                        stream: stream.clone(),
                        version: stored.version,
                    });
                }
                Err(DecodeError::NewerForm { found, known }) => {
                    return Err(Error::NewerForm {
                        name: stored.name.to_string(),
                        stream: stream.clone(),
                        version: stored.version,
                        found,
                        known,
                    });
                }
                Err(problem) => return Err(invalid(problem.words())),
            };
        if let Some(kept) = kept {
            event.keep_marks(kept);
        }
        let mut tags = stored.tags.clone();
        tags.sort_unstable();
        if !tags.is_empty() {
            event.keep_tags(&tags);
        }
        let context = Context::decode(&stored.context)
            .map_err(|problem| invalid(format!("its context: {}", without_values(problem))))?;
        let (version, uuid, created_at) = (stored.version, stored.id, stored.created_at);
        Ok(Self { event, version, uuid, created_at, context, tags })
    }
}

impl<E: Event> Recorded<E> {
    pub(crate) fn decode(record: &StoredRecord) -> Result<Self> {
        let StoredRecord { stream, tenant, event } = record;
        Ok(Self {
            wrapped_event: WrappedEvent::decode(stream, event)?,
            stream_id: stream.clone(),
            tenant_id: tenant.clone(),
            position: event.position,
        })
    }
}
