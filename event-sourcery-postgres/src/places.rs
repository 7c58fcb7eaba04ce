//! How many calls have a connection at once, and what for.
//!
//! Those that write never have all of them: an append that waits for a standby keeps its connection for as long as that is away, and
//! readers are to go on meanwhile. Nor have loads of long streams: what is short goes by.
//!
//! A place counts wherever it is. Calls are driven in tasks, so whoever polls his no more keeps none. Where a runtime stands still, nobody
//! drives its tasks: their places are out of use, for the connections are open all the same.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a call has its connection for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    /// Its commit may wait, for a standby.
    Write,
}

/// The places of a store.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    writing: Arc<Semaphore>,
    /// Half of them are for loads of long streams.
    long: Arc<Semaphore>,
}

/// A load's turn among those that are long.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

/// A call's place.
#[derive(Debug)]
pub(crate) struct Place {
    _one_of_all: OwnedSemaphorePermit,
    to_write: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(crate) fn new(connections: u32) -> Self {
        let places = |count: u32| Arc::new(Semaphore::new(usize::try_from(count).unwrap_or(1)));
        let (writing, long) = (places(writing(connections)), places((connections / 2).max(1)));
        Self { all: places(connections), writing, long }
    }

    /// A place, once there is one.
    pub(crate) async fn take(&self, purpose: Purpose) -> Option<Place> {
        let to_write = match purpose {
            Purpose::Read => None,
            Purpose::Write => Some(Arc::clone(&self.writing).acquire_owned().await.ok()?),
        };
        Some(Place { _one_of_all: Arc::clone(&self.all).acquire_owned().await.ok()?, to_write })
    }

    /// The turn of a load that turns out to be long, if nobody has to be waited for.
    pub(crate) fn turn_at_once(&self) -> Option<Turn> {
        Arc::clone(&self.long).try_acquire_owned().ok().map(Turn)
    }

    /// The turn of a load that is known to be long. It has no place meanwhile.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        Arc::clone(&self.long).acquire_owned().await.ok().map(Turn)
    }

    /// Whether what has this place may commit something.
    pub(crate) const fn may_commit(place: &Place) -> bool {
        place.to_write.is_some()
    }

    /// How many nobody has.
    pub(crate) fn free(&self) -> usize {
        self.all.available_permits()
    }

    /// Whether a place is one to write from now on: not, where there are no more of them.
    pub(crate) fn is_to_write(&self, place: &mut Place) -> bool {
        if place.to_write.is_none() {
            place.to_write = Arc::clone(&self.writing).try_acquire_owned().ok();
        }
        place.to_write.is_some()
    }
}

/// How many of so many connections may write at once: three quarters, and all but one at most. A single one has to do for both.
pub(crate) fn writing(connections: u32) -> u32 {
    (connections - (connections / 4).max(1).min(connections)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_write_leave_a_quarter_to_those_that_read_and_one_at_least() {
        let writing: Vec<_> = [1, 2, 3, 4, 8, 10, 100].map(writing).into();
        assert_eq!(writing, [1, 1, 2, 3, 6, 8, 75]);
    }
}
