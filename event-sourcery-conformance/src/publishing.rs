//! Clauses 10.2 to 10.4: entries are published at least once, in the order of their stream, by one at a time; and what becomes of
//! those that are refused.

use std::collections::BTreeSet;
use std::time::Duration;

use event_sourcery::backend::{Backend as _, OutboxRequest};
use event_sourcery::outbox::OutboxEntry;
use event_sourcery::{Error, EventStore, Position, Result};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::ledger::{Ledgers as _, ledger, noted};
use super::outbox::publish;
use super::post::{Fate, Numbered as _, Post};
use super::running::eventually;
use super::subject::Subject;

/// A worker, until it is aborted.
fn worker(store: &EventStore, post: &Post, lease: Duration) -> JoinHandle<Result<()>> {
    let (outbox, post) = (store.outbox().lease(lease), post.clone());
    let outbox = outbox.pauses(Duration::from_millis(1), Duration::from_millis(4));
    tokio::spawn(outbox.run_forever(post))
}

/// Whether so many streams were published up to this number.
fn reached(post: &Post, streams: u64, number: u64) -> bool {
    (0..streams).all(|stream| post.numbers_of(&ledger(&stream.to_string())).contains(&number))
}

const SHORT: Duration = Duration::from_millis(150);

/// Notes 1 to so many in each of some streams, by turns.
async fn by_turns(store: &EventStore, streams: u64, length: u64) {
    let mut last = None;
    for number in 1..=length {
        for stream in 0..streams {
            let append =
                store.append(&ledger(&stream.to_string()), noted(number)).expected_version(number - 1);
            last = Some(append.await.unwrap().position);
        }
    }
    store.settled(last.unwrap()).await;
}

fn assert_all_in_order(post: &Post, streams: u64, length: u64) {
    for stream in 0..streams {
        // Repeats come behind the first, and count for none.
        let mut numbers = Vec::new();
        for number in post.numbers_of(&ledger(&stream.to_string())) {
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        assert_eq!(numbers, (1..=length).collect::<Vec<_>>(), "stream {stream}");
    }
}

pub(super) async fn clause_10_2_each_stream_is_published_in_its_order_in_batches_of_any_size(
    subject: Subject,
) {
    let store = subject.with_outbox();
    for (round, batch) in [1, 3, 100].into_iter().enumerate() {
        let post = Post::default().in_batches(batch);
        let first = u64::try_from(round).unwrap() * 20;
        let mut last = None;
        for number in first + 1..=first + 20 {
            for stream in ["1", "2", "3"] {
                let append = store.append(&ledger(stream), noted(number)).expected_version(number - 1);
                last = Some(append.await.unwrap().position);
            }
        }
        store.settled(last.unwrap()).await;
        assert_eq!(publish(&store, &post).await.entries, 60);
        for stream in ["1", "2", "3"] {
            assert_eq!(post.numbers_of(&ledger(stream)), (first + 1..=first + 20).collect::<Vec<_>>());
        }
    }
}

pub(super) async fn clause_10_2_a_refused_entry_holds_back_its_own_stream_only(subject: Subject) {
    for batch in [1, 4, 100] {
        let subject = subject.fresh().await;
        let store = subject.with_outbox();
        let is_poison =
            |entry: &OutboxEntry| entry.number() == 2 && entry.recorded().stream_id == ledger("1");
        let post = Post::that(move |entry, _| if is_poison(entry) { Fate::Refused } else { Fate::Taken });
        let post = post.in_batches(batch);
        by_turns(&store, 3, 5).await;
        publish(&store, &post).await;
        let of = |name| post.numbers_of(&ledger(name));
        assert_eq!((of("0"), of("2")), (vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]), "batches of {batch}");
        assert!(!of("1").contains(&3), "nothing overtakes: {:?}", of("1"));
        assert_eq!(store.outbox().blocked().await.unwrap().len(), 1);
    }
}

pub(super) async fn clause_10_2_many_refused_entries_of_one_batch_are_each_tried_once_a_round(
    subject: Subject,
) {
    let store = subject.with_outbox();
    let post =
        Post::that(|entry, _| if entry.number() == 1 { Fate::Refused } else { Fate::Taken }).in_batches(100);
    by_turns(&store, 30, 2).await;
    let (hour, outbox) = (Duration::from_secs(3_600), store.outbox().limit(1_000));
    let published = outbox.pauses(hour, hour).run(&post).await.unwrap();
    assert_eq!((published.entries, published.refused, published.is_away), (0, 30, false));
    assert_eq!(post.numbers(), [1; 30]);
    let attempts = store.outbox().blocked().await.unwrap();
    assert!(attempts.len() == 30 && attempts.iter().all(|blocked| blocked.attempts == 1), "{attempts:?}");
}

/// The progress does not come as far as the store: what is published again has the same id.
pub(super) async fn clause_10_2_what_was_published_and_not_taken_down_comes_again_with_its_id(
    subject: Subject,
) {
    let (store, post, length) = (subject.faulty(), Post::default(), 3);
    by_turns(&subject.with_outbox(), 1, length).await;
    // What is written with a hold is written without it where that fails.
    store.backend().lose_progress(2);
    let _ = store.outbox().lease(SHORT).run(&post).await;
    eventually("nothing is left", async || {
        publish(&subject.store(), &post).await;
        left(&subject).await == 0
    })
    .await;
    assert_all_in_order(&post, 1, length);
    let ids: BTreeSet<_> = post.ids().into_iter().collect();
    assert_eq!(ids.len() as u64, length, "a repeat has the id of the first");
    assert!(post.numbers().len() as u64 > length, "some came again");
}

/// How many entries are left.
pub(super) async fn left(subject: &Subject) -> usize {
    subject.backend().outbox(OutboxRequest::new(Position::START, 1_000)).await.unwrap().records.len()
}

pub(super) async fn clause_10_2_a_worker_that_is_killed_while_it_publishes_is_followed_by_another(
    subject: Subject,
) {
    let store = subject.with_outbox();
    by_turns(&store, 3, 4).await;
    let stuck = Post::that(|entry, _| if entry.number() == 3 { Fate::Stuck } else { Fate::Taken });
    let first = worker(&store, &stuck, SHORT);
    eventually("it is stuck", async || stuck.numbers().contains(&3)).await;
    first.abort();
    drop(first.await);
    let post = Post::default();
    let second = worker(&subject.another_store().await, &post, SHORT);
    eventually("the rest is published", async || reached(&post, 3, 4)).await;
    second.abort();
    for stream in 0..3 {
        let stream = ledger(&stream.to_string());
        let mut numbers = post.numbers_of(&stream);
        assert!(numbers.is_sorted() && numbers.contains(&4), "{numbers:?}");
        numbers.extend(stuck.numbers_of(&stream));
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }
}

pub(super) async fn clause_10_3_attempts_are_counted_and_the_entry_is_parked_listed_and_replayed(
    subject: Subject,
) {
    let (store, stream) = (subject.with_outbox(), ledger("0"));
    by_turns(&store, 1, 3).await;
    let post = Post::that(
        |entry, before| if entry.number() == 2 && before < 3 { Fate::Refused } else { Fate::Taken },
    );
    eventually("it is parked", async || {
        publish(&store, &post).await;
        !store.outbox().parked().await.unwrap().is_empty()
    })
    .await;
    let tries: Vec<_> =
        post.entries().iter().filter(|entry| entry.number() == 2).map(|entry| entry.attempt()).collect();
    assert_eq!((post.numbers(), tries), (vec![1, 2, 2, 2], vec![1, 2, 3]));
    let parked = store.outbox().parked().await.unwrap().remove(0);
    assert_eq!((&parked.stream, parked.attempts), (&stream, 3));
    assert!(parked.error.contains("too heavy"), "{}", parked.error);
    assert!(parked.event_id.is_some(), "its event is told");
    // It is kept, and nobody tries it.
    publish(&store, &post).await;
    assert_eq!(post.numbers().len(), 4);

    store.outbox().replay(&parked).await.unwrap();
    eventually("it is published", async || {
        publish(&store, &post).await;
        post.taken() == [1, 2, 3]
    })
    .await;
    assert!(store.outbox().blocked().await.unwrap().is_empty());
    assert!(matches!(store.outbox().replay(&parked).await, Err(Error::NotBlocked { .. })));
}

pub(super) async fn clause_10_3_a_skipped_entry_is_gone_and_those_behind_it_follow(subject: Subject) {
    let store = subject.with_outbox();
    by_turns(&store, 1, 3).await;
    let post = Post::that(|entry, _| if entry.number() == 1 { Fate::Refused } else { Fate::Taken });
    eventually("it is parked", async || {
        publish(&store, &post).await;
        !store.outbox().parked().await.unwrap().is_empty()
    })
    .await;
    let parked = store.outbox().parked().await.unwrap().remove(0);
    store.outbox().skip(&parked).await.unwrap();
    eventually("the others are published", async || {
        publish(&store, &post).await;
        post.taken() == [2, 3]
    })
    .await;
    assert!(store.outbox().blocked().await.unwrap().is_empty());
    assert_eq!(left(&subject).await, 0, "nothing is left of it");
}

pub(super) async fn clause_10_3_while_the_other_end_is_away_no_attempt_counts_and_everything_waits(
    subject: Subject,
) {
    let store = subject.with_outbox();
    by_turns(&store, 2, 2).await;
    let back = Instant::now() + Duration::from_millis(400);
    let post = Post::that(move |_, _| if Instant::now() < back { Fate::Away } else { Fate::Taken });
    let published = publish(&store, &post).await;
    assert!(published.is_away && published.entries == 0, "{published:?}");
    let run = worker(&store, &post, SHORT);
    eventually("all are published", async || post.taken().len() == 4).await;
    run.abort();
    assert!(post.entries().iter().all(|entry| entry.attempt() == 1));
    assert!(store.outbox().blocked().await.unwrap().is_empty());
    assert_all_in_order(&post, 2, 2);
}

pub(super) async fn clause_10_3_a_refusal_counts_though_the_other_end_is_away_behind_it(subject: Subject) {
    let store = subject.with_outbox();
    by_turns(&store, 2, 1).await;
    let is_refused = |entry: &OutboxEntry| entry.recorded().stream_id == ledger("0");
    let post = Post::that(move |entry, before| match before {
        _ if is_refused(entry) => Fate::Refused,
        0 => Fate::Away,
        _ => Fate::Taken,
    });
    let run = worker(&store, &post, Duration::from_secs(15));
    eventually("it is parked", async || !store.outbox().parked().await.unwrap().is_empty()).await;
    run.abort();
    let entries = post.entries();
    let tries = entries.iter().filter(|entry| is_refused(entry)).map(OutboxEntry::attempt);
    assert_eq!(tries.collect::<Vec<_>>(), [1, 2, 3]);
}

pub(super) async fn clause_10_3_a_publisher_that_panics_is_a_failure_of_the_entry_that_it_panics_on(
    subject: Subject,
) {
    let store = subject.with_outbox();
    by_turns(&store, 3, 1).await;
    let post = Post::that(|entry, _| {
        assert!(entry.recorded().stream_id != ledger("1"), "it is thrown away");
        Fate::Taken
    });
    let post = post.in_batches(100);
    eventually("it is parked", async || {
        publish(&store, &post).await;
        !store.outbox().parked().await.unwrap().is_empty()
    })
    .await;
    let parked = store.outbox().parked().await.unwrap();
    assert_eq!((parked.len(), &parked[0].stream), (1, &ledger("1")));
    assert!(parked[0].error.contains("thrown away"), "{}", parked[0].error);
    assert!(post.numbers_of(&ledger("0")).contains(&1) && post.numbers_of(&ledger("2")).contains(&1));
}

pub(super) async fn clause_10_4_many_workers_publish_no_entry_at_the_same_time(subject: Subject) {
    let store = subject.with_outbox();
    by_turns(&store, 20, 10).await;
    let post = Post::default().in_batches(7);
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(worker(&subject.another_store().await, &post, Duration::from_millis(400)));
    }
    eventually("all are published", async || reached(&post, 20, 10)).await;
    for worker in workers {
        assert!(!worker.is_finished(), "a worker goes on until it is told to stop");
        worker.abort();
    }
    assert_all_in_order(&post, 20, 10);
    assert_eq!(post.overlaps(), 0, "nobody publishes what another one is publishing");
}

pub(super) async fn clause_10_4_a_run_hands_over_no_more_than_its_limit_and_leaves_the_rest(
    subject: Subject,
) {
    let (store, post) = (subject.with_outbox(), Post::default().in_batches(50));
    by_turns(&store, 4, 5).await;
    for (limit, so_far) in [(0, 0), (3, 3), (10, 13), (100, 20)] {
        store.outbox().limit(limit).run(&post).await.unwrap();
        assert_eq!(post.numbers().len(), so_far, "a limit of {limit}");
    }
    assert_all_in_order(&post, 4, 5);
}

pub(super) async fn clause_10_4_a_worker_that_is_told_to_stop_finishes_what_it_is_publishing(
    subject: Subject,
) {
    let (store, post) = (subject.with_outbox(), Post::default());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(store.outbox().until(stopped).run_forever(post.clone()));
    by_turns(&store, 1, 3).await;
    eventually("they are published as they come", async || post.taken() == [1, 2, 3]).await;
    drop(stop);
    run.await.unwrap().unwrap();
    by_turns_behind(&store, 3).await;
    assert_eq!(post.taken(), [1, 2, 3]);
    publish(&store, &post).await;
    assert_eq!(post.taken(), [1, 2, 3, 4]);
}

async fn by_turns_behind(store: &EventStore, version: u64) {
    let append = store.append(&ledger("0"), noted(version + 1)).expected_version(version);
    store.settled(append.await.unwrap().position).await;
}

pub(super) async fn clause_10_4_what_was_published_can_be_kept_for_a_while_and_is_not_published_again(
    subject: Subject,
) {
    let (store, post) = (subject.with_outbox(), Post::default());
    by_turns(&store, 1, 2).await;
    let keeping = |lasting| store.outbox().keep_published(lasting);
    keeping(Duration::from_secs(3_600)).run(&post).await.unwrap();
    assert_eq!(post.taken(), [1, 2]);
    assert_eq!(publish(&store, &post).await.entries, 0);
    by_turns_behind(&store, 2).await;
    // Those that were kept go while others are published.
    keeping(Duration::ZERO).run(&post).await.unwrap();
    assert_eq!(post.taken(), [1, 2, 3]);
    store.delete_stream(&ledger("0")).await.unwrap();
    assert_eq!(publish(&store, &post).await.entries, 0);
}

pub(super) async fn clause_10_4_a_run_hands_over_a_hundred_entries_unless_told(subject: Subject) {
    let (store, post) = (subject.with_outbox(), Post::default().in_batches(7));
    by_turns(&store, 3, 35).await;
    for entries in [100, 5, 0] {
        assert_eq!(store.outbox().run(&post).await.unwrap().entries, entries);
    }
    assert_all_in_order(&post, 3, 35);
}

/// Its leases are renewed meanwhile. On PostgreSQL its locks on rows are not: nobody of ours goes by them. One of three tries is enough:
/// a machine that stands still costs a lease.
pub(super) async fn clause_10_4_a_publisher_that_is_slower_than_the_lease_is_alone_with_its_entries(
    subject: Subject,
) {
    let (store, another) = (subject.with_outbox(), subject.another_store().await);
    let lease = Duration::from_millis(300);
    for number in 1..=3 {
        let append = store.append(&ledger("0"), noted(number)).expected_version(number - 1);
        store.settled(append.await.unwrap().position).await;
        let post = Post::that(move |_, _| Fate::Late(lease * 2));
        let workers = [worker(&store, &post, lease), worker(&another, &post, lease)];
        eventually("nothing is left", async || left(&subject).await == 0).await;
        workers.iter().for_each(JoinHandle::abort);
        if (post.numbers(), post.overlaps()) == (vec![number], 0) {
            return;
        }
    }
    panic!("it was not alone");
}
