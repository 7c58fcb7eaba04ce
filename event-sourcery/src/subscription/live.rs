//! Events one by one, as they come.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::deletions::AsOf;
use super::feed::Feed;
use super::{Refused, refuse};
use crate::backend::StoredRecord;
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::wrapped_event::Recorded;

/// How many events are in memory at once, if they are small.
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
    state: State,
    position: Position,
    event: PhantomData<fn() -> E>,
}

/// What was read is handed over without a future: only to read more takes one.
enum State {
    Read(Box<Reader>),
    Reading(Pin<Box<dyn Future<Output = Result<Box<Reader>>> + Send>>),
    /// An error was handed over.
    Ended,
}

impl<E: Event> Subscription<E> {
    pub(super) fn new(feed: Feed, refused: Refused) -> Self {
        let position = feed.cursor();
        let (pending, as_of) = (VecDeque::new(), AsOf::default());
        let reader = Reader { feed, pending, as_of, at_end: false, told: false, refused };
        Self { state: State::Read(Box::new(reader)), position, event: PhantomData }
    }

    /// What comes next: an event, or word that there are no more for now. `None` only after an error.
    ///
    /// Dropping the future loses nothing: the next call goes on.
    ///
    /// # Errors
    ///
    /// That of the item. Nothing follows an error.
    pub async fn try_next(&mut self) -> Result<Option<Next<E>>> {
        poll_fn(|context| self.poll(context)).await.transpose()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Next<E>>>> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Read(mut reader) => match reader.take() {
                    Some(Ok((next, position))) => {
                        (self.state, self.position) = (State::Read(reader), position);
                        return Poll::Ready(Some(Ok(next)));
                    }
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => State::Reading(Box::pin(reader.read())),
                },
                State::Reading(mut reading) => match reading.as_mut().poll(context) {
                    Poll::Ready(Ok(reader)) => State::Read(reader),
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Pending => {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                },
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

impl<E> Subscription<E> {
    /// Where to subscribe again: everything up to here was handed over.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }
}

impl<E: Event> Stream for Subscription<E> {
    type Item = Result<Next<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

impl<E> fmt::Debug for Subscription<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("position", &self.position).finish_non_exhaustive()
    }
}

/// Reads page by page and hands over event by event.
struct Reader {
    feed: Feed,
    pending: VecDeque<Arc<StoredRecord>>,
    /// When it was read.
    as_of: AsOf,
    /// Whether there was nothing more behind what is pending.
    at_end: bool,
    /// Whether that was told.
    told: bool,
    refused: Refused,
}

impl Reader {
    /// What comes next of what was read, and everything up to where is handed over then.
    fn take<E: Event>(&mut self) -> Option<Result<(Next<E>, Position)>> {
        if self.feed.is_outdated(&mut self.pending, &mut self.as_of) {
            self.at_end = false;
        }
        if let Some(record) = self.pending.pop_front() {
            self.told = false;
            return Some(
                Recorded::decode(&record).map(|recorded| (Next::Event(recorded), record.event.position)),
            );
        }
        if !self.at_end || self.told {
            return None;
        }
        self.told = true;
        Some(Ok((Next::CaughtUp(self.feed.cursor()), self.feed.cursor())))
    }

    /// Reads on, once there is something to read.
    async fn read(mut self: Box<Self>) -> Result<Box<Self>> {
        refuse(&self.refused)?;
        if self.at_end {
            self.feed.wait().await;
        }
        let page = self.feed.read(PAGE).await?;
        (self.pending, self.at_end, self.as_of) = (page.records.into(), page.at_end, page.as_of);
        Ok(self)
    }
}
