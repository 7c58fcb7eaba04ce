//! Keeps a closure from ending the transaction that it runs in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

/// While a closure runs, no commit succeeds on the connection, and whatever ends the transaction is remembered: the
/// closure itself, or SQLite when the disk is full. What a closure goes on to write after that, each statement would
/// commit by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard(Arc<State>);

#[derive(Debug, Default)]
struct State {
    closure_runs: AtomicBool,
    ended: AtomicBool,
}

impl Guard {
    pub(super) fn install(connection: &Connection) -> rusqlite::Result<Self> {
        let guard = Self::default();
        let (at_commit, at_rollback) = (guard.clone(), guard.clone());
        connection.commit_hook(Some(move || at_commit.refuses_end()))?;
        connection.rollback_hook(Some(move || {
            at_rollback.refuses_end();
        }))?;
        Ok(guard)
    }

    /// Runs a closure. The second answer tells whether the transaction was ended meanwhile.
    pub(super) fn watch<T>(&self, closure: impl FnOnce() -> T) -> (T, bool) {
        self.0.ended.store(false, Ordering::Relaxed);
        self.0.closure_runs.store(true, Ordering::Relaxed);
        let result = closure();
        self.0.closure_runs.store(false, Ordering::Relaxed);
        (result, self.0.ended.load(Ordering::Relaxed))
    }

    fn refuses_end(&self) -> bool {
        let refuses = self.0.closure_runs.load(Ordering::Relaxed);
        self.0.ended.fetch_or(refuses, Ordering::Relaxed);
        refuses
    }
}
