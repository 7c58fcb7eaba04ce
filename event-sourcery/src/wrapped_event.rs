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

impl<E: Event> WrappedEvent<E> {
    pub(crate) fn decode(stream: &StreamId, stored: &StoredEvent) -> Result<Self> {
        stored.check(stream)?;
        let invalid = |problem: String| {
            stored.invalid(stream, format!("{problem} (as {})", std::any::type_name::<E>()))
        };
        let decoded = caught(|| E::decode_stored(&stored.name, stored.schema_version, &stored.data));
        let event =
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
        let context = Context::decode(&stored.context)
            .map_err(|problem| invalid(format!("its context: {}", without_values(problem))))?;
        Ok(Self { event, version: stored.version, uuid: stored.id, created_at: stored.created_at, context })
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
