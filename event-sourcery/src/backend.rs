//! What a backend implements: one trait for all that needs no transaction, one for those that have transactions, and
//! the plain data that passes between the store and a backend.
//!
//! A backend stores and returns bytes and plain facts. It never decodes a payload, knows a tenant only as a value, and
//! leaves to the caller what the caller has to decide. The store encodes, decodes and enriches; it hands the backend
//! requests whose names, payloads and times are within the limits already.
//!
//! # How requests and answers grow
//!
//! The structs of requests and answers are non-exhaustive. Each is made by `new`, with what it cannot do without, and `with_..` for
//! the rest; so a backend still compiles when one of them gets another field. It must not answer as if it had read that field.
//! Hence the rule: *every new field of a request is guarded by a capability; the store answers
//! [`Unsupported`](crate::Error::Unsupported) before it sends it* to a backend that does not [declare](Capabilities) it.
//!
//! What a backend has to handle case by case is exhaustive on purpose, so that a new case does not compile until it is handled:
//! [`Expectation`], [`StreamState`], [`AppendOutcome`], [`Span`], [`StreamProgress`].
//!
//! Run the conformance kit, the crate `event-sourcery-conformance`, on a backend: it tests every clause of the contract by its
//! number. The page [*write a backend*](crate::guide::write_a_backend) of the guide shows how.

mod append;
mod boundaries;
mod by_name;
mod capabilities;
mod cursors;
mod groups;
mod holder;
mod inbox;
mod inspect;
mod keeping;
mod kept;
mod keys;
mod listeners;
mod listing;
mod looking;
mod outbox;
mod parts;
mod presences;
mod progress;
mod reads;
mod records;
mod room;
mod scope;
mod segments;
mod shared;
mod subscriptions;
mod tagging;
mod task;
#[cfg(test)]
mod tests;
mod transactions;
mod writes;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::append::{
    AppendOutcome, AppendRequest, Expectation, PresentEvent, Requirement, StreamAppend, StreamRequirement,
    StreamState, Written,
};
pub use self::boundaries::{Boundary, ReadRecords, ReadRequest};
pub use self::by_name::{GOES_THROUGH, StreamsByName};
pub use self::capabilities::Capabilities;
pub use self::cursors::{Cursor, CursorId, ForgetRequest, HeldCursor};
pub use self::groups::{Grouped, Groups};
pub use self::holder::Holder;
pub use self::inbox::InboxMemory;
pub use self::inspect::Inspect;
pub use self::keeping::SubscriptionBackend;
pub use self::kept::Kept;
pub use self::keys::{
    KeyRequirement, KeysRequest, NewKeysRequest, OldKeysRequest, RewrapRequest, SubjectKey, WrappedKey,
};
pub use self::listeners::{
    AsyncListener, HeardRecord, Hearing, ListenedTransaction, Listener, Listeners, Listening,
};
pub use self::listing::{Counted, ListRequest, Mark, Page};
pub use self::looking::{
    BackwardsRequest, COUNTS_TO, CursorSummary, CursorsRequest, EventsRequest, LOOKS_AT, StreamSummary,
    StreamsRequest,
};
pub use self::outbox::{HeldEntries, Hold, HoldRequest, OutboxProgress, OutboxRequest};
pub use self::parts::LoadSink;
pub(crate) use self::parts::load_in_pages;
pub use self::presences::PresenceRecord;
pub use self::progress::{
    Backlog, BacklogRequest, BlockedAt, BlockedRequest, BlockedStream, ProgressRequest, StreamProgress,
};
pub use self::reads::{Filter, LoadRequest, LoadedStream, Present, ScanPage, ScanRequest, Span};
pub(crate) use self::records::is_lost_stream_id;
pub use self::records::{
    NewRecord, StoredEvent, StoredRecord, lost_stream_id, quoted, stored_stream_id, stored_tag,
    stored_tenant_id,
};
pub use self::room::{Names, PageRoom, Seat, WaitingRoom};
pub use self::scope::Scope;
pub use self::segments::{Lease, MOST_SEGMENTS, SegmentRecord, Segments};
pub(crate) use self::subscriptions::later;
pub use self::subscriptions::{Member, RenewRequest, SubscriptionChange, SubscriptionId, SubscriptionRecord};
pub use self::tagging::{EventTags, TagRequest};
pub use self::task::in_a_task;
pub use self::transactions::{BackendTransaction, JoinableBackend, JoinedTransaction, TransactionalBackend};
pub use self::writes::{DeleteRequest, EventAt, SnapshotRequest, StateRequest};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::stream_id::TenantId;

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
    /// [`AppendOutcome::Present`], whatever else is wrong with it. Ids are unique across tenants and categories; a backend that does not
    /// [claim](Capabilities::ids_across_streams) so looks for them in the streams of the append alone.
    ///
    /// # Errors
    ///
    /// Those of [`Expectation::check`] and [`StreamRequirement::check`], [`Error::StreamNameTaken`], [`Error::BoundaryMoved`],
    /// [`Error::Unsupported`] for several streams where the backend takes one, and the backend's own.
    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome>;

    /// Reads a stream, or a part of it, in order, as of one moment. A stream that does not exist is empty.
    ///
    /// # Errors
    ///
    /// [`Error::VersionRangeOnVersionlessStream`] for [`Span::Versions`] of a stream without versions. A row that cannot be read
    /// is no error, it is handed over as [what it is](StoredEvent::unreadable); a snapshot or a state is passed over.
    async fn load(&self, request: LoadRequest) -> Result<LoadedStream>;

    /// The same for a request without a limit, handed over part by part, all of one moment. Without an implementation of its own,
    /// in one part.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load), and the sink's.
    async fn load_in_parts(&self, request: LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        sink.take(self.load(request).await?)
    }

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

    /// Keeps the state of an aggregate, in the place of an older one of its name and format. Does nothing unless both events that
    /// it names are still in the stream, at those versions and with those ids.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn save_state(&self, request: StateRequest) -> Result<()>;

    /// Forgets cursors of a projector. Those that Event Sourcery for Python keeps under its name stay, and are not begun at any
    /// more. Without an implementation of its own, a backend has none: so it is where there are no transactions.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without an implementation of its own; the backend's own.
    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        let _ = request;
        Err(Error::unsupported(self.name(), "projectors"))
    }

    /// Reads across streams, in position order, up to the settled position. A row that cannot be read is handed over as
    /// [what it is](StoredEvent::unreadable), and holds up no other.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn scan(&self, request: ScanRequest) -> Result<ScanPage>;

    /// Reads the events of a tenant that match a query, with the boundary behind them: everything that is committed, whether it is
    /// settled or not. In a transaction, what that has written is read too: a boundary behind it has moved once it is rolled back, though
    /// ids and positions may be given again. A row that cannot be read is handed over as [what it is](StoredEvent::unreadable) where it
    /// matches as far as it can be read. Without an implementation of its own, a backend has no tags.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without an implementation of its own; the backend's own.
    async fn read(&self, request: ReadRequest) -> Result<ReadRecords> {
        let _ = request;
        Err(Error::unsupported(self.name(), "tags"))
    }

    /// Gives events that are stored the tags that they have not; tells how many of them lacked some. All of it is done, or nothing.
    /// What is not there any more, or another tenant's, is left out.
    ///
    /// An append whose boundary was read before is refused, wherever such an event matches its query by now: the event stands below
    /// what was seen. Whoever has read it with its tags is not.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without an implementation of its own; the backend's own.
    async fn tag(&self, request: TagRequest) -> Result<u64> {
        let _ = request;
        Err(Error::unsupported(self.name(), "tags"))
    }

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

    /// Waits until the settled position is above this one, and returns it: immediately, if it already is. A commit of this
    /// process wakes the call; a commit of another process, or of a transaction that the backend cannot see, it finds by itself soon
    /// after. Dropping the future stops waiting.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn wait_beyond(&self, position: Position) -> Result<Position>;

    /// Reads entries of the outbox. Without an implementation of its own, a backend has no outbox.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without an implementation of its own; the backend's own.
    async fn outbox(&self, request: OutboxRequest) -> Result<ScanPage> {
        let _ = request;
        Err(Error::unsupported(self.name(), "an outbox"))
    }

    /// Looks whether entries are still there, and keeps others from publishing them who heed no leases, where there may be such.
    ///
    /// # Errors
    ///
    /// As for [`outbox`](Self::outbox).
    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        let _ = request;
        Err(Error::unsupported(self.name(), "an outbox"))
    }

    /// Reads the keys of data subjects, those that were shredded too, in any order. Who was never given one is left out. Without
    /// an implementation of its own, a backend has no keys.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] without an implementation of its own; the backend's own.
    async fn keys(&self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        let _ = request;
        Err(Error::unsupported(self.name(), "keys of data subjects"))
    }

    /// Stores keys for subjects that were never given one, as durably as an append, and returns what is then stored for each of them,
    /// in any order: of two calls at the same time, both get the one key that is stored.
    ///
    /// # Errors
    ///
    /// As for [`keys`](Self::keys).
    async fn create_keys(&self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        let _ = request;
        Err(Error::unsupported(self.name(), "keys of data subjects"))
    }

    /// Reads a page of keys that are wrapped by something else than they should be, of all tenants, in the order of tenant and
    /// subject. What was shredded is left out.
    ///
    /// # Errors
    ///
    /// As for [`keys`](Self::keys).
    async fn old_keys(&self, request: OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        let _ = request;
        Err(Error::unsupported(self.name(), "keys of data subjects"))
    }

    /// Stores a key as it is wrapped now, and returns whether it did: not if another one, or none, is stored by now.
    ///
    /// # Errors
    ///
    /// As for [`keys`](Self::keys).
    async fn rewrap_key(&self, request: RewrapRequest) -> Result<bool> {
        let _ = request;
        Err(Error::unsupported(self.name(), "keys of data subjects"))
    }

    /// How many calls have shared how many commits, for [those who measure](crate::telemetry). `None` where that is not counted: so it
    /// is without an implementation of its own. [`Groups`] counts.
    fn grouped(&self) -> Option<Grouped> {
        None
    }

    /// The part that answers those who [look inside](crate::look), if the backend [claims](Capabilities::inspect) to have it.
    fn inspect(&self) -> Option<&dyn Inspect> {
        None
    }
}
