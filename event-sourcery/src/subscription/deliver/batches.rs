//! Batches: what shares its transaction is handed over together.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::ending::{Blame, OpenTransaction, RolledBack, call_on_writer, keep_within};
use super::{AtLeastOnce, Budget, Deliver, Delivered, InTransaction, Progress, WithinTransaction, is_there};
use crate::backend::{Backend, BackendTransaction, JoinableBackend, TransactionalBackend};
use crate::error::Result;
use crate::event::Event;
use crate::store::EventStore;
use crate::subscription::HandlerTransaction;
use crate::subscription::deletions::{Deletions, Watch};
use crate::subscription::guarded::{Guarded, Handled};
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
            return Ok(Delivered::kept(0));
        }
        let handling = budget.handling(store.scope(), &events);
        let at_work = budget.stop.at_work();
        let handled = handler(events, store.clone()).instrument(handling.span()).await;
        drop(at_work);
        handling.ended(handled.is_ok());
        if let Err(error) = handled {
            return Ok(Blame::together(count).of_handler(error, begun.elapsed()));
        }
        store.backend().progress(progress(count)).await?;
        Ok(Delivered::kept(count))
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
        let mut open = OpenTransaction::begin(store, *idle, *statement).await?;
        let events = budget.still_there(events);
        let count = events.len();
        if count == 0 {
            return Ok(Delivered::kept(0));
        }
        let handling = budget.handling(store.scope(), &events);
        let at_work = budget.stop.at_work();
        let handled = handler(events, &mut open.transaction).instrument(handling.span()).await;
        drop(at_work);
        let (handled, blame) = (open.finished(handled), Blame::together(count));
        handling.ended(handled.is_ok());
        if let Err(error) = handled {
            return Ok(open.fail(blame, error).await);
        }
        open.keep((count, blame), &progress(count), &budget.deletions).await
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
        let work = move |transaction: &mut B::Transaction<'_>| -> Result<usize, RolledBack> {
            let mut events = events;
            if let Some(gone) = first_gone(transaction, &events, &budget)? {
                events.truncate(gone);
            }
            let count = events.len();
            if count == 0 {
                return Ok(0);
            }
            let handling = budget.handling(&scope, &events);
            let call = || {
                number.store(count, Ordering::Relaxed);
                Within::run(transaction, &scope, |tx| handler(events, tx))
            };
            call_on_writer(&budget.stop, limit, &handling, call)?;
            keep_within(transaction, &progress(count), &scope.deletions)?;
            Ok(count)
        };
        let store = &self.0.store;
        let ended = store.backend().transaction(store.tenant_id(), work);
        let ended = AssertUnwindSafe(ended).catch_unwind().await;
        deletions.note_all(&noted);
        Blame::together(handed_over.load(Ordering::Relaxed)).of_writer(ended, begun.elapsed())
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
