//! Clauses 3.1 and 11.2: streams that are too long to be read at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_sourcery::backend::{Expectation, LoadedStream, Span};
use event_sourcery::{EventStore, StreamId};

use super::ledger::{Ledgers as _, append_request, ledger, load_request, noted, notes};
use super::steps::{Answer, Ending, Step};
use super::subject::Subject;
use super::tally::{stream_of, tallies, tally};

/// How many events such a stream has.
const LONG: u64 = 5_000;

async fn append(store: &EventStore, stream: &StreamId, versioned: bool) {
    for first in (0..LONG).step_by(1_000) {
        let append = store.append(stream, notes(first..first + 1_000));
        if versioned { append.expected_version(first).await } else { append.no_versioning().await }.unwrap();
    }
}

fn versions(loaded: &LoadedStream) -> Vec<Option<u64>> {
    loaded.events.iter().map(|event| event.version).collect()
}

pub(super) async fn clause_3_1_a_long_stream_is_loaded_whole_and_in_order(subject: Subject) {
    let store = subject.store();
    for (name, versioned) in [("1", true), ("2", false)] {
        let stream = ledger(name);
        append(&store, &stream, versioned).await;
        assert_eq!(store.numbers(&stream).await, (0..LONG).collect::<Vec<_>>());
        let request = load_request(&stream, Span::Full);
        let (at_once, mut in_parts) =
            (subject.backend().load(request.clone()).await.unwrap(), LoadedStream::default());
        subject.backend().load_in_parts(request, &mut in_parts).await.unwrap();
        assert_eq!(at_once.events.len(), in_parts.events.len());
        assert!(
            at_once.events.iter().zip(&in_parts.events).all(|(one, other)| one.position == other.position)
        );
        assert!(!at_once.has_more && !in_parts.has_more);
    }
}

pub(super) async fn clause_2_11_a_transaction_reads_a_long_stream_with_what_it_has_written(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    append(&store, &stream, true).await;
    let request = || load_request(&stream, Span::Full);
    let steps = vec![
        Step::Append(append_request(&stream, Expectation::Version(LONG), &[LONG])),
        Step::Load(request()),
        Step::LoadInParts(request()),
    ];
    let answers = subject.transaction(steps, Ending::Fail).await.unwrap();
    let read: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Ok(Answer::Loaded(loaded)) => Some(versions(loaded)),
            _ => None,
        })
        .collect();
    let all: Vec<_> = (1..=LONG + 1).map(Some).collect();
    assert_eq!(read, [all.clone(), all]);
    assert_eq!(store.numbers(&stream).await.len() as u64, LONG);
}

/// A stream is deleted and made anew, again and again, while it is loaded: no load has events of both.
pub(super) async fn clause_3_1_a_long_read_is_as_of_one_moment(subject: Subject) {
    let (store, another, stream) = (subject.store(), subject.another_store().await, ledger("1"));
    append(&store, &stream, true).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (written, until) = (stream.clone(), Arc::clone(&is_over));
    let writer = tokio::spawn(async move {
        let mut number = LONG;
        while !until.load(Ordering::SeqCst) {
            another.delete_stream(&written).await.unwrap();
            another.append(&written, notes(number..number + LONG)).await.unwrap();
            number += LONG;
        }
        number / LONG
    });
    for _ in 0..30 {
        let numbers = store.numbers(&stream).await;
        if let Some(first) = numbers.first().copied() {
            assert!(first.is_multiple_of(LONG), "{first} was read first");
            assert!(numbers.into_iter().eq(first..first + LONG), "events are missing, or of another stream");
        }
    }
    is_over.store(true, Ordering::SeqCst);
    assert!(writer.await.unwrap() > 1, "nothing was written meanwhile");
}

pub(super) async fn clause_11_2_an_aggregate_with_a_long_history_is_loaded(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    append(&store, &stream_of(&id), true).await;
    let tallies = tallies(&store);
    let sum_to = |last: u64| last * (last - 1) / 2;
    let loaded = tallies.load(&id).await.unwrap();
    assert_eq!((loaded.sum, loaded.notes, loaded.version()), (sum_to(LONG), LONG, LONG));
    let earlier = tallies.load(&id).at_version(LONG - 700).await.unwrap();
    assert_eq!((earlier.sum, earlier.version()), (sum_to(LONG - 700), LONG - 700));
    store.append(&stream_of(&id), noted(1)).expected_version(LONG).await.unwrap();
    assert_eq!(tallies.load(&id).await.unwrap().notes, LONG + 1);
}
