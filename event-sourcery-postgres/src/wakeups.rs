//! Who waits is woken: by commits of this process at once, by those of other processes through a notification.
//!
//! No append's transaction notifies: the server lets such transactions commit one after the other only. What this process
//! has committed it announces afterwards, from a task, in a statement of its own, for many commits together. Whoever waits
//! has a task that listens, on a connection of its own. Both are a matter of time only: who is not woken looks again. So both tasks
//! may be on any runtime of the process, also on one that nobody drives for a while.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use event_sourcery::Result;
use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::AbortHandle;

use crate::at_work::answer;
use crate::connections::{Connections, spawn};
use crate::failure::in_time;
use crate::places::Purpose;
use crate::sql::Sql;

/// The channel of all stores in a database; what is said there is whose events were committed.
const CHANNEL: &str = "event_sourcery";

/// A process announces its commits at most so often.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(20);

/// For so long a notification is taken for an own one that comes from where the last one was sent.
const OWN_FOR: Duration = Duration::from_millis(200);

/// How long somebody listens after the last one has waited.
const LISTENS_ON: Duration = Duration::from_secs(60);

/// How often a listener looks whether there is still somebody who waits, and whether the server is still there.
const LOOKS_AROUND: Duration = Duration::from_secs(20);

/// How long the server has to answer it.
const AN_ANSWER: Duration = Duration::from_secs(5);

/// How long a listener without a connection waits before it tries again, at first and at most.
const RETRIES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The waiting and the committing of a process.
#[derive(Debug)]
pub(crate) struct Wakeups {
    committed: Notify,
    /// How many commits, or what may have been some, have become known.
    heard: AtomicU64,
    /// When something was last heard of, or found.
    stirred: Mutex<Option<Instant>>,
    /// Whether somebody listens for those of other processes.
    listens: AtomicBool,
    /// How many wait.
    waiting: AtomicUsize,
    /// None where nobody is to notify.
    notifications: Option<Notifications>,
}

#[derive(Debug)]
struct Notifications {
    connections: Arc<Connections>,
    sql: Arc<Sql>,
    /// How the store's own notifications read.
    about: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Something was committed that is not announced yet.
    to_announce: bool,
    /// By which process of the server's that was last done, and when.
    announced_by: Option<(u32, Instant)>,
    announcer: Option<AbortHandle>,
    listener: Option<AbortHandle>,
}

impl Wakeups {
    pub(crate) fn new(
        connections: &Arc<Connections>,
        sql: &Arc<Sql>,
        about: String,
        notify: bool,
    ) -> Arc<Self> {
        let notifications = notify.then(|| Notifications {
            connections: Arc::clone(connections),
            sql: Arc::clone(sql),
            about,
            state: Mutex::default(),
        });
        Arc::new(Self {
            committed: Notify::new(),
            heard: AtomicU64::new(0),
            stirred: Mutex::default(),
            listens: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            notifications,
        })
    }

    /// Something was committed, or may have been.
    pub(crate) fn committed(self: &Arc<Self>) {
        self.hear();
        let Some(notifications) = &self.notifications else { return };
        let mut state = notifications.state();
        state.to_announce = true;
        if has_ended(state.announcer.as_ref()) {
            state.announcer = spawn(Arc::clone(self).announce());
        }
    }

    /// Wakes all who wait. Counted first: whoever has not begun to wait finds it counted.
    fn hear(&self) {
        self.heard.fetch_add(1, Ordering::AcqRel);
        self.stir();
    }

    /// Something may be committed soon, of which nobody is told: those who wait look often again.
    pub(crate) fn stir(&self) {
        *self.stirred() = Some(Instant::now());
        self.committed.notify_waiters();
    }

    fn stirred(&self) -> MutexGuard<'_, Option<Instant>> {
        self.stirred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many commits have become known.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Acquire)
    }

    /// Whether nothing was heard of for so long, and somebody would have told.
    pub(crate) fn is_quiet(&self, since: Duration) -> bool {
        let is_told = self.listens.load(Ordering::Acquire);
        is_told && self.stirred().is_none_or(|stirred| stirred.elapsed() >= since)
    }

    /// The next commit that becomes known, from now on.
    pub(crate) fn next(&self) -> Notified<'_> {
        self.committed.notified()
    }

    /// Somebody waits, for as long as this is kept.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if let Some(notifications) = &self.notifications {
            let mut state = notifications.state();
            if has_ended(state.listener.as_ref()) {
                let options = notifications.connections.connect_options();
                let listener = Listener { wakeups: Arc::downgrade(self), options };
                state.listener = spawn(listener.run());
            }
        }
        Waiting(&self.waiting)
    }

    async fn announce(self: Arc<Self>) {
        let Some(notifications) = &self.notifications else { return };
        while notifications.is_something_to_announce() {
            if let Err(problem) = notifications.announce().await {
                tracing::debug!(
                    problem = problem.in_full(),
                    "other processes were not told of a commit, and find it by looking"
                );
            }
            tokio::time::sleep(ANNOUNCE_EVERY).await;
        }
    }

    /// Whether nobody has waited for long, and the listener goes. Whoever waits next starts another one.
    fn lets_the_listener_go(&self, idle_since: &mut Instant) -> bool {
        let Some(notifications) = &self.notifications else { return true };
        let mut state = notifications.state();
        if self.waiting.load(Ordering::Acquire) > 0 {
            *idle_since = Instant::now();
        }
        let goes = idle_since.elapsed() > LISTENS_ON;
        if goes {
            state.listener = None;
        }
        goes
    }
}

impl Drop for Wakeups {
    fn drop(&mut self) {
        let Some(notifications) = &self.notifications else { return };
        if let Some(listener) = notifications.state().listener.take() {
            listener.abort();
        }
    }
}

impl Notifications {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_something_to_announce(&self) -> bool {
        let mut state = self.state();
        let is_something = std::mem::take(&mut state.to_announce);
        state.announcer.take_if(|_| !is_something);
        is_something
    }

    async fn announce(&self) -> Result<()> {
        let mut connection = self.connections.acquire(Purpose::Read).await?;
        let at_work = connection.at_work();
        let told = answer(at_work.as_ref(), self.sql.announce.query().fetch_one(&mut *connection)).await;
        let by = told.and_then(|told| told.try_get::<i32, _>(1)).map_err(crate::classify);
        let by = connection.keep_after(by)?;
        self.state().announced_by = Some((by.cast_unsigned(), Instant::now()));
        Ok(())
    }

    /// Whether it was this process that has announced it: whoever waits here knows already. A process of the server's that was
    /// somebody else's before is not taken for that for long.
    fn is_own(&self, by: u32) -> bool {
        let last = self.state().announced_by;
        last.is_some_and(|(own, when)| own == by && when.elapsed() < OWN_FOR)
    }
}

/// Whether there is no such task any more: its runtime may have ended.
fn has_ended(task: Option<&AbortHandle>) -> bool {
    task.is_none_or(AbortHandle::is_finished)
}

/// One that waits.
pub(crate) struct Waiting<'w>(&'w AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Listens for other processes' commits, until nobody wants to know.
struct Listener {
    wakeups: Weak<Wakeups>,
    options: PgConnectOptions,
}

impl Listener {
    async fn run(self) {
        let (shortest, longest) = RETRIES;
        let (mut idle_since, mut pause) = (Instant::now(), shortest);
        loop {
            let began = Instant::now();
            match self.listen(&mut idle_since).await {
                Ok(()) => return,
                Err(problem) => tracing::debug!(%problem, "nobody listens for other processes' commits"),
            }
            if self.is_let_go(&mut idle_since) {
                return;
            }
            pause = if began.elapsed() > longest { shortest } else { longest.min(pause * 2) };
            tokio::time::sleep(pause).await;
        }
    }

    fn is_let_go(&self, idle_since: &mut Instant) -> bool {
        self.wakeups.upgrade().is_none_or(|wakeups| wakeups.lets_the_listener_go(idle_since))
    }

    async fn listen(&self, idle_since: &mut Instant) -> Result<(), sqlx::Error> {
        let own = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let own = own.connect_lazy_with(self.options.clone());
        let mut listener = PgListener::connect_with(&own).await?;
        in_time(AN_ANSWER, listener.listen(CHANNEL)).await?;
        let _listens = Listens::start(&self.wakeups);
        self.wake(None);
        while !self.is_let_go(idle_since) {
            // Nothing is lost when it is given up: it is asked again.
            match tokio::time::timeout(LOOKS_AROUND, listener.try_recv()).await {
                Ok(Ok(Some(told))) => self.wake(Some((told.payload(), told.process_id()))),
                // It was without a connection, and does not know what was said meanwhile.
                Ok(Ok(None)) => self.wake(None),
                Ok(Err(problem)) => return Err(problem),
                // Nobody has said anything, or the way to the server is broken.
                Err(_) => {
                    in_time(AN_ANSWER, sqlx::raw_sql("SELECT 1").execute(&mut listener)).await?;
                }
            }
        }
        Ok(())
    }

    /// Wakes all who wait, if others have said something about their store, or may have.
    fn wake(&self, told: Option<(&str, u32)>) {
        if let Some(wakeups) = self.wakeups.upgrade()
            && let Some(notifications) = &wakeups.notifications
            && told.is_none_or(|(about, by)| about == notifications.about && !notifications.is_own(by))
        {
            wakeups.hear();
        }
    }
}

/// Somebody listens, for as long as this is kept.
struct Listens<'l>(&'l Weak<Wakeups>);

impl<'l> Listens<'l> {
    fn start(wakeups: &'l Weak<Wakeups>) -> Self {
        let listens = Self(wakeups);
        listens.note(true);
        listens
    }

    fn note(&self, listens: bool) {
        if let Some(wakeups) = self.0.upgrade() {
            wakeups.listens.store(listens, Ordering::Release);
        }
    }
}

/// Those who wait look often again, from their next look on.
impl Drop for Listens<'_> {
    fn drop(&mut self) {
        self.note(false);
    }
}
