//! The pools of sqlx's that a store has: the caller's, and what is made in its image.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::time::timeout;

use crate::failure::{During, Failure, in_time, no_answer};

/// How long it takes at most to find out whether the server can be reached.
const A_TRY: Duration = Duration::from_millis(500);

/// How long a connection for handlers is kept when none of them needs it.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// How long a connection that comes back has for an answer, whatever statement is still under way on it. Then it is closed: where the
/// way to the server has died in silence, its place would be lost.
const COMING_BACK: Duration = Duration::from_secs(15);

/// Pools of one database.
#[derive(Debug)]
pub(crate) struct Pools {
    /// What callers get connections from.
    callers: PgPool,
    /// For the transactions of handlers.
    handling: PgPool,
    /// Opens connections, and keeps none.
    source: PgPool,
    /// How the caller's pool connected when that was last looked at.
    followed: Mutex<Arc<PgConnectOptions>>,
}

impl Pools {
    /// With a pool that was made for the store. What is released to it is looked at, so handlers can share it.
    pub(crate) fn of_the_stores(pool: PgPool) -> Self {
        let handling = pool.clone();
        Self::with(pool, handling)
    }

    /// With a pool of the caller's, of which nobody knows in what state its connections are. So handlers have another one:
    /// of so many connections, for which they wait so long.
    pub(crate) fn of_the_callers(pool: PgPool, connections: u32, acquire_timeout: Duration) -> Self {
        let options = in_the_image_of(&pool).max_connections(connections).acquire_timeout(acquire_timeout);
        let options = closing_open_transactions(options.idle_timeout(IDLE_FOR));
        let handling = options.connect_lazy_with(plain(&pool.connect_options()));
        Self::with(pool, handling)
    }

    fn with(callers: PgPool, handling: PgPool) -> Self {
        let connect = callers.connect_options();
        let source = in_the_image_of(&callers).idle_timeout(None).max_lifetime(None);
        let source = source.connect_lazy_with(plain(&connect));
        Self { callers, handling, source, followed: Mutex::new(connect) }
    }

    pub(crate) const fn callers(&self) -> &PgPool {
        &self.callers
    }

    pub(crate) fn handling(&self) -> &PgPool {
        self.follow();
        &self.handling
    }

    pub(crate) fn source(&self) -> &PgPool {
        self.follow();
        &self.source
    }

    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        plain(&self.callers.connect_options())
    }

    /// The caller may have given the pool another address, or a new password.
    fn follow(&self) {
        let now = self.callers.connect_options();
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&now, &followed) {
            self.source.set_connect_options(plain(&now));
            self.handling.set_connect_options(plain(&now));
            *followed = now;
        }
    }
}

/// A pool's own hooks, and no connection before it is needed.
fn in_the_image_of(pool: &PgPool) -> PgPoolOptions {
    pool.options().clone().min_connections(0)
}

/// Without the parameter that poolers do not know. Values travel in binary form; it would change nothing.
fn plain(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().extra_float_digits(None)
}

/// Closes connections that come back with a transaction open, or from a server that only follows another one by now. sqlx 0.9.0
/// gives them back with a transaction open when `begin()` is dropped half-way.
///
/// A statement that goes to the server by itself, as text, begins the transaction that it runs in, so that both have one
/// time. In a transaction that is open, the transaction's time is earlier.
pub(crate) fn closing_open_transactions(options: PgPoolOptions) -> PgPoolOptions {
    options.after_release(|connection, _| {
        Box::pin(async move {
            // Whatever its search path is by now.
            let is_useless =
                "SELECT pg_catalog.now() OPERATOR(pg_catalog.<>) pg_catalog.statement_timestamp()
                                     OR pg_catalog.pg_is_in_recovery()";
            let row = sqlx::Executor::fetch_one(connection, sqlx::raw_sql(is_useless));
            let row = in_time(COMING_BACK, row).await?;
            sqlx::Row::try_get::<bool, _>(&row, 0).map(|is_useless| !is_useless)
        })
    })
}

/// A connection of a pool that others use too.
pub(crate) async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>> {
    let since = Instant::now();
    match pool.acquire().await {
        Ok(connection) => Ok(connection),
        Err(error) => Err(not_connected(pool, error, since).await),
    }
}

/// Why there is no connection. The pool says of a server that is away, too, that the time was up.
pub(crate) async fn not_connected(pool: &PgPool, error: sqlx::Error, since: Instant) -> Error {
    let mut failure = error;
    if matches!(failure, sqlx::Error::PoolTimedOut) {
        let options = pool.connect_options();
        match timeout(A_TRY, PgConnection::connect_with(&options)).await {
            // It is dropped as it is: a server that is slow would have to be waited for.
            Ok(Ok(_)) => {}
            Ok(Err(error)) => failure = error,
            // A pool that is full has reached it: it is only slow.
            Err(_) if pool.size() >= pool.options().get_max_connections() => {}
            Err(_) => failure = no_answer(),
        }
    }
    Failure::from(failure).into_error(During::NothingKept, since.elapsed())
}
