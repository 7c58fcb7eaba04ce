//! Times: to the microsecond, in both directions.

use event_sourcery::{Error, Event as _, StreamId};
use jiff::Timestamp;

use crate::invoicing::{Paid, paid};
use crate::run::Database;
use crate::{Expected, event, with};

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

pub(super) async fn times_that_python_wrote_are_read_to_the_microsecond(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::random();
    let events: Vec<_> =
        TIMES.iter().map(|(theirs, _)| with(event(&paid("1")), "created_at", *theirs)).collect();
    python.create(&stream, &events);

    let read = rust.load_stream::<Paid>(&stream).await.unwrap();

    let read: Vec<Timestamp> = read.iter().map(|event| event.created_at).collect();
    assert_eq!(read, TIMES.map(|(_, ours)| time(ours)));
}

pub(super) async fn times_that_rust_wrote_are_read_to_the_microsecond(database: Database) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::random();
    let events = TIMES.map(|(_, ours)| paid("1").with_created_at(time(ours)));
    rust.append(&stream, events).await.unwrap();

    let read = python.load(&stream);

    let read: Vec<&str> = read.iter().map(|event| event.created_at.as_str()).collect();
    assert_eq!(read, TIMES.map(|(theirs, _)| theirs));
}

/// A known limit: `jiff::Timestamp` ends 26 hours before `datetime.max`.
pub(super) async fn a_time_in_the_last_26_hours_of_pythons_calendar_is_an_invalid_event_and_can_be_appended_behind(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let stream = StreamId::random();
    python.create(&stream, &[with(event(&paid("1")), "created_at", "9999-12-31 23:59:59.999999")]);

    let read = rust.load_stream::<Paid>(&stream).await;

    assert!(matches!(read, Err(Error::InvalidEvent { version: Some(1), .. })), "{read:?}");
    rust.append(&stream, paid("2")).expected_version(1).await.unwrap();
    python.append(&stream, Expected::Version(2), &[event(&paid("3"))]).unwrap();
}
