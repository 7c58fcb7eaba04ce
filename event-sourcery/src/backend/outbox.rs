//! The outbox: what is read of it, what is held while it is published, and what becomes of it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use super::progress::ProgressRequest;
use super::segments::Segments;
use super::subscriptions::SubscriptionId;
use crate::error::Result;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};

/// Which entries of the outbox to read: those that are not published, each as the record of its event, whether that is still in
/// its stream or not. In position order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutboxRequest {
    /// Only entries of events above this position.
    pub after: Position,
    /// Only up to this position, whatever is visible, settled or not; `None`: up to what is settled now.
    pub up_to: Option<Position>,
    /// Only this tenant's; `None`: everybody's.
    pub tenant: Option<TenantId>,
    /// Only those of streams in these segments.
    pub segments: Option<Segments>,
    /// Only those of this stream of this tenant. A page of them is empty only where there are no more. What nobody who publishes has
    /// passed with a [checkpoint](super::ProgressRequest::position) may be left out: it is asked for what a blocked stream waits with.
    pub stream: Option<(TenantId, StreamId)>,
    /// At most this many entries, at least 1, and no more than there is [room](super::PageRoom) for.
    pub limit: usize,
}

impl OutboxRequest {
    /// At most this many entries of events above this position, at least 1.
    #[must_use]
    pub const fn new(after: Position, limit: usize) -> Self {
        Self { after, up_to: None, tenant: None, segments: None, stream: None, limit }
    }

    /// Only up to this position.
    #[must_use]
    pub fn with_up_to(self, position: Position) -> Self {
        Self { up_to: Some(position), ..self }
    }

    /// Only this tenant's.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// Only those of streams in these segments.
    #[must_use]
    pub fn with_segments(self, segments: Segments) -> Self {
        Self { segments: Some(segments), ..self }
    }

    /// Only those of this stream of this tenant: see [`stream`](Self::stream).
    #[must_use]
    pub fn with_stream(self, tenant: TenantId, stream: StreamId) -> Self {
        Self { stream: Some((tenant, stream)), ..self }
    }
}

/// Entries that are about to be published.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HoldRequest {
    /// Where their events stand.
    pub positions: Vec<Position>,
    /// After this long without a sign of life, the hold ends by itself.
    pub idle: Duration,
}

impl HoldRequest {
    /// The entries at these positions, for as long as that without a sign of life.
    #[must_use]
    pub const fn new(positions: Vec<Position>, idle: Duration) -> Self {
        Self { positions, idle }
    }
}

/// What became of entries that were to be held. Those that it does not name are not there: they were published.
#[non_exhaustive]
pub struct HeldEntries {
    /// They are there, and nobody else publishes them.
    pub free: Vec<Position>,
    /// Somebody else is publishing them at this moment.
    pub taken: Vec<Position>,
    /// What keeps others from them; `None` where the leases alone do.
    pub hold: Option<Box<dyn Hold>>,
}

impl HeldEntries {
    /// These are free, and those taken; nothing keeps others from them.
    #[must_use]
    pub const fn new(free: Vec<Position>, taken: Vec<Position>) -> Self {
        Self { free, taken, hold: None }
    }

    /// The same, with what keeps others from them.
    #[must_use]
    pub fn with_hold(self, hold: Box<dyn Hold>) -> Self {
        Self { hold: Some(hold), ..self }
    }
}

impl fmt::Debug for HeldEntries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free, taken, hold } = self;
        f.debug_struct("HeldEntries")
            .field("free", free)
            .field("taken", taken)
            .field("is_held", &hold.is_some())
            .finish()
    }
}

/// What keeps others from entries. Dropped, it lets go of them, sooner or later.
#[async_trait]
pub trait Hold: Send {
    /// Writes progress, and lets go of them, at once.
    ///
    /// # Errors
    ///
    /// As for [`SubscriptionBackend::progress`](super::SubscriptionBackend::progress). Where the hold had ended by itself, an error
    /// that [can be retried](crate::Error::is_retryable), or the backend's own: nothing was written.
    async fn keep(self: Box<Self>, progress: &ProgressRequest) -> Result<()>;

    /// Lets go of them, and writes nothing. Whoever asks for them behind this gets them.
    async fn release(self: Box<Self>);
}

/// What becomes of entries, with the progress of those who publish them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxProgress {
    /// The entries of these events were published, or are left out. What is not there any more does not count.
    pub done: Vec<Position>,
    /// For how long they are kept all the same, where nobody publishes them; `None`: they go. What was kept for longer than that
    /// goes now, as far as that takes no time.
    pub keep: Option<Duration>,
}

impl OutboxProgress {
    /// These entries were published, or are left out, and go.
    #[must_use]
    pub const fn new(done: Vec<Position>) -> Self {
        Self { done, keep: None }
    }

    /// How long they are kept; `None`: they are removed.
    #[must_use]
    pub const fn keeping(mut self, keep: Option<Duration>) -> Self {
        self.keep = keep;
        self
    }
}

impl SubscriptionId {
    /// What publishes the outbox: a subscription without a name, which no other can have. It is handed entries in the place of
    /// events, and its streams are blocked by entries.
    #[must_use]
    pub fn outbox(tenant: TenantId) -> Self {
        Self::new(tenant, "")
    }

    /// Whether it is what publishes the outbox.
    #[must_use]
    pub fn is_outbox(&self) -> bool {
        self.name.is_empty()
    }

    /// Its name in messages.
    pub(crate) fn told(&self) -> &str {
        if self.is_outbox() { "the outbox" } else { &self.name }
    }
}
