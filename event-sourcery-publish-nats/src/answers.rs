//! What JetStream answers, and whose fault it says that it is.

use std::error::Error;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError as Failure, PublishErrorKind};
use event_sourcery::outbox::PublishError;

/// The message is too large for the stream, or its headers are. Everything else may pass: an election, a full disk, a time-out.
const ABOUT_THE_MESSAGE: [ErrorCode; 2] =
    [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];

/// The server's own code, which says more than the client's kind.
fn code(failure: &Failure) -> Option<ErrorCode> {
    let source = failure.source()?;
    source.downcast_ref::<async_nats::jetstream::Error>().map(async_nats::jetstream::Error::error_code)
}

/// Whether nobody has answered for the subject: the stream has no leader for now, or takes no such subject.
pub(crate) fn found_nobody(failure: &Failure) -> bool {
    failure.kind() == PublishErrorKind::StreamNotFound
}

pub(crate) fn answer(failure: Failure) -> PublishError {
    let is_too_large = failure.kind() == PublishErrorKind::MaxPayloadExceeded;
    if is_too_large || code(&failure).is_some_and(|code| ABOUT_THE_MESSAGE.contains(&code)) {
        PublishError::refused(failure)
    } else {
        PublishError::away(failure)
    }
}
