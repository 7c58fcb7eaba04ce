//! Appends: what is asked for, what it expects, what became of it.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use uuid::Uuid;

use super::boundaries::Boundary;
use super::keys::KeyRequirement;
use super::records::{NewRecord, StoredRecord};
use crate::error::{Error, Result};
use crate::position::AppendPosition;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::Deletions;
use crate::version::Version;

/// What an event weighs besides its payload and its context, in bytes.
const WEIGHT_OF_AN_EVENT: usize = 128;

/// An append: events for one or several streams of one tenant, and what else has to hold for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct AppendRequest {
    /// Whose streams.
    pub tenant: TenantId,
    /// Each stream once. Without any, only the requirements are checked.
    pub streams: Vec<StreamAppend>,
    /// What has to hold besides, checked in the same transaction.
    pub requirements: Vec<Requirement>,
    /// The ids of those of its events that are put into the outbox, in the same transaction.
    pub outbox: HashSet<Uuid>,
    /// The subjects whose keys are shredded in the same transaction, each once. Who has no key is marked as shredded all the same.
    pub shreds: Vec<Arc<str>>,
    /// What those have deleted who listened to it; mostly, nobody does.
    pub(crate) deleted: OnceLock<Arc<Deletions>>,
}

impl AppendRequest {
    /// An append without requirements.
    #[must_use]
    pub fn new(tenant: TenantId, streams: Vec<StreamAppend>) -> Self {
        let (requirements, outbox, deleted) = (Vec::new(), HashSet::new(), OnceLock::new());
        Self { tenant, streams, requirements, outbox, shreds: Vec::new(), deleted }
    }

    /// This append, if these hold too.
    #[must_use]
    pub fn with_requirements(self, requirements: Vec<Requirement>) -> Self {
        Self { requirements, ..self }
    }

    /// This append, which puts the events of these ids into the outbox.
    #[must_use]
    pub fn with_outbox(self, outbox: HashSet<Uuid>) -> Self {
        Self { outbox, ..self }
    }

    /// This append, which shreds the keys of these subjects.
    #[must_use]
    pub fn with_shreds(self, shreds: Vec<Arc<str>>) -> Self {
        Self { shreds, ..self }
    }

    /// What it takes where it waits: its events' payloads and contexts, and a little for each, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let events = self.streams.iter().flat_map(|part| &part.events);
        events.map(|event| WEIGHT_OF_AN_EVENT + event.data.len() + event.context.len()).sum()
    }

    /// The ids of all its events, in order.
    pub fn event_ids(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.streams.iter().flat_map(|stream| stream.events.iter().map(|event| event.id))
    }
}

/// The part of an append that goes to one stream.
#[derive(Debug)]
#[non_exhaustive]
pub struct StreamAppend {
    /// The stream. If it has a name that the store does not know yet, the store learns it.
    pub stream: StreamId,
    /// What the stream has to be like.
    pub expectation: Expectation,
    /// At least one event, with ids that are unique within the request.
    pub events: Vec<NewRecord>,
    /// The version that the first event gets, where those before it are left out, as in the store that it is
    /// [copied](crate::copy) from; `None`: the one behind the stream's last. Guarded by
    /// [`version_holes`](super::Capabilities::version_holes).
    pub first_version: Option<Version>,
}

impl StreamAppend {
    /// These events, at least one, for a stream that is as expected.
    #[must_use]
    pub const fn new(stream: StreamId, expectation: Expectation, events: Vec<NewRecord>) -> Self {
        Self { stream, expectation, events, first_version: None }
    }

    /// The same, whose first event gets this version: one above those that the stream has.
    #[must_use]
    pub fn with_first_version(self, version: Version) -> Self {
        Self { first_version: Some(version), ..self }
    }

    /// Whether this part may go on: the version of its first event, or `None` for events without versions.
    ///
    /// # Errors
    ///
    /// As for [`Expectation::check`], and [`Error::VersionsUsedUp`] where the last event would get a version above
    /// [`Self::HIGHEST_VERSION`].
    pub fn check(&self, state: StreamState) -> Result<Option<Version>> {
        self.expectation.check(&self.stream, state)?;
        if !self.has_room() {
            return Err(Error::VersionsUsedUp { stream: self.stream.clone() });
        }
        Ok(self.first())
    }

    /// Whether its events' versions can be stored, if its expectation holds. One whose versions cannot be, finds that out with
    /// [`check`](Self::check), or that its expectation does not hold.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.first().is_none_or(|first| self.last_version(first) <= Self::HIGHEST_VERSION)
    }

    /// The version of its first event, if its expectation holds; `None` for events without versions.
    #[must_use]
    pub fn first(&self) -> Option<Version> {
        match self.expectation {
            Expectation::Version(version) => {
                let next = version.saturating_add(1);
                Some(self.first_version.map_or(next, |first| first.max(next)))
            }
            Expectation::NoVersioning => None,
        }
    }

    /// The version of its last event, where the first has this one.
    #[must_use]
    pub fn last_version(&self, first: Version) -> Version {
        first.saturating_add(self.events.len() as Version).saturating_sub(1)
    }

    /// The highest version that an event can have, on every backend: 2,147,483,647, as the tables of Event Sourcery for Python
    /// hold it.
    pub const HIGHEST_VERSION: Version = 2_147_483_647;
}

/// What an append expects of its stream.
///
/// Exhaustive on purpose: a backend that let an unknown expectation pass would write what must not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expectation {
    /// The stream is versioned and at this version; at 0 it does not exist.
    Version(Version),
    /// The stream has no versions, or does not exist.
    NoVersioning,
}

/// What a stream is at the moment of an append. Its last event tells, not a counter kept beside it.
///
/// Exhaustive on purpose: there is no fourth state, and every check decides on all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// It has no events.
    Missing,
    /// Its last event has this version.
    Versioned(Version),
    /// Its events have no versions.
    Unversioned,
}

impl StreamState {
    /// The version for messages: 0 where there is no stream, `None` where it has no versions.
    #[must_use]
    pub const fn version(self) -> Option<Version> {
        match self {
            Self::Missing => Some(0),
            Self::Versioned(version) => Some(version),
            Self::Unversioned => None,
        }
    }
}

impl Expectation {
    /// Whether an append may go on: the version of its first event, or `None` for events without versions.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`], [`Error::ExpectedVersionUsedOnVersionlessStream`],
    /// [`Error::NoExpectedVersionGivenOnVersionedStream`].
    pub fn check(self, stream: &StreamId, state: StreamState) -> Result<Option<Version>> {
        let stream = || stream.clone();
        match (self, state) {
            (Self::NoVersioning, StreamState::Missing | StreamState::Unversioned) => Ok(None),
            (Self::NoVersioning, StreamState::Versioned(_)) => {
                Err(Error::NoExpectedVersionGivenOnVersionedStream { stream: stream() })
            }
            (Self::Version(_), StreamState::Unversioned) => {
                Err(Error::ExpectedVersionUsedOnVersionlessStream { stream: stream() })
            }
            (Self::Version(0), StreamState::Missing) => Ok(Some(1)),
            (Self::Version(expected), StreamState::Missing) => {
                Err(Error::Conflict { stream: stream(), expected, actual: 0 })
            }
            (Self::Version(expected), StreamState::Versioned(actual)) if expected == actual => {
                Ok(Some(actual.saturating_add(1)))
            }
            (Self::Version(expected), StreamState::Versioned(actual)) => {
                Err(Error::Conflict { stream: stream(), expected, actual })
            }
        }
    }
}

/// What has to hold for an append besides its own expectations. Checked in the transaction that writes. A backend answers
/// [`Unsupported`](crate::Error::Unsupported) to one that it does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requirement {
    /// About another stream of the tenant.
    Stream(StreamRequirement),
    /// About the key of a data subject of the tenant.
    Key(KeyRequirement),
    /// About what was read of the tenant: nothing was committed since that matches, whoever wrote it, nor was any of it deleted.
    Boundary(Boundary),
}

/// Another stream is at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamRequirement {
    /// The stream.
    pub stream: StreamId,
    /// The version; at 0 it does not exist.
    pub version: Version,
}

impl StreamRequirement {
    /// The stream is at this version; at 0 it does not exist.
    #[must_use]
    pub const fn new(stream: StreamId, version: Version) -> Self {
        Self { stream, version }
    }

    /// Whether the requirement holds, given the state of its stream.
    ///
    /// # Errors
    ///
    /// [`Error::RequirementFailed`].
    pub fn check(&self, state: StreamState) -> Result<()> {
        let Self { stream, version } = self;
        if state.version() == Some(*version) {
            return Ok(());
        }
        Err(Error::RequirementFailed { stream: stream.clone(), required: *version, actual: state.version() })
    }
}

/// What became of an append that was not refused.
///
/// Exhaustive on purpose: either everything was written, or nothing because of what is there. Anything else is an error.
#[derive(Debug)]
pub enum AppendOutcome {
    /// Everything was written: what each stream got, in the order of the request.
    Written(Vec<Written>),
    /// Some or all of the ids are in the store already, and nothing was written. The store decides whether this is the
    /// same append repeated.
    Present(Vec<PresentEvent>),
}

/// What an append wrote to one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The version of the first event; `None` without versions. The others follow without a gap.
    pub first_version: Option<Version>,
    /// The position of the last event.
    pub last_position: AppendPosition,
}

impl Written {
    /// From this version on, `None` without versions, and up to this position.
    #[must_use]
    pub const fn new(first_version: Option<Version>, last_position: AppendPosition) -> Self {
        Self { first_version, last_position }
    }
}

/// An event that an append would have written again.
#[derive(Debug)]
#[non_exhaustive]
pub struct PresentEvent {
    /// The event as it is stored.
    pub record: StoredRecord,
    /// The id of the event before it in its stream.
    pub previous: Option<Uuid>,
}

impl PresentEvent {
    /// An event as it is stored, and the id of the one before it in its stream.
    #[must_use]
    pub const fn new(record: StoredRecord, previous: Option<Uuid>) -> Self {
        Self { record, previous }
    }
}
