//! The log as this process's own last commit has left it.
//!
//! A process that only renews its leases writes to the log every few seconds, and is told of it as of others' writes: it would look
//! again and again for a commit that is still being synced. But nobody else writes while it has the lock: what was written before it
//! is committed, or never will be, and found by the look that its commit causes. So where the log was not changed since, there is
//! nothing to wait for.
//!
//! The system tells times of changes in ticks of some milliseconds. Another process may write in the tick in which this one has, or
//! between the end of its commit and the look at the log: that is taken for its own. Then this one's sync took less than a tick, and
//! so does that one's, mostly. So those who wait look once more all the same, 8 ms after ([`PACE`](super::PACE)). What is synced later
//! is found by the look that nothing causes, which is at most five seconds away.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

/// When the log was last changed, as this process's last commit has left it; from when on somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct OwnWrites {
    log: OnceLock<PathBuf>,
    last: Mutex<Option<SystemTime>>,
}

impl OwnWrites {
    /// From here on it is noted how this log is left.
    pub(super) fn watch(&self, log: &Path) {
        self.log.get_or_init(|| log.to_owned());
    }

    /// This process has committed.
    pub(crate) fn note(&self) {
        if let Some(log) = self.log.get() {
            *self.last() = changed(log);
        }
    }

    /// Whether nobody has written since then, as far as the system tells.
    pub(super) fn are_the_last(&self) -> bool {
        let last = *self.last();
        last.is_some() && self.log.get().and_then(|log| changed(log)) == last
    }

    fn last(&self) -> MutexGuard<'_, Option<SystemTime>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn changed(log: &Path) -> Option<SystemTime> {
    fs::metadata(log).and_then(|log| log.modified()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn own_writes_are_the_last_until_somebody_else_writes() {
        let folder = TempDir::new().unwrap();
        let (log, own) = (folder.path().join("events.db-wal"), OwnWrites::default());
        let file = File::create(&log).unwrap();
        own.note();
        assert!(!own.are_the_last(), "nobody wants to know");
        own.watch(&log);
        assert!(!own.are_the_last(), "nothing was noted since");
        own.note();
        assert!(own.are_the_last());
        let later = SystemTime::now() + Duration::from_secs(1);
        file.set_modified(later).unwrap();
        assert!(!own.are_the_last());
        own.note();
        assert!(own.are_the_last());
        std::fs::remove_file(&log).unwrap();
        assert!(!own.are_the_last());
    }
}
