//! Positions that would be given again: refused by name, with what repairs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, Position, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::Connection;
use tempfile::TempDir;

type Store = EventStore<SqliteBackend>;

const PATIENCE: Duration = Duration::from_secs(60);

struct File(TempDir);

impl File {
    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("events.db")
    }

    async fn open(&self) -> Store {
        EventStore::new(SqliteBackend::open(self.path()).await.unwrap())
    }

    fn run(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    /// Ten events, all handled, of which the last five were deleted.
    async fn with_history() -> (Self, Store) {
        let file = Self(TempDir::new().unwrap());
        let store = file.open().await;
        let (kept, gone) = (StreamId::random(), StreamId::random());
        for stream in [&kept, &gone] {
            for _ in 0..5 {
                store.append(stream, event()).no_versioning().await.unwrap();
            }
        }
        assert_eq!(handled_up_to(&store, 10).await, 10);
        store.delete_stream(&gone).await.unwrap();
        (file, store)
    }
}

fn event() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

/// How many events a durable subscription hands over until it has come to a position.
async fn handled_up_to(store: &Store, last: i64) -> usize {
    let reached = Arc::new(AtomicI64::new(0));
    let (seen, mut handled) = (Arc::clone(&reached), 0);
    let done = async move {
        let began = Instant::now();
        while reached.load(Ordering::Relaxed) < last {
            assert!(began.elapsed() < PATIENCE, "it has not come to {last}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let counted = Arc::new(AtomicI64::new(0));
    let count = Arc::clone(&counted);
    let durable = store.subscribe::<RawEvent>().durable("revenue").until(done);
    durable
        .run(async move |recorded, _| {
            count.fetch_add(1, Ordering::Relaxed);
            seen.store(recorded.position.to_i64(), Ordering::Relaxed);
            Ok(())
        })
        .await
        .unwrap();
    handled += usize::try_from(counted.load(Ordering::Relaxed)).unwrap();
    handled
}

fn went_back(refused: &Error) -> (i64, i64, &'static str, &str) {
    let Error::NumberingWentBack { drawn, highest, evidence, repair } = refused else {
        panic!("{refused:?}")
    };
    assert!(!refused.is_retryable());
    (*drawn, *highest, evidence, repair)
}

const TO_5: &str = "UPDATE sqlite_sequence SET seq = 5 WHERE name = 'event_sourcery_events'";
const TO_2: &str = "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'event_sourcery_events'";
const DELETED: &str = "DELETE FROM sqlite_sequence WHERE name = 'event_sourcery_events'";

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_set_back_or_deleted_is_refused_when_the_file_is_opened_and_can_be_repaired() {
    for set_back in [TO_5, TO_2, DELETED] {
        let (file, store) = File::with_history().await;
        drop(store);
        file.run(set_back);
        let refused = SqliteBackend::open(file.path()).await.unwrap_err();
        assert_eq!(went_back(&refused), (5, 10, "a checkpoint", went_back(&refused).3));
        let read_only = SqliteBackend::options(file.path()).read_only(true).open().await.unwrap_err();
        file.run(went_back(&read_only).3);
        let store = file.open().await;
        for _ in 0..3 {
            store.append(&StreamId::random(), event()).await.unwrap();
        }
        assert_eq!(handled_up_to(&store, 13).await, 3, "each acknowledged event");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_names_is_evidence_too() {
    let (file, store) = File::with_history().await;
    drop(store);
    file.run("DELETE FROM event_sourcery_subscription_segments");
    file.run(
        "INSERT INTO event_sourcery_event_blocks VALUES ('Happened', 0);
         DELETE FROM event_sourcery_event_blocks_mark; INSERT INTO event_sourcery_event_blocks_mark VALUES (2)",
    );
    let refused = SqliteBackend::open(file.path()).await.unwrap_err();
    let (_, highest, evidence, repair) = went_back(&refused);
    assert_eq!((highest, evidence), (2 * 1024 - 1, "the directory of event names"));
    file.run(repair);
    file.open().await;
}

/// The file is a copy of itself from before, with checkpoints of after.
#[tokio::test(flavor = "multi_thread")]
async fn events_restored_beside_newer_checkpoints_are_refused() {
    let (file, store) = File::with_history().await;
    drop(store);
    let old = File(TempDir::new().unwrap());
    old.open().await.append(&StreamId::random(), event()).await.unwrap();
    old.run(&format!(
        "ATTACH '{}' AS newer;
         INSERT INTO event_sourcery_subscription_segments SELECT * FROM newer.event_sourcery_subscription_segments",
        file.path().display()
    ));
    let refused = SqliteBackend::open(old.path()).await.unwrap_err();
    assert_eq!(went_back(&refused).0, 1);
}

/// A store that is open looks too, and so does each append.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_store_whose_record_is_set_back_says_so_until_it_is_repaired() {
    for set_back in [TO_5, DELETED] {
        let (file, store) = File::with_history().await;
        file.run(set_back);
        let refused = [
            store.position().await.unwrap_err(),
            store.read_all::<RawEvent>().stream().try_next().await.unwrap_err(),
            store.append(&StreamId::random(), event()).await.unwrap_err(),
            store.append(&StreamId::random(), event()).and(&StreamId::random(), event()).await.unwrap_err(),
            store
                .transaction::<_, Error, _>(|tx| tx.append(&StreamId::random(), event()).run().map(drop))
                .await
                .unwrap_err(),
        ];
        for refused in &refused {
            assert_eq!(went_back(refused).1, 10);
        }
        file.run(went_back(&refused[0]).3);
        store.append(&StreamId::random(), event()).await.unwrap();
        assert_eq!(store.position().await.unwrap(), Position::from_i64(11));
        assert_eq!(handled_up_to(&store, 11).await, 1);
    }
}

/// Events are there above the record: the next position is above them all the same, and readers come to the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_below_events_that_are_there_hides_none_of_them() {
    let file = File(TempDir::new().unwrap());
    let store = file.open().await;
    let last = store.append(&StreamId::random(), [event(), event(), event()]).await.unwrap().position;
    drop(store);
    file.run(DELETED);
    let store = file.open().await;
    assert!(last.is_covered_by(store.position().await.unwrap()));
    assert_eq!(handled_up_to(&store, 3).await, 3);
}

/// Reads and writes beside each other are never taken for numbers that went back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_many_use_gives_no_false_alarm() {
    let (file, store) = File::with_history().await;
    let other = file.open().await;
    let mut working = Vec::new();
    for number in 0..8 {
        let store = if number % 2 == 0 { store.clone() } else { other.clone() };
        working.push(tokio::spawn(async move {
            for _ in 0..50 {
                store.append(&StreamId::random(), event()).await.unwrap();
                store.position().await.unwrap();
                let taken_back = store
                    .transaction::<(), Error, _>(|tx| {
                        tx.append(&StreamId::random(), event()).run()?;
                        Err(Error::Closed)
                    })
                    .await;
                assert!(matches!(taken_back, Err(Error::Closed)), "{taken_back:?}");
            }
        }));
    }
    for worker in working {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_has_given_its_last_position_says_so() {
    let (file, store) = File::with_history().await;
    file.run("UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'event_sourcery_events'");
    assert_eq!(store.position().await.unwrap().to_i64(), i64::MAX);
    let refused = store.append(&StreamId::random(), event()).await.unwrap_err();
    assert!(matches!(refused, Error::NumbersUsedUp { last: i64::MAX, .. }), "{refused:?}");
    assert!(!refused.is_retryable());
}

/// What no append of ours comes to, but an import may.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_at_its_highest_version_refuses_another_event_and_writes_nothing() {
    let (file, store) = File::with_history().await;
    let (full, nearly) = (StreamId::random(), StreamId::random());
    for (stream, version) in [(&full, 2_147_483_647_i64), (&nearly, 2_147_483_646)] {
        store.append(stream, event()).await.unwrap();
        file.run(&format!(
            "UPDATE event_sourcery_events SET version = {version} WHERE id = (SELECT max(id) FROM event_sourcery_events)"
        ));
    }
    let refused = [
        store.append(&full, event()).expected_version(2_147_483_647).await.unwrap_err(),
        store.append(&nearly, [event(), event()]).expected_version(2_147_483_646).await.unwrap_err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Error::VersionsUsedUp { .. }), "{refused:?}");
    }
    let last = store.append(&nearly, event()).expected_version(2_147_483_646).await.unwrap();
    assert_eq!(last.last_version, Some(2_147_483_647));
    store.save_snapshot(&nearly, 2_147_483_647, event()).await.unwrap();
}
