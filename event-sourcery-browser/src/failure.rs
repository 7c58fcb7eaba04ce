//! Why there is no page, and with which status that is told.

use axum::http::StatusCode;
use event_sourcery::Error;

const GONE: &str = "The stream does not wait for this event any more: somebody else has replayed or skipped it, it was handled, or \
                    the stream was deleted.";

const IMPOSSIBLE: &str = "The request asks for what cannot be: a name outside the limits, or a place in another listing. Begin with the \
                          first page.";

/// Why there is no page. What is shown of it tells nothing that the request has not: what the store's own errors say is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Whoever asks may not look.
    #[error("You may not look at this store.")]
    Refused,
    /// Whoever asks may look, and not act.
    #[error("You may look at this store, and change nothing.")]
    ReadOnly,
    /// The request does not come from a form of this router.
    #[error(
        "This request was not made by a form of this page, or the form is older than this process: go back, load the page again, and \
         try once more. Over plain HTTP, some web browsers do not tell where a form stands: use HTTPS."
    )]
    Forged,
    /// There is nothing of this name, or it is not for this request to see.
    #[error("There is no such {0}, or it is none of yours.")]
    NotFound(&'static str),
    /// There is such a page, and it is asked for in another way.
    #[error("This address is asked for by {0}.")]
    OtherMethod(&'static str),
    /// What was to be replayed or skipped does not wait any more.
    #[error("{}", GONE)]
    NotWaiting,
    /// A field of the request cannot be read.
    #[error("The field \u{201c}{field}\u{201d} cannot be read: {problem}.")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of the request holds what none does.
    #[error("{}", IMPOSSIBLE)]
    Impossible,
    /// The form is too large.
    #[error("The form is larger than any of this router's.")]
    TooLarge,
    /// The store has refused, or failed.
    #[error("{}", told(.0))]
    Store(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Store(Box::new(error))
    }
}

impl Failure {
    pub(crate) fn field(field: &'static str, problem: impl ToString) -> Self {
        Self::Field { field, problem: problem.to_string() }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Refused | Self::ReadOnly | Self::Forged => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::OtherMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotWaiting => StatusCode::CONFLICT,
            Self::Field { .. } | Self::Impossible => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Store(error) => of_store(error),
        }
    }
}

fn of_store(error: &Error) -> StatusCode {
    match error {
        Error::NotBlocked { .. } => StatusCode::CONFLICT,
        Error::InvalidName { .. } | Error::InvalidOption { .. } => StatusCode::BAD_REQUEST,
        Error::Unsupported { .. } => StatusCode::NOT_IMPLEMENTED,
        error if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn told(error: &Error) -> &'static str {
    match of_store(error) {
        StatusCode::CONFLICT => GONE,
        StatusCode::BAD_REQUEST => IMPOSSIBLE,
        StatusCode::NOT_IMPLEMENTED => "The backend of this store cannot tell this.",
        StatusCode::SERVICE_UNAVAILABLE => {
            "The store cannot be reached at present, or is busy: try again in a moment."
        }
        _ => "The store could not answer. What went wrong stands in the log of this service.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_says_of_its_failure_is_not_shown() {
        let problem = || "at postgres://admin:hunter2@db".to_owned();
        let failures = [
            (Error::MigrationNeeded { problem: problem() }, StatusCode::INTERNAL_SERVER_ERROR),
            (Error::InvalidOption { option: "from", problem: problem() }, StatusCode::BAD_REQUEST),
            (Error::Closed, StatusCode::INTERNAL_SERVER_ERROR),
        ];
        for (error, status) in failures {
            let failure = Failure::from(error);
            assert_eq!(failure.status(), status);
            assert!(!failure.to_string().contains("hunter2"), "{failure}");
        }
    }
}
