//! The caller's own rows and events, in one transaction.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Cursor, CursorId, DeleteRequest, HeldCursor, JoinedTransaction,
    KeysRequest, LoadRequest, LoadSink, LoadedStream, NewKeysRequest, ProgressRequest, ReadRecords,
    ReadRequest, SnapshotRequest, SubjectKey,
};
use event_sourcery::{Position, Result};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::at_work::{AtWork, answer};
use crate::database::{Database, in_its_run};
use crate::failure::{During, Failure};
use crate::hand_over::Taker;
use crate::operations::Operations;
use crate::wakeups::Wakeups;

/// A transaction that was begun through the store; see [`PostgresBackend::begin`](crate::PostgresBackend::begin).
///
/// It is an sqlx transaction in every respect, and dereferences to one. In addition, readers that wait are woken when it
/// commits; a transaction that was begun otherwise they find when they next look.
pub struct PostgresTransaction<'t> {
    transaction: Transaction<'t, Postgres>,
    wakeups: Arc<Wakeups>,
    /// To find out whether the server is still at work on it, where it is a handler's.
    at_work: Option<AtWork>,
}

/// Nothing of how the store is reached.
impl fmt::Debug for PostgresTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresTransaction")
    }
}

impl<'t> PostgresTransaction<'t> {
    pub(crate) const fn new(
        transaction: Transaction<'t, Postgres>,
        wakeups: Arc<Wakeups>,
        at_work: Option<AtWork>,
    ) -> Self {
        Self { transaction, wakeups, at_work }
    }

    pub(crate) fn at_work(&self) -> Option<AtWork> {
        self.at_work.clone()
    }

    /// Commits, and wakes the readers.
    ///
    /// # Errors
    ///
    /// [`Error::RolledBack`](event_sourcery::Error::RolledBack) when a statement of yours had failed before: the server rolls such a
    /// transaction back instead, of which `commit` of an sqlx transaction says nothing.
    /// [`Error::OutcomeUnknown`](event_sourcery::Error::OutcomeUnknown) when the connection breaks,
    /// [`Error::SerializationFailure`](event_sourcery::Error::SerializationFailure), and the database's own, such as that
    /// of a deferred constraint.
    pub async fn commit(self) -> Result<()> {
        let Self { mut transaction, wakeups, at_work } = self;
        let ended = answer(at_work.as_ref(), sqlx::raw_sql(COMMIT).execute(&mut *transaction)).await;
        wakeups.committed();
        ended.map(drop).map_err(|error| Failure::from(error).into_error(During::Commit, Duration::ZERO))
    }

    /// Takes everything back. Dropping the transaction does so too.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](event_sourcery::Error::Unavailable) when the connection breaks: then, too, nothing is kept.
    pub async fn rollback(self) -> Result<()> {
        self.transaction
            .rollback()
            .await
            .map_err(|error| Failure::from(error).into_error(During::NothingKept, Duration::ZERO))
    }
}

impl<'t> Deref for PostgresTransaction<'t> {
    type Target = Transaction<'t, Postgres>;

    fn deref(&self) -> &Self::Target {
        &self.transaction
    }
}

impl DerefMut for PostgresTransaction<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.transaction
    }
}

/// A transaction that has failed the server does not commit, and sqlx does not pass on that it says so. Any other statement is an
/// error there; one is sent along. sqlx, which believes the transaction to be open, is left an empty one to take back when its
/// connection returns: so nobody waits for another answer.
const COMMIT: &str = "SHOW transaction_isolation; COMMIT AND CHAIN";

/// The store's operations on the connection of the caller's transaction.
pub(crate) struct OnConnection<'c> {
    pub(crate) connection: &'c mut PgConnection,
    pub(crate) database: &'c Database,
    /// To find out whether the server is still at work on a statement, where the transaction is a handler's.
    pub(crate) at_work: Option<AtWork>,
    /// How many listeners are at work in it within one another.
    pub(crate) depth: usize,
}

impl OnConnection<'_> {
    pub(crate) fn operations(&mut self) -> Operations<'_> {
        Operations::handling(self.connection, &self.database.sql, self.at_work.clone())
    }
}

#[async_trait]
impl JoinedTransaction for OnConnection<'_> {
    async fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome> {
        let database = self.database;
        if let Some(hearing) = database.listeners.wanting(request, self.depth)? {
            return self.append_heard(request, hearing).await;
        }
        let appended = self.append_unheard(request, false).await;
        // Of the caller's commit nobody is told, unless the transaction is one of ours.
        database.wakeups.stir();
        appended
    }

    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.operations().load(request).await
    }

    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        self.operations().load_in_parts(request, &mut Taker::Here(sink), &mut || true).await.map(drop)
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        self.operations().read(request).await
    }

    async fn delete(&mut self, request: &DeleteRequest) -> Result<()> {
        self.operations().delete(request).await
    }

    async fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()> {
        self.operations().save_snapshot(request).await
    }

    async fn progress(&mut self, request: &ProgressRequest) -> Result<()> {
        let database = self.database;
        let reached = request.position.as_slice();
        in_its_run!(*database, reached, run => self.operations().progress(request, &run).await)
    }

    async fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor> {
        self.operations().hold_cursor(id, position).await
    }

    async fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()> {
        self.operations().move_cursor(id, to).await
    }

    async fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        self.operations().keys(request).await
    }

    async fn create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.operations().create_keys(request).await
    }
}
