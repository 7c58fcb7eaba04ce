//! Loading a stream: whole, from its newest snapshot, a range of versions, or page by page.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::pin::Pin;

use futures_util::stream;

use crate::backend::{LoadRequest, LoadedStream, Span};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::events::Events;
use crate::position::Position;
use crate::store::Scope;
use crate::stream_id::StreamId;
use crate::version::Version;
use crate::within::{InTransaction, OnStore};
use crate::wrapped_event::WrappedEvent;

/// How many events of a long stream are in memory at once.
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

    /// Only these versions, such as `3..7` or `..=10`, and never a snapshot.
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

    /// Every event from the first, whatever snapshots there are.
    pub fn full_history(mut self) -> Self {
        self.request.span = Span::Full;
        self
    }
}

impl<'a, E: Event> LoadStream<OnStore<'a>, E> {
    /// The events one by one, in bounded memory, however long the stream is.
    ///
    /// The events come in pages of 512, each read as of one moment; what is appended meanwhile is read too.
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
        let Self { on, mut request, .. } = self;
        Box::pin(async move { Ok(load(on, &mut request).await?.0) })
    }
}

impl<E: Event> LoadStream<InTransaction<'_>, E> {
    /// Loads within the transaction, with what the transaction itself has written.
    ///
    /// # Errors
    ///
    /// As [`EventStore::load_stream`](crate::EventStore::load_stream).
    pub fn run(mut self) -> Result<Vec<WrappedEvent<E>>> {
        loop {
            let loaded = self.on.transaction.load(&self.request)?;
            match decode(&self.request.stream, loaded)? {
                Decoded::Events(events, _) => return Ok(events),
                Decoded::OlderSnapshot(up_to) => self.request.span = from_snapshot::<E>(up_to),
            }
        }
    }
}

/// Loads once, or again with an older snapshot for each snapshot that does not decode.
async fn load<E: Event>(on: OnStore<'_>, request: &mut LoadRequest) -> Result<(Vec<WrappedEvent<E>>, Rest)> {
    loop {
        let loaded = on.backend.load(request.clone()).await?;
        match decode(&request.stream, loaded)? {
            Decoded::Events(events, rest) => return Ok((events, rest)),
            Decoded::OlderSnapshot(up_to) => request.span = from_snapshot::<E>(up_to),
        }
    }
}

/// The span of a plain load: from the newest snapshot that the type declares. A catch-all knows no snapshot.
fn from_snapshot<E: Event>(up_to: Version) -> Span {
    if E::NAMES.is_empty() { Span::Full } else { Span::FromSnapshot { names: E::NAMES, up_to } }
}

enum Decoded<E> {
    Events(Vec<WrappedEvent<E>>, Rest),
    /// The snapshot does not fit the type: look for one at or below this version.
    OlderSnapshot(Version),
}

/// What a page leaves to be read.
struct Rest {
    /// The last event, if the page was cut off behind it.
    last: Option<(Position, Option<Version>)>,
    /// The position of the stream's first event.
    first: Option<Position>,
}

fn decode<E: Event>(stream: &StreamId, loaded: LoadedStream) -> Result<Decoded<E>> {
    let LoadedStream { snapshot, events: stored, has_more, first_position } = loaded;
    let last = stored.last().filter(|_| has_more).map(|event| (event.position, event.version));
    let mut events = Vec::with_capacity(stored.len() + usize::from(snapshot.is_some()));
    if let Some(snapshot) = snapshot {
        let version = snapshot.version.unwrap_or(0);
        match WrappedEvent::decode(stream, snapshot) {
            Ok(snapshot) => events.push(snapshot),
            Err(problem) => {
                tracing::warn!(%stream, version, %problem, "a snapshot does not decode and is passed over");
                return Ok(Decoded::OlderSnapshot(version.saturating_sub(1)));
            }
        }
    }
    for event in stored {
        events.push(WrappedEvent::decode(stream, event)?);
    }
    Ok(Decoded::Events(events, Rest { last, first: first_position }))
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
    async fn next<E: Event>(mut self) -> Result<Option<(Vec<WrappedEvent<E>>, Self)>> {
        if self.done {
            return Ok(None);
        }
        let (events, rest) = load(self.backend, &mut self.request).await?;
        if self.first.is_some() && rest.first != self.first {
            return Err(Error::StreamChangedWhileReading { stream: self.request.stream });
        }
        self.first = rest.first;
        self.request.span = match (rest.last, self.request.span) {
            (Some((_, Some(version))), Span::Versions { stop, .. }) => {
                Span::Versions { start: version + 1, stop }
            }
            (Some((position, _)), _) => Span::After(position),
            (None, span) => {
                self.done = true;
                span
            }
        };
        Ok(Some((events, self)))
    }
}
