//! Where aggregates are loaded from and saved to.

use std::fmt;
use std::sync::Arc;

use super::load::stream_of;
use super::place::{Opened, Place};
use super::state::Rule;
use super::{Aggregate, Emitting, Execute, LoadAggregate, SnapshotState, WrappedAggregate, execute};
use crate::append::Appended;
use crate::backend::Backend;
use crate::error::Result;
use crate::event::Event;
use crate::store::EventStore;
use crate::stream_id::StreamId;
use crate::version::Version;
use crate::within::{InTransaction, Joined, OnStore, at_once};

/// How often a command runs again at most where somebody else was faster.
const RETRIES: u32 = 10;

/// Loads aggregates of a type, runs commands on them, and saves what these emitted.
///
/// It is a handle: clone it, pass it on. It works on any handle of a store, and in transactions: see [`on`](Self::on).
pub struct Repository<A: Aggregate> {
    store: EventStore,
    settings: Settings<A>,
}

/// What a repository was told.
pub(super) struct Settings<A: Aggregate> {
    pub(super) rule: Option<Arc<Rule<A>>>,
    pub(super) retries: u32,
}

/// A repository somewhere else, for one call: see [`Repository::on`].
#[must_use = "it serves one call"]
pub struct RepositoryOn<'a, A: Aggregate, On> {
    place: Opened<'a, On>,
    settings: Settings<A>,
}

impl<A: Aggregate> Repository<A> {
    /// A repository over this store, for the store's tenant.
    #[must_use]
    pub fn new<B: Backend>(store: &EventStore<B>) -> Self {
        Self { store: store.erased(), settings: Settings { rule: None, retries: RETRIES } }
    }

    /// Keeps the state of an aggregate each time that this many events were saved since it was last kept. So a load reads the
    /// kept state and at most about that many events.
    ///
    /// The state is written in a task after the save, or after a load that has read this many events. Neither waits for it. If it fails,
    /// that is logged, and the next one tries again. In a transaction nothing is kept. Only the aggregate's loads use the state:
    /// streams and subscriptions read as before. On a handle with [encryption](EventStore::with_encryption), no state is kept of an
    /// aggregate whose events have encrypted fields, or a catch-all, because the state would hold them in the clear; nor of one that has
    /// read an event which another program has encrypted. Outside of a tokio runtime nothing is kept. 0 counts as 1: after every save.
    #[must_use]
    pub fn snapshot_every(mut self, events: Version) -> Self
    where
        A: SnapshotState,
    {
        self.settings.rule = Some(Arc::new(Rule::every(events)));
        self
    }

    /// How many times a command runs again, on the new state, if somebody else has changed the aggregate in the meantime. The default
    /// is 10, after pauses that grow; 0 means never.
    #[must_use]
    pub const fn retries(mut self, at_most: u32) -> Self {
        self.settings.retries = at_most;
        self
    }

    /// Loads an aggregate, runs a command on it, and appends the emitted events, expecting the version that was loaded. If the
    /// command emits nothing, nothing is written.
    ///
    /// If somebody else has appended in between, it loads and runs the command again, as often as
    /// [`retries`](Self::retries) says. Commands on one aggregate through handles of one store take turns, to avoid conflicts with each
    /// other; if no turn has begun for a second, they go ahead. That takes a runtime with timers.
    ///
    /// It costs a load and, if something was emitted, an append. For work that awaits between load and save, call
    /// [`load`](Self::load), [`execute`](WrappedAggregate::execute) and [`save`](Self::save) yourself.
    ///
    /// # Errors
    ///
    /// [`CommandError::Rejected`](super::CommandError::Rejected) with the command's own error: then nothing is written.
    /// [`CommandError::Store`](super::CommandError::Store) with those of [`EventStore::load_stream`] and
    /// [`EventStore::append`]: [`Conflict`](crate::Error::Conflict) once all retries are used up; and as for
    /// [`load`](Self::load).
    pub fn aggregate<'a, F, T, E>(&'a self, id: &StreamId, command: F) -> Execute<'a, A, OnStore<'a>, F>
    where
        F: FnMut(&mut Emitting<A>) -> Result<T, E>,
    {
        self.on(&self.store).aggregate(id, command)
    }

    /// Loads an aggregate: its state, and what the store knows about its stream. One that does not exist is new.
    ///
    /// The id is that of its stream; the category is the aggregate's.
    ///
    /// # Errors
    ///
    /// Those of [`EventStore::load_stream`]; [`Error::InvalidOption`](crate::Error::InvalidOption) for an id in another
    /// category, [`Error::ExpectedVersionUsedOnVersionlessStream`](crate::Error::ExpectedVersionUsedOnVersionlessStream) for
    /// a stream without versions ([`at_version`](LoadAggregate::at_version):
    /// [`Error::VersionRangeOnVersionlessStream`](crate::Error::VersionRangeOnVersionlessStream)).
    pub fn load<'a>(&'a self, id: &StreamId) -> LoadAggregate<'a, A, OnStore<'a>> {
        self.on(&self.store).load(id)
    }

    /// Appends what commands emitted, with the version that was loaded; `None` where nothing was. What is saved waits no
    /// more: to save again writes nothing. Where the answer was lost, to save again, before any other command, is recognised
    /// as a repeat.
    ///
    /// # Errors
    ///
    /// Those of [`EventStore::append`], and [`Error::InvalidOption`](crate::Error::InvalidOption) for an aggregate of another
    /// tenant. What waits still waits then.
    pub async fn save(&self, aggregate: &mut WrappedAggregate<A>) -> Result<Option<Appended>> {
        self.on(&self.store).save(aggregate).await
    }

    /// The stream of an aggregate: its id in the aggregate's category. It is what the store's own calls take, and
    /// [`wait_for`](crate::Durable::wait_for).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for an id in another category.
    pub fn stream_id(&self, id: &StreamId) -> Result<StreamId> {
        stream_of::<A>(id)
    }

    /// This repository somewhere else, for one call: on another handle of the store, such as a tenant's or the one that a
    /// handler was given, or in a transaction.
    ///
    /// ```
    /// # use event_sourcery::{Aggregate, Emitting, Error, Event, EventStore, MemoryBackend, Repository, StreamId, TenantId};
    /// # use std::convert::Infallible;
    /// # #[derive(Event)]
    /// # enum CounterEvent { Counted }
    /// # #[derive(Default)]
    /// # struct Counter { count: u32 }
    /// # impl Aggregate for Counter {
    /// #     type Event = CounterEvent;
    /// #     const CATEGORY: &'static str = "counter";
    /// #     fn apply(&mut self, _: &CounterEvent) {
    /// #         self.count += 1;
    /// #     }
    /// # }
    /// # fn count(counter: &mut Emitting<Counter>) -> Result<(), Infallible> {
    /// #     counter.emit(CounterEvent::Counted);
    /// #     Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// let counters = Repository::<Counter>::new(&store);
    /// let (one, other) = (StreamId::random(), StreamId::random());
    ///
    /// counters.on(&store.for_tenant(TenantId::new("acme")?)).aggregate(&one, count).await.unwrap();
    ///
    /// // Both or neither.
    /// let both = counters.clone();
    /// store
    ///     .transaction(move |tx| {
    ///         both.on(&mut *tx).aggregate(&one, count).run().unwrap();
    ///         both.on(&mut *tx).aggregate(&other, count).run().unwrap();
    ///         Ok::<_, Error>(())
    ///     })
    ///     .await?;
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    ///
    /// In PostgreSQL: `counters.on(store.within(&mut tx)).aggregate(..)`.
    pub fn on<'a, P: Place<'a>>(&self, place: P) -> RepositoryOn<'a, A, P::On> {
        let (place, mut settings) = (place.open(), self.settings.clone());
        // It would hold in the clear what is encrypted in its events.
        if place.scope.vault.is_some() && <A::Event as Event>::IS_MARKED {
            settings.rule = None;
        }
        RepositoryOn { place, settings }
    }
}

impl<'a, A: Aggregate, On> RepositoryOn<'a, A, On> {
    /// See [`Repository::aggregate`].
    pub fn aggregate<F, T, E>(self, id: &StreamId, command: F) -> Execute<'a, A, On, F>
    where
        F: FnMut(&mut Emitting<A>) -> Result<T, E>,
    {
        Execute::new(self.place, self.settings, id, command)
    }

    /// See [`Repository::load`].
    pub fn load(self, id: &StreamId) -> LoadAggregate<'a, A, On> {
        LoadAggregate::new(self.place, self.settings, id)
    }
}

impl<A: Aggregate> RepositoryOn<'_, A, OnStore<'_>> {
    /// See [`Repository::save`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn save(mut self, aggregate: &mut WrappedAggregate<A>) -> Result<Option<Appended>> {
        execute::save(&mut self.place, &self.settings, aggregate).await
    }
}

impl<A: Aggregate> RepositoryOn<'_, A, Joined<'_>> {
    /// See [`Repository::save`]. It takes the aggregate: where the transaction is not committed, load it again.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn save(mut self, mut aggregate: WrappedAggregate<A>) -> Result<Option<Appended>> {
        execute::save(&mut self.place, &self.settings, &mut aggregate).await
    }
}

impl<A: Aggregate> RepositoryOn<'_, A, InTransaction<'_>> {
    /// See [`Repository::save`]. It takes the aggregate: where the transaction is not committed, load it again.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn save(mut self, mut aggregate: WrappedAggregate<A>) -> Result<Option<Appended>> {
        at_once(execute::save(&mut self.place, &self.settings, &mut aggregate))
    }
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), settings: self.settings.clone() }
    }
}

impl<A: Aggregate> Clone for Settings<A> {
    fn clone(&self) -> Self {
        Self { rule: self.rule.clone(), retries: self.retries }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("category", &A::CATEGORY).finish_non_exhaustive()
    }
}

impl<A: Aggregate, On> fmt::Debug for RepositoryOn<'_, A, On> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepositoryOn").field("category", &A::CATEGORY).finish_non_exhaustive()
    }
}
