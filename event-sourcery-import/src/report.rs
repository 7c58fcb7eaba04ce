//! What an import has found, done, and seen to be equal.

use std::collections::BTreeMap;

use crate::source::{ForeignEvent, ForeignStream, Mark};

/// What is said of an event that is there, and not as it is at the source.
pub(crate) const OTHERWISE: &str = "the destination has it with other contents, or at another version";

/// How many single events a report describes; it counts all of them.
const DESCRIBED: usize = 100;

/// An event that was left out, or is not equal, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Its stream, as the source names it.
    pub stream: ForeignStream,
    /// Its version at the source, from 1.
    pub version: i64,
    /// Its position at the source, if it has one.
    pub position: Option<i64>,
    /// What is wrong, in words, without anything of its payload.
    pub problem: String,
}

/// Problems: how many, and the first 100 of them in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problems {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Problem>,
}

impl Problems {
    pub(crate) fn add(&mut self, event: &ForeignEvent, problem: String) {
        self.add_at(&event.stream, event.version, event.position, problem);
    }

    pub(crate) fn add_at(
        &mut self,
        stream: &ForeignStream,
        version: i64,
        position: Option<i64>,
        problem: String,
    ) {
        self.count += 1;
        if self.first.len() < DESCRIBED {
            self.first.push(Problem { stream: stream.clone(), version, position, problem });
        }
    }
}

/// What a [dry run](crate::Import::dry_run) has found. Nothing was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// How many events were read.
    pub events: u64,
    /// How many streams they belong to.
    pub streams: u64,
    /// How many events there are of each type, by the names that they would get.
    pub types: BTreeMap<String, u64>,
    /// How many events would get an id that is derived from their place, because they have none, or none that is a UUID.
    pub derived_ids: u64,
    /// How many events would get the [time that the mapping gives](crate::Mapping::time_otherwise), because they have none that can be
    /// read.
    pub given_times: u64,
    /// How many streams have versions missing.
    pub streams_with_holes: u64,
    /// What would be left out as it is, each event for itself: what stands behind it in its stream, see
    /// [`Holes`](crate::Holes).
    pub left_out: Problems,
    /// Streams of the source that would become one: change the mapping.
    pub collisions: Problems,
    /// The position up to which everything was there, if the source has positions.
    pub horizon: Option<i64>,
}

/// What a [run](crate::Import::run) has done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// How many events were written.
    pub written: u64,
    /// How many were there already, equal.
    pub present: u64,
    /// What was left out: an event that cannot be stored, what stands behind it or behind a hole, and what others have in its place.
    pub left_out: Problems,
    /// Events that are at the destination with other contents than the source has by now, which was rewritten; or, where holes are
    /// [kept](crate::Holes::Keep), at another version. Left as they are.
    pub different: Problems,
    /// How many events stand at a lower version than at the source, because of holes before them.
    pub moved_up: u64,
    /// How far it came; see [`Import::after`](crate::Import::after).
    pub mark: Mark,
    /// Whether the mark that was given did not hold any more, so that everything was read from the beginning.
    pub began_anew: bool,
}

impl Imported {
    pub(crate) fn new(mark: Mark) -> Self {
        Self {
            written: 0,
            present: 0,
            left_out: Problems::default(),
            different: Problems::default(),
            moved_up: 0,
            mark,
            began_anew: false,
        }
    }

    /// Whether all that was read is at the destination now, as it is at the source.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.left_out.count == 0 && self.different.count == 0
    }
}

/// What a [comparison](crate::Import::compare) has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compared {
    /// How many events are equal.
    pub equal: u64,
    /// How many streams were compared.
    pub streams: u64,
    /// Events that the destination does not have.
    pub missing: Problems,
    /// Events that it has with other contents, or at another place of their stream.
    pub different: Problems,
    /// How many events the destination has, by their contexts from this source, that the source does not have by now; or that others
    /// have appended to the same streams.
    pub extra: u64,
    /// Whether the source was written meanwhile: then nothing is proven.
    pub has_changed: bool,
}

impl Compared {
    /// Whether the two are equal: each event of the source is at the destination, as the mapping says, in the order of its stream, and
    /// no other one from there; and the source has not changed meanwhile.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        self.missing.count == 0 && self.different.count == 0 && self.extra == 0 && !self.has_changed
    }
}
