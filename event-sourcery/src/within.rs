//! Where a call runs: on the store; inside a transaction of the store's own; or inside one that the caller holds.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::append::{Append, Appended};
use crate::backend::{
    AppendOutcome, AppendRequest, Backend, BackendTransaction, JoinedTransaction, KeysRequest, LoadRequest,
    LoadSink, LoadedStream, ReadRecords, ReadRequest, SubjectKey,
};
use crate::decide::{Decide, Folds, NewEvents};
use crate::delete::DeleteStream;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::load::LoadStream;
use crate::new_event::{IntoEvent, IntoEvents};
use crate::privacy::{WriterCalls, shred_within};
use crate::projection::Unfinished;
use crate::query::Query;
use crate::read::ReadQuery;
use crate::snapshot::SaveSnapshot;
use crate::store::{Scope, last_event};
use crate::stream_id::StreamId;
use crate::version::Version;
use crate::wrapped_event::Recorded;

/// What a call is made of, wherever it runs.
pub(crate) trait Reach {
    async fn append(&mut self, request: &Arc<AppendRequest>) -> Result<AppendOutcome>;
    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream>;
    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()>;
    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>>;
    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords>;
}

impl Reach for OnStore<'_> {
    async fn append(&mut self, request: &Arc<AppendRequest>) -> Result<AppendOutcome> {
        self.backend.append(Arc::clone(request)).await
    }

    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.backend.load(request.clone()).await
    }

    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        self.backend.load_in_parts(request.clone(), sink).await
    }

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.backend.keys(request).await
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        self.backend.read(request.clone()).await
    }
}

impl Reach for Joined<'_> {
    async fn append(&mut self, request: &Arc<AppendRequest>) -> Result<AppendOutcome> {
        self.transaction.append(request).await
    }

    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.transaction.load(request).await
    }

    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        self.transaction.load_in_parts(request, sink).await
    }

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.transaction.keys(&request).await
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        self.transaction.read(request).await
    }
}

impl Reach for InTransaction<'_> {
    async fn append(&mut self, request: &Arc<AppendRequest>) -> Result<AppendOutcome> {
        self.transaction.append(request)
    }

    async fn load(&mut self, request: &LoadRequest) -> Result<LoadedStream> {
        self.transaction.load(request)
    }

    async fn load_in_parts(&mut self, request: &LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        self.transaction.load_in_parts(request, sink)
    }

    async fn keys(&mut self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.transaction.keys(&request)
    }

    async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        self.transaction.read(request)
    }
}

/// What comes of a call in an [`InTransaction`], where nothing waits.
pub(crate) fn at_once<T, E: From<Error>>(call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    call.now_or_never().unwrap_or_else(|| Err(Error::bug("a call in a closure has waited").into()))
}

/// A call on the store itself: it runs when it is awaited.
#[derive(Debug, Clone, Copy)]
pub struct OnStore<'a> {
    pub(crate) backend: &'a dyn Backend,
}

/// A call inside an open transaction: it runs when `.run()` is called.
pub struct InTransaction<'a> {
    pub(crate) transaction: WriterCalls<'a>,
}

impl<'a> InTransaction<'a> {
    /// As a handle of this scope calls it.
    pub(crate) fn new(transaction: &'a mut dyn BackendTransaction, scope: &'a Scope) -> Self {
        Self { transaction: WriterCalls::new(transaction, scope.vault.as_ref()) }
    }
}

impl std::fmt::Debug for InTransaction<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InTransaction")
    }
}

/// The store within a transaction that the caller holds; see [`EventStore::within`](crate::EventStore::within).
///
/// It serves one call, which runs when it is awaited; commit and rollback are the caller's.
pub struct Joined<'a> {
    pub(crate) transaction: Box<dyn JoinedTransaction + 'a>,
    pub(crate) scope: &'a Scope,
}

impl std::fmt::Debug for Joined<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Joined")
    }
}

impl<'a> Joined<'a> {
    /// See [`EventStore::append`](crate::EventStore::append). A refusal leaves the transaction usable.
    pub fn append(self, stream: &StreamId, events: impl IntoEvents) -> Append<'a, Joined<'a>, Appended> {
        let scope = self.scope;
        Append::new(self, scope, stream, events)
    }

    /// See [`EventStore::append_all`](crate::EventStore::append_all).
    pub fn append_all(self) -> Append<'a, Joined<'a>, Vec<Appended>> {
        let scope = self.scope;
        Append::to_none(self, scope)
    }

    /// See [`EventStore::version`](crate::EventStore::version).
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn version(mut self, stream: &StreamId) -> Result<Option<Version>> {
        self.transaction.load(&last_event(self.scope, stream)).await?.readable_version(stream)
    }

    /// See [`EventStore::load_stream`](crate::EventStore::load_stream). It sees what this transaction has written.
    pub fn load_stream<E: Event>(self, stream: &StreamId) -> LoadStream<Joined<'a>, E> {
        let scope = self.scope;
        LoadStream::new(self, scope, stream)
    }

    /// See [`EventStore::read`](crate::EventStore::read). It sees what this transaction has written.
    pub fn read<E: Event>(self, query: &Query) -> ReadQuery<Joined<'a>, E> {
        let scope = self.scope;
        ReadQuery::new(self, scope, query)
    }

    /// See [`EventStore::decide`](crate::EventStore::decide).
    pub fn decide<D, F, T, E>(self, folds: D, decision: F) -> Decide<'a, Joined<'a>, D, F>
    where
        D: Folds,
        F: FnMut(&D::State, &mut NewEvents) -> Result<T, E>,
    {
        let scope = self.scope;
        Decide::new(self, scope, folds, decision)
    }

    /// See [`EventStore::delete_stream`](crate::EventStore::delete_stream).
    pub fn delete_stream(self, stream: &StreamId) -> DeleteStream<Joined<'a>> {
        let scope = self.scope;
        DeleteStream::new(self, scope, stream)
    }

    /// See [`EventStore::save_snapshot`](crate::EventStore::save_snapshot).
    pub fn save_snapshot(
        self,
        stream: &StreamId,
        version: Version,
        snapshot: impl IntoEvent,
    ) -> SaveSnapshot<Joined<'a>> {
        let scope = self.scope;
        SaveSnapshot::new(self, scope, stream, version, snapshot)
    }

    /// See [`EventStore::shred`](crate::EventStore::shred): the key goes, and [`SubjectShredded`](crate::privacy::SubjectShredded) is
    /// recorded, with this transaction, or neither. A refusal leaves it usable.
    ///
    /// What this transaction does afterwards finds the subject shredded. Everybody else does once it has committed: this handle keeps
    /// the key in memory no more, and others read with what they have for as long as
    /// [`cache_for`](crate::privacy::Encryption::cache_for) says. Until it ends, appends for the subject wait for it. Subscriptions of
    /// this handle may hand over what they have read ahead before the commit, of which nobody tells them. A key service
    /// that has something of its own to forget ([`KeyWrapping::forget`](crate::privacy::KeyWrapping::forget)) is not asked here:
    /// shred once more on the store itself, behind the commit.
    ///
    /// # Errors
    ///
    /// As there, and [`Error::SerializationFailure`](crate::Error::SerializationFailure) where the transaction's isolation level ends
    /// it in favour of another one.
    pub async fn shred(mut self, subject: &str) -> Result<Appended> {
        let scope = self.scope;
        shred_within(&mut self, scope, subject).boxed().await
    }
}

/// The store within an open transaction; see [`EventStore::transaction`](crate::EventStore::transaction).
///
/// The calls are those of the store that read and write streams, and end with `.run()` in place of `.await`. It dereferences to the backend's own
/// transaction, where the caller's tables are reached.
#[derive(Debug)]
pub struct Within<'w, T> {
    transaction: &'w mut T,
    scope: &'w Scope,
    /// That of the event which something was a reaction to last.
    reacting: Option<Scope>,
    pub(crate) unfinished: &'w mut Unfinished,
}

impl<T: BackendTransaction> Within<'_, T> {
    /// Runs the caller's work, which has to read each projection that it begins to its end.
    pub(crate) fn run<R, E: From<Error>>(
        transaction: &mut T,
        scope: &Scope,
        work: impl FnOnce(&mut Within<'_, T>) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut unfinished = Unfinished::default();
        let done = work(&mut Within { transaction, scope, reacting: None, unfinished: &mut unfinished })?;
        unfinished.check()?;
        Ok(done)
    }

    /// The same transaction for the tenant of this event, where what is appended is caused by it; see
    /// [`EventStore::reacting_to`](crate::EventStore::reacting_to).
    pub fn reacting_to<E>(&mut self, event: &Recorded<E>) -> Within<'_, T> {
        Within {
            transaction: &mut *self.transaction,
            scope: self.reacting.insert(self.scope.reacting_to(event)),
            reacting: None,
            unfinished: &mut *self.unfinished,
        }
    }

    pub(crate) fn parts(&mut self) -> (&mut dyn BackendTransaction, &Scope) {
        (self.transaction, self.scope)
    }

    /// How calls run here.
    pub(crate) fn calls(&mut self) -> InTransaction<'_> {
        InTransaction::new(self.transaction, self.scope)
    }

    /// See [`EventStore::append`](crate::EventStore::append).
    pub fn append(
        &mut self,
        stream: &StreamId,
        events: impl IntoEvents,
    ) -> Append<'_, InTransaction<'_>, Appended> {
        let on = InTransaction::new(self.transaction, self.scope);
        Append::new(on, self.scope, stream, events)
    }

    /// See [`EventStore::append_all`](crate::EventStore::append_all).
    pub fn append_all(&mut self) -> Append<'_, InTransaction<'_>, Vec<Appended>> {
        Append::to_none(InTransaction::new(self.transaction, self.scope), self.scope)
    }

    /// See [`EventStore::version`](crate::EventStore::version). It runs at once.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn version(&mut self, stream: &StreamId) -> Result<Option<Version>> {
        self.transaction.load(&last_event(self.scope, stream))?.readable_version(stream)
    }

    /// See [`EventStore::load_stream`](crate::EventStore::load_stream). It sees what this transaction has written.
    pub fn load_stream<E: Event>(&mut self, stream: &StreamId) -> LoadStream<InTransaction<'_>, E> {
        LoadStream::new(InTransaction::new(self.transaction, self.scope), self.scope, stream)
    }

    /// See [`EventStore::read`](crate::EventStore::read). It sees what this transaction has written.
    pub fn read<E: Event>(&mut self, query: &Query) -> ReadQuery<InTransaction<'_>, E> {
        ReadQuery::new(InTransaction::new(self.transaction, self.scope), self.scope, query)
    }

    /// See [`EventStore::decide`](crate::EventStore::decide).
    pub fn decide<D, F, R, E>(&mut self, folds: D, decision: F) -> Decide<'_, InTransaction<'_>, D, F>
    where
        D: Folds,
        F: FnMut(&D::State, &mut NewEvents) -> Result<R, E>,
    {
        Decide::new(InTransaction::new(self.transaction, self.scope), self.scope, folds, decision)
    }

    /// See [`EventStore::delete_stream`](crate::EventStore::delete_stream).
    pub fn delete_stream(&mut self, stream: &StreamId) -> DeleteStream<InTransaction<'_>> {
        DeleteStream::new(InTransaction::new(self.transaction, self.scope), self.scope, stream)
    }

    /// See [`EventStore::save_snapshot`](crate::EventStore::save_snapshot).
    pub fn save_snapshot(
        &mut self,
        stream: &StreamId,
        version: Version,
        snapshot: impl IntoEvent,
    ) -> SaveSnapshot<InTransaction<'_>> {
        let on = InTransaction::new(self.transaction, self.scope);
        SaveSnapshot::new(on, self.scope, stream, version, snapshot)
    }

    /// See [`EventStore::shred`](crate::EventStore::shred): the key goes, and [`SubjectShredded`](crate::privacy::SubjectShredded) is
    /// recorded, with this transaction, or neither. It runs at once, and a refusal leaves the transaction usable.
    ///
    /// What this transaction does afterwards finds the subject shredded; everybody else does once it has committed, as there. A key
    /// service that has something of its own to forget ([`KeyWrapping::forget`](crate::privacy::KeyWrapping::forget)) is not
    /// asked here: shred once more on the store itself, behind the commit.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn shred(&mut self, subject: &str) -> Result<Appended> {
        let scope = self.scope;
        at_once(shred_within(&mut InTransaction::new(self.transaction, scope), scope, subject))
    }
}

impl<T> Deref for Within<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.transaction
    }
}

impl<T> DerefMut for Within<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.transaction
    }
}
