//! Copies of a file that is being written to: those that are whole, and the one that is not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::{Connection, OpenFlags, backup::Backup};
use tempfile::TempDir;

type Store = EventStore<SqliteBackend>;

fn stream() -> StreamId {
    StreamId::from_name("ledger").unwrap()
}

/// A store to which somebody appends, one event after the other, until it is dropped.
struct Busy {
    folder: TempDir,
    acknowledged: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    writer: Option<tokio::task::JoinHandle<()>>,
}

impl Busy {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let store = open(&folder.path().join("events.db")).await;
        let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&acknowledged), Arc::clone(&stop));
        let writer = tokio::spawn(async move {
            for version in 0.. {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                store.append(&stream(), event()).expected_version(version).await.unwrap();
                counted.store(version + 1, Ordering::Release);
            }
        });
        let busy = Self { folder, acknowledged, stop, writer: Some(writer) };
        while busy.acknowledged() < 50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        busy
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("events.db")
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("copy.db")
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    async fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.writer.take().unwrap().await.unwrap();
    }
}

async fn open(path: &Path) -> Store {
    EventStore::new(SqliteBackend::open(path).await.unwrap())
}

fn event() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

/// What the copy holds is the beginning of what was written, with all that was acknowledged before it was begun, and it can be
/// written to.
async fn is_whole(copy: &Path, acknowledged: u64) {
    let check: String =
        Connection::open(copy).unwrap().query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let store = open(copy).await;
    let events = store.load_stream::<RawEvent>(&stream()).await.unwrap();
    let versions: Vec<_> = events.iter().filter_map(|event| event.version).collect();
    let last = versions.len() as u64;
    assert_eq!(versions, (1..=last).collect::<Vec<_>>());
    assert!(last >= acknowledged, "{last} of {acknowledged}");
    assert_eq!(store.position().await.unwrap().to_i64() as u64, last);
    store.append(&stream(), event()).expected_version(last).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_into_copies_all_that_was_acknowledged_while_others_write() {
    let mut busy = Busy::new().await;
    for _ in 0..3 {
        let acknowledged = busy.acknowledged();
        let copy = busy.copy();
        let read_only = Connection::open_with_flags(busy.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        read_only.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        is_whole(&copy, acknowledged).await;
        std::fs::remove_file(&copy).unwrap();
        let _ = std::fs::remove_file(copy.with_extension("db-wal"));
        let _ = std::fs::remove_file(copy.with_extension("db-shm"));
    }
    busy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backup_api_copies_all_that_was_acknowledged_while_others_write() {
    let mut busy = Busy::new().await;
    let acknowledged = busy.acknowledged();
    let from = Connection::open(busy.path()).unwrap();
    let mut to = Connection::open(busy.copy()).unwrap();
    // All pages in one step: begun anew after each commit of another's, smaller steps might never come to their end.
    Backup::new(&from, &mut to).unwrap().run_to_completion(i32::MAX, Duration::ZERO, None).unwrap();
    drop(to);
    is_whole(&busy.copy(), acknowledged).await;
    busy.stop().await;
}

/// What was appended is in the log beside the file until it is copied: the file alone is an old state of the store, or no store
/// at all. With its log, copied after it, it may be neither: the log may have begun anew in between.
#[tokio::test(flavor = "multi_thread")]
async fn the_file_alone_lacks_what_was_acknowledged() {
    let mut busy = Busy::new().await;
    busy.stop().await;
    let acknowledged = busy.acknowledged();
    let other = open(&busy.path()).await;
    let mut all = acknowledged;
    for _ in 0..5 {
        other.append(&stream(), event()).expected_version(all).await.unwrap();
        all += 1;
    }
    std::fs::copy(busy.path(), busy.copy()).unwrap();
    let lost = match SqliteBackend::options(busy.copy()).create(false).open().await {
        Ok(backend) => {
            let events = EventStore::new(backend).load_stream::<RawEvent>(&stream()).await.unwrap();
            events.len() < usize::try_from(all).unwrap()
        }
        Err(_) => true,
    };
    assert!(lost, "the log held what the file did not");
    drop(other);
    // Closed, the log is copied into the file, which is then all there is.
    std::fs::remove_file(busy.copy()).unwrap();
    let _ = std::fs::remove_file(busy.copy().with_extension("db-wal"));
    let _ = std::fs::remove_file(busy.copy().with_extension("db-shm"));
    assert!(!busy.path().with_extension("db-wal").exists());
    std::fs::copy(busy.path(), busy.copy()).unwrap();
    is_whole(&busy.copy(), all).await;
}
