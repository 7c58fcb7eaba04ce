//! What cannot be read is an error that names it: never a panic, never passed over.

use event_sourcery::{Error, Event, EventStore, RawEvent, Result, StreamId, Version};
use event_sourcery_sqlite::SqliteBackend;
use serde_json::json;

use super::invoicing::{Measured, Paid, Summarised, Summary, paid};
use super::process::{Expected, event};
use super::shared_file::{SharedFile, shared};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// Three payments of Python's; the second is spoiled by `set`.
async fn spoiled(set: &str) -> (SharedFile, EventStore<SqliteBackend>) {
    let (file, mut python, rust) = shared().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2")), event(&paid("3"))]);
    file.run(&format!("UPDATE event_sourcery_events SET {set} WHERE id = 2"));
    (file, rust)
}

/// The first error of each way to read.
async fn errors<E: Event + std::fmt::Debug>(rust: &EventStore<SqliteBackend>) -> Vec<Error> {
    async fn drain<T>(mut events: event_sourcery::Events<'_, T>) -> Result<usize> {
        let mut read = 0;
        while events.try_next().await?.is_some() {
            read += 1;
        }
        Ok(read)
    }
    let whole = rust.load_stream::<E>(&stream()).await.map(|events| events.len());
    let full = rust.load_stream::<E>(&stream()).full_history().await.map(|events| events.len());
    let one_by_one = drain(rust.load_stream::<E>(&stream()).stream()).await;
    let everything = drain(rust.read_all::<E>().stream()).await;
    let of_a_range = rust.load_stream::<E>(&stream()).versions(..).await.map(|events| events.len());
    [whole, full, one_by_one, everything, of_a_range]
        .into_iter()
        .map(|read| read.expect_err("it is spoiled"))
        .collect()
}

fn assert_names(error: &Error, event_name: &str, event_version: Option<Version>) {
    match error {
        Error::InvalidEvent { name, stream: of, version, problem } => {
            let expected = (event_name, &stream(), event_version);
            assert_eq!((name.as_str(), of, *version), expected, "{problem}");
            assert!(!problem.is_empty());
        }
        other => panic!("not an invalid event: {other:?}"),
    }
}

#[tokio::test]
async fn a_payload_that_is_not_a_json_object_is_an_invalid_event() {
    let (file, rust) = spoiled("data = data").await;
    for data in [
        "'{\"number\": \"2\"'",
        "'{\"number\": \"2\"} and more'",
        "''",
        "'null'",
        "'[\"2\"]'",
        "'\"2\"'",
        "7",
        "x'7b7d'",
        "x'ff00'",
        "CAST(x'7b22ff223a317d' AS TEXT)",
        "'{\"a\":' || replace(hex(zeroblob(4000)), '0', '[')",
    ] {
        file.run(&format!("UPDATE event_sourcery_events SET data = {data} WHERE id = 2"));
        for error in errors::<Paid>(&rust).await.iter().chain(&errors::<RawEvent>(&rust).await) {
            assert_names(error, "invoicing.Paid", Some(2));
        }
    }
}

#[tokio::test]
async fn a_payload_that_does_not_fit_the_type_is_an_invalid_event() {
    let (_file, rust) = spoiled("data = '{\"number\": 2}'").await;

    for error in errors::<Paid>(&rust).await {
        assert_names(&error, "invoicing.Paid", Some(2));
    }
    assert_eq!(rust.load_stream::<RawEvent>(&stream()).await.unwrap().len(), 3, "as raw JSON it can be read");
}

#[tokio::test]
async fn a_context_that_cannot_be_read_is_an_invalid_event() {
    let (file, rust) = spoiled("data = data").await;
    for context in [
        "'{'",
        "'[]'",
        "'null'",
        "'{\"correlation_id\": \"not a UUID\"}'",
        "'{\"causation_id\": 7}'",
        "'{\"components\": []}'",
        "'{\"load\": NaN}'",
        "x'7b7d'",
    ] {
        file.run(&format!("UPDATE event_sourcery_events SET event_context = {context} WHERE id = 2"));
        for error in errors::<Paid>(&rust).await.iter().chain(&errors::<RawEvent>(&rust).await) {
            assert_names(error, "invoicing.Paid", Some(2));
        }
    }
}

#[tokio::test]
async fn an_id_or_a_time_that_cannot_be_read_is_an_invalid_event() {
    let (file, rust) = spoiled("data = data").await;
    let (id, time) = ("f00d0000000040008000000000000001", "2025-03-16 10:03:02.138667");
    for (id, time) in [
        ("'not a UUID'", format!("'{time}'")),
        ("''", format!("'{time}'")),
        ("NULL", format!("'{time}'")),
        ("x'f00d0000000040008000000000000001'", format!("'{time}'")),
        (&format!("'{id}'"), "'yesterday'".to_owned()),
        (&format!("'{id}'"), "'2025-02-30 10:03:02.138667'".to_owned()),
        (&format!("'{id}'"), "''".to_owned()),
        (&format!("'{id}'"), "1742119382".to_owned()),
        (&format!("'{id}'"), "1742119382.138667".to_owned()),
        (&format!("'{id}'"), format!("CAST('{time}' AS BLOB)")),
    ] {
        file.run(&format!("UPDATE event_sourcery_events SET uuid = {id}, created_at = {time} WHERE id = 2"));
        for error in errors::<Paid>(&rust).await.iter().chain(&errors::<RawEvent>(&rust).await) {
            assert_names(error, "invoicing.Paid", Some(2));
        }
    }
}

#[tokio::test]
async fn a_name_or_a_version_that_cannot_be_read_is_an_error() {
    let (file, rust) = spoiled("data = data").await;
    for set in ["name = x'ff00'", "version = 'two'", "version = 2.5", "version = x'02'"] {
        file.run("UPDATE event_sourcery_events SET version = 2, name = 'invoicing.Paid' WHERE id = 2");
        file.run(&format!("UPDATE event_sourcery_events SET {set} WHERE id = 2"));
        // A reader of payments does not see what goes by another name when it reads across streams.
        for error in errors::<RawEvent>(&rust).await {
            assert!(matches!(error, Error::InvalidEvent { .. } | Error::Backend { .. }), "{set}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_event_numbered_below_zero_is_an_invalid_event() {
    let (_file, rust) = spoiled("version = -2").await;

    let read = rust.load_stream::<Paid>(&stream()).await;

    assert_names(&read.unwrap_err(), "invoicing.Paid", None);
    assert_eq!(rust.load_stream::<Paid>(&stream()).versions(1..).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_nan_of_pythons_is_an_invalid_event() {
    let (file, mut python, rust) = shared().await;
    for weight in ["nan", "inf", "-inf"] {
        python.delete(&stream());
        python.create(&stream(), &[json!({"type": "Measured", "fields": {"weight": weight}})]);
        let stored = "SELECT data FROM event_sourcery_events";
        let stored: String = file.sql().query_row(stored, [], |row| row.get(0)).unwrap();
        assert!(stored.contains("NaN") || stored.contains("Infinity"), "{stored}");

        for error in errors::<Measured>(&rust).await.iter().chain(&errors::<RawEvent>(&rust).await) {
            assert_names(error, "invoicing.Measured", Some(1));
        }
    }
}

#[tokio::test]
async fn a_stream_with_an_event_that_cannot_be_read_can_be_appended_to_and_deleted() {
    let (file, rust) =
        spoiled("data = '{', event_context = x'00', created_at = 'yesterday', uuid = NULL").await;
    let mut python = file.python();

    rust.append(&stream(), paid("4")).expected_version(3).await.unwrap();
    let refused = python.append(&stream(), Expected::Version(4), &[event(&paid("5"))]).unwrap_err();
    assert_eq!(refused.error, "TypeError", "the reference loads the whole stream to append to it");
    let readable = rust.load_stream::<Paid>(&stream()).versions(3..).await.unwrap();
    assert_eq!(readable.len(), 2);

    rust.delete_stream(&stream()).await.unwrap();
    assert!(rust.load_stream::<Paid>(&stream()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_event_that_cannot_be_read_and_is_appended_again_is_an_error() {
    let (_file, rust) = spoiled("uuid = 'f00d0000000040008000000000000001', created_at = 'yesterday'").await;
    let id = uuid::Uuid::from_u128(0xf00d_0000_0000_4000_8000_0000_0000_0001);

    let refused = rust.append(&stream(), paid("2").with_id(id)).expected_version(1).await;

    assert_names(&refused.unwrap_err(), "invoicing.Paid", Some(2));
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_gives_way_to_the_full_history() {
    let (file, mut python, rust) = shared().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2"))]);
    python.snapshot(&stream(), 2, &event(&Summary { payments: 2 }));
    for spoil in ["created_at = 'yesterday'", "data = 'not JSON'", "data = '{}'", "version = 0, data = '{}'"]
    {
        file.run(&format!("UPDATE event_sourcery_snapshots SET {spoil}"));

        let events = rust.load_stream::<Summarised>(&stream()).await.unwrap();

        assert_eq!(events.iter().filter_map(|event| event.version).collect::<Vec<_>>(), [1, 2], "{spoil}");
    }
}

#[tokio::test]
async fn a_row_of_a_stream_that_cannot_be_read_is_an_error() {
    let (file, rust) = spoiled("data = data").await;
    file.run("UPDATE event_sourcery_streams SET uuid = 'not a UUID'");

    let mut all = rust.read_all::<Paid>().stream();
    let error = all.try_next().await.unwrap_err();

    assert!(matches!(error, Error::InvalidEvent { .. }), "{error:?}");
}
