//! The backend: the writer, the readers, and who does what.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Capabilities, DeleteRequest, LoadRequest, LoadedStream, ScanPage,
    ScanRequest, SnapshotRequest, TransactionalBackend,
};
use event_sourcery::{Error, Position, Result};
use tokio::sync::Notify;

use crate::options::SqliteOptions;
use crate::readers::Readers;
use crate::transaction::SqliteTransaction;
use crate::writer::Writer;

/// How often a reader that waits looks for what other processes have committed.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A store in one SQLite file. Clones share it; several processes can too.
///
/// A write costs one transaction, shared with the writes that queued up beside it, and one sync of the disk; it is
/// acknowledged after the sync. While another process writes, it waits up to
/// [`busy_timeout`](SqliteOptions::busy_timeout).
///
/// Dropping the last clone waits until what was queued is committed, then closes the file.
#[derive(Debug, Clone)]
pub struct SqliteBackend {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    /// Wakes those who wait for a commit.
    committed: Arc<Notify>,
}

impl SqliteBackend {
    /// Opens the store in this file, creating the file and the tables where they are missing, and adopting the tables
    /// of Event Sourcery for Python where it made them.
    ///
    /// # Errors
    ///
    /// As for [`SqliteOptions::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        SqliteOptions::new(path).open().await
    }

    /// The options for a file; see [`SqliteOptions`].
    pub fn options(path: impl AsRef<Path>) -> SqliteOptions {
        SqliteOptions::new(path)
    }

    pub(crate) async fn with_options(options: SqliteOptions) -> Result<Self> {
        let committed = Arc::new(Notify::new());
        let writer = Arc::new(Writer::start(options.clone(), Arc::clone(&committed)).await?);
        Ok(Self { writer, readers: Readers::new(options), committed })
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        self.writer.write(move |operations| operations.append(&request)).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        self.readers.load(request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.writer.write(move |operations| operations.delete(&request)).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        self.writer.write(move |operations| operations.save_snapshot(&request)).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        self.readers.scan(request).await
    }

    async fn position(&self) -> Result<Position> {
        self.readers.position().await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        loop {
            // It counts from here on: what is committed after the look wakes it.
            let committed = self.committed.notified();
            let settled = self.readers.position().await?;
            if settled > position {
                return Ok(settled);
            }
            // Woken, or tired of waiting: it looks again.
            let _ = tokio::time::timeout(LOOK_AGAIN, committed).await;
        }
    }
}

#[async_trait]
impl TransactionalBackend for SqliteBackend {
    type Transaction<'t> = SqliteTransaction<'t>;

    async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&mut SqliteTransaction<'t>) -> Result<T, E> + Send + 'static,
    {
        self.writer.transaction(work).await
    }
}
