//! Clause 2.11: appends that join the caller's own transaction.

use std::sync::Arc;

use event_sourcery::backend::{AppendOutcome, AppendRequest, Expectation, Span, stored_stream_id};
use event_sourcery::{Error, Position, RawEvent, Result, StreamId, TenantId};

use super::ledger::{
    Ledger, Ledgers as _, Summed, append_request, delete_request, ledger, load_request, noted, number, part,
    snapshot_request,
};
use super::steps::{Answer, Ending, Step};
use super::subject::Subject;

fn append(stream: &StreamId, expected: u64, numbers: &[u64]) -> Step {
    Step::Append(append_request(stream, Expectation::Version(expected), numbers))
}

fn load(stream: &StreamId) -> Step {
    Step::Load(load_request(stream, Span::Full))
}

/// How many events each load found, in the order of the loads.
fn loaded(answers: &[Result<Answer>]) -> Vec<usize> {
    let found = answers.iter().filter_map(|answer| match answer {
        Ok(Answer::Loaded(loaded)) => Some(loaded.events.len()),
        _ => None,
    });
    found.collect()
}

pub(super) async fn clause_2_11_what_a_transaction_appends_is_committed_together(subject: Subject) {
    let (store, one, two) = (subject.store(), ledger("1"), ledger("2"));
    let steps = vec![append(&one, 0, &[1, 2]), append(&two, 0, &[3]), append(&one, 2, &[4])];
    let answers = subject.transaction(steps, Ending::Commit).await.unwrap();
    let first_versions: Vec<_> = answers
        .into_iter()
        .map(|answer| match answer.unwrap() {
            Answer::Appended(AppendOutcome::Written(written)) => written[0].first_version,
            other => panic!("an append answered with {other:?}"),
        })
        .collect();
    assert_eq!(first_versions, [Some(1), Some(1), Some(3)]);
    assert_eq!(store.numbers(&one).await, [1, 2, 4]);
    assert_eq!(store.numbers(&two).await, [3]);
}

pub(super) async fn clause_2_11_nothing_of_a_failed_transaction_is_kept(subject: Subject) {
    let (store, old, new, gone) = (subject.store(), ledger("old"), ledger("new"), ledger("gone"));
    store.with_ledger(&old, 2).await;
    let kept = store.with_ledger(&gone, 2).await;
    let before = store.records(kept.position).await;
    for ending in [Ending::Fail, Ending::Panic] {
        let steps = vec![
            append(&old, 2, &[3]),
            append(&new, 0, &[1]),
            Step::SaveSnapshot(snapshot_request(&old, 3, 6)),
            Step::Delete(delete_request(&gone)),
            append(&gone, 0, &[9]),
        ];
        for answer in subject.transaction(steps, ending).await.unwrap() {
            answer.unwrap();
        }
        assert_eq!(store.records_after(Position::START).await, before, "after {ending:?}");
        assert_eq!(store.load_stream::<Ledger>(&old).await.unwrap().len(), 2);
        assert!(store.numbers(&new).await.is_empty());
    }
    store.append(&new, noted(1)).await.unwrap();
    store.append(&old, noted(3)).expected_version(2).await.unwrap();
    store.append(&gone, noted(3)).expected_version(2).await.unwrap();
}

pub(super) async fn clause_2_11_a_failed_transaction_gives_back_names_and_ids(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let request = append_request(&stream, Expectation::Version(0), &[1]);
    let events = request.streams[0].events.clone();
    subject.transaction(vec![Step::Append(request)], Ending::Fail).await.unwrap();

    let impostor = stored_stream_id(uuid::Uuid::from_u128(7), stream.name(), "");
    let mut again = append_request(&impostor, Expectation::Version(0), &[]);
    again.streams[0].events = events;
    let outcome = subject.backend().append(Arc::new(again)).await.unwrap();
    assert!(matches!(outcome, AppendOutcome::Written(_)), "{outcome:?}");
    assert_eq!(store.numbers(&impostor).await, [1]);
}

pub(super) async fn clause_2_11_a_transaction_sees_what_it_has_written(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let steps = vec![
        load(&stream),
        append(&stream, 0, &[1, 2]),
        load(&stream),
        append(&stream, 2, &[3]),
        load(&stream),
        Step::SaveSnapshot(snapshot_request(&stream, 3, 6)),
        Step::Load(load_request(&stream, Span::FromSnapshot { names: &["summed"], up_to: u64::MAX })),
        Step::Delete(delete_request(&stream)),
        load(&stream),
        append(&stream, 0, &[4]),
        load(&stream),
    ];
    let answers = subject.transaction(steps, Ending::Commit).await.unwrap();
    assert_eq!(loaded(&answers), [0, 2, 3, 0, 0, 1]);
    let Ok(Answer::Loaded(from_snapshot)) = &answers[6] else { panic!("{:?}", answers[6]) };
    assert!(from_snapshot.snapshot.is_some());
    assert_eq!(store.numbers(&stream).await, [4]);
}

pub(super) async fn clause_2_11_a_refused_append_leaves_the_transaction_usable(subject: Subject) {
    let (store, stream, other) = (subject.store(), ledger("1"), ledger("2"));
    store.with_ledger(&stream, 2).await;
    let taken = store.ids(&stream).await[0];
    let mut duplicate = append_request(&other, Expectation::Version(0), &[1, 2]);
    duplicate.streams[0].events[1].id = taken;
    let impostor = stored_stream_id(uuid::Uuid::from_u128(7), stream.name(), "");
    let steps = vec![
        append(&other, 0, &[1]),
        append(&stream, 1, &[8, 9]),
        append(&impostor, 0, &[8]),
        Step::SaveSnapshot(snapshot_request(&stream, 3, 6)),
        Step::Append(duplicate),
        append(&stream, 2, &[3]),
        append(&other, 1, &[2]),
    ];
    let answers = subject.transaction(steps, Ending::Commit).await.unwrap();
    assert_refused!(&answers[1], Error::Conflict { expected: 1, actual: 2, .. });
    assert_refused!(&answers[2], Error::StreamNameTaken { .. });
    assert_refused!(&answers[3], Error::SnapshotVersionMismatch { version: 3, actual: Some(2), .. });
    assert!(
        matches!(&answers[4], Ok(Answer::Appended(AppendOutcome::Present(present))) if present.len() == 1)
    );
    assert_eq!(store.numbers(&stream).await, [1, 2, 3]);
    assert_eq!(store.numbers(&other).await, [1, 2]);
}

pub(super) async fn clause_2_11_a_part_refused_in_a_transaction_leaves_nothing_of_the_others(
    subject: Subject,
) {
    let (store, new, full) = (subject.store(), ledger("new"), ledger("full"));
    store.with_ledger(&full, 2).await;
    let parts = || [&new, &full].map(|stream| part(stream, Expectation::Version(0), &[7])).into();
    let both = || Step::Append(AppendRequest::new(TenantId::DEFAULT, parts()));
    let steps = vec![both(), load(&new), append(&full, 2, &[3]), both(), load(&new)];
    let answers = subject.transaction(steps, Ending::Commit).await.unwrap();
    for refused in [&answers[0], &answers[3]] {
        assert_refused!(refused, Error::Conflict { expected: 0, .. });
    }
    assert_eq!(loaded(&answers), [0, 0]);
    assert!(store.numbers(&new).await.is_empty());
    subject.holds(3).await;
    store.append(&new, noted(1)).await.unwrap();
}

pub(super) async fn clause_2_11_nobody_sees_a_transaction_before_it_commits(subject: Subject) {
    let (store, another, stream) = (subject.store(), subject.another_store().await, ledger("1"));
    // Readers run while transactions that all fail write: a single event seen is one too many.
    let watched = stream.clone();
    let watcher = tokio::spawn(async move {
        for _ in 0..200 {
            assert!(another.load_stream::<RawEvent>(&watched).await.unwrap().is_empty());
            assert!(another.records_after(Position::START).await.is_empty());
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..20 {
        subject.transaction(vec![append(&stream, 0, &[1, 2, 3])], Ending::Fail).await.unwrap();
    }
    watcher.await.unwrap();
    assert!(store.numbers(&stream).await.is_empty());
}

pub(super) async fn clause_4_3_within_a_transaction_position_order_is_the_order_of_its_appends(
    subject: Subject,
) {
    let (store, one, two) = (subject.store(), ledger("1"), ledger("2"));
    let steps =
        vec![append(&one, 0, &[1]), append(&two, 0, &[2]), append(&one, 1, &[3]), append(&two, 1, &[4, 5])];
    subject.transaction(steps, Ending::Commit).await.unwrap();
    let last = store.append(&one, noted(6)).expected_version(2).await.unwrap();
    let numbers: Vec<_> = store.records(last.position).await.iter().map(number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

pub(super) async fn clause_6_1_a_snapshot_saved_in_a_transaction_is_found(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let steps = vec![append(&stream, 0, &[1, 2, 3]), Step::SaveSnapshot(snapshot_request(&stream, 2, 3))];
    subject.transaction(steps, Ending::Commit).await.unwrap();
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(events[0].event, Ledger::Summed(Summed { sum: 3 }));
    assert_eq!(events.len(), 2);
}
