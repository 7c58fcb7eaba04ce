//! Keeps a closure from ending the transaction that it runs in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

/// While a closure runs, no commit succeeds on the connection, and whatever ends the transaction is remembered: the
/// closure itself, or SQLite when the disk is full. What a closure goes on to write after that, each statement would
/// commit by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Arc<State>);

#[derive(Debug, Default)]
struct State {
    closure_runs: AtomicBool,
    ended: AtomicBool,
}

/// A closure that runs, until it has returned or panicked.
struct Running<'g>(&'g State);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.closure_runs.store(false, Ordering::Relaxed);
    }
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
    pub(crate) fn watch<T>(&self, closure: impl FnOnce() -> T) -> (T, bool) {
        self.0.ended.store(false, Ordering::Relaxed);
        self.0.closure_runs.store(true, Ordering::Relaxed);
        let running = Running(&self.0);
        let result = closure();
        drop(running);
        (result, self.0.ended.load(Ordering::Relaxed))
    }

    fn refuses_end(&self) -> bool {
        let refuses = self.0.closure_runs.load(Ordering::Relaxed);
        self.0.ended.fetch_or(refuses, Ordering::Relaxed);
        refuses
    }
}
