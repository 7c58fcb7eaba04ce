//! The backend: the pool, the tables, and who does what.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Capabilities, DeleteRequest, JoinableBackend, JoinedTransaction,
    LoadRequest, LoadedStream, ScanPage, ScanRequest, SnapshotRequest,
};
use event_sourcery::{Error, Position, Result};
use sqlx::{Connection as _, PgPool, Postgres, SqlSafeStr, Transaction};
use tokio::sync::Notify;

use crate::append::Appends;
use crate::connections::{Connections, Lease, not_connected};
use crate::failure::{During, Failure};
use crate::layout;
use crate::operations::{Operations, takes_one_statement};
use crate::options::PostgresOptions;
use crate::settled::Settled;
use crate::sql::Sql;
use crate::transaction::{OnConnection, PostgresTransaction};

/// How often a reader that waits looks for what it is not told of: commits of other processes, and of transactions that
/// were not begun through the store.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
    pub(crate) sql: Sql,
    pub(crate) appends: Appends,
    settled: Settled,
    /// Wakes those who wait for a commit.
    committed: Arc<Notify>,
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
        let since = Instant::now();
        match self.database.connections.pool.begin_with(statement).await {
            Ok(transaction) => {
                Ok(PostgresTransaction::new(transaction, Arc::clone(&self.database.committed)))
            }
            Err(error) => Err(not_connected(&self.database.connections.pool, error, since).await),
        }
    }

    pub(crate) async fn with_options(options: PostgresOptions) -> Result<Self> {
        options.check()?;
        let pool = options.pool()?;
        let tables = layout::prepare(&pool, &options).await?;
        let (sql, appends) = (Sql::new(&tables), Appends::new(pool.options().get_max_connections()));
        let (settled, committed) = (Settled::default(), Arc::default());
        let connections = Connections::new(pool, options.has_own_pool());
        let database = Database { connections, sql, appends, settled, committed };
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
            self.database.committed.notify_waiters();
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

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        self.database.scan(&request).await
    }

    async fn position(&self) -> Result<Position> {
        self.database.advance().await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        loop {
            // It counts from here on: what is committed after the look wakes it.
            let committed = self.database.committed.notified();
            let settled = self.database.advance().await?;
            if settled > position {
                return Ok(settled);
            }
            // Woken, or tired of waiting: it looks again.
            let _ = tokio::time::timeout(LOOK_AGAIN, committed).await;
        }
    }
}

impl JoinableBackend for PostgresBackend {
    type Transaction<'t> = Transaction<'t, Postgres>;

    fn join<'a>(&'a self, transaction: &'a mut Transaction<'_, Postgres>) -> Box<dyn JoinedTransaction + 'a> {
        Box::new(OnConnection { connection: &mut *transaction, sql: &self.database.sql })
    }
}
