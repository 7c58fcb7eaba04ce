//! Transactions: those that a backend hands to a closure, and those that the caller holds.

use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    AppendOutcome, AppendRequest, AsyncListener, Backend, Cursor, CursorId, DeleteRequest, Filter,
    HeldCursor, KeysRequest, Listener, Listening, LoadRequest, LoadSink, LoadedStream, NewKeysRequest,
    ProgressRequest, ReadRecords, ReadRequest, SnapshotRequest, SubjectKey,
};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::stream_id::TenantId;

/// A backend whose transactions are handed to a closure, on the backend's writer: the closure's result decides between
/// commit and rollback. SQLite and memory work so. Where the caller holds the transaction, it is a [`JoinableBackend`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not hand its transactions to a closure",
    note = "an erased store, `EventStore<Arc<dyn Backend>>`, has no transactions: keep the backend's type, `EventStore<SqliteBackend>`",
    note = "where the caller holds the transaction, such as on PostgreSQL, it is `store.within(&mut tx)`"
)]
#[async_trait]
pub trait TransactionalBackend: Backend {
    /// The open transaction.
    type Transaction<'t>: BackendTransaction;

    /// Runs `work` in a transaction of its own and commits if it succeeds. Nothing of a failed one is kept. While it waits, it
    /// counts as this tenant's, whatever it does.
    ///
    /// A panic in `work` rolls back and goes on in the caller.
    ///
    /// # Errors
    ///
    /// The closure's error, or the backend's own, turned into the caller's type.
    async fn transaction<T, E, F>(&self, tenant: &TenantId, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&mut Self::Transaction<'t>) -> Result<T, E> + Send + 'static;

    /// Calls this listener from now on, until it is removed, for each event that passes one of these filters: in the transaction that
    /// writes it, whatever has asked for the append, and not for what is there already. See [`Listeners`](super::Listeners).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without an implementation of its own: then no [`listeners`](super::Capabilities::listeners) are declared.
    fn listen(&self, interest: Vec<Filter>, listener: Arc<dyn Listener<Self>>) -> Result<Listening>
    where
        Self: Sized,
    {
        let _ = (interest, listener);
        Err(Error::unsupported(self.name(), "listeners"))
    }
}

/// The operations inside an open transaction. They mean what those of [`Backend`] mean, see what the transaction has
/// written, and leave it usable when they are refused.
pub trait BackendTransaction {
    /// See [`Backend::append`].
    ///
    /// # Errors
    ///
    /// As there.
    fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome>;

    /// See [`Backend::load`].
    ///
    /// # Errors
    ///
    /// As there.
    fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream>;

    /// See [`Backend::load_in_parts`].
    ///
    /// # Errors
    ///
    /// As there.
    fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        sink.take(self.load(request)?)
    }

    /// See [`Backend::read`].
    ///
    /// # Errors
    ///
    /// As there.
    fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        let _ = request;
        Err(Error::unsupported("this backend", "tags"))
    }

    /// See [`Backend::delete`].
    ///
    /// # Errors
    ///
    /// As there.
    fn delete(&mut self, request: &DeleteRequest) -> Result<()>;

    /// See [`Backend::save_snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()>;

    /// See [`SubscriptionBackend::progress`](super::SubscriptionBackend::progress).
    ///
    /// # Errors
    ///
    /// As there.
    fn progress(&mut self, request: &ProgressRequest) -> Result<()>;

    /// Keeps a projector's cursor for this transaction: nobody else moves it, and nobody deletes the stream, until the
    /// transaction ends. Tells how far the stream was projected, where the event of the cursor's version stands now, and the
    /// version of the stream's event at a position, all as of one moment.
    ///
    /// A projector that has no cursor for a stream of the default tenant begins at the cursor that Event Sourcery for Python
    /// keeps under its name, where the backend shares its tables, and no other tenant has a stream of that id: the cursor may
    /// be about that one. From then on its own counts.
    ///
    /// # Errors
    ///
    /// The backend's own.
    fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor>;

    /// Moves a cursor that is held.
    ///
    /// # Errors
    ///
    /// The backend's own.
    fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()>;

    /// See [`Backend::keys`].
    ///
    /// # Errors
    ///
    /// As there.
    fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        let _ = request;
        Err(Error::unsupported("this backend", "keys of data subjects"))
    }

    /// See [`Backend::create_keys`].
    ///
    /// # Errors
    ///
    /// As there.
    fn create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        let _ = request;
        Err(Error::unsupported("this backend", "keys of data subjects"))
    }
}

/// A backend whose transactions the caller holds: an open one is handed to the calls that are to join it. PostgreSQL works
/// so; the type of the transaction ties it to its backend.
#[diagnostic::on_unimplemented(
    message = "the caller cannot hold a transaction of `{Self}`",
    note = "an erased store, `EventStore<Arc<dyn Backend>>`, has no transactions: keep the backend's type, `EventStore<PostgresBackend>`",
    note = "on SQLite and in memory, it is `store.transaction(|tx| ..)`"
)]
#[async_trait]
pub trait JoinableBackend: Backend {
    /// The caller's open transaction.
    type Transaction<'t>: Send;

    /// A transaction that was begun for a handler, with what the backend remembers of it. Dropping it rolls it back.
    type Handling: DerefMut<Target = Self::Transaction<'static>> + Send;

    /// What the caller's own statements run on.
    type Connection: Send;

    /// Begins a transaction, which the database itself ends when nothing is asked of it for so long, and in which it ends
    /// statements that take longer than the second time.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn begin_handling(&self, idle: Duration, statement: Option<Duration>) -> Result<Self::Handling>;

    /// Commits a transaction, and wakes those who wait for what it wrote.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn commit(&self, handling: Self::Handling) -> Result<()>;

    /// Takes a transaction back, with what is still under way in it. Whoever wants what it has locked finds that free behind this, unless
    /// it takes too long to wait for; dropped, a transaction is taken back in its own time.
    async fn roll_back(&self, handling: Self::Handling) {
        drop(handling);
    }

    /// The operations of this store inside a handler's transaction. Once the handler has ended that, progress is refused.
    fn join_handling<'a>(&'a self, handling: &'a mut Self::Handling) -> Box<dyn JoinedTransaction + 'a> {
        self.join(&mut **handling)
    }

    /// The connection of an open transaction.
    fn connection<'a>(transaction: &'a mut Self::Transaction<'_>) -> &'a mut Self::Connection;

    /// The operations of this store inside the caller's transaction.
    fn join<'a>(&'a self, transaction: &'a mut Self::Transaction<'_>) -> Box<dyn JoinedTransaction + 'a>;

    /// See [`TransactionalBackend::listen`].
    ///
    /// # Errors
    ///
    /// As there.
    fn listen(
        &self,
        interest: Vec<Filter>,
        listener: Arc<dyn AsyncListener<Self::Connection>>,
    ) -> Result<Listening> {
        let _ = (interest, listener);
        Err(Error::unsupported(self.name(), "listeners"))
    }
}

/// The operations inside a transaction that the caller holds. They mean what those of [`Backend`] mean, see what the
/// transaction has written, and leave it usable when they are refused. Commit and rollback are the caller's.
#[async_trait]
pub trait JoinedTransaction: Send {
    /// See [`Backend::append`].
    ///
    /// # Errors
    ///
    /// As there, and [`Error::SerializationFailure`] where the transaction's isolation level ends it in favour of
    /// another one.
    async fn append(&mut self, request: &AppendRequest) -> Result<AppendOutcome>;

    /// See [`Backend::load`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream>;

    /// See [`Backend::load_in_parts`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        sink.take(self.load(request).await?)
    }

    /// See [`Backend::read`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        let _ = request;
        Err(Error::unsupported("this backend", "tags"))
    }

    /// See [`Backend::delete`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn delete(&mut self, request: &DeleteRequest) -> Result<()>;

    /// See [`Backend::save_snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()>;

    /// See [`SubscriptionBackend::progress`](super::SubscriptionBackend::progress).
    ///
    /// # Errors
    ///
    /// As there.
    async fn progress(&mut self, request: &ProgressRequest) -> Result<()>;

    /// See [`BackendTransaction::hold_cursor`].
    ///
    /// # Errors
    ///
    /// As there, and [`Error::Unsupported`] at isolation levels at which a transaction may not see the newest events.
    async fn hold_cursor(&mut self, id: &CursorId, position: Position) -> Result<HeldCursor>;

    /// See [`BackendTransaction::move_cursor`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn move_cursor(&mut self, id: &CursorId, to: Cursor) -> Result<()>;

    /// See [`Backend::keys`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn keys(&mut self, request: &KeysRequest) -> Result<Vec<SubjectKey>> {
        let _ = request;
        Err(Error::unsupported("this backend", "keys of data subjects"))
    }

    /// See [`Backend::create_keys`].
    ///
    /// # Errors
    ///
    /// As there.
    async fn create_keys(&mut self, request: &NewKeysRequest) -> Result<Vec<SubjectKey>> {
        let _ = request;
        Err(Error::unsupported("this backend", "keys of data subjects"))
    }
}
