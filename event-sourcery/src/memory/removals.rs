//! The events of deleted streams, which are removed a few at a time: with a million of them at once, everybody would wait.
//!
//! They count no more as soon as their stream is marked as deleted: no read sees them, and whoever appends gets their ids.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use uuid::Uuid;

use super::log::Log;
use super::tags::TagIndex;
use crate::position::Position;

/// How many events are removed at once: what takes a fraction of a millisecond.
const AT_ONCE: usize = 512;

/// What is left to be removed: where the events of each deleted stream stand.
#[derive(Default)]
pub(super) struct Removals(Vec<Vec<Position>>);

impl Removals {
    /// Adds the events of a stream that was deleted for good.
    pub(super) fn add(&mut self, positions: Vec<Position>) {
        self.0.push(positions);
    }

    /// Removes some; tells whether there are more.
    pub(super) fn remove_some(
        &mut self,
        log: &mut Log,
        ids: &mut BTreeMap<Uuid, Position>,
        tags: &mut TagIndex,
    ) -> bool {
        let mut left = AT_ONCE;
        while left > 0
            && let Some(positions) = self.0.last_mut()
        {
            left -= 1;
            match positions.pop() {
                Some(position) => remove(position, log, ids, tags),
                None => drop(self.0.pop()),
            }
        }
        !self.0.is_empty()
    }
}

fn remove(position: Position, log: &mut Log, ids: &mut BTreeMap<Uuid, Position>, tags: &mut TagIndex) {
    let Some(removed) = log.take(position) else { return };
    tags.leave(removed.stream.tenant(), &removed.event.tags, position);
    // Another event may have it by now.
    if let Entry::Occupied(place) = ids.entry(removed.event.id)
        && *place.get() == position
    {
        place.remove();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::AT_ONCE;
    use crate::backend::{BackendTransaction as _, DeleteRequest};
    use crate::{Error, Event as _, EventStore, MemoryBackend, NewEvent, RawEvent, StreamId, TenantId};

    /// So many that one step does not remove them.
    const MANY: usize = 4 * AT_ONCE;

    fn events() -> Vec<NewEvent<RawEvent>> {
        let ids = (1..=MANY as u128).map(Uuid::from_u128);
        ids.map(|id| RawEvent::new("Happened", "{}").unwrap().with_id(id)).collect()
    }

    async fn with_many(stream: &StreamId) -> (MemoryBackend, EventStore<MemoryBackend>) {
        let backend = MemoryBackend::new();
        let store = EventStore::new(backend.clone());
        store.append(stream, events()).await.unwrap();
        (backend, store)
    }

    fn delete(stream: &StreamId) -> DeleteRequest {
        DeleteRequest { tenant: TenantId::DEFAULT, stream: stream.clone(), drop_outbox: false }
    }

    fn left(backend: &MemoryBackend) -> usize {
        backend.state().removals.0.iter().map(Vec::len).sum()
    }

    async fn length(store: &EventStore<MemoryBackend>, stream: &StreamId) -> usize {
        store.load_stream::<RawEvent>(stream).await.unwrap().len()
    }

    async fn all(store: &EventStore<MemoryBackend>) -> usize {
        let (mut events, mut read) = (store.read_all::<RawEvent>().stream(), 0);
        while events.try_next().await.unwrap().is_some() {
            read += 1;
        }
        read
    }

    #[tokio::test]
    async fn a_long_stream_is_gone_at_once_and_its_events_are_removed_between_other_calls() {
        let (stream, other) = (StreamId::random(), StreamId::random());
        let (backend, store) = with_many(&stream).await;
        backend.atomically(|transaction| transaction.delete(&delete(&stream))).unwrap();
        assert_eq!(left(&backend), MANY - AT_ONCE);
        assert_eq!((length(&store, &stream).await, all(&store).await), (0, 0));
        store.append(&other, RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
        assert_eq!(left(&backend), MANY - 2 * AT_ONCE, "whoever writes removes some");
        store.delete_stream(&other).await.unwrap();
        assert_eq!(left(&backend), 0, "and whoever deletes removes the rest");
        assert!(backend.state().removals.0.is_empty());
    }

    #[tokio::test]
    async fn who_appends_gets_the_ids_of_what_is_not_removed_yet_and_keeps_them() {
        let (stream, other) = (StreamId::random(), StreamId::random());
        let (backend, store) = with_many(&stream).await;
        backend.atomically(|transaction| transaction.delete(&delete(&stream))).unwrap();
        assert!(left(&backend) > 0);
        for again in [false, true] {
            let appended = store.append(&stream, events()).await.unwrap();
            assert_eq!((appended.first_version, appended.repeated), (Some(1), again));
            store.delete_stream(&other).await.unwrap();
            assert_eq!(left(&backend), 0);
        }
        assert_eq!((length(&store, &stream).await, all(&store).await), (MANY, MANY));
    }

    #[tokio::test]
    async fn a_deletion_that_is_taken_back_gives_everything_back_also_the_ids() {
        let (stream, other) = (StreamId::random(), StreamId::random());
        let (backend, store) = with_many(&stream).await;
        let (deleted, filled) = (stream.clone(), other.clone());
        let taken_back = store.transaction::<(), Error, _>(move |tx| {
            tx.delete_stream(&deleted).run()?;
            tx.append(&filled, events()).run()?;
            Err(Error::Closed)
        });
        assert!(matches!(taken_back.await, Err(Error::Closed)));
        assert_eq!(left(&backend), 0);
        assert_eq!((length(&store, &stream).await, length(&store, &other).await), (MANY, 0));
        assert!(store.append(&stream, events()).await.unwrap().repeated, "they have their ids again");
    }
}
