//! One language reads the other's snapshots.

use event_sourcery::{Error, StreamId};
use serde_json::json;

use crate::invoicing::{Paid, Summarised, Summary, numbered, paid, payments};
use crate::run::Database;
use crate::{Expected, event, payments_in_python};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

fn summary(payments: u32) -> Summarised {
    Summary { payments }.into()
}

pub(super) async fn rust_starts_at_pythons_snapshot_when_it_knows_its_type(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2"))]);
    python.snapshot(&stream(), 2, &event(&Summary { payments: 2 }));
    python.append(&stream(), Expected::Version(2), &[event(&paid("3"))]).unwrap();

    let events = rust.load_stream::<Summarised>(&stream()).await.unwrap();

    let events: Vec<_> = events.into_iter().map(|event| (event.event, event.version)).collect();
    assert_eq!(events, [(summary(2), Some(2)), (paid("3").into(), Some(3))]);
}

pub(super) async fn rust_reads_the_full_history_behind_pythons_snapshot(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2")), event(&paid("3"))]);
    python.snapshot(&stream(), 2, &event(&Summary { payments: 2 }));

    assert_eq!(
        payments(&rust.load_stream(&stream()).await.unwrap()),
        numbered(1..=3),
        "its type does not know it"
    );
    let asked_for = rust.load_stream::<Summarised>(&stream()).full_history().await.unwrap();
    assert_eq!(asked_for.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2, 3].map(Some));
    assert!(asked_for.iter().all(|event| matches!(event.event, Summarised::Paid(_))));
    assert_eq!(payments(&rust.load_stream(&stream()).versions(1..=2).await.unwrap()), numbered(1..=2));
}

pub(super) async fn the_newest_snapshot_by_version_wins_whichever_was_saved_last(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2")), event(&paid("3"))]);
    python.snapshot(&stream(), 3, &event(&Summary { payments: 3 }));
    python.snapshot(&stream(), 1, &event(&Summary { payments: 1 }));

    let ours = rust.load_stream::<Summarised>(&stream()).await.unwrap();

    assert_eq!(ours.iter().map(|event| event.event.clone()).collect::<Vec<_>>(), [summary(3)]);
    assert_eq!(python.load(&stream())[0].version, Some(1), "the reference goes by the time it was taken");
}

pub(super) async fn python_starts_at_rusts_snapshot(database: Database) {
    let (mut python, rust) = database.both().await;
    rust.append(&stream(), [paid("1"), paid("2"), paid("3")]).await.unwrap();
    rust.save_snapshot(&stream(), 2, Summary { payments: 2 }).await.unwrap();

    let loaded = python.load(&stream());

    assert_eq!(loaded.iter().map(|event| event.class.as_str()).collect::<Vec<_>>(), ["Summary", "Paid"]);
    assert_eq!(loaded[0].fields, json!({"payments": 2}));
    assert_eq!(loaded.iter().map(|event| event.version).collect::<Vec<_>>(), [Some(2), Some(3)]);
    python.append(&stream(), Expected::Version(3), &[event(&paid("4"))]).unwrap();
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=4));
}

/// The reference takes a snapshot for any version; ours only for one that the stream has reached.
pub(super) async fn a_snapshot_of_pythons_above_the_streams_version_is_ignored_until_the_stream_gets_there(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1"))]);
    python.snapshot(&stream(), 2, &event(&Summary { payments: 2 }));

    let before = rust.load_stream::<Summarised>(&stream()).await.unwrap();
    assert_eq!(before.iter().map(|event| event.event.clone()).collect::<Vec<_>>(), [paid("1").into()]);
    let refused = rust.save_snapshot(&stream(), 2, Summary { payments: 2 }).await;
    assert!(matches!(refused, Err(Error::SnapshotVersionMismatch { actual: Some(1), .. })), "{refused:?}");
    rust.append(&stream(), paid("2")).expected_version(1).await.unwrap();
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
}

pub(super) async fn a_snapshot_that_does_not_fit_rusts_type_is_passed_over(database: Database) {
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("1")), event(&paid("2"))]);
    python.snapshot(&stream(), 1, &event(&Summary { payments: 1 }));
    python.snapshot(&stream(), 2, &event(&Summary { payments: 2 }));
    database.run("UPDATE event_sourcery_snapshots SET data = '{\"formerly\": 2}' WHERE version = 2");

    let events = rust.load_stream::<Summarised>(&stream()).await.unwrap();

    let events: Vec<_> = events.into_iter().map(|event| event.event).collect();
    assert_eq!(events, [summary(1), paid("2").into()]);
    assert_eq!(
        python.ask(&json!({"do": "load", "stream": {"name": "invoices/1003"}})).unwrap_err().error,
        "ValidationError"
    );
}

pub(super) async fn a_snapshot_of_a_type_that_python_does_not_know_makes_the_stream_unreadable_there(
    database: Database,
) {
    let (mut python, rust) = database.both().await;
    rust.append(&stream(), paid("1")).await.unwrap();
    let foreign = event_sourcery::RawEvent::new("invoicing.OnlyInRust", "{}").unwrap();
    rust.save_snapshot(&stream(), 1, foreign).await.unwrap();

    let refused = python.ask(&json!({"do": "load", "stream": {"name": "invoices/1003"}})).unwrap_err();

    assert_eq!(refused.error, "KeyError");
    assert_eq!(payments(&rust.load_stream::<Paid>(&stream()).await.unwrap()), numbered(1..=1));
    assert!(payments_in_python(&python.load(&StreamId::random())).is_empty());
}
