//! How many events are asked for at once where they are large.
//!
//! A page ends by its bytes as well, but the server sends all that it was asked for. So whoever has read a page of large events asks
//! for as many the next time, and for more again once they are small. The next page is known by where it begins.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_sourcery::backend::{PageRoom, StoredEvent};

use crate::tables::Tables;

/// How many readers of large events are remembered. One that is not begins with a whole page again.
const REMEMBERED: usize = 256;

/// What is known of the next pages of readers of large events: by a hash of where they begin, how many events to ask for.
#[derive(Debug, Default)]
pub(crate) struct PageSizes {
    known: Mutex<VecDeque<(u64, usize)>>,
    hasher: RandomState,
}

impl PageSizes {
    pub(crate) fn new(_: &Tables) -> Self {
        Self::default()
    }

    /// How many events to ask for, for the page that begins here; `None` where it is not known that they are large.
    pub(crate) fn next(&self, begin: &impl Hash) -> Option<usize> {
        let mut known = self.known();
        if known.is_empty() {
            return None;
        }
        let begin = self.hasher.hash_one(begin);
        let at = known.iter().position(|(known, _)| *known == begin)?;
        known.remove(at).map(|(_, asked)| asked)
    }

    /// A page was read, of so many events that were wanted, for which so many were asked for. The next one begins here.
    pub(crate) fn note<'e>(
        &self,
        next: &impl Hash,
        wanted: usize,
        asked: usize,
        events: impl Iterator<Item = &'e StoredEvent>,
    ) {
        let sizes = events.map(|event| event.data.len() + event.context.len());
        let (events, bytes) = sizes.fold((0, 0), |(events, bytes), size| (events + 1, bytes + size));
        let are_large = bytes >= PageRoom::BYTES;
        let ask = if are_large { events } else { asked.saturating_mul(2) };
        if ask < wanted && (are_large || asked < wanted) {
            let mut known = self.known();
            known.truncate(REMEMBERED - 1);
            known.push_front((self.hasher.hash_one(next), ask));
        }
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(u64, usize)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
