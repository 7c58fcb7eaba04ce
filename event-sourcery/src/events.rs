//! Events read one by one.

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::Result;

/// Events read one by one, in bounded memory: a [`Stream`] of results.
///
/// ```
/// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let store = EventStore::new(MemoryBackend::new());
/// # let stream = StreamId::random();
/// store.append(&stream, [RawEvent::new("Issued", "{}")?, RawEvent::new("Paid", "{}")?]).await?;
///
/// let mut events = store.load_stream::<RawEvent>(&stream).stream();
/// let mut names = Vec::new();
/// while let Some(event) = events.try_next().await? {
///     names.push(event.event.name().to_owned());
/// }
/// assert_eq!(names, ["Issued", "Paid"]);
/// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
/// ```
#[must_use = "a stream of events reads nothing until it is polled"]
pub struct Events<'a, T>(Pin<Box<dyn Stream<Item = Result<T>> + Send + 'a>>);

impl<'a, T: Send + 'a> Events<'a, T> {
    /// The events of all pages, up to the first error.
    pub(crate) fn of_pages<P>(pages: impl Stream<Item = Result<P>> + Send + 'a) -> Self
    where
        P: Iterator<Item = Result<T>> + Send + 'a,
    {
        let events = pages.map_ok(stream::iter).try_flatten();
        let until_error = events.scan(false, |failed, event| {
            let ended = std::mem::replace(failed, event.is_err());
            ready((!ended).then_some(event))
        });
        Self(until_error.boxed())
    }
}

impl<T> Events<'_, T> {
    /// The next event, or `None` at the end.
    ///
    /// # Errors
    ///
    /// That of the item. Nothing follows an error.
    pub async fn try_next(&mut self) -> Result<Option<T>> {
        self.0.next().await.transpose()
    }
}

impl<T> Stream for Events<'_, T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().0.as_mut().poll_next(context)
    }
}

impl<T> fmt::Debug for Events<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
