//! Deciding across streams: read by a query, decide, append while nothing that matches was added; again where somebody was faster.

mod folds;
#[cfg(feature = "testing")]
mod history;
mod key;
mod new_events;

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

pub use self::folds::{Fold, Folds, Select};
#[cfg(feature = "testing")]
pub(crate) use self::history::on_history;
use self::key::Key;
pub use self::new_events::NewEvents;
use crate::aggregate::{CommandError, Executed, pause};
use crate::append::Appended;
use crate::append::boundary::append_if;
use crate::backend::{Expectation, ReadRecords, ReadRequest, Requirement, StoredRecord, StreamRequirement};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::query::Query;
use crate::store::Scope;
use crate::stream_id::StreamId;
use crate::within::{InTransaction, Joined, OnStore, Reach, at_once};

/// How often a decision is made again at most where somebody else was faster.
const RETRIES: u32 = 10;

/// A decision in the making; see [`EventStore::decide`](crate::EventStore::decide).
#[must_use = "nothing is decided until this is awaited or run"]
pub struct Decide<'a, On, D, F> {
    on: On,
    scope: &'a Scope,
    folds: D,
    decision: F,
    stream: Option<StreamId>,
    key: Option<String>,
    retries: u32,
}

impl<'a, On, D, F> Decide<'a, On, D, F> {
    pub(crate) const fn new(on: On, scope: &'a Scope, folds: D, decision: F) -> Self {
        Self { on, scope, folds, decision, stream: None, key: None, retries: RETRIES }
    }

    /// The stream that the events go to: one without versions, such as that of a course. Without it, each decision gets a stream of
    /// its own. One stream for all decisions would make them wait for each other.
    pub fn to(self, stream: &StreamId) -> Self {
        Self { stream: Some(stream.clone()), ..self }
    }

    /// How often it is decided again at most, on what is there by then, if somebody else has moved the boundary. The default is 10,
    /// after pauses that grow; 0 means never.
    pub const fn retries(mut self, at_most: u32) -> Self {
        self.retries = at_most;
        self
    }

    /// The key of this decision, such as that of a request: it takes effect once for each key and tenant, however often it is made.
    ///
    /// It is as with [commands](crate::Execute::idempotency_key). The ids of its events are derived from the key. Made again, it
    /// decides on what was there the first time, so that it returns the same value, and its append is recognised as a repeat
    /// ([`repeated`](Appended::repeated)). A key with which other events were emitted, or into another stream, is
    /// [`Error::KeyReused`]. A decision that emits nothing leaves no trace of its key, and deleting the stream that its events went
    /// to takes that away.
    ///
    /// It costs one look more, and a repeat a second read.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }
}

impl<'a, D, F, T, E> IntoFuture for Decide<'a, OnStore<'a>, D, F>
where
    D: Folds + Send + 'a,
    F: FnMut(&D::State, &mut NewEvents) -> Result<T, E> + Send + 'a,
    T: Send + 'a,
    E: Send + 'a,
{
    type Output = Result<Executed<T>, CommandError<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(decide(self))
    }
}

impl<'a, D, F, T, E> IntoFuture for Decide<'a, Joined<'a>, D, F>
where
    D: Folds + Send + 'a,
    F: FnMut(&D::State, &mut NewEvents) -> Result<T, E> + Send + 'a,
    T: Send + 'a,
    E: Send + 'a,
{
    type Output = Result<Executed<T>, CommandError<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(decide(self))
    }
}

impl<D, F, T, E> Decide<'_, InTransaction<'_>, D, F>
where
    D: Folds,
    F: FnMut(&D::State, &mut NewEvents) -> Result<T, E>,
{
    /// Decides within the transaction. A refusal leaves the transaction usable.
    ///
    /// # Errors
    ///
    /// As [`EventStore::decide`](crate::EventStore::decide).
    pub fn run(self) -> Result<Executed<T>, CommandError<E>> {
        // Nobody else writes while the transaction is open.
        at_once(decide(self.retries(0)))
    }
}

async fn decide<On, D, F, T, E>(call: Decide<'_, On, D, F>) -> Result<Executed<T>, CommandError<E>>
where
    On: Reach,
    D: Folds,
    F: FnMut(&D::State, &mut NewEvents) -> Result<T, E>,
{
    let Decide { mut on, scope, mut folds, mut decision, stream, key, retries } = call;
    scope.check_tags()?;
    let mut items = Vec::new();
    folds.begin(&mut items)?;
    let request = ReadRequest::new(scope.tenant.clone(), Query::new(items));
    let derived = key.as_ref().map(|key| Key::new(&scope.tenant, key));
    let (stream, expectation) = match (stream, derived) {
        (Some(stream), _) => (stream, Expectation::NoVersioning),
        (None, Some(key)) => (key.stream(), Expectation::Version(0)),
        (None, None) => (StreamId::random(), Expectation::Version(0)),
    };
    let reused = || Error::KeyReused { key: key.clone().unwrap_or_default(), stream: stream.clone() };
    let (mut failures, mut was_missed) = (0, false);
    loop {
        let mut read = on.read(&request).await?;
        // After the read: what is not there now was not in what was read either.
        let first = match derived {
            Some(key) => key.find(&mut on, scope, &stream, 0).await?,
            None => None,
        };
        if first.is_some() {
            // It may have come between the two, and before it others that it rests on: by now, these are there as well.
            read = on.read(&request).await?;
        }
        let ReadRecords { records, boundary } = read;
        let mut events = NewEvents::new(derived);
        let decided = decided_on(&folds, &records, first, |state| decision(state, &mut events))?;
        let value = match decided {
            Err(_) if first.is_some() => return Err(reused().into()),
            decided => decided.map_err(CommandError::Rejected)?,
        };
        let events = events.into_encoded()?;
        if let (Some(key), Some(_)) = (derived, first)
            && key.find(&mut on, scope, &stream, events.0.len()).await?.is_some()
        {
            return Err(reused().into());
        }
        if events.0.is_empty() {
            return Ok(Executed { value, appended: None });
        }
        let requirement = match first {
            // What was decided on what stood before them is never written anew, though they be deleted by now: a stream that nobody
            // has is at no version.
            Some(_) => Requirement::Stream(StreamRequirement::new(StreamId::random(), 1)),
            None => Requirement::Boundary(boundary),
        };
        let place = (stream.clone(), expectation);
        match append_if(&mut on, scope, place, events, requirement).await {
            Err(Error::BoundaryMoved { .. }) if failures < retries => {
                failures += 1;
                pause(failures).await;
            }
            // They were deleted after the look.
            Err(Error::RequirementFailed { .. } | Error::Conflict { .. })
                if first.is_some() && failures < RETRIES =>
            {
                failures += 1;
            }
            Err(Error::DuplicateEvent { .. }) if derived.is_some() && (first.is_some() || was_missed) => {
                return Err(reused().into());
            }
            // Somebody has decided with this key after the look: the next look finds it, unless its events went to another stream.
            Err(Error::DuplicateEvent { .. }) | Ok(Appended { repeated: true, .. })
                if derived.is_some() && first.is_none() && !was_missed =>
            {
                was_missed = true;
            }
            appended => return Ok(Executed { value, appended: Some(appended?) }),
        }
    }
}

/// What is decided on what was read, or on what of it stands before an event.
fn decided_on<D: Folds, T>(
    folds: &D,
    records: &[StoredRecord],
    before: Option<Position>,
    decision: impl FnOnce(&D::State) -> T,
) -> Result<T> {
    let mut state = folds.initial();
    let was_there = |position| before.is_none_or(|before| position < before);
    for record in records.iter().filter(|record| was_there(record.event.position)) {
        record.event.check(&record.stream)?;
        folds.apply(&mut state, record)?;
    }
    Ok(decision(&state))
}

impl<On, D, F> fmt::Debug for Decide<'_, On, D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decide").field("stream", &self.stream).field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
