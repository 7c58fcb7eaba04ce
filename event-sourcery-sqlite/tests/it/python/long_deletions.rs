//! A long stream that Rust has deleted, while its rows are still there.

use std::time::{Duration, Instant};

use event_sourcery::{EventStore, StreamId};

use reference::invoicing::{numbered, paid, payments};
use reference::{Python, SharedDatabase as _, event, payments_in_python};

use super::shared_file::SharedFile;

/// So many that most are there still when the store is closed.
const MANY: u64 = 40_000;

const ROWS: &str = "SELECT count(*) FROM event_sourcery_events";

fn long() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap().in_category("invoices").unwrap()
}

/// A file with what is left of a long stream, and nobody who removes it.
async fn with_leftovers() -> (SharedFile, Python) {
    let file = SharedFile::create().await;
    let (python, rust) = file.both().await;
    fill(&rust).await;
    rust.delete_stream(&long()).await.unwrap();
    drop(rust);
    assert!(file.number(ROWS) > Some(2), "everything was removed before the store was closed");
    (file, python)
}

async fn fill(rust: &EventStore) {
    for first in (0..MANY).step_by(2_000) {
        let payments: Vec<_> = (first..first + 2_000).map(|number| paid(number.to_string())).collect();
        rust.append(&long(), payments).expected_version(first).await.unwrap();
    }
}

#[tokio::test]
async fn python_sees_nothing_of_it_and_begins_another_one_under_its_name() {
    let (file, mut python) = with_leftovers().await;
    assert!(python.load(&long()).is_empty());
    python.create(&long(), &[event(&paid("1"))]);
    assert_eq!(payments_in_python(&python.load(&long())), numbered(1..=1));
    assert!(file.number(ROWS) > Some(1), "what is left is Rust's to remove");

    let (rust, give_up) = (file.rust().await, Instant::now() + Duration::from_secs(60));
    assert_eq!(payments(&rust.load_stream(&long()).await.unwrap()), numbered(1..=1));
    while file.number(ROWS) > Some(1) {
        assert!(Instant::now() < give_up, "it is never removed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(payments_in_python(&python.load(&long())), numbered(1..=1));
    rust.append(&long(), paid("2")).expected_version(1).await.unwrap();
    assert_eq!(payments_in_python(&python.load(&long())), numbered(1..=2));
}

/// In its own transaction, and by nothing but the id.
#[tokio::test]
async fn what_python_deletes_meanwhile_is_its_own_stream_and_nothing_that_is_left() {
    let (file, mut python) = with_leftovers().await;
    let left = file.number(ROWS);
    python.delete(&long());
    assert_eq!(file.number(ROWS), left);
    python.create(&long(), &[event(&paid("1"))]);
    python.delete(&long());
    assert_eq!(file.number(ROWS), left);
    assert!(python.load(&long()).is_empty());
}
