//! A command on an aggregate: load, decide, append; again where somebody else was faster.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::Handle;

use super::key::Key;
use super::load::{At, present, replayed, stream_of, version_of};
use super::place::Opened;
use super::repository::Settings;
use super::{Aggregate, Emitting, WrappedAggregate};
use crate::append::{Appended, append_to};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::new_event::{Encoded, PendingEvent};
use crate::retry::Retry;
use crate::stream_id::StreamId;
use crate::version::Version;
use crate::within::{InTransaction, Joined, OnStore, Reach, at_once};

/// The pauses before a command runs again.
const CONFLICT: Retry = Retry {
    attempts: u32::MAX,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(100),
};

/// A command in the making; see [`Repository::aggregate`](super::Repository::aggregate).
#[must_use = "a command does nothing until this is awaited or run"]
pub struct Execute<'a, A: Aggregate, On, F> {
    place: Opened<'a, On>,
    settings: Settings<A>,
    stream: Result<StreamId>,
    command: F,
    context: Context,
    key: Option<String>,
    /// The version that the aggregate has to be at.
    expected: Option<Version>,
}

/// What became of a command that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed<T> {
    /// What the command returned.
    pub value: T,
    /// What was appended; `None` where it emitted nothing.
    pub appended: Option<Appended>,
}

/// Why a command came to nothing.
///
/// It is an error where the command's own is one, and says what that says.
#[derive(Debug, thiserror::Error)]
pub enum CommandError<E> {
    /// The command's own error. Nothing was written, now or with its key before.
    #[error(transparent)]
    Rejected(E),
    /// The store's error.
    #[error(transparent)]
    Store(#[from] Error),
}

impl<E> CommandError<E> {
    /// Whether trying the same command or decision again can help: see [`Error::is_retryable`], and where others were faster each time. A
    /// rejection stays one. A conflict with an [expected version](Execute::expected_version) stays one, too, though it is told like
    /// any other: whoever gave the version has to look again, and decide again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        let was_slower =
            |error: &Error| matches!(error, Error::Conflict { .. } | Error::BoundaryMoved { .. });
        matches!(self, Self::Store(error) if error.is_retryable() || was_slower(error))
    }
}

/// A command that is never rejected fails as the store does.
impl From<CommandError<Infallible>> for Error {
    fn from(error: CommandError<Infallible>) -> Self {
        match error {
            CommandError::Rejected(never) => match never {},
            CommandError::Store(error) => error,
        }
    }
}

impl<'a, A: Aggregate, On, F> Execute<'a, A, On, F> {
    pub(super) fn new(place: Opened<'a, On>, settings: Settings<A>, id: &StreamId, command: F) -> Self {
        let stream = stream_of::<A>(id);
        Self { place, settings, stream, command, context: Context::new(), key: None, expected: None }
    }

    /// The context of every event that it emits.
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// How often it runs again at most, in the place of what the [repository](super::Repository::retries) says.
    pub const fn retries(mut self, at_most: u32) -> Self {
        self.settings.retries = at_most;
        self
    }

    /// The key of this command, such as that of a request: it takes effect once for each key and aggregate, however often it
    /// is run.
    ///
    /// The ids of its events are derived from the key. Run again, it decides on the state that it decided on the first time,
    /// so that it returns the same value, and its append is recognised as a repeat
    /// ([`repeated`](Appended::repeated)). So it has to emit the same events for the same state: take times and random
    /// numbers from outside. A key that a command was run with which emitted other events is [`Error::KeyReused`], also where
    /// the command would be rejected on that state: its rules may have changed since. A command that emits nothing leaves no
    /// trace of its key.
    ///
    /// It costs one look more; where it was run before, another load, from history where the state was kept since.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The version of the aggregate that whoever asks for this command has seen, such as one that a form was filled in on. 0, or
    /// `None`: that it does not exist.
    ///
    /// At any other version it is an [`Error::Conflict`], with that version as the actual one, also where the command would be
    /// rejected, or emit nothing: it does not run, and nothing is written. Where somebody appends while it runs, that is a conflict
    /// too, and it does not run again, whatever [`retries`](Self::retries) says. With a [key](Self::idempotency_key), a repeat is
    /// recognised first: it returns what it returned, at whatever version the aggregate is by now.
    ///
    /// ```
    /// # use event_sourcery::{Aggregate, CommandError, Emitting, Error, Event, EventStore, MemoryBackend, Repository, StreamId};
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
    /// let (counters, id) = (Repository::<Counter>::new(&store), StreamId::random());
    /// counters.aggregate(&id, count).expected_version(0).await.unwrap();
    /// let seen = counters.load(&id).await?.version();
    ///
    /// counters.aggregate(&id, count).await.unwrap(); // somebody else
    ///
    /// let refused = counters.aggregate(&id, count).expected_version(seen).await;
    /// let conflict = |error: &Error| matches!(error, Error::Conflict { expected: 1, actual: 2, .. });
    /// assert!(matches!(refused, Err(CommandError::Store(error)) if conflict(&error)));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn expected_version(self, version: impl Into<Option<Version>>) -> Self {
        Self { expected: Some(version.into().unwrap_or(0)), ..self }
    }
}

impl<'a, A, F, T, E> IntoFuture for Execute<'a, A, OnStore<'a>, F>
where
    A: Aggregate,
    F: FnMut(&mut Emitting<A>) -> Result<T, E> + Send + 'a,
    T: Send + 'a,
    E: Send + 'a,
{
    type Output = Result<Executed<T>, CommandError<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(execute(self))
    }
}

impl<'a, A, F, T, E> IntoFuture for Execute<'a, A, Joined<'a>, F>
where
    A: Aggregate,
    F: FnMut(&mut Emitting<A>) -> Result<T, E> + Send + 'a,
    T: Send + 'a,
    E: Send + 'a,
{
    type Output = Result<Executed<T>, CommandError<E>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(execute(self))
    }
}

impl<A, F, T, E> Execute<'_, A, InTransaction<'_>, F>
where
    A: Aggregate,
    F: FnMut(&mut Emitting<A>) -> Result<T, E>,
{
    /// Runs the command within the transaction. A refusal leaves the transaction usable.
    ///
    /// # Errors
    ///
    /// As [`Repository::aggregate`](super::Repository::aggregate).
    pub fn run(self) -> Result<Executed<T>, CommandError<E>> {
        // Nobody else writes while the transaction is open.
        at_once(execute(self.retries(0)))
    }
}

async fn execute<A, On, F, T, E>(call: Execute<'_, A, On, F>) -> Result<Executed<T>, CommandError<E>>
where
    A: Aggregate,
    On: Reach,
    F: FnMut(&mut Emitting<A>) -> Result<T, E>,
{
    let Execute { mut place, settings, stream, mut command, context, key, expected } = call;
    let (stream, tenant) = (stream?, place.scope.tenant.clone());
    let derived = key.as_ref().map(|key| Key::new(&tenant, &stream, key));
    let reused = || Error::KeyReused { key: key.clone().unwrap_or_default(), stream: stream.clone() };
    let _turn = match place.turns {
        Some(turns) => Some(turns.take(&tenant, &stream).await),
        None => None,
    };
    let (mut failures, mut was_missed) = (0, false);
    loop {
        let new = || WrappedAggregate::<A>::new(stream.clone(), tenant.clone(), context.clone());
        let mut aggregate = present(new(), &mut place, &settings).await?;
        let mut is_repeat = false;
        if let Some(key) = &derived {
            // After the load: what is not in the stream now was not in the state that was loaded either.
            if let Some(first) = version_of(&aggregate, &mut place.on, key.id(0)).await? {
                aggregate = replayed(new(), &mut place.on, &settings, At::Before(first)).await?;
                is_repeat = true;
            }
            aggregate.aggregate.derive_ids(*key);
        }
        if let Some(expected) =
            expected.filter(|expected| !is_repeat && *expected != aggregate.stored_version)
        {
            return Err(Error::Conflict { stream, expected, actual: aggregate.stored_version }.into());
        }
        let value = match command(&mut aggregate.aggregate) {
            Err(_) if is_repeat => return Err(reused().into()),
            decided => decided.map_err(CommandError::Rejected)?,
        };
        if let (Some(key), true) = (&derived, is_repeat)
            && key.had_more(&aggregate, &mut place.on).await?
        {
            return Err(reused().into());
        }
        let saved = save(&mut place, &settings, &mut aggregate).await;
        match saved {
            Err(Error::Conflict { .. }) if expected.is_none() && failures < settings.retries => {
                failures += 1;
                pause(failures).await;
            }
            Err(Error::DuplicateEvent { .. }) if is_repeat => return Err(reused().into()),
            // Somebody ran the command of this key after the look, on what may have been another state: the next look finds
            // it, unless its events are where it cannot be found, such as in another stream by now.
            Err(Error::DuplicateEvent { .. }) | Ok(Some(Appended { repeated: true, .. }))
                if derived.is_some() && !is_repeat && !was_missed =>
            {
                was_missed = true;
            }
            saved => return Ok(Executed { value, appended: saved? }),
        }
    }
}

/// Not before the second time: mostly, whoever was faster is done. Without a runtime there is nothing to wait with.
pub(crate) async fn pause(failures: u32) {
    if failures > 1 && Handle::try_current().is_ok() {
        tokio::time::sleep(CONFLICT.pause_without_end(failures - 1)).await;
    }
}

/// Appends what waits, and keeps the state if it is time.
pub(super) async fn save<A: Aggregate, On: Reach>(
    place: &mut Opened<'_, On>,
    settings: &Settings<A>,
    aggregate: &mut WrappedAggregate<A>,
) -> Result<Option<Appended>> {
    if aggregate.tenant_id != place.scope.tenant {
        let (theirs, ours) = (&aggregate.tenant_id, &place.scope.tenant);
        let problem =
            format!("it was loaded for {theirs}, and this handle works for {ours}: save it on its own");
        return Err(Error::InvalidOption { option: "aggregate", problem });
    }
    if aggregate.aggregate.waiting().is_empty() {
        return Ok(None);
    }
    let waiting = aggregate.aggregate.waiting().iter();
    let encoded = waiting.map(|emitted| {
        PendingEvent::new(&emitted.event, aggregate.context.clone(), emitted.id, emitted.created_at)
    });
    let events = Encoded(encoded.collect::<Result<_>>()?);
    let (stream, version) = (aggregate.stream_id.clone(), aggregate.stored_version);
    let made_of = aggregate.last_event;
    let appended = append_to(&mut place.on, place.scope, stream, version, events, Vec::new()).await?;
    aggregate.appended(&appended);
    if let (Some(rule), Some(backend), false) = (&settings.rule, &place.snapshots, appended.repeated) {
        rule.keep(aggregate, made_of, backend);
    }
    Ok(Some(appended))
}

impl<A: Aggregate, On, F> fmt::Debug for Execute<'_, A, On, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execute")
            .field("stream", &self.stream)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
