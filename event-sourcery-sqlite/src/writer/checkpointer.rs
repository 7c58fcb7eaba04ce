//! The checkpointer: a thread that copies the log into the file while the writer goes on writing.
//!
//! SQLite would do it within the commit that makes the log long, and every call queued behind that commit would wait for
//! the pages to be written and synced. Copied from another connection (`PASSIVE`), they hold up nobody.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use event_sourcery::{Error, Result};
use rusqlite::Connection;

use crate::connection;
use crate::options::SqliteOptions;

/// How many pages more have to be in the log for another pass: as often as SQLite does it by itself.
const BETWEEN_PASSES: i32 = 1_000;

/// How many pages the writer copies itself, once the thread has copied all before them. The log begins anew only when all
/// of it was copied, which the thread does not achieve while the writer goes on.
const LITTLE: i32 = 128;

/// How long the log may become, in pages: 64 MB. Then the writer copies what is left, however much it is.
const LONGEST_LOG: i32 = 16_384;

thread_local! {
    /// How many pages the log held after the last commit of this thread.
    static LOG: Cell<i32> = const { Cell::new(0) };
}

/// The handle to the thread. Dropping it waits for a pass that is under way.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    /// How long the log was when the last pass was asked for.
    last: Cell<i32>,
    /// How much of the log the thread has copied, until the writer has seen it.
    copied: Arc<AtomicI32>,
    /// How much the writer has seen copied.
    seen: Cell<i32>,
}

impl Checkpointer {
    /// Starts the thread, and keeps the writing connection from making checkpoints of its own.
    pub(super) fn start(writer: &Connection, options: &SqliteOptions) -> Result<Self> {
        let connection = connection::checkpointer(options)?;
        let (wake, woken) = sync_channel(1);
        let copied = Arc::new(AtomicI32::new(0));
        let tell = Arc::clone(&copied);
        let thread = thread::Builder::new()
            .name("event-sourcery-checkpointer".to_owned())
            .spawn(move || {
                while woken.recv().is_ok() {
                    tell.store(pass(&connection), Ordering::Relaxed);
                }
            })
            .map_err(|error| Error::backend("sqlite", error))?;
        writer.wal_hook(Some(|_, pages| {
            LOG.set(pages);
            Ok(())
        }));
        Ok(Self { wake: Some(wake), thread: Some(thread), last: Cell::new(0), copied, seen: Cell::new(0) })
    }

    /// Looks how long the log is, after a commit on the writer's thread.
    pub(super) fn after_commit(&self, writer: &Connection) {
        let log = LOG.get();
        if log < self.last.get() {
            self.last.set(0);
            self.seen.set(0);
        }
        let is_due = log - self.last.get() >= BETWEEN_PASSES;
        let (left, gains) = self.since_last_pass(log);
        if left <= LITTLE || (is_due && log >= LONGEST_LOG) {
            pass(writer);
            self.last.set(log);
        } else if (is_due || gains)
            && let Some(wake) = &self.wake
        {
            // One that is asked for already will do.
            let _ = wake.try_send(());
            self.last.set(log);
        }
    }

    /// After a pass of the thread: how much it has left, and whether another one at once would leave much less.
    fn since_last_pass(&self, log: i32) -> (i32, bool) {
        let copied = self.copied.swap(0, Ordering::Relaxed);
        if copied == 0 {
            return (i32::MAX, false);
        }
        let left = log - copied;
        (left, left <= (copied - self.seen.replace(copied)) / 2)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Copies what is in the log and no reader needs there, waiting for nobody, and tells how many pages are copied now. What
/// cannot be copied stays in the log.
fn pass(connection: &Connection) -> i32 {
    match connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2)) {
        Ok(copied) => copied,
        Err(error) => {
            tracing::warn!(%error, "the log could not be copied into the file, and grows until it can");
            0
        }
    }
}
