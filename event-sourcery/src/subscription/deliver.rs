//! How events reach a handler, and how the progress they make is kept with what the handler did.

mod batches;
mod ending;
mod publishing;

use std::panic::AssertUnwindSafe;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

pub(super) use self::batches::InBatches;
use self::ending::{Blame, OpenTransaction, RolledBack, call_on_writer, keep_within};
pub(super) use self::publishing::{Publishing, Tally};
use super::HandlerTransaction;
use crate::backend::{
    Backend, BackendTransaction, JoinableBackend, LoadRequest, ProgressRequest, Span, SubscriptionId,
    TransactionalBackend,
};
use crate::error::Result;
use crate::event::Event;
use crate::retry::Retry;
use crate::store::{EventStore, Scope};
use crate::subscription::deletions::{AsOf, Deletions, Watch};
use crate::subscription::guarded::{Guarded, Handled};
use crate::subscription::stopping::Stopping;
use crate::telemetry::Handling;
use crate::within::Within;
use crate::wrapped_event::Recorded;

/// Hands events to a handler, in order, and keeps their progress.
pub(super) trait Deliver<E> {
    /// Hands over some events, at least the first if it is not gone. `progress` gives what to keep once so many of them are handled.
    async fn deliver(
        &mut self,
        events: Vec<Recorded<E>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered>;
}

/// What to keep once so many events are handled.
pub(super) type Progress = Box<dyn Fn(usize) -> ProgressRequest + Send + Sync>;

/// What became of events that were handed over.
pub(super) struct Delivered {
    /// So many of them are handled, and their progress is kept.
    pub(super) kept: usize,
    pub(super) failed: Option<Failure>,
}

impl Delivered {
    const fn kept(events: usize) -> Self {
        Self { kept: events, failed: None }
    }
}

/// What could not be handled.
pub(super) struct Failure {
    /// Its number, from 0.
    pub(super) at: usize,
    /// How many events it is: more than one were handed over together, and nobody knows which of them is to blame.
    pub(super) of: usize,
    pub(super) error: String,
    /// How long it took; with those before it, where they are not kept.
    pub(super) took: Duration,
    pub(super) pause: Pause,
}

impl Failure {
    fn new((at, of): (usize, usize), error: String, took: Duration) -> Self {
        Self { at, of, error, took, pause: Pause::ByAttempts }
    }
}

/// When something that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// After a pause that grows with the attempts.
    ByAttempts,
    /// The same, but not before so long.
    AtLeast(Duration),
    /// It was no attempt.
    Uncounted(Duration),
}

impl Pause {
    /// How many attempts there were, of so many with this one, and the pause after it; `None` after the last.
    pub(super) fn after(self, retry: &Retry, attempts: u32) -> (u32, Option<Duration>) {
        match self {
            Self::ByAttempts => (attempts, retry.pause(attempts)),
            Self::AtLeast(least) => (attempts, retry.pause(attempts).map(|pause| pause.max(least))),
            Self::Uncounted(pause) => (attempts.saturating_sub(1), Some(pause)),
        }
    }
}

/// When to hand over no more events for now: time is up, the subscription is to stop, or the next one may be gone.
#[derive(Clone)]
pub(super) struct Budget {
    /// Whose events they are.
    pub(super) id: SubscriptionId,
    pub(super) until: Instant,
    pub(super) stop: Arc<Stopping>,
    pub(super) deletions: Arc<Deletions>,
    /// When the events were read.
    pub(super) as_of: AsOf,
    /// The stream of an event that was read by itself.
    pub(super) watched: Option<Watch>,
    /// How often they are handed over with this time, as far as that is counted.
    pub(super) attempt: u32,
}

impl Budget {
    /// Whether an event is handed over, behind so many others.
    fn allows<E>(&self, event: &Recorded<E>, before: usize) -> bool {
        self.has_time(before) && !self.may_be_gone(event)
    }

    /// Begins to hand events over.
    fn handling<'h, E>(&'h self, scope: &'h Scope, events: &[Recorded<E>]) -> Handling<'h> {
        Handling::begin(&scope.observing, &self.id, self.attempt, events)
    }

    fn has_time(&self, before: usize) -> bool {
        before == 0 || !self.stop.is_requested() && Instant::now() < self.until
    }

    /// Whether an event's stream may have been deleted since it was read.
    fn may_be_gone<E>(&self, event: &Recorded<E>) -> bool {
        let (tenant, stream) = (&event.tenant_id, &event.stream_id);
        let watched = self.watched.as_ref().and_then(|watch| watch.tells_of(tenant, stream));
        watched.unwrap_or_else(|| self.deletions.concern([(tenant, stream)], self.as_of))
    }
}

/// Whether an event is where it was read, as a transaction sees it beside which nobody writes.
fn is_there<E>(transaction: &mut impl BackendTransaction, event: &Recorded<E>) -> Result<bool> {
    let (tenant, stream) = (event.tenant_id.clone(), event.stream_id.clone());
    let request = LoadRequest::new(tenant, stream, Span::Event(event.wrapped_event.uuid));
    let found = transaction.load(&request)?;
    Ok(found.events.first().is_some_and(|found| found.position == event.position))
}

/// Whether the transaction that notes its deletions there has left an event where it is.
fn leaves<E>(deletions: &Deletions, event: &Recorded<E>) -> bool {
    !deletions.concern([(&event.tenant_id, &event.stream_id)], AsOf::default())
}

/// Handlers that write wherever they like: at least once.
pub(super) struct AtLeastOnce<B, H> {
    pub(super) store: EventStore<B>,
    pub(super) handler: H,
}

impl<B, E, H> Deliver<E> for AtLeastOnce<B, H>
where
    B: Backend,
    E: Event,
    H: AsyncFnMut(Recorded<E>, EventStore<B>) -> Guarded,
{
    async fn deliver(
        &mut self,
        events: Vec<Recorded<E>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered> {
        let (mut kept, mut failed) = (0, None);
        for event in events {
            if !budget.allows(&event, kept) {
                break;
            }
            let store = self.store.reacting_to(&event);
            let handling = budget.handling(self.store.scope(), slice::from_ref(&event));
            let (_at_work, begun) = (budget.stop.at_work(), Instant::now());
            let handled = (self.handler)(event, store).instrument(handling.span()).await;
            handling.ended(handled.is_ok());
            if let Err(error) = handled {
                failed = Some(Failure::new((kept, 1), error, begun.elapsed()));
                break;
            }
            kept += 1;
        }
        if kept > 0 {
            self.store.backend().progress(progress(kept)).await?;
        }
        Ok(Delivered { kept, failed })
    }
}

/// Handlers that write through a transaction that is handed to them: exactly once.
pub(super) struct WithinTransaction<B, H> {
    pub(super) store: EventStore<B>,
    pub(super) handler: H,
    /// After so long without a statement the database ends the transaction.
    pub(super) idle: Duration,
    /// After so long it ends a statement: one that a handler has left would keep the connection.
    pub(super) statement: Option<Duration>,
}

impl<B, E, H> Deliver<E> for WithinTransaction<B, H>
where
    B: JoinableBackend,
    E: Event,
    H: AsyncFnMut(Recorded<E>, &mut HandlerTransaction<B>) -> Guarded,
{
    async fn deliver(
        &mut self,
        events: Vec<Recorded<E>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered> {
        let mut open = OpenTransaction::begin(&self.store, self.idle, self.statement).await?;
        let store = open.transaction.store.clone();
        let mut handled = 0;
        for event in events {
            if !budget.allows(&event, handled) || !leaves(&open.deleted, &event) {
                break;
            }
            open.transaction.store = store.reacting_to(&event);
            let handling = budget.handling(self.store.scope(), slice::from_ref(&event));
            let at_work = budget.stop.at_work();
            let handled_well = (self.handler)(event, &mut open.transaction).instrument(handling.span()).await;
            drop(at_work);
            let handled_well = open.finished(handled_well);
            handling.ended(handled_well.is_ok());
            if let Err(error) = handled_well {
                return Ok(open.fail(Blame::one_by_one(handled), error).await);
            }
            handled += 1;
        }
        if handled == 0 {
            return Ok(Delivered::kept(0));
        }
        let blame = Blame::one_by_one(handled);
        open.keep((handled, blame), &progress(handled), &budget.deletions).await
    }
}

/// Handlers that run in a transaction of the backend's: exactly once.
pub(super) struct InTransaction<B, H> {
    pub(super) store: EventStore<B>,
    pub(super) handler: Arc<H>,
    /// How long it may take. It cannot be interrupted: it has failed once it returns.
    pub(super) limit: Option<Duration>,
}

impl<B, E, H> Deliver<E> for InTransaction<B, H>
where
    B: TransactionalBackend,
    E: Event,
    H: for<'w, 't> Fn(Recorded<E>, &mut Within<'w, B::Transaction<'t>>) -> Handled + Send + Sync + 'static,
{
    async fn deliver(
        &mut self,
        events: Vec<Recorded<E>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered> {
        let (at, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now());
        let (handler, number, limit) = (Arc::clone(&self.handler), Arc::clone(&at), self.limit);
        let (noted, deletions) = (Arc::new(Deletions::of_handler()), Arc::clone(&budget.deletions));
        let (store, own) = (self.store.noting_in(&noted), Arc::clone(&noted));
        let scopes: Vec<Scope> = events.iter().map(|event| store.reacting_to(event).into_scope()).collect();
        let work = move |transaction: &mut B::Transaction<'_>| -> Result<usize, RolledBack> {
            for (event, scope) in events.into_iter().zip(&scopes) {
                let before = number.load(Ordering::Relaxed);
                if !budget.has_time(before) || !leaves(&scope.deletions, &event) {
                    break;
                }
                // So many others may have been deleted while this waited for its turn that nobody knows of this one.
                if budget.may_be_gone(&event) && !is_there(transaction, &event)? {
                    break;
                }
                let handling = budget.handling(scope, slice::from_ref(&event));
                let call = || Within::run(transaction, scope, |tx| handler(event, tx));
                call_on_writer(&budget.stop, limit, &handling, call)?;
                number.fetch_add(1, Ordering::Relaxed);
            }
            let handled = number.load(Ordering::Relaxed);
            if handled > 0 {
                keep_within(transaction, &progress(handled), &own)?;
            }
            Ok(handled)
        };
        let ended = self.store.backend().transaction(self.store.tenant_id(), work);
        let ended = AssertUnwindSafe(ended).catch_unwind().await;
        deletions.note_all(&noted);
        Blame::one_by_one(at.load(Ordering::Relaxed)).of_writer(ended, begun.elapsed())
    }
}
