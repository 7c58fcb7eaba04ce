//! Clause 2.12: one append to several streams, and what it requires of others.

use std::sync::Arc;

use event_sourcery::backend::{AppendRequest, Expectation, Requirement, StreamRequirement, stored_stream_id};
use event_sourcery::{Error, Event as _, NewEvent, StreamId, TenantId};
use futures_util::future::join_all;
use uuid::Uuid;

use super::ledger::{Ledgers as _, Noted, append_request, ledger, noted, notes, part, repeated, tenant};
use super::subject::Subject;

fn three_ledgers() -> [StreamId; 3] {
    [ledger("1"), ledger("2"), ledger("3")]
}

pub(super) async fn clause_2_12_one_append_goes_to_several_streams(subject: Subject) {
    let (store, [one, two, three]) = (subject.store(), three_ledgers());
    store.with_ledger(&two, 2).await;
    let appended = store
        .append(&one, notes([1, 2]))
        .and(&two, noted(3))
        .expected_version(2)
        .and(&three, notes([7, 8]))
        .no_versioning()
        .await
        .unwrap();
    let versions: Vec<_> = appended.iter().map(|part| (part.first_version, part.last_version)).collect();
    assert_eq!(versions, [(Some(1), Some(2)), (Some(3), Some(3)), (None, None)]);
    assert_eq!(store.numbers(&one).await, [1, 2]);
    assert_eq!(store.numbers(&two).await, [1, 2, 3]);
    assert_eq!(store.numbers(&three).await, [7, 8]);

    let last = appended.iter().map(|part| part.position).max().unwrap();
    let records = store.records(last).await;
    for (stream, part) in three_ledgers().iter().zip(&appended) {
        let newest = records.iter().rfind(|record| record.stream_id == *stream).unwrap();
        assert_eq!(newest.position.to_i64(), part.position.to_i64(), "{stream}");
    }
}

pub(super) async fn clause_2_12_one_append_goes_to_any_number_of_streams(subject: Subject) {
    let store = subject.store();
    assert_refused!(store.append_all().await, Error::EmptyAppend { stream: None });
    assert_refused!(
        store.append_all().no_versioning().and(&ledger("early"), noted(1)).await,
        Error::InvalidOption { option: "expected_version", .. }
    );
    subject.holds(0).await;
    for count in [1, 2, 50] {
        let streams: Vec<_> = (0..count).map(|number| ledger(&format!("{number} of {count}"))).collect();
        let mut append = store.append_all();
        for (number, stream) in (0..).zip(&streams) {
            append = append.and(stream, noted(number));
        }
        assert_eq!(append.await.unwrap().len(), count);
        for (number, stream) in (0..).zip(&streams) {
            assert_eq!(store.numbers(stream).await, [number]);
        }
    }
    subject.holds(53).await;
}

pub(super) async fn clause_2_12_one_refused_part_leaves_nothing_of_the_others(subject: Subject) {
    let (store, streams) = (subject.store(), three_ledgers());
    let (unversioned, full) = (ledger("unversioned"), ledger("full"));
    store.append(&unversioned, noted(1)).no_versioning().await.unwrap();
    store.with_ledger(&full, 2).await;
    for refused in 0..3 {
        let [one, two, three] = &streams;
        let mut parts = [one, two, three];
        parts[refused] = &full;
        let append = store.append(parts[0], noted(1)).and(parts[1], noted(2)).and(parts[2], noted(3));
        assert_refused!(
            append.await,
            Error::Conflict { stream, expected: 0, actual: 2 } if stream == full,
        );
        parts[refused] = &unversioned;
        let append = store.append(parts[0], noted(1)).and(parts[1], noted(2)).and(parts[2], noted(3));
        assert_refused!(
            append.await,
            Error::ExpectedVersionUsedOnVersionlessStream { stream } if stream == unversioned,
        );
        subject.holds(3).await;
    }
    for stream in &streams {
        store.append(stream, noted(1)).await.unwrap();
    }
}

pub(super) async fn clause_2_12_a_taken_name_in_one_part_leaves_nothing_of_the_others(subject: Subject) {
    let (store, [one, rightful, _]) = (subject.store(), three_ledgers());
    store.append(&rightful, noted(1)).await.unwrap();
    let impostor = stored_stream_id(Uuid::from_u128(7), rightful.name(), "");
    let parts = [&one, &impostor].map(|stream| part(stream, Expectation::Version(0), &[1]));
    let request = AppendRequest::new(TenantId::DEFAULT, parts.into());
    assert_refused!(
        subject.backend().append(Arc::new(request)).await,
        Error::StreamNameTaken { holder, .. } if holder == rightful.uuid(),
    );
    subject.holds(1).await;
    let learned_nothing = stored_stream_id(Uuid::from_u128(8), one.name(), "");
    let request = append_request(&learned_nothing, Expectation::Version(0), &[1]);
    subject.backend().append(Arc::new(request)).await.unwrap();
}

pub(super) async fn clause_2_12_a_stream_given_twice_is_refused(subject: Subject) {
    let (store, [one, two, _]) = (subject.store(), three_ledgers());
    let by_uuid = StreamId::from_uuid(one.uuid());
    assert_refused!(
        store.append(&one, noted(1)).and(&two, noted(2)).and(&by_uuid, noted(3)).await,
        Error::StreamGivenTwice { stream } if stream == one,
    );
    subject.holds(0).await;
}

pub(super) async fn clause_2_12_an_empty_part_is_refused(subject: Subject) {
    let (store, [one, two, _]) = (subject.store(), three_ledgers());
    assert_refused!(
        store.append(&one, noted(1)).and(&two, notes([])).await,
        Error::EmptyAppend { stream: Some(stream) } if stream == two,
    );
    subject.holds(0).await;
}

pub(super) async fn clause_2_12_a_requirement_has_to_hold(subject: Subject) {
    let (store, [one, other, missing]) = (subject.store(), three_ledgers());
    store.with_ledger(&other, 2).await;
    for wrong in [0, 1, 3] {
        assert_refused!(
            store.append(&one, noted(1)).requires(&other, wrong).await,
            Error::RequirementFailed { stream, required, actual: Some(2) } if stream == other && required == wrong,
        );
    }
    assert_refused!(
        store.append(&one, noted(1)).requires(&missing, 1).await,
        Error::RequirementFailed { stream, required: 1, actual: Some(0) } if stream == missing,
    );
    subject.holds(2).await;
    store
        .append(&one, noted(1))
        .requires(&other, 2)
        .requires(&missing, 0)
        .requires(&missing, None)
        .await
        .unwrap();
    assert_eq!(store.numbers(&one).await, [1]);
    assert_eq!(store.numbers(&other).await, [1, 2]);
}

pub(super) async fn clause_2_12_a_requirement_on_an_unversioned_stream_never_holds(subject: Subject) {
    let (store, [one, other, _]) = (subject.store(), three_ledgers());
    store.append(&other, noted(1)).no_versioning().await.unwrap();
    for version in [0, 1] {
        assert_refused!(
            store.append(&one, noted(1)).requires(&other, version).await,
            Error::RequirementFailed { stream, required, actual: None } if stream == other && required == version,
        );
    }
    subject.holds(1).await;
}

pub(super) async fn clause_2_12_a_requirement_is_about_the_same_tenant(subject: Subject) {
    let (store, [one, other, _]) = (subject.store(), three_ledgers());
    store.with_ledger(&other, 2).await;
    let acme = store.for_tenant(tenant("acme"));
    assert_refused!(
        acme.append(&one, noted(1)).requires(&other, 2).await,
        Error::RequirementFailed { actual: Some(0), .. },
    );
    acme.append(&one, noted(1)).requires(&other, 0).await.unwrap();
}

pub(super) async fn clause_2_12_a_requirement_is_checked_atomically_with_the_write(subject: Subject) {
    let store = subject.store();
    // Write skew: each withdraws only while the other has not. Of the two, one has to lose.
    for round in 0..10 {
        let [one, other] = [ledger(&format!("one {round}")), ledger(&format!("other {round}"))];
        let withdraw = |from: StreamId, unless: StreamId| {
            let store = store.clone();
            tokio::spawn(async move { store.append(&from, noted(1)).requires(&unless, 0).await })
        };
        let (left, right) = tokio::join!(withdraw(one.clone(), other.clone()), withdraw(other, one));
        let outcomes = [left.unwrap(), right.unwrap()];
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        for outcome in outcomes {
            if let Err(error) = outcome {
                assert!(
                    matches!(error, Error::RequirementFailed { actual: Some(1), .. }) || error.is_retryable(),
                    "{error}"
                );
            }
        }
    }
}

pub(super) async fn clause_2_12_a_requirement_on_a_stream_of_a_repeat_does_not_matter(subject: Subject) {
    let (store, [one, other, _]) = (subject.store(), three_ledgers());
    let event = noted(1).with_id(Uuid::from_u128(1));
    let first = store.append(&one, event.clone()).requires(&other, 0).await.unwrap();
    store.with_ledger(&other, 2).await;
    let repeat = store.append(&one, event).requires(&other, 0).await.unwrap();
    assert_eq!(repeat, repeated(first));
}

/// Notes for two ledgers, with ids.
fn for_two(round: u128) -> [NewEvent<Noted>; 2] {
    [1, 2].map(|number| noted(number as u64).with_id(Uuid::from_u128(round * 10 + number)))
}

pub(super) async fn clause_2_7_a_repeat_to_several_streams_is_recognised(subject: Subject) {
    let (store, [one, two, three]) = (subject.store(), three_ledgers());
    let [to_one, to_two] = for_two(1);
    let first = store.append(&one, to_one.clone()).and(&two, to_two.clone()).await.unwrap();
    store.append(&one, noted(3)).expected_version(1).await.unwrap();

    let repeat = store.append(&one, to_one.clone()).and(&two, to_two.clone()).await.unwrap();
    assert_eq!(repeat, first.iter().copied().map(repeated).collect::<Vec<_>>());
    // The answer is in the order of the call.
    let turned = store.append(&two, to_two.clone()).and(&one, to_one.clone()).await.unwrap();
    assert_eq!(turned, first.iter().rev().copied().map(repeated).collect::<Vec<_>>());

    let refused = [
        store.append(&one, to_one.clone()).and(&three, to_two.clone()).await,
        store.append(&one, to_two.clone()).and(&two, to_one.clone()).await,
        store.append(&one, to_one.clone()).and(&three, noted(4)).await,
        store.append(&three, noted(4)).and(&two, to_two).await,
    ];
    for refused in refused {
        assert_refused!(refused, Error::DuplicateEvent { .. });
    }
    subject.holds(3).await;
}

pub(super) async fn clause_2_12_appends_in_opposite_orders_do_not_deadlock(subject: Subject) {
    const TASKS: usize = 8;
    const ROUNDS: usize = 8;
    let (one, two) = (ledger("1"), ledger("2"));
    let (store, another) = (subject.store(), subject.another_store().await);
    let tasks = (0..TASKS).map(|task| {
        let store = if task % 2 == 0 { store.clone() } else { another.clone() };
        let (one, two) = if task % 2 == 0 { (one.clone(), two.clone()) } else { (two.clone(), one.clone()) };
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let id = |number: usize| Uuid::from_u128((task * 1_000 + round * 10 + number) as u128);
                let events = || [noted(1).with_id(id(1)), noted(2).with_id(id(2))];
                loop {
                    let [first, second] = events();
                    let append = store.append(&one, first).no_versioning().and(&two, second).no_versioning();
                    match append.await {
                        Ok(_) => break,
                        Err(error) => assert!(error.is_retryable(), "{error}"),
                    }
                }
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(store.numbers(&one).await.len(), TASKS * ROUNDS);
    assert_eq!(store.numbers(&two).await.len(), TASKS * ROUNDS);
}

pub(super) async fn clause_2_12_of_several_streams_racing_exactly_one_call_wins(subject: Subject) {
    let store = subject.store();
    for round in 0..10 {
        let pair = [ledger(&format!("one {round}")), ledger(&format!("two {round}"))];
        let tasks = (0..8).map(|task| {
            let (store, [one, two]) = (store.clone(), pair.clone());
            let (one, two) = if task % 2 == 0 { (one, two) } else { (two, one) };
            tokio::spawn(async move { store.append(&one, noted(task)).and(&two, noted(task)).await })
        });
        let outcomes: Vec<_> = join_all(tasks).await.into_iter().map(|joined| joined.unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        for error in outcomes.into_iter().filter_map(Result::err) {
            let conflict =
                matches!(&error, Error::Conflict { stream, expected: 0, actual: 1 } if pair.contains(stream));
            assert!(conflict || error.is_retryable(), "{error}");
        }
        assert_eq!(store.numbers(&pair[0]).await, store.numbers(&pair[1]).await);
    }
}

/// Runs on every backend: the one that cannot has to say so.
pub(super) async fn clause_2_12_several_streams_are_taken_or_refused_as_unsupported(subject: Subject) {
    let (store, [one, two, other]) = (subject.store(), three_ledgers());
    let outcome = store.append(&one, noted(1)).and(&two, noted(2)).await;
    if subject.capabilities().several_streams {
        assert_eq!(outcome.unwrap().len(), 2);
        return;
    }
    let name = subject.backend().name();
    assert_refused!(outcome, Error::Unsupported { backend, .. } if backend == name);
    let mut request = append_request(&one, Expectation::Version(0), &[1]);
    request.requirements.push(Requirement::Stream(StreamRequirement::new(other, 0)));
    match subject.backend().append(Arc::new(request)).await {
        Ok(_) => subject.holds(1).await,
        refused => {
            assert_refused!(refused, Error::Unsupported { backend, .. } if backend == name);
            subject.holds(0).await;
        }
    }
}
