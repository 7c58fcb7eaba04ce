//! What a stream is found by, and whether it is there still.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};

use super::sharded::{self, Sharding};
use crate::stream_id::{StreamId, TenantId};

/// A stream of a tenant.
#[derive(Debug)]
pub(super) struct StreamKey {
    tenant: TenantId,
    stream: StreamId,
    /// Whether the stream was deleted whose events share this copy: they count no more, wherever they still are.
    is_deleted: AtomicBool,
}

/// The key of a stream that is not deleted.
pub(super) fn key(tenant: &TenantId, stream: &StreamId) -> StreamKey {
    StreamKey { tenant: tenant.clone(), stream: stream.clone(), is_deleted: AtomicBool::new(false) }
}

impl StreamKey {
    pub(super) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(super) const fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Whether the events that share it are gone. It is read and written under the store's lock.
    pub(super) fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Relaxed)
    }

    pub(super) fn set_deleted(&self, is_deleted: bool) {
        self.is_deleted.store(is_deleted, Ordering::Relaxed);
    }
}

impl Clone for StreamKey {
    fn clone(&self) -> Self {
        key(&self.tenant, &self.stream)
    }
}

impl PartialEq for StreamKey {
    fn eq(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.stream == other.stream
    }
}

impl Eq for StreamKey {}

impl Hash for StreamKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
        self.stream.hash(state);
    }
}

impl Sharding for StreamKey {
    fn shard(&self) -> u8 {
        sharded::spread(self.stream.uuid().as_bytes())
    }
}
