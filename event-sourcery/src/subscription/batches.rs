//! Events in batches.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::deletions::AsOf;
use super::feed::Feed;
use super::{Refused, later, refuse};
use crate::backend::StoredRecord;
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::wrapped_event::Recorded;

/// How many bytes of payload and context a batch has at most, unless its last event has more.
const MOST_BYTES: usize = 8 << 20;

/// Some events of a subscription.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Batch<E> {
    /// The events, in position order; none where none came in time.
    pub events: Vec<Recorded<E>>,
    /// Where to subscribe again: everything up to here was handed over, or is not wanted.
    pub position: Position,
    /// Whether there was nothing more for now.
    pub caught_up: bool,
}

/// Events in batches; see [`Subscribe::batches`](super::Subscribe::batches).
#[must_use = "nothing is read until `next` is called"]
pub struct Batches<E> {
    feed: Feed,
    most: usize,
    fill_within: Duration,
    /// When the batch at hand is handed over, full or not.
    full_by: Option<Instant>,
    pending: VecDeque<Arc<StoredRecord>>,
    /// When the first of it was read.
    as_of: AsOf,
    /// Whether there was nothing more behind what is pending.
    at_end: bool,
    refused: Refused,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> Batches<E> {
    pub(super) fn new(feed: Feed, most: usize, refused: Refused) -> Self {
        let no_room = || ("batches", "a batch has at least 1 event".to_owned());
        Self {
            feed,
            most,
            fill_within: Duration::ZERO,
            full_by: None,
            pending: VecDeque::new(),
            as_of: AsOf::default(),
            at_end: false,
            refused: refused.or_else(|| (most == 0).then(no_room)),
            event: PhantomData,
        }
    }

    /// Prefers full batches: once there is an event, a batch may take this long to fill. By default, a batch holds what is there, and
    /// is returned immediately.
    pub fn fill_within(self, time: Duration) -> Self {
        Self { fill_within: time, ..self }
    }

    /// The next batch: the events that are there, immediately. Only if there are none, it waits for an event, at most this long, and
    /// then returns a batch without events. It also does so if it takes longer to find an event that passes the filter, or one whose
    /// stream is not deleted meanwhile: then the batch has not caught up, and the next call goes on from there.
    ///
    /// Dropping the future loses nothing: the next call goes on.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownEvent`](crate::Error::UnknownEvent) and [`Error::InvalidEvent`](crate::Error::InvalidEvent), after the
    /// events before that one were handed over; then every call meets it again. And the backend's, after which a call goes on where it was.
    pub async fn next(&mut self, longest_wait: Duration) -> Result<Batch<E>> {
        refuse(&self.refused)?;
        let give_up = later(Instant::now(), longest_wait);
        let mut is_again = false;
        loop {
            if !self.is_full() {
                let page = self.feed.read(self.most - self.pending.len()).await?;
                self.as_of = if self.pending.is_empty() { page.as_of } else { self.as_of.min(page.as_of) };
                self.pending.extend(page.records);
                self.at_end = page.at_end;
            }
            if self.feed.is_outdated(&mut self.pending, &mut self.as_of) {
                self.at_end = false;
                let until = self.full_by.filter(|_| !self.pending.is_empty()).unwrap_or(give_up);
                // Once more in any case: what is there is handed over at once.
                if Instant::now() < until || !std::mem::replace(&mut is_again, true) {
                    continue;
                }
                return self.hand_over();
            }
            let is_enough = !self.pending.is_empty() && self.fill_within.is_zero();
            if self.is_full() || is_enough {
                return self.hand_over();
            }
            let until = match self.full_by {
                _ if self.pending.is_empty() => give_up,
                Some(full_by) => full_by,
                None => *self.full_by.insert(later(Instant::now(), self.fill_within)),
            };
            if !self.at_end {
                if Instant::now() >= until {
                    return self.hand_over();
                }
                continue;
            }
            let is_over = timeout_at(until, self.feed.wait()).await.is_err();
            if is_over && !self.feed.is_outdated(&mut self.pending, &mut self.as_of) {
                return self.hand_over();
            }
        }
    }

    fn is_full(&self) -> bool {
        self.pending.len() >= self.most || size(&self.pending) >= MOST_BYTES
    }

    /// Everything that is pending, up to the first event that cannot be decoded.
    fn hand_over(&mut self) -> Result<Batch<E>> {
        self.full_by = None;
        let mut events = Vec::with_capacity(self.pending.len());
        let mut position = self.feed.cursor();
        while let Some(record) = self.pending.front() {
            match Recorded::<E>::decode(record) {
                Ok(event) => events.push(event),
                Err(error) if events.is_empty() => return Err(error),
                Err(_) => {
                    position = events.last().map_or(position, |last| last.position);
                    break;
                }
            }
            self.pending.pop_front();
        }
        let caught_up = self.at_end && self.pending.is_empty();
        Ok(Batch { events, position, caught_up })
    }
}

fn size<'r>(records: impl IntoIterator<Item = &'r Arc<StoredRecord>>) -> usize {
    records.into_iter().map(|record| record.event.size()).sum()
}

impl<E> fmt::Debug for Batches<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("feed", &self.feed).field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::time::timeout;

    use super::*;
    use crate::{EventStore, MemoryBackend, RawEvent, StreamId, TenantId};

    /// As though it was deleted all the time, and was there all the same.
    #[tokio::test]
    async fn a_call_waits_no_longer_than_asked_though_what_it_reads_may_be_deleted_again_and_again() {
        let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
        store.append(&stream, RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
        let (deletions, over) = (Arc::clone(&store.scope().deletions), Arc::new(AtomicBool::new(false)));
        let is_over = Arc::clone(&over);
        let deleting = std::thread::spawn(move || {
            while !is_over.load(Ordering::Acquire) {
                deletions.note(&TenantId::DEFAULT, &stream);
            }
        });
        let mut batches = store.subscribe::<RawEvent>().batches(4);
        for wait in [0, 50].map(Duration::from_millis) {
            let batch =
                timeout(Duration::from_secs(30), batches.next(wait)).await.expect("it gives up").unwrap();
            if !batch.events.is_empty() {
                break;
            }
            assert!(!batch.caught_up, "{batch:?}");
        }
        over.store(true, Ordering::Release);
        deleting.join().unwrap();
    }
}
