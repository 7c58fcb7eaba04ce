//! The progress of durable subscriptions: checkpoints, and streams that wait for a failed event.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::outbox::OutboxProgress;
use super::reads::Filter;
use super::segments::{Lease, Segments};
use super::subscriptions::SubscriptionId;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};

/// Progress of a subscription. With no leases it is somebody from outside who looks after blocked streams.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProgressRequest {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// What has to hold: each segment has this token.
    pub leases: Vec<Lease>,
    /// The new checkpoint of those segments. It never moves back.
    pub position: Option<Position>,
    /// What becomes of blocked streams.
    pub streams: Vec<StreamProgress>,
    /// What becomes of entries of the outbox, where it is the outbox that makes progress.
    pub outbox: Option<OutboxProgress>,
}

impl ProgressRequest {
    /// Progress of a subscription from outside, that changes nothing yet.
    #[must_use]
    pub const fn new(subscription: SubscriptionId) -> Self {
        Self { subscription, leases: Vec::new(), position: None, streams: Vec::new(), outbox: None }
    }

    /// The same by who has these leases.
    #[must_use]
    pub fn with_leases(self, leases: Vec<Lease>) -> Self {
        Self { leases, ..self }
    }

    /// The same, with a new checkpoint for the segments of its leases.
    #[must_use]
    pub fn with_position(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    /// The same, with what becomes of these streams.
    #[must_use]
    pub fn with_streams(self, streams: Vec<StreamProgress>) -> Self {
        Self { streams, ..self }
    }

    /// The same, with what becomes of entries of the outbox.
    #[must_use]
    pub fn with_outbox(self, outbox: OutboxProgress) -> Self {
        Self { outbox: Some(outbox), ..self }
    }
}

/// What becomes of a stream. Each of them is refused with [`Error::LeaseLost`](crate::Error::LeaseLost) where the stream is
/// not what it says.
///
/// Exhaustive on purpose: a checkpoint that passes a stream whose progress was not understood would lose events.
#[derive(Debug, Clone)]
pub enum StreamProgress {
    /// A stream that was free is blocked by the event at its position. Where that event is not, or no longer, in this stream
    /// of this tenant, the stream stays free: it was deleted meanwhile, and perhaps created again. For the outbox it is the entry
    /// that has to be there, whether its stream is or not.
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
#[non_exhaustive]
pub struct BlockedAt {
    /// See [`BlockedStream::after`].
    pub after: Position,
    /// See [`BlockedStream::position`].
    pub position: Position,
}

impl BlockedAt {
    /// Handled up to the first, and blocked by the event at the second.
    #[must_use]
    pub const fn new(after: Position, position: Position) -> Self {
        Self { after, position }
    }
}

/// A stream whose events wait, because handling one of them has failed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    /// The id of that event. Who lists blocked streams with their errors is told; `None`, also where no event of this stream stands
    /// there, because it is gone, or was left out, or where that cannot be read. It is not stored: the event has it.
    pub event_id: Option<Uuid>,
    /// The stored name of that event's type, told as its id is.
    pub event_name: Option<Arc<str>>,
}

impl BlockedStream {
    /// A stream whose event has failed once, at this time, and is not tried again until somebody asks for it. What went wrong is
    /// not told yet.
    #[must_use]
    pub fn new(tenant: TenantId, stream: StreamId, segment: u16, at: BlockedAt, since: Timestamp) -> Self {
        let BlockedAt { after, position } = at;
        Self {
            tenant,
            stream,
            segment,
            after,
            position,
            attempts: 1,
            error: String::new(),
            retry_at: None,
            since,
            event_id: None,
            event_name: None,
        }
    }

    /// The same after this many attempts.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// The same with what the last attempt failed with.
    #[must_use]
    pub fn with_error(self, error: impl Into<String>) -> Self {
        Self { error: error.into(), ..self }
    }

    /// The same with the id and the name of the event that failed, as far as they are known.
    #[must_use]
    pub fn with_event(self, id: Option<Uuid>, name: Option<Arc<str>>) -> Self {
        Self { event_id: id, event_name: name, ..self }
    }

    /// The same, to be tried again at this time; `None`: not until somebody asks for it.
    #[must_use]
    pub fn with_retry_at(self, retry_at: Option<Timestamp>) -> Self {
        Self { retry_at, ..self }
    }

    /// What it is blocked by.
    #[must_use]
    pub const fn at(&self) -> BlockedAt {
        BlockedAt { after: self.after, position: self.position }
    }
}

/// Which blocked streams to list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BlockedRequest {
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// Only those in these segments.
    pub segments: Option<Segments>,
    /// Only this stream of this tenant.
    pub stream: Option<(TenantId, StreamId)>,
    /// Only those that are to be tried again by now, by the store's clock.
    pub due: bool,
    /// Only those whose failed event stands above this position.
    pub after: Position,
    /// At most this many; at least 1.
    pub limit: usize,
    /// With the texts of their errors, and the ids and names of the events. Without, there are none: they are long, or looked for in
    /// the events, and seldom wanted.
    pub errors: bool,
}

impl BlockedRequest {
    /// The first 256 of a subscription's, with their errors.
    #[must_use]
    pub const fn new(subscription: SubscriptionId) -> Self {
        let (after, limit) = (Position::START, 256);
        Self { subscription, segments: None, stream: None, due: false, after, limit, errors: true }
    }

    /// Only those in these segments.
    #[must_use]
    pub fn with_segments(self, segments: Segments) -> Self {
        Self { segments: Some(segments), ..self }
    }

    /// Only this stream of this tenant.
    #[must_use]
    pub fn with_stream(self, tenant: TenantId, stream: StreamId) -> Self {
        Self { stream: Some((tenant, stream)), ..self }
    }

    /// Only those that are to be tried again by now.
    #[must_use]
    pub fn that_are_due(self) -> Self {
        Self { due: true, ..self }
    }

    /// Only those whose failed event stands above this position, and at most this many of them.
    #[must_use]
    pub fn with_page(self, after: Position, limit: usize) -> Self {
        Self { after, limit, ..self }
    }

    /// The texts of their errors are left out, and which events failed.
    #[must_use]
    pub fn without_errors(self) -> Self {
        Self { errors: false, ..self }
    }
}

/// What of a backlog to count.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BacklogRequest {
    /// Only what stands above this position.
    pub after: Position,
    /// Only what stands up to this position; `None`, or beyond the settled position: up to that.
    pub up_to: Option<Position>,
    /// Only what passes.
    pub filter: Filter,
    /// The count ends at so many events, at least 1, and once it has taken as long as a page takes at most; `None`: all of them are
    /// counted, however long that takes.
    pub most: Option<u64>,
}

impl BacklogRequest {
    /// All that passes, above a position.
    #[must_use]
    pub const fn new(after: Position, filter: Filter) -> Self {
        Self { after, up_to: None, filter, most: None }
    }

    /// Only what stands up to this position.
    #[must_use]
    pub const fn up_to(mut self, position: Position) -> Self {
        self.up_to = Some(position);
        self
    }

    /// At most this many events, and no longer than a page takes.
    #[must_use]
    pub const fn at_most(mut self, events: u64) -> Self {
        self.most = Some(events);
        self
    }
}

/// What a subscription has not handled yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Backlog {
    /// How many events were counted.
    pub events: u64,
    /// When the first of them happened.
    pub oldest: Option<Timestamp>,
    /// Up to where it was counted, if not to the end: there may be more.
    pub cut_off: Option<Position>,
}

impl Backlog {
    /// So many events, the first of which happened then; counted to the end.
    #[must_use]
    pub const fn new(events: u64, oldest: Option<Timestamp>) -> Self {
        Self { events, oldest, cut_off: None }
    }

    /// The same, counted up to this position only; `None`: to the end.
    #[must_use]
    pub const fn with_cut_off(self, cut_off: Option<Position>) -> Self {
        Self { cut_off, ..self }
    }
}
