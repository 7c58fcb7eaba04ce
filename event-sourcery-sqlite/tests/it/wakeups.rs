//! Contract 8.5: who waits is woken by commits of other processes too, and an idle process sleeps.

use std::fs;
use std::time::{Duration, Instant};

use event_sourcery::backend::Backend as _;
use event_sourcery::{EventStore, Position, RawEvent, StreamId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::failures::Folder;
use crate::process::{once_more_on, store_path};

type Store = EventStore<SqliteBackend>;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// So long after the last write nobody looks any more who was asked to look seldom: he is told, or knows nothing.
const UNTIL_QUIET: Duration = Duration::from_secs(5);

/// A store that hardly ever looks by itself.
async fn seldom_looking(folder: &Folder) -> Store {
    let options = SqliteOptions::new(folder.path()).look_every(Duration::from_secs(3_600));
    EventStore::new(options.open().await.unwrap())
}

async fn append(store: &Store) {
    let event = RawEvent::new("Happened", "{}").unwrap();
    store.append(&StreamId::random(), event).await.unwrap();
}

/// Somebody who waits for the next commit, and when he knew of it.
fn waiting(store: &Store, after: Position) -> JoinHandle<Instant> {
    let reader = store.backend().clone();
    tokio::spawn(async move {
        reader.wait_beyond(after).await.unwrap();
        Instant::now()
    })
}

/// Somebody who waits, and has not looked for a while.
async fn quiet(store: &Store) -> JoinHandle<Instant> {
    let waiting = waiting(store, store.position().await.unwrap());
    sleep(UNTIL_QUIET).await;
    assert!(!waiting.is_finished());
    waiting
}

async fn is_woken(waiting: JoinHandle<Instant>) -> Instant {
    timeout(LONG, waiting).await.expect("it is woken").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_process_wakes_long_before_the_next_look() {
    if let Some(path) = store_path() {
        return append(&EventStore::new(SqliteBackend::open(path).await.unwrap())).await;
    }
    let test = concat!(module_path!(), "::a_commit_of_another_process_wakes_long_before_the_next_look");
    let folder = Folder::new();
    let store = seldom_looking(&folder).await;
    let waiting = quiet(&store).await;
    assert!(once_more_on(test, folder.path()).status().unwrap().success(), "its message is above");
    is_woken(waiting).await;
}

/// Soon is 25 ms, in one of three tries: other tests may keep the machine busy for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_is_told_within_milliseconds() {
    let folder = Folder::new();
    let (store, another) = (seldom_looking(&folder).await, folder.store().await);
    let mut took = Vec::new();
    for _ in 0..3 {
        let waiting = quiet(&store).await;
        append(&another).await;
        let committed = Instant::now();
        took.push(is_woken(waiting).await.saturating_duration_since(committed));
    }
    assert!(took.iter().any(|took| *took < Duration::from_millis(25)), "{took:?}");
}

/// A checkpoint empties the log, and the next commit is written to its beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_after_the_log_was_copied_and_cut() {
    let folder = Folder::new();
    let (store, another) = (seldom_looking(&folder).await, folder.store().await);
    append(&another).await;
    let waiting = quiet(&store).await;
    let left = folder.foreign_connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    assert_eq!(left.unwrap(), (0, 0), "it was not busy, and nothing is left");
    sleep(UNTIL_QUIET).await;
    assert!(!waiting.is_finished(), "nothing was committed");
    append(&another).await;
    is_woken(waiting).await;
}

/// Whoever closes the file last deletes the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_where_the_log_was_deleted_and_made_anew() {
    let folder = Folder::new();
    let log = folder.path().with_extension("db-wal");
    for _ in 0..2 {
        let (store, another) = (seldom_looking(&folder).await, folder.store().await);
        assert!(log.exists());
        let waiting = quiet(&store).await;
        append(&another).await;
        is_woken(waiting).await;
        drop((store, another));
        assert!(!log.exists());
    }
}

/// SQLite has the log beside the file that a link leads to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_of_a_file_that_is_opened_by_a_link() {
    let (folder, links) = (Folder::new(), tempfile::tempdir().unwrap());
    let another = folder.store().await;
    let link = links.path().join("link.db");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    let options = SqliteOptions::new(&link).look_every(Duration::from_secs(3_600));
    let store = EventStore::new(options.open().await.unwrap());
    let waiting = quiet(&store).await;
    append(&another).await;
    is_woken(waiting).await;
}

/// How often this thread has slept and was woken.
fn wakeups() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    count.trim().parse().unwrap()
}

/// All that waits is on this thread: the writer and the watch have threads of their own, which nobody wakes.
#[tokio::test]
async fn a_process_in_which_somebody_waits_wakes_less_than_150_times_a_minute() {
    let folder = Folder::new();
    let store = folder.store().await;
    append(&store).await;
    let mut events = store.subscribe::<RawEvent>().stream();
    let subscriber = tokio::spawn(async move { while events.try_next().await.unwrap().is_some() {} });
    sleep(UNTIL_QUIET).await;
    let (before, measured) = (wakeups(), Duration::from_secs(20));
    sleep(measured).await;
    let woken = wakeups() - before;
    assert!(!subscriber.is_finished());
    assert!(woken < 150 / 3, "{woken} times in {measured:?}");
}
