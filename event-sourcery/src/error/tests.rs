//! What the errors say of themselves that no backend makes.

use std::time::Duration;

use super::{Error, Source};
use crate::stream_id::StreamId;

fn listener_failed(source: impl Into<Source>) -> Error {
    let (name, stream) = ("Paid".to_owned(), StreamId::random());
    Error::ListenerFailed { name, stream, version: Some(3), source: source.into() }
}

#[test]
fn clause_14_1_what_can_be_retried_says_so() {
    let away = Error::PublisherAway { retry_after: None, source: "nobody is there".into() };
    assert!(away.is_retryable());
    let (name, stream) = ("Paid".to_owned(), StreamId::random());
    assert!(!Error::ListenersTooDeep { name, stream, depth: 16 }.is_retryable());
}

/// Where its own error is one of the library, that one counts.
#[test]
fn clause_14_1_a_listeners_failure_can_be_retried_where_what_it_failed_with_can() {
    assert!(listener_failed(Error::busy(Duration::ZERO)).is_retryable());
    assert!(!listener_failed(Error::Closed).is_retryable());
    assert!(!listener_failed("words of its own").is_retryable());
}
