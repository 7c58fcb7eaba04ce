//! The store's own connections: nobody else ever gets hold of one of them.
//!
//! Whoever hands out connections of a pool cannot know in what state they come back. sqlx 0.9.0 gives one back with a
//! transaction open when `begin()` is dropped half-way, as web frameworks do for clients that hang up; an append on it would be
//! acknowledged and never committed. So the store's calls run on connections of their own. They are opened as the caller's
//! pool would open them, its `after_connect` included, and then set as our statements need it ([`Session`]). That of a call
//! that was given up half-way is set right before another one gets it; what it was waiting for goes on in a task.
//!
//! Each call has its place among at most so many ([`Places`]); a connection that is not in use is trusted for a second, then tried
//! before it is used, by what server process is behind it, and closed after a minute.
//!
//! A connection lives on the runtime that opened it: once that has ended, or nobody drives it, nothing comes of it any more, though
//! it may seem to live at first. So a call takes one of its own runtime, or opens one, for which one of another runtime is
//! closed where there would be too many.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _};
use tokio::runtime::{self, Handle};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::at_work::Numbered;
use crate::failure::{During, Failure, in_time, no_answer};
use crate::lease::Lease;
use crate::patience::{A_MOMENT, Patience};
use crate::places::{Place, Places, Purpose, Turn};
use crate::pooler::{self, server_process};
use crate::pools::{Pools, not_connected};
use crate::session::{IS_STANDBY, PROCESS, STARTED, Session};
use crate::settled::refused_on_standby;
use crate::wakeups::Wakeups;

/// A connection that was idle for longer than this is tried before it is used: its server may have been restarted.
pub(crate) const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A connection that was idle for longer than this is closed.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// How often idle connections are looked at.
const LOOKS_AROUND: Duration = Duration::from_secs(20);

/// How long an idle connection has to answer.
const A_TRY: Duration = Duration::from_millis(500);

/// How long a connection takes to be closed at most.
const CLOSING: Duration = Duration::from_secs(5);

/// Where the store's calls get their connections.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) pools: Pools,
    pub(crate) session: Session,
    /// How long a call waits for its place, and for a connection.
    pub(crate) acquire_timeout: Duration,
    /// How long a call waits for locks.
    pub(crate) lock_timeout: Duration,
    /// A connection is closed when it is older.
    max_lifetime: Option<Duration>,
    pub(crate) places: Places,
    /// Half of the places are for those that wait for locks: see [`Patience`].
    pub(crate) patient: Arc<Semaphore>,
    idle: Mutex<Idle>,
    /// Who is told of what may have been committed.
    pub(crate) wakeups: OnceLock<Weak<Wakeups>>,
    /// Whether a pooler hands out server connections by the transaction, which the store was not told of.
    are_shared: AtomicBool,
}

/// What a store's connections are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) session: Session,
    pub(crate) max_connections: u32,
    pub(crate) acquire_timeout: Duration,
    pub(crate) lock_timeout: Duration,
}

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<Waiting>,
    /// The task that lets them go.
    watcher: Option<AbortHandle>,
}

/// A connection that waits for its next call.
#[derive(Debug)]
struct Waiting {
    opened: Opened,
    since: Instant,
    /// Whether its last call went well.
    trusted: bool,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) connection: PgConnection,
    /// Where it lives.
    pub(crate) runtime: runtime::Id,
    at: Instant,
    /// How long its statements wait for locks.
    pub(crate) lock_timeout: Duration,
    /// The server's process behind it; none behind a pooler that hands those out by the transaction: there each marks its own.
    pub(crate) process: Option<Numbered>,
    /// Whether it is of no more use: an answer has not come, or was not read to its end.
    pub(crate) spent: Arc<AtomicBool>,
}

impl Connections {
    pub(crate) fn new(pools: Pools, terms: Terms) -> Arc<Self> {
        let Terms { session, max_connections, acquire_timeout, lock_timeout } = terms;
        let patient = usize::try_from(max_connections / 2).unwrap_or(1).max(1);
        Arc::new(Self {
            max_lifetime: pools.callers().options().get_max_lifetime(),
            pools,
            session,
            acquire_timeout,
            lock_timeout,
            places: Places::new(max_connections),
            patient: Arc::new(Semaphore::new(patient)),
            idle: Mutex::default(),
            wakeups: OnceLock::new(),
            are_shared: AtomicBool::default(),
        })
    }

    /// The pool that callers get connections from. Closed, it closes the store.
    pub(crate) const fn pool(&self) -> &PgPool {
        self.pools.callers()
    }

    /// How connections are made.
    pub(crate) fn connect_options(&self) -> PgConnectOptions {
        self.pools.connect_options()
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a call waits for locks, counted from when it began.
    pub(crate) fn patience(self: &Arc<Self>, purpose: Purpose, since: Instant) -> Patience<'_> {
        Patience::new(self, purpose, since)
    }

    /// A connection whose statements wait for locks for a moment only.
    pub(crate) async fn acquire(self: &Arc<Self>, purpose: Purpose) -> Result<Lease> {
        self.acquire_to_wait(purpose, self.moment()).await
    }

    pub(crate) fn moment(&self) -> Duration {
        A_MOMENT.min(self.lock_timeout)
    }

    /// A connection whose statements wait so long for locks: the idle one that was used last, or a new one.
    pub(crate) async fn acquire_to_wait(
        self: &Arc<Self>,
        purpose: Purpose,
        lock_timeout: Duration,
    ) -> Result<Lease> {
        let since = Instant::now();
        let place = self.place(purpose, since).await?;
        let mut lease = match self.take_idle(lock_timeout) {
            Some(waiting) if waiting.is_trusted() => Lease::new(waiting.opened, Arc::clone(self), place),
            waiting => {
                // In a task: given up, it goes on, and whoever comes next has the connection.
                let home = Arc::clone(self);
                let finding = tokio::spawn(async move {
                    let opened = home.find(waiting, since, lock_timeout).await?;
                    Ok::<_, Error>(Lease::new(opened, home, place))
                });
                finding.await.unwrap_or_else(|ended| Err(Error::unavailable(ended)))?
            }
        };
        lease.wait_for_locks(lock_timeout).await?;
        Ok(lease)
    }

    /// The first idle connection that is still there, beginning with this one, or a new one.
    async fn find(&self, mut one: Option<Waiting>, since: Instant, lock_timeout: Duration) -> Result<Opened> {
        while let Some(waiting) = one {
            if let Some(opened) = self.tried(waiting).await? {
                return Ok(opened);
            }
            if since.elapsed() > self.acquire_timeout {
                return Err(Error::unavailable(no_answer()));
            }
            one = self.take_idle(lock_timeout);
        }
        self.close_foreign();
        self.open(since, lock_timeout).await
    }

    /// The turn of a long load.
    pub(crate) async fn turn(&self) -> Result<Turn> {
        match timeout(self.acquire_timeout, self.places.turn()).await {
            Ok(turn) => turn.ok_or(Error::Closed),
            Err(_) => Err(Error::busy(self.acquire_timeout)),
        }
    }

    /// A place among those that have a connection.
    async fn place(&self, purpose: Purpose, since: Instant) -> Result<Place> {
        if self.pool().is_closed() {
            return Err(Error::Closed);
        }
        if self.are_shared.load(Ordering::Relaxed) {
            return Err(pooler::refused(pooler::ANOTHER_PROCESS));
        }
        match timeout(self.acquire_timeout, self.places.take(purpose)).await {
            Ok(place) => place.ok_or(Error::Closed),
            Err(_) => Err(Error::busy(since.elapsed())),
        }
    }

    /// The idle connection of this runtime that was used last, of those that wait so long for locks already, if there are such.
    fn take_idle(&self, lock_timeout: Duration) -> Option<Waiting> {
        let (mut idle, here) = (self.idle(), Handle::current().id());
        let last = |which: &dyn Fn(&Opened) -> bool| {
            idle.connections.iter().rposition(|waiting| which(&waiting.opened))
        };
        let place = last(&|opened| opened.runtime == here && opened.lock_timeout == lock_timeout)
            .or_else(|| last(&|opened| opened.runtime == here))?;
        Some(idle.connections.remove(place))
    }

    /// Makes room for a connection of this runtime, all of whose own are in use.
    fn close_foreign(&self) {
        let mut idle = self.idle();
        if idle.connections.len() > self.places.free() {
            let foreign = idle.connections.remove(0);
            drop(idle);
            close(foreign.opened.connection);
        }
    }

    async fn open(&self, since: Instant, lock_timeout: Duration) -> Result<Opened> {
        let mut connection = self.connect(since).await?;
        let process = self.set(&mut connection, lock_timeout).await?;
        Ok(Opened::here(connection, lock_timeout, process))
    }

    /// Whether to try once more what runs before the settings are made, and so under the role's own limits, such as a
    /// `statement_timeout` of a few milliseconds.
    pub(crate) fn was_cut_short<T>(&self, tried: &Result<T>, since: Instant) -> bool {
        matches!(tried, Err(Error::Busy { .. })) && since.elapsed() < self.acquire_timeout
    }

    /// A connection as it comes, in which nothing is set.
    pub(crate) async fn connect(&self, since: Instant) -> Result<PgConnection> {
        let left = self.acquire_timeout.saturating_sub(since.elapsed());
        let source = self.pools.source();
        match timeout(left, source.acquire()).await.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(connection) => Ok(connection.detach()),
            Err(error) => match not_connected(source, error, since).await {
                Error::StoreNotFound { problem, .. } => {
                    Err(Error::StoreNotFound { place: self.place_of_the_store(), problem })
                }
                other => Err(other),
            },
        }
    }

    /// Where the database is, for messages; no password.
    pub(crate) fn place_of_the_store(&self) -> String {
        let options = self.connect_options();
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        format!("{}:{}/{database}", options.get_host(), options.get_port())
    }

    /// Makes the settings. Tells the server's process. A standby is refused here already: what is loaded there may be old.
    async fn set(&self, connection: &mut PgConnection, lock_timeout: Duration) -> Result<Option<Numbered>> {
        if self.session.behind_pooler {
            return Ok(None);
        }
        let (settings, since) = (self.session.opening(lock_timeout), Instant::now());
        loop {
            let setting = sqlx::raw_sql(AssertSqlSafe(settings.clone())).fetch_one(&mut *connection);
            let set = answer_in_time(self.acquire_timeout, setting).await;
            if !self.was_cut_short(&set, since) {
                let set = set?;
                let is_standby = set.try_get(IS_STANDBY).unwrap_or(false);
                let told = set.try_get(PROCESS).ok().zip(set.try_get(STARTED).ok());
                let process = told.map(|(number, started)| Numbered { number, started });
                return if is_standby { Err(refused_on_standby()) } else { Ok(process) };
            }
        }
    }

    /// Takes in a connection that was opened beside the others.
    pub(crate) async fn adopt(self: &Arc<Self>, mut connection: PgConnection) -> Result<()> {
        let lock_timeout = self.moment();
        let process = self.set(&mut connection, lock_timeout).await?;
        self.keep(Opened::here(connection, lock_timeout, process), true);
        Ok(())
    }

    /// An idle connection, if it is still there. With another process of the server behind it, it is shared with others, and so
    /// may be all of them: from now on none is used.
    async fn tried(&self, waiting: Waiting) -> Result<Option<Opened>> {
        if waiting.is_trusted() {
            return Ok(Some(waiting.opened));
        }
        let mut opened = waiting.opened;
        let asked = timeout(A_TRY, server_process(&mut opened.connection)).await;
        let Ok(Ok(process)) = asked else { return Ok(None) };
        if opened.process.is_none_or(|own| own.number == process) {
            return Ok(Some(opened));
        }
        self.are_shared.store(true, Ordering::Relaxed);
        close(opened.connection);
        Err(pooler::refused(pooler::ANOTHER_PROCESS))
    }

    /// Keeps a connection for the next call.
    pub(crate) fn keep(self: &Arc<Self>, opened: Opened, trusted: bool) {
        let is_old = self.max_lifetime.is_some_and(|lifetime| opened.at.elapsed() > lifetime);
        if is_old || self.pool().is_closed() {
            return close(opened.connection);
        }
        let mut idle = self.idle();
        idle.connections.push(Waiting { opened, since: Instant::now(), trusted });
        // The runtime of the last one may have ended.
        if idle.watcher.as_ref().is_none_or(AbortHandle::is_finished) {
            idle.watcher = spawn(let_go(Arc::downgrade(self), self.pool().clone()));
        }
    }

    /// Closes what is idle: its server takes no writes, and may not be the one that the address leads to by now.
    pub(crate) fn leave_server(&self) {
        self.close_idle(Duration::ZERO);
    }

    /// Closes what was idle for so long. Whether anything is left.
    fn close_idle(&self, idle_for: Duration) -> bool {
        let mut idle = self.idle();
        let old = idle.connections.extract_if(.., |waiting| waiting.since.elapsed() >= idle_for);
        let old: Vec<_> = old.collect();
        let is_left = !idle.connections.is_empty();
        idle.watcher.take_if(|_| !is_left);
        drop(idle);
        old.into_iter().for_each(|waiting| close(waiting.opened.connection));
        is_left
    }
}

/// Closes what stays idle, until nothing is left, and everything once the caller has closed the pool.
async fn let_go(connections: Weak<Connections>, callers: PgPool) {
    let mut closed = callers.close_event();
    drop(callers);
    loop {
        let is_closed = timeout(LOOKS_AROUND, &mut closed).await.is_ok();
        let Some(connections) = connections.upgrade() else { return };
        if !connections.close_idle(if is_closed { Duration::ZERO } else { IDLE_FOR }) || is_closed {
            return;
        }
    }
}

/// Runs what outlives its caller, on the caller's runtime. What is given up outside of any is dropped as it is.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
    Some(Handle::try_current().ok()?.spawn(task).abort_handle())
}

/// Closes a connection, in a task, and not for ever: the server may not listen.
pub(crate) fn close(connection: PgConnection) {
    spawn(async move {
        let _ = timeout(CLOSING, connection.close()).await;
    });
}

impl Waiting {
    fn is_trusted(&self) -> bool {
        self.trusted && self.since.elapsed() <= TRUSTED_FOR
    }
}

impl Opened {
    fn here(connection: PgConnection, lock_timeout: Duration, process: Option<Numbered>) -> Self {
        let (runtime, spent) = (Handle::current().id(), Arc::default());
        Self { connection, runtime, at: Instant::now(), lock_timeout, process, spent }
    }
}

/// The answer to what should be answered at once.
pub(crate) async fn answer_in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T> {
    let since = Instant::now();
    in_time(patience, answer)
        .await
        .map_err(|error| Failure::from(error).into_error(During::NothingKept, since.elapsed()))
}
