//! How events reach a handler, and how the progress they make is kept with what the handler did.

mod batches;
mod publishing;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

pub(super) use self::batches::InBatches;
pub(super) use self::publishing::{Publishing, Tally};
use super::HandlerTransaction;
use crate::backend::{
    Backend, BackendTransaction, JoinableBackend, LoadRequest, ProgressRequest, Span, SubscriptionId,
    TransactionalBackend,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::retry::Retry;
use crate::store::{EventStore, Scope};
use crate::subscription::deletions::{AsOf, Deletions, Watch};
use crate::subscription::guarded::{Guarded, Handled, guarded_call, panicked, took_longer, whole};
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
    fn of_one(at: usize, error: String, took: Duration) -> Self {
        Self { at, of: 1, error, took, pause: Pause::ByAttempts }
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

/// Writes progress in the transaction of a handler that notes its deletions there. A stream that it has deleted itself is blocked
/// no more, and need not be as the progress says. That is heeded only where the progress is refused: a handler may have undone a
/// deletion.
fn keep_within(
    transaction: &mut impl BackendTransaction,
    progress: &ProgressRequest,
    deletions: &Deletions,
) -> Result<()> {
    match transaction.progress(progress) {
        Err(lost @ Error::LeaseLost { .. }) => match deletions.leave_out_of(progress) {
            Some(rest) => transaction.progress(&rest),
            None => Err(lost),
        },
        kept => kept,
    }
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
                failed = Some(Failure::of_one(kept, error, begun.elapsed()));
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
        let begun = Instant::now();
        let transaction = self.store.backend().begin_handling(self.idle, self.statement).await?;
        let deletions = Arc::new(Deletions::of_handler());
        let store = self.store.noting_in(&deletions);
        let mut transaction = HandlerTransaction::new(store.clone(), transaction);
        let mut handled = 0;
        for event in events {
            if !budget.allows(&event, handled) || !leaves(&deletions, &event) {
                break;
            }
            transaction.store = store.reacting_to(&event);
            let handling = budget.handling(self.store.scope(), slice::from_ref(&event));
            let at_work = budget.stop.at_work();
            let handled_well = (self.handler)(event, &mut transaction).instrument(handling.span()).await;
            drop(at_work);
            let finished = || transaction.unfinished.check().map_err(|error| error.to_string());
            let handled_well = handled_well.and_then(|()| finished());
            handling.ended(handled_well.is_ok());
            if let Err(error) = handled_well {
                let failed = Failure::of_one(handled, error, begun.elapsed());
                transaction.roll_back().await;
                return Ok(Delivered { kept: 0, failed: Some(failed) });
            }
            handled += 1;
        }
        if handled == 0 {
            return Ok(Delivered { kept: 0, failed: None });
        }
        let took = begun.elapsed();
        let kept = keep(transaction, &progress(handled), &deletions).await;
        budget.deletions.note_all(&deletions);
        match kept {
            Ok(()) => Ok(Delivered { kept: handled, failed: None }),
            // It was not the handler's pause that the database has ended the connection for.
            Err(error @ Error::Unavailable { .. }) if took < self.idle => Err(error),
            Err(error) => blamed(error, handled, begun.elapsed()),
        }
    }
}

/// Commits what was done in a transaction, with the progress that was made; see [`keep_within`].
async fn keep<B: JoinableBackend>(
    transaction: HandlerTransaction<B>,
    progress: &ProgressRequest,
    deletions: &Deletions,
) -> Result<()> {
    let HandlerTransaction { store, mut transaction, .. } = transaction;
    let mut kept = store.backend().join_handling(&mut transaction).progress(progress).await;
    if matches!(kept, Err(Error::LeaseLost { .. }))
        && let Some(rest) = deletions.leave_out_of(progress)
    {
        kept = store.backend().join_handling(&mut transaction).progress(&rest).await;
    }
    if let Err(error) = kept {
        store.backend().roll_back(transaction).await;
        return Err(error);
    }
    store.backend().commit(transaction).await
}

/// Handlers that run in a transaction of the backend's: exactly once.
pub(super) struct InTransaction<B, H> {
    pub(super) store: EventStore<B>,
    pub(super) handler: Arc<H>,
    /// How long it may take. It cannot be interrupted: it has failed once it returns.
    pub(super) limit: Option<Duration>,
}

/// Why a transaction is rolled back.
enum RolledBack {
    ByHandler(String),
    ByStore(Error),
}

impl From<Error> for RolledBack {
    fn from(error: Error) -> Self {
        Self::ByStore(error)
    }
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
        let work = move |transaction: &mut B::Transaction<'_>| {
            for (event, scope) in events.into_iter().zip(&scopes) {
                let before = number.load(Ordering::Relaxed);
                if !budget.has_time(before) || !leaves(&scope.deletions, &event) {
                    break;
                }
                // So many others may have been deleted while this waited for its turn that nobody knows of this one.
                if budget.may_be_gone(&event) && !is_there(transaction, &event)? {
                    break;
                }
                let at_work = budget.stop.at_work();
                if budget.stop.is_given_up() {
                    return Err(RolledBack::ByStore(Error::Closed));
                }
                let (begun, handling) = (Instant::now(), budget.handling(scope, slice::from_ref(&event)));
                let handle = || guarded_call(|| Within::run(transaction, scope, |tx| handler(event, tx)));
                let handled = handling.span().in_scope(handle);
                drop(at_work);
                handling.ended(handled.is_ok());
                handled.map_err(RolledBack::ByHandler)?;
                if let Some(limit) = limit.filter(|limit| begun.elapsed() > *limit) {
                    return Err(RolledBack::ByHandler(took_longer(limit)));
                }
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
        let (at, took) = (at.load(Ordering::Relaxed), begun.elapsed());
        let failed = |error| Ok(Delivered { kept: 0, failed: Some(Failure::of_one(at, error, took)) });
        match ended {
            Ok(Ok(kept)) => Ok(Delivered { kept, failed: None }),
            Ok(Err(RolledBack::ByStore(error))) => blamed(error, at, took),
            Ok(Err(RolledBack::ByHandler(error))) => failed(error),
            Err(panic) => failed(panicked(&*panic)),
        }
    }
}

/// Whether a transaction could not be kept because of what the handler has done in it, or left undone: an error that it has
/// hidden, a constraint that is checked at the commit, a pause that the database does not bear. Where it is the store that is
/// away, that cannot be put on record either, and nothing comes of it. Not where others were in the way: it would have gone
/// well without them.
const fn is_the_handlers(error: &Error) -> bool {
    !matches!(
        error,
        Error::LeaseLost { .. }
            | Error::OutcomeUnknown { .. }
            | Error::SerializationFailure { .. }
            | Error::Busy { .. }
            | Error::HistoryReplaced { .. }
    )
}

/// A transaction that could not be kept: the last event is to blame, if it is the handler's doing.
fn blamed(error: Error, handled: usize, took: Duration) -> Result<Delivered> {
    match handled.checked_sub(1).filter(|_| is_the_handlers(&error)) {
        Some(at) => {
            let failed = Failure::of_one(at, whole(&error), took);
            Ok(Delivered { kept: 0, failed: Some(failed) })
        }
        None => Err(error),
    }
}
