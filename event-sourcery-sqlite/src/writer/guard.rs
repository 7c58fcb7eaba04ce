//! Keeps a closure from ending the transaction that it runs in.
//!
//! No statement that would end it can be prepared meanwhile, and a hook refuses every commit. A closure that tries fails alone, and so does
//! a listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization, TransactionOperation};

use super::group::{OF_A_CALL, SAVEPOINT};

/// While a closure runs, a statement that ends the transaction cannot be prepared, nor one about the savepoint below the closure,
/// and no commit succeeds on the connection. Whatever ends the transaction all the same is remembered: SQLite when the disk is
/// full, or the closure by `OR ROLLBACK`. What a closure goes on to write after that, each statement would commit by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Arc<State>);

#[derive(Debug, Default)]
struct State {
    closure_runs: AtomicBool,
    has_tried: AtomicBool,
    has_ended: AtomicBool,
    /// Whether the connection was handed out.
    is_lent: AtomicBool,
    /// Whether immediate constraints were made deferred ones.
    defers: AtomicBool,
    /// Whether a closure has ever set a savepoint of its own: what is prepared again and again is asked about once.
    sets_savepoints: AtomicBool,
    /// The first position that the transaction has written; 0: none.
    first_written: AtomicI64,
}

/// What a closure did about the end of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing.
    Left,
    /// It was kept from it: the transaction goes on.
    Refused,
    /// The transaction is over, with all that was done in it. Another one may have been begun in its place.
    Ended,
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
        let (at_prepare, at_commit, at_rollback) = (guard.clone(), guard.clone(), guard.clone());
        connection.authorizer(Some(move |asked: AuthContext<'_>| at_prepare.authorize(asked.action)))?;
        connection.commit_hook(Some(move || at_commit.refuses_end()))?;
        connection.rollback_hook(Some(move || {
            at_rollback.refuses_end();
        }))?;
        Ok(guard)
    }

    /// Runs a closure, and tells what it did about the end. Within another one, whoever watches that is told.
    pub(crate) fn watch<T>(&self, closure: impl FnOnce() -> T) -> (T, Ending) {
        let State { closure_runs, has_tried, has_ended, .. } = &*self.0;
        if closure_runs.load(Ordering::Relaxed) {
            return (closure(), Ending::Left);
        }
        has_tried.store(false, Ordering::Relaxed);
        has_ended.store(false, Ordering::Relaxed);
        closure_runs.store(true, Ordering::Relaxed);
        let running = Running(&self.0);
        let result = closure();
        drop(running);
        let ending = if has_ended.load(Ordering::Relaxed) {
            Ending::Ended
        } else if has_tried.load(Ordering::Relaxed) {
            Ending::Refused
        } else {
            Ending::Left
        };
        (result, ending)
    }

    /// For another transaction, which nobody has changed yet.
    pub(super) fn forget(&self) {
        self.0.is_lent.store(false, Ordering::Relaxed);
        self.0.defers.store(false, Ordering::Relaxed);
        self.0.first_written.store(0, Ordering::Relaxed);
    }

    /// An event was written at this position.
    pub(crate) fn wrote(&self, position: i64) {
        // It stays so where that is taken back: what is written then stands there, or above.
        let _ = self.0.first_written.compare_exchange(0, position, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// From where on the transaction has written events, if it has written any. What stands below is committed.
    pub(crate) fn first_written(&self) -> Option<i64> {
        Some(self.0.first_written.load(Ordering::Relaxed)).filter(|first| *first != 0)
    }

    /// The connection is handed out, for statements of the caller's own.
    pub(crate) fn lend(&self) {
        self.0.is_lent.store(true, Ordering::Relaxed);
    }

    /// Whether the connection was handed out since this was asked last.
    pub(super) fn was_lent(&self) -> bool {
        self.0.is_lent.swap(false, Ordering::Relaxed)
    }

    /// Whether closures set savepoints of their own, and may leave them open.
    pub(super) fn sets_savepoints(&self) -> bool {
        self.0.sets_savepoints.load(Ordering::Relaxed)
    }

    /// Undoes what a closure would leave to the next one in its transaction. A violated constraint is forgotten by it.
    pub(super) fn undo_settings(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.0.defers.swap(false, Ordering::Relaxed) {
            connection.execute_batch("PRAGMA defer_foreign_keys = OFF")?;
        }
        Ok(())
    }

    fn authorize(&self, action: AuthAction<'_>) -> Authorization {
        if !self.0.closure_runs.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        match action {
            // SQLite refuses it by itself, and the transaction goes on.
            AuthAction::Transaction { operation: TransactionOperation::Begin } => Authorization::Allow,
            AuthAction::Transaction { .. } => {
                self.0.has_tried.store(true, Ordering::Relaxed);
                Authorization::Deny
            }
            AuthAction::Savepoint { savepoint_name, .. }
                if savepoint_name.eq_ignore_ascii_case(SAVEPOINT) =>
            {
                Authorization::Deny
            }
            AuthAction::Savepoint { operation: TransactionOperation::Begin, savepoint_name } => {
                let is_own = !savepoint_name.eq_ignore_ascii_case(OF_A_CALL);
                self.0.sets_savepoints.fetch_or(is_own, Ordering::Relaxed);
                Authorization::Allow
            }
            AuthAction::Pragma { pragma_name, .. } => {
                let defers = pragma_name.eq_ignore_ascii_case("defer_foreign_keys");
                self.0.defers.fetch_or(defers, Ordering::Relaxed);
                Authorization::Allow
            }
            _ => Authorization::Allow,
        }
    }

    fn refuses_end(&self) -> bool {
        let refuses = self.0.closure_runs.load(Ordering::Relaxed);
        self.0.has_ended.fetch_or(refuses, Ordering::Relaxed);
        refuses
    }
}
