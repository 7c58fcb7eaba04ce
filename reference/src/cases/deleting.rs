//! One language deletes the other's streams.

use event_sourcery::{RawEvent, StreamId};
use serde_json::json;

use crate::invoicing::{numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, Python, append, event, payments_in_python, place, with};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap().in_category("invoices").unwrap()
}

/// A stream of Python's with all that can hang on it.
fn create_with_everything(python: &mut Python, stream: &StreamId) {
    let create = append(stream, Expected::Version(0), &[event(&paid("1")), event(&paid("2"))]);
    python.told(&with(create, "outbox", true));
    python.snapshot(stream, 2, &json!({"type": "Summary", "fields": {"payments": 2}}));
    python.told(&json!({"do": "put_cursor", "stream": place(stream), "projector": "revenue", "version": 2}));
}

pub(super) async fn a_stream_of_pythons_that_rust_deletes_is_gone_with_all_that_hung_on_it(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    for stream in [stream(), StreamId::random()] {
        create_with_everything(&mut python, &stream);

        rust.delete_stream(&stream).await.unwrap();

        assert!(python.load(&stream).is_empty());
        for table in ["streams", "events", "snapshots", "projector_cursors"] {
            let left = database.number(&format!("SELECT count(*) FROM event_sourcery_{table}"));
            assert_eq!(left, Some(0), "{table}");
        }
        python.create(&stream, &[event(&paid("1"))]);
        assert_eq!(payments_in_python(&python.load(&stream)), numbered(1..=1));
        assert_eq!(payments(&rust.load_stream(&stream).await.unwrap()), numbered(1..=1));
        rust.delete_stream(&stream).await.unwrap();
    }
}

pub(super) async fn what_python_put_into_its_outbox_is_still_published_after_rust_deleted_the_stream(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    create_with_everything(&mut python, &stream());

    rust.delete_stream(&stream()).await.unwrap();

    assert_eq!(database.number("SELECT count(*) FROM event_sourcery_outbox_entries"), Some(2));
    let published = python.publish();
    let published: Vec<_> =
        published.iter().map(|entry| (entry.event.version, entry.name.as_deref())).collect();
    assert_eq!(published, [(Some(1), stream().name()), (Some(2), stream().name())]);
}

pub(super) async fn rust_drops_what_python_put_into_its_outbox_when_asked_to(database: Database) {
    let (mut python, rust) = database.both().await;
    let other = StreamId::random();
    create_with_everything(&mut python, &stream());
    python.told(&with(append(&other, Expected::Version(0), &[event(&paid("1"))]), "outbox", true));

    rust.delete_stream(&stream()).drop_outbox().await.unwrap();

    let published: Vec<_> = python.publish().iter().map(|entry| entry.stream).collect();
    assert_eq!(published, [other.uuid()]);
}

pub(super) async fn a_stream_of_rusts_that_python_deletes_is_gone_and_begins_anew(database: Database) {
    let (mut python, rust) = database.both().await;
    rust.append(&stream(), [paid("old"), paid("old")]).await.unwrap();

    python.delete(&stream());

    assert!(rust.load_stream::<RawEvent>(&stream()).await.unwrap().is_empty());
    rust.append(&stream(), paid("1")).await.unwrap();
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=1));
    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
}

pub(super) async fn a_deleted_stream_can_begin_anew_without_versions_in_the_other_language(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    rust.append(&stream(), paid("old")).await.unwrap();
    python.delete(&stream());
    python.append(&stream(), Expected::NoVersioning, &[event(&paid("1"))]).unwrap();
    rust.append(&stream(), paid("2")).no_versioning().await.unwrap();
    assert_eq!(python.load(&stream()).len(), 2);

    rust.delete_stream(&stream()).await.unwrap();

    python.create(&stream(), &[event(&paid("1"))]);
    rust.append(&stream(), paid("2")).expected_version(1).await.unwrap();
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=2));
}

pub(super) async fn positions_of_a_newest_stream_that_python_deleted_are_given_to_nobody_again(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    let newest = StreamId::random();
    rust.append(&stream(), paid("1")).await.unwrap();
    let given = rust.append(&newest, [paid("1"), paid("2")]).await.unwrap().position.to_i64();
    assert_eq!(rust.position().await.unwrap().to_i64(), given);

    python.delete(&newest);

    assert_eq!(rust.position().await.unwrap().to_i64(), given, "what was settled stays settled");
    let next = rust.append(&newest, paid("1")).await.unwrap().position.to_i64();
    assert_eq!(next, given + 1);
    python.delete(&newest);
    python.create(&newest, &[event(&paid("1"))]);
    assert_eq!(python.position().to_i64(), next + 1, "the adopted table keeps Python's writers from it too");
}
