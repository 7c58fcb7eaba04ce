//! Loading a stream: whole, from its newest snapshot, a range of versions, or page by page.

use std::borrow::Borrow;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;

use futures_util::stream;

use crate::backend::{LoadRequest, LoadSink, LoadedStream, Span, StoredEvent};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::events::Events;
use crate::position::Position;
use crate::store::Scope;
use crate::stream_id::StreamId;
use crate::telemetry;
use crate::version::Version;
use crate::within::{InTransaction, Joined, OnStore, Reach, at_once};
use crate::wrapped_event::WrappedEvent;

/// How many events of a long stream are in memory at once, if they are small.
const PAGE: usize = 512;

/// A load in the making; see [`EventStore::load_stream`](crate::EventStore::load_stream).
#[derive(Debug)]
#[must_use = "nothing is loaded until this is awaited, run or read as a stream"]
pub struct LoadStream<On, E> {
    on: On,
    request: LoadRequest,
    event: PhantomData<fn() -> E>,
}

impl<On, E: Event> LoadStream<On, E> {
    pub(crate) fn new(on: On, scope: &Scope, stream: &StreamId) -> Self {
        let request = LoadRequest {
            tenant: scope.tenant.clone(),
            stream: stream.clone(),
            span: from_snapshot::<E>(Version::MAX),
            limit: None,
        };
        Self { on, request, event: PhantomData }
    }

    /// Only events of these versions, such as `3..7` or `..=10`. No snapshot is used.
    ///
    /// The call then fails with [`Error::VersionRangeOnVersionlessStream`] on a stream that has no versions.
    pub fn versions(mut self, range: impl RangeBounds<Version>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let stop = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(stop) => *stop,
            Bound::Unbounded => Version::MAX,
        };
        self.request.span = Span::Versions { start, stop };
        self
    }

    /// Every event from the first one on, even if there is a snapshot.
    pub fn full_history(mut self) -> Self {
        self.request.span = Span::Full;
        self
    }
}

impl<'a, E: Event> LoadStream<OnStore<'a>, E> {
    /// The events one by one, in bounded memory, however long the stream is.
    ///
    /// The events are read in pages of at most 512 events and 512 KiB (or one larger event), each page as of one moment. Events that are
    /// appended meanwhile are read too.
    ///
    /// # Errors
    ///
    /// An item is an error where [awaiting](crate::EventStore::load_stream) would fail, and
    /// [`Error::StreamChangedWhileReading`] when the stream is deleted between two pages. Nothing follows an error.
    pub fn stream(mut self) -> Events<'a, WrappedEvent<E>> {
        self.request.limit = Some(PAGE);
        let pages = Pages { backend: self.on, request: self.request, first: None, done: false };
        Events::of_pages(stream::try_unfold(pages, Pages::next::<E>))
    }
}

impl<'a, E: Event> IntoFuture for LoadStream<OnStore<'a>, E> {
    type Output = Result<Vec<WrappedEvent<E>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(whole(self.on, self.request))
    }
}

impl<'a, E: Event> IntoFuture for LoadStream<Joined<'a>, E> {
    type Output = Result<Vec<WrappedEvent<E>>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(whole(self.on, self.request))
    }
}

impl<E: Event> LoadStream<InTransaction<'_>, E> {
    /// Loads within the transaction, with what the transaction itself has written.
    ///
    /// # Errors
    ///
    /// As [`EventStore::load_stream`](crate::EventStore::load_stream).
    pub fn run(self) -> Result<Vec<WrappedEvent<E>>> {
        at_once(whole(self.on, self.request))
    }
}

async fn whole<E: Event>(mut on: impl Reach, mut request: LoadRequest) -> Result<Vec<WrappedEvent<E>>> {
    loop {
        let mut whole = Whole { stream: request.stream.clone(), events: Vec::new(), without: None };
        telemetry::load_in_parts(&mut on, &request, &mut whole).await?;
        match whole.without {
            Some(without) => request.span = without,
            None => return Ok(whole.events),
        }
    }
}

/// All events of a stream, decoded as they come.
struct Whole<E> {
    stream: StreamId,
    events: Vec<WrappedEvent<E>>,
    /// What to load instead, because the snapshot does not decode.
    without: Option<Span>,
}

impl<E: Event> LoadSink for Whole<E> {
    fn take(&mut self, part: LoadedStream) -> Result<()> {
        if self.without.is_some() {
            return Ok(());
        }
        match Page::new(&self.stream, part) {
            Ok(page) => {
                self.events.reserve(page.events.len() + usize::from(page.snapshot.is_some()));
                for event in page.each(&self.stream) {
                    self.events.push(event?);
                }
            }
            Err(without) => self.without = Some(without),
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.events.clear();
        self.without = None;
    }
}

/// The span of a plain load: from the newest snapshot that the type declares. A catch-all knows no snapshot.
pub(crate) fn from_snapshot<E: Event>(up_to: Version) -> Span {
    if E::NAMES.is_empty() { Span::Full } else { Span::FromSnapshot { names: E::NAMES, up_to } }
}

/// What was loaded at once.
pub(crate) struct Page<E> {
    pub(crate) snapshot: Option<WrappedEvent<E>>,
    events: Vec<StoredEvent>,
    /// Whether there is more.
    has_more: bool,
    /// The position of the stream's first event.
    first: Option<Position>,
}

impl<E: Event> Page<E> {
    /// `Err` where the snapshot does not fit the type: where to look for an older one, or do without.
    pub(crate) fn new(stream: &StreamId, mut loaded: LoadedStream) -> Result<Self, Span> {
        let Some(snapshot) = loaded.snapshot.take() else { return Ok(Self::of_events(loaded)) };
        let version = snapshot.version.unwrap_or(0);
        match WrappedEvent::decode(stream, &snapshot) {
            Ok(snapshot) => Ok(Self { snapshot: Some(snapshot), ..Self::of_events(loaded) }),
            Err(problem) => {
                tracing::warn!(%stream, version, %problem, "a snapshot does not decode and is passed over");
                Err(version.checked_sub(1).map_or(Span::Full, from_snapshot::<E>))
            }
        }
    }

    /// What was loaded, whatever stands in for the events before it.
    pub(crate) fn of_events(loaded: LoadedStream) -> Self {
        let LoadedStream { events, has_more, first_position: first, .. } = loaded;
        Self { snapshot: None, events, has_more, first }
    }

    /// One after the other.
    pub(crate) fn each(self, stream: impl Borrow<StreamId>) -> impl Iterator<Item = Result<WrappedEvent<E>>> {
        let events = self.events.into_iter().map(move |event| WrappedEvent::decode(stream.borrow(), &event));
        self.snapshot.map(Ok).into_iter().chain(events)
    }
}

/// Where a paged read stands.
struct Pages<'a> {
    backend: OnStore<'a>,
    request: LoadRequest,
    /// The position of the stream's first event, once a page was cut off.
    first: Option<Position>,
    done: bool,
}

impl Pages<'_> {
    async fn next<E: Event>(
        mut self,
    ) -> Result<Option<(impl Iterator<Item = Result<WrappedEvent<E>>>, Self)>> {
        if self.done {
            return Ok(None);
        }
        let page = loop {
            let loaded = telemetry::load(&mut self.backend, &self.request).await?;
            match Page::new(&self.request.stream, loaded) {
                Ok(page) => break page,
                Err(without) => self.request.span = without,
            }
        };
        if self.first.is_some() && page.first != self.first {
            return Err(Error::StreamChangedWhileReading { stream: self.request.stream });
        }
        self.first = page.first;
        match page.events.last().filter(|_| page.has_more) {
            Some(last) => self.request.span = self.request.span.behind(last.position, last.version),
            None => self.done = true,
        }
        Ok(Some((page.each(self.request.stream.clone()), self)))
    }
}
