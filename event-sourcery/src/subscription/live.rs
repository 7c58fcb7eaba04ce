//! Events one by one, as they come.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::{StreamExt as _, stream};

use super::feed::Feed;
use super::{Refused, refuse};
use crate::backend::StoredRecord;
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::wrapped_event::Recorded;

/// How many events are in memory at once.
const PAGE: usize = 512;

/// What comes next in a subscription.
#[derive(Debug, Clone, PartialEq)]
pub enum Next<E> {
    /// An event.
    Event(Recorded<E>),
    /// There is nothing more for now: every event up to this position was handed over, or is not wanted. Told when it
    /// first comes to the end, and again after events that came later.
    CaughtUp(Position),
}

/// Events one by one, as they come: a [`Stream`] that waits at the end; see [`Subscribe::stream`](super::Subscribe::stream).
#[must_use = "a subscription reads nothing until it is polled"]
pub struct Subscription<E> {
    items: Pin<Box<dyn Stream<Item = Result<Next<E>>> + Send>>,
    position: Arc<Mutex<Position>>,
}

impl<E: Event> Subscription<E> {
    pub(super) fn new(feed: Feed, refused: Refused) -> Self {
        let position = Arc::new(Mutex::new(feed.cursor()));
        let handed_over = Arc::clone(&position);
        let reader = Reader { feed, pending: VecDeque::new(), at_end: false, told: false, refused };
        let items = stream::unfold(Some(reader), move |reader| {
            let handed_over = Arc::clone(&handed_over);
            async move {
                let mut reader = reader?;
                match reader.next().await {
                    Ok((next, position)) => {
                        *handed_over.lock().unwrap_or_else(PoisonError::into_inner) = position;
                        Some((Ok(next), Some(reader)))
                    }
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        Self { items: items.boxed(), position }
    }
}

impl<E> Subscription<E> {
    /// What comes next: an event, or word that there are no more for now. `None` only after an error.
    ///
    /// Dropping the future loses nothing: the next call goes on.
    ///
    /// # Errors
    ///
    /// That of the item. Nothing follows an error.
    pub async fn try_next(&mut self) -> Result<Option<Next<E>>> {
        self.items.next().await.transpose()
    }

    /// Where to subscribe again: everything up to here was handed over.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Stream for Subscription<E> {
    type Item = Result<Next<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().items.as_mut().poll_next(context)
    }
}

impl<E> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("position", &self.position()).finish_non_exhaustive()
    }
}

/// Reads page by page and hands over event by event.
struct Reader {
    feed: Feed,
    pending: VecDeque<Arc<StoredRecord>>,
    /// Whether there was nothing more behind what is pending.
    at_end: bool,
    /// Whether that was told.
    told: bool,
    refused: Refused,
}

impl Reader {
    async fn next<E: Event>(&mut self) -> Result<(Next<E>, Position)> {
        refuse(&self.refused)?;
        loop {
            if let Some(record) = self.pending.pop_front() {
                let recorded = Recorded::decode(&record)?;
                self.told = false;
                return Ok((Next::Event(recorded), record.event.position));
            }
            if self.at_end && !self.told {
                self.told = true;
                return Ok((Next::CaughtUp(self.feed.cursor()), self.feed.cursor()));
            }
            if self.at_end {
                self.feed.wait().await;
            }
            let page = self.feed.read(PAGE).await?;
            self.pending = page.records.into();
            self.at_end = page.at_end;
        }
    }
}
