//! The backend: the pool, the tables, and who does what.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Backlog, BlockedRequest, BlockedStream, Capabilities,
    DeleteRequest, Filter, ForgetRequest, JoinableBackend, JoinedTransaction, LoadRequest, LoadedStream,
    Present, ProgressRequest, ScanPage, ScanRequest, SnapshotRequest, StateRequest, SubscriptionBackend,
    SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use event_sourcery::{Error, Position, Result};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, SqlSafeStr, Transaction};

use crate::append::Appends;
use crate::connections::{Connections, Lease, not_connected};
use crate::failure::{During, Failure};
use crate::holders::Holder;
use crate::layout;
use crate::operations::{Operations, takes_one_statement};
use crate::options::PostgresOptions;
use crate::settled::Settled;
use crate::sql::Sql;
use crate::transaction::{self, OnConnection, PostgresTransaction};
use crate::wakeups::Wakeups;

/// How often a reader that waits looks for what it is not told of: commits of transactions that were not begun through the
/// store, and those of other processes where a notification is lost.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A store in a PostgreSQL database. Clones share it; several processes can too.
///
/// An append to one stream is one statement in one round trip. It is acknowledged after the commit, as durable as the
/// server's `synchronous_commit` makes it. Appends that arrive while others are under way share a statement; each is
/// refused alone.
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
    database: Arc<Database>,
}

impl fmt::Debug for PostgresBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend").field("pool", self.pool()).finish_non_exhaustive()
    }
}

/// What the clones of a backend share.
pub(crate) struct Database {
    pub(crate) connections: Arc<Connections>,
    pub(crate) sql: Arc<Sql>,
    pub(crate) appends: Appends,
    settled: Settled,
    wakeups: Arc<Wakeups>,
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
        &self.database.connections.pool
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
        Ok(PostgresTransaction::new(transaction, Arc::clone(&self.database.wakeups)))
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

    pub(crate) async fn with_options(options: PostgresOptions) -> Result<Self> {
        options.check()?;
        let pool = options.pool()?;
        let tables = layout::prepare(&pool, &options).await?;
        let (sql, appends) =
            (Arc::new(Sql::new(&tables)), Appends::new(pool.options().get_max_connections()));
        let connections = Connections::new(pool, options.has_own_pool());
        let wakeups = Wakeups::new(&connections, &sql, tables.table("events"), options.notifications);
        let database = Database { connections, sql, appends, settled: Settled::default(), wakeups };
        Ok(Self { database: Arc::new(database) })
    }

    pub(crate) async fn migration(options: &PostgresOptions) -> Result<String> {
        options.check()?;
        layout::script(&options.pool()?, options).await
    }
}

impl Database {
    pub(crate) async fn acquire(&self) -> Result<Lease> {
        self.connections.acquire().await
    }

    async fn begin_with(&self, statement: impl SqlSafeStr) -> Result<Transaction<'static, Postgres>> {
        let (pool, since) = (&self.connections.pool, Instant::now());
        match pool.begin_with(statement).await {
            Ok(transaction) => Ok(transaction),
            Err(error) => Err(not_connected(pool, error, since).await),
        }
    }

    async fn load(&self, request: &LoadRequest) -> Result<LoadedStream> {
        let mut connection = self.acquire().await?;
        if takes_one_statement(request) {
            let loaded = Operations::alone(&mut connection, &self.sql).load(request).await;
            return connection.keep_after(loaded);
        }
        let failed = |error| Failure::from(error).into_error(During::NothingKept, Duration::ZERO);
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        let mut snapshot = connection.begin_with(begin).await.map_err(failed)?;
        let loaded = Operations::joined(&mut snapshot, &self.sql).load(request).await;
        snapshot.rollback().await.map_err(failed)?;
        connection.keep_after(loaded)
    }

    async fn advance(&self) -> Result<Position> {
        self.settled.advance(&self.connections, &self.sql).await
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        if let Some(up_to) = request.up_to {
            return self.scan_up_to(request, up_to).await;
        }
        let known = self.settled.known();
        let mut read = None;
        if request.after < known {
            let page = self.scan_up_to(request, known).await?;
            if page.has_more {
                return Ok(page);
            }
            read = Some(page);
        }
        // What is settled is read in a statement that begins after it was known to be.
        let settled = self.advance().await?;
        match read {
            Some(page) if settled == known => Ok(page),
            None if settled <= request.after => {
                Ok(ScanPage { records: Vec::new(), next: request.after, has_more: false })
            }
            _ => self.scan_up_to(request, settled).await,
        }
    }

    async fn scan_up_to(&self, request: &ScanRequest, settled: Position) -> Result<ScanPage> {
        let mut connection = self.acquire().await?;
        let page = Operations::alone(&mut connection, &self.sql).scan(request, settled).await;
        connection.keep_after(page)
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::all()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        let outcome = self.database.append(request).await;
        // Where the answer was lost, it may have been committed.
        if matches!(outcome, Ok(AppendOutcome::Written(_)) | Err(Error::OutcomeUnknown { .. })) {
            self.database.wakeups.committed();
        }
        outcome
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        self.database.load(&request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        let mut connection = self.database.acquire().await?;
        let deleted = Operations::alone(&mut connection, &self.database.sql).delete(&request).await;
        connection.keep_after(deleted)
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        let mut connection = self.database.acquire().await?;
        let saved = Operations::alone(&mut connection, &self.database.sql).save_snapshot(&request).await;
        connection.keep_after(saved)
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        let mut connection = self.database.acquire().await?;
        let saved = Operations::alone(&mut connection, &self.database.sql).save_state(&request).await;
        connection.keep_after(saved)
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        let mut connection = self.database.acquire().await?;
        let forgotten =
            Operations::alone(&mut connection, &self.database.sql).forget_projector(&request).await;
        connection.keep_after(forgotten)
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        self.database.scan(&request).await
    }

    async fn position(&self) -> Result<Position> {
        self.database.advance().await
    }

    async fn present(&self) -> Result<Present> {
        let position = self.database.advance().await?;
        let mut connection = self.database.acquire().await?;
        let above = Operations::alone(&mut connection, &self.database.sql).stretches_above(position).await;
        Ok(Present { position, above: connection.keep_after(above)? })
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        let _waiting = self.database.wakeups.wait();
        loop {
            // It counts from here on: what is committed after the look wakes it.
            let committed = self.database.wakeups.next();
            let settled = self.database.advance().await?;
            if settled > position {
                return Ok(settled);
            }
            // Woken, or tired of waiting: it looks again.
            let _ = tokio::time::timeout(LOOK_AGAIN, committed).await;
        }
    }
}

#[async_trait]
impl SubscriptionBackend for PostgresBackend {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        let mut connection = self.database.acquire().await?;
        let read = Operations::alone(&mut connection, &self.database.sql).subscription(&id).await;
        connection.keep_after(read)
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        let mut connection = self.database.acquire().await?;
        let mut operations = Operations::alone(&mut connection, &self.database.sql);
        let changed = operations.change_subscription(&id, &change).await;
        connection.keep_after(changed)
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        let mut connection = self.database.acquire().await?;
        let made = Operations::alone(&mut connection, &self.database.sql).progress(&request).await;
        connection.keep_after(made)
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        let mut connection = self.database.acquire().await?;
        let blocked = Operations::alone(&mut connection, &self.database.sql).blocked_streams(&request).await;
        connection.keep_after(blocked)
    }

    async fn backlog(&self, after: Position, filter: Filter) -> Result<Backlog> {
        let settled = self.database.advance().await?;
        let mut connection = self.database.acquire().await?;
        let operations = &mut Operations::alone(&mut connection, &self.database.sql);
        let backlog = operations.backlog(after, settled, &filter).await;
        connection.keep_after(backlog)
    }
}

#[async_trait]
impl JoinableBackend for PostgresBackend {
    type Transaction<'t> = Transaction<'t, Postgres>;

    type Connection = PgConnection;

    /// Both statements go to the server together. Zero would mean for ever there.
    async fn begin_handling(&self, idle: Duration) -> Result<Transaction<'static, Postgres>> {
        let idle = i32::try_from(idle.as_millis()).unwrap_or(i32::MAX).max(1);
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = {idle}"
        );
        self.database.begin_with(AssertSqlSafe(begin)).await
    }

    async fn commit(&self, transaction: Transaction<'static, Postgres>) -> Result<()> {
        transaction::commit(transaction, &self.database.wakeups).await
    }

    fn connection<'a>(transaction: &'a mut Transaction<'_, Postgres>) -> &'a mut PgConnection {
        &mut *transaction
    }

    fn join<'a>(&'a self, transaction: &'a mut Transaction<'_, Postgres>) -> Box<dyn JoinedTransaction + 'a> {
        Box::new(OnConnection { connection: &mut *transaction, sql: &self.database.sql })
    }
}
