//! What a refused append says: whether it was about its stream, or about what is in it.

use event_sourcery::Error;

/// Whether an append was refused for what its stream is.
pub(super) const fn is_about_the_stream(error: &Error) -> bool {
    matches!(
        error,
        Error::Conflict { .. }
            | Error::ExpectedVersionUsedOnVersionlessStream { .. }
            | Error::NoExpectedVersionGivenOnVersionedStream { .. }
    )
}

/// Whether an append was refused for what is in it, or for what its streams are.
pub(super) const fn is_refusal(error: &Error) -> bool {
    is_about_the_stream(error)
        || matches!(
            error,
            Error::StreamNameTaken { .. }
                | Error::DuplicateEvent { .. }
                | Error::InvalidContext { .. }
                | Error::InvalidName { .. }
                | Error::InvalidPayload { .. }
                | Error::InvalidTime { .. }
                | Error::VersionsUsedUp { .. }
        )
}
