//! How long a call waits for somebody's lock, and in what company.
//!
//! A transaction that somebody forgot may hold any number of streams. Whoever waits for one of them must not take the
//! connections away from everybody else. So a call first waits for a moment only. If that was not enough, it gives its
//! connection back and joins those that wait longer, who have half of the connections at most, and take turns. Nothing
//! was written when the server gave up to wait: the call is made again as it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::connections::Connections;
use crate::lease::Lease;
use crate::places::Purpose;

/// How long a call waits at first: longer than most transactions take.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(50);

/// How long it waits at a time after that: less than the server takes to look for deadlocks, so that it is never somebody else
/// that is ended.
const A_TURN: Duration = Duration::from_millis(900);

/// A call's patience.
#[derive(Debug)]
pub(crate) struct Patience<'c> {
    connections: &'c Arc<Connections>,
    purpose: Purpose,
    since: Instant,
    /// Its place among those that wait, once the first try was in vain.
    place: Option<OwnedSemaphorePermit>,
    is_first: bool,
}

impl<'c> Patience<'c> {
    pub(crate) const fn new(connections: &'c Arc<Connections>, purpose: Purpose, since: Instant) -> Self {
        Self { connections, purpose, since, place: None, is_first: true }
    }

    /// Of a call that is known to wait for somebody: its first try was in vain already.
    pub(crate) fn after_a_first_try(self) -> Self {
        Self { is_first: false, ..self }
    }

    fn left(&self) -> Duration {
        self.connections.lock_timeout.saturating_sub(self.since.elapsed())
    }

    /// A connection for the next try.
    pub(crate) async fn acquire(&mut self) -> Result<Lease> {
        let lock_timeout = self.next_try(A_TURN).await?;
        self.connections.acquire_to_wait(self.purpose, lock_timeout).await
    }

    /// How long the next try waits for locks, when it may begin: a moment at first, and then for a turn of those that wait longer.
    pub(crate) async fn next_try(&mut self, turn: Duration) -> Result<Duration> {
        if std::mem::take(&mut self.is_first) {
            return Ok(self.connections.moment());
        }
        let place = Arc::clone(&self.connections.patient).acquire_owned();
        self.place = match timeout(self.left(), place).await {
            Ok(place) => place.ok(),
            Err(_) => return Err(self.busy()),
        };
        Ok(turn.min(self.left()))
    }

    /// The result of a call; none where it is to be tried again, because it waited for a lock, and may wait longer.
    pub(crate) fn last_word<T>(&mut self, result: Result<T>) -> Option<Result<T>> {
        match result {
            Err(Error::Busy { .. }) if self.left().is_zero() => Some(Err(self.busy())),
            Err(Error::Busy { .. }) => {
                self.place = None;
                None
            }
            other => Some(other),
        }
    }

    fn busy(&self) -> Error {
        Error::busy(self.since.elapsed())
    }
}
