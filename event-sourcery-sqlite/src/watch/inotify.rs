//! The log, watched by Linux.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::file::{Identity, identity};

/// How many logs a process watches at once. Each takes a thread, and one of the inotify instances of which a user has 128 where nobody
/// has said otherwise, in all his processes.
pub(super) const AT_ONCE: usize = 32;

/// How many it watches.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// A thread that is told by the system. Dropping it ends it, and waits for nothing: from then on it tells nobody.
#[derive(Debug)]
pub(super) struct Watcher {
    thread: Option<RecommendedWatcher>,
    /// The thread looks whether it is there: the crate ends it only when there is nothing left to tell of, and where the log is written
    /// to without a pause, that would be never.
    _wanted: Arc<()>,
    _place: Place,
}

impl Watcher {
    /// Calls `tell` whenever something was written to the log, and with `true` when the file at its path is another one, or there is
    /// none. Until there is one, its folder is watched.
    pub(super) fn start(log: &Path, mut tell: impl FnMut(bool) + Send + 'static) -> Result<Self, String> {
        let place = Place::take().ok_or_else(|| format!("this process watches {AT_ONCE} others"))?;
        // Before it is watched: where another one is put in its place meanwhile, they differ.
        let (path, watched) = (log.to_owned(), identity_of(log));
        let wanted = Arc::new(());
        let is_wanted = Arc::downgrade(&wanted);
        let heard = move |event: notify::Result<Event>| {
            if is_wanted.strong_count() > 0
                && let Some(is_replaced) = is_replaced(event, &path, watched)
            {
                tell(is_replaced);
            }
        };
        let mut watcher = notify::recommended_watcher(heard).map_err(|error| error.to_string())?;
        // The crate panics where its thread could not be started; and would again when it is dropped.
        match catch_unwind(AssertUnwindSafe(|| watch(&mut watcher, log))) {
            Ok(Ok(())) => Ok(Self { thread: Some(watcher), _wanted: wanted, _place: place }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                std::mem::forget(watcher);
                Err("its thread could not be started".to_owned())
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let watcher = self.thread.take();
        // The crate panics where its thread has.
        if catch_unwind(AssertUnwindSafe(move || drop(watcher))).is_err() {
            tracing::debug!("the thread that watched the write-ahead log had ended by itself");
        }
    }
}

/// One of those that are watched at once.
#[derive(Debug)]
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let (taken, place) = (TAKEN.fetch_add(1, Ordering::AcqRel), Self);
        // Where it is one too many, it is given back here.
        (taken < AT_ONCE).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::AcqRel);
    }
}

fn watch(watcher: &mut RecommendedWatcher, log: &Path) -> notify::Result<()> {
    watcher.watch(log, RecursiveMode::NonRecursive).or_else(|error| match log.parent() {
        Some(folder) => watcher.watch(folder, RecursiveMode::NonRecursive),
        None => Err(error),
    })
}

/// Whether the log is another one by now, if the event is about it; `None` where that nothing was written to it either.
fn is_replaced(event: notify::Result<Event>, log: &Path, watched: Option<Identity>) -> Option<bool> {
    // What was lost may have been anything.
    let Ok(event) = event else { return Some(true) };
    let is_about_it = event.paths.is_empty() || event.paths.iter().any(|path| log.starts_with(path));
    if !is_about_it || event.kind.is_access() {
        return None;
    }
    let Some(watched) = watched else { return Some(true) };
    match event.kind {
        EventKind::Modify(ModifyKind::Data(_)) => Some(false),
        // SQLite sets its owner anew; and who deletes a file that others have open takes off a link.
        EventKind::Modify(ModifyKind::Metadata(_)) => (identity_of(log) != Some(watched)).then_some(true),
        _ => Some(true),
    }
}

fn identity_of(log: &Path) -> Option<Identity> {
    identity(log).ok().flatten()
}
