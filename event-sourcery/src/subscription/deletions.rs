//! Which streams were deleted through this store of late: what was read before is not handed over after that.

mod own;
mod shredded;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::stream_id::{StreamId, TenantId};

/// How many are known by their streams. Of those before them it is known whose they were.
const KNOWN: usize = 1_024;

/// The deletions of a store's handles, counted.
#[derive(Default)]
pub(crate) struct Deletions {
    count: AtomicU64,
    /// Whoever counts one holds the lock.
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// The last of them, with what was counted then.
    last: VecDeque<(u64, TenantId, StreamId)>,
    /// What was counted at the last of those that are not known any more, by some of the bits of their tenants: whose reads
    /// began before that reads again, and others do not.
    forgotten: BTreeMap<u8, u64>,
    /// Those of which somebody has to know.
    watched: Vec<Weak<Watched>>,
    /// In the transaction of a handler, all that it has deleted.
    own: Option<HashSet<(TenantId, StreamId)>>,
}

/// A stream that is watched: of this one every deletion is known, however many others there are.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    tenant: TenantId,
    stream: StreamId,
    is_deleted: AtomicBool,
}

/// How many deletions there had been before something was read: what it holds of streams that were deleted later may be gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AsOf(u64);

/// Nothing of what was deleted: it is everybody's.
impl fmt::Debug for Deletions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deletions")
    }
}

impl Deletions {
    /// By now. Whatever is read from here on holds nothing of a stream whose deletion was noted before.
    pub(crate) fn now(&self) -> AsOf {
        AsOf(self.count.load(Ordering::Acquire))
    }

    /// Notes that a stream was deleted, or may have been, once that is over and before anybody is told.
    pub(crate) fn note(&self, tenant: &TenantId, stream: &StreamId) {
        let mut noted = self.noted();
        let count = self.now().0 + 1;
        noted.last.push_back((count, tenant.clone(), stream.without_name()));
        noted.tell(|watched| watched.is(tenant, stream));
        noted.forget();
        self.count.store(count, Ordering::Release);
    }

    /// Notes what a transaction has deleted, once that is over.
    pub(crate) fn note_all(&self, of_transaction: &Self) {
        let deleted = of_transaction.noted();
        let mut noted = self.noted();
        let count = self.now().0 + of_transaction.now().0;
        noted.forgotten.extend(deleted.forgotten.keys().map(|bits| (*bits, count)));
        let last = deleted.last.iter().map(|(_, tenant, stream)| (count, tenant.clone(), stream.clone()));
        noted.last.extend(last);
        noted.tell(|watched| {
            deleted.forgotten.contains_key(&bits_of(&watched.tenant))
                || deleted.last.iter().any(|(_, tenant, stream)| watched.is(tenant, stream))
        });
        noted.forget();
        self.count.store(count, Ordering::Release);
    }

    /// Watches a stream: what is read of it from here on is there, unless the watch tells of a deletion.
    pub(super) fn watch(&self, tenant: &TenantId, stream: &StreamId) -> Watch {
        let (tenant, stream) = (tenant.clone(), stream.without_name());
        let watched = Arc::new(Watched { tenant, stream, is_deleted: AtomicBool::new(false) });
        let mut noted = self.noted();
        noted.watched.retain(|watched| watched.strong_count() > 0);
        noted.watched.push(Arc::downgrade(&watched));
        Watch(watched)
    }

    /// The places of the first of these streams, so many at most, that may have been deleted since then.
    pub(super) fn places_of<'s>(
        &self,
        streams: impl IntoIterator<Item = (&'s TenantId, &'s StreamId)>,
        since: AsOf,
        most: usize,
    ) -> Vec<usize> {
        if self.now() == since {
            return Vec::new();
        }
        let noted = self.noted();
        let new = noted.last.iter().rev().take_while(|(count, ..)| *count > since.0);
        let deleted: HashSet<_> = new.map(|(_, tenant, stream)| (tenant, stream)).collect();
        let streams = streams.into_iter().enumerate().filter(|(_, stream)| {
            deleted.contains(stream)
                || noted.forgotten.get(&bits_of(stream.0)).is_some_and(|count| *count > since.0)
        });
        streams.map(|(place, _)| place).take(most).collect()
    }

    /// The place of the first of these streams that may have been deleted since then.
    pub(super) fn first_of<'s>(
        &self,
        streams: impl IntoIterator<Item = (&'s TenantId, &'s StreamId)>,
        since: AsOf,
    ) -> Option<usize> {
        self.places_of(streams, since, 1).first().copied()
    }

    /// Whether one of these streams may have been deleted since then.
    pub(super) fn concern<'s>(
        &self,
        streams: impl IntoIterator<Item = (&'s TenantId, &'s StreamId)>,
        since: AsOf,
    ) -> bool {
        self.first_of(streams, since).is_some()
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Whether this stream may have been deleted since it is watched; `None`: another one is.
    pub(super) fn tells_of(&self, tenant: &TenantId, stream: &StreamId) -> Option<bool> {
        self.0.is(tenant, stream).then(|| self.is_over())
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_deleted.load(Ordering::Acquire)
    }
}

impl Watched {
    fn is(&self, tenant: &TenantId, stream: &StreamId) -> bool {
        self.tenant == *tenant && self.stream == *stream
    }
}

impl Noted {
    /// Tells those who watch one of these streams that it may be deleted.
    fn tell(&self, is_one: impl Fn(&Watched) -> bool) {
        let watched = self.watched.iter().filter_map(Weak::upgrade);
        watched.filter(|watched| is_one(watched)).for_each(|watched| {
            watched.is_deleted.store(true, Ordering::Release);
        });
    }

    /// Keeps as many as are known by their streams.
    fn forget(&mut self) {
        let too_many = self.last.len().saturating_sub(KNOWN);
        for (count, tenant, _) in self.last.drain(..too_many) {
            let last = self.forgotten.entry(bits_of(&tenant)).or_default();
            *last = count.max(*last);
        }
    }
}

fn bits_of(tenant: &TenantId) -> u8 {
    let mut hasher = DefaultHasher::new();
    tenant.hash(&mut hasher);
    hasher.finish().to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::backend::{ProgressRequest, SubscriptionId};
    use crate::subscription::deliver::{Budget, Deliver, InTransaction};
    use crate::{
        EventStore, MemoryBackend, MemoryTransaction, Next, RawEvent, Recorded, Source, Subscription, Within,
    };

    fn streams(count: usize) -> Vec<StreamId> {
        (0..count).map(|_| StreamId::random()).collect()
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    /// Whether the tenant's stream is concerned.
    fn concern(deletions: &Deletions, name: &str, stream: &StreamId, since: AsOf) -> bool {
        deletions.concern([(&tenant(name), stream)], since)
    }

    #[test]
    fn what_was_read_before_a_deletion_is_concerned_and_what_was_read_after_it_is_not() {
        let (deletions, streams, acme) = (Deletions::default(), streams(2), tenant("acme"));
        let before = deletions.now();
        deletions.note(&acme, &streams[0]);
        assert!(concern(&deletions, "acme", &streams[0], before));
        assert!(!concern(&deletions, "acme", &streams[1], before));
        assert!(!concern(&deletions, "acme", &streams[0], deletions.now()));
        let read = streams.iter().rev().map(|stream| (&acme, stream));
        assert_eq!(deletions.first_of(read, before), Some(1));
    }

    #[test]
    fn a_namesake_of_what_was_deleted_is_not_concerned() {
        let (deletions, stream) = (Deletions::default(), StreamId::from_name("invoices/1003").unwrap());
        let before = deletions.now();
        deletions.note(&tenant("acme"), &stream.clone().in_category("archive").unwrap());
        assert!(!concern(&deletions, "acme", &stream, before), "in no category");
        let archived = stream.in_category("archive").unwrap();
        assert!(!concern(&deletions, "globex", &archived, before));
        assert!(concern(&deletions, "acme", &archived, before));
    }

    #[test]
    fn whose_reads_began_before_more_than_is_known_read_again_and_others_do_not() {
        let (deletions, deleted, other) = (Deletions::default(), streams(KNOWN + 1), StreamId::random());
        let mut as_of = Vec::new();
        for stream in &deleted {
            as_of.push(deletions.now());
            deletions.note(&tenant("acme"), stream);
        }
        assert!(concern(&deletions, "acme", &other, as_of[0]));
        assert!(!concern(&deletions, "globex", &other, as_of[0]), "another tenant's events stay");
        assert!(!concern(&deletions, "acme", &other, as_of[1]));
        assert!(concern(&deletions, "acme", &deleted[1], as_of[1]));
        assert_eq!(deletions.noted().last.len(), KNOWN);
    }

    #[test]
    fn what_a_transaction_has_deleted_is_noted_as_a_whole() {
        for count in [1, KNOWN, KNOWN + 1] {
            let (deletions, transaction) = (Deletions::default(), Deletions::default());
            let (deleted, other) = (streams(count), StreamId::random());
            deletions.note(&tenant("acme"), &other);
            let before = deletions.now();
            deleted.iter().for_each(|stream| transaction.note(&tenant("acme"), stream));
            deletions.note_all(&transaction);
            let some = || deleted.iter().step_by(100);
            assert!(some().all(|stream| concern(&deletions, "acme", stream, before)));
            assert_eq!(concern(&deletions, "acme", &other, before), count > KNOWN);
            assert!(!some().any(|stream| concern(&deletions, "acme", stream, deletions.now())));
            assert!(!concern(&deletions, "globex", &other, before));
        }
    }

    #[test]
    fn of_a_stream_that_is_watched_every_deletion_is_known() {
        let (deletions, acme, stream) = (Deletions::default(), tenant("acme"), StreamId::random());
        let watch = deletions.watch(&acme, &stream);
        let tells = || watch.tells_of(&acme, &stream);
        streams(2 * KNOWN).iter().for_each(|other| deletions.note(&acme, other));
        deletions.note(&tenant("globex"), &stream);
        assert_eq!(tells(), Some(false), "however many others are deleted");
        assert_eq!(watch.tells_of(&acme, &StreamId::random()), None);
        deletions.note(&acme, &stream);
        streams(2 * KNOWN).iter().for_each(|other| deletions.note(&acme, other));
        assert_eq!(tells(), Some(true));
        assert_eq!(deletions.watch(&acme, &stream).tells_of(&acme, &stream), Some(false), "from there on");
    }

    #[test]
    fn of_a_stream_that_is_watched_it_is_known_what_a_transaction_has_deleted() {
        for (count, others) in [(1, Some(false)), (KNOWN + 1, Some(true))] {
            let (deletions, transaction) = (Deletions::default(), Deletions::default());
            let (deleted, acme, other) = (streams(count), tenant("acme"), StreamId::random());
            let last = &deleted[count - 1];
            let [watch, of_other] = [last, &other].map(|stream| deletions.watch(&acme, stream));
            deleted.iter().for_each(|stream| transaction.note(&acme, stream));
            deletions.note_all(&transaction);
            assert_eq!(watch.tells_of(&acme, last), Some(true));
            assert_eq!(of_other.tells_of(&acme, &other), others, "of too many it is known whose they were");
        }
    }

    /// An event of another tenant before a stream that is deleted and made anew, again and again, is read once.
    #[test]
    fn what_stands_before_a_stream_that_was_deleted_is_handed_over() {
        let (store, [stays, goes]) =
            (EventStore::new(MemoryBackend::new()), [0, 1].map(|_| StreamId::random()));
        let event = |name: &'static str| RawEvent::new(name, "{}").unwrap();
        let (acme, globex) = (store.for_tenant(tenant("acme")), store.for_tenant(tenant("globex")));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            globex.append(&stays, event("first")).await.unwrap();
            globex.append(&stays, event("stays")).expected_version(1).await.unwrap();
            acme.append(&goes, event("goes")).await.unwrap();
            globex.append(&stays, event("behind")).expected_version(2).await.unwrap();
            let mut subscription = store.subscribe::<RawEvent>().stream();
            assert!(matches!(subscription.try_next().await, Ok(Some(Next::Event(_)))));
            acme.delete_stream(&goes).await.unwrap();
            assert_eq!(names(&mut subscription).await, ["stays", "behind"]);
        });
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

    /// A handler on the writer waits for its turn behind the deletions of others, of which no more is known then than whose they were.
    #[tokio::test]
    async fn what_is_there_is_handled_in_a_transaction_however_many_others_were_deleted_while_it_waited() {
        let (store, streams, acme) = (EventStore::new(MemoryBackend::new()), streams(3), tenant("acme"));
        let acmes = store.for_tenant(acme.clone());
        for stream in &streams {
            acmes.append(stream, RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
        }
        let (mut all, mut events) = (store.read_all::<RawEvent>().stream(), Vec::new());
        while let Some(event) = all.try_next().await.unwrap() {
            events.push(event);
        }
        let deletions = Arc::clone(&store.scope().deletions);
        let as_of = deletions.now();
        acmes.delete_stream(&streams[2]).await.unwrap();
        (0..2 * KNOWN).for_each(|_| deletions.note(&acme, &StreamId::random()));

        let until = Instant::now() + Duration::from_secs(60);
        let id = SubscriptionId::outbox(TenantId::DEFAULT);
        let budget = Budget { id, until, stop: Arc::default(), deletions, as_of, watched: None, attempt: 1 };
        let progress = |_| ProgressRequest {
            subscription: SubscriptionId { tenant: TenantId::DEFAULT, name: "letters".into() },
            leases: Vec::new(),
            position: None,
            streams: Vec::new(),
            outbox: None,
        };
        let handled = Arc::new(Mutex::new(Vec::new()));
        let noting = Arc::clone(&handled);
        let handler = move |recorded: Recorded<RawEvent>, _: &mut Within<'_, MemoryTransaction<'_>>| {
            noting.lock().unwrap().push(recorded.stream_id);
            Ok::<(), Source>(())
        };
        let mut deliver = InTransaction { store: store.clone(), handler: Arc::new(handler), limit: None };
        let delivered = deliver.deliver(events, Box::new(progress), budget).await.unwrap();
        assert!(delivered.failed.is_none());
        assert_eq!((delivered.kept, &**handled.lock().unwrap()), (2, &streams[..2]));
    }
}
