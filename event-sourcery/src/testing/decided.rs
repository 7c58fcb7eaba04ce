//! What was decided: by a command of an aggregate, or across streams.

use std::fmt::Debug;

use super::difference;
use crate::aggregate::Aggregate;

/// What a command, or a decision across streams, has decided: from events `E`, with what it returned, `T`, or the error of its rejection,
/// `F`. A command's state is that of its aggregate, `A`. Each `then` fails the test where it is not so, and can be followed by another.
#[derive(Debug)]
pub struct Decided<E, T, F, A = ()> {
    /// What has decided, as messages call it.
    pub(super) by: &'static str,
    pub(super) history: Vec<E>,
    pub(super) emitted: Vec<E>,
    pub(super) result: Result<T, F>,
    pub(super) state: A,
}

impl<E, T, F, A> Decided<E, T, F, A>
where
    E: Debug + PartialEq,
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
        let what = format!("what the {} emitted", self.by);
        difference::assert_equal(&what, &self.given(), &expected, &self.emitted);
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
                "the {} was accepted, and was to be rejected with {error:?}\n{}it emitted {:#?} and returned {value:?}",
                self.by,
                self.given(),
                self.emitted
            ),
            Err(actual) => {
                let what = format!("the {}'s error", self.by);
                difference::assert_equal(&what, &self.given(), &error, actual);
            }
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
        let what = format!("what the {} returned", self.by);
        difference::assert_equal(&what, &self.given(), &value, actual);
        self
    }

    #[track_caller]
    fn accepted(&self) -> &T {
        match &self.result {
            Ok(value) => value,
            Err(error) => panic!("the {} was rejected: {error:?}\n{}", self.by, self.given()),
        }
    }

    fn given(&self) -> String {
        difference::given(&self.history)
    }
}

impl<A: Aggregate, T, F> Decided<A::Event, T, F, A> {
    /// Looks at the state that the emitted events have made; where it was rejected, at the state before.
    pub fn then_state(self, look: impl FnOnce(&A)) -> Self {
        look(&self.state);
        self
    }
}
