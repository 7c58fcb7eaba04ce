//! What PostgreSQL refuses to Python.

use event_sourcery::{RawEvent, StreamId};
use reference::invoicing::{Paid, Summary, numbered, paid, payments};
use reference::{Expected, SharedDatabase as _, event, payments_in_python, place};
use serde_json::json;

use super::postgres::Postgres;

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// A snapshot refers to its stream. In SQLite nobody looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_a_snapshot_can_be_deleted_by_rust_only() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    python.create(&stream(), &[event(&paid("old")), event(&paid("old"))]);
    python.snapshot(&stream(), 2, &event(&Summary { payments: 2 }));

    let refused = python.ask(&json!({"do": "delete", "stream": place(&stream())})).unwrap_err();
    assert_eq!(refused.error, "IntegrityError");
    rust.delete_stream(&stream()).await.unwrap();

    assert!(python.load(&stream()).is_empty());
    python.create(&stream(), &[event(&paid("1"))]);
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=1));
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_rusts_keeps_python_from_deleting_the_stream() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    rust.append(&stream(), paid("1")).await.unwrap();
    rust.save_snapshot(&stream(), 1, Summary { payments: 1 }).await.unwrap();

    let refused = python.ask(&json!({"do": "delete", "stream": place(&stream())})).unwrap_err();

    assert_eq!(refused.error, "IntegrityError");
    assert_eq!(payments(&rust.load_stream::<Paid>(&stream()).await.unwrap()), numbered(1..=1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_jsonb_cannot_hold_leaves_nothing_behind() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    let nan = json!({"type": "Measured", "fields": {"weight": "nan"}});
    let nul = event(&paid("\0"));

    for unstorable in [nan, nul] {
        let refused = python.append(&stream(), Expected::Version(0), &[unstorable]).unwrap_err();
        assert_eq!(refused.error, "DataError", "{}", refused.message);
    }

    assert!(rust.load_stream::<RawEvent>(&stream()).await.unwrap().is_empty());
    rust.append(&stream(), paid("1")).await.unwrap();
    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
}
