//! What cannot be read is an error that names it: never a panic, never passed over.

use event_sourcery::{Event as _, EventStore, RawEvent, StreamId};

use crate::invoicing::{Paid, Summarised, Summary, paid};
use crate::run::Database;
use crate::unreadable::{Unreadable, assert_names, errors_of_reading};
use crate::{Expected, event};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// Three payments of Python's; the second is spoiled by `set`.
async fn spoiled(database: &Database, set: &str) -> EventStore {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2")), event(&paid("3"))]);
    spoil(database, set);
    rust
}

fn spoil(database: &Database, set: &str) {
    database.run(&format!("UPDATE event_sourcery_events SET {set} WHERE id = 2"));
}

/// The second payment is an error by its name, whoever reads, in every way to read.
async fn assert_unreadable(rust: &EventStore) {
    let as_raw_json = errors_of_reading::<RawEvent>(rust, &stream()).await;
    for error in errors_of_reading::<Paid>(rust, &stream()).await.iter().chain(&as_raw_json) {
        assert_names(error, &stream(), "invoicing.Paid", Some(2));
    }
}

pub(super) async fn a_payload_that_is_not_a_json_object_is_an_invalid_event(database: Database) {
    let rust = spoiled(&database, "data = data").await;
    for data in database.unreadable().payloads {
        spoil(&database, &format!("data = {data}"));
        assert_unreadable(&rust).await;
    }
}

pub(super) async fn a_payload_that_does_not_fit_the_type_is_an_invalid_event(database: Database) {
    let rust = spoiled(&database, "data = '{\"number\": 2}'").await;

    for error in errors_of_reading::<Paid>(&rust, &stream()).await {
        assert_names(&error, &stream(), "invoicing.Paid", Some(2));
    }
    assert_eq!(rust.load_stream::<RawEvent>(&stream()).await.unwrap().len(), 3, "as raw JSON it can be read");
}

pub(super) async fn a_context_that_cannot_be_read_is_an_invalid_event(database: Database) {
    let rust = spoiled(&database, "data = data").await;
    for context in database.unreadable().contexts {
        spoil(&database, &format!("event_context = {context}"));
        assert_unreadable(&rust).await;
    }
}

pub(super) async fn an_id_or_a_time_that_cannot_be_read_is_an_invalid_event(database: Database) {
    let rust = spoiled(&database, "data = data").await;
    let (id, time) = ("'f00d0000000040008000000000000001'", "'2025-03-16 10:03:02.138667'");
    let Unreadable { ids, times, .. } = database.unreadable();
    let spoiled_ids = ids.iter().map(|id| (*id, time));
    let spoiled_times = times.iter().map(|time| (id, *time));
    for (id, time) in spoiled_ids.chain(spoiled_times) {
        spoil(&database, &format!("uuid = {id}, created_at = {time}"));
        assert_unreadable(&rust).await;
    }
}

pub(super) async fn an_event_numbered_below_zero_is_an_invalid_event(database: Database) {
    let rust = spoiled(&database, "version = -2").await;

    let read = rust.load_stream::<Paid>(&stream()).await;

    assert_names(&read.unwrap_err(), &stream(), "invoicing.Paid", None);
    assert_eq!(rust.load_stream::<Paid>(&stream()).versions(1..).await.unwrap().len(), 2);
}

pub(super) async fn a_stream_with_an_event_that_cannot_be_read_can_be_appended_to_and_deleted(
    database: Database,
) {
    let rust = spoiled(&database, database.unreadable().event).await;
    let mut python = database.python();

    rust.append(&stream(), paid("4")).expected_version(3).await.unwrap();
    let refused = python.append(&stream(), Expected::Version(4), &[event(&paid("5"))]).unwrap_err();
    assert_eq!(refused.error, "TypeError", "the reference loads the whole stream to append to it");
    let readable = rust.load_stream::<Paid>(&stream()).versions(3..).await.unwrap();
    assert_eq!(readable.len(), 2);

    rust.delete_stream(&stream()).await.unwrap();
    assert!(rust.load_stream::<Paid>(&stream()).await.unwrap().is_empty());
}

pub(super) async fn an_event_that_cannot_be_read_and_is_appended_again_is_an_error(database: Database) {
    let time = database.unreadable().times[0];
    let set = format!("uuid = 'f00d0000000040008000000000000001', created_at = {time}");
    let rust = spoiled(&database, &set).await;
    let id = uuid::Uuid::from_u128(0xf00d_0000_0000_4000_8000_0000_0000_0001);

    let refused = rust.append(&stream(), paid("2").with_id(id)).expected_version(1).await;

    assert_names(&refused.unwrap_err(), &stream(), "invoicing.Paid", Some(2));
}

pub(super) async fn a_snapshot_that_cannot_be_read_gives_way_to_the_full_history(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2"))]);
    python.snapshot(&stream(), 2, &event(&Summary { payments: 2 }));
    let Unreadable { payloads, times, .. } = database.unreadable();
    let time = format!("created_at = {}", times[0]);
    let payload = format!("data = {}", payloads[0]);
    for spoil in [time.as_str(), &payload, "data = '{}'", "version = 0, data = '{}'"] {
        database.run(&format!("UPDATE event_sourcery_snapshots SET {spoil}"));

        let events = rust.load_stream::<Summarised>(&stream()).await.unwrap();

        assert_eq!(events.iter().filter_map(|event| event.version).collect::<Vec<_>>(), [1, 2], "{spoil}");
    }
}
