//! An event as it is stored.

use jiff::Timestamp;
use uuid::Uuid;

use crate::backend::StoredRecord;
use crate::context::Context;
use crate::error::{Result, without_values};
use crate::event::Event;
use crate::position::AppendPosition;
use crate::stream_id::{StreamId, TenantId};
use crate::tag::Tag;
use crate::version::Version;
use crate::wrapped_event::WrappedEvent;

/// An event as it is stored, in whatever form, whether it can be decoded or not. `Debug` shows neither payload nor context.
#[derive(Debug, Clone)]
pub struct Seen(StoredRecord);

impl Seen {
    pub(super) fn new(mut record: StoredRecord) -> Self {
        record.event.tags.sort_unstable();
        Self(record)
    }

    /// Its stream.
    #[must_use]
    pub const fn stream_id(&self) -> &StreamId {
        &self.0.stream
    }

    /// Whose stream it is.
    #[must_use]
    pub const fn tenant_id(&self) -> &TenantId {
        &self.0.tenant
    }

    /// Where it stands in the whole store. Others may still appear below it: it is nothing to read on from.
    #[must_use]
    pub const fn position(&self) -> AppendPosition {
        AppendPosition::from_i64(self.0.event.position.to_i64())
    }

    /// Its number in the stream, from 1; `None` in a stream without versions.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        self.0.event.version
    }

    /// Its id.
    #[must_use]
    pub const fn uuid(&self) -> Uuid {
        self.0.event.id
    }

    /// The stored name of its type.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.event.name
    }

    /// When it happened.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.0.event.created_at
    }

    /// The version of its payload's form, from 1.
    #[must_use]
    pub const fn schema_version(&self) -> u32 {
        self.0.event.schema_version
    }

    /// Its tags, in order. An entry of the outbox has none.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.0.event.tags
    }

    /// Its payload as it is stored: JSON, unless something else has found its way there.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.0.event.data
    }

    /// What of its row cannot be read, if something cannot: the rest is told as far as it can be.
    #[must_use]
    pub fn unreadable(&self) -> Option<&str> {
        self.0.event.unreadable.as_deref()
    }

    /// Its correlation id, causation id, and components.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidEvent`](crate::Error::InvalidEvent) where it cannot be read.
    pub fn context(&self) -> Result<Context> {
        let StoredRecord { stream, event, .. } = &self.0;
        event.check(stream)?;
        let invalid = |problem| event.invalid(stream, format!("its context: {}", without_values(problem)));
        Context::decode(&event.context).map_err(invalid)
    }

    /// The event as a type of yours, upcast if need be.
    ///
    /// # Errors
    ///
    /// As for [`EventStore::load_stream`](crate::EventStore::load_stream), of this event.
    pub fn decode<E: Event>(&self) -> Result<WrappedEvent<E>> {
        WrappedEvent::decode(&self.0.stream, &self.0.event)
    }

    /// The event, or command, that has caused it, as far as that can be read.
    pub(super) fn cause(&self) -> Option<Uuid> {
        self.context().ok().and_then(|context| context.causation_id())
    }
}
