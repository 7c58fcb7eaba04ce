//! What a backend implements: one trait for all that needs no transaction, one for those that have transactions, and
//! the plain data that passes between the store and a backend.
//!
//! A backend stores and returns bytes and plain facts. It never decodes a payload, knows a tenant only as a value, and
//! leaves to the caller what the caller has to decide. The store encodes, decodes and enriches; it hands the backend
//! requests whose names, payloads and times are within the limits already.
//!
//! Run the [conformance kit](mod@crate::conformance) on a backend: it tests every clause of the contract by its number.

mod append;
mod cursors;
mod progress;
mod reads;
mod records;
mod room;
mod scope;
mod shared;
mod subscriptions;
mod writes;

use std::fmt::Debug;
use std::ops::DerefMut;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::append::{
    AppendOutcome, AppendRequest, Expectation, PresentEvent, Requirement, StreamAppend, StreamRequirement,
    StreamState, Written,
};
pub use self::cursors::{Cursor, CursorId, ForgetRequest, HeldCursor};
pub use self::progress::{
    Backlog, BlockedAt, BlockedRequest, BlockedStream, ProgressRequest, StreamProgress,
};
pub use self::reads::{Filter, LoadRequest, LoadedStream, Present, ScanPage, ScanRequest, Span};
pub(crate) use self::records::is_lost_stream_id;
pub use self::records::{
    NewRecord, StoredEvent, StoredRecord, lost_stream_id, quoted, stored_stream_id, stored_tenant_id,
};
pub use self::room::{Names, PageRoom, Seat, WaitingRoom};
pub use self::scope::{Kept, Scope};
pub(crate) use self::subscriptions::later;
pub use self::subscriptions::{
    Lease, MOST_SEGMENTS, Member, RenewRequest, SegmentRecord, Segments, SubscriptionBackend,
    SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
pub use self::writes::{DeleteRequest, EventAt, SnapshotRequest, StateRequest};
use crate::error::{Error, Result};
use crate::position::Position;

/// What every backend does. Object-safe: [`Arc<dyn Backend>`] is a backend too.
#[async_trait]
pub trait Backend: SubscriptionBackend + Debug + Send + Sync + 'static {
    /// The backend's name, for messages.
    fn name(&self) -> &'static str;

    /// What this backend can do beyond the trait, for the conformance kit and for those who choose at run time.
    fn capabilities(&self) -> Capabilities;

    /// Appends to one or several streams, all or nothing, checking every expectation and requirement atomically with
    /// the write.
    ///
    /// A call that any of whose event ids is in the store already writes nothing and answers
    /// [`AppendOutcome::Present`], whatever else is wrong with it. Ids are unique across tenants and categories.
    ///
    /// # Errors
    ///
    /// Those of [`Expectation::check`] and [`StreamRequirement::check`], [`Error::StreamNameTaken`],
    /// [`Error::Unsupported`] for several streams where the backend takes one, and the backend's own.
    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome>;

    /// Reads a stream, or a part of it, in order, as of one moment. A stream that does not exist is empty.
    ///
    /// # Errors
    ///
    /// [`Error::VersionRangeOnVersionlessStream`] for [`Span::Versions`] of a stream without versions. A row that cannot be read
    /// is no error, it is handed over as [what it is](StoredEvent::unreadable); a snapshot or a state is passed over.
    async fn load(&self, request: LoadRequest) -> Result<LoadedStream>;

    /// Deletes a stream with its snapshots, cursors and parked events. Does nothing where there is none.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn delete(&self, request: DeleteRequest) -> Result<()>;

    /// Stores a snapshot of a versioned stream, for a version that it has reached.
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotVersionMismatch`]; [`Error::DuplicateEvent`] for an id that another snapshot has.
    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()>;

    /// Keeps the state of an aggregate, in the place of an older one of its name and format. Does nothing where the events
    /// that it names are not there, each at its version with its id.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn save_state(&self, request: StateRequest) -> Result<()>;

    /// Forgets cursors of a projector. Those that Event Sourcery for Python keeps under its name stay, and are not begun at any
    /// more.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn forget_projector(&self, request: ForgetRequest) -> Result<()>;

    /// Reads across streams, in position order, up to the settled position. A row that cannot be read is handed over as
    /// [what it is](StoredEvent::unreadable), and holds up no other.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn scan(&self, request: ScanRequest) -> Result<ScanPage>;

    /// The settled position: no event at or below it can appear any more. It never waits and never goes back.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn position(&self) -> Result<Position>;

    /// What is there at present: the settled position, and what was committed above it. Without an implementation of its own,
    /// nothing is: so it is where positions are given in the order of the commits.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn present(&self) -> Result<Present> {
        Ok(Present { position: self.position().await?, above: Vec::new() })
    }

    /// Waits until the settled position is above this one, and tells it: at once where it is already. A commit of this
    /// process wakes it; one of another process, or of a transaction that the backend cannot see, it finds soon after by
    /// itself. Dropping the future stops waiting.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn wait_beyond(&self, position: Position) -> Result<Position>;
}

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

    /// Runs `work` in a transaction of its own and commits if it succeeds. Nothing of a failed one is kept.
    ///
    /// A panic in `work` rolls back and goes on in the caller.
    ///
    /// # Errors
    ///
    /// The closure's error, or the backend's own, turned into the caller's type.
    async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'t> FnOnce(&mut Self::Transaction<'t>) -> Result<T, E> + Send + 'static;
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

    /// See [`SubscriptionBackend::progress`].
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

    /// The operations of this store inside a handler's transaction.
    fn join_handling<'a>(&'a self, handling: &'a mut Self::Handling) -> Box<dyn JoinedTransaction + 'a> {
        self.join(&mut **handling)
    }

    /// The connection of an open transaction.
    fn connection<'a>(transaction: &'a mut Self::Transaction<'_>) -> &'a mut Self::Connection;

    /// The operations of this store inside the caller's transaction.
    fn join<'a>(&'a self, transaction: &'a mut Self::Transaction<'_>) -> Box<dyn JoinedTransaction + 'a>;
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

    /// See [`SubscriptionBackend::progress`].
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
}

/// What a backend can do beyond the trait. The conformance kit checks what is declared, and prints what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// One append can span several streams.
    pub several_streams: bool,
    /// It implements [`TransactionalBackend`] or [`JoinableBackend`].
    pub transactions: bool,
    /// What was acknowledged survives the process.
    pub durable: bool,
    /// Several processes can share one store.
    pub shared: bool,
}

impl Capabilities {
    /// Every capability; switch off what is not there.
    #[must_use]
    pub const fn all() -> Self {
        Self { several_streams: true, transactions: true, durable: true, shared: true }
    }
}
