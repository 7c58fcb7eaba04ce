//! Batches: what shares its transaction is handed over together.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    AtLeastOnce, Budget, Deliver, Delivered, Failure, InTransaction, Pause, Progress, RolledBack,
    WithinTransaction, is_the_handlers, is_there, keep, keep_within,
};
use crate::backend::{Backend, BackendTransaction, JoinableBackend, TransactionalBackend};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::store::EventStore;
use crate::subscription::HandlerTransaction;
use crate::subscription::deletions::{Deletions, Watch};
use crate::subscription::guarded::{Guarded, Handled, guarded_call, panicked, took_longer, whole};
use crate::within::Within;
use crate::wrapped_event::Recorded;

/// Handlers that take all events at once.
pub(in crate::subscription) struct InBatches<D>(pub(in crate::subscription) D);

impl Budget {
    /// The places of those events whose streams may have been deleted since they were read.
    fn doubtful<E>(&self, events: &[Recorded<E>]) -> Vec<usize> {
        let streams = events.iter().map(|event| (&event.tenant_id, &event.stream_id));
        let mut places = self.deletions.places_of(streams, self.as_of, events.len());
        places.retain(|place| events.get(*place).is_some_and(|event| !self.is_sure_of(event)));
        places
    }

    /// Whether an event's stream is watched since before that was read, and was not deleted.
    fn is_sure_of<E>(&self, event: &Recorded<E>) -> bool {
        let tells_of = |watch: &Watch| watch.tells_of(&event.tenant_id, &event.stream_id);
        self.watched.as_ref().and_then(tells_of) == Some(false)
    }

    /// The events before the first that may be gone.
    fn still_there<E>(&self, mut events: Vec<Recorded<E>>) -> Vec<Recorded<E>> {
        if let Some(gone) = self.doubtful(&events).first() {
            events.truncate(*gone);
        }
        events
    }
}

/// The place of the first event that is gone, as a transaction sees it beside which nobody writes. So many others may have been
/// deleted while that waited for its turn that nobody knows of these.
fn first_gone<E>(
    transaction: &mut impl BackendTransaction,
    events: &[Recorded<E>],
    budget: &Budget,
) -> Result<Option<usize>> {
    let mut streams = HashSet::new();
    for place in budget.doubtful(events) {
        let Some(event) = events.get(place) else { break };
        // Where an event is, those behind it in its stream are.
        if streams.insert((&event.tenant_id, &event.stream_id)) && !is_there(transaction, event)? {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Nobody knows which of so many events is to blame.
fn failed(events: usize, error: String, begun: Instant) -> Delivered {
    let took = begun.elapsed();
    let failed = Failure { at: 0, of: events, error, took, pause: Pause::ByAttempts };
    Delivered { kept: 0, failed: Some(failed) }
}

/// So many are handled.
const fn kept(events: usize) -> Delivered {
    Delivered { kept: events, failed: None }
}

impl<B, E, H> Deliver<E> for InBatches<AtLeastOnce<B, H>>
where
    B: Backend,
    E: Event,
    H: AsyncFnMut(Vec<Recorded<E>>, EventStore<B>) -> Guarded,
{
    async fn deliver(
        &mut self,
        events: Vec<Recorded<E>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered> {
        let AtLeastOnce { store, handler } = &mut self.0;
        let events = budget.still_there(events);
        let (count, begun) = (events.len(), Instant::now());
        if count == 0 {
            return Ok(kept(0));
        }
        let handling = budget.handling(store.scope(), &events);
        let at_work = budget.stop.at_work();
        let handled = handler(events, store.clone()).instrument(handling.span()).await;
        drop(at_work);
        handling.ended(handled.is_ok());
        if let Err(error) = handled {
            return Ok(failed(count, error, begun));
        }
        store.backend().progress(progress(count)).await?;
        Ok(kept(count))
    }
}

impl<B, E, H> Deliver<E> for InBatches<WithinTransaction<B, H>>
where
    B: JoinableBackend,
    E: Event,
    H: AsyncFnMut(Vec<Recorded<E>>, &mut HandlerTransaction<B>) -> Guarded,
{
    async fn deliver(
        &mut self,
        events: Vec<Recorded<E>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered> {
        let WithinTransaction { store, handler, idle, statement } = &mut self.0;
        let begun = Instant::now();
        let transaction = store.backend().begin_handling(*idle, *statement).await?;
        let deletions = Arc::new(Deletions::of_handler());
        let mut transaction = HandlerTransaction::new(store.noting_in(&deletions), transaction);
        let events = budget.still_there(events);
        let count = events.len();
        if count == 0 {
            return Ok(kept(0));
        }
        let handling = budget.handling(store.scope(), &events);
        let at_work = budget.stop.at_work();
        let handled = handler(events, &mut transaction).instrument(handling.span()).await;
        drop(at_work);
        let finished = || transaction.unfinished.check().map_err(|error| error.to_string());
        let handled = handled.and_then(|()| finished());
        handling.ended(handled.is_ok());
        if let Err(error) = handled {
            let failed = failed(count, error, begun);
            transaction.roll_back().await;
            return Ok(failed);
        }
        let took = begun.elapsed();
        let committed = keep(transaction, &progress(count), &deletions).await;
        budget.deletions.note_all(&deletions);
        match committed {
            Ok(()) => Ok(kept(count)),
            // It was not the handler's pause that the database has ended the connection for.
            Err(error @ Error::Unavailable { .. }) if took < *idle => Err(error),
            Err(error) if is_the_handlers(&error) => Ok(failed(count, whole(&error), begun)),
            Err(error) => Err(error),
        }
    }
}

impl<B, E, H> Deliver<E> for InBatches<InTransaction<B, H>>
where
    B: TransactionalBackend,
    E: Event,
    H: for<'w, 't> Fn(Vec<Recorded<E>>, &mut Within<'w, B::Transaction<'t>>) -> Handled
        + Send
        + Sync
        + 'static,
{
    async fn deliver(
        &mut self,
        events: Vec<Recorded<E>>,
        progress: Progress,
        budget: Budget,
    ) -> Result<Delivered> {
        let (handed_over, begun) = (Arc::<AtomicUsize>::default(), Instant::now());
        let (handler, number, limit) = (Arc::clone(&self.0.handler), Arc::clone(&handed_over), self.0.limit);
        let (noted, deletions) = (Arc::new(Deletions::of_handler()), Arc::clone(&budget.deletions));
        let scope = self.0.store.noting_in(&noted).into_scope();
        let work = move |transaction: &mut B::Transaction<'_>| {
            let mut events = events;
            if let Some(gone) = first_gone(transaction, &events, &budget)? {
                events.truncate(gone);
            }
            let count = events.len();
            if count == 0 {
                return Ok(0);
            }
            let at_work = budget.stop.at_work();
            if budget.stop.is_given_up() {
                return Err(RolledBack::ByStore(Error::Closed));
            }
            number.store(count, Ordering::Relaxed);
            let (begun, handling) = (Instant::now(), budget.handling(&scope, &events));
            let handle = || guarded_call(|| Within::run(transaction, &scope, |tx| handler(events, tx)));
            let handled = handling.span().in_scope(handle);
            drop(at_work);
            handling.ended(handled.is_ok());
            handled.map_err(RolledBack::ByHandler)?;
            if let Some(limit) = limit.filter(|limit| begun.elapsed() > *limit) {
                return Err(RolledBack::ByHandler(took_longer(limit)));
            }
            keep_within(transaction, &progress(count), &scope.deletions)?;
            Ok(count)
        };
        let store = &self.0.store;
        let ended = store.backend().transaction(store.tenant_id(), work);
        let ended = AssertUnwindSafe(ended).catch_unwind().await;
        deletions.note_all(&noted);
        let count = handed_over.load(Ordering::Relaxed);
        match ended {
            Ok(Ok(handled)) => Ok(kept(handled)),
            Ok(Err(RolledBack::ByStore(error))) if count == 0 || !is_the_handlers(&error) => Err(error),
            Ok(Err(RolledBack::ByStore(error))) => Ok(failed(count, whole(&error), begun)),
            Ok(Err(RolledBack::ByHandler(error))) => Ok(failed(count, error, begun)),
            Err(panic) => Ok(failed(count, panicked(&*panic), begun)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::backend::{ProgressRequest, SubscriptionId};
    use crate::{MemoryBackend, MemoryTransaction, RawEvent, Source, StreamId, TenantId};

    type Batch = Vec<Recorded<RawEvent>>;

    async fn with_events_of(streams: &[&StreamId]) -> (EventStore<MemoryBackend>, Batch) {
        let store = EventStore::new(MemoryBackend::new());
        for stream in streams {
            let event = RawEvent::new("Happened", "{}").unwrap();
            store.append(stream, event).no_versioning().await.unwrap();
        }
        let (mut all, mut events) = (store.read_all::<RawEvent>().stream(), Vec::new());
        while let Some(event) = all.try_next().await.unwrap() {
            events.push(event);
        }
        drop(all);
        (store, events)
    }

    fn budget(store: &EventStore<MemoryBackend>) -> Budget {
        let deletions = Arc::clone(&store.scope().deletions);
        let (until, as_of) = (Instant::now() + Duration::from_secs(60), deletions.now());
        let id = SubscriptionId { tenant: TenantId::DEFAULT, name: "letters".into() };
        Budget { id, until, stop: Arc::default(), deletions, as_of, watched: None, attempt: 1 }
    }

    /// More streams of the tenant are deleted than are known.
    fn delete_others(budget: &Budget) {
        (0..2_000).for_each(|_| budget.deletions.note(&TenantId::DEFAULT, &StreamId::random()));
    }

    fn progress(_: usize) -> ProgressRequest {
        ProgressRequest {
            subscription: SubscriptionId { tenant: TenantId::DEFAULT, name: "letters".into() },
            leases: Vec::new(),
            position: None,
            streams: Vec::new(),
            outbox: None,
        }
    }

    #[tokio::test]
    async fn what_is_there_is_handed_over_on_the_writer_however_many_others_were_deleted_while_it_waited() {
        let [first, second, gone] = [(); 3].map(|()| StreamId::random());
        let (store, events) = with_events_of(&[&first, &second, &first, &gone, &second]).await;
        let budget = budget(&store);
        store.delete_stream(&gone).await.unwrap();
        delete_others(&budget);
        let handled = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&handled);
        let handler = move |batch: Batch, _: &mut Within<'_, MemoryTransaction<'_>>| {
            noting.lock().unwrap().extend(batch.into_iter().map(|event| event.stream_id));
            Ok::<(), Source>(())
        };
        let mut deliver = InBatches(InTransaction { store, handler: Arc::new(handler), limit: None });
        let delivered = deliver.deliver(events, Box::new(progress), budget).await.unwrap();
        assert!(delivered.failed.is_none());
        assert_eq!((delivered.kept, &**handled.lock().unwrap()), (3, &[first.clone(), second, first][..]));
    }

    #[tokio::test]
    async fn of_what_is_watched_it_is_sure_whether_it_is_there() {
        let [watched, other] = [(); 2].map(|()| StreamId::random());
        let (store, events) = with_events_of(&[&watched, &other]).await;
        let unsure = budget(&store);
        let watch = unsure.deletions.watch(&TenantId::DEFAULT, &watched);
        let sure = Budget { watched: Some(watch), ..unsure.clone() };
        assert!(sure.doubtful(&events).is_empty());
        delete_others(&sure);
        assert_eq!((unsure.doubtful(&events), sure.doubtful(&events)), (vec![0, 1], vec![1]));
        sure.deletions.note(&TenantId::DEFAULT, &watched);
        assert_eq!(sure.doubtful(&events), [0, 1]);
    }
}
