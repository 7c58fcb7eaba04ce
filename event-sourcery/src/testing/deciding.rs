//! Decisions across streams.

use std::fmt::Debug;

use super::difference;
use super::given::Given;
use crate::decide::{Folds, NewEvents, on_history};
use crate::event::Event;

impl<E: Event> Given<E> {
    /// Makes a decision on those of the events that its folds ask for, as [`EventStore::decide`](crate::EventStore::decide) makes it.
    /// Streams do not matter: each event has one of its own.
    ///
    /// ```
    /// use event_sourcery::testing::given;
    /// use event_sourcery::{Event, Select};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
    /// #[event(tags(name))]
    /// struct NameTaken { name: String }
    ///
    /// let taken = |name: &str| NameTaken { name: name.into() };
    /// let takers = || Select::<NameTaken>::tagged("name", "ann").fold(0, |takers, _| *takers += 1);
    /// given([taken("bob")])
    ///     .when_deciding(takers(), |takers, events| {
    ///         events.emit(taken("ann"));
    ///         if *takers == 0 { Ok(()) } else { Err("this name is taken") }
    ///     })
    ///     .then([taken("ann")]);
    /// ```
    ///
    /// # Panics
    ///
    /// Where the folds ask for what cannot be a tag, and where an event cannot be stored, or is not one of this type.
    #[track_caller]
    #[must_use = "nothing is tested until `then`"]
    pub fn when_deciding<D, T, F>(
        self,
        folds: D,
        decision: impl FnOnce(&D::State, &mut NewEvents) -> Result<T, F>,
    ) -> Decision<E, T, F>
    where
        D: Folds,
    {
        let Self { history } = self;
        match on_history(&history, folds, decision) {
            Ok((result, emitted)) => Decision { history, emitted, result },
            Err(error) => panic!("the decision could not be made: {}", error.in_full()),
        }
    }
}

/// What was decided across streams. Each `then` fails the test where it is not so, and can be followed by another.
#[derive(Debug)]
pub struct Decision<E, T, F> {
    history: Vec<E>,
    emitted: Vec<E>,
    result: Result<T, F>,
}

impl<E, T, F> Decision<E, T, F>
where
    E: Event + Debug + PartialEq,
    T: Debug,
    F: Debug,
{
    /// It was accepted, and these events were emitted, in this order, and no others.
    ///
    /// # Panics
    ///
    /// Where it is not so, with what was given, and the difference.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = E>) -> Self {
        self.accepted();
        let expected: Vec<_> = events.into_iter().collect();
        difference::assert_equal("what the decision emitted", &self.given(), &expected, &self.emitted);
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
                "the decision was accepted, and was to be rejected with {error:?}\n{}it emitted {:#?} and returned {value:?}",
                self.given(),
                self.emitted
            ),
            Err(actual) => difference::assert_equal("the decision's error", &self.given(), &error, actual),
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
        difference::assert_equal("what the decision returned", &self.given(), &value, actual);
        self
    }

    #[track_caller]
    fn accepted(&self) -> &T {
        match &self.result {
            Ok(value) => value,
            Err(error) => panic!("the decision was rejected: {error:?}\n{}", self.given()),
        }
    }

    fn given(&self) -> String {
        difference::given(&self.history)
    }
}
