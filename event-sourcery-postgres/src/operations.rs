//! What the store's calls do to the tables, on one connection.

mod append;
mod at_once;
mod batch;
mod by_query;
mod cursors;
mod damage;
mod delete;
mod directory;
mod hear;
mod held_tags;
mod keys;
mod load;
mod looking;
mod outbox;
mod progress;
mod reading;
mod scan;
mod snapshot;
mod storable;
mod stream_keys;
mod subscription;
mod tagging;
mod tags;
mod uncreated;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use event_sourcery::backend::StreamState;
use event_sourcery::{Error, Result, StreamId, TenantId};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

pub(crate) use self::append::is_simple;
pub(crate) use self::batch::InBatch;
pub(crate) use self::damage::DamageSql;
pub(crate) use self::directory::{BLOCK, DirectorySql};
pub(crate) use self::load::takes_one_statement;
use self::scan::FEW;
pub(crate) use self::scan::ScanSql;
pub(crate) use self::tags::locked_tags;
use crate::at_work::{AtWork, answer, time_to_send};
use crate::failure::{During, Failure};
use crate::lease::Lease;
use crate::rows::value;
use crate::session::{BEGIN, begin_in_haste, begin_sending};
use crate::sql::{Sql, Statement};

/// How a savepoint of ours ends.
const KEEP: &str = "RELEASE SAVEPOINT event_sourcery";
const TAKE_BACK: &str = "ROLLBACK TO SAVEPOINT event_sourcery; RELEASE SAVEPOINT event_sourcery";

/// A connection with the statements to run on it.
pub(crate) struct Operations<'c> {
    pub(crate) connection: &'c mut PgConnection,
    pub(crate) sql: &'c Sql,
    /// Whether the caller's transaction is open on the connection. What has to be undone alone then runs under a
    /// savepoint; otherwise in a transaction of its own.
    joined: bool,
    /// How a transaction of our own begins.
    begin: Cow<'static, str>,
    /// Whether a statement that stands alone needs a transaction around it: see [`Lease::is_behind_pooler`].
    is_bracketed: bool,
    /// Whether a transaction of our own is open.
    is_open: bool,
    /// Whether the savepoint of what was written is left open: see [`close`](Self::close).
    pub(crate) leaves_open: bool,
    /// Whether events are read without their payloads, which the server cannot give: see [`damage`].
    pub(crate) spares_payloads: bool,
    /// What new events' positions have to be above: see [`Settled::given`](crate::settled::Settled::given).
    given: i64,
    /// How many events streams have that are found by their streams.
    pub(crate) few: i64,
    /// Whether the connection is of no more use: rows were left unread, or an answer has not come.
    spent: Arc<AtomicBool>,
    /// To find out whether the server is still at work on a statement.
    pub(crate) at_work: Option<AtWork>,
    /// When the call began.
    since: Instant,
}

impl<'c> Operations<'c> {
    /// Calls of their own.
    pub(crate) fn alone(lease: &'c mut Lease, sql: &'c Sql) -> Self {
        let (begin, is_bracketed) = (lease.begin_text(BEGIN), lease.is_behind_pooler());
        let (at_work, spent) = (lease.at_work(), lease.spent());
        Self {
            connection: &mut *lease,
            sql,
            joined: false,
            begin,
            is_bracketed,
            is_open: false,
            leaves_open: false,
            spares_payloads: false,
            given: 0,
            few: FEW,
            spent,
            at_work,
            since: Instant::now(),
        }
    }

    /// Calls inside the caller's transaction.
    pub(crate) fn joined(connection: &'c mut PgConnection, sql: &'c Sql) -> Self {
        let (begin, since) = (BEGIN.into(), Instant::now());
        Self {
            connection,
            sql,
            joined: true,
            begin,
            is_bracketed: false,
            is_open: false,
            leaves_open: false,
            spares_payloads: false,
            given: 0,
            few: FEW,
            spent: Arc::default(),
            at_work: None,
            since,
        }
    }

    /// Calls inside a handler's transaction, where this is given: no answer is waited for that does not come.
    pub(crate) fn handling(connection: &'c mut PgConnection, sql: &'c Sql, at_work: Option<AtWork>) -> Self {
        let spent = at_work.as_ref().map(AtWork::spent).unwrap_or_default();
        Self { at_work, spent, ..Self::joined(connection, sql) }
    }

    /// Whether the transaction was begun for a handler: its way is watched.
    const fn is_handling(&self) -> bool {
        self.joined && self.at_work.is_some()
    }

    /// The call sends so many bytes. While they are on their way, it is neither given up nor ended.
    fn send(&mut self, bytes: usize) {
        let sending = time_to_send(bytes);
        if sending.is_zero() {
            return;
        }
        self.at_work = self.at_work.take().map(|at_work| at_work.sending(sending));
        self.begin = begin_sending(&self.begin, sending).into();
    }

    /// The call is short, and others wait behind it: where its way dies in silence, it is given up soon, and what it has locked the server
    /// lets go of soon.
    fn hurry(&mut self) {
        self.at_work = self.at_work.take().map(AtWork::in_haste);
        self.begin = begin_in_haste(&self.begin).into();
    }

    /// A statement of ours with a stream's key bound: UUID, category, tenant.
    fn about<'q>(
        statement: &Statement,
        tenant: &'q TenantId,
        stream: &'q StreamId,
    ) -> Query<'q, Postgres, PgArguments> {
        statement.query().bind(stream.uuid()).bind(stream.stored_category()).bind(tenant.as_str())
    }

    pub(crate) async fn rows(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, Failure> {
        self.enter().await?;
        let rows = answer(self.at_work.as_ref(), query.fetch_all(&mut *self.connection)).await;
        self.leave(rows).await
    }

    pub(crate) async fn row(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Option<PgRow>, Failure> {
        self.enter().await?;
        let row = answer(self.at_work.as_ref(), query.fetch_optional(&mut *self.connection)).await;
        self.leave(row).await
    }

    /// Runs a statement that changes rows, and tells how many.
    pub(crate) async fn execute(&mut self, query: Query<'_, Postgres, PgArguments>) -> Result<u64, Failure> {
        self.enter().await?;
        let done = answer(self.at_work.as_ref(), query.execute(&mut *self.connection)).await;
        self.leave(done.map(|done| done.rows_affected())).await
    }

    /// Before a statement: begins a transaction around it, where it stands alone and needs one.
    async fn enter(&mut self) -> Result<(), Failure> {
        if self.is_bracketed && !self.is_open { self.run_begin().await } else { Ok(()) }
    }

    /// After a statement: ends the transaction around it.
    async fn leave<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, Failure> {
        if self.is_bracketed && !self.is_open && !self.is_spent() {
            let ended = self.run(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
            if done.is_ok() {
                ended?;
            }
        }
        Ok(done?)
    }

    /// Begins what is kept or undone as one: a transaction, or a savepoint where the caller's is open.
    ///
    /// In words of our own: where a savepoint of sqlx's is given up half-way, it takes the caller's whole transaction back
    /// and goes on without one.
    async fn begin(&mut self) -> Result<(), Failure> {
        if self.joined {
            return self.run("SAVEPOINT event_sourcery").await;
        }
        self.run_begin().await?;
        self.is_open = true;
        Ok(())
    }

    /// Ends what was begun: keeps what was done, or undoes it where nothing came of it.
    async fn end<T>(&mut self, result: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
        self.is_open = false;
        if self.joined && self.leaves_open && matches!(result, Ok(Some(_))) {
            return result;
        }
        let end = match (&result, self.joined) {
            (Ok(Some(_)), true) => KEEP,
            (Ok(Some(_)), false) => "COMMIT",
            (_, true) => TAKE_BACK,
            (_, false) => "ROLLBACK",
        };
        if !self.is_spent() {
            self.run(end).await?;
        }
        result
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), Failure> {
        let run = sqlx::raw_sql(sql).execute(&mut *self.connection);
        Ok(answer(self.at_work.as_ref(), run).await.map(drop)?)
    }

    async fn run_begin(&mut self) -> Result<(), Failure> {
        let begin = sqlx::raw_sql(AssertSqlSafe(&*self.begin)).execute(&mut *self.connection);
        Ok(answer(self.at_work.as_ref(), begin).await.map(drop)?)
    }

    fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// The error of a failure that keeps nothing of the call.
    pub(crate) fn failed(&self, failure: impl Into<Failure>) -> Error {
        self.error(failure.into(), During::NothingKept)
    }

    /// The error of a failure at a moment when a commit may have been under way.
    fn failed_committing(&self, failure: impl Into<Failure>) -> Error {
        let during = if self.joined { During::NothingKept } else { During::Commit };
        self.error(failure.into(), during)
    }

    fn error(&self, failure: Failure, during: During) -> Error {
        let missing = self.sql.rights.error(&failure);
        missing.unwrap_or_else(|| failure.into_error(during, self.took()))
    }

    fn took(&self) -> Duration {
        self.since.elapsed()
    }
}

/// What is known of a stream, and of the name that it is to have.
#[derive(Debug)]
struct Known {
    /// The number of its row.
    row: Option<i64>,
    /// The version in its row.
    row_version: Option<i64>,
    named: bool,
    /// What its events tell.
    state: StreamState,
    /// Another stream that has the name.
    holder: Option<Holder>,
    /// Whether any of the events asked about is in the store.
    any_present: bool,
}

/// A row with a name that another stream is to have. Without events it is no stream, and gives the name up.
#[derive(Debug, Clone, Copy)]
struct Holder {
    row: i64,
    uuid: uuid::Uuid,
    has_events: bool,
}

impl Known {
    /// Reads a row of [`AppendSql::states`](crate::append_sql::AppendSql::states).
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let last: Option<i32> = value(row, 3)?;
        let state = match (last, value(row, 4)?) {
            (_, false) => StreamState::Missing,
            (None, true) => StreamState::Unversioned,
            (Some(version), true) => StreamState::Versioned(u64::try_from(version).unwrap_or(0)),
        };
        let holder = match value::<Option<i64>>(row, 5)? {
            Some(number) => Some(Holder { row: number, uuid: value(row, 6)?, has_events: value(row, 7)? }),
            None => None,
        };
        let named = value::<Option<bool>>(row, 2)?.unwrap_or(false);
        Ok(Self {
            row: value(row, 0)?,
            row_version: value(row, 1)?,
            named,
            state,
            holder,
            any_present: value(row, 8)?,
        })
    }

    /// Refuses a name that another stream has, unless this one has a name already.
    fn check_name(&self, stream: &StreamId) -> Result<()> {
        let Some(name) = stream.name().filter(|_| !self.named) else { return Ok(()) };
        match self.holder {
            Some(Holder { uuid, has_events: true, .. }) => {
                Err(Error::stream_name_taken(stream.clone(), name, uuid))
            }
            _ => Ok(()),
        }
    }
}
