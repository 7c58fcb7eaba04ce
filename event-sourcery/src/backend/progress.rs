//! The progress of durable subscriptions: checkpoints, and streams that wait for a failed event.

use jiff::Timestamp;

use super::subscriptions::{Lease, Segments, SubscriptionId};
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};

/// Progress of a subscription. With no leases it is somebody from outside who looks after blocked streams.
#[derive(Debug, Clone)]
pub struct ProgressRequest {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// What has to hold: each segment has this token.
    pub leases: Vec<Lease>,
    /// The new checkpoint of those segments. It never moves back.
    pub position: Option<Position>,
    /// What becomes of blocked streams.
    pub streams: Vec<StreamProgress>,
}

/// What becomes of a stream. Each of them is refused with [`Error::LeaseLost`](crate::Error::LeaseLost) where the stream is
/// not what it says.
#[derive(Debug, Clone)]
pub enum StreamProgress {
    /// A stream that was free is blocked by the event at its position. Where that event is not, or no longer, in this stream
    /// of this tenant, the stream stays free: it was deleted meanwhile, and perhaps made anew.
    Block(BlockedStream),
    /// A stream that was blocked there is blocked otherwise.
    Change(BlockedAt, BlockedStream),
    /// A stream that was blocked there is free.
    Free(BlockedAt, TenantId, StreamId),
    /// A stream is blocked, by whatever event, and stays so.
    Waits(TenantId, StreamId),
}

impl StreamProgress {
    /// The stream that it is about, and whose it is.
    #[must_use]
    pub const fn stream(&self) -> (&TenantId, &StreamId) {
        match self {
            Self::Block(blocked) | Self::Change(_, blocked) => (&blocked.tenant, &blocked.stream),
            Self::Free(_, tenant, stream) | Self::Waits(tenant, stream) => (tenant, stream),
        }
    }
}

/// What a stream is blocked by. It tells whether anything has happened to the stream since it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockedAt {
    /// See [`BlockedStream::after`].
    pub after: Position,
    /// See [`BlockedStream::position`].
    pub position: Position,
}

/// A stream whose events wait, because handling one of them has failed.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockedStream {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// Its segment.
    pub segment: u16,
    /// What the subscription wants of the stream up to here was handled.
    pub after: Position,
    /// Where the event stands that failed last.
    pub position: Position,
    /// How often handling it has failed.
    pub attempts: u32,
    /// With what, the last time.
    pub error: String,
    /// When it is tried again, by the store's clock; `None`: not until somebody asks for it.
    pub retry_at: Option<Timestamp>,
    /// When it failed first, by the store's clock.
    pub since: Timestamp,
}

impl BlockedStream {
    /// What it is blocked by.
    #[must_use]
    pub const fn at(&self) -> BlockedAt {
        BlockedAt { after: self.after, position: self.position }
    }
}

/// Which blocked streams to list.
#[derive(Debug, Clone)]
pub struct BlockedRequest {
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// Only those in these segments.
    pub segments: Option<Segments>,
    /// Only those that are to be tried again by now, by the store's clock.
    pub due: bool,
    /// Only those whose failed event stands above this position.
    pub after: Position,
    /// At most so many; at least 1.
    pub limit: usize,
}

/// What a subscription has not handled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// How many events.
    pub events: u64,
    /// When the first of them happened.
    pub oldest: Option<Timestamp>,
}
