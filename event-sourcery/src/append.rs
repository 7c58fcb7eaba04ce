//! Appending: the builder, the request it makes, and what became of it.

pub(crate) mod boundary;
mod size;

use std::collections::{HashMap, HashSet};
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::backend::{
    AppendOutcome, AppendRequest, Expectation, NewRecord, PresentEvent, Requirement, StoredEvent,
    StreamAppend, StreamRequirement, Written,
};
use crate::error::{Error, Result};
use crate::new_event::{Encoded, IntoEvents};
use crate::position::AppendPosition;
use crate::privacy;
use crate::store::Scope;
use crate::stream_id::{StreamId, TenantId};
use crate::telemetry::Appending;
use crate::version::Version;
use crate::within::{InTransaction, Joined, OnStore, Reach, at_once};

/// What an append wrote to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Appended {
    /// The version of the first event; `None` in a stream without versions.
    pub first_version: Option<Version>,
    /// The version of the last event; `None` in a stream without versions.
    pub last_version: Option<Version>,
    /// The position of the last event: you can wait for it, but not start reading from it.
    pub position: AppendPosition,
    /// Whether this append was a repeat of an earlier one: then nothing was written now, and versions and position are those of the
    /// events that are stored. The stream may have more events since.
    pub repeated: bool,
}

/// An append in the making; see [`EventStore::append`](crate::EventStore::append).
///
/// It runs when it is awaited, or, in a transaction of the store's, with [`run`](Append::run). If the future is dropped after it was
/// polled, either the whole append takes effect or nothing of it.
#[derive(Debug)]
#[must_use = "an append does nothing until it is awaited or run"]
pub struct Append<'a, On, Out> {
    on: On,
    plan: Plan<'a>,
    out: PhantomData<fn() -> Out>,
}

impl<'a, On> Append<'a, On, Appended> {
    pub(crate) fn new(on: On, scope: &'a Scope, stream: &StreamId, events: impl IntoEvents) -> Self {
        let mut plan = Plan::new(scope);
        plan.parts.push(Part::new(stream, events));
        Self { on, plan, out: PhantomData }
    }
}

impl<'a, On> Append<'a, On, Vec<Appended>> {
    pub(crate) fn to_none(on: On, scope: &'a Scope) -> Self {
        Self { on, plan: Plan::new(scope), out: PhantomData }
    }
}

impl<'a, On, Out> Append<'a, On, Out> {
    /// The version at which the stream has to be: the stream of this append, or the one that was added last with
    /// [`and`](Self::and). 0 and `None` mean that it must not exist yet; `None` is the version that an empty stream has.
    pub fn expected_version(self, version: impl Into<Option<Version>>) -> Self {
        self.expecting(Expectation::Version(version.into().unwrap_or(0)))
    }

    /// Appends whatever others have appended, to the stream of this append or the one that was added last: its events carry no
    /// version. A stream is versioned or not for its whole life.
    pub fn no_versioning(self) -> Self {
        self.expecting(Expectation::NoVersioning)
    }

    /// Appends to another stream too, in the same transaction: all or nothing. The options that follow are about that stream.
    ///
    /// # Errors
    ///
    /// When it runs: [`Error::StreamGivenTwice`] for a stream that was given events already, [`Error::Unsupported`] where
    /// the backend takes one stream an append.
    pub fn and(mut self, stream: &StreamId, events: impl IntoEvents) -> Append<'a, On, Vec<Appended>> {
        self.plan.parts.push(Part::new(stream, events));
        Append { on: self.on, plan: self.plan, out: PhantomData }
    }

    /// Requires another stream, to which this append does not write, to be at a version. 0 and `None` mean that it must not exist.
    /// It is checked in the transaction that writes, as the expected version is.
    ///
    /// # Errors
    ///
    /// When it runs: [`Error::RequirementFailed`]; [`Error::StreamGivenTwice`] for a stream that this append writes to.
    pub fn requires(mut self, stream: &StreamId, version: impl Into<Option<Version>>) -> Self {
        let version = version.into().unwrap_or(0);
        let requirement = StreamRequirement { stream: stream.clone(), version };
        self.plan.requirements.push(Requirement::Stream(requirement));
        self
    }

    fn expecting(mut self, expectation: Expectation) -> Self {
        match self.plan.parts.last_mut() {
            Some(part) => part.expectation = expectation,
            None => self.plan.said_too_early = true,
        }
        self
    }
}

impl<'a, Out: FromAppended> IntoFuture for Append<'a, OnStore<'a>, Out> {
    type Output = Result<Out>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(append(self.on, self.plan.prepare()))
    }
}

impl<'a, Out: FromAppended> IntoFuture for Append<'a, Joined<'a>, Out> {
    type Output = Result<Out>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(append(self.on, self.plan.prepare()))
    }
}

impl<Out: FromAppended> Append<'_, InTransaction<'_>, Out> {
    /// Appends within the transaction. A refusal leaves the transaction usable.
    ///
    /// # Errors
    ///
    /// As [`EventStore::append`](crate::EventStore::append).
    pub fn run(self) -> Result<Out> {
        at_once(append(self.on, self.plan.prepare()))
    }
}

async fn append<Out: FromAppended>(mut on: impl Reach, prepared: Result<Prepared<'_>>) -> Result<Out> {
    prepared?.append(&mut on).await
}

/// Appends encoded events to a versioned stream, and shreds the keys of these subjects with them.
pub(crate) async fn append_to(
    on: &mut impl Reach,
    scope: &Scope,
    stream: StreamId,
    version: Version,
    events: Encoded,
    shreds: Vec<Arc<str>>,
) -> Result<Appended> {
    let expectation = Expectation::Version(version);
    let parts = vec![Part { stream, expectation, events: Ok(events) }];
    Plan { parts, shreds, ..Plan::new(scope) }.prepare()?.append(on).await
}

/// What the caller has said so far.
#[derive(Debug)]
struct Plan<'a> {
    scope: &'a Scope,
    parts: Vec<Part>,
    requirements: Vec<Requirement>,
    /// Whose keys go with it.
    shreds: Vec<Arc<str>>,
    /// Whether something was said about versions before a stream was given events.
    said_too_early: bool,
}

/// What goes to one stream.
#[derive(Debug)]
struct Part {
    stream: StreamId,
    expectation: Expectation,
    events: Result<Encoded>,
}

impl Part {
    fn new(stream: &StreamId, events: impl IntoEvents) -> Self {
        let mut encoded = Encoded::default();
        let events = events.encode_into(&mut encoded).map(|()| encoded);
        Self { stream: stream.clone(), expectation: Expectation::Version(0), events }
    }
}

/// What an append answers with: one [`Appended`], or one for each stream in the order of the call.
pub trait FromAppended: sealed::Sealed + 'static {
    #[doc(hidden)]
    fn from_appended(all: Vec<Appended>) -> Option<Self>
    where
        Self: Sized;
}

impl FromAppended for Appended {
    fn from_appended(all: Vec<Appended>) -> Option<Self> {
        all.into_iter().next()
    }
}

impl FromAppended for Vec<Appended> {
    fn from_appended(all: Vec<Appended>) -> Option<Self> {
        Some(all)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Appended {}
    impl Sealed for Vec<super::Appended> {}
}

/// Whether a stored event is a new record, as the caller's type reads it.
type Repeats = fn(&StoredEvent, &NewRecord) -> bool;

/// A request, and how to recognise each of its events.
struct Prepared<'a> {
    scope: &'a Scope,
    request: Arc<AppendRequest>,
    repeats: Vec<Repeats>,
}

impl Prepared<'_> {
    async fn append<Out: FromAppended>(self, on: &mut impl Reach) -> Result<Out> {
        let appending = Appending::begin(&self.scope.observing, &self.request);
        let appended = self.write(on).instrument(appending.span()).await;
        appending.ended(&appended);
        Out::from_appended(appended?).ok_or_else(not_answered)
    }

    async fn write(&self, on: &mut impl Reach) -> Result<Vec<Appended>> {
        let outcome = on.append(&self.request).await;
        // Where it failed, what its listeners have deleted may be gone all the same.
        if let Some(deleted) = self.request.deleted.get() {
            self.scope.deletions.note_all(deleted);
        }
        conclude(&self.request, &self.repeats, outcome?)
    }
}

impl<'a> Plan<'a> {
    const fn new(scope: &'a Scope) -> Self {
        let parts = Vec::new();
        Self { scope, parts, requirements: Vec::new(), shreds: Vec::new(), said_too_early: false }
    }

    /// Enriches the events, and refuses what no backend has to see.
    fn prepare(self) -> Result<Prepared<'a>> {
        let Self { scope, parts, requirements, shreds, said_too_early } = self;
        if said_too_early {
            let problem = "say it after `.and(..)`, about the stream that was given events".to_owned();
            return Err(Error::InvalidOption { option: "expected_version", problem });
        }
        let (mut repeats, mut outbox) = (Vec::new(), HashSet::new());
        let mut streams = Vec::with_capacity(parts.len());
        for Part { stream, expectation, events } in parts {
            let Encoded(pending) = events?;
            if pending.is_empty() {
                return Err(Error::EmptyAppend { stream: Some(stream) });
            }
            let mut events = Vec::with_capacity(pending.len());
            for mut event in pending {
                privacy::check(scope.vault.is_some(), &event.record, &stream)?;
                event.context.inherit(&scope.handed_down);
                scope.enrichers.enrich(&mut event.context, &event.record, &stream, &scope.tenant)?;
                if let Some(filter) = &scope.outbox
                    && filter.takes(&event.context, &event.record, &stream, &scope.tenant)
                {
                    outbox.insert(event.record.id);
                }
                event.record.context = event.context.encode()?;
                events.push(event.record);
                repeats.push(event.repeats);
            }
            streams.push(StreamAppend::new(stream, expectation, events));
        }
        if streams.is_empty() {
            return Err(Error::EmptyAppend { stream: None });
        }
        let mut request = AppendRequest::new(scope.tenant.clone(), streams);
        (request.requirements, request.outbox, request.shreds) = (requirements, outbox, shreds);
        refuse_doubles(&request)?;
        boundary::check(scope, &request)?;
        size::refuse_too_much(&request, size::MOST_BYTES)?;
        Ok(Prepared { scope, request: Arc::new(request), repeats })
    }
}

/// A call names a stream once, and an event id once.
fn refuse_doubles(request: &AppendRequest) -> Result<()> {
    for requirement in &request.requirements {
        let Requirement::Stream(StreamRequirement { stream, .. }) = requirement else { continue };
        if request.streams.iter().any(|part| part.stream == *stream) {
            return Err(Error::StreamGivenTwice { stream: stream.clone() });
        }
    }
    if let [StreamAppend { events, .. }] = request.streams.as_slice()
        && events.len() == 1
    {
        return Ok(());
    }
    let (mut streams, mut ids) = (HashSet::new(), HashSet::new());
    for StreamAppend { stream, events, .. } in &request.streams {
        if !streams.insert(stream) {
            return Err(Error::StreamGivenTwice { stream: stream.clone() });
        }
        if let Some(event) = events.iter().find(|event| !ids.insert(event.id)) {
            return Err(Error::DuplicateEvent { event_id: event.id, stream: stream.clone() });
        }
    }
    Ok(())
}

fn conclude(request: &AppendRequest, repeats: &[Repeats], outcome: AppendOutcome) -> Result<Vec<Appended>> {
    let appended = match outcome {
        AppendOutcome::Written(written) => written_now(&request.streams, &written),
        AppendOutcome::Present(present) => written_before(request, repeats, present)?,
    };
    if appended.len() == request.streams.len() { Ok(appended) } else { Err(not_answered()) }
}

fn not_answered() -> Error {
    Error::bug("the backend did not answer for every stream of an append")
}

fn written_now(streams: &[StreamAppend], written: &[Written]) -> Vec<Appended> {
    let one = |(stream, written): (&StreamAppend, &Written)| Appended {
        first_version: written.first_version,
        last_version: written.first_version.map(|first| stream.last_version(first)),
        position: written.last_position,
        repeated: false,
    };
    streams.iter().zip(written).map(one).collect()
}

/// Whether the events that are in the store already are this append, made before: all of them, in the same streams,
/// order and neighbourhood, with the same types and payloads.
fn written_before(
    request: &AppendRequest,
    repeats: &[Repeats],
    present: Vec<PresentEvent>,
) -> Result<Vec<Appended>> {
    for PresentEvent { record, .. } in
        present.iter().filter(|present| present.record.tenant == request.tenant)
    {
        record.event.check(&record.stream)?;
    }
    let present: HashMap<Uuid, PresentEvent> =
        present.into_iter().map(|event| (event.record.event.id, event)).collect();
    let mut repeats = repeats.iter();
    let parts = request.streams.iter();
    parts
        .map(|part| part_written_before(&request.tenant, part, &mut repeats, &present))
        .collect::<Result<Vec<_>, Option<Uuid>>>()
        .map_err(|differs| duplicate(request, differs, &present))
}

/// `Err` names the event that differs, or none where one is missing.
fn part_written_before(
    tenant: &TenantId,
    part: &StreamAppend,
    repeats: &mut std::slice::Iter<'_, Repeats>,
    present: &HashMap<Uuid, PresentEvent>,
) -> Result<Appended, Option<Uuid>> {
    let mut appended: Option<Appended> = None;
    let mut previous = None;
    for (new, repeats) in part.events.iter().zip(repeats) {
        let PresentEvent { record, previous: before } = present.get(&new.id).ok_or(None)?;
        let stored = &record.event;
        let same_place = record.tenant == *tenant && record.stream == part.stream;
        let in_order = previous.is_none() || *before == previous;
        if !same_place || !in_order || !repeats(stored, new) {
            return Err(Some(new.id));
        }
        previous = Some(new.id);
        appended = Some(Appended {
            first_version: appended.map_or(stored.version, |so_far| so_far.first_version),
            last_version: stored.version,
            position: AppendPosition::from_i64(stored.position.to_i64()),
            repeated: true,
        });
    }
    appended.ok_or(None)
}

/// The error for a repeat that is none: it names the event that differs, or the first one that is there already.
fn duplicate(request: &AppendRequest, differs: Option<Uuid>, present: &HashMap<Uuid, PresentEvent>) -> Error {
    let is_meant = |id: &Uuid| differs.map_or_else(|| present.contains_key(id), |differs| differs == *id);
    let events =
        request.streams.iter().flat_map(|part| part.events.iter().map(move |event| (part, event.id)));
    match events.into_iter().find(|(_, id)| is_meant(id)) {
        Some((part, event_id)) => Error::DuplicateEvent { event_id, stream: part.stream.clone() },
        None => Error::bug("the backend found events that were not asked for"),
    }
}
