//! What a command gets: the state to read, and a way to emit events.

use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jiff::Timestamp;
use uuid::Uuid;

use super::Aggregate;
use super::key::Key;

/// An aggregate in the hands of a command: it dereferences to the state, and [`emit`](Self::emit) changes it.
///
/// There is no other way to change the state: what a command does is what its events say.
pub struct Emitting<A: Aggregate> {
    state: A,
    emitted: Vec<Emitted<A::Event>>,
    /// From which the ids of its events follow; without, each gets an id of its own.
    key: Option<Key>,
}

/// An event that waits to be appended. Its id is its own from the start: an append that is repeated is recognised by it.
#[derive(Debug)]
pub(super) struct Emitted<E> {
    pub(super) event: E,
    pub(super) id: Uuid,
    pub(super) created_at: Timestamp,
}

impl<A: Aggregate> Emitting<A> {
    pub(super) const fn new(state: A) -> Self {
        Self { state, emitted: Vec::new(), key: None }
    }

    /// Emits an event: applied at once, and appended when the aggregate is saved.
    pub fn emit(&mut self, event: impl Into<A::Event>) {
        let event = event.into();
        self.state.apply(&event);
        let id = self.key.map_or_else(Uuid::now_v7, |key| key.id(self.emitted.len()));
        self.emitted.push(Emitted { event, id, created_at: now() });
    }

    /// The state, as it is after what was emitted.
    pub const fn state(&self) -> &A {
        &self.state
    }

    /// The events that were emitted and are not appended yet, in order.
    pub fn emitted(&self) -> impl ExactSizeIterator<Item = &A::Event> {
        self.emitted.iter().map(|emitted| &emitted.event)
    }

    /// Runs a command on it. One that is rejected, or panics, leaves neither events nor changed state.
    pub(super) fn execute<T, E>(&mut self, command: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E>
    where
        A: Clone,
    {
        let (before, emitted) = (self.state.clone(), self.emitted.len());
        let result = catch_unwind(AssertUnwindSafe(|| command(&mut *self)));
        if !matches!(result, Ok(Ok(_))) {
            self.state = before;
            self.emitted.truncate(emitted);
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    pub(super) const fn replay(&mut self) -> &mut A {
        &mut self.state
    }

    pub(super) const fn derive_ids(&mut self, key: Key) {
        self.key = Some(key);
    }

    pub(super) const fn waiting(&self) -> &Vec<Emitted<A::Event>> {
        &self.emitted
    }

    pub(super) fn appended(&mut self) {
        self.emitted.clear();
    }

    /// The state, and what was emitted.
    #[cfg(feature = "testing")]
    pub(crate) fn into_events(self) -> (A, Vec<A::Event>) {
        (self.state, self.emitted.into_iter().map(|emitted| emitted.event).collect())
    }

    /// An aggregate to which this has happened.
    #[cfg(feature = "testing")]
    pub(crate) fn after<'e>(history: impl IntoIterator<Item = &'e A::Event>) -> Self {
        let mut state = A::default();
        for event in history {
            state.apply(event);
        }
        Self::new(state)
    }
}

impl<A: Aggregate> Deref for Emitting<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.state
    }
}

impl<A: Aggregate + fmt::Debug> fmt::Debug for Emitting<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitting").field("state", &self.state).field("emitted", &self.emitted.len()).finish()
    }
}

/// A command from a pure function, which decides on the state alone and returns the events.
///
/// ```
/// # use event_sourcery::{Aggregate, Event, EventStore, MemoryBackend, Repository, StreamId, deciding};
/// # #[derive(Event, Debug, PartialEq)]
/// # enum LightEvent { TurnedOn, TurnedOff }
/// # #[derive(Debug, PartialEq)]
/// # struct AlreadyOn;
/// # #[derive(Default)]
/// # struct LightSwitch { is_on: bool }
/// # impl Aggregate for LightSwitch {
/// #     type Event = LightEvent;
/// #     const CATEGORY: &'static str = "light_switch";
/// #     fn apply(&mut self, event: &LightEvent) {
/// #         self.is_on = matches!(event, LightEvent::TurnedOn);
/// #     }
/// # }
/// fn turn_on(switch: &LightSwitch) -> Result<Vec<LightEvent>, AlreadyOn> {
///     if switch.is_on { Err(AlreadyOn) } else { Ok(vec![LightEvent::TurnedOn]) }
/// }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let switches = Repository::<LightSwitch>::new(&EventStore::new(MemoryBackend::new()));
/// # let kitchen = StreamId::from_name("kitchen")?;
/// switches.aggregate(&kitchen, deciding(turn_on)).await.unwrap();
/// # assert!(switches.load(&kitchen).await?.is_on);
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
pub fn deciding<A: Aggregate, I: IntoIterator<Item = A::Event>, E>(
    mut decide: impl FnMut(&A) -> Result<I, E>,
) -> impl FnMut(&mut Emitting<A>) -> Result<(), E> {
    move |aggregate| {
        for event in decide(aggregate)? {
            aggregate.emit(event);
        }
        Ok(())
    }
}

/// The time, as it will be read: in whole microseconds.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
