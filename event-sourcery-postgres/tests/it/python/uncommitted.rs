//! Positions that Python's open transactions have drawn: nobody is handed an event above them.

use event_sourcery::{EventStore, Position, StreamId};
use reference::invoicing::{Paid, paid};
use reference::{Expected, Python, SharedDatabase as _, append, event};

use super::postgres::{Postgres, until};

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
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while rust.position().await.unwrap().to_i64() < position {
        assert!(std::time::Instant::now() < deadline, "position {position} did not settle");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
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
async fn an_event_above_one_that_a_killed_python_had_not_committed_is_handed_out() {
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

/// The reference's own subscription loses such events; ours is handed each one, in order, while both write.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_follows_is_handed_every_event_of_both_once_and_in_order() {
    const EACH: usize = 60;
    let database = Postgres::create().await;
    let (first, rust) = database.both().await;
    let mut pythons = [first, database.python(), database.python()];
    for (python, writer) in pythons.iter_mut().zip(0..) {
        let stream = StreamId::from_name(format!("python/{writer}")).unwrap();
        for number in 0..EACH {
            python.send(&append(
                &stream,
                Expected::NoVersioning,
                &[event(&paid(format!("python {writer} {number}")))],
            ));
        }
    }
    let ours = tokio::spawn({
        let rust = rust.clone();
        async move {
            for number in 0..EACH {
                let stream = StreamId::from_name("rust").unwrap();
                rust.append(&stream, paid(format!("rust {number}"))).no_versioning().await.unwrap();
            }
        }
    });

    let (mut at, mut read) = (Position::START, Vec::new());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while read.len() < EACH * 4 {
        assert!(std::time::Instant::now() < deadline, "events are missing: {}", read.len());
        for (position, number) in read_above(&rust, at).await {
            assert!(position > at.to_i64(), "{number} at {position} after {at:?}");
            at = Position::from_i64(position);
            read.push(number);
        }
    }

    ours.await.unwrap();
    for python in &mut pythons {
        for _ in 0..EACH {
            python.answer().unwrap();
        }
    }
    until(|| database.number("SELECT count(*) FROM event_sourcery_events") == Some(EACH as i64 * 4)).await;
    read.sort();
    read.dedup();
    assert_eq!(read.len(), EACH * 4);
}
