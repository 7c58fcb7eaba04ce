//! What the writers did and were told, and what the log holds.

use std::collections::HashSet;

use event_sourcery::{AppendPosition, Error, Query, RawEvent, Recorded, Tag};
use uuid::Uuid;

/// An event, as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) id: Uuid,
    pub(super) name: &'static str,
    /// In order, each once.
    pub(super) tags: Vec<Tag>,
}

/// What an append depended on.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) query: Query,
    /// The events that were read.
    pub(super) read: HashSet<Uuid>,
    /// The moments around the read.
    pub(super) began: u64,
    pub(super) ended: u64,
}

/// What a writer knows of an append.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// It is committed, up to this position.
    Written(AppendPosition),
    /// It was refused: its boundary has moved.
    Moved,
    /// Nothing was written, for another reason.
    Nothing,
    /// The answer was lost.
    Unknown,
}

impl Outcome {
    /// Of an append, or a transaction, that failed.
    pub(super) fn of_failure(error: &Error) -> Self {
        match error {
            Error::BoundaryMoved { .. } => Self::Moved,
            Error::OutcomeUnknown { .. } => Self::Unknown,
            _ => {
                assert!(error.is_retryable(), "{}", error.in_full());
                Self::Nothing
            }
        }
    }
}

/// An append, alone or with others in a transaction.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) events: Vec<Sent>,
    pub(super) conditions: Vec<Condition>,
    /// The same for those of one transaction.
    pub(super) transaction: u64,
    /// The moments around it, or around its transaction.
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) outcome: Outcome,
}

impl Attempt {
    pub(super) const fn is_written(&self) -> bool {
        matches!(self.outcome, Outcome::Written(_))
    }

    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.outcome, Outcome::Moved)
    }
}

/// A deletion of a stream that nobody else writes to.
#[derive(Debug)]
pub(super) struct Deletion {
    /// What stood in it.
    pub(super) events: Vec<Uuid>,
    pub(super) began: u64,
    pub(super) ended: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) attempts: Vec<Attempt>,
    pub(super) deletions: Vec<Deletion>,
}

impl History {
    pub(super) fn add(&mut self, other: Self) {
        self.attempts.extend(other.attempts);
        self.deletions.extend(other.deletions);
    }

    /// The last position that is known to be committed.
    pub(super) fn last(&self) -> Option<AppendPosition> {
        let positions = self.attempts.iter().filter_map(|attempt| match attempt.outcome {
            Outcome::Written(position) => Some(position),
            _ => None,
        });
        positions.max()
    }
}

/// An event, as it stands in the log.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) tags: Vec<Tag>,
    pub(super) position: i64,
}

impl Logged {
    pub(super) fn new(record: &Recorded<RawEvent>) -> Self {
        Self {
            id: record.wrapped_event.uuid,
            name: record.event().name().to_owned(),
            tags: record.wrapped_event.tags.clone(),
            position: record.position.to_i64(),
        }
    }
}
