//! What a backend implements: one trait for all that needs no transaction, one for those that have transactions, and
//! the plain data that passes between the store and a backend.
//!
//! A backend stores and returns bytes and plain facts. It never decodes a payload, knows a tenant only as a value, and
//! leaves to the caller what the caller has to decide. The store encodes, decodes and enriches; it hands the backend
//! requests whose names, payloads and times are within the limits already.
//!
//! Run the [conformance kit](mod@crate::conformance) on a backend: it tests every clause of the contract by its number.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::position::{AppendPosition, Position};
use crate::stream_id::{Category, StreamId, TenantId};
use crate::version::Version;

/// What every backend does. Object-safe: [`Arc<dyn Backend>`] is a backend too.
#[async_trait]
pub trait Backend: Debug + Send + Sync + 'static {
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
    /// [`Error::VersionRangeOnVersionlessStream`] for [`Span::Versions`] of a stream without versions,
    /// [`Error::InvalidEvent`] for a row that cannot be read.
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

    /// Reads across streams, in position order, up to the settled position.
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
}

#[async_trait]
impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        (**self).append(request).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        (**self).load(request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        (**self).delete(request).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        (**self).save_snapshot(request).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        (**self).scan(request).await
    }

    async fn position(&self) -> Result<Position> {
        (**self).position().await
    }
}

/// A backend whose transactions are handed to a closure, on the backend's writer: the closure's result decides between
/// commit and rollback. SQLite and memory work so; a backend whose transactions the caller holds (PostgreSQL) joins
/// them by a trait beside this one.
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
}

/// What a backend can do beyond the trait. The conformance kit checks what is declared, and prints what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// One append can span several streams.
    pub several_streams: bool,
    /// It implements [`TransactionalBackend`], or lets appends join the caller's own transaction.
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

/// An append: events for one or several streams of one tenant, and what else has to hold for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct AppendRequest {
    /// Whose streams.
    pub tenant: TenantId,
    /// Each stream once. Without any, only the requirements are checked.
    pub streams: Vec<StreamAppend>,
    /// What has to hold besides, checked in the same transaction.
    pub requirements: Vec<Requirement>,
}

impl AppendRequest {
    /// An append without requirements.
    #[must_use]
    pub const fn new(tenant: TenantId, streams: Vec<StreamAppend>) -> Self {
        Self { tenant, streams, requirements: Vec::new() }
    }

    /// The ids of all its events, in order.
    pub fn event_ids(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.streams.iter().flat_map(|stream| stream.events.iter().map(|event| event.id))
    }
}

/// The part of an append that goes to one stream.
#[derive(Debug)]
pub struct StreamAppend {
    /// The stream. If it has a name that the store does not know yet, the store learns it.
    pub stream: StreamId,
    /// What the stream has to be like.
    pub expectation: Expectation,
    /// At least one event, with ids that are unique within the request.
    pub events: Vec<NewRecord>,
}

/// What an append expects of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// The stream is versioned and at this version; at 0 it does not exist.
    Version(Version),
    /// The stream has no versions, or does not exist.
    NoVersioning,
}

/// What a stream is at the moment of an append. Its last event tells, not a counter kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// It has no events.
    Missing,
    /// Its last event has this version.
    Versioned(Version),
    /// Its events have no versions.
    Unversioned,
}

impl StreamState {
    /// The version for messages: 0 where there is no stream, `None` where it has no versions.
    #[must_use]
    pub const fn version(self) -> Option<Version> {
        match self {
            Self::Missing => Some(0),
            Self::Versioned(version) => Some(version),
            Self::Unversioned => None,
        }
    }
}

impl Expectation {
    /// Whether an append may go on: the version of its first event, or `None` for events without versions.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`], [`Error::ExpectedVersionUsedOnVersionlessStream`],
    /// [`Error::NoExpectedVersionGivenOnVersionedStream`].
    pub fn check(self, stream: &StreamId, state: StreamState) -> Result<Option<Version>> {
        let stream = || stream.clone();
        match (self, state) {
            (Self::NoVersioning, StreamState::Missing | StreamState::Unversioned) => Ok(None),
            (Self::NoVersioning, StreamState::Versioned(_)) => {
                Err(Error::NoExpectedVersionGivenOnVersionedStream { stream: stream() })
            }
            (Self::Version(_), StreamState::Unversioned) => {
                Err(Error::ExpectedVersionUsedOnVersionlessStream { stream: stream() })
            }
            (Self::Version(0), StreamState::Missing) => Ok(Some(1)),
            (Self::Version(expected), StreamState::Missing) => {
                Err(Error::Conflict { stream: stream(), expected, actual: 0 })
            }
            (Self::Version(expected), StreamState::Versioned(actual)) if expected == actual => {
                Ok(Some(actual.saturating_add(1)))
            }
            (Self::Version(expected), StreamState::Versioned(actual)) => {
                Err(Error::Conflict { stream: stream(), expected, actual })
            }
        }
    }
}

/// What has to hold for an append besides its own expectations. Checked in the transaction that writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// About another stream of the tenant.
    Stream(StreamRequirement),
}

/// Another stream is at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRequirement {
    /// The stream.
    pub stream: StreamId,
    /// The version; at 0 it does not exist.
    pub version: Version,
}

impl StreamRequirement {
    /// Whether the requirement holds, given the state of its stream.
    ///
    /// # Errors
    ///
    /// [`Error::RequirementFailed`].
    pub fn check(&self, state: StreamState) -> Result<()> {
        let Self { stream, version } = self;
        if state.version() == Some(*version) {
            return Ok(());
        }
        Err(Error::RequirementFailed { stream: stream.clone(), required: *version, actual: state.version() })
    }
}

/// An event, or a snapshot, to be stored.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewRecord {
    /// Unique in the whole store.
    pub id: Uuid,
    /// The stored name of its type.
    pub name: Cow<'static, str>,
    /// The text of a JSON object.
    pub data: String,
    /// The text of a JSON object.
    pub context: String,
    /// In whole microseconds, years 1 to 9999.
    pub created_at: Timestamp,
    /// The version of the payload's form, from 1; for a snapshot, of its format.
    pub schema_version: u32,
}

/// What became of an append that was not refused.
#[derive(Debug)]
pub enum AppendOutcome {
    /// Everything was written: what each stream got, in the order of the request.
    Written(Vec<Written>),
    /// Some or all of the ids are in the store already, and nothing was written. The store decides whether this is the
    /// same append repeated.
    Present(Vec<PresentEvent>),
}

/// What an append wrote to one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version of the first event; `None` without versions. The others follow without a gap.
    pub first_version: Option<Version>,
    /// The position of the last event.
    pub last_position: AppendPosition,
}

/// An event that an append would have written again.
#[derive(Debug)]
pub struct PresentEvent {
    /// The event as it is stored.
    pub record: StoredRecord,
    /// The id of the event before it in its stream.
    pub previous: Option<Uuid>,
}

/// An event of a stream, or a snapshot, as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Its position. A snapshot has none of its own: [`Position::START`].
    pub position: Position,
    /// Its version, if the stream has versions.
    pub version: Option<Version>,
    /// Its id.
    pub id: Uuid,
    /// The stored name of its type.
    pub name: Arc<str>,
    /// Its payload: text that should be a JSON object.
    pub data: Box<str>,
    /// Its context: text that should be a JSON object.
    pub context: Cow<'static, str>,
    /// When it happened.
    pub created_at: Timestamp,
    /// The version of the payload's form.
    pub schema_version: u32,
}

/// A stored event with its place.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// Its stream.
    pub stream: StreamId,
    /// Whose stream.
    pub tenant: TenantId,
    /// The event.
    pub event: StoredEvent,
}

/// What to load of a stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// Which part of it.
    pub span: Span,
    /// At most so many events, at least 1; `None`: all of them.
    pub limit: Option<usize>,
}

/// Which part of a stream to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All of it, except that the newest snapshot of one of these names, at or below the version given, stands in for
    /// the events up to its version. A snapshot above the stream's version, or older than the stream's first event, was
    /// left over by a deleted stream and does not count.
    FromSnapshot {
        /// The names of the snapshots that the caller decodes.
        names: &'static [&'static str],
        /// The highest version that counts.
        up_to: Version,
    },
    /// The full history.
    Full,
    /// The versions from `start` to below `stop`. Refused where there are none.
    Versions {
        /// The first version.
        start: Version,
        /// The version after the last.
        stop: Version,
    },
    /// The events after this one: how a long stream is read in pages.
    After(Position),
    /// The last event alone.
    Last,
}

/// What was loaded of a stream.
#[derive(Debug, Default)]
pub struct LoadedStream {
    /// The snapshot that stands in for the events up to its version.
    pub snapshot: Option<StoredEvent>,
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// Whether the limit cut off events.
    pub has_more: bool,
    /// The position of the stream's first event, if the request had a limit: it tells a stream from one of the same id
    /// that was created after it was deleted.
    pub first_position: Option<Position>,
}

impl LoadedStream {
    /// The version of the last event that was loaded; `None` without events, or without versions.
    #[must_use]
    pub fn last_version(&self) -> Option<Version> {
        self.events.last().and_then(|event| event.version)
    }
}

/// Which stream to delete.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeleteRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// Whether to drop what is still in the outbox; otherwise it is published.
    pub drop_outbox: bool,
}

/// A snapshot to store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SnapshotRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// The version that the snapshot stands for.
    pub version: Version,
    /// The snapshot.
    pub record: NewRecord,
}

impl SnapshotRequest {
    /// Whether the stream has reached the snapshot's version.
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotVersionMismatch`].
    pub fn check(&self, state: StreamState) -> Result<()> {
        if matches!(state, StreamState::Versioned(reached) if (1..=reached).contains(&self.version)) {
            return Ok(());
        }
        let (stream, version) = (self.stream.clone(), self.version);
        Err(Error::SnapshotVersionMismatch { stream, version, actual: state.version() })
    }
}

/// What to read across streams.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScanRequest {
    /// Only events above this position.
    pub after: Position,
    /// Only these events.
    pub filter: Filter,
    /// At most so many events; at least 1.
    pub limit: usize,
}

/// Which events a reader across streams wants.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Only this tenant's; `None`: everybody's.
    pub tenant: Option<TenantId>,
    /// Only this category's.
    pub category: Option<Category>,
    /// Only these stored names.
    pub names: Option<Arc<[Arc<str>]>>,
}

/// A page of a scan.
#[derive(Debug)]
pub struct ScanPage {
    /// The events, in position order.
    pub records: Vec<StoredRecord>,
    /// Where to read on from: at or above the last event, and settled.
    pub next: Position,
    /// Whether the limit cut off events.
    pub has_more: bool,
}
