//! Connections: those of the pool, and a few that are kept back for a moment.
//!
//! sqlx tries every connection that goes back to the pool, in a task of its own, before anybody can have it again. That is
//! a round trip and two changes of tasks a call, a third of a short call's time. So a connection of our own pool whose call
//! went well is kept back for the next call, for a few milliseconds, unless somebody is waiting for one.

use std::io::ErrorKind;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;

use crate::failure::{During, Failure};

/// How long a connection is kept back.
const KEPT_FOR: Duration = Duration::from_millis(5);

/// How long it stays away from the pool at most: others wait there for their turn.
const AWAY_FOR: Duration = Duration::from_millis(50);

/// How long it takes at most to find out whether the server can be reached.
const A_TRY: Duration = Duration::from_millis(500);

/// Where calls get their connections.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) pool: PgPool,
    /// Whether the pool is the store's own: a caller's is not kept from its other users.
    own: bool,
    /// Where batches run too: their callers may be gone.
    pub(crate) runtime: Handle,
    kept: Mutex<Kept>,
    /// How many wait for the pool.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Kept {
    connections: Vec<Idle>,
    /// Whether a task is there to give them back.
    watched: bool,
}

/// A connection that is kept back.
#[derive(Debug)]
struct Idle {
    connection: PoolConnection<Postgres>,
    /// When it left the pool.
    left: Instant,
    since: Instant,
}

impl Connections {
    pub(crate) fn new(pool: PgPool, own: bool) -> Arc<Self> {
        let (kept, waiting) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { pool, own, runtime: Handle::current(), kept, waiting })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection: the one that was kept back last, or one of the pool.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Result<Lease> {
        let kept = self.kept().connections.pop();
        let (connection, left) = match kept {
            Some(Idle { connection, left, .. }) => (connection, left),
            None => {
                let _waiting = Waiting::new(&self.waiting);
                (acquire(&self.pool).await?, Instant::now())
            }
        };
        Ok(Lease { connection: Some(connection), left, home: Arc::clone(self) })
    }

    fn keep(self: &Arc<Self>, connection: PoolConnection<Postgres>, left: Instant) {
        if !self.own || self.waiting.load(Ordering::Acquire) > 0 || left.elapsed() > AWAY_FOR {
            return;
        }
        let mut kept = self.kept();
        kept.connections.push(Idle { connection, left, since: Instant::now() });
        if !std::mem::replace(&mut kept.watched, true) {
            self.runtime.spawn(Arc::clone(self).give_back());
        }
    }

    /// Gives back to the pool what nobody came for, until nothing is kept.
    async fn give_back(self: Arc<Self>) {
        loop {
            tokio::time::sleep(KEPT_FOR).await;
            let mut kept = self.kept();
            let old = kept.connections.partition_point(|idle| idle.since.elapsed() >= KEPT_FOR);
            let old: Vec<_> = kept.connections.drain(..old).collect();
            kept.watched = !kept.connections.is_empty();
            let watched = kept.watched;
            drop(kept);
            drop(old);
            if !watched {
                return;
            }
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        // The pool takes connections back in a task.
        let _runtime = self.runtime.enter();
        self.kept().connections.clear();
    }
}

/// Counts a caller that waits for the pool, for as long as it does.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A connection in use, until the call is over. A call that is given up half-way may leave a transaction open: dropped, the
/// connection is closed.
pub(crate) struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    /// When it left the pool.
    left: Instant,
    home: Arc<Connections>,
}

impl Lease {
    /// The call is over, and the next one can have the connection.
    pub(crate) fn keep(mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.keep(connection, self.left);
        }
    }

    /// The call is over, and the pool is to try the connection.
    pub(crate) fn give_back(mut self) {
        drop(self.connection.take());
    }

    /// The call is over; whether it went well.
    pub(crate) fn end(self, went_well: bool) {
        if went_well { self.keep() } else { self.give_back() }
    }

    /// Where what outlives its caller runs.
    pub(crate) fn runtime(&self) -> Handle {
        self.home.runtime.clone()
    }

    /// The call is over, with this result.
    pub(crate) fn keep_after<T>(self, result: Result<T>) -> Result<T> {
        if result.is_ok() {
            self.keep();
        } else {
            self.give_back();
        }
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    #[allow(clippy::expect_used, reason = "only what consumes the lease takes its connection")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("a lease has its connection")
    }
}

impl DerefMut for Lease {
    #[allow(clippy::expect_used, reason = "only what consumes the lease takes its connection")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a lease has its connection")
    }
}

/// A connection of the pool.
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
        match tokio::time::timeout(A_TRY, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => drop(connection.close().await),
            Ok(Err(error)) => failure = error,
            // A pool that is full has reached it: it is only slow.
            Err(_) if pool.size() >= pool.options().get_max_connections() => {}
            Err(_) => failure = std::io::Error::new(ErrorKind::TimedOut, "the server does not answer").into(),
        }
    }
    Failure::from(failure).into_error(During::NothingKept, since.elapsed())
}
