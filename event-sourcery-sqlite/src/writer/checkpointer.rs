//! The checkpointer: a thread that copies the log into the file while the writer goes on writing.
//!
//! SQLite would do it within the commit that makes the log long, and every call queued behind that commit would wait for
//! the pages to be written and synced. Copied from another connection (`PASSIVE`), they hold up nobody.

use std::cell::Cell;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use event_sourcery::{Error, Result};
use rusqlite::Connection;

use crate::connection;
use crate::options::SqliteOptions;

/// How many pages more have to be in the log for another pass: as often as SQLite does it by itself.
const BETWEEN_PASSES: i32 = 1_000;

/// How long the log may become, in pages: 64 MB. It begins anew only once all of it was copied, which the thread never
/// achieves while the writer writes without a pause; then the writer copies the little that is left.
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
}

impl Checkpointer {
    /// Starts the thread, and keeps the writing connection from making checkpoints of its own.
    pub(super) fn start(writer: &Connection, options: &SqliteOptions) -> Result<Self> {
        let connection = connection::checkpointer(options)?;
        let (wake, woken) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("event-sourcery-checkpointer".to_owned())
            .spawn(move || {
                while woken.recv().is_ok() {
                    pass(&connection);
                }
            })
            .map_err(|error| Error::Backend { backend: "sqlite", source: error.into() })?;
        writer.wal_hook(Some(|_, pages| {
            LOG.set(pages);
            Ok(())
        }));
        Ok(Self { wake: Some(wake), thread: Some(thread), last: Cell::new(0) })
    }

    /// Looks how long the log is, after a commit on the writer's thread.
    pub(super) fn after_commit(&self, writer: &Connection) {
        let log = LOG.get();
        if log < self.last.get() {
            self.last.set(0);
        }
        if log - self.last.get() < BETWEEN_PASSES {
            return;
        }
        self.last.set(log);
        if log >= LONGEST_LOG {
            pass(writer);
        } else if let Some(wake) = &self.wake {
            // One that is asked for already will do.
            let _ = wake.try_send(());
        }
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

/// Copies what is in the log and no reader needs there, waiting for nobody. What cannot be copied now stays in the log.
fn pass(connection: &Connection) {
    let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = copied {
        tracing::warn!(%error, "the log could not be copied into the file, and grows until it can");
    }
}
