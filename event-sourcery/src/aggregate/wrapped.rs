//! An aggregate with what the store knows about its stream.

use std::fmt;
use std::ops::Deref;

use jiff::Timestamp;

use super::{Aggregate, Emitting};
use crate::append::Appended;
use crate::backend::EventAt;
use crate::context::Context;
use crate::stream_id::{StreamId, TenantId};
use crate::version::Version;
use crate::wrapped_event::WrappedEvent;

/// An aggregate, with what the store knows about its stream. It dereferences to the aggregate, for reading.
///
/// [`Repository::load`](super::Repository::load) makes it, [`execute`](Self::execute) runs commands on it, and
/// [`Repository::save`](super::Repository::save) appends what they emitted.
pub struct WrappedAggregate<A: Aggregate> {
    pub(super) aggregate: Emitting<A>,
    pub(super) stream_id: StreamId,
    pub(super) tenant_id: TenantId,
    pub(super) context: Context,
    pub(super) stored_version: Version,
    /// The last event that it was loaded with or has appended.
    pub(super) last_event: Option<EventAt>,
    /// The version behind which its state is kept, as far as is known.
    pub(super) kept_version: Version,
    /// Whether something of what it was made of is stored encrypted, whatever its type marks: then its state is not kept.
    pub(super) is_private: bool,
    pub(super) created_at: Option<Timestamp>,
    pub(super) updated_at: Option<Timestamp>,
}

impl<A: Aggregate> WrappedAggregate<A> {
    pub(super) fn new(stream_id: StreamId, tenant_id: TenantId, context: Context) -> Self {
        Self {
            aggregate: Emitting::new(A::default()),
            stream_id,
            tenant_id,
            context,
            stored_version: 0,
            last_event: None,
            kept_version: 0,
            is_private: false,
            created_at: None,
            updated_at: None,
        }
    }

    /// As it was before it was loaded.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.stream_id.clone(), self.tenant_id.clone(), self.context.clone())
    }

    /// Runs a command on it. What it emits waits to be [saved](super::Repository::save). A command that is rejected,
    /// or panics, leaves neither events nor changed state.
    ///
    /// # Errors
    ///
    /// The command's own.
    ///
    /// ```
    /// # use event_sourcery::{Aggregate, Emitting, Event, EventStore, MemoryBackend, Repository, StreamId};
    /// # #[derive(Event)]
    /// # enum CounterEvent { Counted }
    /// # #[derive(Default, Clone)]
    /// # struct Counter { count: u32 }
    /// # impl Aggregate for Counter {
    /// #     type Event = CounterEvent;
    /// #     const CATEGORY: &'static str = "counter";
    /// #     fn apply(&mut self, _: &CounterEvent) {
    /// #         self.count += 1;
    /// #     }
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let counters = Repository::<Counter>::new(&EventStore::new(MemoryBackend::new()));
    /// # let id = StreamId::random();
    /// let mut counter = counters.load(&id).await?;
    /// let rejected = counter.execute(|counter: &mut Emitting<Counter>| {
    ///     counter.emit(CounterEvent::Counted);
    ///     if counter.count == 1 { Err("not on a Sunday") } else { Ok(()) }
    /// });
    /// assert_eq!((rejected, counter.count, counter.version()), (Err("not on a Sunday"), 0, 0));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn execute<T, E>(&mut self, command: impl FnOnce(&mut Emitting<A>) -> Result<T, E>) -> Result<T, E>
    where
        A: Clone,
    {
        self.aggregate.execute(command)
    }

    /// The aggregate.
    pub const fn state(&self) -> &A {
        self.aggregate.state()
    }

    /// Its stream, in the aggregate's category.
    pub const fn stream_id(&self) -> &StreamId {
        &self.stream_id
    }

    /// Whose stream it is.
    pub const fn tenant_id(&self) -> &TenantId {
        &self.tenant_id
    }

    /// What every event gets that is emitted.
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Its version, with the events that wait to be saved.
    pub fn version(&self) -> Version {
        self.stored_version.saturating_add(self.aggregate.waiting().len() as Version)
    }

    /// Its version in the store; 0 where there is no stream.
    pub const fn stored_version(&self) -> Version {
        self.stored_version
    }

    /// Whether nothing of it is in the store yet.
    pub const fn is_new(&self) -> bool {
        self.stored_version == 0
    }

    /// When its first event happened; `None` where nothing is in the store yet.
    pub const fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    /// When its last stored event happened; `None` where nothing is in the store yet.
    pub const fn updated_at(&self) -> Option<Timestamp> {
        self.updated_at
    }

    /// The events that wait to be saved, in order.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &A::Event> {
        self.aggregate.emitted()
    }

    /// Applies an event of its stream.
    pub(super) fn replay(&mut self, event: &WrappedEvent<A::Event>, version: Version) {
        self.aggregate.replay().apply(&event.event);
        self.stored_version = version;
        self.last_event = Some(EventAt { version, id: event.uuid });
        self.created_at.get_or_insert(event.created_at);
        self.updated_at = Some(event.created_at);
    }

    /// What waited is in the store.
    pub(super) fn appended(&mut self, appended: &Appended) {
        let waiting = self.aggregate.waiting();
        let (first, last) = (waiting.first(), waiting.last());
        self.created_at = self.created_at.or(first.map(|first| first.created_at));
        self.updated_at = last.map(|last| last.created_at).or(self.updated_at);
        self.stored_version = appended.last_version.unwrap_or(self.version());
        self.last_event = last.map(|last| EventAt { version: self.stored_version, id: last.id });
        self.aggregate.appended();
    }
}

impl<A: Aggregate> Deref for WrappedAggregate<A> {
    type Target = A;

    fn deref(&self) -> &A {
        self.state()
    }
}

impl<A: Aggregate + fmt::Debug> fmt::Debug for WrappedAggregate<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedAggregate")
            .field("stream_id", &self.stream_id)
            .field("version", &self.version())
            .field("stored_version", &self.stored_version)
            .field("state", self.state())
            .finish_non_exhaustive()
    }
}
