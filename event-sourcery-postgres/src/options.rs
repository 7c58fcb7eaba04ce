//! How a store is opened.

use std::time::Duration;

use event_sourcery::{Error, Result};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::backend::PostgresBackend;
use crate::rights::Rights;

/// A connection that was idle for longer than this is tried before it is used: its server may have been restarted.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// How a store is opened. The defaults are those of [`PostgresBackend::connect`].
///
/// ```
/// # use event_sourcery_postgres::PostgresOptions;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let database = postgres_cluster::Server::shared().create_database();
/// # let url = database.url();
/// let backend = PostgresOptions::new(&url).schema("billing").table_prefix("billing_").open().await?;
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use = "options open nothing until `.open()` is called and awaited"]
pub struct PostgresOptions {
    source: Source,
    pub(crate) schema: Option<String>,
    pub(crate) prefix: String,
    pub(crate) migrate: bool,
    pub(crate) notifications: bool,
    max_connections: u32,
    acquire_timeout: Duration,
}

/// Where connections come from.
#[derive(Debug, Clone)]
enum Source {
    Url(String),
    Pool(PgPool),
}

impl PostgresOptions {
    /// The default options for a database, with a pool of the store's own.
    pub fn new(url: impl Into<String>) -> Self {
        Self::from(Source::Url(url.into()))
    }

    /// The default options for a pool of the caller's. The store uses it as it is: see
    /// [`pool_options`](Self::pool_options) for good settings.
    pub fn with_pool(pool: PgPool) -> Self {
        Self::from(Source::Pool(pool))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            schema: None,
            prefix: "event_sourcery_".to_owned(),
            migrate: true,
            notifications: true,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
        }
    }

    /// The schema that the tables are in; created where it is missing. The first one of the connection's `search_path` by
    /// default.
    pub fn schema(self, schema: impl Into<String>) -> Self {
        Self { schema: Some(schema.into()), ..self }
    }

    /// What the tables' names begin with: lower-case letters, digits and underscores, at most 24, not a digit first.
    /// `event_sourcery_` by default, the tables of Event Sourcery for Python. Two stores in one database share a transaction
    /// and nothing else.
    pub fn table_prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), ..self }
    }

    /// Whether to create, adopt and update the tables. On by default; see [`migration`](Self::migration) for those who
    /// run it themselves.
    pub fn migrate(self, migrate: bool) -> Self {
        Self { migrate, ..self }
    }

    /// Whether processes wake each other by `NOTIFY`. On by default: a reader that waits is then told of other processes'
    /// commits within milliseconds, on one connection of its own beside the pool. Without, and where a notification is
    /// lost, it looks every 100 ms. Switch it off behind a pooler in transaction mode, where nobody can listen.
    ///
    /// An append's transaction never notifies. A process announces what it has committed afterwards, at most every 20 ms.
    pub fn notifications(self, notifications: bool) -> Self {
        Self { notifications, ..self }
    }

    /// How many connections a pool of the store's own has at most, at least one. 10 by default.
    pub fn max_connections(self, connections: u32) -> Self {
        Self { max_connections: connections, ..self }
    }

    /// How long a call waits for a connection of a pool of the store's own, before it is [`Error::Busy`], or
    /// [`Error::Unavailable`] where the server cannot be reached. 5 seconds by default.
    pub fn acquire_timeout(self, timeout: Duration) -> Self {
        Self { acquire_timeout: timeout, ..self }
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the server cannot be reached, [`Error::StoreNotFound`] for a database that does not
    /// exist, [`Error::ForeignLayout`] for tables that are not ours, for those of a kind for which readers could miss events (views,
    /// partitions, subscribers of logical replication, unlogged tables and others), and for a sequence that hands out positions
    /// ahead (`CACHE` above 1), [`Error::NumberingWentBack`] for one that is behind the positions that were given before,
    /// [`Error::MissingGrant`] for a role that may not read the tables, [`Error::ReadOnly`] for a standby, [`Error::NewerLayout`], [`Error::MigrationNeeded`],
    /// [`Error::InvalidOption`], [`Error::Backend`].
    pub async fn open(self) -> Result<PostgresBackend> {
        PostgresBackend::with_options(self).await
    }

    /// The SQL that opening this store would run to migrate it: empty where there is nothing to do. Run it in one
    /// transaction. Nothing is changed by printing it.
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// ```
    /// # use event_sourcery_postgres::PostgresOptions;
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let database = postgres_cluster::Server::shared().create_database();
    /// # let url = database.url();
    /// let sql = PostgresOptions::new(&url).migration().await?;
    /// assert!(sql.contains("CREATE TABLE \"public\".event_sourcery_streams"));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub async fn migration(&self) -> Result<String> {
        PostgresBackend::migration(self).await
    }

    /// The SQL that gives a role the rights on this store's tables that it needs, and no others. Run it as whoever may grant them,
    /// and again after a migration: it names the tables that there are. Nothing is changed by printing it.
    ///
    /// # Errors
    ///
    /// [`Error::MigrationNeeded`] while there are no tables, and as for [`open`](Self::open).
    ///
    /// ```
    /// # use event_sourcery_postgres::{PostgresBackend, PostgresOptions, Rights};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let database = postgres_cluster::Server::shared().create_database();
    /// # let url = database.url();
    /// # PostgresBackend::connect(&url).await?;
    /// let sql = PostgresOptions::new(&url).grants("reporting", Rights::Reader).await?;
    /// assert!(sql.contains("GRANT SELECT ON \"public\".event_sourcery_events TO \"reporting\";"));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub async fn grants(&self, role: &str, rights: Rights) -> Result<String> {
        PostgresBackend::grants(self, role, rights).await
    }

    /// Whether the pool is the store's own.
    pub(crate) const fn has_own_pool(&self) -> bool {
        matches!(self.source, Source::Url(_))
    }

    /// The pool: the caller's, or a new one, which has not connected yet.
    pub(crate) fn pool(&self) -> Result<PgPool> {
        let url = match &self.source {
            Source::Pool(pool) => return Ok(pool.clone()),
            Source::Url(url) => url,
        };
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let problem = "it has to begin with postgres:// or postgresql://".to_owned();
            return Err(Error::InvalidOption { option: "url", problem });
        }
        let invalid = |error: sqlx::Error| Error::InvalidOption { option: "url", problem: error.to_string() };
        let connect: PgConnectOptions = url.parse().map_err(invalid)?;
        let pool =
            Self::pool_options().max_connections(self.max_connections).acquire_timeout(self.acquire_timeout);
        Ok(pool.connect_lazy_with(connect))
    }

    /// The settings of a pool of the store's own, for a pool that you make: a connection is tried before it is used only
    /// if it was idle for more than a second. sqlx would try it each time, which costs a round trip a call; without any
    /// trial, the first calls after a restart of the server fail.
    pub fn pool_options() -> PgPoolOptions {
        PgPoolOptions::new().test_before_acquire(false).before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_FOR {
                    sqlx::Connection::ping(connection).await?;
                }
                Ok(true)
            })
        })
    }

    /// Refuses what no store can be opened with.
    pub(crate) fn check(&self) -> Result<()> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts_with_digit = self.prefix.starts_with(|c: char| c.is_ascii_digit());
        if self.prefix.len() > 24 || starts_with_digit || !self.prefix.chars().all(allowed) {
            let problem = format!(
                "{:?} has to be at most 24 lower-case letters, digits and underscores, and not to begin with a digit",
                self.prefix
            );
            return Err(Error::InvalidOption { option: "table_prefix", problem });
        }
        if let Some(schema) = &self.schema
            && (schema.is_empty() || schema.len() > 63 || schema.contains('\0'))
        {
            let problem = format!("{schema:?} has to be 1 to 63 bytes long, without NUL");
            return Err(Error::InvalidOption { option: "schema", problem });
        }
        if self.max_connections == 0 {
            let problem = "there has to be at least one".to_owned();
            return Err(Error::InvalidOption { option: "max_connections", problem });
        }
        Ok(())
    }
}
