//! Which streams were deleted through this store of late: what was read before is not handed over after that.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::stream_id::StreamId;

/// How many are known by their streams. Whoever has read before the first of them reads again, whatever it was.
const KNOWN: usize = 1_024;

/// The deletions of a store's handles, counted.
///
/// They are known by UUID alone: who reads a stream's namesake again has read in vain, and lost nothing.
#[derive(Debug, Default)]
pub(crate) struct Deletions {
    count: AtomicU64,
    /// The last of them. Whoever counts one holds the lock.
    last: Mutex<VecDeque<Uuid>>,
}

/// How many deletions there had been before something was read: what it holds of streams that were deleted later may be gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AsOf(u64);

impl Deletions {
    /// By now. Whatever is read from here on holds nothing of a stream whose deletion was noted before.
    pub(crate) fn now(&self) -> AsOf {
        AsOf(self.count.load(Ordering::Acquire))
    }

    /// Notes that a stream was deleted, or may have been, once that is over and before anybody is told.
    pub(crate) fn note(&self, stream: &StreamId) {
        let mut last = self.last();
        if last.len() == KNOWN {
            last.pop_front();
        }
        last.push_back(stream.uuid());
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Notes what a transaction has deleted, once that is over.
    pub(crate) fn note_all(&self, of_transaction: &Self) {
        let deleted = of_transaction.last();
        let unknown = of_transaction.now().0.saturating_sub(deleted.len() as u64);
        let mut last = self.last();
        last.extend(deleted.iter());
        if unknown > 0 {
            last.clear();
        }
        let too_many = last.len().saturating_sub(KNOWN);
        last.drain(..too_many);
        self.count.fetch_add(of_transaction.now().0, Ordering::Release);
    }

    /// Whether one of these streams may have been deleted since then.
    pub(super) fn concern<'s>(&self, streams: impl IntoIterator<Item = &'s StreamId>, since: AsOf) -> bool {
        if self.now() == since {
            return false;
        }
        let last = self.last();
        let new = usize::try_from(self.now().0.saturating_sub(since.0)).unwrap_or(usize::MAX);
        let mut streams = streams.into_iter();
        if new > last.len() {
            return streams.next().is_some();
        }
        let deleted: HashSet<Uuid> = last.iter().rev().take(new).copied().collect();
        drop(last);
        streams.any(|stream| deleted.contains(&stream.uuid()))
    }

    fn last(&self) -> MutexGuard<'_, VecDeque<Uuid>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{EventStore, MemoryBackend, Next, RawEvent, Subscription};

    fn streams(count: usize) -> Vec<StreamId> {
        (0..count).map(|_| StreamId::random()).collect()
    }

    #[test]
    fn what_was_read_before_a_deletion_is_concerned_and_what_was_read_after_it_is_not() {
        let (deletions, streams) = (Deletions::default(), streams(2));
        let before = deletions.now();
        deletions.note(&streams[0]);
        assert!(deletions.concern(&streams[..1], before));
        assert!(!deletions.concern(&streams[1..], before));
        assert!(!deletions.concern(&streams, deletions.now()));
    }

    #[test]
    fn whoever_has_read_before_more_than_is_known_reads_again() {
        let (deletions, deleted, other) = (Deletions::default(), streams(KNOWN + 1), StreamId::random());
        let mut as_of = Vec::new();
        for stream in &deleted {
            as_of.push(deletions.now());
            deletions.note(stream);
        }
        assert!(deletions.concern([&other], as_of[0]) && !deletions.concern([], as_of[0]));
        assert!(!deletions.concern([&other], as_of[1]) && deletions.concern([&deleted[1]], as_of[1]));
        assert_eq!(deletions.last().len(), KNOWN);
    }

    #[test]
    fn what_a_transaction_has_deleted_is_noted_as_a_whole() {
        for count in [1, KNOWN, KNOWN + 1] {
            let (deletions, transaction) = (Deletions::default(), Deletions::default());
            let (deleted, other) = (streams(count), StreamId::random());
            deletions.note(&other);
            let before = deletions.now();
            deleted.iter().for_each(|stream| transaction.note(stream));
            deletions.note_all(&transaction);
            assert!(deleted.iter().all(|stream| deletions.concern([stream], before)));
            assert_eq!(deletions.concern([&other], before), count > KNOWN);
            assert!(!deletions.concern(&deleted, deletions.now()));
        }
    }

    async fn names(subscription: &mut Subscription<RawEvent>) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(Next::Event(recorded)) = subscription.try_next().await.unwrap() {
            names.push(recorded.wrapped_event.event.name().to_owned());
        }
        names
    }

    #[tokio::test]
    async fn what_a_closure_deletes_is_not_handed_over_once_it_is_committed() {
        let (store, streams) = (EventStore::new(MemoryBackend::new()), streams(3));
        for (stream, name) in streams.iter().zip(["first", "goes", "stays"]) {
            store.append(stream, RawEvent::new(name, "{}").unwrap()).await.unwrap();
        }
        let (mut subscription, goes) = (store.subscribe::<RawEvent>().stream(), streams[1].clone());
        assert!(matches!(subscription.try_next().await, Ok(Some(Next::Event(_)))));
        store.transaction(move |tx| tx.delete_stream(&goes).run()).await.unwrap();
        assert_eq!(names(&mut subscription).await, ["stays"]);
    }

    #[tokio::test]
    async fn what_a_handler_deletes_in_its_transaction_does_not_come_behind_it() {
        let (store, streams) = (EventStore::new(MemoryBackend::new()), streams(3));
        for (stream, name) in streams.iter().zip(["first", "goes", "stays"]) {
            store.append(stream, RawEvent::new(name, "{}").unwrap()).await.unwrap();
        }
        let (done, stop) = tokio::sync::oneshot::channel::<()>();
        let (done, handled) = (Mutex::new(Some(done)), Arc::new(Mutex::new(Vec::new())));
        let (noting, goes) = (Arc::clone(&handled), streams[1].clone());
        let durable = store.subscribe::<RawEvent>().durable("letters").until(stop);
        let run = durable.run_in_transaction(move |recorded, tx| {
            let name = recorded.wrapped_event.event.name().to_owned();
            if name == "first" {
                tx.delete_stream(&goes).run()?;
            }
            if name == "stays" {
                drop(done.lock().unwrap().take());
            }
            noting.lock().unwrap().push(name);
            Ok(())
        });
        run.await.unwrap();
        assert_eq!(*handled.lock().unwrap(), ["first", "stays"]);
    }
}
