//! The one error type: a variant for each thing a caller may want to handle, with its facts as fields.
//!
//! What caused an error is told once. A field `source` is what `source()` returns, and the error does not print it; a field `problem`
//! is printed, and not returned.

mod making;
mod name;
mod payload;
mod quoting;
#[cfg(test)]
mod tests;
mod whole;

use std::time::Duration;

use uuid::Uuid;

pub use self::name::{NameKind, NameProblem};
pub use self::payload::{DecodeError, PayloadError};
pub(crate) use self::quoting::{QUOTED, said, shortened, without_values};
pub(crate) use self::whole::{KEPT, whole};
use crate::position::{AppendPosition, Position};
use crate::query::Query;
use crate::stream_id::StreamId;
use crate::version::Version;

/// The result of every call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The source of an error, as a backend or a caller's code gave it.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call was refused or failed. A refused call has written nothing.
///
/// Two failures cannot know: when the connection to a store breaks between sending and answer
/// ([`OutcomeUnknown`](Error::OutcomeUnknown)), the append may have taken effect; and when the disk fails to sync and the
/// process ends before the next write, it may be there afterwards, whole.
/// Repeat such an append with the same event ids ([`Event::with_id`](crate::Event::with_id)); a repeat is recognised.
///
/// Its text does not repeat what [`source`](std::error::Error::source) returns, such as a driver's error:
/// [`in_full`](Self::in_full) has both.
///
/// ```
/// use event_sourcery::{Error, EventStore, MemoryBackend, RawEvent, StreamId};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = EventStore::new(MemoryBackend::new());
/// let stream = StreamId::from_name("invoices/1003")?;
/// store.append(&stream, RawEvent::new("Paid", "{}")?).await?;
///
/// match store.append(&stream, RawEvent::new("Paid", "{}")?).await {
///     Err(Error::Conflict { expected: 0, actual: 1, .. }) => {} // load again, decide again
///     other => panic!("not the conflict we expected: {other:?}"),
/// }
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A UUID was given together with a name that stands for another one.
    #[error(
        "the name {name:?} stands for the UUID {expected}, but {given} was given: leave one of the two out, or give the \
         UUID that belongs to the name"
    )]
    IncompatibleUuidAndName {
        /// The UUID that was given.
        given: Uuid,
        /// The UUID that the name stands for.
        expected: Uuid,
        /// The name that was given.
        name: String,
    },

    /// A name, category, tenant or event name outside its limits.
    #[error("{kind} {value:?} is refused: {problem}")]
    InvalidName {
        /// What the name is for.
        kind: NameKind,
        /// The refused value, cut to 40 characters.
        value: String,
        /// Which limit it breaks.
        problem: NameProblem,
    },

    /// The name of a stream belongs to another UUID, in that category and tenant.
    #[error(
        "the name {name:?} is taken by the stream {holder}: open that one, or choose another name for {stream}"
    )]
    #[non_exhaustive]
    StreamNameTaken {
        /// The stream that was to have the name.
        stream: StreamId,
        /// The name.
        name: String,
        /// The UUID that has it.
        holder: Uuid,
    },

    /// The stream is not at the expected version: somebody else appended. Version 0 is a stream that does not exist.
    #[error(
        "the stream {stream} {}, but the append expected {}: load it again, and decide on what it holds now",
        found(*actual), expectation(*expected)
    )]
    Conflict {
        /// The stream.
        stream: StreamId,
        /// The version that the caller expected; 0: that the stream does not exist.
        expected: Version,
        /// The version that the stream has; 0: it does not exist.
        actual: Version,
    },

    /// An expected version, or none at all, on a stream that was created with no versioning.
    #[error(
        "the stream {stream} has no versions: append to it with `.no_versioning()`. It cannot be an aggregate's"
    )]
    ExpectedVersionUsedOnVersionlessStream {
        /// The stream.
        stream: StreamId,
    },

    /// No versioning asked for on a stream that has versions.
    #[error("the stream {stream} is versioned: append to it with `.expected_version(..)`")]
    NoExpectedVersionGivenOnVersionedStream {
        /// The stream.
        stream: StreamId,
    },

    /// A range of versions was asked of a stream that has none.
    #[error("the stream {stream} has no versions, so no range of them can be read: load the whole stream")]
    VersionRangeOnVersionlessStream {
        /// The stream.
        stream: StreamId,
    },

    /// The stream has no version left: the highest is 2,147,483,647.
    #[error(
        "the stream {stream} has too few versions left for these events, because the highest is 2147483647: append to another stream"
    )]
    VersionsUsedUp {
        /// The stream.
        stream: StreamId,
    },

    /// An append without events.
    #[error("an append needs at least one event: skip the call when there is nothing to append")]
    EmptyAppend {
        /// The stream; `None` where the append names none.
        stream: Option<StreamId>,
    },

    /// One call names a stream more than once.
    #[error("one append names the stream {stream} twice: put its events together")]
    StreamGivenTwice {
        /// The stream.
        stream: StreamId,
    },

    /// An id is in use already, and the append is not the same one repeated.
    #[error(
        "the id {event_id} is already in use, in the store or in this call, and this call does not repeat the append that wrote it \
         (same ids, same order, same stream, same payloads): give new events for {stream} new ids"
    )]
    #[non_exhaustive]
    DuplicateEvent {
        /// The id.
        event_id: Uuid,
        /// The stream that the event was for.
        stream: StreamId,
    },

    /// A command was run with this key before, and did something else than the one that is run with it now.
    #[error(
        "a command with the key {key:?} was run on {stream} before, and it did something else than this one: nothing was written. \
         Give each request a key of its own, and make sure that a command does the same on the same state"
    )]
    KeyReused {
        /// The key.
        key: String,
        /// The aggregate's stream.
        stream: StreamId,
    },

    /// A stream that an append depends on is not at the version it has to be at.
    #[error(
        "the append depends on the stream {stream} and requires {}, but the stream {}: load it again, and decide again",
        expectation(*required), found_or_none(*actual)
    )]
    RequirementFailed {
        /// The stream that was to be unchanged.
        stream: StreamId,
        /// The version it had to have; 0: it must not exist.
        required: Version,
        /// The version it has; 0: it does not exist; `None`: it has no versions.
        actual: Option<Version>,
    },

    /// An append that was to hold [unless the boundary had moved](crate::Append::unless_moved), and it has: an event that matches
    /// the query was committed, which the read had not seen. So does whoever deletes a stream with such events.
    #[error(
        "since the query was read ({query}), events that match it were written, or deleted: read it again, and decide again"
    )]
    #[non_exhaustive]
    BoundaryMoved {
        /// The query.
        query: Query,
    },

    /// An event about a data subject whose key was shredded: nothing about them is written any more.
    #[error(
        "the key of the data subject {subject:?} was shredded: nothing that is to be encrypted for them can be stored"
    )]
    SubjectShredded {
        /// The subject.
        subject: String,
    },

    /// An event with fields that are to be encrypted, or that were, on a handle that has no keys.
    #[error(
        "the event {name:?} of the stream {stream} has fields that are encrypted, and this handle of the store has no keys: make it \
         with `.with_encryption(..)`"
    )]
    EncryptionMissing {
        /// The event's stored name.
        name: String,
        /// The stream.
        stream: StreamId,
    },

    /// An event with a field that is to be encrypted for nobody. Nothing was written.
    #[error(
        "the event {name:?} for the stream {stream} has a field to encrypt, but no data subject: the subject is `null`, or it is the \
         stream's name, which the append does not give"
    )]
    NoSubject {
        /// The event's stored name.
        name: String,
        /// The stream.
        stream: StreamId,
    },

    /// An encrypted field that cannot be opened: it is not what was stored at this place, or its key is not the one it was stored
    /// with. That a subject was shredded is no error: the field reads as its mask.
    #[error(
        "the encrypted field {field:?} of the event {name:?} in the stream {stream}, at position {position}, cannot be opened: \
         {problem}"
    )]
    SealBroken {
        /// The event's stored name.
        name: Box<str>,
        /// The stream.
        stream: StreamId,
        /// Where it stands in the whole store.
        position: Position,
        /// The field, as a JSON pointer; empty where it cannot be told.
        field: Box<str>,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The key of a data subject cannot be unwrapped.
    #[error(
        "the key of the data subject {subject:?} is wrapped by {by:?}, and cannot be unwrapped: {problem}. Give the store what it was \
         wrapped with, as the present or a former one"
    )]
    KeyNotUnwrapped {
        /// The subject.
        subject: String,
        /// The name of what it is wrapped with.
        by: String,
        /// What is wrong with it.
        problem: Box<str>,
    },

    /// A call in a closure needs the key of a data subject that only a service can unwrap, for which nothing can wait there.
    #[error(
        "the key of the data subject {subject:?} is not in memory, and a closure cannot wait for a key service: before it, load or \
         append an event about this subject on the store itself"
    )]
    KeyNotAtHand {
        /// The subject.
        subject: String,
    },

    /// A payload that cannot be stored so that it reads back equal.
    #[error("the payload of {name:?} cannot be stored: {problem}")]
    InvalidPayload {
        /// The event's name.
        name: String,
        /// Why.
        problem: PayloadError,
    },

    /// A context component that cannot be stored or read as the type asked for.
    #[error("the context component {component:?} cannot be used: {problem}")]
    InvalidContext {
        /// The name of the component or root key.
        component: String,
        /// Why.
        problem: String,
    },

    /// Two context enrichers for one component.
    #[error("there is already an enricher named {name:?}: a component has only one source")]
    DuplicateEnricher {
        /// The component's name.
        name: String,
    },

    /// A time outside the years 1 to 9999.
    #[error("the time {created_at} cannot be stored: only the years 1 to 9999 can")]
    InvalidTime {
        /// The time.
        created_at: jiff::Timestamp,
    },

    /// A stored event of a type that the caller does not decode.
    #[error(
        "the stream {stream} holds an event {name:?}{} that the caller's type does not decode: add \
         a variant for it, or a catch-all, `#[event(catch_all)] Other(RawEvent)`",
        at(*version)
    )]
    UnknownEvent {
        /// The stored name.
        name: String,
        /// The stream.
        stream: StreamId,
        /// The event's version, if its stream has versions.
        version: Option<Version>,
    },

    /// A stored event that is corrupt, or does not fit the caller's type. To skip it, go on reading after its position.
    #[error(
        "the event {name:?}{} of the stream {stream}, at position {position}, cannot be decoded: {problem}. Change \
         the type so that it reads what is stored, or add an upcaster",
        at(*version)
    )]
    InvalidEvent {
        /// The stored name.
        name: String,
        /// The stream.
        stream: StreamId,
        /// The event's version, if its stream has versions.
        version: Option<Version>,
        /// Where it stands in the whole store.
        position: Position,
        /// What is wrong with it.
        problem: Box<str>,
    },

    /// A stored event in a form that is newer than this program.
    #[error(
        "the event {name:?} of the stream {stream}{} was written by a newer program, in the form of version {found}, and this program \
         knows forms up to version {known}: update this program",
        at(*version)
    )]
    NewerForm {
        /// The stored name.
        name: String,
        /// The stream.
        stream: StreamId,
        /// The event's version, if its stream has versions.
        version: Option<Version>,
        /// The schema version that it is stored with.
        found: u32,
        /// The newest schema version that the caller's type knows.
        known: u32,
    },

    /// A snapshot for a version that the stream has not reached, or of a stream that is unknown or has no versions.
    #[error(
        "a snapshot for version {version} of the stream {stream} is refused, because the stream {}: save it for a version \
         that the stream has reached",
        found_or_none(*actual)
    )]
    SnapshotVersionMismatch {
        /// The stream.
        stream: StreamId,
        /// The version of the snapshot.
        version: Version,
        /// The version of the stream; 0: it does not exist; `None`: it has no versions.
        actual: Option<Version>,
    },

    /// A stream was deleted, and perhaps created again, while it was being read in pages.
    #[error("the stream {stream} was deleted while it was being read: read it again")]
    StreamChangedWhileReading {
        /// The stream.
        stream: StreamId,
    },

    /// The backend cannot do this.
    #[error("the {backend} backend does not support {operation}")]
    #[non_exhaustive]
    Unsupported {
        /// The backend's name.
        backend: &'static str,
        /// What was asked of it.
        operation: &'static str,
    },

    /// The database ended this transaction because of another one. Run the whole transaction again.
    #[error("the database ended this transaction because of another one: run it again")]
    #[non_exhaustive]
    SerializationFailure {
        /// The database's own error.
        source: Source,
    },

    /// The store is locked by somebody else, or has no connection free, and stayed so for as long as we may wait. Or so much waits
    /// to be written, of this tenant or of all, that there is no room for more: then nothing was waited for.
    #[error(
        "for {waited:?}, the store was locked by another connection, had no free connection, or had too many writes waiting: try \
         again, or allow a longer wait"
    )]
    #[non_exhaustive]
    Busy {
        /// How long the call waited; zero where there was no room.
        waited: Duration,
    },

    /// The store's server cannot be reached, or is starting or shutting down. Nothing was written.
    #[error("the store's server cannot be reached: try again when it is back")]
    #[non_exhaustive]
    Unavailable {
        /// The driver's or the database's own error.
        source: Source,
    },

    /// The connection broke before the answer came: the call may have taken effect, whole, or not at all.
    #[error(
        "the connection broke before the store answered, so the call may have taken effect: repeat it with the same \
         event ids"
    )]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The driver's own error.
        source: Source,
    },

    /// An event that was to be replayed or skipped, and that its stream does not wait for any more.
    #[error(
        "in the subscription {subscription:?}, the stream {stream} no longer waits for the event at {position}: list what is \
         blocked again"
    )]
    NotBlocked {
        /// The subscription's name.
        subscription: String,
        /// The stream.
        stream: StreamId,
        /// Where the event stands.
        position: Position,
    },

    /// Somebody else works on this part of a durable subscription by now, or has changed what was to be changed. Nothing
    /// was written.
    #[error(
        "somebody else has taken over this part of the subscription {subscription:?}, or has changed it: read it again, and \
         go on from there"
    )]
    #[non_exhaustive]
    LeaseLost {
        /// The subscription's name.
        subscription: String,
    },

    /// What was waited for was not handled in time, or waits for an event that failed.
    #[error(
        "the subscription {subscription:?} has not handled everything {} up to {position} within {waited:?}; it is at \
         {checkpoint}{}: check that it runs, look at what is blocked, or wait longer",
        of_stream(stream.as_ref()), if *is_blocked { ", and the stream waits for an event that failed" } else { "" }
    )]
    NotHandledInTime {
        /// The subscription's name.
        subscription: String,
        /// The stream that was waited for; `None`: all of them.
        stream: Option<StreamId>,
        /// Up to where it was to be handled.
        position: AppendPosition,
        /// The checkpoint of the stream's part of the subscription, or the one that is furthest behind.
        checkpoint: Position,
        /// Whether the stream waits for an event that failed.
        is_blocked: bool,
        /// How long the call waited.
        waited: Duration,
    },

    /// A durable subscription is asked for events that it was not run for so far, and some of those have been passed: nobody
    /// was handed them. See [`Durable::widen`](crate::Durable::widen).
    #[error(
        "the subscription {subscription:?} was not run for {} so far, and has passed such events from {first} up to {up_to} \
         without handing them over. Say `.widen(Passed::HandOver)` to be handed them now, or `.widen(Passed::LeaveOut)` to go \
         on without them; or give this subscription a name of its own, if it is another one",
        names.join(", ")
    )]
    PassedUnasked {
        /// The subscription's name.
        subscription: String,
        /// The names of the events that it is asked for, and was not run for.
        names: Vec<String>,
        /// Where the first of them stands that was passed.
        first: Position,
        /// Up to where it has come.
        up_to: Position,
    },

    /// A durable subscription is run for other events than it is asked for here: by somebody else, or until now. See
    /// [`Durable::narrow`](crate::Durable::narrow).
    #[error(
        "the subscription {subscription:?} is run for {kept}, and is asked here for {asked}: give one of the two another name, \
         or say `.narrow()` if it is the same one, which wants no more than this from here on"
    )]
    RunForOthers {
        /// The subscription's name.
        subscription: String,
        /// What it is run for.
        kept: String,
        /// What it was asked for.
        asked: String,
    },

    /// A durable subscription was stopped, and the store did not answer in time: its last checkpoint may be missing, so that events
    /// come again that were handled at least once, and others take over once its leases have ended.
    #[error(
        "the subscription {subscription:?} was stopped, and the store did not answer within {waited:?}: its last checkpoint may \
         be missing, and others take over once its leases have ended"
    )]
    NotLeftInTime {
        /// The subscription's name.
        subscription: String,
        /// How long the store was waited for.
        waited: Duration,
    },

    /// No durable subscription of this name has run, or it was removed.
    #[error("no subscription {subscription:?} has run for this tenant: check the name and the tenant")]
    SubscriptionNotFound {
        /// The subscription's name.
        subscription: String,
    },

    /// An event without a version, handed to a projector: what was missed could not be told.
    #[error(
        "the projector {projector:?} cannot project the event at {position}, because the stream {stream} has no versions: \
         append to it with versions, or handle its events without a projector"
    )]
    CannotProjectUnversionedEvent {
        /// The projector's name.
        projector: String,
        /// The stream.
        stream: StreamId,
        /// Where the event stands.
        position: Position,
    },

    /// A projection was not read to its end, so its cursor did not move. Nothing of the transaction was kept.
    #[error(
        "the projector {projector:?} began with an event of {stream}, and was not read to its end: nothing of the transaction was \
         kept. Read a projection until it gives `None`, and pass errors on"
    )]
    UnfinishedProjection {
        /// The projector's name.
        projector: String,
        /// The stream.
        stream: StreamId,
    },

    /// The receiver of what the outbox publishes is away, or accepts nothing for now. Nothing is wrong with the entries: they wait. A
    /// [run](crate::outbox::Outbox::run_forever) tries again by itself, and does not end with it.
    #[error("the receiver of what the outbox publishes is away: the entries wait, and are tried again")]
    #[non_exhaustive]
    PublisherAway {
        /// How long to wait at least, if the other end has said so.
        retry_after: Option<Duration>,
        /// What the publisher says.
        source: Source,
    },

    /// A listener failed that was called for an event of an append: nothing of the append was kept. Its own error is the source.
    #[error(
        "a listener failed on the event {name:?}{} of the stream {stream}, so nothing of the append was kept: the source of this error \
         says why",
        at(*version)
    )]
    #[non_exhaustive]
    ListenerFailed {
        /// The event's stored name.
        name: String,
        /// Its stream.
        stream: StreamId,
        /// The version that it was given, if its stream has versions.
        version: Option<Version>,
        /// What the listener failed with, or the words of its panic.
        source: Source,
    },

    /// What a listener appends is listened to in its turn, and that went too deep. Nothing of the append was kept.
    #[error(
        "{depth} listeners were running, each on what the one before had appended, when the event {name:?} was appended to the stream \
         {stream}: make a listener ignore the events that it causes"
    )]
    #[non_exhaustive]
    ListenersTooDeep {
        /// The stored name of the event that would have been one too deep.
        name: String,
        /// Its stream.
        stream: StreamId,
        /// How many listeners were at work within one another.
        depth: usize,
    },

    /// The transaction was not committed but rolled back, as the database does once a statement in it has failed. Nothing of it
    /// was kept.
    #[error(
        "a statement failed earlier in this transaction, so nothing of the transaction was kept: pass that error on, or run the \
         statement under a savepoint, and begin the transaction again"
    )]
    #[non_exhaustive]
    RolledBack {
        /// The database's own error.
        source: Source,
    },

    /// An event that a [copy](crate::copy) cannot carry over as it is. Where it is left out, it is reported with this.
    #[error("the event {event_id} of the stream {stream} cannot be carried over as it is: {problem}")]
    #[non_exhaustive]
    NotCarriedOver {
        /// The event's id.
        event_id: Uuid,
        /// Its stream.
        stream: StreamId,
        /// Why.
        problem: &'static str,
    },

    /// A line of a [file of events](crate::copy::export) that cannot be read.
    #[error("line {line} of the file of events cannot be read: {problem}")]
    #[non_exhaustive]
    InvalidLine {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },

    /// A file of events could not be read or written.
    #[error("the file of events could not be read or written")]
    #[non_exhaustive]
    File {
        /// What the system has reported.
        source: std::io::Error,
    },

    /// The disk, or the size that the database may have, is used up.
    #[error("the disk is full, or the database has reached its size limit: make room, and try again")]
    #[non_exhaustive]
    StorageFull {
        /// The database's own error.
        source: Source,
    },

    /// The store can be read but not written.
    #[error("the store is read-only: {problem}")]
    #[non_exhaustive]
    ReadOnly {
        /// What forbids writing.
        problem: String,
    },

    /// There is no store at that place.
    #[error("there is no store at {place}: {problem}")]
    StoreNotFound {
        /// The file or address.
        place: String,
        /// What was found there instead.
        problem: String,
    },

    /// What is at that place is not a store of ours.
    #[error("{place} is not a store that we can read: {problem}")]
    ForeignLayout {
        /// The file or address.
        place: String,
        /// What was found there.
        problem: String,
    },

    /// The tables were made by a newer version of this library.
    #[error(
        "the tables have layout {found}, but this version knows layouts up to {known}: update the library"
    )]
    NewerLayout {
        /// The layout that was found.
        found: u32,
        /// The newest one that this version knows.
        known: u32,
    },

    /// The tables are missing or older than this version needs, and it was told not to migrate them.
    #[error(
        "the tables need a migration: {problem}. Let the store migrate, or run the printed migration yourself"
    )]
    MigrationNeeded {
        /// What is missing.
        problem: String,
    },

    /// The store would hand out positions again that it has handed out before: it was moved without its sequence, or
    /// restored beside newer checkpoints. Readers have passed those positions, and would never get the events. The message
    /// has the statement that repairs it; a store that was open is to be opened again. An append that is refused so has written
    /// nothing.
    #[error(
        "the numbering of the store went back: the last number drawn is {drawn}, but {highest} was given before ({evidence}). The next \
         appends would be refused, or readers would never get their events. While nobody writes, run the following, and open the store \
         again: {repair}"
    )]
    NumberingWentBack {
        /// The last number that was drawn, as the store has it; 0 for none. A position, unless `evidence` tells of streams, of
        /// entries of the outbox, or of other rows that are numbered.
        drawn: i64,
        /// The highest one that is known to have been given before.
        highest: i64,
        /// What tells so: an event, the settled position, a checkpoint, and others.
        evidence: &'static str,
        /// What repairs it: statements of SQL. What was appended since it went back, readers may have passed all the same.
        repair: String,
    },

    /// The store has given its last number: of positions, or of streams.
    #[error("the store has no number left after {last} for new events or streams: {repair}")]
    NumbersUsedUp {
        /// The last number that was given.
        last: i64,
        /// What there is to do.
        repair: String,
    },

    /// A position after the last one that the store has ever given: it is of another store, or of this one before it was
    /// restored from a backup.
    #[error(
        "the position {position} is beyond the end of the store, which has given positions up to {end}: it is of another \
         store, or this one was restored from a backup. Start again from a position that this store has handed out"
    )]
    BeyondEnd {
        /// The position.
        position: Position,
        /// The last position that was given.
        end: Position,
    },

    /// The server was replaced by one that lacks events which readers were handed: a standby that had not received them was
    /// promoted, or a backup was restored behind the same address. Open the store again, and start reading again.
    #[error(
        "the store's server was replaced by one that lacks events that were read before, up to {position}: open the store again, run \
         durable subscriptions again (they go on from their checkpoints), and start other readers again from the beginning"
    )]
    HistoryReplaced {
        /// Up to where readers of this process may have been handed events.
        position: Position,
    },

    /// The role of the store lacks a right.
    #[error("the role of the store may not do this: {problem}. It needs: {grant}")]
    MissingGrant {
        /// The server's own words.
        problem: String,
        /// The statement that grants it.
        grant: String,
    },

    /// An option outside its bounds.
    #[error("the option {option} is refused: {problem}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// What is wrong with its value.
        problem: String,
    },

    /// The store was closed, or its writer has ended.
    #[error("the store is closed")]
    Closed,

    /// What cannot happen has happened: a defect of this library, or of the backend. Please report it.
    #[error("this is a defect of the store or its backend, please report it: {what}")]
    #[non_exhaustive]
    Bug {
        /// What has happened.
        what: &'static str,
    },

    /// Anything else that the database reported.
    #[error("the {backend} backend failed")]
    #[non_exhaustive]
    Backend {
        /// The backend's name.
        backend: &'static str,
        /// The database's own error.
        source: Source,
    },
}

impl Error {
    /// Whether trying the same call again can help.
    ///
    /// A [`Conflict`](Error::Conflict) is not retryable in this sense: the caller has to load and decide again. So it is with
    /// [`BoundaryMoved`](Error::BoundaryMoved). Neither is
    /// [`OutcomeUnknown`](Error::OutcomeUnknown): only an append with event ids of the caller's can be repeated safely. A
    /// [listener's failure](Error::ListenerFailed) is where it is an error of this library that is.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::SerializationFailure { .. }
            | Self::Busy { .. }
            | Self::Unavailable { .. }
            | Self::StorageFull { .. }
            | Self::StreamChangedWhileReading { .. }
            | Self::PublisherAway { .. }
            | Self::NotHandledInTime { .. } => true,
            Self::ListenerFailed { source, .. } => {
                source.downcast_ref::<Self>().is_some_and(Self::is_retryable)
            }
            _ => false,
        }
    }

    /// Whether an append was refused for what is in it, or for what its streams are: then nothing of it was written, and others may be.
    /// What it required besides, such as a boundary, is no part of this; nor is what fails for now, or for any append.
    ///
    /// ```
    /// use event_sourcery::{Error, EventStore, MemoryBackend, RawEvent, StreamId};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
    /// let late = store.append(&stream, RawEvent::new("Opened", "{}")?).expected_version(3).await;
    /// assert!(late.is_err_and(|error| error.is_refusal()));
    /// assert!(!Error::Closed.is_refusal());
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. }
                | Self::ExpectedVersionUsedOnVersionlessStream { .. }
                | Self::NoExpectedVersionGivenOnVersionedStream { .. }
                | Self::StreamNameTaken { .. }
                | Self::DuplicateEvent { .. }
                | Self::InvalidContext { .. }
                | Self::InvalidName { .. }
                | Self::InvalidPayload { .. }
                | Self::InvalidTime { .. }
                | Self::VersionsUsedUp { .. }
        )
    }
}

fn found(actual: Version) -> String {
    if actual == 0 { "does not exist".to_owned() } else { format!("is at version {actual}") }
}

fn found_or_none(actual: Option<Version>) -> String {
    actual.map_or_else(|| "has no versions".to_owned(), found)
}

fn at(version: Option<Version>) -> String {
    version.map(|version| format!(" at version {version}")).unwrap_or_default()
}

fn of_stream(stream: Option<&StreamId>) -> String {
    stream.map(|stream| format!("of the stream {stream}")).unwrap_or_else(|| "that it wants".to_owned())
}

fn expectation(expected: Version) -> String {
    if expected == 0 { "that it does not exist".to_owned() } else { format!("version {expected}") }
}
