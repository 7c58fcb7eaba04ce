//! Clause 10.2: wherever a worker of the outbox dies, another one publishes what is left, in order; and what comes again has the same id.

use std::collections::BTreeSet;
use std::time::Duration;

use event_sourcery::testing::Halt;

use super::ledger::{Ledgers as _, ledger, noted, notes};
use super::outbox::publish;
use super::post::{Fate, Post};
use super::publishing::left;
use super::running::eventually;
use super::subject::Subject;

const LEASE: Duration = Duration::from_millis(150);

/// Where a worker dies that publishes three entries of a stream together.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// In the store's code, when one of its calls has come there.
    At(Halt),
    /// In the publisher, which does this with every entry.
    In(Fate),
}

/// What has arrived from the one that died, and what from the next one, who is given a fourth entry.
async fn arrived_around(subject: Subject, death: Death) -> (Vec<u64>, Vec<u64>) {
    let (store, faulty) = (subject.with_outbox(), subject.faulty());
    let appended = store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    store.settled(appended.position).await;
    let first = match death {
        Death::At(halt) => {
            faulty.backend().halt(halt);
            Post::default()
        }
        Death::In(fate) => Post::that(move |_, _| fate),
    };
    let first = first.in_batches(3);
    let worker = tokio::spawn(faulty.outbox().lease(LEASE).run_forever(first.clone()));
    eventually("it is about to die", async || match death {
        Death::At(_) => faulty.backend().has_halted(),
        Death::In(Fate::Unsent) => first.is_at_work(),
        Death::In(_) => !first.numbers().is_empty(),
    })
    .await;
    worker.abort();
    drop(worker.await);

    store.append(&ledger("1"), noted(4)).expected_version(3).await.unwrap();
    let second = Post::default().in_batches(3);
    let next = subject.another_store().await;
    let worker = tokio::spawn(next.outbox().lease(LEASE).run_forever(second.clone()));
    eventually("the last one is published", async || second.numbers().contains(&4)).await;
    worker.abort();
    let ids: BTreeSet<_> = first.ids().into_iter().chain(second.ids()).collect();
    assert_eq!(ids.len(), 4, "a repeat has the id of the first");
    (first.numbers(), second.numbers())
}

pub(super) async fn clause_10_2_a_worker_that_dies_with_the_entries_in_its_hand_has_sent_none(
    subject: Subject,
) {
    let arrived = arrived_around(subject, Death::At(Halt::Held)).await;
    assert_eq!(arrived, (vec![], vec![1, 2, 3, 4]));
}

pub(super) async fn clause_10_2_a_worker_that_dies_before_an_entry_is_sent_has_sent_none(subject: Subject) {
    let arrived = arrived_around(subject, Death::In(Fate::Unsent)).await;
    assert_eq!(arrived, (vec![], vec![1, 2, 3, 4]));
}

pub(super) async fn clause_10_2_what_was_sent_and_not_confirmed_when_its_worker_died_comes_again(
    subject: Subject,
) {
    let arrived = arrived_around(subject, Death::In(Fate::Stuck)).await;
    assert_eq!(arrived, (vec![1], vec![1, 2, 3, 4]));
}

pub(super) async fn clause_10_2_what_was_confirmed_and_not_taken_down_when_its_worker_died_comes_again(
    subject: Subject,
) {
    let arrived = arrived_around(subject, Death::At(Halt::BeforeProgress)).await;
    assert_eq!(arrived, (vec![1, 2, 3], vec![1, 2, 3, 4]));
}

pub(super) async fn clause_10_2_what_was_taken_down_is_gone_though_its_worker_died_before_it_was_told(
    subject: Subject,
) {
    let arrived = arrived_around(subject, Death::At(Halt::AfterProgress)).await;
    assert_eq!(arrived, (vec![1, 2, 3], vec![4]));
}

/// It does not die: it has to find out.
pub(super) async fn clause_10_2_where_the_answer_to_its_progress_is_lost_a_worker_goes_on_from_what_is_stored(
    subject: Subject,
) {
    let (store, faulty, post) = (subject.with_outbox(), subject.faulty(), Post::default().in_batches(3));
    let appended = store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    store.settled(appended.position).await;
    // What is written with a hold is written without it where that fails.
    faulty.backend().lose_answers(2);
    let worker = tokio::spawn(faulty.outbox().lease(LEASE).run_forever(post.clone()));
    eventually("they are gone", async || left(&subject).await == 0).await;
    store.append(&ledger("1"), noted(4)).expected_version(3).await.unwrap();
    eventually("the last one is published", async || post.numbers().contains(&4)).await;
    worker.abort();
    assert_eq!(post.numbers(), [1, 2, 3, 4], "what was taken down does not come again");
}

pub(super) async fn clause_10_2_what_was_committed_before_there_was_a_worker_is_published_after_reopening(
    subject: Subject,
) {
    let store = subject.with_outbox();
    let appended = store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    store.settled(appended.position).await;
    drop(store);
    let subject = subject.reopened().await;
    let (store, post) = (subject.store(), Post::default());
    store.settled(appended.position).await;
    assert_eq!(publish(&store, &post).await.entries, 3);
    assert_eq!(post.numbers(), [1, 2, 3]);
}
