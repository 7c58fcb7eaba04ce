//! The handle that an application holds. Each call on it has a file beside this one: `append.rs`, `load.rs`, `delete.rs` and so on.

mod decisions;
mod handles;
mod scope;

use std::sync::Arc;

use tracing::Span;

pub(crate) use self::scope::{Scope, last_event};
use crate::aggregate::Turns;
use crate::append::{Append, Appended};
use crate::backend::{Backend, JoinableBackend, TransactionalBackend};
use crate::context::HandedDown;
use crate::delete::DeleteStream;
use crate::enricher::Enrichers;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::load::LoadStream;
use crate::new_event::{IntoEvent, IntoEvents};
use crate::outbox::OutboxFilter;
use crate::position::Position;
use crate::privacy::{SealedBackend, Vault};
use crate::read_all::ReadAll;
use crate::snapshot::SaveSnapshot;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::{Deletions, Subscribe, Tail};
use crate::telemetry::Observing;
use crate::version::Version;
use crate::within::{Joined, OnStore, Within};

/// A store of events, over a backend: the handle that an application holds, clones and passes on.
///
/// The backend is named where the store is made and nowhere else. Code that does not need transactions takes an
/// `EventStore`, whose backend is erased ([`erased`](EventStore::erased)); code that does names it, so that a
/// transaction cannot meet another backend's store.
///
/// ```
/// use event_sourcery::{Error, Event, EventStore, MemoryBackend, StreamId};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
/// struct InvoicePaid {
///     invoice_number: String,
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = EventStore::new(MemoryBackend::new());
/// let stream = StreamId::from_name("invoices/1003")?;
///
/// store.append(&stream, InvoicePaid { invoice_number: "1003".into() }).await?;
///
/// let events = store.load_stream::<InvoicePaid>(&stream).await?;
/// assert_eq!(events[0].event.invoice_number, "1003");
/// assert_eq!(events[0].version, Some(1));
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub struct EventStore<B = Arc<dyn Backend>> {
    backend: Arc<B>,
    /// The backend as this handle calls it, except for what only its type can do.
    calls: Arc<dyn Backend>,
    scope: Scope,
    tail: Arc<Tail>,
    turns: Arc<Turns>,
}

impl<B> Clone for EventStore<B> {
    fn clone(&self) -> Self {
        self.over(Arc::clone(&self.backend))
    }
}

impl<B> EventStore<B> {
    /// This handle, over the same backend in another form.
    fn over<T>(&self, backend: Arc<T>) -> EventStore<T> {
        let (calls, tail, turns) = (Arc::clone(&self.calls), Arc::clone(&self.tail), Arc::clone(&self.turns));
        EventStore { backend, calls, scope: self.scope.clone(), tail, turns }
    }
}

impl<B: Backend> EventStore<B> {
    /// A store over this backend, for the default tenant.
    pub fn new(backend: B) -> Self {
        let tail: Arc<Tail> = Arc::default();
        let deletions = Arc::clone(tail.deletions());
        let (enrichers, handed_down) = (Enrichers::default(), HandedDown::default());
        let without_tags = (!backend.capabilities().tags).then(|| backend.name());
        let (tenant, backend) = (TenantId::DEFAULT, Arc::new(backend));
        let (outbox, vault, observing) = (None, None, Observing::default());
        let scope =
            Scope { tenant, enrichers, outbox, handed_down, deletions, vault, observing, without_tags };
        Self { calls: backend.clone(), backend, scope, tail, turns: Arc::default() }
    }

    /// This store with its backend's type erased, for code that works on any backend.
    #[must_use]
    pub fn erased(&self) -> EventStore {
        let backend: Arc<dyn Backend> = self.backend.clone();
        self.over(Arc::new(backend))
    }

    /// The backend, for what only it can do.
    #[must_use]
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Appends events to a stream: one, a list, or a tuple of several types. When awaited, it writes all of them or none, and
    /// returns once what it wrote is as durable as the backend promises.
    ///
    /// By default, the stream must not exist yet. The methods of [`Append`] say otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when the stream is at another version than expected,
    /// [`Error::ExpectedVersionUsedOnVersionlessStream`] and [`Error::NoExpectedVersionGivenOnVersionedStream`] when it
    /// has the other kind of versioning, [`Error::EmptyAppend`], [`Error::DuplicateEvent`],
    /// [`Error::StreamNameTaken`], [`Error::InvalidPayload`], [`Error::InvalidName`], [`Error::InvalidTime`],
    /// [`Error::InvalidContext`]; and the backend's: [`Error::Busy`],
    /// [`Error::StorageFull`], [`Error::ReadOnly`], [`Error::Closed`], [`Error::Backend`], and over a network
    /// [`Error::Unavailable`], [`Error::OutcomeUnknown`] and [`Error::SerializationFailure`].
    pub fn append(&self, stream: &StreamId, events: impl IntoEvents) -> Append<'_, OnStore<'_>, Appended> {
        Append::new(self.on_store(), &self.scope, stream, events)
    }

    /// Appends to several streams in one transaction, however many: add each with [`and`](Append::and).
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append); [`Error::EmptyAppend`] with no stream added, [`Error::InvalidOption`] for an
    /// expected version before the first, [`Error::Unsupported`] where the backend takes only one stream in an append.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// let mut append = store.append_all();
    /// for number in 1..=3 {
    ///     let stream = StreamId::from_name(format!("invoices/{number}"))?;
    ///     append = append.and(&stream, RawEvent::new("Issued", "{}")?).expected_version(0);
    /// }
    /// assert_eq!(append.await?.len(), 3);
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn append_all(&self) -> Append<'_, OnStore<'_>, Vec<Appended>> {
        Append::to_none(self.on_store(), &self.scope)
    }

    /// The version of a stream's last event; `None` where the stream does not exist, or has no versions. One event is
    /// read, none is decoded.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn version(&self, stream: &StreamId) -> Result<Option<Version>> {
        self.calls.load(last_event(&self.scope, stream)).await?.readable_version(stream)
    }

    /// Loads a stream, in order. A stream that does not exist is empty.
    ///
    /// If there is a snapshot that `E` decodes, reading starts at the newest such snapshot.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownEvent`] for a stored event that `E` does not decode, [`Error::InvalidEvent`] for a corrupt one,
    /// [`Error::NewerForm`] for one that a newer program wrote,
    /// [`Error::VersionRangeOnVersionlessStream`] for a range of versions where there are none; and the backend's.
    pub fn load_stream<E: Event>(&self, stream: &StreamId) -> LoadStream<OnStore<'_>, E> {
        LoadStream::new(self.on_store(), &self.scope, stream)
    }

    /// Deletes a stream with its snapshots, cursors and parked events. Deleting what does not exist does nothing.
    ///
    /// What is in the outbox is still published, unless [`DeleteStream::drop_outbox`] says otherwise. The stream can
    /// be created again from version 1, with either kind of versioning.
    ///
    /// However long it is, it is gone for every reader at once, and whoever writes to other streams does not wait for it. SQLite
    /// and the memory backend remove the rows of a long one afterwards, a few at a time.
    ///
    /// Once this has returned, the subscriptions of this handle and its clones hand over none of its events, also where they have
    /// read ahead. When another process deletes, or a transaction of your own ([`within`](Self::within)), nobody tells them.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub fn delete_stream(&self, stream: &StreamId) -> DeleteStream<OnStore<'_>> {
        DeleteStream::new(self.on_store(), &self.scope, stream)
    }

    /// Stores a snapshot for a version that the stream has reached. Loading with a type that knows the snapshot starts
    /// there; the full history stays. Enrichers do not run on snapshots.
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotVersionMismatch`] for a higher version and for a stream that is unknown or has no versions,
    /// [`Error::DuplicateEvent`] for an id that another snapshot has, [`Error::InvalidPayload`], [`Error::InvalidName`],
    /// [`Error::InvalidTime`], [`Error::InvalidContext`]; and the backend's.
    pub fn save_snapshot(
        &self,
        stream: &StreamId,
        version: Version,
        snapshot: impl IntoEvent,
    ) -> SaveSnapshot<OnStore<'_>> {
        SaveSnapshot::new(self.on_store(), &self.scope, stream, version, snapshot)
    }

    /// Reads the events of all streams that `E` decodes, in position order, up to what is settled now.
    ///
    /// On the default handle it sees every tenant, and each record carries its tenant; on a tenant's, that tenant only.
    ///
    /// # Errors
    ///
    /// Those of [`ReadAll::stream`].
    pub fn read_all<E: Event>(&self) -> ReadAll<'_, E> {
        ReadAll::new(&*self.calls, &self.scope)
    }

    /// The events of all streams that `E` decodes, from a position on, as they come: one by one, in batches, or to a handler
    /// that resumes where it was. Nothing is lost and nothing is reordered, whatever the filter.
    ///
    /// On the default handle it sees every tenant, and each record carries its tenant; on a tenant's, that tenant only. The
    /// guide page [*react to events*](crate::guide::react_to_events) tells what can happen in a crash.
    pub fn subscribe<E: Event>(&self) -> Subscribe<B, E> {
        Subscribe::new(self.clone())
    }

    /// The settled position: the highest one below which nothing can appear any more. Zero in an empty store. It never
    /// waits.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn position(&self) -> Result<Position> {
        self.calls.position().await
    }

    /// This handle in a transaction: what it deletes is [noted](Deletions::note_all) once that is over.
    pub(crate) fn noting_in(&self, deletions: &Arc<Deletions>) -> Self {
        let mut store = self.clone();
        store.scope.deletions = Arc::clone(deletions);
        store
    }

    /// This handle, which puts into the outbox what passes.
    pub(crate) fn putting_into_outbox(mut self, filter: OutboxFilter) -> Self {
        self.scope.outbox = Some(filter);
        self
    }

    /// This handle, of whose doings somebody is told.
    pub(crate) fn observed_by(mut self, observing: Observing) -> Self {
        self.scope.observing = observing;
        self
    }

    /// This handle, which seals and opens with these keys. What others have read, and share, is not opened.
    pub(crate) fn sealing_with(mut self, vault: Arc<Vault>) -> Self {
        let backend: Arc<dyn Backend> = self.backend.clone();
        self.calls = Arc::new(SealedBackend::new(backend, Arc::clone(&vault)));
        self.tail = Arc::new(self.tail.for_other_readers());
        self.scope.vault = Some(vault);
        self
    }

    pub(crate) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn into_scope(self) -> Scope {
        self.scope
    }

    pub(crate) fn shared_backend(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.calls)
    }

    pub(crate) fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    pub(crate) fn on_store(&self) -> OnStore<'_> {
        OnStore { backend: &*self.calls }
    }
}

impl<B: JoinableBackend> EventStore<B> {
    /// The store within a transaction that the caller holds: what the next call writes, and what the caller writes to tables of its
    /// own, is committed together or not at all. A refused call leaves the transaction usable; dropping it rolls it back.
    ///
    /// The commit is the caller's: where a statement of the caller's own has failed, and its error was not passed on, PostgreSQL
    /// keeps nothing of the transaction, events included, and sqlx's `commit` does not say so.
    ///
    /// A transaction of another database does not compile. The backend's own documentation has an example.
    ///
    /// # Errors
    ///
    /// Those of the same call on the store, and [`Error::SerializationFailure`] at isolation levels at which the database
    /// ends one of two transactions: run the whole transaction again.
    pub fn within<'a>(&'a self, transaction: &'a mut B::Transaction<'_>) -> Joined<'a> {
        let transaction = self.scope.joined(self.backend.join(transaction));
        Joined { transaction, scope: &self.scope }
    }
}

impl<B: TransactionalBackend> EventStore<B> {
    /// Runs `work` in one transaction of the backend, on its writer: what it appends and what it writes to the caller's
    /// own tables is committed together if it succeeds, and nothing of it is kept if it fails or panics.
    ///
    /// A refused append inside leaves the transaction usable. Use `tx` for everything: a call on the store itself would
    /// wait for the transaction that it is made in.
    ///
    /// # Errors
    ///
    /// What `work` fails with, or the backend's error in the caller's error type; [`Error::UnfinishedProjection`] where it has
    /// left a projection half-read; [`Error::SerializationFailure`] where another call ended the transaction, which both may share:
    /// nothing is kept, and it can be run again.
    ///
    /// ```
    /// # use event_sourcery::{Error, EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new());
    /// let (order, invoice) = (StreamId::random(), StreamId::random());
    ///
    /// store
    ///     .transaction(move |tx| {
    ///         tx.append(&order, RawEvent::new("Ordered", "{}")?).run()?;
    ///         tx.append(&invoice, RawEvent::new("Issued", "{}")?).run()
    ///     })
    ///     .await?;
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'w, 't> FnOnce(&mut Within<'w, B::Transaction<'t>>) -> Result<T, E> + Send + 'static,
    {
        let deletions = Arc::default();
        let scope = self.noting_in(&deletions).scope;
        // It may run in another thread, and is part of what its caller does all the same.
        let span = Span::current();
        let work = move |tx: &mut B::Transaction<'_>| span.in_scope(|| Within::run(tx, &scope, work));
        let done = self.backend.transaction(self.tenant_id(), work).await;
        self.scope.deletions.note_all(&deletions);
        done
    }
}
