//! What nobody can read.

use std::fmt::Debug;

use event_sourcery::{Error, Event, EventStore, Events, Result, StreamId, Version};

/// What a database can hold though nobody can read it, as SQL.
#[derive(Debug, Clone, Copy)]
pub struct Unreadable {
    /// Payloads that are not a JSON object.
    pub payloads: &'static [&'static str],
    /// Contexts that are not a JSON object, or not one of a context.
    pub contexts: &'static [&'static str],
    /// Ids of events that are not UUIDs.
    pub ids: &'static [&'static str],
    /// Times that are none, or none of the years 1 to 9999.
    pub times: &'static [&'static str],
    /// The assignments that spoil as much of an event as can be spoiled, such that the reference fails with a
    /// `TypeError`.
    pub event: &'static str,
}

/// The first error of each way to read a stream that has an event which nobody can read.
pub async fn errors_of_reading<E: Event + Debug>(rust: &EventStore, stream: &StreamId) -> Vec<Error> {
    let whole = rust.load_stream::<E>(stream).await.map(|events| events.len());
    let full = rust.load_stream::<E>(stream).full_history().await.map(|events| events.len());
    let one_by_one = drain(rust.load_stream::<E>(stream).stream()).await;
    let everything = drain(rust.read_all::<E>().stream()).await;
    let of_a_range = rust.load_stream::<E>(stream).versions(..).await.map(|events| events.len());
    [whole, full, one_by_one, everything, of_a_range]
        .into_iter()
        .map(|read| read.expect_err("it is spoiled"))
        .collect()
}

async fn drain<T>(mut events: Events<'_, T>) -> Result<usize> {
    let mut read = 0;
    while events.try_next().await?.is_some() {
        read += 1;
    }
    Ok(read)
}

/// Asserts that the error names this event.
pub fn assert_names(error: &Error, stream: &StreamId, event_name: &str, event_version: Option<Version>) {
    match error {
        Error::InvalidEvent { name, stream: of, version, problem, .. } => {
            let expected = (event_name, stream, event_version);
            assert_eq!((name.as_str(), of, *version), expected, "{problem}");
            assert!(!problem.is_empty());
        }
        other => panic!("not an invalid event: {other:?}"),
    }
}
