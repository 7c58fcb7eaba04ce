//! The model: what a store is, in plain lists and maps, without regard to speed.

use std::collections::HashMap;

use event_sourcery::backend::Expectation;
use event_sourcery::{Appended, Error, Position, StreamId, TenantId, Version};
use jiff::Timestamp;
use uuid::Uuid;

use super::attempt::{Attempt, Sent, SentPart};
use super::operations::{Body, Expected, Kind};

type Key = (TenantId, StreamId);

/// An event in the log.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    pub(super) sent: Sent,
    pub(super) version: Option<Version>,
    /// Its position, once the store has told it.
    pub(super) position: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) key: Key,
    pub(super) id: Uuid,
    pub(super) version: Version,
    pub(super) kind: Kind,
}

/// A stream's state, as far as appends are concerned: `None` without versions.
type State = Option<Version>;

#[derive(Debug, Default)]
pub(super) struct Books {
    /// Every event that was not deleted, in order.
    pub(super) log: Vec<Entry>,
    pub(super) snapshots: Vec<Snapshot>,
    /// The names that streams have.
    pub(super) names: HashMap<Key, String>,
    /// The last position that was handed out.
    pub(super) last_position: i64,
}

/// What a store may answer to an append.
#[derive(Debug)]
pub(super) enum Answer {
    /// The first version of each part.
    Written(Vec<Option<Version>>),
    /// The first and last versions of each part, and the position of its last event if it is known.
    Repeated(Vec<(Option<Version>, Option<Version>, Option<i64>)>),
    /// One of these.
    Refused(Vec<Error>),
}

impl Books {
    pub(super) fn entries<'a>(&'a self, key: &'a Key) -> impl DoubleEndedIterator<Item = &'a Entry> + 'a {
        self.log.iter().filter(move |entry| entry.key == *key)
    }

    fn state(&self, key: &Key) -> State {
        self.entries(key).next_back().map_or(Some(0), |last| last.version)
    }

    /// The expectation that a caller comes by.
    pub(super) fn expectation(&self, key: &Key, expected: Expected) -> Expectation {
        match (expected, self.state(key)) {
            (Expected::NoVersioning, _) | (Expected::Right, None) => Expectation::NoVersioning,
            (Expected::Right, Some(version)) => Expectation::Version(version),
            (Expected::Above(more), version) => Expectation::Version(version.unwrap_or(0) + more),
            (Expected::Exactly(version), _) => Expectation::Version(version),
        }
    }

    pub(super) fn answer(&self, attempt: &Attempt) -> Answer {
        if let Some(part) = attempt.parts.iter().find(|part| part.events.is_empty()) {
            return Answer::Refused(vec![Error::EmptyAppend { stream: Some(part.stream.clone()) }]);
        }
        let doubles = doubles(attempt);
        if !doubles.is_empty() {
            return Answer::Refused(doubles);
        }
        let is_present = |sent: &&Sent| self.log.iter().any(|entry| entry.sent.id == sent.id);
        let present: Vec<_> = attempt
            .parts
            .iter()
            .flat_map(|part| &part.events)
            .filter(is_present)
            .map(|sent| sent.id)
            .collect();
        if !present.is_empty() {
            return self.answer_to_present(attempt, &present);
        }
        let refusals = self.refusals(attempt);
        if !refusals.is_empty() {
            return Answer::Refused(refusals);
        }
        let first = |part: &SentPart| match part.expectation {
            Expectation::Version(version) => Some(version + 1),
            Expectation::NoVersioning => None,
        };
        Answer::Written(attempt.parts.iter().map(first).collect())
    }

    fn answer_to_present(&self, attempt: &Attempt, present: &[Uuid]) -> Answer {
        let repeated: Option<Vec<_>> =
            attempt.parts.iter().map(|part| self.repeated(&attempt.tenant, part)).collect();
        if let Some(repeated) = repeated {
            return Answer::Repeated(repeated);
        }
        let duplicates = attempt
            .parts
            .iter()
            .flat_map(|part| present.iter().map(|id| Error::duplicate_event(*id, part.stream.clone())));
        Answer::Refused(duplicates.collect())
    }

    /// Where a part stands in its stream, if it does: its events in one piece, in order, unchanged.
    fn repeated(&self, tenant: &TenantId, part: &SentPart) -> Option<(State, State, Option<i64>)> {
        let key = (tenant.clone(), part.stream.clone());
        let stream: Vec<_> = self.entries(&key).collect();
        let is_it =
            |(entry, sent): (&&Entry, &Sent)| entry.sent.id == sent.id && entry.sent.body == sent.body;
        let piece =
            stream.windows(part.events.len()).find(|piece| piece.iter().zip(&part.events).all(is_it))?;
        Some((piece.first()?.version, piece.last()?.version, piece.last()?.position))
    }

    fn refusals(&self, attempt: &Attempt) -> Vec<Error> {
        let mut refusals = Vec::new();
        if let Some((stream, required)) = &attempt.requires {
            let actual = self.state(&(attempt.tenant.clone(), stream.clone()));
            if actual != Some(*required) {
                refusals.push(Error::RequirementFailed {
                    stream: stream.clone(),
                    required: *required,
                    actual,
                });
            }
        }
        for part in &attempt.parts {
            let stream = part.stream.clone();
            match (part.expectation, self.state(&(attempt.tenant.clone(), stream.clone()))) {
                (Expectation::Version(expected), Some(actual)) if expected != actual => {
                    refusals.push(Error::Conflict { stream, expected, actual });
                }
                (Expectation::Version(_), None) => {
                    refusals.push(Error::ExpectedVersionUsedOnVersionlessStream { stream });
                }
                (Expectation::NoVersioning, Some(1..)) => {
                    refusals.push(Error::NoExpectedVersionGivenOnVersionedStream { stream });
                }
                _ => {}
            }
            refusals.extend(self.name_taken(attempt, part));
        }
        refusals
    }

    /// The name that a part would give its stream, unless the stream has one.
    fn new_name<'p>(&self, tenant: &TenantId, part: &'p SentPart) -> Option<&'p str> {
        let has_name = self.names.contains_key(&(tenant.clone(), part.stream.clone()));
        part.stream.name().filter(|_| !has_name)
    }

    fn name_taken(&self, attempt: &Attempt, part: &SentPart) -> Option<Error> {
        let name = self.new_name(&attempt.tenant, part)?;
        let same_category = |stream: &StreamId| stream.category() == part.stream.category();
        let taken = self.names.iter().filter(|((tenant, stream), taken)| {
            *tenant == attempt.tenant && same_category(stream) && *taken == name
        });
        let beside = attempt.parts.iter().filter(|other| {
            same_category(&other.stream) && self.new_name(&attempt.tenant, other) == Some(name)
        });
        let holders =
            taken.map(|((_, stream), _)| stream.uuid()).chain(beside.map(|other| other.stream.uuid()));
        let holder = holders.into_iter().find(|holder| *holder != part.stream.uuid())?;
        Some(Error::stream_name_taken(part.stream.clone(), name, holder))
    }

    /// Enters what was written.
    pub(super) fn write(&mut self, attempt: &Attempt, appended: &[Appended]) {
        let mut parts: Vec<_> = attempt.parts.iter().zip(appended).collect();
        // In which order the parts of one append are written is the store's affair.
        parts.sort_by_key(|(_, appended)| appended.position);
        for (part, appended) in parts {
            let key = (attempt.tenant.clone(), part.stream.clone());
            if let Some(name) = part.stream.name() {
                self.names.entry(key.clone()).or_insert_with(|| name.to_owned());
            }
            for (number, sent) in (0..).zip(&part.events) {
                let version = appended.first_version.map(|first| first + number);
                self.log.push(Entry { key: key.clone(), sent: sent.clone(), version, position: None });
            }
            self.last_position = appended.position.to_i64();
            if let Some(last) = self.log.last_mut() {
                last.position = Some(self.last_position);
            }
        }
    }

    pub(super) fn delete(&mut self, key: &Key) {
        self.log.retain(|entry| entry.key != *key);
        self.snapshots.retain(|snapshot| snapshot.key != *key);
        self.names.remove(key);
    }

    /// What refuses a snapshot; nothing, if it may be saved.
    pub(super) fn snapshot_refusals(&self, key: &Key, version: Version, id: Uuid) -> Vec<Error> {
        let (stream, actual) = (key.1.clone(), self.state(key));
        let mut refusals = Vec::new();
        if !actual.is_some_and(|reached| (1..=reached).contains(&version)) {
            refusals.push(Error::SnapshotVersionMismatch { stream: stream.clone(), version, actual });
        }
        if self.snapshots.iter().any(|snapshot| snapshot.id == id) {
            refusals.push(Error::duplicate_event(id, stream));
        }
        refusals
    }

    /// The snapshot that a reader who knows its type starts at.
    pub(super) fn newest_snapshot(&self, key: &Key) -> Option<&Snapshot> {
        let usable = |snapshot: &&Snapshot| snapshot.key == *key && snapshot.kind == Kind::Summed;
        self.snapshots.iter().filter(usable).max_by_key(|snapshot| snapshot.version)
    }

    pub(super) fn first_time(&self, key: &Key) -> Option<Timestamp> {
        self.entries(key).next().map(|first| first.sent.created_at)
    }

    /// The error that a reader of numbers gets from an event, if it gets one.
    pub(super) fn unreadable(entry: &Entry) -> Option<Error> {
        let (name, stream, version) = (entry.sent.body.name().to_owned(), entry.key.1.clone(), entry.version);
        match entry.sent.body {
            Body::Noted(_) => None,
            Body::Erased => Some(Error::UnknownEvent { name, stream, version }),
            Body::Broken => {
                let (position, problem) = (Position::START, String::new());
                Some(Error::InvalidEvent { name, stream, version, position, problem: problem.into() })
            }
        }
    }
}

/// What is wrong with a call whatever the store holds: a stream or an id that it names twice.
fn doubles(attempt: &Attempt) -> Vec<Error> {
    let mut refusals = Vec::new();
    let mut ids = Vec::new();
    for (number, part) in attempt.parts.iter().enumerate() {
        if attempt.parts[..number].iter().any(|other| other.stream == part.stream) {
            refusals.push(Error::StreamGivenTwice { stream: part.stream.clone() });
        }
        for event in &part.events {
            if ids.contains(&event.id) {
                refusals.push(Error::duplicate_event(event.id, part.stream.clone()));
            }
            ids.push(event.id);
        }
    }
    refusals
}
