//! What is told of the log, how soon those look who are not told, and when it is watched.

mod crowded;
mod stores;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// What is told comes sooner, unless the machine is busy.
const SHORT: Duration = Duration::from_millis(100);

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

    /// Whether nobody is told of what is done. What was done before may be told late, and once more, so he may try again.
    async fn is_not_told(&self, what: impl Fn()) -> bool {
        for _ in 0..4 {
            if !self.is_told(SHORT, &what).await {
                return true;
            }
        }
        false
    }
}

fn watch_of(log: &Path) -> Arc<Watch> {
    Watch::new(Some(log.to_owned()), None, Arc::default(), Arc::default())
}

fn append_to(file: &Path) {
    OpenOptions::new().append(true).open(file).unwrap().write_all(b"a page").unwrap();
}

/// A thread that writes to this file without a pause, until what it returns is dropped.
fn write_on(file: &Path) -> mpsc::Sender<()> {
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    let (goes_on, ends) = mpsc::channel::<()>();
    thread::spawn(move || {
        while ends.try_recv() == Err(mpsc::TryRecvError::Empty) {
            file.write_all(b"a page").unwrap();
        }
    });
    goes_on
}

impl Watch {
    fn is_watched(&self) -> bool {
        self.watching().watcher.is_some()
    }

    /// As if somebody had written so long ago.
    fn has_written(&self, ago: Duration) {
        *self.written() = Instant::now().checked_sub(ago).unwrap();
    }

    /// As if the last one had begun or ended to wait so long ago.
    fn has_changed(&self, ago: Duration) {
        self.watching().changed = Instant::now().checked_sub(ago).unwrap();
    }

    fn has_changed_just_now(&self) {
        // However long it takes until somebody looks.
        self.watching().changed = Instant::now() + NEVER;
    }
}

#[tokio::test]
async fn whoever_waits_is_told_of_a_write_to_the_log_and_of_nothing_else_in_its_folder() {
    let scene = Scene::new();
    let other = scene.folder.path().join("events.db");
    fs::write(&other, "pages").unwrap();
    for _ in 0..2 {
        assert!(scene.is_told(LONG, || scene.write()).await);
        let read = || drop(fs::read(scene.log()).unwrap());
        assert!(scene.is_not_told(read).await, "nothing was written");
        assert!(scene.is_not_told(|| append_to(&other)).await, "another file was written to");
        assert!(scene.watch.is_watched());
    }
}

/// As a checkpoint does it, and as SQLite as root does whenever it opens the log.
#[tokio::test]
async fn a_log_that_is_cut_is_told_and_one_whose_owner_is_set_is_watched_on() {
    let scene = Scene::new();
    scene.write();
    let file = OpenOptions::new().write(true).open(scene.log()).unwrap();
    assert!(scene.is_told(LONG, || file.set_len(0).unwrap()).await);
    let permissions = fs::metadata(scene.log()).unwrap().permissions();
    let set = || fs::set_permissions(scene.log(), permissions.clone()).unwrap();
    assert!(scene.is_not_told(set).await);
    assert!(scene.is_told(LONG, || scene.write()).await);
}

/// The file is open all the while, as connections have it: the system does not say that it was deleted.
#[tokio::test]
async fn a_log_that_is_made_is_watched_from_then_on_however_often_it_was_deleted() {
    let scene = Scene::without_a_log();
    let another = scene.folder.path().join("another");
    assert!(scene.is_not_told(|| fs::write(&another, "something").unwrap()).await);
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
    assert!(scene.is_told(LONG, || scene.write()).await);
    assert!(scene.is_not_told(|| append_to(&moved)).await);
    assert!(scene.is_told(LONG, || scene.write()).await);
}

#[tokio::test]
async fn a_log_that_is_written_to_without_a_pause_wakes_nobody_more_often_than_every_8_ms() {
    let scene = Scene::new();
    let waiting = scene.watch.wait();
    waiting.rest();
    let (began, _writing) = (Instant::now(), write_on(&scene.log()));
    let times = 20;
    for _ in 0..times {
        timeout(LONG, waiting.committed()).await.expect("the writes are told");
    }
    let took = began.elapsed();
    assert!(took >= PACE * (times - 1), "told {times} times in {took:?}");
}

/// What is left to tell of has no end.
#[test]
fn a_watcher_that_is_dropped_tells_nobody_more_though_the_log_is_written_to_without_a_pause() {
    let scene = Scene::new();
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let watcher = Watcher::start(&scene.log(), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        thread::sleep(PACE);
    });
    let _writing = write_on(&scene.log());
    let began = Instant::now();
    while told.load(Ordering::SeqCst) < 2 {
        assert!(began.elapsed() < LONG, "the writes are told");
        thread::sleep(PACE);
    }
    drop(watcher.unwrap());
    let before = told.load(Ordering::SeqCst);
    thread::sleep(SHORT * 2);
    let more = told.load(Ordering::SeqCst) - before;
    assert!(more <= 1, "{more} times, and not only what it was about to tell");
}

#[tokio::test]
async fn the_log_is_watched_only_while_somebody_waits() {
    let scene = Scene::new();
    let waiting = scene.watch.wait();
    assert!(!scene.watch.is_watched(), "he has not looked in vain yet");
    waiting.rest();
    scene.watch.has_changed(LINGER);
    scene.watch.heard(false);
    assert!(scene.watch.is_watched(), "somebody waits");
    drop(waiting);
    scene.watch.has_changed_just_now();
    scene.watch.heard(false);
    assert!(scene.watch.is_watched(), "whoever waits again soon finds it as it was");
    scene.watch.has_changed(LINGER);
    scene.write();
    let ended = async {
        while scene.watch.is_watched() {
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
    let watch = Watch::new(None, None, Arc::default(), Arc::default());
    for (written, rest) in [(0, 8), (5, 8), (500, 500), (1_999, 1_999), (2_000, 5_000), (60_000, 5_000)] {
        let written = Duration::from_millis(written);
        assert_eq!(watch.rest(true, written), Duration::from_millis(rest), "{written:?} after a write");
        assert_eq!(watch.rest(false, written), LOOK_AGAIN, "of which nobody is told");
    }
    let asked = Watch::new(None, Some(NEVER), Arc::default(), Arc::default());
    assert_eq!(asked.rest(true, Duration::ZERO), PACE);
    assert_eq!((asked.rest(true, SYNCED_WITHIN), asked.rest(false, SYNCED_WITHIN)), (NEVER, NEVER));
}

/// What was written before is not seen, and may be synced only now.
#[test]
fn whoever_begins_to_watch_looks_again_soon() {
    let scene = Scene::new();
    scene.watch.has_written(SYNCED_WITHIN);
    let waiting = scene.watch.wait();
    assert!(waiting.rest() < LOOK_WHEN_WATCHED);
    scene.watch.has_written(SYNCED_WITHIN);
    assert_eq!(waiting.rest(), LOOK_WHEN_WATCHED, "it has begun before");
}

/// Where the files of a VFS are is its own affair.
#[test]
fn the_log_is_beside_the_file_that_a_link_leads_to_and_with_a_vfs_of_the_caller_s_nowhere() {
    let folder = TempDir::new().unwrap();
    let (file, link) = (folder.path().canonicalize().unwrap().join("events.db"), folder.path().join("link"));
    File::create(&file).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let log_of = |options: SqliteOptions| Watch::of(&options, Arc::default(), Arc::default()).log.clone();
    let log = file.with_extension("db-wal");
    assert_eq!(log_of(SqliteOptions::new(&link)), Some(log));
    assert_eq!(log_of(SqliteOptions::new(&file).vfs("unix")), None);
}
