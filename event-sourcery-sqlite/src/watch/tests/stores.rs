//! Contract 8.5: who waits is woken by commits of other processes too, and an idle process sleeps.

use std::process::{Command, Stdio};

use event_sourcery::backend::Backend as _;
use event_sourcery::{EventStore, RawEvent, StreamId};
use rusqlite::Connection;
use tokio::task::JoinHandle;

use super::*;
use crate::SqliteBackend;

/// Holds the store's path in a process that was started to append to it.
const PATH: &str = "EVENT_SOURCERY_TEST_STORE";

/// A file with two handles to it: to each of them, the other one is another process.
struct Pair {
    reader: SqliteBackend,
    writer: EventStore,
    folder: TempDir,
}

impl Pair {
    /// The one that reads hardly ever looks by itself.
    async fn seldom_looking() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        Self::of(folder, SqliteOptions::new(path).look_every(NEVER)).await
    }

    /// The one that reads watches what has this name in the folder.
    async fn watching(name: &str, look_every: Option<Duration>) -> Self {
        let folder = TempDir::new().unwrap();
        let (path, log) = (folder.path().join("events.db"), folder.path().join(name));
        let mut pair = Self::of(folder, SqliteOptions::new(path)).await;
        pair.reader.watch = Watch::new(Some(log), look_every, Arc::default(), Arc::default());
        pair
    }

    async fn of(folder: TempDir, options: SqliteOptions) -> Self {
        let reader = options.open().await.unwrap();
        let writer = open(&folder.path().join("events.db")).await;
        Self { reader, writer, folder }
    }

    /// Somebody who waits for the next commit, and when he knew of it.
    async fn waiting(&self) -> JoinHandle<Instant> {
        let (reader, after) = (self.reader.clone(), self.reader.position().await.unwrap());
        tokio::spawn(async move {
            reader.wait_beyond(after).await.unwrap();
            Instant::now()
        })
    }

    /// Somebody who waits, and does not look again so soon.
    async fn quiet(&self) -> JoinHandle<Instant> {
        let waiting = self.waiting().await;
        until_quiet(&self.reader.watch).await;
        assert!(!waiting.is_finished(), "nothing was committed");
        waiting
    }
}

async fn open(path: &Path) -> EventStore {
    EventStore::new(SqliteBackend::open(path).await.unwrap()).erased()
}

async fn append(store: &EventStore) {
    store.append(&StreamId::random(), RawEvent::new("Noted", "{}").unwrap()).await.unwrap();
}

/// Returns when the log is watched, and the last write that was seen seems to be long ago.
async fn until_quiet(watch: &Watch) {
    let is_quiet = async {
        loop {
            watch.has_written(SYNCED_WITHIN);
            // By then it was looked in vain once more.
            sleep(SHORT).await;
            if watch.is_watched() && watch.written().elapsed() >= SYNCED_WITHIN {
                return;
            }
        }
    };
    timeout(LONG, is_quiet).await.expect("nobody writes");
}

async fn is_woken(waiting: JoinHandle<Instant>) -> Instant {
    timeout(LONG, waiting).await.expect("it is woken").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_process_wakes_long_before_the_next_look() {
    if let Some(path) = std::env::var_os(PATH) {
        return append(&open(Path::new(&path)).await).await;
    }
    let test = concat!(module_path!(), "::a_commit_of_another_process_wakes_long_before_the_next_look");
    let (_, test) = test.split_once("::").expect("the crate's name comes first");
    let pair = Pair::seldom_looking().await;
    let waiting = pair.quiet().await;
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).stdin(Stdio::null()).stdout(Stdio::null());
    again.env(PATH, pair.folder.path().join("events.db"));
    assert!(again.status().unwrap().success(), "its message is above");
    is_woken(waiting).await;
}

/// In one of three tries: other tests may keep the machine busy for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_is_told_sooner_than_it_would_be_found_by_looking() {
    let pair = Pair::seldom_looking().await;
    let mut took = Vec::new();
    for _ in 0..3 {
        let waiting = pair.quiet().await;
        append(&pair.writer).await;
        let committed = Instant::now();
        took.push(is_woken(waiting).await.saturating_duration_since(committed));
    }
    assert!(took.iter().any(|took| *took < LOOK_AGAIN / 2), "{took:?}");
}

/// A checkpoint empties the log, and the next commit is written to its beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_after_the_log_was_copied_and_cut() {
    let pair = Pair::seldom_looking().await;
    append(&pair.writer).await;
    let waiting = pair.quiet().await;
    let foreign = Connection::open(pair.folder.path().join("events.db")).unwrap();
    let left = foreign.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    assert_eq!(left.unwrap(), (0, 0), "it was not busy, and nothing is left");
    until_quiet(&pair.reader.watch).await;
    assert!(!waiting.is_finished(), "nothing was committed");
    append(&pair.writer).await;
    is_woken(waiting).await;
}

/// SQLite has the log beside the file that a link leads to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_is_told_of_a_file_that_is_opened_by_a_link() {
    let (folder, links) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let link = links.path().join("link.db");
    drop(open(&folder.path().join("events.db")).await);
    std::os::unix::fs::symlink(folder.path().join("events.db"), &link).unwrap();
    let pair = Pair::of(folder, SqliteOptions::new(link).look_every(NEVER)).await;
    let waiting = pair.quiet().await;
    append(&pair.writer).await;
    is_woken(waiting).await;
}

/// It is looked for every 100 ms, and not every 5 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_log_cannot_be_watched_a_commit_of_another_is_found_by_looking() {
    let pair = Pair::watching("missing/events.db-wal", None).await;
    let waiting = pair.waiting().await;
    let has_failed = async {
        while pair.reader.watch.watching().failed.is_none() {
            sleep(PACE).await;
        }
    };
    timeout(LONG, has_failed).await.expect("it was tried");
    append(&pair.writer).await;
    let committed = Instant::now();
    let took = is_woken(waiting).await.saturating_duration_since(committed);
    assert!(took < LOOK_WHEN_WATCHED / 2, "{took:?}");
}

/// What is seen of a commit is over before readers find it: here another file is written to, and the commit comes a while later. In
/// one of three tries: where the machine stands still between the two, nobody looks any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_slow_to_be_synced_is_found_though_nothing_more_is_told() {
    let pair = Pair::watching("another log", Some(NEVER)).await;
    let log = pair.folder.path().join("another log");
    File::create(&log).unwrap();
    for _ in 0..3 {
        let waiting = pair.quiet().await;
        append_to(&log);
        sleep(SHORT).await;
        append(&pair.writer).await;
        if timeout(SYNCED_WITHIN * 2, waiting).await.is_ok() {
            return;
        }
    }
    panic!("it is not looked for again");
}

/// In one of three tries: other tests may keep the machine busy for longer than a write counts.
#[tokio::test]
async fn nobody_goes_on_to_look_again_for_what_his_own_process_has_committed() {
    let folder = TempDir::new().unwrap();
    let options = SqliteOptions::new(folder.path().join("events.db")).look_every(NEVER);
    let backend = options.open().await.unwrap();
    let store = EventStore::new(backend.clone()).erased();
    append(&store).await;
    let waiting = backend.watch.wait();
    waiting.rest();
    for _ in 0..3 {
        append(&store).await;
        let is_quiet = async {
            while waiting.rest() < NEVER {
                sleep(PACE).await;
            }
        };
        timeout(LONG, is_quiet).await.expect("nobody writes");
        if backend.watch.written().elapsed() < SYNCED_WITHIN {
            return;
        }
    }
    panic!("it is looked for as what others write");
}

/// How often this thread has slept and was woken.
fn wakeups() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
    count.trim().parse().unwrap()
}

/// All that waits is on this thread: the writer and the watch have threads of their own, which nobody wakes. Who looks every 100 ms is
/// woken some forty times meanwhile.
#[tokio::test]
async fn a_process_in_which_somebody_waits_hardly_wakes() {
    let folder = TempDir::new().unwrap();
    let backend = SqliteBackend::open(folder.path().join("events.db")).await.unwrap();
    let store = EventStore::new(backend.clone()).erased();
    append(&store).await;
    let mut events = store.subscribe::<RawEvent>().stream();
    let subscriber = tokio::spawn(async move { while events.try_next().await.unwrap().is_some() {} });
    until_quiet(&backend.watch).await;
    let before = wakeups();
    sleep(Duration::from_secs(2)).await;
    let woken = wakeups() - before;
    assert!(!subscriber.is_finished());
    assert!(woken < 20, "{woken} times in two seconds");
}
