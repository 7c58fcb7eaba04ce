//! The two streams of a store, and what everybody asks of them.

use std::time::Duration;

use event_sourcery::backend::{Names, WaitingRoom};
use event_sourcery::{Error, Position, Result, StreamId, TenantId};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::jet::{Jet, Stored};
use crate::known::{Known, Memory};
use crate::message::{Chunk, Kind};
use crate::numbers;
use crate::subjects::{Subjects, place};

/// How often a stream is read again that is not what its last message says: it is deleted and lives anew meanwhile.
pub(crate) const TRIES: usize = 100;

/// How many messages of a stream are read at a time.
const PAGE: u64 = 256;

/// How often those who wait look by themselves: whoever commits wakes them, unless it is killed in between.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the rest of a batch may take to be seen.
const BLINK: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) subjects: Subjects,
    pub(crate) events: Jet,
    pub(crate) side: Jet,
    /// Whether there is more than one replica: one that is behind must not be believed.
    pub(crate) is_replicated: bool,
    /// How many bytes a message may have.
    pub(crate) max_message: usize,
    pub(crate) memory: Memory,
    /// For appends that are under way: what one tenant sends is bounded, and takes the room of no other.
    pub(crate) room: WaitingRoom,
    /// The highest sequence that was told to be committed.
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) client: async_nats::Client,
}

impl Store {
    pub(crate) fn subject(&self, tenant: &TenantId, stream: &StreamId) -> String {
        self.subjects.stream(&place(tenant, stream))
    }

    /// The last message of a stream, and all that was appended with it is there.
    pub(crate) async fn last(&self, subject: &str) -> Result<Option<(Stored, Chunk)>> {
        for _ in 0..TRIES {
            let Some(last) = self.events.last(subject).await? else { return Ok(None) };
            let chunk = Chunk::need(last.sequence, &last.payload, &mut Names::default())?;
            if chunk.head.follow == 0 {
                return Ok(Some((last, chunk)));
            }
            sleep(BLINK).await;
        }
        Err(Error::unavailable("the rest of a batch does not appear"))
    }

    /// What a stream is by now. What was known of it before saves reading that again.
    pub(crate) async fn know(&self, subject: &str, mut before: Option<Known>) -> Result<Known> {
        for _ in 0..TRIES {
            let Some((last, chunk)) = self.last(subject).await? else { return Ok(Known::default()) };
            if let Some(known) = before.take() {
                if known.sequence == last.sequence {
                    return Ok(known);
                }
                let goes_on = is_alive(&chunk) && chunk.head.life == known.life && known.count() > 0;
                before = Some(known).filter(|_| goes_on);
            }
            let mut known = before.take().unwrap_or_else(|| Known::begun(last.sequence, &chunk.head));
            if !is_alive(&chunk) {
                return Ok(known);
            }
            if self.read_on(subject, &mut known, last).await? {
                return Ok(known);
            }
        }
        Err(changes_too_often())
    }

    /// Reads on up to the last message; false where that is not of the same stream any more.
    async fn read_on(&self, subject: &str, known: &mut Known, last: Stored) -> Result<bool> {
        let (end, mut names) = (last.sequence, Names::default());
        let mut walk = Walk::new(subject, known.sequence.max(known.life).saturating_add(1), last);
        loop {
            let page = walk.page(&self.events).await?;
            if page.is_empty() {
                return Ok(known.sequence == end);
            }
            for message in page {
                let chunk = Chunk::need(message.sequence, &message.payload, &mut names)?;
                if !known.take(message.sequence, &chunk) {
                    return Ok(false);
                }
            }
        }
    }

    /// The settled position: replicas apply one log, so that nothing appears below what the leader has stored.
    pub(crate) async fn settled(&self) -> Result<Position> {
        self.events.stand().await.map(|(sequence, _)| numbers::last_of(sequence))
    }

    pub(crate) async fn wait_beyond(&self, position: Position) -> Result<Position> {
        loop {
            // It counts from here on: what is committed after the look wakes it.
            let mut committed = self.committed.subscribe();
            let settled = self.settled().await?;
            if settled > position {
                return Ok(settled);
            }
            // It ends with whoever waits; and when it is time, it is looked.
            let _ = timeout(LOOK_EVERY, committed.changed()).await;
        }
    }

    /// Wakes those who wait, here and elsewhere.
    pub(crate) async fn woken_by(&self, sequence: u64) {
        wake(&self.committed, sequence);
        // Who is not told looks by himself. A client that is cut off may have no room for it.
        let telling = self.client.publish(self.subjects.wake(), sequence.to_string().into());
        let _ = timeout(LOOK_EVERY, telling).await;
    }
}

/// Whether a stream has not been deleted behind this message.
pub(crate) const fn is_alive(last: &Chunk) -> bool {
    matches!(last.head.kind, Kind::Events | Kind::Named)
}

/// How much later than a higher one a sequence may be told.
const LATE: u64 = 1_024;

/// Wakes those who wait here, unless they know. Anybody in the account may tell a number: one that nobody has committed wakes them for
/// nothing, and the next that is true counts again.
pub(crate) fn wake(committed: &watch::Sender<u64>, sequence: u64) {
    committed.send_if_modified(|highest| {
        let is_news = sequence > *highest || sequence.saturating_add(LATE) < *highest;
        if is_news {
            *highest = sequence;
        }
        is_news
    });
}

/// The error where others change a stream faster than it can be read.
pub(crate) fn changes_too_often() -> Error {
    Error::serialization_failure("others deleted the stream and made it anew each time that it was read")
}

/// The way through the messages of a stream up to the last one, which the leader has told.
#[derive(Debug)]
pub(crate) struct Walk<'s> {
    subject: &'s str,
    next: u64,
    last: Option<Stored>,
}

impl<'s> Walk<'s> {
    pub(crate) fn new(subject: &'s str, from: u64, last: Stored) -> Self {
        Self { subject, next: from, last: Some(last) }
    }

    /// The next messages; none at the end, or where those that are left are gone.
    pub(crate) async fn page(&mut self, events: &Jet) -> Result<Vec<Stored>> {
        let Some(end) = self.last.as_ref().map(|last| last.sequence) else { return Ok(Vec::new()) };
        if self.next >= end {
            let last = self.last.take().filter(|last| last.sequence >= self.next);
            return Ok(last.into_iter().collect());
        }
        let mut page = events.page(self.subject, self.next, PAGE).await?;
        if page.is_empty() {
            // The replica was behind, or the stream is gone: the leader knows.
            page.extend(events.next(self.subject, self.next).await?);
        }
        page.retain(|message| message.sequence <= end);
        match page.last() {
            Some(message) if message.sequence < end => self.next = message.sequence + 1,
            _ => self.last = None,
        }
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_nobody_has_committed_silences_nobody() {
        let (committed, mut told) = watch::channel(5);
        let mut is_told = |sequence| {
            wake(&committed, sequence);
            let is_told = told.has_changed().unwrap();
            told.mark_unchanged();
            is_told
        };
        assert!(is_told(6) && !is_told(6) && !is_told(5), "who knows is not woken again");
        assert!(is_told(u64::MAX));
        assert!(is_told(7) && is_told(8) && !is_told(8));
    }
}
