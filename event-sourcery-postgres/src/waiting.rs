//! Waiting for what is settled next, with no more looks than it takes.
//!
//! A look serves all who wait in a process, on whatever handle: it is made when a commit has become known since the last one
//! began, or else from time to time. What is committed between a look and the wait that follows it is not lost. It is counted before
//! those who wait are woken, and whoever is about to wait asks to be woken before he compares that count with the one from before
//! the last look: so he either looks, or is woken.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_sourcery::{Position, Result};
use tokio::time::timeout;

use crate::database::Database;
use crate::settled::Record;

/// How often those who wait look for what they are not told of: commits of transactions that were not begun through the store, and
/// those of other processes where a notification is lost.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How often they do so where they are told of others' commits, and nothing was heard of, or found, for a while.
const LOOK_WHEN_QUIET: Duration = Duration::from_secs(2);

/// After so long it is quiet.
const QUIET: Duration = Duration::from_secs(5);

/// The last look of those who wait.
#[derive(Debug)]
pub(crate) struct Looks {
    last: Mutex<Option<Look>>,
    /// How often they look, where somebody has said it.
    every: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    began: Instant,
    /// How many commits had become known by then.
    heard: u64,
}

impl Looks {
    pub(crate) fn new(every: Option<Duration>) -> Self {
        Self { last: Mutex::default(), every }
    }

    fn last(&self) -> MutexGuard<'_, Option<Look>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long nobody has to look, where nothing becomes known but so many commits; `None` where it is time to look.
    fn rest(&self, heard: u64, every: Duration) -> Option<Duration> {
        let Look { began, heard: known } = (*self.last())?;
        every.checked_sub(began.elapsed()).filter(|left| known >= heard && !left.is_zero())
    }

    fn note(&self, look: Look) {
        let mut last = self.last();
        if last.is_none_or(|last| last.heard <= look.heard) {
            *last = Some(look);
        }
    }
}

impl Database {
    /// Waits until it is settled beyond a position, as far as readers may go.
    pub(crate) async fn wait_beyond(&self, position: Position) -> Result<Position> {
        let _waiting = self.wakeups.wait();
        loop {
            // It counts from here on: what becomes known after the count is read wakes it.
            let (committed, heard) = (self.wakeups.next(), self.wakeups.heard());
            // That a position lies beyond the end is told by a look of now alone.
            let is_known = position <= self.settled.known().end;
            let rest = match self.looks.rest(heard, self.look_every()).filter(|_| is_known) {
                Some(rest) => rest,
                None => {
                    let (began, end) = (Instant::now(), self.settled.known().end);
                    self.look(Record::NowAndThen).await?;
                    self.looks.note(Look { began, heard });
                    // Whoever has drawn that may tell nobody, and go on.
                    if self.settled.known().end > end {
                        self.wakeups.stir();
                    }
                    self.look_every()
                }
            };
            let settled = self.settled.known().readable;
            if settled > position {
                return Ok(settled);
            }
            self.refuse_beyond_end(position)?;
            // Woken, or tired of waiting: it looks again.
            let _ = timeout(rest, committed).await;
        }
    }

    /// How often those who wait look by themselves. While a position was drawn and is not settled, somebody is at work.
    fn look_every(&self) -> Duration {
        let known = self.settled.known();
        let is_quiet = known.readable >= known.end && self.wakeups.is_quiet(QUIET);
        self.looks.every.unwrap_or(if is_quiet { LOOK_WHEN_QUIET } else { LOOK_AGAIN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    #[test]
    fn nobody_looks_again_before_something_is_heard_or_it_is_time() {
        let looks = Looks::new(None);
        assert_eq!(looks.rest(1, EVERY), None, "nobody has looked");
        looks.note(Look { began: Instant::now(), heard: 1 });
        assert!(looks.rest(1, EVERY).is_some());
        assert_eq!(looks.rest(2, EVERY), None, "something was committed since");
        assert_eq!(looks.rest(1, Duration::ZERO), None, "it is time");
    }

    /// A look that began before a commit became known may end behind one that began after.
    #[test]
    fn an_older_look_does_not_take_the_place_of_a_newer_one() {
        let looks = Looks::new(None);
        looks.note(Look { began: Instant::now(), heard: 2 });
        looks.note(Look { began: Instant::now(), heard: 1 });
        assert!(looks.rest(2, EVERY).is_some());
    }
}
