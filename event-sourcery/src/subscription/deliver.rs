//! How events reach a handler, and how the progress they make is kept with what the handler did.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout_at};

use crate::backend::{
    Backend, BackendTransaction, JoinableBackend, JoinedTransaction, ProgressRequest, TransactionalBackend,
};
use crate::error::{Error, Result, Source, shortened};
use crate::event::Event;
use crate::panics;
use crate::projection::Unfinished;
use crate::store::{EventStore, Scope};
use crate::subscription::deletions::{AsOf, Deletions};
use crate::subscription::later;
use crate::subscription::stopping::Stopping;
use crate::within::{Joined, Within};
use crate::wrapped_event::Recorded;

/// What a handler answers.
pub(super) type Handled = Result<(), Source>;

/// The same in words. A type without a lifetime in it: the compiler finds the future of a run to be `Send` by it.
pub(super) type Guarded = Result<(), String>;

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
    /// The number, from 0, of the event that the handler failed on, and with what.
    pub(super) failed: Option<(usize, String)>,
}

/// When to hand over no more events for now: time is up, the subscription is to stop, or the next one may be gone.
#[derive(Clone)]
pub(super) struct Budget {
    pub(super) until: Instant,
    pub(super) stop: Arc<Stopping>,
    pub(super) deletions: Arc<Deletions>,
    /// When the events were read.
    pub(super) as_of: AsOf,
}

impl Budget {
    /// Whether an event is handed over, behind so many others.
    fn allows<E>(&self, event: &Recorded<E>, before: usize) -> bool {
        let is_spent = || self.stop.is_requested() || Instant::now() >= self.until;
        (before == 0 || !is_spent()) && !self.deletions.concern([&event.stream_id], self.as_of)
    }
}

/// Whether the transaction that notes its deletions there has left an event where it is.
fn leaves<E>(deletions: &Deletions, event: &Recorded<E>) -> bool {
    !deletions.concern([&event.stream_id], AsOf::default())
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
            let _at_work = budget.stop.at_work();
            if let Err(error) = (self.handler)(event, store).await {
                failed = Some((kept, error));
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

/// The transaction of a durable subscription, as its handler sees it: what is written through it takes effect together
/// with the checkpoint, or not at all.
///
/// It is the subscription's: the handler does not end it. The database ends it by itself when the handler leaves it idle
/// for as long as the [lease](super::Durable::lease) lasts, so that a handler that hangs holds up nobody.
pub struct HandlerTransaction<B: JoinableBackend> {
    store: EventStore<B>,
    transaction: B::Handling,
    unfinished: Unfinished,
}

impl<B: JoinableBackend> HandlerTransaction<B> {
    /// The connection, for the handler's own statements.
    pub fn connection(&mut self) -> &mut B::Connection {
        B::connection(&mut self.transaction)
    }

    /// The store within this transaction, for the tenant of the event at hand; for one call.
    ///
    /// What is appended carries the event's correlation id, and its id as causation id.
    pub fn store(&mut self) -> Joined<'_> {
        let transaction = self.store.backend().join_handling(&mut self.transaction);
        Joined { transaction, scope: self.store.scope() }
    }

    pub(crate) fn join(&mut self) -> (Box<dyn JoinedTransaction + '_>, &mut Unfinished) {
        (self.store.backend().join_handling(&mut self.transaction), &mut self.unfinished)
    }
}

impl<B: JoinableBackend> fmt::Debug for HandlerTransaction<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandlerTransaction")
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
        let deletions = Arc::default();
        let (store, unfinished) = (self.store.noting_in(&deletions), Unfinished::default());
        let mut transaction = HandlerTransaction { store: store.clone(), transaction, unfinished };
        let mut handled = 0;
        for event in events {
            if !budget.allows(&event, handled) || !leaves(&deletions, &event) {
                break;
            }
            transaction.store = store.reacting_to(&event);
            let at_work = budget.stop.at_work();
            let handled_well = (self.handler)(event, &mut transaction).await;
            drop(at_work);
            let finished = || transaction.unfinished.check().map_err(|error| error.to_string());
            if let Err(error) = handled_well.and_then(|()| finished()) {
                return Ok(Delivered { kept: 0, failed: Some((handled, error)) });
            }
            handled += 1;
        }
        if handled == 0 {
            return Ok(Delivered { kept: 0, failed: None });
        }
        let (mut transaction, took) = (transaction.transaction, begun.elapsed());
        let kept = async {
            store.backend().join_handling(&mut transaction).progress(&progress(handled)).await?;
            store.backend().commit(transaction).await
        };
        let kept = kept.await;
        budget.deletions.note_all(&deletions);
        match kept {
            Ok(()) => Ok(Delivered { kept: handled, failed: None }),
            // It was not the handler's pause that the database has ended the connection for.
            Err(error @ Error::Unavailable { .. }) if took < self.idle => Err(error),
            Err(error) => blamed(error, handled),
        }
    }
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
    ByHandler(Source),
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
        let at = Arc::new(AtomicUsize::new(0));
        let (handler, number, limit) = (Arc::clone(&self.handler), Arc::clone(&at), self.limit);
        let (noted, deletions) = (Arc::<Deletions>::default(), Arc::clone(&budget.deletions));
        let store = self.store.noting_in(&noted);
        let scopes: Vec<Scope> = events.iter().map(|event| store.reacting_to(event).into_scope()).collect();
        let work = move |transaction: &mut B::Transaction<'_>| {
            for (event, scope) in events.into_iter().zip(&scopes) {
                let before = number.load(Ordering::Relaxed);
                if !budget.allows(&event, before) || !leaves(&scope.deletions, &event) {
                    break;
                }
                let at_work = budget.stop.at_work();
                if budget.stop.is_given_up() {
                    return Err(RolledBack::ByStore(Error::Closed));
                }
                let begun = Instant::now();
                let handled = Within::run(transaction, scope, |tx| handler(event, tx));
                drop(at_work);
                handled.map_err(RolledBack::ByHandler)?;
                if let Some(limit) = limit.filter(|limit| begun.elapsed() > *limit) {
                    return Err(RolledBack::ByHandler(took_longer(limit).into()));
                }
                number.fetch_add(1, Ordering::Relaxed);
            }
            let handled = number.load(Ordering::Relaxed);
            if handled > 0 {
                transaction.progress(&progress(handled))?;
            }
            Ok(handled)
        };
        let ended = AssertUnwindSafe(self.store.backend().transaction(work)).catch_unwind().await;
        deletions.note_all(&noted);
        let failed = |error| Ok(Delivered { kept: 0, failed: Some((at.load(Ordering::Relaxed), error)) });
        match ended {
            Ok(Ok(kept)) => Ok(Delivered { kept, failed: None }),
            Ok(Err(RolledBack::ByStore(error))) => blamed(error, at.load(Ordering::Relaxed)),
            Ok(Err(RolledBack::ByHandler(error))) => failed(whole(&*error)),
            Err(panic) => failed(panicked(&*panic)),
        }
    }
}

/// A transaction that could not be kept, because of what the handler has done in it, or left undone: an error that it has
/// hidden, a constraint that is checked at the commit, a pause that the database does not bear. The last event is to
/// blame; where it is the store that is away, that cannot be put on record either, and nothing comes of it. Not where
/// others were in the way: it would have gone well without them.
fn blamed(error: Error, handled: usize) -> Result<Delivered> {
    let is_the_handlers = !matches!(
        error,
        Error::LeaseLost { .. }
            | Error::OutcomeUnknown { .. }
            | Error::SerializationFailure { .. }
            | Error::Busy { .. }
    );
    match handled.checked_sub(1).filter(|_| is_the_handlers) {
        Some(last) => Ok(Delivered { kept: 0, failed: Some((last, whole(&error))) }),
        None => Err(error),
    }
}

/// The handler's failure in words. A panic is a failure, and so it is to take longer than the limit.
pub(super) async fn guarded(limit: Option<Duration>, handling: impl Future<Output = Handled>) -> Guarded {
    let handling = AssertUnwindSafe(handling).catch_unwind();
    let handled = match limit {
        Some(limit) => {
            timeout_at(later(Instant::now(), limit), handling).await.map_err(|_| took_longer(limit))?
        }
        None => handling.await,
    };
    match handled {
        Ok(handled) => handled.map_err(|error| whole(&*error)),
        Err(panic) => Err(panicked(&*panic)),
    }
}

fn took_longer(limit: Duration) -> String {
    format!("the handler took longer than {limit:?}, which is its handler_timeout")
}

/// The most characters that are kept of an error: a handler's may hold anything.
const KEPT: usize = 4_000;

/// An error with its causes.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    shortened(&text, KEPT)
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    format!("the handler panicked: {}", shortened(panics::text(panic), KEPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_are_to_blame_for_is_no_failure_of_the_handler() {
        let others = [
            Error::LeaseLost { subscription: "letters".to_owned() },
            Error::OutcomeUnknown { source: "lost".into() },
            Error::SerializationFailure { source: "a deadlock".into() },
            Error::Busy { waited: Duration::from_secs(1) },
        ];
        for error in others {
            assert!(blamed(error, 3).is_err());
        }
        let own = || Error::Backend { backend: "postgres", source: "a deferred constraint".into() };
        assert_eq!(blamed(own(), 3).unwrap().failed.unwrap().0, 2);
        assert!(blamed(own(), 0).is_err(), "no event was handled");
    }
}
