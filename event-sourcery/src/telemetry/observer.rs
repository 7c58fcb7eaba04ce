//! Who is told what a store does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use crate::backend::SubscriptionId;
use crate::context::Context;
use crate::panics::caught;
use crate::stream_id::TenantId;

/// Is told what a store does, to measure it, and takes up the traces of events.
///
/// It is called where the store is at work, so it has to be quick, and must not wait. A panic of it is logged, and does no harm.
pub trait Observer: Send + Sync + 'static {
    /// Something was done.
    fn observed(&self, what: &Observed<'_>) {
        let _ = what;
    }

    /// A span was made in which events of these contexts are handled or published, and has not begun. With one event, its trace is
    /// that which the span goes on with; several are of several traces. It is called where somebody wants the span.
    fn take_up(&self, span: &Span, contexts: &[&Context]) {
        let _ = (span, contexts);
    }
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn observed(&self, what: &Observed<'_>) {
        (**self).observed(what);
    }

    fn take_up(&self, span: &Span, contexts: &[&Context]) {
        (**self).take_up(span, contexts);
    }
}

/// Something that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observed<'a> {
    /// An append has ended, in whatever way. One within a transaction is told before that is committed.
    #[non_exhaustive]
    Append {
        /// Whose streams.
        tenant: &'a TenantId,
        /// How many events it has.
        events: usize,
        /// How it has ended.
        ended: Ended,
        /// How long it took.
        took: Duration,
    },
    /// A handler has returned, panicked, or taken longer than it may. One that is dropped with its run is not told.
    #[non_exhaustive]
    Handle {
        /// Of which subscription.
        subscription: &'a SubscriptionId,
        /// How many events it was handed together.
        events: usize,
        /// [`Done`](Ended::Done), or [`Failed`](Ended::Failed).
        ended: Ended,
        /// How long it took.
        took: Duration,
    },
    /// A publisher has answered, or panicked. One that is dropped with its run is not told.
    #[non_exhaustive]
    Publish {
        /// What publishes the outbox.
        subscription: &'a SubscriptionId,
        /// How many entries it was handed together.
        entries: usize,
        /// How many of them it has published.
        published: usize,
        /// How long it took.
        took: Duration,
    },
    /// An event, or an entry, has failed, which counts an attempt.
    #[non_exhaustive]
    Failed {
        /// In which subscription.
        subscription: &'a SubscriptionId,
        /// How often it was tried by now.
        attempts: u32,
        /// Whether it is not tried again.
        is_parked: bool,
    },
    /// A member of a subscription has taken segments, or has them no more. That it leaves is not told.
    #[non_exhaustive]
    Leases {
        /// Of which subscription.
        subscription: &'a SubscriptionId,
        /// How many it has taken.
        taken: usize,
        /// How many it has no more: given up, or lost.
        given_up: usize,
    },
}

/// How something has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ended {
    /// It was done.
    Done,
    /// It had been done before.
    Repeated,
    /// Somebody else has written meanwhile ([`Error::Conflict`](crate::Error::Conflict)).
    Conflict,
    /// It has failed in another way.
    Failed,
}

impl Ended {
    /// In a word: `done`, `repeated`, `conflict` or `failed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Repeated => "repeated",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

/// The observer of a handle, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Observing(Option<Arc<dyn Observer>>);

impl Observing {
    pub(super) fn by(observer: impl Observer) -> Self {
        Self(Some(Arc::new(observer)))
    }

    /// Since when something is done, where somebody is told how long that took.
    pub(super) fn begin(&self) -> Option<Instant> {
        self.0.as_ref().map(|_| Instant::now())
    }

    pub(crate) fn tell(&self, what: &Observed<'_>) {
        if let Some(observer) = &self.0 {
            spared(|| observer.observed(what));
        }
    }

    /// Lets the observer take up the traces of events in a span, where somebody wants that.
    pub(super) fn take_up<'c>(&self, span: &Span, contexts: impl Iterator<Item = &'c Context>) {
        if let Some(observer) = self.0.as_ref().filter(|_| !span.is_disabled()) {
            let contexts: Vec<_> = contexts.collect();
            spared(|| observer.take_up(span, &contexts));
        }
    }
}

/// The store goes on, whatever becomes of its observer.
fn spared(work: impl FnOnce()) {
    if let Err(problem) = caught(work) {
        tracing::warn!(problem, "an observer of the store panicked");
    }
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observing").field(&self.0.is_some()).finish()
    }
}
