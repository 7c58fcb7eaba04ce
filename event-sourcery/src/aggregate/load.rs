//! Loading an aggregate: as it is, as it was, or as it was before a command that is repeated.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use jiff::Timestamp;
use uuid::Uuid;

use super::place::Opened;
use super::repository::Settings;
use super::state::Rule;
use super::{Aggregate, WrappedAggregate};
use crate::backend::{LoadRequest, LoadSink, LoadedStream, Span, StoredEvent};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::load::{Page, from_snapshot};
use crate::stream_id::StreamId;
use crate::telemetry;
use crate::version::Version;
use crate::within::{InTransaction, Joined, OnStore, Reach, at_once};
use crate::wrapped_event::WrappedEvent;

/// A load of an aggregate in the making; see [`Repository::load`](super::Repository::load).
#[must_use = "nothing is loaded until this is awaited or run"]
pub struct LoadAggregate<'a, A: Aggregate, On> {
    place: Opened<'a, On>,
    settings: Settings<A>,
    stream: Result<StreamId>,
    context: Context,
    at: At,
}

/// Which moment of an aggregate's life.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Present,
    /// Before this version; what is kept of it counts, as it does for the present.
    Before(Version),
    /// At this version, from history.
    Version(Version),
    Time(Timestamp),
}

impl<'a, A: Aggregate, On> LoadAggregate<'a, A, On> {
    pub(super) fn new(place: Opened<'a, On>, settings: Settings<A>, id: &StreamId) -> Self {
        let stream = stream_of::<A>(id);
        Self { place, settings, stream, context: Context::new(), at: At::Present }
    }

    /// The context of every event that it will emit.
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// As it was at this version; as it is, where it has not reached it. Read from history, never from a snapshot. What it
    /// emits cannot be saved where the stream has gone on: that is a [`Conflict`](Error::Conflict).
    pub fn at_version(self, version: Version) -> Self {
        Self { at: At::Version(version), ..self }
    }

    /// As it was at this time: before its first event that happened later. Otherwise like
    /// [`at_version`](Self::at_version).
    pub fn at_time(self, time: Timestamp) -> Self {
        Self { at: At::Time(time), ..self }
    }
}

impl<'a, A: Aggregate> IntoFuture for LoadAggregate<'a, A, OnStore<'a>> {
    type Output = Result<WrappedAggregate<A>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self))
    }
}

impl<'a, A: Aggregate> IntoFuture for LoadAggregate<'a, A, Joined<'a>> {
    type Output = Result<WrappedAggregate<A>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run(self))
    }
}

impl<A: Aggregate> LoadAggregate<'_, A, InTransaction<'_>> {
    /// Loads within the transaction, with what the transaction itself has written.
    ///
    /// # Errors
    ///
    /// As [`Repository::load`](super::Repository::load).
    pub fn run(self) -> Result<WrappedAggregate<A>> {
        at_once(run(self))
    }
}

async fn run<A: Aggregate, On: Reach>(call: LoadAggregate<'_, A, On>) -> Result<WrappedAggregate<A>> {
    let LoadAggregate { mut place, settings, stream, context, at } = call;
    let aggregate = WrappedAggregate::new(stream?, place.scope.tenant.clone(), context);
    match at {
        At::Present => present(aggregate, &mut place, &settings).await,
        past => replayed(aggregate, &mut place.on, &settings, past).await,
    }
}

/// A new aggregate as it is; its state is kept, if it is time.
pub(super) async fn present<A: Aggregate, On: Reach>(
    aggregate: WrappedAggregate<A>,
    place: &mut Opened<'_, On>,
    settings: &Settings<A>,
) -> Result<WrappedAggregate<A>> {
    let mut aggregate = replayed(aggregate, &mut place.on, settings, At::Present).await?;
    if let (Some(rule), Some(backend)) = (&settings.rule, &place.snapshots) {
        rule.keep(&mut aggregate, None, backend);
    }
    Ok(aggregate)
}

/// A new aggregate with its history.
pub(super) async fn replayed<A: Aggregate>(
    aggregate: WrappedAggregate<A>,
    on: &mut impl Reach,
    settings: &Settings<A>,
    at: At,
) -> Result<WrappedAggregate<A>> {
    let mut request = request(&aggregate, span(settings, at), None);
    let rule = settings.rule.as_deref();
    let mut replay = Replay { aggregate, rule, at, snapshot: None, is_over: false, without: None };
    loop {
        telemetry::load_in_parts(on, &request, &mut replay).await?;
        let Some(without) = replay.without else { break };
        request.span = without;
        replay.restart();
    }
    let Replay { mut aggregate, snapshot, .. } = replay;
    if let Some(version) = snapshot {
        tell_times(&mut aggregate, on, version).await?;
    }
    Ok(aggregate)
}

/// An aggregate that takes its history.
struct Replay<'a, A: Aggregate> {
    aggregate: WrappedAggregate<A>,
    rule: Option<&'a Rule<A>>,
    at: At,
    /// The version of the snapshot that it began with.
    snapshot: Option<Option<Version>>,
    /// Whether it has reached the moment that was asked for.
    is_over: bool,
    /// What to load instead, because what it would begin with cannot be read, or is of a later moment.
    without: Option<Span>,
}

impl<A: Aggregate> Replay<'_, A> {
    /// What follows the kept state, once that is restored; or what to load instead.
    fn begin(&mut self, mut part: LoadedStream) -> Result<Page<A::Event>, Span> {
        let Some(rule) = self.rule else { return Page::new(&self.aggregate.stream_id, part) };
        let is_later = |kept: &StoredEvent| matches!(self.at, At::Before(end) if kept.version >= Some(end));
        match part.snapshot.take() {
            Some(kept) if is_later(&kept) || !rule.restore(&kept, &mut self.aggregate) => {
                Err(history(self.at))
            }
            _ => Ok(Page::of_events(part)),
        }
    }

    fn apply(&mut self, event: &WrappedEvent<A::Event>) -> Result<()> {
        self.is_over |= matches!(self.at, At::Time(time) if event.created_at > time);
        if self.is_over {
            return Ok(());
        }
        let version = event.version.ok_or_else(|| unversioned(&self.aggregate.stream_id))?;
        self.is_over = matches!(self.at, At::Before(end) if version >= end);
        if !self.is_over {
            self.aggregate.replay(event, version);
        }
        Ok(())
    }
}

impl<A: Aggregate> LoadSink for Replay<'_, A> {
    fn take(&mut self, part: LoadedStream) -> Result<()> {
        if self.is_over || self.without.is_some() {
            return Ok(());
        }
        self.aggregate.is_private |= part.events.iter().any(StoredEvent::was_sealed);
        let page = match self.begin(part) {
            Ok(page) => page,
            Err(without) => {
                self.without = Some(without);
                return Ok(());
            }
        };
        self.snapshot = self.snapshot.or(page.snapshot.as_ref().map(|snapshot| snapshot.version));
        let stream = self.aggregate.stream_id.clone();
        for event in page.each(&stream) {
            self.apply(&event?)?;
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.aggregate = self.aggregate.anew();
        (self.snapshot, self.is_over, self.without) = (None, false, None);
    }
}

/// When the first event of the stream happened, and the last one, where a snapshot of this version stands for them.
async fn tell_times<A: Aggregate>(
    aggregate: &mut WrappedAggregate<A>,
    on: &mut impl Reach,
    snapshot: Option<Version>,
) -> Result<()> {
    let first = on.load(&request(aggregate, Span::Full, Some(1))).await?;
    aggregate.created_at = time_of(aggregate, first.events.first())?;
    if snapshot == Some(aggregate.stored_version) {
        let last = on.load(&request(aggregate, Span::Last, None)).await?;
        aggregate.updated_at = time_of(aggregate, last.events.last())?;
    }
    Ok(())
}

fn time_of<A: Aggregate>(
    aggregate: &WrappedAggregate<A>,
    event: Option<&StoredEvent>,
) -> Result<Option<Timestamp>> {
    let Some(event) = event else { return Ok(None) };
    event.check(&aggregate.stream_id)?;
    Ok(Some(event.created_at))
}

/// Whether the stream has an event of this id: its version.
pub(super) async fn version_of<A: Aggregate>(
    aggregate: &WrappedAggregate<A>,
    on: &mut impl Reach,
    event: Uuid,
) -> Result<Option<Version>> {
    let found = on.load(&request(aggregate, Span::Event(event), None)).await?;
    let Some(found) = found.events.first() else { return Ok(None) };
    found.check(&aggregate.stream_id)?;
    found.version.map(Some).ok_or_else(|| unversioned(&aggregate.stream_id))
}

fn span<A: Aggregate>(settings: &Settings<A>, at: At) -> Span {
    match (at, &settings.rule) {
        (At::Present | At::Before(_), Some(rule)) => rule.span(),
        (At::Present, None) => from_snapshot::<A::Event>(Version::MAX),
        (past, _) => history(past),
    }
}

/// What to read where nothing that is kept counts.
const fn history(at: At) -> Span {
    match at {
        At::Before(stop) => Span::Versions { start: 0, stop },
        At::Version(version) => Span::Versions { start: 0, stop: version.saturating_add(1) },
        At::Present | At::Time(_) => Span::Full,
    }
}

fn request<A: Aggregate>(aggregate: &WrappedAggregate<A>, span: Span, limit: Option<usize>) -> LoadRequest {
    LoadRequest { tenant: aggregate.tenant_id.clone(), stream: aggregate.stream_id.clone(), span, limit }
}

fn unversioned(stream: &StreamId) -> Error {
    Error::ExpectedVersionUsedOnVersionlessStream { stream: stream.clone() }
}

/// The stream of an aggregate: in the category that its type names.
pub(super) fn stream_of<A: Aggregate>(id: &StreamId) -> Result<StreamId> {
    let stream = id.clone().in_category(A::CATEGORY)?;
    if id.category().is_some() && *id != stream {
        let problem = format!(
            "the stream {id} is in another category than the aggregate, whose is {:?}: leave the category out",
            A::CATEGORY
        );
        return Err(Error::InvalidOption { option: "id", problem });
    }
    Ok(stream)
}

impl<A: Aggregate, On> fmt::Debug for LoadAggregate<'_, A, On> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadAggregate")
            .field("stream", &self.stream)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
