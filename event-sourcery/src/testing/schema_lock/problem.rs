//! What is wrong with a sample.

use std::error::Error;
use std::fmt;
use std::iter::successors;

use crate::error::{DecodeError, PayloadError};
use crate::upcast::UnfitField;

/// Why an event was not read or not written.
#[derive(Debug)]
pub(super) enum Problem {
    Decode(DecodeError),
    Encode(Box<PayloadError>),
    /// The code of the event's author has panicked, with these words.
    Panic(String),
}

impl Problem {
    /// Whether an append would refuse it, because it could not be read back equal.
    pub(super) fn is_not_read_back(&self) -> bool {
        matches!(self, Self::Encode(problem) if matches!(**problem, PayloadError::NotReadBack { .. }))
    }

    /// Whether an upcaster has read what it was given and then refused it.
    pub(super) fn is_upcasters_own(&self) -> bool {
        matches!(self, Self::Decode(DecodeError::UpcastFailed { problem, .. }) if !is_of_reading(&**problem))
    }
}

/// Whether a value did not fit the type that it was read as.
fn is_of_reading(problem: &(dyn Error + 'static)) -> bool {
    let mut causes = successors(Some(problem), |&problem| problem.source());
    causes.any(|problem| {
        let is_decoding = matches!(problem.downcast_ref(), Some(DecodeError::Invalid(_)));
        is_decoding || problem.is::<UnfitField>() || problem.is::<serde_json::Error>()
    })
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(problem) => problem.fmt(f),
            Self::Encode(problem) => problem.fmt(f),
            Self::Panic(words) => write!(f, "it panics: {words}"),
        }
    }
}

impl From<PayloadError> for Problem {
    fn from(problem: PayloadError) -> Self {
        Self::Encode(Box::new(problem))
    }
}

impl From<DecodeError> for Problem {
    fn from(problem: DecodeError) -> Self {
        Self::Decode(problem)
    }
}
