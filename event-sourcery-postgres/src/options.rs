//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::{Error, Result};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::backend::PostgresBackend;
use crate::connections::{Connections, TRUSTED_FOR, Terms};
use crate::pools::{Pools, closing_open_transactions};
use crate::rights::Rights;
use crate::session::Session;

/// How many connections the calls of a store share, unless told otherwise.
const MAX_CONNECTIONS: u32 = 10;

/// How a store is opened. The defaults are those of [`PostgresBackend::connect`]. `Debug` shows no password.
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
    pub(crate) transaction_pooler: bool,
    pub(crate) look_every: Option<Duration>,
    accept_lost_commits: bool,
    max_connections: Option<u32>,
    acquire_timeout: Duration,
    lock_timeout: Duration,
}

/// Where connections come from.
#[derive(Clone)]
enum Source {
    Url(String),
    Pool(PgPool),
}

/// Without the password, and whatever else an address may hold beside what is shown.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = match self {
            Self::Pool(pool) => return pool.fmt(f),
            Self::Url(url) => url.parse::<PgConnectOptions>(),
        };
        let Ok(options) = options else { return f.write_str("(an address that cannot be read)") };
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        write!(f, "postgres://{user}@{host}:{port}/{}", options.get_database().unwrap_or(user))
    }
}

impl PostgresOptions {
    /// The default options for a database, with a pool of the store's own.
    pub fn new(url: impl Into<String>) -> Self {
        Self::from(Source::Url(url.into()))
    }

    /// The default options for a pool of the caller's. Transactions that the store hands out begin on it; the store's own calls
    /// run on connections of their own, which are opened as the pool opens its own, `after_connect` included. See
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
            transaction_pooler: false,
            look_every: None,
            accept_lost_commits: false,
            max_connections: None,
            acquire_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(5),
        }
    }

    /// The schema that the tables are in, called anything that PostgreSQL allows; created where it is missing. The first one of
    /// the connection's `search_path` by default.
    pub fn schema(self, schema: impl Into<String>) -> Self {
        Self { schema: Some(schema.into()), ..self }
    }

    /// What the tables' names begin with: at most 24 bytes of anything that PostgreSQL allows, told apart by upper and lower case.
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
    /// lost, it looks [now and then](Self::look_every). Off behind a [`transaction_pooler`](Self::transaction_pooler), where nobody can listen.
    ///
    /// An append's transaction never notifies. A process announces what it has committed afterwards, at most every 20 ms.
    pub fn notifications(self, notifications: bool) -> Self {
        Self { notifications, ..self }
    }

    /// How often readers that wait look for commits that nobody tells them of: those of other writers, of transactions that were not
    /// [begun](PostgresBackend::begin) through a store, and all of other processes where nobody listens. A process looks for all of
    /// its readers at once.
    ///
    /// By default every 100 ms; and every 2 s where it is told of others' commits, and was told of none, and found none, for 5 s, and
    /// no transaction that has appended is open. A process that is to be idle where it cannot be told looks less often; one that follows other
    /// writers in an idle store looks more often. It looks every millisecond at most.
    pub fn look_every(self, time: Duration) -> Self {
        Self { look_every: Some(time.max(Duration::from_millis(1))), ..self }
    }

    /// How many connections the store's own calls share, at least one. 10 by default, or as many as a pool of the caller's may
    /// have, if those are fewer. Nobody else gets hold of them; each is opened when it is needed, and closed after a minute
    /// without use. Those that write have three quarters of them at most, so that readers go on while appends wait for a standby.
    ///
    /// In all, a store opens up to so many for its calls, as many again for handlers that run within transactions and for
    /// appends that somebody [listens](event_sourcery::EventStore::listen) to, as many again for
    /// [`begin`](PostgresBackend::begin) and [`pool`](PostgresBackend::pool), and one to listen on while somebody
    /// waits. A store with a pool of the caller's takes the third kind from that pool; one with an address takes the second and
    /// the third from one pool. What is not used is not opened. While the store is opened, it takes two.
    pub fn max_connections(self, connections: u32) -> Self {
        Self { max_connections: Some(connections), ..self }
    }

    /// How long a call waits for a connection, before it is [`Error::Busy`], or [`Error::Unavailable`] where the server cannot
    /// be reached; also where a call asks whether the server is still at work on it. 5 seconds by default. Where transactions begin on a pool of the caller's, its own time counts. Behind a
    /// [`transaction_pooler`](Self::transaction_pooler) that has no server connection to give, its `query_wait_timeout` counts.
    pub fn acquire_timeout(self, timeout: Duration) -> Self {
        Self { acquire_timeout: timeout, ..self }
    }

    /// How long a call waits for what somebody else's transaction holds, such as a stream, before it is [`Error::Busy`], and
    /// nothing was written. 5 seconds by default. Those that wait take up half of the store's connections at most.
    ///
    /// In a transaction of your own, its own `lock_timeout` counts.
    pub fn lock_timeout(self, timeout: Duration) -> Self {
        Self { lock_timeout: timeout, ..self }
    }

    /// Whether the address is that of a pooler that hands out server connections by the transaction, such as PgBouncer in
    /// transaction mode. Off by default; such a pooler is then refused when the store is opened, or once it shows.
    ///
    /// With it, the store counts on nothing that outlives a transaction: every statement runs in one, which brings its
    /// settings along; no statement is prepared under a name; nobody listens, so that other processes' commits are found by
    /// looking every 100 ms. A call takes three round trips more. What you run in transactions of your own, in handlers and in
    /// listeners, has to do without names too: see [`persistent`](sqlx::query::Query::persistent).
    pub fn transaction_pooler(self, transaction_pooler: bool) -> Self {
        Self { transaction_pooler, ..self }
    }

    /// Whether to leave `synchronous_commit = off` as it is, where the server, the database or the role has set it. Then an
    /// append is acknowledged before it is on disk, and the last ones are lost when the server crashes, even after
    /// readers were handed them. Off by default: an append of the store's own, a snapshot, a deletion, and a checkpoint of `run`
    /// wait for the disk. In a transaction of your own, and in those that `run_within` hands to handlers, the setting of the
    /// connection counts.
    ///
    /// Unless it is accepted, a connection keeps the setting that it was opened with: what is changed on the server counts once
    /// connections are opened anew, at the latest after the pool's `max_lifetime`.
    pub fn accept_lost_commits(self, accept: bool) -> Self {
        Self { accept_lost_commits: accept, ..self }
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] where the server cannot be reached, [`Error::StoreNotFound`] for a database that does not
    /// exist, [`Error::ForeignLayout`] for tables that are not ours, for those of a kind for which readers could miss events (views,
    /// partitions, subscribers of logical replication, unlogged tables and others), and for a sequence that hands out positions
    /// ahead (`CACHE` above 1), [`Error::NumberingWentBack`] for one that is behind the positions that were given before,
    /// [`Error::MissingGrant`] for a role that may not read the tables, [`Error::ReadOnly`] for a standby, [`Error::Busy`] while
    /// somebody is at work on the tables, [`Error::InvalidOption`] also for a pooler that shares connections between clients
    /// and was not [told of](Self::transaction_pooler), [`Error::NewerLayout`], [`Error::MigrationNeeded`], [`Error::Backend`].
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

    /// Where the store's connections come from. Nothing is connected yet.
    pub(crate) fn connections(&self) -> Result<Arc<Connections>> {
        self.check()?;
        let (connections, acquire_timeout) = (self.connection_count(), self.acquire_timeout);
        let pools = match &self.source {
            Source::Pool(pool) => Pools::of_the_callers(pool.clone(), connections, acquire_timeout),
            Source::Url(url) => Pools::of_the_stores(self.pool_for(url)?),
        };
        let session =
            Session { behind_pooler: self.transaction_pooler, may_lose_commits: self.accept_lost_commits };
        let terms =
            Terms { session, max_connections: connections, acquire_timeout, lock_timeout: self.lock_timeout };
        Ok(Connections::new(pools, terms))
    }

    /// How many connections the store's calls share.
    pub(crate) fn connection_count(&self) -> u32 {
        let most = match &self.source {
            Source::Pool(pool) => MAX_CONNECTIONS.min(pool.options().get_max_connections()),
            Source::Url(_) => MAX_CONNECTIONS,
        };
        self.max_connections.unwrap_or(most)
    }

    fn pool_for(&self, url: &str) -> Result<PgPool> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let problem = "it has to begin with postgres:// or postgresql://".to_owned();
            return Err(Error::InvalidOption { option: "url", problem });
        }
        let invalid = |error: sqlx::Error| Error::InvalidOption { option: "url", problem: error.to_string() };
        let connect: PgConnectOptions = url.parse().map_err(invalid)?;
        // A parameter that poolers do not know, and that changes nothing for values in binary form.
        let connect = connect.extra_float_digits(None);
        let pool = Self::pool_options().max_connections(self.connection_count());
        Ok(pool.acquire_timeout(self.acquire_timeout).connect_lazy_with(connect))
    }

    /// Good settings for a pool that you make. A connection is tried before it is used only if it was idle for more than a
    /// second. sqlx would try it each time, which costs a round trip a call; without any trial, the first calls after a
    /// restart of the server fail. And one that comes back with a transaction open is closed: sqlx 0.9.0 gives it back so
    /// when `begin()` is dropped half-way, as happens to a request whose client hangs up, and whoever got it next would
    /// write into a transaction that nobody commits. [`PostgresBackend::begin`] can be dropped anywhere.
    pub fn pool_options() -> PgPoolOptions {
        let options = PgPoolOptions::new().test_before_acquire(false).before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_FOR {
                    sqlx::Connection::ping(connection).await?;
                }
                Ok(true)
            })
        });
        closing_open_transactions(options)
    }

    /// Refuses what no store can be opened with.
    pub(crate) fn check(&self) -> Result<()> {
        // The longest name made with it (an index of the cursors) has 63 bytes, as far as PostgreSQL reads names, with 28.
        if self.prefix.len() > 24 || self.prefix.contains('\0') {
            let problem = format!("{:?} has to be at most 24 bytes long, without NUL", self.prefix);
            return Err(Error::InvalidOption { option: "table_prefix", problem });
        }
        if let Some(schema) = &self.schema
            && (schema.is_empty() || schema.len() > 63 || schema.contains('\0'))
        {
            let problem = format!("{schema:?} has to be 1 to 63 bytes long, without NUL");
            return Err(Error::InvalidOption { option: "schema", problem });
        }
        if self.max_connections == Some(0) {
            let problem = "there has to be at least one".to_owned();
            return Err(Error::InvalidOption { option: "max_connections", problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::PostgresOptions;

    #[test]
    fn no_password_is_shown() {
        let shown = |url: &str| format!("{:?}", PostgresOptions::new(url));
        let billing =
            shown("postgres://billing:s3cret-pw@db.internal:5433/app?sslmode=disable&options=-c%20a%3Db");
        assert!(billing.contains("postgres://billing@db.internal:5433/app"), "{billing}");
        for url in [
            "postgres://billing:s3cret-pw@db.internal/app",
            "postgres://billing@db.internal/app?password=s3cret-pw",
            "postgres://billing:s3cret-pw@db.internal:port/app",
            "mysql://billing:s3cret-pw@db.internal/app",
            "host=db.internal password=s3cret-pw",
            "s3cret-pw",
        ] {
            assert!(!shown(url).contains("s3cret-pw"), "{}", shown(url));
        }
    }
}
