//! The caller's own rows and events, in one transaction.

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, BackendTransaction, Cursor, CursorId, DeleteRequest, HeldCursor,
    LoadRequest, LoadedStream, ProgressRequest, SnapshotRequest,
};
use event_sourcery::{Position, Result};
use rusqlite::Connection;

use crate::numbering::Look;
use crate::operations::Operations;
use crate::options::SqliteOptions;
use crate::sql::Sql;

/// An open transaction on the writing connection, in which the caller's own tables are written beside the events.
///
/// The closure runs on the writer thread, alone in its transaction: keep it short, every other write waits for it.
/// Commit and rollback are the store's; a closure that ends the transaction itself gets an error.
///
/// ```
/// # use event_sourcery::{EventStore, RawEvent, StreamId};
/// # use event_sourcery_sqlite::SqliteBackend;
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("invoices.db");
/// type Failure = Box<dyn std::error::Error + Send + Sync>;
///
/// let store = EventStore::new(SqliteBackend::open(path).await?);
/// let stream = StreamId::from_name("invoices/1003")?;
/// store
///     .transaction::<_, Failure, _>(move |tx| {
///         tx.connection().execute("CREATE TABLE IF NOT EXISTS invoices (number TEXT, paid INTEGER)", [])?;
///         tx.connection().execute("INSERT INTO invoices VALUES ('1003', 1)", [])?;
///         tx.append(&stream, RawEvent::new("InvoicePaid", "{}")?).run()?;
///         Ok(())
///     })
///     .await?;
/// # Ok::<(), Failure>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct SqliteTransaction<'t> {
    connection: &'t Connection,
    sql: &'t Sql,
    options: &'t SqliteOptions,
    look: Look<'t>,
}

impl<'t> SqliteTransaction<'t> {
    pub(crate) const fn new(
        connection: &'t Connection,
        sql: &'t Sql,
        options: &'t SqliteOptions,
        look: Look<'t>,
    ) -> Self {
        Self { connection, sql, options, look }
    }

    /// The connection, for the caller's own statements.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        self.connection
    }

    fn operations(&self) -> Operations<'_> {
        Operations {
            connection: self.connection,
            sql: self.sql,
            busy_timeout: self.options.busy_timeout,
            savepoints: true,
            look: self.look,
        }
    }
}

impl BackendTransaction for SqliteTransaction<'_> {
    fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome> {
        self.operations().append(request)
    }

    fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.operations().load(request)
    }

    fn delete(&mut self, request: &DeleteRequest) -> Result<()> {
        self.operations().delete(request)
    }

    fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()> {
        self.operations().save_snapshot(request)
    }

    fn progress(&mut self, request: &ProgressRequest) -> Result<()> {
        self.operations().progress(request)
    }

    fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor> {
        self.operations().hold_cursor(id, position)
    }

    fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()> {
        self.operations().move_cursor(id, to)
    }
}
