//! What waits for the writer: a line for each tenant, and each line has its turn.
//!
//! Within a line, who came first is served first. A turn serves one call, so that whoever has a thousand in line holds up
//! nobody who has one. While closures are not to share a transaction, a group takes the calls over the closures that others have
//! in front; in return a closure runs between any two groups.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result, TenantId};

use super::member::Member;

/// How long the writer looks for the next call before it sleeps. A caller that appends one after the other is back
/// sooner than a sleeping thread wakes up.
const LOOK_OUT: Duration = Duration::from_micros(100);

/// A call or a closure, and since when it waits.
pub(super) type Queued = (Instant, Box<dyn Member>);

/// The lines, as those who call have them. Dropped, nobody comes any more.
pub(super) struct Sender(Arc<Shared>);

/// The lines, as the writer has them. Dropped, nobody is let in any more, and those who wait are sent away.
pub(super) struct Receiver(Arc<Shared>);

/// Lines in which nobody stands.
pub(super) fn lines() -> (Sender, Receiver) {
    let shared = Arc::<Shared>::default();
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    has_come: Condvar,
    /// Whether there is something to find under the lock: the writer looks out for it without.
    has_news: AtomicBool,
}

#[derive(Default)]
struct Lines {
    /// Nobody has an empty one.
    of: HashMap<Option<TenantId>, VecDeque<Queued>>,
    turns: Turns,
    /// Whether the writer sleeps until somebody wakes it.
    sleeps: bool,
    is_closed: bool,
}

/// Whose turn it is next, by what stands in front of the line.
#[derive(Default)]
struct Turns {
    of_calls: VecDeque<Turn>,
    of_closures: VecDeque<Turn>,
    /// How many there have been.
    given: u64,
    /// Whether a closure goes first where both wait.
    is_a_closures: bool,
}

/// How many turns were given before this one, and whose it is.
type Turn = (u64, Option<TenantId>);

impl Turns {
    /// The last turn is for this.
    fn give(&mut self, whose: Option<TenantId>, member: &dyn Member) {
        let turns = if member.is_closure() { &mut self.of_closures } else { &mut self.of_calls };
        turns.push_back((self.given, whose));
        self.given += 1;
    }

    /// Whose turn it is to begin a group: a closure's and a call's alternate.
    fn first(&mut self) -> Option<Option<TenantId>> {
        let is_a_closures = self.is_a_closures || self.of_calls.is_empty();
        let first = if is_a_closures { self.of_closures.pop_front() } else { None };
        self.is_a_closures = first.is_none();
        first.or_else(|| self.of_calls.pop_front()).map(|(_, whose)| whose)
    }

    /// Whose turn it is to join a group that takes closures, or does not.
    fn next(&mut self, takes_closures: bool) -> Option<Option<TenantId>> {
        let before = |turns: &VecDeque<Turn>| turns.front().map_or(u64::MAX, |(before, _)| *before);
        let is_a_closures = takes_closures && before(&self.of_closures) < before(&self.of_calls);
        let turns = if is_a_closures { &mut self.of_closures } else { &mut self.of_calls };
        turns.pop_front().map(|(_, whose)| whose)
    }
}

impl Lines {
    fn push(&mut self, whose: Option<TenantId>, queued: Queued) {
        match self.of.get_mut(&whose) {
            Some(line) => line.push_back(queued),
            None => {
                self.turns.give(whose.clone(), &*queued.1);
                self.of.insert(whose, VecDeque::from([queued]));
            }
        }
    }

    /// The first in the line of whoever's turn it is, who waits for the next turn with what is left.
    fn pop(&mut self, whose: Option<TenantId>) -> Option<Queued> {
        let line = self.of.get_mut(&whose)?;
        let first = line.pop_front();
        match line.front() {
            Some((_, member)) => self.turns.give(whose, &**member),
            None => {
                self.of.remove(&whose);
            }
        }
        first
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Nothing in here panics half-way.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self, lines: &mut Lines, whose: Option<TenantId>) -> Option<Queued> {
        let first = lines.pop(whose);
        self.has_news.store(lines.is_closed || !lines.of.is_empty(), Ordering::Relaxed);
        first
    }

    /// Tells the writer that there is news, and wakes it if it sleeps.
    fn tell(&self, mut lines: MutexGuard<'_, Lines>) {
        self.has_news.store(true, Ordering::Relaxed);
        let sleeps = std::mem::take(&mut lines.sleeps);
        drop(lines);
        if sleeps {
            self.has_come.notify_one();
        }
    }
}

impl Sender {
    /// Puts what waits since then at the end of the line of this tenant; what is no tenant's has a line of its own.
    pub(super) fn send(
        &self,
        whose: Option<TenantId>,
        since: Instant,
        member: Box<dyn Member>,
    ) -> Result<()> {
        let mut lines = self.0.lines();
        if lines.is_closed {
            return Err(Error::Closed);
        }
        lines.push(whose, (since, member));
        self.0.tell(lines);
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut lines = self.0.lines();
        lines.is_closed = true;
        self.0.tell(lines);
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl Receiver {
    /// Whoever's turn it is: looked out for, then slept for. `None` once every handle is gone and the lines are empty.
    pub(super) fn receive(&self) -> Option<Queued> {
        let began = Instant::now();
        while !self.0.has_news.load(Ordering::Relaxed) && began.elapsed() < LOOK_OUT {
            std::hint::spin_loop();
        }
        let mut lines = self.0.lines();
        loop {
            if let Some(whose) = lines.turns.first() {
                return self.0.pop(&mut lines, whose);
            }
            if lines.is_closed {
                return None;
            }
            self.0.has_news.store(false, Ordering::Relaxed);
            lines.sleeps = true;
            lines = self.0.has_come.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sleeps until somebody comes, for at most so long.
    pub(super) fn sleep(&self, patience: Duration) {
        let mut lines = self.0.lines();
        if lines.is_closed || !lines.of.is_empty() {
            return;
        }
        self.0.has_news.store(false, Ordering::Relaxed);
        lines.sleeps = true;
        let slept = self.0.has_come.wait_timeout(lines, patience);
        slept.unwrap_or_else(PoisonError::into_inner).0.sleeps = false;
    }

    /// Whether somebody has come, or nobody comes any more.
    pub(super) fn has_news(&self) -> bool {
        self.0.has_news.load(Ordering::Relaxed)
    }

    /// The next that joins a group, if one is there; a closure, if the group takes closures.
    pub(super) fn receive_another(&self, takes_closures: bool) -> Option<Box<dyn Member>> {
        let mut lines = self.0.lines();
        let whose = lines.turns.next(takes_closures)?;
        self.0.pop(&mut lines, whose).map(|(_, member)| member)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut lines = self.0.lines();
        lines.is_closed = true;
        let sent_away = std::mem::take(&mut lines.of);
        // What is dropped may drop a handle.
        drop(lines);
        drop(sent_away);
    }
}
