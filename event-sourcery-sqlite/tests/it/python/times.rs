//! Times: to the microsecond, in both directions.

use event_sourcery::{Error, Event as _, StreamId};
use jiff::Timestamp;

use super::invoicing::{Paid, paid};
use super::process::{Expected, event, with};
use super::shared_file::shared;

/// As Python describes a time, and as Rust does.
const TIMES: [(&str, &str); 7] = [
    ("2025-03-16 10:03:02.138667", "2025-03-16T10:03:02.138667Z"),
    ("2025-03-16 10:03:02.000000", "2025-03-16T10:03:02Z"),
    ("2025-03-16 10:03:02.000001", "2025-03-16T10:03:02.000001Z"),
    ("0001-01-01 00:00:00.000000", "0001-01-01T00:00:00Z"),
    ("1969-12-31 23:59:59.999999", "1969-12-31T23:59:59.999999Z"),
    ("2024-02-29 23:59:59.900000", "2024-02-29T23:59:59.9Z"),
    ("9999-12-30 21:59:59.999999", "9999-12-30T21:59:59.999999Z"),
];

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn times_that_python_wrote_are_read_to_the_microsecond() {
    let (_file, mut python, rust) = shared().await;
    let stream = StreamId::random();
    let events: Vec<_> =
        TIMES.iter().map(|(theirs, _)| with(event(&paid("1")), "created_at", *theirs)).collect();
    python.create(&stream, &events);

    let read = rust.load_stream::<Paid>(&stream).await.unwrap();

    let read: Vec<Timestamp> = read.iter().map(|event| event.created_at).collect();
    assert_eq!(read, TIMES.map(|(_, ours)| time(ours)));
}

#[tokio::test]
async fn times_that_rust_wrote_are_read_to_the_microsecond() {
    let (_file, mut python, rust) = shared().await;
    let stream = StreamId::random();
    let events = TIMES.map(|(_, ours)| paid("1").with_created_at(time(ours)));
    rust.append(&stream, events).await.unwrap();

    let read = python.load(&stream);

    let read: Vec<&str> = read.iter().map(|event| event.created_at.as_str()).collect();
    assert_eq!(read, TIMES.map(|(theirs, _)| theirs));
}

/// SQLAlchemy drops the offset, and Python reads its own wall clock back: so does Rust.
#[tokio::test]
async fn a_time_with_an_offset_is_read_as_the_wall_clock_that_python_stored() {
    let (_file, mut python, rust) = shared().await;
    let stream = StreamId::random();
    python.create(&stream, &[with(event(&paid("1")), "created_at", "2025-03-16T12:00:00.500000+02:00")]);

    assert_eq!(python.load(&stream)[0].created_at, "2025-03-16 12:00:00.500000");
    let read = rust.load_stream::<Paid>(&stream).await.unwrap();
    assert_eq!(read[0].created_at, time("2025-03-16T12:00:00.5Z"));
}

/// A known limit: `jiff::Timestamp` ends 26 hours before `datetime.max`.
#[tokio::test]
async fn a_time_in_the_last_26_hours_of_pythons_calendar_is_an_invalid_event_and_can_be_appended_behind() {
    let (_file, mut python, rust) = shared().await;
    let stream = StreamId::random();
    python.create(&stream, &[with(event(&paid("1")), "created_at", "9999-12-31 23:59:59.999999")]);

    let read = rust.load_stream::<Paid>(&stream).await;

    assert!(matches!(read, Err(Error::InvalidEvent { version: Some(1), .. })), "{read:?}");
    rust.append(&stream, paid("2")).expected_version(1).await.unwrap();
    python.append(&stream, Expected::Version(2), &[event(&paid("3"))]).unwrap();
}
