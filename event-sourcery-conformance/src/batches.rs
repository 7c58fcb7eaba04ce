//! Clause 8.2: one by one, or in batches; and how long a call waits.

use std::time::Duration;

use event_sourcery::{Batch, Error};
use tokio::time::{Instant, timeout};

use super::ledger::{Ledgers as _, Noted, ledger, noted, notes};
use super::running::{SOON, eventually};
use super::subject::Subject;
use super::subscribing::{InTime as _, numbers};

/// A wait that no call should make.
const LONG: Duration = Duration::from_secs(3_600);

fn assert_batch(batch: &Batch<Noted>, expected: impl IntoIterator<Item = u64>, caught_up: bool) {
    assert_eq!(numbers(&batch.events), expected.into_iter().collect::<Vec<_>>());
    assert_eq!(batch.caught_up, caught_up);
    if let Some(last) = batch.events.last() {
        assert!(batch.position >= last.position);
    }
}

pub(super) async fn clause_8_2_events_come_one_by_one_in_order(subject: Subject) {
    let store = subject.store();
    let last = store.with_ledger(&ledger("1"), 1_100).await;
    store.settled(last.position).await;
    let mut subscription = store.subscribe::<Noted>().stream();
    for number in 1..=1_100 {
        assert_eq!(subscription.next_event().await.wrapped_event.event.number, number);
    }
    assert!(subscription.until_caught_up().await.0.is_empty());
}

pub(super) async fn clause_8_2_a_batch_holds_what_is_there_and_no_more_than_asked(subject: Subject) {
    let store = subject.store();
    let last = store.with_ledger(&ledger("1"), 10).await;
    store.settled(last.position).await;
    let begun = Instant::now();
    let mut batches = store.subscribe::<Noted>().batches(4);
    assert_batch(&batches.next(LONG).await.unwrap(), 1..=4, false);
    assert_batch(&batches.next(LONG).await.unwrap(), 5..=8, false);
    // It is not full, and handed over all the same.
    assert_batch(&batches.next(LONG).await.unwrap(), 9..=10, true);
    let mut one_by_one = store.subscribe::<Noted>().batches(1);
    for number in 1..=10 {
        assert_batch(&one_by_one.next(LONG).await.unwrap(), [number], number == 10);
    }
    assert!(begun.elapsed() < SOON, "it waited {:?} for what was there", begun.elapsed());
}

pub(super) async fn clause_8_2_a_call_waits_only_for_the_first_event_and_no_longer_than_asked(
    subject: Subject,
) {
    let (store, wait) = (subject.store(), Duration::from_millis(30));
    let mut batches = store.subscribe::<Noted>().batches(4);
    let begun = Instant::now();
    assert_batch(&batches.next(wait).await.unwrap(), [], true);
    let waited = begun.elapsed();
    assert!(waited >= wait && waited < SOON, "it waited {waited:?} instead of {wait:?}");
    assert_batch(&batches.next(Duration::ZERO).await.unwrap(), [], true);

    let waiting = tokio::spawn(async move {
        let batch = batches.next(LONG).await.unwrap();
        (batch, batches)
    });
    tokio::time::sleep(wait).await;
    assert!(!waiting.is_finished());
    store.append(&ledger("1"), notes([1, 2])).await.unwrap();
    let woken = timeout(SOON, waiting).await.expect("an event ends the wait").unwrap();
    assert_batch(&woken.0, 1..=2, true);
}

pub(super) async fn clause_8_2_a_batch_that_may_fill_is_handed_over_when_it_is_full_or_time_is_up(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    let last = store.with_ledger(&stream, 5).await;
    store.settled(last.position).await;
    let fill = Duration::from_millis(40);
    let mut batches = store.subscribe::<Noted>().batches(3).fill_within(fill);
    assert_batch(&batches.next(LONG).await.unwrap(), 1..=3, false);
    let begun = Instant::now();
    assert_batch(&batches.next(LONG).await.unwrap(), 4..=5, true);
    let waited = begun.elapsed();
    assert!(waited >= fill && waited < SOON, "it gave a batch {waited:?} to fill instead of {fill:?}");
    // Nothing there yet: the time to fill begins with the first event.
    assert_batch(&batches.next(Duration::from_millis(5)).await.unwrap(), [], true);

    let mut batches = store.subscribe::<Noted>().after(batches.next(Duration::ZERO).await.unwrap().position);
    let mut patient = std::mem::replace(&mut batches, store.subscribe()).batches(3).fill_within(LONG);
    let filling = tokio::spawn(async move { patient.next(LONG).await.unwrap() });
    for number in 6..=8 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        assert!(!filling.is_finished(), "a batch is not full before {number}");
        store.append(&stream, noted(number)).expected_version(number - 1).await.unwrap();
    }
    let full = timeout(SOON, filling).await.expect("a batch that is full is handed over").unwrap();
    assert_eq!(numbers(&full.events), [6, 7, 8]);
}

pub(super) async fn clause_8_2_a_batch_holds_what_came_after_its_page_was_read_ahead(subject: Subject) {
    let (store, stream) = (subject.faulty(), ledger("1"));
    let last = store.append(&stream, notes(1..=6)).await.unwrap();
    store.erased().settled(last.position).await;
    let mut batches = store.subscribe::<Noted>().batches(4);
    assert_batch(&batches.next(LONG).await.unwrap(), 1..=4, false);
    eventually("the rest is read ahead", async || store.backend().scans() >= 2).await;
    let last = store.append(&stream, notes(7..=10)).expected_version(6).await.unwrap();
    store.erased().settled(last.position).await;
    assert_batch(&batches.next(LONG).await.unwrap(), 5..=8, false);
    assert_batch(&batches.next(LONG).await.unwrap(), 9..=10, true);
}

pub(super) async fn clause_8_2_a_batch_of_none_is_refused(subject: Subject) {
    let mut batches = subject.store().subscribe::<Noted>().batches(0);
    assert_refused!(batches.next(Duration::ZERO).await, Error::InvalidOption { option: "batches", .. });
}

pub(super) async fn clause_8_2_a_call_that_is_given_up_loses_nothing(subject: Subject) {
    const EVENTS: u64 = 60;
    let (store, stream) = (subject.store(), ledger("1"));
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for number in 1..=EVENTS {
            writer.append(&stream, noted(number)).expected_version(number - 1).await.unwrap();
            tokio::time::sleep(Duration::from_micros(700)).await;
        }
    });
    let mut subscription = store.subscribe::<Noted>().stream();
    let mut batches = store.subscribe::<Noted>().batches(3).fill_within(Duration::from_millis(2));
    let (mut singly, mut batched) = (Vec::new(), Vec::new());
    let give_up = Instant::now() + SOON;
    for round in 0.. {
        assert!(Instant::now() < give_up, "lost: {} and {} of {EVENTS} came", singly.len(), batched.len());
        if singly.len() as u64 >= EVENTS && batched.len() as u64 >= EVENTS {
            break;
        }
        let patience = Duration::from_micros(round % 12 * 150);
        if let Ok(Ok(Some(event_sourcery::Next::Event(event)))) =
            timeout(patience, subscription.try_next()).await
        {
            singly.push(event);
        }
        if let Ok(batch) = timeout(patience, batches.next(LONG)).await {
            batched.extend(batch.unwrap().events);
        }
    }
    writing.await.unwrap();
    for events in [singly, batched] {
        assert_eq!(numbers(&events), (1..=EVENTS).collect::<Vec<_>>());
    }
}

pub(super) async fn clause_8_2_a_call_may_wait_for_ever(subject: Subject) {
    let store = subject.store();
    let mut batches = store.subscribe::<Noted>().batches(2).fill_within(Duration::MAX);
    let waiting = tokio::spawn(async move { batches.next(Duration::MAX).await.unwrap() });
    for number in 1..=2 {
        store.append(&ledger("1"), noted(number)).expected_version(number - 1).await.unwrap();
    }
    let batch = timeout(SOON, waiting).await.expect("two events end the wait").unwrap();
    assert_eq!(numbers(&batch.events), [1, 2]);
}

/// Each call has less time than a read takes.
pub(super) async fn clause_8_2_calls_that_are_given_up_before_a_read_is_over_come_to_its_end_all_the_same(
    subject: Subject,
) {
    const PATIENCE: Duration = Duration::from_millis(10);
    let (store, stream) = (subject.faulty(), ledger("1"));
    let last = store.append(&stream, notes(1..=6)).await.unwrap();
    store.erased().settled(last.position).await;
    store.backend().slow_down(3 * PATIENCE);
    let (mut subscription, mut batches) =
        (store.subscribe::<Noted>().stream(), store.subscribe::<Noted>().batches(4));
    let (mut singly, mut batched) = (Vec::new(), Vec::new());
    eventually("all events have come", async || {
        if let Ok(Ok(Some(event_sourcery::Next::Event(event)))) =
            timeout(PATIENCE, subscription.try_next()).await
        {
            singly.push(event);
        }
        if let Ok(batch) = timeout(PATIENCE, batches.next(LONG)).await {
            batched.extend(batch.unwrap().events);
        }
        singly.len() >= 6 && batched.len() >= 6
    })
    .await;
    assert_eq!((numbers(&singly), numbers(&batched)), ((1..=6).collect(), (1..=6).collect()));
    // What was begun by a call that was given up does not tell what is there now.
    let _ = timeout(PATIENCE, subscription.try_next()).await;
    tokio::time::sleep(5 * PATIENCE).await;
    let last = store.append(&stream, notes(7..=7)).expected_version(6).await.unwrap();
    store.erased().settled(last.position).await;
    let next = subscription.try_next().await.unwrap().unwrap();
    assert!(
        matches!(&next, event_sourcery::Next::Event(seventh) if seventh.wrapped_event.event.number == 7),
        "{next:?}"
    );
}
