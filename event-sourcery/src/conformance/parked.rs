//! Clauses 8.8 and 5.1: parked events are replayed or skipped, and go with their stream.

use super::ledger::{ledger, noted, notes};
use super::running::{Handled, Running, Settings, eventually, letters};
use super::subject::Subject;
use crate::store::EventStore;
use crate::stream_id::StreamId;

/// A run that has parked the second of four events, and fails on it until it is told to do otherwise.
async fn with_parked(store: &EventStore, stream: &StreamId, handled: &Handled) -> Running {
    store.append(stream, notes(1..=4)).await.unwrap();
    let settings = Settings { attempts: 2, ..Settings::default() };
    let run = Running::planned(settings.of(store.subscribe()), handled, |item, before| match item.number {
        2 if before < 2 => Err("not yet".into()),
        _ => Ok(()),
    });
    eventually("it is parked", async || {
        letters(store).parked().await.unwrap().iter().any(|parked| parked.stream == *stream)
    })
    .await;
    assert_eq!(handled.of(stream), [1, 2, 2]);
    run
}

pub(super) async fn clause_8_8_a_replayed_event_is_followed_by_those_behind_it(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let run = with_parked(&store, &stream, &handled).await;
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    let another = subject.another_store().await;
    let parked = letters(&another).parked().await.unwrap();
    letters(&another).replay(&parked[0]).await.unwrap();
    handled.reach(7).await;
    store.append(&stream, noted(6)).expected_version(5).await.unwrap();
    handled.reach(8).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 2, 3, 4, 5, 6]);
    assert!(letters(&store).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_8_8_a_skipped_event_is_left_out_and_those_behind_it_follow(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let run = with_parked(&store, &stream, &handled).await;
    let parked = letters(&store).parked().await.unwrap();
    letters(&store).skip(&parked[0]).await.unwrap();
    handled.reach(5).await;
    store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    handled.reach(6).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 3, 4, 5]);
    assert!(letters(&store).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_8_8_what_nobody_runs_can_be_replayed_and_is_handled_by_the_next_run(
    subject: Subject,
) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    with_parked(&store, &stream, &handled).await.stop().await;
    let parked = letters(&store).parked().await.unwrap();
    letters(&store).replay(&parked[0]).await.unwrap();
    assert!(letters(&store).parked().await.unwrap().is_empty());
    assert_eq!(letters(&store).blocked().await.unwrap()[0].attempts, 0);
    let run = Running::noting(letters(&store), &handled);
    handled.reach(6).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [1, 2, 2, 2, 3, 4]);
}

pub(super) async fn clause_5_1_a_deleted_streams_parked_events_are_gone(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    let elsewhere = stream.clone().in_category("red").unwrap();
    with_parked(&store, &elsewhere, &handled).await.stop().await;
    handled.forget();
    let run = with_parked(&store, &stream, &handled).await;
    store.delete_stream(&stream).await.unwrap();
    let left = letters(&store).blocked().await.unwrap();
    assert_eq!(left.iter().map(|blocked| &blocked.stream).collect::<Vec<_>>(), [&elsewhere]);
    // Made anew, it is handled as any other, while the same run goes on.
    handled.forget();
    store.append(&stream, notes(11..=14)).await.unwrap();
    handled.reach(4).await;
    assert_eq!(handled.numbers(), [11, 12, 13, 14]);
    store.append(&stream, noted(15)).expected_version(4).await.unwrap();
    handled.reach(5).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [11, 12, 13, 14, 15]);
}

pub(super) async fn clause_5_1_what_was_deleted_while_it_was_parked_is_not_waited_for(subject: Subject) {
    let (store, stream, handled) = (subject.store(), ledger("1"), Handled::default());
    with_parked(&store, &stream, &handled).await.stop().await;
    store.delete_stream(&stream).await.unwrap();
    store.append(&stream, notes(11..=12)).await.unwrap();
    handled.forget();
    let run = Running::noting(letters(&store), &handled);
    handled.reach(2).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [11, 12]);
}
