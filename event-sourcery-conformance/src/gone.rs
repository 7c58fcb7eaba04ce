//! Clause 5.3: what was deleted is not handed over any more, however far ahead it was read.

use std::time::Duration;

use event_sourcery::EventStore;

use super::ledger::{Ledgers as _, Noted, ledger, noted, notes};
use super::running::{Handled, Running, eventually, letters};
use super::subject::Subject;
use super::subscribing::{InTime as _, numbers};

/// A wait that no call should make.
const LONG: Duration = Duration::from_secs(3_600);

/// Two streams by turns, so many events each: even numbers in one that goes, odd numbers in one that stays.
async fn mixed(store: &EventStore, pairs: u64) {
    for pair in 0..pairs {
        store.append(&ledger("goes"), noted(2 * pair)).no_versioning().await.unwrap();
        let appended = store.append(&ledger("stays"), noted(2 * pair + 1)).no_versioning().await.unwrap();
        store.settled(appended.position).await;
    }
}

pub(super) async fn clause_5_3_nothing_of_a_deleted_stream_comes_one_by_one(subject: Subject) {
    let store = subject.store();
    mixed(&store, 4).await;
    let mut subscription = store.subscribe::<Noted>().stream();
    assert_eq!(subscription.next_event().await.wrapped_event.event.number, 0);
    store.delete_stream(&ledger("goes")).await.unwrap();
    let (rest, _) = subscription.until_caught_up().await;
    assert_eq!(numbers(&rest), [1, 3, 5, 7]);
    // What is made anew is another stream, and comes.
    store.append(&ledger("goes"), notes([20, 21])).await.unwrap();
    for number in [20, 21] {
        assert_eq!(subscription.next_event().await.wrapped_event.event.number, number);
    }
}

pub(super) async fn clause_5_3_what_is_made_anew_comes_though_its_namesake_was_read_ahead(subject: Subject) {
    let store = subject.store();
    mixed(&store, 3).await;
    let mut subscription = store.subscribe::<Noted>().stream();
    assert_eq!(subscription.next_event().await.wrapped_event.event.number, 0);
    store.delete_stream(&ledger("goes")).await.unwrap();
    let appended = store.append(&ledger("goes"), notes([20, 21])).await.unwrap();
    store.settled(appended.position).await;
    let (rest, _) = subscription.until_caught_up().await;
    assert_eq!(numbers(&rest), [1, 3, 5, 20, 21]);
}

pub(super) async fn clause_5_3_nothing_of_a_deleted_stream_comes_in_batches_and_they_are_full(
    subject: Subject,
) {
    let store = subject.faulty();
    mixed(&store.erased(), 6).await;
    let before = store.backend().scans();
    let mut batches = store.subscribe::<Noted>().batches(4);
    assert_eq!(numbers(&batches.next(LONG).await.unwrap().events), [0, 1, 2, 3]);
    eventually("the rest is read ahead", async || store.backend().scans() >= before + 3).await;
    store.delete_stream(&ledger("goes")).await.unwrap();
    let batch = batches.next(LONG).await.unwrap();
    assert_eq!((numbers(&batch.events), batch.caught_up), (vec![5, 7, 9, 11], true));
}

pub(super) async fn clause_5_3_nothing_of_a_deleted_stream_comes_to_a_handler(subject: Subject) {
    let (store, handled) = (subject.store(), Handled::default());
    mixed(&store, 5).await;
    let (deleting, noting) = (store.clone(), handled.clone());
    let run = Running::start(letters(&store), move |recorded, _| {
        let (store, handled) = (deleting.clone(), noting.clone());
        async move {
            handled.note(&recorded);
            if recorded.wrapped_event.event.number == 3 {
                store.delete_stream(&ledger("goes")).await?;
            }
            Ok(())
        }
    });
    handled.reach(7).await;
    store.append(&ledger("goes"), notes([20, 21])).await.unwrap();
    handled.reach(9).await;
    run.stop().await;
    assert_eq!(handled.numbers(), [0, 1, 2, 3, 5, 7, 9, 20, 21]);
    assert!(letters(&store).blocked().await.unwrap().is_empty());
}

pub(super) async fn clause_5_3_nothing_of_a_deleted_stream_comes_from_what_all_read_together(
    subject: Subject,
) {
    let store = subject.store();
    mixed(&store, 1).await;
    let mut behind = store.subscribe::<Noted>().stream();
    behind.until_caught_up().await;
    let mut ahead = store.subscribe::<Noted>().stream();
    ahead.until_caught_up().await;
    // They have caught up, and one of them reads on with the others.
    for number in 10..16 {
        let writer = store.clone();
        let stream = ledger(if number % 2 == 0 { "goes" } else { "stays" });
        let writing =
            tokio::spawn(async move { writer.append(&stream, noted(number)).no_versioning().await.unwrap() });
        assert_eq!(ahead.next_event().await.wrapped_event.event.number, number);
        writing.await.unwrap();
        ahead.until_caught_up().await;
    }
    store.delete_stream(&ledger("goes")).await.unwrap();
    assert_eq!(numbers(&behind.until_caught_up().await.0), [11, 13, 15]);
}
