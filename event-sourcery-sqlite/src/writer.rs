//! The writer: one thread that owns the writing connection and commits what has queued up together.
//!
//! Group commit: while one transaction is being synced, the next calls queue up, and share the next transaction and its
//! sync. So do closures. Each is refused, or panics, alone. Nothing is answered before the commit. Tenants are served in turn.

mod checkpointer;
mod constraints;
mod group;
mod guard;
mod leftovers;
mod lines;
mod member;
#[cfg(test)]
mod tests;
mod traces;
mod waiting;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use event_sourcery::backend::{Groups, WaitingRoom};
use event_sourcery::{Error, Result, TenantId};
use rusqlite::{Connection, MAIN_DB};
use tokio::sync::{Notify, oneshot};

use self::checkpointer::Checkpointer;
use self::constraints::Constraints;
use self::group::Group;
pub(crate) use self::guard::{Ending, Guard};
use self::lines::{Queued, Receiver, Sender, lines};
use self::member::{Closure, Member, Write};
use self::waiting::waiting;
use crate::backend::Listeners;
use crate::connection;
use crate::layout;
use crate::numbering::{self, Seen};
use crate::operations::Operations;
use crate::options::SqliteOptions;
use crate::sql::Sql;
use crate::transaction::SqliteTransaction;
use crate::watch::OwnWrites;

/// What a closure takes of the room for closures, in bytes: nobody knows what it holds. So 16,384 of one tenant's may wait.
const CLOSURE: usize = 4_096;

/// What the writer shares with those who read and those who listen.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Is told of each commit.
    pub(crate) committed: Arc<Notify>,
    /// How each has left the log.
    pub(crate) own_writes: Arc<OwnWrites>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) listeners: Arc<Listeners>,
    /// What was committed together.
    pub(crate) groups: Arc<Groups>,
}

/// The handle to the writer thread. Dropping it waits until what was queued is committed and the file is closed.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Option<Sender>,
    waiting: WaitingRoom,
    /// Of its own: who can append no more may still run closures, such as those of subscriptions.
    closures: WaitingRoom,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Opens and migrates the file on a thread of its own, and leaves the thread waiting for work. Each commit is told.
    pub(crate) async fn start(options: SqliteOptions, shared: Shared) -> Result<Self> {
        let (jobs, queue) = lines();
        let (opened, ready) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("event-sourcery-writer".to_owned())
            .spawn(move || match WriterThread::open(options, shared) {
                Ok(writer) => {
                    if opened.send(Ok(())).is_ok() {
                        writer.run(&queue);
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|error| Error::backend("sqlite", error))?;
        ready.await.map_err(|_| Error::Closed)??;
        let (waiting, closures) = (WaitingRoom::default(), WaitingRoom::default());
        Ok(Self { jobs: Some(jobs), waiting, closures, thread: Mutex::new(Some(thread)) })
    }

    /// Runs `work` in a group's transaction when it is this tenant's turn, again if need be; the answer comes after the commit. A
    /// panic goes on in the caller. Given up before it has begun, it is not begun.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        whose: Option<TenantId>,
        work: impl Fn(Operations<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write_bytes(whose, 0, work).await
    }

    /// [`write`](Self::write) of so many bytes of a tenant, if there is room for them among what waits.
    pub(crate) async fn write_bytes<T: Send + 'static>(
        &self,
        whose: Option<TenantId>,
        bytes: usize,
        work: impl Fn(Operations<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let (_waiting, slot) = waiting(work, self.waiting.enter(whose.clone(), bytes)?);
        self.send(whose, Box::new(Write::new(slot, reply)))?;
        answer.await.map_err(|_| Error::Closed)?.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `work` once, in a group's transaction, when it is this tenant's turn; the answer comes after the commit, or once all of it
    /// was taken back. A panic goes on in the caller. Given up before it has begun, it is not begun.
    pub(crate) async fn transaction<T, E>(
        &self,
        whose: TenantId,
        work: impl for<'t> FnOnce(&mut SqliteTransaction<'t>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel::<thread::Result<Result<T, E>>>();
        let whose = Some(whose);
        let (_waiting, slot) = waiting(work, self.closures.enter(whose.clone(), CLOSURE)?);
        self.send(whose, Box::new(Closure::new(slot, reply)))?;
        answer.await.map_err(|_| Error::Closed)?.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn send(&self, whose: Option<TenantId>, member: Box<dyn Member>) -> Result<()> {
        self.jobs.as_ref().ok_or(Error::Closed)?.send(whose, Instant::now(), member)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle can be dropped by a closure that runs on the writer itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// What the thread holds.
struct WriterThread {
    connection: Connection,
    sql: Sql,
    options: SqliteOptions,
    guard: Guard,
    constraints: Constraints,
    /// Whether closures run beside others: not where the last one took long, or ended the transaction.
    closures_share: Cell<bool>,
    checkpointer: Checkpointer,
    shared: Shared,
    /// Whether there may be something left of deleted streams.
    leftovers: Cell<bool>,
    /// Those of them that something of the user's holds on to.
    held: Cell<BTreeSet<i64>>,
    /// Whether there may be traces of shredded keys in the log; when they were to be cleared last.
    traces: Cell<bool>,
    cleared: Cell<Option<Instant>>,
    _pool_limit: Connection,
}

impl WriterThread {
    fn open(options: SqliteOptions, shared: Shared) -> Result<Self> {
        options.check()?;
        let connection = connection::writer(&options)?;
        layout::prepare(&connection, &options)?;
        let sql = Sql::new(&options.prefix);
        if let Some(went_back) =
            numbering::check(&connection, &sql).map_err(|failure| options.failed(failure))?
        {
            return Err(went_back);
        }
        layout::refuse_directory(&connection, &options)?;
        let guard = Guard::install(&connection).map_err(|error| options.failed(error))?;
        let constraints = Constraints::install(&connection).map_err(|error| options.failed(error))?;
        let checkpointer = Checkpointer::start(&connection, &options)?;
        let pool_limit = connection::pool_limit(&options)?;
        let (leftovers, traces) = (Cell::new(false), Cell::new(false));
        let writer = Self {
            connection,
            sql,
            options,
            guard,
            constraints,
            closures_share: Cell::new(true),
            checkpointer,
            shared,
            leftovers,
            held: Cell::default(),
            traces,
            cleared: Cell::new(None),
            _pool_limit: pool_limit,
        };
        // A process that has ended may have left something.
        if writer.may_write()? {
            writer.leftovers.set(writer.operations().has_leftovers()?);
            writer.traces.set(!writer.operations().traces()?.is_empty());
        }
        Ok(writer)
    }

    fn may_write(&self) -> Result<bool> {
        self.connection
            .is_readonly(MAIN_DB)
            .map(|is_readonly| !is_readonly)
            .map_err(|error| self.options.failed(error))
    }

    /// Works until every handle is gone and the queue is empty.
    fn run(&self, queue: &Receiver) {
        while let Some((queued, first)) = self.next(queue) {
            self.wait_no_longer_than_asked(queued);
            self.commit_group(first, queue);
            self.shared.committed.notify_waiters();
            self.checkpointer.after_commit(&self.connection);
        }
    }

    /// The one whose turn it is. Before it, some of what is left of deleted streams is removed; and while nobody comes. So are the
    /// traces of shredded keys.
    fn next(&self, queue: &Receiver) -> Option<Queued> {
        while self.leftovers.get() && self.remove_some() && !queue.has_news() {}
        self.clear_traces_now_and_then(queue);
        queue.receive()
    }

    /// The time in the queue counts: however many wait behind a lock, none waits longer than asked.
    fn wait_no_longer_than_asked(&self, queued: Instant) {
        let left = self.options.busy_timeout.saturating_sub(queued.elapsed());
        if let Err(error) = self.connection.busy_timeout(left) {
            tracing::error!(%error, "the time to wait for a lock could not be set");
        }
    }

    /// Commits a group of whatever is in the queue.
    fn commit_group(&self, first: Box<dyn Member>, queue: &Receiver) {
        let Some(mut group) = Group::begin(self, first) else { return };
        while group.has_room()
            && let Some(member) = queue.receive_another(group.takes_closures())
        {
            group.add(member);
        }
        group.commit();
    }

    fn operations(&self) -> Operations<'_> {
        Operations {
            connection: &self.connection,
            sql: &self.sql,
            busy_timeout: self.options.busy_timeout,
            savepoints: false,
            look: self.shared.seen.before_writing(),
            listeners: Some(&self.shared.listeners),
            depth: 0,
            guard: Some(&self.guard),
            leftovers: Some(&self.leftovers),
            traces: Some(&self.traces),
        }
    }
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a transaction could not be rolled back");
    }
}
