//! The writer: one thread that owns the writing connection and commits what has queued up together.
//!
//! Group commit: while one transaction is being synced, the next calls queue up, and share the next transaction and its
//! sync. Each is refused, or panics, alone. Nothing is answered before the commit. Tenants are served in turn.

mod checkpointer;
mod group;
mod guard;
mod lines;
#[cfg(test)]
mod tests;
mod waiting;

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use event_sourcery::backend::WaitingRoom;
use event_sourcery::{Error, Result, TenantId};
use rusqlite::{Connection, MAIN_DB};
use tokio::sync::{Notify, oneshot};

use self::checkpointer::Checkpointer;
use self::group::{Group, Member, Write};
pub(crate) use self::guard::Guard;
use self::lines::{Receiver, Sender, lines};
use self::waiting::waiting;
use crate::backend::Listeners;
use crate::connection;
use crate::layout;
use crate::numbering::{self, Seen};
use crate::operations::Operations;
use crate::options::SqliteOptions;
use crate::sql::Sql;
use crate::transaction::SqliteTransaction;

/// What a closure takes of the room for closures, in bytes: nobody knows what it holds. So 16,384 of one tenant's may wait.
const CLOSURE: usize = 4_096;

/// How long it waits for another process's lock to remove what is left of deleted streams: somebody may come meanwhile.
const BUSY: Duration = Duration::from_millis(10);

/// What the thread is asked to do.
enum Job {
    /// To be committed together with others.
    Grouped(Box<dyn Member>),
    /// To be run in a transaction of its own.
    Alone(Box<dyn FnOnce(&WriterThread) + Send>),
}

/// What the writer shares with those who read and those who listen.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Is told of each commit.
    pub(crate) committed: Arc<Notify>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) listeners: Arc<Listeners>,
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
        self.send(whose, Job::Grouped(Box::new(Write::new(slot, reply))))?;
        answer.await.map_err(|_| Error::Closed)?.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `work` in a transaction of its own when it is this tenant's turn, and commits if it succeeds. A panic goes on in the
    /// caller. Given up before it has begun, it is not begun.
    pub(crate) async fn transaction<T, E>(
        &self,
        whose: TenantId,
        work: impl for<'t> FnOnce(&mut SqliteTransaction<'t>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let whose = Some(whose);
        let (_waiting, slot) = waiting(work, self.closures.enter(whose.clone(), CLOSURE)?);
        let job = Job::Alone(Box::new(move |writer| {
            let Some(work) = slot.take() else { return };
            // The caller may go away meanwhile; the transaction counts all the same.
            let _ = reply.send(writer.alone(work));
        }));
        self.send(whose, job)?;
        answer.await.map_err(|_| Error::Closed)?.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn send(&self, whose: Option<TenantId>, job: Job) -> Result<()> {
        self.jobs.as_ref().ok_or(Error::Closed)?.send(whose, Instant::now(), job)
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
    checkpointer: Checkpointer,
    shared: Shared,
    /// Whether there may be something left of deleted streams.
    leftovers: Cell<bool>,
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
        let guard = Guard::install(&connection).map_err(|error| options.failed(error))?;
        let checkpointer = Checkpointer::start(&connection, &options)?;
        let pool_limit = connection::pool_limit(&options)?;
        let leftovers = Cell::new(false);
        let writer = Self {
            connection,
            sql,
            options,
            guard,
            checkpointer,
            shared,
            leftovers,
            _pool_limit: pool_limit,
        };
        // A process that has ended may have left something.
        writer.leftovers.set(writer.may_write()? && writer.operations().has_leftovers()?);
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
        while let Some((queued, job)) = self.next(queue) {
            self.wait_no_longer_than_asked(queued);
            match job {
                Job::Alone(work) => self.run_alone(work),
                Job::Grouped(first) => self.commit_group(first, queue),
            }
            self.shared.committed.notify_waiters();
            self.checkpointer.after_commit(&self.connection);
        }
    }

    /// The job whose turn it is. Before it, some of what is left of deleted streams is removed; and while nobody comes.
    fn next(&self, queue: &Receiver) -> Option<(Instant, Job)> {
        while self.leftovers.get() && self.remove_some() && !queue.has_news() {}
        queue.receive()
    }

    /// Removes some of what is left of deleted streams, in a transaction of its own; tells whether it could. Where it could not, the
    /// next job is waited for.
    fn remove_some(&self) -> bool {
        let operations = self.operations();
        let removed = self
            .connection
            .busy_timeout(BUSY)
            .map_err(|error| operations.failed(error))
            .and_then(|()| operations.run("BEGIN IMMEDIATE"))
            .and_then(|()| operations.remove_some())
            .and_then(|has_more| operations.run("COMMIT").map(|()| has_more));
        self.roll_back();
        self.checkpointer.after_commit(&self.connection);
        match removed {
            Ok(has_more) => self.leftovers.set(has_more),
            Err(Error::Busy { .. }) => return false,
            Err(error) => {
                tracing::warn!(
                    error = error.in_full(),
                    "what is left of a deleted stream could not be removed, and is tried again after the next call"
                );
                return false;
            }
        }
        true
    }

    /// Runs one call by itself. What panics beside its closure, such as the drop of an answer that nobody waits for any more,
    /// ends nothing else.
    fn run_alone(&self, work: Box<dyn FnOnce(&Self) + Send>) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_err() {
            tracing::error!("a value of a closure on the writer panicked when it was dropped");
            self.roll_back();
        }
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
        let Some(mut group) = Group::begin(&self.connection, self.operations(), first) else { return };
        while group.has_room()
            && let Some(member) = queue.receive_member()
        {
            group.add(member);
        }
        group.commit();
    }

    /// One transaction for one closure. `Err` is the closure's panic.
    fn alone<T, E: From<Error>>(
        &self,
        work: impl for<'t> FnOnce(&mut SqliteTransaction<'t>) -> Result<T, E>,
    ) -> Result<Result<T, E>, Box<dyn Any + Send>> {
        let operations = self.operations();
        if let Err(error) = operations.run("BEGIN IMMEDIATE") {
            return Ok(Err(error.into()));
        }
        let mut transaction = SqliteTransaction::of(Operations { guard: None, ..operations });
        let (result, ended) = self.guard.watch(|| catch_unwind(AssertUnwindSafe(|| work(&mut transaction))));
        let result = match result {
            Ok(Ok(_)) if ended || self.connection.is_autocommit() => Ok(Err(ended_by_closure().into())),
            Ok(Ok(value)) => match operations.run("COMMIT") {
                Ok(()) => Ok(Ok(value)),
                Err(error) => Ok(Err(error.into())),
            },
            other => other,
        };
        self.roll_back();
        result
    }

    /// Ends the transaction, if there is one left.
    fn roll_back(&self) {
        roll_back(&self.connection);
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

fn ended_by_closure() -> Error {
    let problem = "the transaction ended inside the closure, and nothing of it is kept: leave its end to the store, and \
                   pass on the errors that you get";
    Error::backend("sqlite", problem)
}
