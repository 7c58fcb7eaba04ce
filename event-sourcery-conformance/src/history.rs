//! A judge of what clients saw, for tests in which processes, servers and nodes die.
//!
//! Whoever appends takes down what was answered, and whoever reads, what was handed over; others may have died before they could tell.
//! In the end the whole store is read, and the [`History`] is judged by it: each acknowledged event is there once, where its answer
//! said; each append is whole or absent; versions have no gaps, positions rise; and each read was the beginning of what is there. What
//! is wrong is a [`Flaw`].
//!
//! An append goes by a name of the caller's own, which its events tell: in their payload, or, where it has one event, that event's id.
//! Histories are of streams that are not deleted.
//!
//! ```
//! use event_sourcery::{Event as _, EventStore, MemoryBackend, RawEvent, StreamId};
//! use event_sourcery_conformance::history::{Acknowledged, Flaw, Found, History};
//! use uuid::Uuid;
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let (store, stream) = (EventStore::new(MemoryBackend::new()), StreamId::random());
//! let mut history = History::default();
//!
//! let id = Uuid::now_v7();
//! let appended = store.append(&stream, RawEvent::new("Paid", "{}")?.with_id(id)).await?;
//! history.acknowledged(Acknowledged::new(id, [(stream, appended)]));
//!
//! // Then something happens to the store.
//! let (mut events, mut log) = (store.read_all::<RawEvent>().stream(), Vec::new());
//! while let Some(event) = events.try_next().await? {
//!     log.push(Found::new(&event, event.wrapped_event.uuid, 1));
//! }
//! assert!(history.judge(&log).is_empty());
//! assert_eq!(history.judge(&[]), [Flaw::Lost { append: id }]);
//! # Ok::<(), event_sourcery::Error>(()) }).unwrap();
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};

use event_sourcery::{Appended, Recorded, StreamId, Version};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An append that was answered with success. It can be sent (serde), so that a process that is killed has told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The append, by its name.
    pub append: Uuid,
    /// Where its events have to be.
    pub places: Vec<Place>,
}

impl Acknowledged {
    /// The append of this name, which was answered so for each of its streams.
    pub fn new(append: Uuid, answers: impl IntoIterator<Item = (StreamId, Appended)>) -> Self {
        let place = |(stream, appended): (StreamId, Appended)| {
            let (version, position) = (appended.last_version, appended.position.to_i64());
            Place { stream, version, position }
        };
        Self { append, places: answers.into_iter().map(place).collect() }
    }
}

/// Where the last event of an append stands in one of its streams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The stream.
    pub stream: StreamId,
    /// Its version; `None` in a stream without versions.
    pub version: Option<Version>,
    /// Its position in the whole store.
    pub position: i64,
}

/// An event that was read, with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The append that it is of, by its name.
    pub append: Uuid,
    /// How many events that append has, in all its streams.
    pub of: usize,
    /// Where it stands.
    pub place: Place,
}

impl Found {
    /// An event of this append, which has so many.
    pub fn new<E>(recorded: &Recorded<E>, append: Uuid, of: usize) -> Self {
        let (stream, version) = (recorded.stream_id.clone(), recorded.wrapped_event.version);
        Self { append, of, place: Place { stream, version, position: recorded.position.to_i64() } }
    }
}

/// What is wrong with a history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// An acknowledged append is not there.
    Lost {
        /// The append.
        append: Uuid,
    },
    /// An acknowledged append is not where its answer said.
    Misplaced {
        /// The append.
        append: Uuid,
        /// Where it was said to be.
        place: Place,
    },
    /// Part of an append is there, or more than it has: some of it twice.
    NotWhole {
        /// The append.
        append: Uuid,
        /// How many events of it are there.
        found: usize,
        /// How many it has.
        of: usize,
    },
    /// An append is there that was refused.
    Refused {
        /// The append.
        append: Uuid,
    },
    /// A version does not follow the one before it, or a stream has events with versions and without.
    Version {
        /// Where it was found.
        place: Place,
    },
    /// A position is not above the one before it.
    Position {
        /// Where it was found.
        place: Place,
    },
    /// Somebody was handed what is not there, in another order, or not all of it up to there.
    Read {
        /// Which of the reads, and of the loads, counted together from 0.
        read: usize,
        /// Which event of it is the first that differs, counted from 0.
        at: usize,
    },
}

/// What somebody read.
#[derive(Debug, Clone)]
enum Read {
    All(Vec<Found>),
    Stream(StreamId, Vec<(Uuid, Option<Version>)>),
}

/// What clients were told, in any order.
#[derive(Debug, Clone, Default)]
pub struct History {
    acknowledged: Vec<Acknowledged>,
    refused: BTreeSet<Uuid>,
    reads: Vec<Read>,
}

impl History {
    /// An append was acknowledged. If it was repeated, every answer counts.
    pub fn acknowledged(&mut self, acknowledged: Acknowledged) {
        self.acknowledged.push(acknowledged);
    }

    /// An append was refused, by an error that says that nothing was written. One whose outcome is unknown is not taken down at all.
    pub fn refused(&mut self, append: Uuid) {
        self.refused.insert(append);
    }

    /// Somebody read everything in the store from the beginning, as far as this.
    pub fn read(&mut self, events: Vec<Found>) {
        self.reads.push(Read::All(events));
    }

    /// Somebody loaded a stream from its beginning, as far as this: the append that each event is of, and its version.
    pub fn loaded(&mut self, stream: &StreamId, events: impl IntoIterator<Item = (Uuid, Option<Version>)>) {
        self.reads.push(Read::Stream(stream.clone(), events.into_iter().collect()));
    }

    /// What is wrong, where the store holds these events, in the order in which they were read.
    #[must_use]
    pub fn judge(&self, log: &[Found]) -> Vec<Flaw> {
        let mut appends: BTreeMap<Uuid, Vec<&Found>> = BTreeMap::new();
        for found in log {
            appends.entry(found.append).or_default().push(found);
        }
        let mut flaws = out_of_order(log);
        flaws.extend(appends.iter().filter_map(|(append, found)| not_whole(*append, found)));
        for append in self.refused.iter().filter(|append| appends.contains_key(*append)) {
            flaws.push(Flaw::Refused { append: *append });
        }
        for Acknowledged { append, places } in &self.acknowledged {
            let append = *append;
            match appends.get(&append) {
                None => flaws.push(Flaw::Lost { append }),
                Some(found) => {
                    let is_there = |place: &&Place| found.iter().any(|found| found.place == **place);
                    let misplaced = places.iter().filter(|place| !is_there(place)).cloned();
                    flaws.extend(misplaced.map(|place| Flaw::Misplaced { append, place }));
                }
            }
        }
        let reads = self.reads.iter().enumerate();
        flaws.extend(reads.filter_map(|(read, events)| Some(Flaw::Read { read, at: events.differs(log)? })));
        flaws
    }
}

impl Read {
    /// The first event that the log has not, at its place. The log may go on.
    fn differs(&self, log: &[Found]) -> Option<usize> {
        match self {
            Self::All(events) => first_difference(events, log.iter().cloned()),
            Self::Stream(stream, events) => {
                let of_stream = log.iter().filter(|found| found.place.stream == *stream);
                first_difference(events, of_stream.map(|found| (found.append, found.place.version)))
            }
        }
    }
}

fn first_difference<T: PartialEq>(read: &[T], mut there: impl Iterator<Item = T>) -> Option<usize> {
    read.iter().position(|event| there.next().as_ref() != Some(event))
}

fn not_whole(append: Uuid, found: &[&Found]) -> Option<Flaw> {
    let of = found.first()?.of;
    (found.len() != of).then_some(Flaw::NotWhole { append, found: found.len(), of })
}

/// Positions that do not rise, and versions with gaps.
fn out_of_order(log: &[Found]) -> Vec<Flaw> {
    let (mut flaws, mut last, mut versions) = (Vec::new(), None::<i64>, HashMap::new());
    for Found { place, .. } in log {
        if last.is_some_and(|last| place.position <= last) {
            flaws.push(Flaw::Position { place: place.clone() });
        }
        last = Some(place.position);
        let follows = match versions.insert(&place.stream, place.version) {
            None => place.version.is_none_or(|version| version == 1),
            Some(before) => place.version == before.map(|before| before + 1),
        };
        if !follows {
            flaws.push(Flaw::Version { place: place.clone() });
        }
    }
    flaws
}

#[cfg(test)]
mod tests;
