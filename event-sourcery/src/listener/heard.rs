//! What a listener hears: an event in its place, before it is committed.

use crate::backend::StoredRecord;
use crate::error::Result;
use crate::event::Event;
use crate::position::AppendPosition;
use crate::stream_id::{StreamId, TenantId};
use crate::wrapped_event::WrappedEvent;

/// An event that is being appended, with its place: stream, tenant, and the position that it was given.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Heard<E> {
    /// The event, wrapped.
    pub wrapped_event: WrappedEvent<E>,
    /// Its stream, as the append has named it: without a name where it was given by its UUID alone.
    pub stream_id: StreamId,
    /// Whose stream it is.
    pub tenant_id: TenantId,
    /// Where it stands in the whole store, once it is committed. It is no place to read on from: below it, others may
    /// still appear.
    pub position: AppendPosition,
}

impl<E> Heard<E> {
    /// What a test of yours needs: an event of the default tenant, in its place. So a listener can be called without a
    /// store.
    ///
    /// ```
    /// use event_sourcery::{AppendPosition, Heard, RawEvent, StreamId, WrappedEvent};
    ///
    /// let paid = WrappedEvent::new(RawEvent::new("Paid", "{}")?).with_version(1);
    /// let heard = Heard::new(paid, StreamId::random(), AppendPosition::from_i64(7));
    /// assert_eq!(heard.event().name(), "Paid");
    /// # Ok::<(), event_sourcery::Error>(())
    /// ```
    #[must_use]
    pub const fn new(wrapped_event: WrappedEvent<E>, stream_id: StreamId, position: AppendPosition) -> Self {
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

impl<E: Event> Heard<E> {
    pub(crate) fn decode(record: &StoredRecord) -> Result<Self> {
        let StoredRecord { stream, tenant, event } = record;
        Ok(Self {
            wrapped_event: WrappedEvent::decode(stream, event)?,
            stream_id: stream.clone(),
            tenant_id: tenant.clone(),
            position: AppendPosition::from_i64(event.position.to_i64()),
        })
    }
}
