//! Rows of streams that the reference has let drift from their events: the last event tells, and our append mends.

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use serde_json::{Value, json};

use crate::invoicing::{Paid, Summary, numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, Python, append, event, payments_in_python, with};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// An event that the caller numbers, which the reference takes as it is.
fn numbered_by_caller(version: u64) -> Value {
    with(event(&paid(version.to_string())), "version", version)
}

/// A refused append whose caller goes on: the row was made, the events were not.
fn leave_a_row_without_events(python: &mut Python) {
    let refused = append(&stream(), Expected::Version(5), &[event(&paid("6"))]);
    let refused = python.ask(&with(refused, "goes_on_after_refusal", true)).unwrap_err();
    assert_eq!(refused.error, "ConcurrentStreamWriteError");
}

/// Refuses everything but the version of the last event, appends one more, and lets Python go on from there.
async fn assert_healed_by_appending(
    database: &Database,
    python: &mut Python,
    rust: &EventStore,
    version: u64,
    drifted: u64,
) {
    let refused = rust.append(&stream(), paid("?")).expected_version(drifted).await;
    assert!(
        matches!(refused, Err(Error::Conflict { expected, actual, .. }) if (expected, actual) == (drifted, version)),
        "{refused:?}"
    );

    let appended =
        rust.append(&stream(), paid((version + 1).to_string())).expected_version(version).await.unwrap();

    assert_eq!(appended.last_version, Some(version + 1));
    assert_eq!(database.row_version(&stream()), i64::try_from(version + 1).ok());
    let next = event(&paid((version + 2).to_string()));
    python.append(&stream(), Expected::Version(version + 1), &[next]).unwrap();
    let read = payments(&rust.load_stream(&stream()).await.unwrap());
    assert_eq!(read, payments_in_python(&python.load(&stream())));
    assert_eq!(read.last(), numbered([version + 2]).last());
}

pub(super) async fn a_row_without_events_is_no_stream(database: Database) {
    let (mut python, rust) = database.both().await;
    leave_a_row_without_events(&mut python);
    assert_eq!(database.row_version(&stream()), Some(6));

    assert!(rust.load_stream::<RawEvent>(&stream()).await.unwrap().is_empty());
    let refused = rust.save_snapshot(&stream(), 6, Summary { payments: 6 }).await;
    assert!(matches!(refused, Err(Error::SnapshotVersionMismatch { actual: Some(0), .. })), "{refused:?}");
    assert_healed_by_appending(&database, &mut python, &rust, 0, 6).await;
}

pub(super) async fn a_row_without_events_can_become_a_stream_without_versions(database: Database) {
    let (mut python, rust) = database.both().await;
    leave_a_row_without_events(&mut python);

    rust.append(&stream(), paid("1")).no_versioning().await.unwrap();

    assert_eq!(database.row_version(&stream()), None);
    python.append(&stream(), Expected::NoVersioning, &[event(&paid("2"))]).unwrap();
    assert_eq!(rust.load_stream::<Paid>(&stream()).await.unwrap().len(), 2);
}

pub(super) async fn a_row_without_events_and_versions_can_become_a_stream_with_versions(database: Database) {
    let (mut python, rust) = database.both().await;
    leave_a_row_without_events(&mut python);
    database.run("UPDATE event_sourcery_streams SET version = NULL");

    assert_healed_by_appending(&database, &mut python, &rust, 0, 6).await;
}

pub(super) async fn a_row_without_events_gives_its_name_up(database: Database) {
    let (mut python, rust) = database.both().await;
    leave_a_row_without_events(&mut python);
    database.run("UPDATE event_sourcery_streams SET uuid = '00000000000000000000000000000007'");

    rust.append(&stream(), paid("1")).await.unwrap();

    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=2));
}

pub(super) async fn a_row_ahead_of_its_events_is_mended(database: Database) {
    let (mut python, rust) = database.both().await;
    leave_a_row_without_events(&mut python);
    python.create(&stream(), &[event(&paid("1"))]);
    assert_eq!(database.row_version(&stream()), Some(6));
    let stuck = python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap_err();
    assert_eq!(stuck.error, "ConcurrentStreamWriteError", "the reference can not append to it by itself");

    assert_healed_by_appending(&database, &mut python, &rust, 1, 6).await;
}

pub(super) async fn a_row_behind_its_events_is_mended(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1"))]);
    // With the default expectation the reference does not look at the row, nor bump it.
    python.append(&stream(), Expected::Version(0), &[numbered_by_caller(2), numbered_by_caller(3)]).unwrap();
    assert_eq!(database.row_version(&stream()), Some(1));

    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=3));
    assert_healed_by_appending(&database, &mut python, &rust, 3, 1).await;
}

pub(super) async fn events_with_holes_between_their_versions_are_read_in_version_order(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[numbered_by_caller(7), numbered_by_caller(3)]);
    assert_eq!(database.row_version(&stream()), Some(3), "the last one given counts for the reference");

    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered([3, 7]));
    assert_healed_by_appending(&database, &mut python, &rust, 7, 3).await;
}

pub(super) async fn events_that_the_caller_numbered_from_zero_are_all_read(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[numbered_by_caller(0), numbered_by_caller(1), numbered_by_caller(2)]);

    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(0..=2));
    assert_eq!(payments(&rust.load_stream(&stream()).versions(..).await.unwrap()), numbered(0..=2));
    assert_eq!(payments(&rust.load_stream(&stream()).versions(0..1).await.unwrap()), numbered(0..=0));
    assert_healed_by_appending(&database, &mut python, &rust, 2, 1).await;
}

pub(super) async fn a_stream_whose_only_event_has_version_zero_is_versioned(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[numbered_by_caller(0)]);

    let refused = rust.append(&stream(), paid("?")).no_versioning().await;

    assert!(matches!(refused, Err(Error::NoExpectedVersionGivenOnVersionedStream { .. })), "{refused:?}");
    rust.append(&stream(), paid("1")).expected_version(0).await.unwrap();
    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(0..=2));
}

pub(super) async fn events_with_versions_under_a_row_without_one_make_a_versioned_stream(database: Database) {
    let (mut python, rust) = database.both().await;
    python
        .append(&stream(), Expected::NoVersioning, &[numbered_by_caller(1), numbered_by_caller(2)])
        .unwrap();
    assert_eq!(database.row_version(&stream()), None);

    assert_healed_by_appending(&database, &mut python, &rust, 2, 1).await;
}

pub(super) async fn no_event_is_passed_over_in_a_stream_where_only_some_have_versions(database: Database) {
    let (mut python, rust) = database.both().await;
    for events in [[event(&paid("a"))], [numbered_by_caller(5)], [event(&paid("b"))]] {
        python.append(&stream(), Expected::NoVersioning, &events).unwrap();
    }
    let expected =
        [("a", None), ("b", None), ("5", Some(5))].map(|(number, version)| (number.to_owned(), version));

    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), expected);
    let (mut one_by_one, mut read) = (rust.load_stream::<Paid>(&stream()).stream(), Vec::new());
    while let Some(event) = one_by_one.try_next().await.unwrap() {
        read.push(event);
    }
    assert_eq!(payments(&read), expected);
    assert_eq!(payments_in_python(&python.load(&stream())).len(), 3);
    rust.append(&stream(), paid("6")).expected_version(5).await.unwrap();
    python.append(&stream(), Expected::Version(6), &[event(&paid("7"))]).unwrap();
}

pub(super) async fn a_row_that_has_drifted_is_mended_by_appending_only(database: Database) {
    let (mut python, rust) = database.both().await;
    leave_a_row_without_events(&mut python);
    python.create(&stream(), &[event(&paid("1"))]);

    rust.load_stream::<Paid>(&stream()).await.unwrap();
    let refused = rust.append(&stream(), paid("?")).expected_version(6).await;
    assert!(refused.is_err());

    assert_eq!(database.row_version(&stream()), Some(6), "what only reads or is refused mends nothing");
    assert_eq!(python.told(&json!({"do": "position"})), json!(1));
}
