//! The backend: the writer, the readers, and who does what.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Backlog, BlockedRequest, BlockedStream, Capabilities,
    DeleteRequest, Filter, ForgetRequest, LoadRequest, LoadedStream, ProgressRequest, ScanPage, ScanRequest,
    SnapshotRequest, StateRequest, SubscriptionBackend, SubscriptionChange, SubscriptionId,
    SubscriptionRecord, TransactionalBackend,
};
use event_sourcery::{Error, Position, Result};
use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};

use crate::file::OpenedFile;
use crate::numbering::Seen;
use crate::operations::{Found, Operations, Search, Stretch};
use crate::options::SqliteOptions;
use crate::readers::Readers;
use crate::transaction::SqliteTransaction;
use crate::writer::Writer;

/// How often a reader that waits looks for what other processes have committed. It reads the position: to ask SQLite
/// whether anything has changed (`data_version`) takes as long.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long nothing is added to the type directory after the file could not be written.
const LIST_AGAIN: Duration = Duration::from_secs(60);

/// A store in one SQLite file. Clones share it; several processes can too.
///
/// A write costs one transaction, shared with the writes that queued up beside it, and one sync of the disk; it is
/// acknowledged after the sync. While another process writes, it waits up to
/// [`busy_timeout`](SqliteOptions::busy_timeout).
///
/// What waits to be written has 64 MiB of events at most; an append that finds no room is [`Error::Busy`]. One whose future is dropped
/// before the writer has begun with it is not written.
///
/// Dropping the last clone waits until what was queued is committed, then closes the file.
#[derive(Debug, Clone)]
pub struct SqliteBackend {
    writer: Arc<Writer>,
    file: Arc<OpenedFile>,
    readers: Arc<Readers>,
    /// Wakes those who wait for a commit.
    committed: Arc<Notify>,
    /// Held by the one search that adds to the type directory; when that failed last.
    listing: Arc<Mutex<Option<Instant>>>,
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
        let options = options.at_an_absolute_path()?;
        let committed = Arc::new(Notify::new());
        let seen = Arc::new(Seen::default());
        let writer = Writer::start(options.clone(), Arc::clone(&committed), Arc::clone(&seen)).await?;
        let file = Arc::new(OpenedFile::of(&options));
        let (writer, readers) = (Arc::new(writer), Readers::new(options, seen, Arc::clone(&file)));
        Ok(Self { writer, file, readers, committed, listing: Arc::default() })
    }

    /// The writer, unless another file stands in the place of the one that it writes to.
    fn writer(&self) -> Result<&Writer> {
        self.file.check_now_and_then()?;
        Ok(&self.writer)
    }

    /// Searches to the end, and adds to the type directory what it lacks. Where that fails, it makes do without.
    pub(crate) async fn search<F: Found>(&self, mut search: Search<F>) -> Result<Search<F>> {
        loop {
            let go_on = move |operations: Operations<'_>| Ok((search.go_on(operations)?, search));
            let (lacking, gone_on) = self.readers.read(go_on).await?;
            search = gone_on;
            let Some(lacking) = lacking else { return Ok(search) };
            if !self.list(lacking).await {
                search.without_listing();
            }
        }
    }

    /// Adds the next blocks to the type directory, unless others have; tells whether it can be written.
    async fn list(&self, lacking: Stretch) -> bool {
        let mut failed = self.listing.lock().await;
        if failed.is_some_and(|failed| failed.elapsed() < LIST_AGAIN) {
            return false;
        }
        let listed = match self.readers.read(move |operations| operations.unlisted(lacking)).await {
            Ok(Some(unlisted)) => self.writer.write(move |operations| operations.list(&unlisted)).await,
            nothing => nothing.map(drop),
        };
        *failed = listed.as_ref().err().map(|_| Instant::now());
        listed.inspect_err(|error| tracing::warn!(%error, "the type directory could not be added to")).is_ok()
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
        self.writer()?.write_bytes(request.weight(), move |operations| operations.append(&request)).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        self.readers.load(request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.writer()?.write(move |operations| operations.delete(&request)).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        self.writer()?.write(move |operations| operations.save_snapshot(&request)).await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        self.writer()?.write(move |operations| operations.save_state(&request)).await
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        self.writer()?.write(move |operations| operations.forget_projector(&request)).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        let ScanRequest { after, up_to, filter, limit, .. } = request;
        Ok(self.search(Search::for_page(after, up_to, filter, limit)).await?.page())
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
impl SubscriptionBackend for SqliteBackend {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        let record = self.readers.read(move |operations| operations.subscription(&id)).await?;
        Ok(record.map(|record| record.as_of(Timestamp::now())))
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        self.writer()?.write(move |operations| operations.change_subscription(&id, &change)).await
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        self.writer()?.write(move |operations| operations.progress(&request)).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        self.readers.read(move |operations| operations.blocked_streams(&request)).await
    }

    async fn backlog(&self, after: Position, filter: Filter) -> Result<Backlog> {
        Ok(self.search(Search::for_backlog(after, filter)).await?.backlog())
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
        self.writer()?.transaction(work).await
    }
}
