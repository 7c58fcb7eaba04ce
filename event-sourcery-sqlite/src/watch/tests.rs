//! What is told of the log, how soon those look who are not told, and when it is watched.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use event_sourcery::backend::Backend as _;
use event_sourcery::{EventStore, Position, RawEvent, StreamId};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;
use crate::SqliteBackend;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// What is told comes sooner.
const SHORT: Duration = Duration::from_millis(300);

const NEVER: Duration = Duration::from_secs(3_600);

/// A folder with a log that is no database's, and what watches it.
struct Scene {
    folder: TempDir,
    watch: Arc<Watch>,
}

impl Scene {
    fn new() -> Self {
        let scene = Self::without_a_log();
        File::create(scene.log()).unwrap();
        scene
    }

    fn without_a_log() -> Self {
        let folder = TempDir::new().unwrap();
        let watch = watch_of(&folder.path().join("events.db-wal"));
        Self { folder, watch }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("events.db-wal")
    }

    /// As a commit writes it.
    fn write(&self) {
        append_to(&self.log());
    }

    /// Whether somebody who waits is told within this time of what is done.
    async fn is_told(&self, within: Duration, what: impl FnOnce()) -> bool {
        let waiting = self.watch.wait();
        let committed = waiting.committed();
        waiting.rest();
        what();
        timeout(within, committed).await.is_ok()
    }

    fn is_watched(&self) -> bool {
        self.watch.watching().watcher.is_some()
    }
}

fn watch_of(log: &Path) -> Arc<Watch> {
    Watch::new(Some(log.to_owned()), None, Arc::default())
}

fn append_to(file: &Path) {
    OpenOptions::new().append(true).open(file).unwrap().write_all(b"a page").unwrap();
}

/// So long ago somebody has written.
fn has_written(watch: &Watch, ago: Duration) {
    *watch.written() = Instant::now().checked_sub(ago).unwrap();
}

#[tokio::test]
async fn whoever_waits_is_told_of_a_write_to_the_log_and_of_nothing_else_in_its_folder() {
    let scene = Scene::new();
    let other = scene.folder.path().join("events.db");
    fs::write(&other, "pages").unwrap();
    for _ in 0..3 {
        assert!(scene.is_told(LONG, || scene.write()).await);
        // What was written is told by now, also what was seen late.
        sleep(PACE * 4).await;
        let read = || drop(fs::read(scene.log()).unwrap());
        assert!(!scene.is_told(SHORT, read).await, "nothing was written");
        assert!(!scene.is_told(SHORT, || append_to(&other)).await, "another file was written to");
        assert!(scene.is_watched());
    }
}

/// As a checkpoint does it, and as SQLite as root does whenever it opens the log.
#[tokio::test]
async fn a_log_that_is_cut_is_told_and_one_whose_owner_is_set_is_watched_on() {
    let scene = Scene::new();
    scene.write();
    let file = OpenOptions::new().write(true).open(scene.log()).unwrap();
    assert!(scene.is_told(LONG, || file.set_len(0).unwrap()).await);
    sleep(PACE * 4).await;
    let permissions = fs::metadata(scene.log()).unwrap().permissions();
    let set = || fs::set_permissions(scene.log(), permissions).unwrap();
    assert!(!scene.is_told(SHORT, set).await);
    assert!(scene.is_told(LONG, || scene.write()).await);
}

/// The file is open all the while, as connections have it: the system does not say that it was deleted.
#[tokio::test]
async fn a_log_that_is_made_is_watched_from_then_on_however_often_it_was_deleted() {
    let scene = Scene::without_a_log();
    let another = scene.folder.path().join("another");
    assert!(!scene.is_told(SHORT, || fs::write(&another, "something").unwrap()).await);
    let mut open = Vec::new();
    for _ in 0..3 {
        assert!(scene.is_told(LONG, || open.push(File::create(scene.log()).unwrap())).await);
        assert!(scene.is_told(LONG, || scene.write()).await);
        assert!(scene.is_told(LONG, || scene.write()).await, "of each write");
        assert!(scene.is_told(LONG, || fs::remove_file(scene.log()).unwrap()).await);
    }
}

#[tokio::test]
async fn a_log_in_whose_place_another_is_put_is_watched_no_more() {
    let scene = Scene::new();
    let (moved, other) = (scene.folder.path().join("moved"), scene.folder.path().join("other"));
    File::create(&other).unwrap();
    assert!(scene.is_told(LONG, || fs::rename(scene.log(), &moved).unwrap()).await);
    assert!(scene.is_told(LONG, || fs::rename(&other, scene.log()).unwrap()).await);
    // One of them may still be about what was moved.
    for _ in 0..2 {
        assert!(scene.is_told(LONG, || scene.write()).await);
        sleep(PACE * 4).await;
    }
    assert!(!scene.is_told(SHORT, || append_to(&moved)).await);
}

#[tokio::test]
async fn a_log_that_is_written_to_without_a_pause_wakes_nobody_more_often_than_every_8_ms() {
    let scene = Scene::new();
    let (log, began) = (scene.log(), Instant::now());
    let time = Duration::from_millis(500);
    let writing = thread::spawn(move || {
        let mut log = OpenOptions::new().append(true).open(log).unwrap();
        let mut writes = 0_u32;
        while began.elapsed() < time {
            log.write_all(b"a page").unwrap();
            writes += 1;
        }
        writes
    });
    let (mut told, waiting) = (0_u32, scene.watch.wait());
    waiting.rest();
    while timeout(time, waiting.committed()).await.is_ok() {
        told += 1;
    }
    let writes = writing.join().unwrap();
    // With what is told at both ends.
    let at_most = u32::try_from(time.as_millis() / PACE.as_millis()).unwrap() + 3;
    assert!((2..=at_most).contains(&told), "told {told} times of {writes} writes");
    assert!(writes > 10 * at_most, "{writes} writes");
}

#[tokio::test]
async fn the_log_is_watched_only_while_somebody_waits() {
    let scene = Scene::new();
    let waiting = scene.watch.wait();
    assert!(!scene.is_watched(), "he has not looked in vain yet");
    waiting.rest();
    assert!(scene.is_watched());
    drop(waiting);
    // Whoever waits again soon finds it as it was.
    scene.write();
    sleep(SHORT).await;
    assert!(scene.is_watched());
    let waiting = scene.watch.wait();
    sleep(LINGER).await;
    scene.write();
    sleep(SHORT).await;
    assert!(scene.is_watched(), "somebody waits");
    drop(waiting);
    sleep(LINGER).await;
    scene.write();
    let ended = async {
        while scene.is_watched() {
            sleep(PACE).await;
        }
    };
    timeout(LONG, ended).await.expect("a watch that nobody needs ends");
    assert!(scene.is_told(LONG, || scene.write()).await, "and begins again");
}

#[test]
fn a_watch_that_is_dropped_is_not_kept_by_its_thread() {
    let scene = Scene::new();
    scene.watch.wait().rest();
    let watch = Arc::downgrade(&scene.watch);
    drop(scene.watch);
    assert!(watch.upgrade().is_none());
}

/// A sync may take a while, and nothing is written after it.
#[test]
fn whoever_was_told_looks_again_after_as_long_as_nothing_was_written() {
    let watch = watch_of(Path::new("/there is no such folder/events.db-wal"));
    has_written(&watch, Duration::ZERO);
    assert!(watch.rest(true) < SHORT);
    has_written(&watch, Duration::from_millis(500));
    assert!((500..1_000).contains(&watch.rest(true).as_millis()));
    assert_eq!(watch.rest(false), LOOK_AGAIN);
    has_written(&watch, SYNCED_WITHIN);
    assert_eq!(watch.rest(true), LOOK_WHEN_WATCHED);
    assert_eq!(watch.rest(false), LOOK_AGAIN);
    let asked = Watch::new(None, Some(NEVER), Arc::default());
    has_written(&asked, SYNCED_WITHIN);
    assert_eq!((asked.rest(true), asked.rest(false)), (NEVER, NEVER));
}

/// What was written before is not seen, and may be synced only now.
#[test]
fn whoever_begins_to_watch_looks_again_soon() {
    let scene = Scene::new();
    has_written(&scene.watch, SYNCED_WITHIN);
    let waiting = scene.watch.wait();
    assert!(waiting.rest() < SHORT);
    has_written(&scene.watch, SYNCED_WITHIN);
    assert_eq!(waiting.rest(), LOOK_WHEN_WATCHED, "it has begun before");
}

#[test]
fn a_watch_that_cannot_begin_is_not_tried_at_each_look_and_those_who_wait_look_often() {
    let watch = watch_of(Path::new("/there is no such folder/events.db-wal"));
    let waiting = watch.wait();
    waiting.rest();
    let failed = watch.watching().failed;
    assert!(failed.is_some());
    has_written(&watch, SYNCED_WITHIN);
    assert_eq!(waiting.rest(), LOOK_AGAIN);
    assert_eq!(watch.watching().failed, failed, "it was not tried again");
}

/// Where the files of a VFS are is its own affair.
#[test]
fn the_log_is_beside_the_file_that_a_link_leads_to_and_with_a_vfs_of_the_caller_s_nowhere() {
    let folder = TempDir::new().unwrap();
    let (file, link) = (folder.path().canonicalize().unwrap().join("events.db"), folder.path().join("link"));
    File::create(&file).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let log_of = |options: SqliteOptions| Watch::of(&options, Arc::default()).log.clone();
    let log = file.with_extension("db-wal");
    assert_eq!(log_of(SqliteOptions::new(&link)), Some(log));
    assert_eq!(log_of(SqliteOptions::new(&file).vfs("unix")), None);
}

/// A store that watches the log at this path, and another handle to its file.
async fn store(folder: &TempDir, log: &Path, look_every: Option<Duration>) -> (SqliteBackend, EventStore) {
    let path = folder.path().join("events.db");
    let mut backend = SqliteBackend::open(&path).await.unwrap();
    backend.watch = Watch::new(Some(log.to_owned()), look_every, Arc::default());
    (backend, EventStore::new(SqliteBackend::open(&path).await.unwrap()).erased())
}

async fn append(store: &EventStore) {
    store.append(&StreamId::random(), RawEvent::new("Noted", "{}").unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_log_cannot_be_watched_a_commit_of_another_is_found_by_looking() {
    let folder = TempDir::new().unwrap();
    let (reader, writer) = store(&folder, &folder.path().join("missing/events.db-wal"), None).await;
    let waiting = tokio::spawn(async move { reader.wait_beyond(Position::START).await.unwrap() });
    sleep(SYNCED_WITHIN).await;
    append(&writer).await;
    let committed = Instant::now();
    timeout(LONG, waiting).await.expect("it is found").unwrap();
    assert!(committed.elapsed() < Duration::from_secs(1), "{:?}", committed.elapsed());
}

/// What is seen of a commit is over before readers find it: here another file is written to, and the commit comes a while later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_slow_to_be_synced_is_found_though_nothing_more_is_told() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("another log");
    File::create(&log).unwrap();
    let (reader, writer) = store(&folder, &log, Some(NEVER)).await;
    let waiting = tokio::spawn(async move { reader.wait_beyond(Position::START).await.unwrap() });
    // By now nobody looks.
    sleep(SYNCED_WITHIN * 3).await;
    append_to(&log);
    sleep(SHORT).await;
    append(&writer).await;
    timeout(LONG, waiting).await.expect("it is looked for again").unwrap();
}
