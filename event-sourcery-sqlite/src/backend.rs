//! The backend: the writer, the readers, and who does what.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Backlog, BacklogRequest, BlockedRequest, BlockedStream,
    Capabilities, DeleteRequest, Filter, ForgetRequest, Grouped, Groups, HeldEntries, HoldRequest, Inspect,
    KeysRequest, Listener, Listening, LoadRequest, LoadSink, LoadedStream, NewKeysRequest, OldKeysRequest,
    OutboxRequest, PresenceRecord, ProgressRequest, ReadRecords, ReadRequest, RewrapRequest, ScanPage,
    ScanRequest, SnapshotRequest, StateRequest, SubjectKey, SubscriptionBackend, SubscriptionChange,
    SubscriptionId, SubscriptionRecord, TagRequest, TransactionalBackend,
};
use event_sourcery::{Error, Position, Result, TenantId};
use jiff::Timestamp;
use tokio::sync::{Mutex, Notify};

use crate::file::OpenedFile;
use crate::numbering::Seen;
use crate::operations::{Found, Operations, Search, Stretch};
use crate::options::SqliteOptions;
use crate::readers::Readers;
use crate::transaction::SqliteTransaction;
use crate::watch::{OwnWrites, Watch};
use crate::writer::{Shared, Writer};

/// Those who listen, and how they are called.
pub(crate) type Listeners = event_sourcery::backend::Listeners<dyn Listener<SqliteBackend>>;

/// How long nothing is added to the type directory after the file could not be written.
const LIST_AGAIN: Duration = Duration::from_secs(60);

/// A store in one SQLite file. Clones share it; several processes can too.
///
/// A write costs one transaction, shared with the writes that queued up beside it, and one sync of the disk; it is
/// acknowledged after the sync. While another process writes, it waits up to
/// [`busy_timeout`](SqliteOptions::busy_timeout).
///
/// Tenants are served in turn, call by call, and within a tenant who came first: one with thousands of calls in line holds up nobody else.
///
/// What waits to be written has 128 MiB of events at most, and 64 MiB of one tenant's; beside these one append may wait that has more,
/// where nothing else of its tenant does. An append that finds no room is [`Error::Busy`]. One whose future is dropped before the writer
/// has begun with it is not written. Nor is a closure run then; 16,384 of one tenant's may wait, and twice as many in all, beside the
/// events.
///
/// Dropping the last clone waits until what was begun is committed, then closes the file.
#[derive(Debug, Clone)]
pub struct SqliteBackend {
    writer: Arc<Writer>,
    file: Arc<OpenedFile>,
    pub(crate) readers: Arc<Readers>,
    /// Wakes those who wait for a commit. They read the position: to ask SQLite whether anything has changed (`data_version`) takes
    /// as long.
    pub(crate) watch: Arc<Watch>,
    /// Held by the one search that adds to the type directory; when that failed last.
    listing: Arc<Mutex<Option<Instant>>>,
    listeners: Arc<Listeners>,
    groups: Arc<Groups>,
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
        let (seen, listeners) = (Arc::new(Seen::default()), Arc::<Listeners>::default());
        let (groups, own_writes) = (Arc::<Groups>::default(), Arc::<OwnWrites>::default());
        let shared = Shared {
            committed: Arc::clone(&committed),
            own_writes: Arc::clone(&own_writes),
            seen: Arc::clone(&seen),
            listeners: Arc::clone(&listeners),
            groups: Arc::clone(&groups),
        };
        let writer = Writer::start(options.clone(), shared).await?;
        let watch = Watch::of(&options, committed, own_writes);
        let file = Arc::new(OpenedFile::of(&options));
        let (writer, readers) = (Arc::new(writer), Readers::new(options, seen, Arc::clone(&file)));
        Ok(Self { writer, file, readers, watch, listing: Arc::default(), listeners, groups })
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
            Ok(Some(unlisted)) => self.writer.write(None, move |operations| operations.list(&unlisted)).await,
            nothing => nothing.map(drop),
        };
        *failed = listed.as_ref().err().map(|_| Instant::now());
        listed
            .inspect_err(|error| {
                tracing::warn!(error = error.in_full(), "the type directory could not be added to")
            })
            .is_ok()
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::none().several_streams().transactions().durable().shared();
        let capabilities = capabilities.listeners().outbox().keys().presences().tags().inspect();
        capabilities.version_holes().ids_across_streams()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        let (whose, bytes) = (Some(request.tenant.clone()), request.weight());
        self.writer()?.write_bytes(whose, bytes, move |operations| operations.append(&request)).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        let mut loaded = LoadedStream::default();
        self.readers.load(request, &mut loaded).await?;
        Ok(loaded)
    }

    async fn load_in_parts(&self, request: LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        self.readers.load(request, sink).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let whose = Some(request.tenant.clone());
        self.writer()?.write(whose, move |operations| operations.delete(&request)).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        let whose = Some(request.tenant.clone());
        self.writer()?.write(whose, move |operations| operations.save_snapshot(&request)).await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        let whose = Some(request.tenant.clone());
        self.writer()?.write(whose, move |operations| operations.save_state(&request)).await
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        let whose = request.tenant.clone();
        self.writer()?.write(whose, move |operations| operations.forget_projector(&request)).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        let ScanRequest { after, up_to, filter, limit, .. } = request;
        Ok(self.search(Search::for_page(after, up_to, filter, limit)).await?.page())
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadRecords> {
        self.readers.read(move |operations| operations.read(&request)).await
    }

    async fn tag(&self, request: TagRequest) -> Result<u64> {
        let whose = Some(request.tenant.clone());
        self.writer()?.write(whose, move |operations| operations.tag_stored(&request)).await
    }

    async fn position(&self) -> Result<Position> {
        self.readers.position().await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        let (waiting, mut was_told) = (self.watch.wait(), true);
        loop {
            // It counts from here on: what is committed after the look wakes it.
            let committed = waiting.committed();
            let settled = self.readers.position().await?;
            if settled > position {
                if !was_told {
                    waiting.found();
                }
                return Ok(settled);
            }
            // Woken, or tired of waiting: it looks again.
            was_told = tokio::time::timeout(waiting.rest(), committed).await.is_ok();
        }
    }

    async fn outbox(&self, request: OutboxRequest) -> Result<ScanPage> {
        self.readers.read(move |operations| operations.outbox(&request)).await
    }

    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        self.readers.read(move |operations| operations.held_entries(&request.positions)).await
    }

    async fn keys(&self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.readers.read(move |operations| operations.keys(&request)).await
    }

    async fn create_keys(&self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        let whose = Some(request.tenant.clone());
        self.writer()?.write(whose, move |operations| operations.create_keys(&request)).await
    }

    async fn old_keys(&self, request: OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        self.readers.read(move |operations| operations.old_keys(&request)).await
    }

    async fn rewrap_key(&self, request: RewrapRequest) -> Result<bool> {
        let whose = Some(request.tenant.clone());
        self.writer()?.write(whose, move |operations| operations.rewrap_key(&request)).await
    }

    fn grouped(&self) -> Option<Grouped> {
        Some(self.groups.so_far())
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        Some(self)
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
        let whose = Some(id.tenant.clone());
        let change =
            move |operations: Operations<'_>| operations.change_subscription(&id, &change, Timestamp::now());
        self.writer()?.write(whose, change).await
    }

    /// All in one transaction: a write of the file, however many they are.
    async fn change_subscriptions(
        &self,
        changes: Vec<(SubscriptionId, SubscriptionChange)>,
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        let change_all = move |operations: Operations<'_>| {
            let now = Timestamp::now();
            let changed = changes.iter().map(|(id, change)| operations.change_subscription(id, change, now));
            changed.collect::<Result<Vec<_>>>()
        };
        self.writer()?.write(None, change_all).await
    }

    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        self.writer()?.write(None, move |operations| operations.renew_presence(presence)).await
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        let whose = Some(request.subscription.tenant.clone());
        self.writer()?.write(whose, move |operations| operations.progress(&request)).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        self.readers.read(move |operations| operations.blocked_streams(&request)).await
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        Ok(self.search(Search::for_backlog(request)).await?.backlog())
    }
}

#[async_trait]
impl TransactionalBackend for SqliteBackend {
    type Transaction<'t> = SqliteTransaction<'t>;

    async fn transaction<T, E, F>(&self, tenant: &TenantId, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&mut SqliteTransaction<'t>) -> Result<T, E> + Send + 'static,
    {
        self.writer()?.transaction(tenant.clone(), work).await
    }

    fn listen(&self, interest: Vec<Filter>, listener: Arc<dyn Listener<Self>>) -> Result<Listening> {
        Ok(self.listeners.add(interest, listener))
    }
}
