//! Clause 11.5: a command on the version that its caller has seen, and on no other.

use event_sourcery::{CommandError, Emitting, Error, Executed, Version};

use super::ledger::Ledgers as _;
use super::subject::Subject;
use super::tally::{Tally, TooMuch, stream_of, tallies, tally};

/// Whether a command was refused because the tally is at another version than expected.
fn is_conflict<T>(
    refused: &Result<Executed<T>, CommandError<TooMuch>>,
    expects: Version,
    is_at: Version,
) -> bool {
    matches!(
        refused,
        Err(CommandError::Store(Error::Conflict { stream, expected, actual }))
            if *stream == stream_of(&tally("1")) && (*expected, *actual) == (expects, is_at)
    )
}

pub(super) async fn clause_11_5_a_command_runs_on_the_version_that_its_caller_has_seen(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    let first = tallies.aggregate(&id, Tally::note(1)).expected_version(None).await.unwrap();
    let seen = first.appended.unwrap().last_version;
    tallies.aggregate(&id, Tally::note_all([2, 3])).expected_version(seen).await.unwrap();
    let now = tallies.load(&id).await.unwrap().version();
    tallies.aggregate(&id, Tally::note(4)).expected_version(now).await.unwrap();
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 2, 3, 4]);
}

pub(super) async fn clause_11_5_at_any_other_version_it_is_a_conflict_and_does_not_run(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store).retries(5);
    let missing = tallies.aggregate(&id, Tally::note(1)).expected_version(3).await;
    assert!(is_conflict(&missing, 3, 0), "{missing:?}");
    tallies.aggregate(&id, Tally::note_all([1, 2])).await.unwrap();
    // It does not exist, for the caller; older; newer than it is.
    for seen in [None, Some(0), Some(1), Some(3), Some(Version::MAX)] {
        let mut calls = 0;
        let command = |tally: &mut Emitting<Tally>| {
            calls += 1;
            Tally::note(7)(tally)
        };
        let refused = tallies.aggregate(&id, command).expected_version(seen).await;
        assert!(is_conflict(&refused, seen.unwrap_or(0), 2), "{seen:?}: {refused:?}");
        assert_eq!(calls, 0);
    }
    // Nor does one that would emit nothing, or be rejected: its caller has not seen what it decides on.
    let nothing = tallies.aggregate(&id, Tally::note_all([])).expected_version(1).await;
    assert!(is_conflict(&nothing, 1, 2), "{nothing:?}");
    let rejected = tallies.aggregate(&id, Tally::note(Tally::MOST + 1)).expected_version(1).await;
    assert!(is_conflict(&rejected, 1, 2), "{rejected:?}");
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 2]);
}

/// Somebody appends between the load and the append.
pub(super) async fn clause_11_5_a_conflict_while_it_runs_is_not_retried(subject: Subject) {
    let (store, id) = (subject.store(), tally("1"));
    let others = tallies(&subject.another_store().await);
    others.aggregate(&id, Tally::note(1)).await.unwrap();
    let mut calls = 0;
    let command = |tally: &mut Emitting<Tally>| {
        calls += 1;
        let meanwhile = async { others.aggregate(&id, Tally::note(2)).await.unwrap() };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(meanwhile));
        Tally::note(7)(tally)
    };
    let refused = tallies(&store).retries(5).aggregate(&id, command).expected_version(1).await;
    assert!(is_conflict(&refused, 1, 2), "{refused:?}");
    assert_eq!(calls, 1);
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 2]);
}

pub(super) async fn clause_11_5_of_many_who_have_seen_one_version_one_gets_through(subject: Subject) {
    let id = tally("1");
    tallies(&subject.store()).aggregate(&id, Tally::note(1)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 2..10 {
        let (tallies, id) = (tallies(&subject.another_store().await).retries(100), id.clone());
        tasks.spawn(async move { tallies.aggregate(&id, Tally::note(number)).expected_version(1).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.is_ok() || is_conflict(answer, 1, 2)), "{answers:?}");
    assert_eq!(subject.store().numbers(&stream_of(&id)).await.len(), 2);
}

/// The client that lost the answer asks again with what it had seen then.
pub(super) async fn clause_11_5_a_repeat_by_its_key_is_recognised_before_the_version_is_looked_at(
    subject: Subject,
) {
    let (store, id) = (subject.store(), tally("1"));
    let tallies = tallies(&store);
    tallies.aggregate(&id, Tally::note(1)).await.unwrap();
    let command = || tallies.aggregate(&id, Tally::note(5)).idempotency_key("request").expected_version(1);
    let first = command().await.unwrap();
    tallies.aggregate(&id, Tally::note(9)).await.unwrap();
    let again = command().await.unwrap();
    assert_eq!((first.value, again.value), (6, 6));
    let (first, again) = (first.appended.unwrap(), again.appended.unwrap());
    assert_eq!((first.repeated, again.repeated), (false, true));
    assert_eq!((first.last_version, first.position), (again.last_version, again.position));
    // Another request is not: its caller has seen an older version.
    let other = tallies.aggregate(&id, Tally::note(5)).idempotency_key("other").expected_version(1).await;
    assert!(is_conflict(&other, 1, 3), "{other:?}");
    assert_eq!(store.numbers(&stream_of(&id)).await, [1, 5, 9]);
}

/// Twice at once, it is one request: neither is told that the other was faster.
pub(super) async fn clause_11_5_of_one_request_many_times_at_once_all_get_one_answer(subject: Subject) {
    let id = tally("1");
    tallies(&subject.store()).aggregate(&id, Tally::note(1)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (tallies, id) = (tallies(&subject.another_store().await), id.clone());
        tasks.spawn(async move {
            tallies.aggregate(&id, Tally::note(5)).idempotency_key("request").expected_version(1).await
        });
    }
    let executed: Vec<_> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(executed.iter().filter(|one| !one.appended.unwrap().repeated).count(), 1);
    assert!(executed.iter().all(|one| one.value == 6), "{executed:?}");
    assert_eq!(subject.store().numbers(&stream_of(&id)).await, [1, 5]);
}
