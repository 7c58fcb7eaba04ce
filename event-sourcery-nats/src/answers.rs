//! What JetStream answers, and what it means for who has asked.

use std::fmt::Display;
use std::time::Duration;

use async_nats::jetstream::{self, ErrorCode, context};
use async_nats::{RequestError, RequestErrorKind};
use event_sourcery::Error;

use crate::NAME;

/// Somebody else was faster, or is just now.
const LOST: [ErrorCode; 2] =
    [ErrorCode::STREAM_WRONG_LAST_SEQUENCE, ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT];

/// Nothing was stored, and the next attempt may be: an election, too many at once.
const NOT_NOW: [ErrorCode; 4] = [
    ErrorCode::STREAM_EXPECTED_LAST_SEQ_PER_SUBJECT_NOT_READY,
    ErrorCode::STREAM_TOO_MANY_REQUESTS,
    ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH,
    ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT,
];

/// The servers' disks, or what the account or the stream may have of them, are full. It is looked at before anything is stored.
const FULL: [ErrorCode; 5] = [
    ErrorCode::STREAM_STORE_FAILED,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
];

/// There is no leader for now, or too few servers have found each other.
const AWAY: [ErrorCode; 7] = [
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::CLUSTER_NOT_ACTIVE,
    ErrorCode::CLUSTER_INCOMPLETE,
    ErrorCode::STREAM_OFFLINE,
    ErrorCode::STREAM_OFFLINE_REASON,
];

/// Why nothing was published, as far as that is known.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// An expectation did not hold, or was about what is in flight: look again.
    Lost,
    /// Nothing was stored: it can be tried again.
    NotNow(jetstream::Error),
    /// Anything else.
    Failed(Box<Error>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl Refusal {
    /// From what the server says of a publish: nothing was stored.
    pub(crate) fn said(answer: jetstream::Error) -> Self {
        let code = answer.error_code();
        if LOST.contains(&code) {
            Self::Lost
        } else if NOT_NOW.contains(&code) {
            Self::NotNow(answer)
        } else {
            said(answer).into()
        }
    }

    /// From a publish that was not answered.
    pub(crate) fn unanswered(failure: RequestError) -> Self {
        let error = match failure.kind() {
            // Nobody takes the subject: a server that has no leader to hand it to says so at once.
            RequestErrorKind::NoResponders => Error::unavailable(failure),
            RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                Error::backend(NAME, failure)
            }
            RequestErrorKind::TimedOut | RequestErrorKind::Other => Error::outcome_unknown(failure),
        };
        error.into()
    }

    /// For who does not try again.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Lost => Error::busy(Duration::ZERO),
            Self::NotNow(answer) => Error::unavailable(answer),
            Self::Failed(error) => *error,
        }
    }
}

/// What the server says of anything: it has not done it.
pub(crate) fn said(answer: jetstream::Error) -> Error {
    let code = answer.error_code();
    if FULL.contains(&code) {
        Error::storage_full(answer)
    } else if AWAY.contains(&code) {
        Error::unavailable(answer)
    } else {
        Error::backend(NAME, answer)
    }
}

/// A question that was not answered; where it changed something, see [`unknown`].
pub(crate) fn away(failure: context::RequestError) -> Error {
    Error::unavailable(failure)
}

/// A change that was not answered.
pub(crate) fn unknown(failure: context::RequestError) -> Error {
    match failure.kind() {
        context::RequestErrorKind::NoResponders => Error::unavailable(failure),
        _ => Error::outcome_unknown(failure),
    }
}

/// What cannot be said with the client's own errors.
pub(crate) fn lost_connection(problem: impl Display) -> Error {
    Error::unavailable(format!("the answer did not come: {problem}"))
}
