//! Positions that Python's open transactions have drawn: nobody is handed an event above them.

use std::time::{Duration, Instant};

use event_sourcery::{EventStore, Position, StreamId};
use reference::invoicing::{Paid, paid};
use reference::{Expected, Python, SharedDatabase as _, append, event};
use serde_json::json;

use super::postgres::Postgres;

/// How long something may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Positions and numbers of what a reader is handed above a position.
async fn read_above(rust: &EventStore, position: Position) -> Vec<(i64, String)> {
    let (mut all, mut read) = (rust.read_all::<Paid>().after(position).stream(), Vec::new());
    while let Some(recorded) = all.try_next().await.unwrap() {
        read.push((recorded.position.to_i64(), recorded.wrapped_event.event.number));
    }
    read
}

/// What Python appends is in the database, and not committed; what Rust appends above it is.
async fn append_below_and_above(python: &mut Python, rust: &EventStore) {
    python.begin();
    python.append(&StreamId::random(), Expected::Version(0), &[event(&paid("python"))]).unwrap();
    let above = rust.append(&StreamId::random(), paid("rust")).await.unwrap();
    assert_eq!(above.position.to_i64(), 2);
    for _ in 0..3 {
        assert_eq!(rust.position().await.unwrap(), Position::START);
        assert_eq!(read_above(rust, Position::START).await, []);
    }
}

async fn until_settled(rust: &EventStore, position: i64) {
    let deadline = Instant::now() + PATIENCE;
    while rust.position().await.unwrap().to_i64() < position {
        assert!(Instant::now() < deadline, "position {position} did not settle");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_above_one_that_python_has_not_committed_is_handed_out_after_it() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    append_below_and_above(&mut python, &rust).await;

    python.commit();

    until_settled(&rust, 2).await;
    let expected = [(1, "python".to_owned()), (2, "rust".to_owned())];
    assert_eq!(read_above(&rust, Position::START).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_above_one_that_python_takes_back_is_handed_out_without_it() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    append_below_and_above(&mut python, &rust).await;

    python.rollback();

    until_settled(&rust, 2).await;
    assert_eq!(read_above(&rust, Position::START).await, [(2, "rust".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_above_one_that_python_left_uncommitted_when_it_ended_is_handed_out() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    append_below_and_above(&mut python, &rust).await;

    drop(python);

    until_settled(&rust, 2).await;
    assert_eq!(read_above(&rust, Position::START).await, [(2, "rust".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_pythons_that_only_reads_delays_nobody() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    python.begin();
    assert!(python.load(&StreamId::random()).is_empty());

    let appended = rust.append(&StreamId::random(), paid("rust")).await.unwrap();

    until_settled(&rust, appended.position.to_i64()).await;
    python.rollback();
}

/// Transactions of Python's, sent at once: each stays open for a while after it has drawn its position.
fn send_appends(python: &mut Python, stream: &StreamId, count: usize) {
    for number in 0..count {
        let paid = paid(format!("{} {number}", stream.name().unwrap()));
        python.send(&json!({"do": "begin"}));
        python.send(&append(stream, Expected::NoVersioning, &[event(&paid)]));
        for _ in 0..3 {
            python.send(&json!({"do": "load", "stream": {"name": "unknown"}}));
        }
        python.send(&json!({"do": "commit"}));
    }
}

fn expect_answers(python: &mut Python, count: usize) {
    for _ in 0..count * 6 {
        python.answer().unwrap();
    }
}

/// The reference's own subscription loses events in this; ours is handed each one, in order, while both write.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_follows_is_handed_every_event_of_both_once_and_in_order() {
    const EACH: usize = 60;
    let database = Postgres::create().await;
    let (first, rust) = database.both().await;
    let mut pythons = [first, database.python(), database.python()];
    for (python, writer) in pythons.iter_mut().zip(0..) {
        send_appends(python, &StreamId::from_name(format!("python/{writer}")).unwrap(), EACH);
    }
    let stream = StreamId::from_name("rust").unwrap();
    let (mut ours, mut at, mut read) = (0, Position::START, Vec::new());
    let deadline = Instant::now() + PATIENCE;
    while read.len() < EACH * pythons.len() + ours {
        assert!(Instant::now() < deadline, "events are missing: {} of ours and {read:?}", ours);
        if ours < EACH {
            rust.append(&stream, paid(format!("rust {ours}"))).no_versioning().await.unwrap();
            ours += 1;
        }
        for (position, number) in read_above(&rust, at).await {
            assert!(position > at.to_i64(), "{number} at {position} after {at:?}");
            at = Position::from_i64(position);
            read.push(number);
        }
    }

    for python in &mut pythons {
        expect_answers(python, EACH);
    }
    assert!(read_above(&rust, at).await.is_empty());
    let stored = database.texts("SELECT data ->> 'number' FROM event_sourcery_events ORDER BY id");
    assert_eq!(read, stored);
}
