//! Snapshots that outlive their stream. The reference leaves them, and SQLite gives the number of the deleted row to
//! the next stream, which so inherits them.

use event_sourcery::{Event as _, StreamId};

use reference::invoicing::{Paid, Summarised, Summary, numbered, paid, payments};
use reference::{Expected, Python, SharedDatabase as _, append, event, payments_in_python, with};

use super::shared_file::SharedFile;

fn deleted() -> StreamId {
    StreamId::from_name("deleted").unwrap()
}

fn heir() -> StreamId {
    StreamId::from_name("heir").unwrap()
}

/// A stream with a snapshot at version 2, deleted by Python.
fn leave_a_snapshot(file: &SharedFile, python: &mut Python) {
    python.create(&deleted(), &[event(&paid("old")), event(&paid("old"))]);
    python.snapshot(&deleted(), 2, &event(&Summary { payments: 2 }));
    python.delete(&deleted());
    assert_eq!(file.number("SELECT count(*) FROM event_sourcery_snapshots"), Some(1));
}

fn is_inherited(file: &SharedFile) -> bool {
    let sql =
        "SELECT count(*) FROM event_sourcery_snapshots JOIN event_sourcery_streams ON id = db_stream_id";
    file.number(sql) == Some(1)
}

fn only_paid(events: Vec<event_sourcery::WrappedEvent<Summarised>>) -> Vec<(String, Option<u64>)> {
    let number = |event: Summarised| match event {
        Summarised::Paid(Paid { number }) => number,
        Summarised::Summary(summary) => format!("{summary:?}"),
    };
    events.into_iter().map(|event| (number(event.event), event.version)).collect()
}

#[tokio::test]
async fn an_inherited_snapshot_above_the_streams_version_is_ignored() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    leave_a_snapshot(&file, &mut python);
    python.create(&heir(), &[event(&paid("1"))]);
    assert!(is_inherited(&file));
    assert_eq!(python.load(&heir())[0].class, "Summary", "the reference reads what is not the stream's");

    assert_eq!(only_paid(rust.load_stream(&heir()).await.unwrap()), numbered(1..=1));
}

#[tokio::test]
async fn an_inherited_snapshot_older_than_the_streams_first_event_is_ignored() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    leave_a_snapshot(&file, &mut python);
    python.create(&heir(), &[event(&paid("1")), event(&paid("2")), event(&paid("3"))]);
    assert!(is_inherited(&file));

    assert_eq!(only_paid(rust.load_stream(&heir()).await.unwrap()), numbered(1..=3));

    rust.save_snapshot(&heir(), 1, Summary { payments: 1 }).await.unwrap();
    let from_its_own = rust.load_stream::<Summarised>(&heir()).await.unwrap();
    assert_eq!(from_its_own[0].event, Summary { payments: 1 }.into());
    assert_eq!(from_its_own.len(), 3);
}

#[tokio::test]
async fn a_stream_that_rust_creates_inherits_nothing() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    leave_a_snapshot(&file, &mut python);

    // Imported: its events are older than the snapshot.
    let long_ago: jiff::Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
    let events = ["1", "2", "3"].map(|number| paid(number).with_created_at(long_ago));
    rust.append(&heir(), events).await.unwrap();

    assert_eq!(only_paid(rust.load_stream(&heir()).await.unwrap()), numbered(1..=3));
    assert_eq!(payments_in_python(&python.load(&heir())), numbered(1..=3));
    assert_eq!(file.number("SELECT count(*) FROM event_sourcery_snapshots"), Some(0));
}

#[tokio::test]
async fn a_row_without_events_passes_no_inheritance_on() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    leave_a_snapshot(&file, &mut python);
    let refused = append(&heir(), Expected::Version(5), &[event(&paid("6"))]);
    python.ask(&with(refused, "goes_on_after_refusal", true)).unwrap_err();
    assert!(is_inherited(&file));

    rust.append(&heir(), paid("1")).await.unwrap();

    assert_eq!(payments_in_python(&python.load(&heir())), numbered(1..=1));
    assert_eq!(only_paid(rust.load_stream(&heir()).await.unwrap()), numbered(1..=1));
}

#[tokio::test]
async fn a_snapshot_of_rusts_does_not_come_back_when_python_deleted_the_stream() {
    let file = SharedFile::create().await;
    let (mut python, rust) = file.both().await;
    rust.append(&deleted(), [paid("old"), paid("old")]).await.unwrap();
    rust.save_snapshot(&deleted(), 2, Summary { payments: 2 }).await.unwrap();
    python.delete(&deleted());

    rust.append(&deleted(), [paid("1"), paid("2")]).await.unwrap();

    assert_eq!(only_paid(rust.load_stream(&deleted()).await.unwrap()), numbered(1..=2));
    assert_eq!(payments(&rust.load_stream(&deleted()).await.unwrap()), numbered(1..=2));
    assert_eq!(payments_in_python(&python.load(&deleted())), numbered(1..=2));
}
