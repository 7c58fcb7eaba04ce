//! What has happened before, and what is decided on it.

use super::decided::Decided;
use crate::aggregate::{Aggregate, Emitting};
use crate::decide::{Folds, NewEvents, on_history};
use crate::event::Event;

/// That this has happened: to an aggregate, or in any streams where it is [decided across them](Given::when_deciding). Nothing:
/// `given([])`.
pub fn given<E: Event>(history: impl IntoIterator<Item = E>) -> Given<E> {
    Given { history: history.into_iter().collect() }
}

/// What has happened before a command or a decision.
#[derive(Debug)]
#[must_use = "nothing is tested until `when` and `then`"]
pub struct Given<E> {
    history: Vec<E>,
}

impl<E: Event> Given<E> {
    /// Runs a command.
    #[must_use = "nothing is tested until `then`"]
    pub fn when<A, T, F>(self, command: impl FnOnce(&mut Emitting<A>) -> Result<T, F>) -> Decided<E, T, F, A>
    where
        A: Aggregate<Event = E>,
    {
        let mut aggregate = Emitting::<A>::after(&self.history);
        let result = command(&mut aggregate);
        // A rejected command leaves neither events nor changed state.
        let aggregate = if result.is_ok() { aggregate } else { Emitting::after(&self.history) };
        let (state, emitted) = aggregate.into_events();
        Decided { by: "command", history: self.history, emitted, result, state }
    }

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
    ) -> Decided<E, T, F>
    where
        D: Folds,
    {
        let Self { history } = self;
        match on_history(&history, folds, decision) {
            Ok((result, emitted)) => Decided { by: "decision", history, emitted, result, state: () },
            Err(error) => panic!("the decision could not be made: {}", error.in_full()),
        }
    }
}
