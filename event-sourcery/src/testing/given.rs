//! The commands of an aggregate.

use std::fmt::Debug;

use super::difference;
use crate::aggregate::{Aggregate, Emitting};
use crate::event::Event;

/// An aggregate to which this has happened; nothing: `given([])`.
pub fn given<E: Event>(history: impl IntoIterator<Item = E>) -> Given<E> {
    Given { history: history.into_iter().collect() }
}

/// What has happened before a command.
#[derive(Debug)]
#[must_use = "nothing is tested until `when` and `then`"]
pub struct Given<E> {
    pub(super) history: Vec<E>,
}

impl<E: Event> Given<E> {
    /// Runs a command.
    #[must_use = "nothing is tested until `then`"]
    pub fn when<A, T, F>(self, command: impl FnOnce(&mut Emitting<A>) -> Result<T, F>) -> Decided<A, T, F>
    where
        A: Aggregate<Event = E>,
    {
        let mut aggregate = Emitting::<A>::after(&self.history);
        let result = command(&mut aggregate);
        // A rejected command leaves neither events nor changed state.
        let aggregate = if result.is_ok() { aggregate } else { Emitting::after(&self.history) };
        let (state, emitted) = aggregate.into_events();
        Decided { history: self.history, state, emitted, result }
    }
}

/// What a command has decided. Each `then` fails the test where it is not so, and can be followed by another.
#[derive(Debug)]
pub struct Decided<A: Aggregate, T, F> {
    history: Vec<A::Event>,
    state: A,
    emitted: Vec<A::Event>,
    result: Result<T, F>,
}

impl<A, T, F> Decided<A, T, F>
where
    A: Aggregate<Event: Debug + PartialEq>,
    T: Debug,
    F: Debug,
{
    /// It was accepted, and these events were emitted, in this order, and no others.
    ///
    /// # Panics
    ///
    /// Where it is not so, with what was given, and the difference.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) -> Self {
        self.accepted();
        let expected: Vec<_> = events.into_iter().collect();
        difference::assert_equal("what the command emitted", &self.given(), &expected, &self.emitted);
        self
    }

    /// It was accepted, and nothing was emitted.
    ///
    /// # Panics
    ///
    /// Where it is not so.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// It was rejected with this error.
    ///
    /// # Panics
    ///
    /// Where it is not so.
    #[track_caller]
    pub fn then_error(self, error: F) -> Self
    where
        F: PartialEq,
    {
        match &self.result {
            Ok(value) => panic!(
                "the command was accepted, and was to be rejected with {error:?}\n{}it emitted {:#?} and returned {value:?}",
                self.given(),
                self.emitted
            ),
            Err(actual) => difference::assert_equal("the command's error", &self.given(), &error, actual),
        }
        self
    }

    /// It was accepted and returned this value.
    ///
    /// # Panics
    ///
    /// Where it is not so.
    #[track_caller]
    pub fn then_value(self, value: T) -> Self
    where
        T: PartialEq,
    {
        let actual = self.accepted();
        difference::assert_equal("what the command returned", &self.given(), &value, actual);
        self
    }

    /// Looks at the state that the emitted events have made; where it was rejected, at the state before.
    pub fn then_state(self, look: impl FnOnce(&A)) -> Self {
        look(&self.state);
        self
    }

    #[track_caller]
    fn accepted(&self) -> &T {
        match &self.result {
            Ok(value) => value,
            Err(error) => panic!("the command was rejected: {error:?}\n{}", self.given()),
        }
    }

    fn given(&self) -> String {
        difference::given(&self.history)
    }
}
