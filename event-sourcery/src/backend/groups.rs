//! How many calls share a commit.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts calls that were committed together, for [`Backend::grouped`](super::Backend::grouped).
#[derive(Debug, Default)]
pub struct Groups {
    commits: AtomicU64,
    calls: AtomicU64,
}

/// What a backend has committed since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Grouped {
    /// So many commits.
    pub commits: u64,
    /// So many calls shared them.
    pub calls: u64,
}

impl Groups {
    /// So many calls were committed together; without any, nothing was.
    pub fn add(&self, calls: usize) {
        if calls > 0 {
            self.commits.fetch_add(1, Ordering::Relaxed);
            self.calls.fetch_add(calls as u64, Ordering::Relaxed);
        }
    }

    /// What was committed so far.
    #[must_use]
    pub fn so_far(&self) -> Grouped {
        Grouped { commits: self.commits.load(Ordering::Relaxed), calls: self.calls.load(Ordering::Relaxed) }
    }
}
