//! Waiting for commits: one of this process is told, one of another process is seen in the write-ahead log.
//!
//! Every commit is written to the log first, so the log is watched while somebody waits. What is seen there is a write, and not a
//! commit yet: readers find that only once the log is synced, and nothing more is written for it then. So whoever was told looks
//! again, each time after as long as it has been since the last write: a commit whose sync takes a while is found after twice that
//! time at most. So is what was written before the watch began, and is being synced.
//!
//! Nothing depends on being told: those who wait look from time to time. Where the log is watched, and a write does not come through
//! (two containers, a file system of a remote machine), what is found that way counts as a write of which somebody was told: they look
//! again soon.
//!
//! It is the log that is watched, and not its folder: what else is written there wakes nobody. SQLite keeps the log as long as
//! anybody has the file open. Where it is moved or deleted all the same, the watch is over, and whoever waits begins another one: of
//! the log that is there by then, or of the folder until there is one.
//!
//! What this process writes is seen as well, some sixteen writes for an append. So the thread that is told sleeps after each time that
//! it has told: the system keeps one event for all that is written meanwhile, and wakes nobody for it. And nobody goes on to look again
//! for what it has committed itself (`own.rs`).

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod inotify;
mod own;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

#[cfg(not(target_os = "linux"))]
use self::elsewhere::Watcher;
#[cfg(target_os = "linux")]
use self::inotify::Watcher;
pub(crate) use self::own::OwnWrites;
use crate::options::SqliteOptions;

/// The least time between two times that somebody is told, as between two reads of the newest events.
const PACE: Duration = Duration::from_millis(8);

/// How often those who wait look, where nobody tells them of other processes.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How often they do so where the log is watched: they do, for nothing tells that a file system does not pass on what others write;
/// but seldom, for an idle process should not wake, and does so two or three times for a timer of tokio's.
const LOOK_WHEN_WATCHED: Duration = Duration::from_secs(5);

/// For so long after a write it may still be synced.
const SYNCED_WITHIN: Duration = Duration::from_secs(2);

/// A watch that nobody needs for so long ends with what it hears next: who has read what he was woken for comes back.
const LINGER: Duration = Duration::from_secs(1);

/// How long after it could not begin a watch is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// What is said of that, aloud once a process: there may be thousands of stores in it.
const NOT_WATCHED: &str =
    "the write-ahead log cannot be watched: commits of other processes are found by looking for them";

/// Whether it was.
static WAS_SAID: AtomicBool = AtomicBool::new(false);

/// What those who wait are told by: this process's commits, and a watch of the log.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Wakes those who wait.
    committed: Arc<Notify>,
    /// How this process has left the log.
    own: Arc<OwnWrites>,
    /// How long they wait at most, where somebody has said it.
    look_every: Option<Duration>,
    /// `None` where nobody can watch it, or knows where it is.
    log: Option<PathBuf>,
    watching: Mutex<Watching>,
    /// Whether what is watched is not the log any more.
    is_over: AtomicBool,
    /// When somebody was last seen to have written. The watcher's thread takes no lock beside it that anybody holds while he waits
    /// for the thread.
    written: Mutex<Instant>,
}

#[derive(Debug)]
struct Watching {
    watcher: Option<Watcher>,
    /// When it could not begin.
    failed: Option<Instant>,
    /// How many wait, and when the last one began or ended to.
    waiting: usize,
    changed: Instant,
}

impl Watch {
    /// Of the log of a store that is open by now, whose writer tells of each commit, and of how it has left the log.
    pub(crate) fn of(options: &SqliteOptions, committed: Arc<Notify>, own: Arc<OwnWrites>) -> Arc<Self> {
        let is_watchable = cfg!(target_os = "linux") && options.vfs.is_none();
        // SQLite puts it beside the file itself, whatever links lead there.
        let file = if is_watchable { options.path.canonicalize().ok() } else { None };
        let log = file.map(|file| {
            let mut log = file.into_os_string();
            log.push("-wal");
            log.into()
        });
        Self::new(log, options.look_every, committed, own)
    }

    fn new(
        log: Option<PathBuf>,
        look_every: Option<Duration>,
        committed: Arc<Notify>,
        own: Arc<OwnWrites>,
    ) -> Arc<Self> {
        let now = Instant::now();
        let watching = Watching { watcher: None, failed: None, waiting: 0, changed: now };
        Arc::new(Self {
            committed,
            own,
            look_every,
            log,
            watching: Mutex::new(watching),
            is_over: AtomicBool::new(false),
            written: Mutex::new(now),
        })
    }

    /// Somebody who waits.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiting<'_> {
        let mut watching = self.watching();
        watching.waiting += 1;
        watching.changed = Instant::now();
        Waiting(self)
    }

    /// Sees to it that the log is watched, and tells whether it is.
    fn begin(self: &Arc<Self>) -> bool {
        let Some(log) = &self.log else { return false };
        let mut watching = self.watching();
        if self.is_over.swap(false, Ordering::AcqRel) {
            watching.watcher = None;
        }
        let has_failed = watching.failed.is_some_and(|failed| failed.elapsed() < TRY_AGAIN);
        if watching.watcher.is_none() && !has_failed {
            let watch = Arc::downgrade(self);
            match Watcher::start(log, move |is_replaced| tell(&watch, is_replaced)) {
                Ok(watcher) => {
                    (watching.watcher, watching.failed) = (Some(watcher), None);
                    self.own.watch(log);
                }
                Err(problem) => {
                    watching.failed = Some(Instant::now());
                    if WAS_SAID.swap(true, Ordering::Relaxed) {
                        tracing::debug!(%problem, "{NOT_WATCHED}");
                    } else {
                        tracing::warn!(%problem, "{NOT_WATCHED}");
                    }
                }
            }
            self.stir();
        }
        watching.watcher.is_some()
    }

    /// How long to wait before the next look, where somebody was last seen to have written so long ago.
    fn rest(&self, is_watched: bool, written: Duration) -> Duration {
        let at_most = self.look_every.unwrap_or(if is_watched { LOOK_WHEN_WATCHED } else { LOOK_AGAIN });
        if is_watched && written < SYNCED_WITHIN { written.max(PACE).min(at_most) } else { at_most }
    }

    /// What the watcher's thread does when the log was written to, or is not the log any more.
    fn heard(&self, is_replaced: bool) {
        self.stir();
        if is_replaced {
            self.is_over.store(true, Ordering::Release);
        }
        self.committed.notify_waiters();
        // Whoever holds it is about to wait.
        if let Ok(mut watching) = self.watching.try_lock()
            && watching.waiting == 0
            && watching.changed.elapsed() >= LINGER
        {
            watching.watcher = None;
        }
    }

    /// Somebody has written just now.
    fn stir(&self) {
        *self.written() = Instant::now();
    }

    fn written(&self) -> MutexGuard<'_, Instant> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watching(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On the watcher's thread.
fn tell(watch: &Weak<Watch>, is_replaced: bool) {
    let Some(watch) = watch.upgrade() else { return };
    watch.heard(is_replaced);
    drop(watch);
    thread::sleep(PACE);
}

/// Somebody who waits, for as long as he does.
#[derive(Debug)]
pub(crate) struct Waiting<'w>(&'w Arc<Watch>);

impl<'w> Waiting<'w> {
    /// It is done at the next commit that becomes known from here on.
    pub(crate) fn committed(&self) -> Notified<'w> {
        self.0.committed.notified()
    }

    /// How long he who has looked in vain is to wait for that, before he looks again. From here on the log is watched.
    pub(crate) fn rest(&self) -> Duration {
        let is_watched = self.0.begin();
        let written = self.0.written().elapsed();
        let is_committed = written >= PACE && self.0.own.are_the_last();
        self.0.rest(is_watched, if is_committed { SYNCED_WITHIN } else { written })
    }

    /// He has found something of which nobody had told him.
    pub(crate) fn found(&self) {
        self.0.stir();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut watching = self.0.watching();
        watching.waiting -= 1;
        watching.changed = Instant::now();
    }
}
