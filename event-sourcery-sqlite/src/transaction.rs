//! The caller's own rows and events, in one transaction.

use std::fmt;

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, BackendTransaction, Cursor, CursorId, DeleteRequest, HeldCursor,
    KeysRequest, LoadRequest, LoadSink, LoadedStream, NewKeysRequest, ProgressRequest, ReadRecords,
    ReadRequest, SnapshotRequest, SubjectKey,
};
use event_sourcery::{Position, Result};
use rusqlite::Connection;

use crate::operations::Operations;

/// An open transaction on the writing connection, in which the caller's own tables are written beside the events.
///
/// The closure runs on the writer thread: keep it short, every other write waits for it. What queues up behind it may share the
/// commit, and its sync of the disk; each is kept whole or not at all, and what one is refused for, or panics by, is not another's
/// matter. It sees what ran before it, and is answered after the commit.
///
/// Commit and rollback are the store's: SQLite refuses a closure's `COMMIT` and `ROLLBACK`, and a closure that tries gets an error.
/// Savepoints are its own. Where SQLite by itself rolls back all that shares the transaction, as it does when the disk is full in the
/// middle of a statement, when a statement that writes is interrupted, or for `OR ROLLBACK`, the others' closures are
/// [`SerializationFailure`](event_sourcery::Error::SerializationFailure): nothing of them is kept, and they can be run again.
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
///
/// A listener ([`EventStore::listen`](event_sourcery::EventStore::listen)) is given one as well: that of the append which it listens to,
/// and which may share it with others. So a table is never behind the events:
///
/// ```
/// # use event_sourcery::{Event, EventStore, StreamId};
/// # use event_sourcery_sqlite::SqliteBackend;
/// # use serde::{Deserialize, Serialize};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("invoices.db");
/// # type Failure = Box<dyn std::error::Error + Send + Sync>;
/// #[derive(Event, Serialize, Deserialize)]
/// struct Paid {
///     cents: i64,
/// }
///
/// let store = EventStore::new(SqliteBackend::open(path).await?);
/// # let table = "CREATE TABLE revenue (id INTEGER PRIMARY KEY, cents INTEGER); INSERT INTO revenue VALUES (1, 0)";
/// # store.transaction::<_, Failure, _>(move |tx| Ok(tx.connection().execute_batch(table)?)).await?;
/// store.listen::<Paid>().in_transaction(|heard, tx| {
///     tx.connection().execute("UPDATE revenue SET cents = cents + ?1", [heard.event().cents])?;
///     Ok(())
/// })?;
///
/// store.append(&StreamId::random(), [Paid { cents: 500 }, Paid { cents: 70 }]).await?;
/// # let sum = "SELECT cents FROM revenue";
/// # let sum = store
/// #     .transaction::<i64, Failure, _>(move |tx| Ok(tx.connection().query_row(sum, [], |row| row.get(0))?))
/// #     .await?;
/// # assert_eq!(sum, 570);
/// # Ok::<(), Failure>(()) }).unwrap();
/// ```
pub struct SqliteTransaction<'t> {
    operations: Operations<'t>,
}

impl fmt::Debug for SqliteTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteTransaction")
    }
}

impl<'t> SqliteTransaction<'t> {
    /// What is refused in it takes back alone what it has written.
    pub(crate) const fn of(operations: Operations<'t>) -> Self {
        Self { operations: Operations { savepoints: true, ..operations } }
    }

    /// The connection, for the caller's own statements.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        if let Some(guard) = self.operations.guard {
            guard.lend();
        }
        self.operations.connection
    }
}

impl BackendTransaction for SqliteTransaction<'_> {
    fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome> {
        self.operations.append(request)
    }

    fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.operations.load(request)
    }

    fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        self.operations.load_in_parts(request, sink)
    }

    fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        self.operations.read(request)
    }

    fn delete(&mut self, request: &DeleteRequest) -> Result<()> {
        self.operations.delete(request)
    }

    fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()> {
        self.operations.save_snapshot(request)
    }

    fn progress(&mut self, request: &ProgressRequest) -> Result<()> {
        self.operations.progress(request)
    }

    fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor> {
        self.operations.hold_cursor(id, position)
    }

    fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()> {
        self.operations.move_cursor(id, to)
    }

    fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        self.operations.keys(request)
    }

    fn create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.operations.create_keys(request)
    }
}
