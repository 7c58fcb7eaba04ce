//! Many writers with delays and rollbacks, and readers that follow: nothing is lost, repeated or out of order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_sourcery::{Position, RawEvent, StreamId};
use event_sourcery_postgres::sqlx;
use uuid::Uuid;

use crate::scene::{Scene, Store, Tx, events, from_environment, insert_invoice};

/// How long to write: `EVENT_SOURCERY_STRESS_SECONDS`, or 5 s.
const SECONDS: &str = "EVENT_SOURCERY_STRESS_SECONDS";
const WRITERS: usize = 16;
/// Streams are shared, so that writers race for them.
const STREAMS: usize = 8;

/// What one writer does until time is up.
struct Writer {
    scene: Arc<Scene>,
    store: Store,
    until: Instant,
    dice: fastrand::Rng,
    rolled_back: Arc<AtomicUsize>,
}

impl Writer {
    async fn write(mut self) {
        while Instant::now() < self.until {
            if self.dice.u8(..100) < 30 {
                // Alone, or together with what others append at that moment.
                let (stream, count) = self.stream();
                let version = self.store.version(&stream).await.unwrap();
                let append = self.store.append(&stream, events(count));
                let append = if is_versioned(&stream) {
                    append.expected_version(version)
                } else {
                    append.no_versioning()
                };
                // The loser of a race; and between two attempts of one, the stream may be anybody's.
                let _ = append.await.inspect_err(expected);
            } else {
                self.transaction().await;
            }
        }
    }

    async fn transaction(&mut self) {
        let mut tx = self.scene.begin().await;
        if self.dice.bool() {
            insert_invoice(&mut tx, &Uuid::now_v7().to_string()).await;
            self.delay(4).await;
        }
        let mut appended = true;
        // One stream a transaction, or two in one order: what deadlocks is another test's.
        let mut streams = [self.stream(), self.stream()];
        streams.sort_by_key(|(stream, _)| stream.uuid());
        for (stream, count) in streams.into_iter().take(self.dice.usize(1..=2)) {
            appended &= self.append_inside(&mut tx, &stream, count).await;
            self.delay(8).await;
        }
        if appended && self.dice.u8(..100) >= 15 {
            tx.commit().await.unwrap();
        } else {
            self.rolled_back.fetch_add(1, Ordering::Relaxed);
            tx.rollback().await.unwrap();
        }
    }

    async fn append_inside(&mut self, tx: &mut Tx, stream: &StreamId, count: usize) -> bool {
        let version = self.store.within(tx).version(stream).await.unwrap();
        let append = self.store.within(tx).append(stream, events(count));
        let append =
            if is_versioned(stream) { append.expected_version(version) } else { append.no_versioning() };
        append.await.inspect_err(expected).is_ok()
    }

    /// Half of the appends create a stream; the others race.
    fn stream(&mut self) -> (StreamId, usize) {
        let number = self.dice.usize(..STREAMS);
        let kind = if number.is_multiple_of(2) { "versioned" } else { "unversioned" };
        let name =
            if self.dice.bool() { format!("{kind}/{number}") } else { format!("{kind}/{}", Uuid::now_v7()) };
        (StreamId::from_name(name).unwrap(), self.dice.usize(1..=3))
    }

    async fn delay(&mut self, milliseconds: u64) {
        tokio::time::sleep(Duration::from_micros(self.dice.u64(..milliseconds * 1_000))).await;
    }
}

fn is_versioned(stream: &StreamId) -> bool {
    stream.name().is_some_and(|name| name.starts_with("versioned"))
}

fn expected(error: &event_sourcery::Error) {
    assert!(matches!(error, event_sourcery::Error::Conflict { .. }) || error.is_retryable(), "{error:?}");
}

/// What a reader was handed, in its order.
#[derive(Default)]
struct Followed {
    read: Vec<(i64, Uuid, Option<u64>)>,
    longest_stall: Duration,
}

/// Reads until there is nothing more after the writers have ended.
async fn follow(store: Store, ended: Arc<AtomicBool>) -> Followed {
    let (mut at, mut followed, mut last_progress) = (Position::START, Followed::default(), Instant::now());
    loop {
        let was_last = ended.load(Ordering::Acquire);
        let settled = store.position().await.unwrap();
        let mut all = store.read_all::<RawEvent>().after(at).stream();
        let mut progress = false;
        while let Some(recorded) = all.try_next().await.unwrap() {
            progress = true;
            followed.longest_stall = followed.longest_stall.max(last_progress.elapsed());
            last_progress = Instant::now();
            at = recorded.position;
            followed.read.push((at.to_i64(), recorded.stream_id.uuid(), recorded.wrapped_event.version));
        }
        at = at.max(settled);
        if !progress && was_last {
            return followed;
        }
        if !progress {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_of_many_writers_lose_nothing_are_handed_nothing_twice_and_keep_the_order() {
    let scene = Arc::new(Scene::new().await.with_own_table().await);
    let mut unrelated = scene.begin_at("REPEATABLE READ").await;
    insert_invoice(&mut unrelated, "open throughout").await;
    let until = Instant::now() + Duration::from_secs(from_environment(SECONDS, 5));
    let (ended, rolled_back) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let other_process = scene.another_store().await;
    let readers = [scene.store.clone(), other_process.clone()]
        .map(|store| tokio::spawn(follow(store, Arc::clone(&ended))));
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let store = if number % 4 == 0 { &other_process } else { &scene.store }.clone();
            let (scene, rolled_back, dice) =
                (Arc::clone(&scene), Arc::clone(&rolled_back), fastrand::Rng::new());
            tokio::spawn(Writer { scene, store, until, dice, rolled_back }.write())
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    ended.store(true, Ordering::Release);
    let table: BTreeSet<i64> = sqlx::query_scalar("SELECT id FROM event_sourcery_events")
        .fetch_all(&scene.pool)
        .await
        .unwrap()
        .into_iter()
        .collect();
    for reader in readers {
        let followed = reader.await.unwrap();
        check(&followed, &table);
        println!(
            "{WRITERS} writers: {} events, {} rolled back, 0 lost, 0 repeated; longest stall {:?}",
            table.len(),
            rolled_back.load(Ordering::Relaxed),
            followed.longest_stall
        );
    }
    assert!(table.len() > 100, "they wrote: {}", table.len());
    unrelated.rollback().await.unwrap();
}

fn check(followed: &Followed, table: &BTreeSet<i64>) {
    let read: BTreeSet<i64> = followed.read.iter().map(|(position, ..)| *position).collect();
    let lost: Vec<_> = table.difference(&read).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), table.len());
    assert_eq!(read.len(), followed.read.len(), "some were handed out twice");
    assert!(read.is_subset(table), "handed out, and not there");
    assert!(followed.read.is_sorted_by(|before, after| before.0 < after.0), "out of order");
    let mut versions = HashMap::new();
    for (position, stream, version) in &followed.read {
        let before = versions.insert(*stream, *version);
        assert_eq!(
            version.unwrap_or(0),
            before.flatten().map_or(u64::from(version.is_some()), |before| before + 1),
            "at {position} of {stream}"
        );
    }
}
