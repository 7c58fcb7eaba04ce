//! Why a tool has no answer, in words for the assistant.

use event_sourcery::Error;

/// Why a tool has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments are not those of the tool.
    #[error("the arguments cannot be read: {problem}")]
    Arguments { problem: serde_json::Error },
    /// The answer is no JSON.
    #[error("the answer cannot be written as JSON: {problem}")]
    Answer { problem: serde_json::Error },
    /// What was asked about is not there, or not for this handle to see.
    #[error("there is no such {what}. {to_do}")]
    NotFound { what: &'static str, to_do: &'static str },
    /// Several streams wait at one position.
    #[error(
        "{count} streams wait for a failed event at this position: give the UUID of one of them as `stream`"
    )]
    Several { count: usize },
    /// The store has refused, or failed.
    #[error("{}", .0.in_full())]
    Store(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(Box::new(error))
    }
}
