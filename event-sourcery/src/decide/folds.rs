//! What a decision rests on: which events, and what they are made into.

use std::fmt;
use std::marker::PhantomData;

use crate::backend::StoredRecord;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::query::QueryItem;
use crate::tag::Tag;
use crate::wrapped_event::Recorded;

/// Events of a type, by their tags; what they are [made into](Self::fold) is what [`EventStore::decide`](crate::EventStore::decide)
/// takes.
#[derive(Debug)]
#[must_use = "nothing is read until a decision takes what this is made into"]
pub struct Select<E> {
    item: QueryItem,
    problem: Option<Error>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Select<E> {
    /// Every event that `E` decodes. What it costs to do without tags is told at [`QueryItem`].
    pub fn all() -> Self {
        Self { item: QueryItem::new().of::<E>(), problem: None, event: PhantomData }
    }

    /// The events that `E` decodes with this tag. One that cannot be a [tag](Tag) is told when it is decided.
    pub fn tagged(name: impl AsRef<str>, value: impl ToString) -> Self {
        Self::all().and_tagged(name, value)
    }

    /// Only those that have this tag as well.
    pub fn and_tagged(mut self, name: impl AsRef<str>, value: impl ToString) -> Self {
        match Tag::new(name, value) {
            Ok(tag) => self.item = self.item.tagged(tag),
            Err(problem) => self.problem = self.problem.or(Some(problem)),
        }
        self
    }

    /// What they are made into: from this state on, each event changes it, in position order.
    pub fn fold<S, F>(self, initial: S, apply: F) -> Fold<E, S, F>
    where
        S: Clone,
        F: Fn(&mut S, &E),
    {
        Fold { select: self, initial, apply }
    }
}

/// Events and what they are made into; see [`Select::fold`].
#[must_use = "nothing is read until a decision takes it"]
pub struct Fold<E, S, F> {
    select: Select<E>,
    initial: S,
    apply: F,
}

/// What a decision rests on: a [`Fold`], or a tuple of up to eight, whose state is the tuple of theirs.
#[diagnostic::on_unimplemented(
    message = "a decision cannot rest on `{Self}`",
    note = "it rests on `Select::<Event>::tagged(name, value).fold(initial, |state, event| ..)`, or on a tuple of these"
)]
pub trait Folds: sealed::Sealed {
    /// What the events are made into.
    type State;

    /// Adds what is read, or tells what is wrong with it.
    #[doc(hidden)]
    fn begin(&mut self, items: &mut Vec<QueryItem>) -> Result<()>;

    /// The state before any event.
    #[doc(hidden)]
    fn initial(&self) -> Self::State;

    /// Changes the state by an event, if it is one of those that are asked for.
    #[doc(hidden)]
    fn apply(&self, state: &mut Self::State, record: &StoredRecord) -> Result<()>;
}

impl<E, S, F> Folds for Fold<E, S, F>
where
    E: Event,
    S: Clone,
    F: Fn(&mut S, &E),
{
    type State = S;

    fn begin(&mut self, items: &mut Vec<QueryItem>) -> Result<()> {
        items.push(self.select.item.clone());
        self.select.problem.take().map_or(Ok(()), Err)
    }

    fn initial(&self) -> S {
        self.initial.clone()
    }

    fn apply(&self, state: &mut S, record: &StoredRecord) -> Result<()> {
        if self.select.item.matches(&record.event.name, &record.event.tags) {
            (self.apply)(state, Recorded::<E>::decode(record)?.event());
        }
        Ok(())
    }
}

macro_rules! tuples_of_folds {
    ($(($($part:ident $state:ident)+))+) => {$(
        impl<$($part: Folds),+> Folds for ($($part,)+) {
            type State = ($($part::State,)+);

            #[allow(non_snake_case, reason = "the type parameters name the parts")]
            fn begin(&mut self, items: &mut Vec<QueryItem>) -> Result<()> {
                let ($($part,)+) = self;
                $($part.begin(items)?;)+
                Ok(())
            }

            #[allow(non_snake_case, reason = "the type parameters name the parts")]
            fn initial(&self) -> Self::State {
                let ($($part,)+) = self;
                ($($part.initial(),)+)
            }

            #[allow(non_snake_case, reason = "the type parameters name the parts")]
            fn apply(&self, state: &mut Self::State, record: &StoredRecord) -> Result<()> {
                let (($($part,)+), ($($state,)+)) = (self, state);
                $($part.apply($state, record)?;)+
                Ok(())
            }
        }

        impl<$($part: Folds),+> sealed::Sealed for ($($part,)+) {}
    )+};
}

tuples_of_folds! {
    (A a B b)
    (A a B b C c)
    (A a B b C c D d)
    (A a B b C c D d E e)
    (A a B b C c D d E e F f)
    (A a B b C c D d E e F f G g)
    (A a B b C c D d E e F f G g H h)
}

impl<E, S, F> fmt::Debug for Fold<E, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fold").field("item", &self.select.item).finish_non_exhaustive()
    }
}

mod sealed {
    pub trait Sealed {}
    impl<E, S, F> Sealed for super::Fold<E, S, F> {}
}
