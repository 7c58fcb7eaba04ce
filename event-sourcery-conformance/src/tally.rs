//! An aggregate of the cases: a tally, in which numbers are noted and summed.

use event_sourcery::{Aggregate, Emitting, EventStore, Repository, SnapshotState, StreamId};
use serde::{Deserialize, Serialize};

use super::ledger::{Noted, noted};

/// What the numbers in a ledger come to.
#[derive(Default, Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) sum: u64,
    pub(super) notes: u64,
}

/// Why a number is not noted.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("with that it would be {0}")]
pub(super) struct TooMuch(pub(super) u64);

impl Aggregate for Tally {
    type Event = Noted;
    const CATEGORY: &'static str = "tallies";

    fn apply(&mut self, event: &Noted) {
        self.sum += event.number;
        self.notes += 1;
    }
}

impl SnapshotState for Tally {
    const FORMAT: u16 = 2;
}

impl Tally {
    pub(super) const MOST: u64 = 1_000_000;

    /// Notes a number, and tells the sum.
    pub(super) fn note(number: u64) -> impl FnMut(&mut Emitting<Self>) -> Result<u64, TooMuch> + Send + Copy {
        move |tally| {
            tally.emit(noted(number));
            if tally.sum > Self::MOST { Err(TooMuch(tally.sum)) } else { Ok(tally.sum) }
        }
    }

    /// Notes several, one after the other.
    pub(super) fn note_all(
        numbers: impl IntoIterator<Item = u64> + Clone + Send,
    ) -> impl FnMut(&mut Emitting<Self>) -> Result<(), TooMuch> + Send {
        move |tally| numbers.clone().into_iter().try_for_each(|number| Self::note(number)(tally).map(drop))
    }
}

/// The id of a tally, without a category: it is the aggregate's.
pub(super) fn tally(name: &str) -> StreamId {
    StreamId::from_name(format!("tallies/{name}")).unwrap()
}

/// The stream of a tally.
pub(super) fn stream_of(id: &StreamId) -> StreamId {
    id.clone().in_category(Tally::CATEGORY).unwrap()
}

pub(super) fn tallies(store: &EventStore) -> Repository<Tally> {
    Repository::new(store)
}
