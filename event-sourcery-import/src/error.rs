//! What can go wrong, apart from single events, which are reported.

use std::time::Duration;

/// An error of another program's or library's, as it came.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an import has stopped. What was written by then stays, and another run goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The destination has failed, for another reason than what is in an event.
    #[error("the destination has failed")]
    Destination {
        /// The store's error.
        source: Box<event_sourcery::Error>,
    },
    /// The source cannot be read.
    #[error("{name} cannot be read")]
    Source {
        /// What was read.
        name: String,
        /// The database's error.
        source: Cause,
    },
    /// What is there has not the layout that was asked for.
    #[error("{name} has not the layout that is read here: {problem}")]
    Layout {
        /// What was read.
        name: String,
        /// What is missing, or different.
        problem: String,
    },
    /// Transactions that may still add events to the source, below what others have added, are open for too long.
    #[error(
        "transactions of these server processes have written to {name} and are still open after {waited:?}, so that nobody can tell what \
         will stand before the newest events: {processes:?} (0 stands for a prepared transaction). Wait for them, or end them, and run \
         the import again"
    )]
    StillWriting {
        /// What was read.
        name: String,
        /// The server processes; 0 stands for a prepared transaction.
        processes: Vec<i32>,
        /// For how long they were waited for.
        waited: Duration,
    },
    /// The mapping [keeps](crate::Holes::Keep) holes in versions, and the destination cannot have any.
    #[error(
        "the {destination} backend gives versions one by one, so that holes in them cannot be kept: take `stop` or `renumber`, or another \
         destination"
    )]
    NoHoles {
        /// The name of the destination's backend.
        destination: &'static str,
    },
    /// A mapping that cannot be used.
    #[error("the mapping cannot be used: {problem}")]
    Mapping {
        /// What is wrong with it.
        problem: String,
    },
}

/// What a call returns that may fail with an [`ImportError`].
pub type Result<T, E = ImportError> = std::result::Result<T, E>;

impl From<event_sourcery::Error> for ImportError {
    fn from(error: event_sourcery::Error) -> Self {
        Self::Destination { source: Box::new(error) }
    }
}
