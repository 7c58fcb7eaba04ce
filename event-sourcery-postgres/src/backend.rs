//! The backend: the pool, the tables, and who does what.

mod joining;
mod looking;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Backlog, BacklogRequest, BlockedRequest, BlockedStream,
    Capabilities, DeleteRequest, ForgetRequest, Grouped, HeldEntries, HoldRequest, Inspect, KeysRequest,
    LoadRequest, LoadSink, LoadedStream, NewKeysRequest, OldKeysRequest, OutboxRequest, PresenceRecord,
    Present, ProgressRequest, ReadRecords, ReadRequest, RewrapRequest, ScanPage, ScanRequest,
    SnapshotRequest, StateRequest, SubjectKey, SubscriptionBackend, SubscriptionChange, SubscriptionId,
    SubscriptionRecord, TagRequest, in_a_task,
};
use event_sourcery::{Error, Position, Result, TenantId};
use sqlx::{PgPool, SqlSafeStr};

use crate::database::{Database, call};
use crate::hand_over::load_apart;
use crate::holders::Holder;
use crate::layout;
use crate::options::PostgresOptions;
use crate::places::Purpose;
use crate::rights::Rights;
use crate::transaction::PostgresTransaction;

/// A store in a PostgreSQL database. Clones share it; several processes can too, and several runtimes of a process: nothing hangs on the
/// one that opened it.
///
/// An append to one stream is one statement in one round trip, with tags and boundaries too, and three more behind a
/// [`transaction_pooler`](PostgresOptions::transaction_pooler). Reading by a query is another one; so a decision takes two. A transaction
/// of about ten is an append to several streams, one with more than 128 tags, and one with the boundary of a query that has an item
/// without tags; so is what follows where a boundary has not moved although its tag was written to.
///
/// An append is acknowledged after the commit, when it is on the server's disk at least: `synchronous_commit = off` is raised to `on`,
/// unless [`accept_lost_commits`](PostgresOptions::accept_lost_commits) was said; what is stronger stays. Appends that arrive while others
/// are under way share a statement; each is refused alone. Those that wait have 128 MiB of events at most, and those of one tenant 64 MiB;
/// beside these one may wait that has more, where nothing else of its tenant does. One that finds no room is [`Error::Busy`], and one whose
/// future is dropped before its turn is not written.
///
/// # Your own transaction
///
/// ```
/// # use event_sourcery::{EventStore, RawEvent, StreamId};
/// # use event_sourcery_postgres::{PostgresBackend, sqlx};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let database = postgres_cluster::Server::shared().create_database();
/// let pool = sqlx::PgPool::connect(&database.url()).await?;
/// let store = EventStore::new(PostgresBackend::from_pool(pool.clone()).await?);
/// # sqlx::raw_sql("CREATE TABLE invoices (number TEXT)").execute(&pool).await?;
/// let stream = StreamId::from_name("invoices/1003")?;
///
/// let mut tx = pool.begin().await?;
/// sqlx::query("INSERT INTO invoices (number) VALUES ($1)").bind("1003").execute(&mut *tx).await?;
/// store.within(&mut tx).append(&stream, RawEvent::new("InvoiceIssued", "{}")?).await?;
/// tx.commit().await?;
/// # assert_eq!(store.version(&stream).await?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Listeners
///
/// A listener ([`EventStore::listen`](event_sourcery::EventStore::listen)) is called in the transaction of the append, whether that is
/// yours or of its own:
///
/// ```
/// # use event_sourcery::{Event, EventStore, StreamId};
/// # use event_sourcery_postgres::{PostgresBackend, sqlx};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # struct Paid { cents: i64 }
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let database = postgres_cluster::Server::shared().create_database();
/// let store = EventStore::new(PostgresBackend::connect(database.url()).await?);
/// # let pool = store.backend().pool();
/// # sqlx::raw_sql("CREATE TABLE revenue (stream UUID, cents BIGINT)").execute(pool).await?;
/// store.listen::<Paid>().within(|heard, tx| {
///     Box::pin(async move {
///         let insert = sqlx::query("INSERT INTO revenue VALUES ($1, $2)");
///         let insert = insert.bind(heard.stream_id.uuid()).bind(heard.event().cents);
///         insert.execute(tx.connection()).await?;
///         Ok(())
///     })
/// })?;
///
/// store.append(&StreamId::random(), [Paid { cents: 500 }, Paid { cents: 70 }]).await?;
/// # let sum = sqlx::query_scalar("SELECT sum(cents)::bigint FROM revenue").fetch_one(pool);
/// # let sum: i64 = sum.await?;
/// # assert_eq!(sum, 570);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
///
/// # Transactions of others
///
/// A transaction of another database does not compile:
///
/// ```compile_fail,E0277
/// # use event_sourcery::{EventStore, MemoryBackend};
/// # async fn other(pool: event_sourcery_postgres::sqlx::PgPool) {
/// let store = EventStore::new(MemoryBackend::new());
/// let mut tx = pool.begin().await.unwrap();
/// store.within(&mut tx);
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresBackend {
    pub(crate) database: Arc<Database>,
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend").field("pool", self.pool()).finish_non_exhaustive()
    }
}

impl PostgresBackend {
    /// Opens the store in this database, with a pool of its own, creating the tables where they are missing, and adopting
    /// those of Event Sourcery for Python where it made them.
    ///
    /// # Errors
    ///
    /// As for [`PostgresOptions::open`].
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        PostgresOptions::new(url).open().await
    }

    /// Opens the store in the database of this pool, as [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// As for [`PostgresOptions::open`].
    pub async fn from_pool(pool: PgPool) -> Result<Self> {
        PostgresOptions::with_pool(pool).open().await
    }

    /// The options for a database; see [`PostgresOptions`].
    pub fn options(url: impl Into<String>) -> PostgresOptions {
        PostgresOptions::new(url)
    }

    /// The pool, for the caller's own statements.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        self.database.connections.pool()
    }

    /// Begins a transaction that wakes waiting readers when it commits. Hand it to
    /// [`EventStore::within`](event_sourcery::EventStore::within).
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](event_sourcery::Error::Busy) without a free connection,
    /// [`Error::Unavailable`](event_sourcery::Error::Unavailable).
    pub async fn begin(&self) -> Result<PostgresTransaction<'static>> {
        self.begin_with("BEGIN").await
    }

    /// [`begin`](Self::begin) with a statement of your own, such as `BEGIN ISOLATION LEVEL SERIALIZABLE`.
    ///
    /// # Errors
    ///
    /// As for [`begin`](Self::begin).
    pub async fn begin_with(&self, statement: impl SqlSafeStr) -> Result<PostgresTransaction<'static>> {
        let transaction = self.database.begin_with(statement).await?;
        Ok(PostgresTransaction::new(transaction, Arc::clone(&self.database.wakeups), None))
    }

    /// The open transactions that hold up the settled position: readers do not come beyond it before they have ended. None
    /// where readers can come to the end. The store warns of them, through `tracing`, when somebody has been held up for
    /// 2 s, and again each time it has lasted twice as long.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](event_sourcery::Error::Busy) without a free connection,
    /// [`Error::Unavailable`](event_sourcery::Error::Unavailable).
    ///
    /// ```
    /// # use event_sourcery::{EventStore, RawEvent, StreamId};
    /// # use event_sourcery_postgres::PostgresBackend;
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let database = postgres_cluster::Server::shared().create_database();
    /// let backend = PostgresBackend::connect(database.url()).await?;
    /// let store = EventStore::new(backend.clone());
    /// let mut forgotten = backend.begin().await?;
    /// store.within(&mut forgotten).append(&StreamId::random(), RawEvent::new("Drafted", "{}")?).await?;
    /// store.append(&StreamId::random(), RawEvent::new("Issued", "{}")?).await?;
    ///
    /// let holders = backend.held_up_by().await?;
    /// assert_eq!(holders.len(), 1);
    /// assert_eq!(holders[0].state.as_deref(), Some("idle in transaction"));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub async fn held_up_by(&self) -> Result<Vec<Holder>> {
        let Database { connections, sql, settled, .. } = &*self.database;
        settled.held_up_by(connections, sql).await
    }

    /// Drives a call in a task: whoever waits for it may be polled no more, and keeps neither a connection from others for that long,
    /// nor their place in a queue.
    async fn apart<T, F>(&self, call: impl FnOnce(Arc<Database>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        in_a_task(call(Arc::clone(&self.database))).await
    }

    pub(crate) async fn with_options(options: PostgresOptions) -> Result<Self> {
        Ok(Self { database: Arc::new(Database::open(&options).await?) })
    }

    pub(crate) async fn grants(options: &PostgresOptions, role: &str, rights: Rights) -> Result<String> {
        layout::grants(&options.connections()?, options, role, rights).await
    }

    pub(crate) async fn migration(options: &PostgresOptions) -> Result<String> {
        layout::script(&options.connections()?, options).await
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = Capabilities::none().several_streams().transactions().durable().shared();
        let capabilities = capabilities.listeners().outbox().keys().presences().tags().inspect();
        capabilities.version_holes().ids_across_streams()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        self.apart(async move |database| {
            let outcome = database.append(request).await;
            // Where the answer was lost, it may have been committed.
            if matches!(outcome, Ok(AppendOutcome::Written(_)) | Err(Error::OutcomeUnknown { .. })) {
                database.wakeups.committed();
            }
            outcome
        })
        .await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        self.apart(async move |database| database.load(&request).await).await
    }

    async fn load_in_parts(&self, request: LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        load_apart(Arc::clone(&self.database), request, sink).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.apart(
            async move |database| call!(database, Purpose::Write, operations => operations.delete(&request)),
        )
        .await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        self.apart(async move |database| {
            call!(database, Purpose::Write, operations => operations.save_snapshot(&request))
        })
        .await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        self.apart(async move |database| {
            call!(database, Purpose::Write, operations => operations.save_state(&request))
        })
        .await
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        self.apart(async move |database| {
            call!(database, Purpose::Write, operations => operations.forget_projector(&request))
        })
        .await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        self.apart(async move |database| database.scan(&request).await).await
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadRecords> {
        self.apart(async move |database| database.read(&request).await).await
    }

    async fn tag(&self, request: TagRequest) -> Result<u64> {
        self.apart(async move |database| {
            call!(database, Purpose::Write, operations => operations.tag_stored(&request))
        })
        .await
    }

    async fn position(&self) -> Result<Position> {
        self.database.advance().await
    }

    async fn present(&self) -> Result<Present> {
        self.apart(async move |database| {
            let position = database.advance().await?;
            let above = call!(database, operations => operations.stretches_above(position))?;
            Ok(Present::new(position, above))
        })
        .await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        self.database.wait_beyond(position).await
    }

    async fn outbox(&self, request: OutboxRequest) -> Result<ScanPage> {
        self.apart(async move |database| database.outbox(&request).await).await
    }

    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        self.hold(&request).await
    }

    async fn keys(&self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.apart(async move |database| call!(database, operations => operations.keys(&request))).await
    }

    async fn create_keys(&self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.apart(async move |database| {
            call!(database, Purpose::Write, operations => operations.create_keys(&request))
        })
        .await
    }

    async fn old_keys(&self, request: OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        self.apart(async move |database| call!(database, operations => operations.old_keys(&request))).await
    }

    async fn rewrap_key(&self, request: RewrapRequest) -> Result<bool> {
        self.apart(async move |database| {
            call!(database, Purpose::Write, operations => operations.rewrap_key(&request))
        })
        .await
    }

    fn grouped(&self) -> Option<Grouped> {
        Some(self.database.appends.groups.so_far())
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        Some(self)
    }
}

#[async_trait]
impl SubscriptionBackend for PostgresBackend {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        self.apart(async move |database| call!(database, operations => operations.subscription(&id))).await
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        let changed = self.change_subscriptions(vec![(id, change)]).await?;
        Ok(changed.into_iter().next().flatten())
    }

    /// All in one transaction, in as many statements as one.
    async fn change_subscriptions(
        &self,
        changes: Vec<(SubscriptionId, SubscriptionChange)>,
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        self.apart(async move |database| database.change_subscriptions(&changes).await).await
    }

    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        self.apart(async move |database| database.renew_presence(presence).await).await
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        self.apart(async move |database| database.progress(&request).await).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        self.apart(async move |database| database.blocked_streams(&request).await).await
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        self.apart(async move |database| {
            let settled = database.advance().await?;
            call!(database, operations => operations.backlog(&request, settled))
        })
        .await
    }
}
