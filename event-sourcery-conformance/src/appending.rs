//! Clauses 2.1 to 2.6, 2.9 and 2.14: one append to one stream.

use std::collections::HashSet;

use event_sourcery::backend::StreamAppend;
use event_sourcery::{Error, Event as _, RawEvent, Version};
use futures_util::future::join_all;
use jiff::Timestamp;
use uuid::Uuid;

use super::ledger::{Ledgers as _, ledger, noted, notes};
use super::subject::Subject;

pub(super) async fn clause_2_1_the_events_of_one_call_are_numbered_consecutively_from_1(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, notes([10, 20, 30])).await.unwrap();
    store
        .append(&stream, (noted(40), RawEvent::new("noted", r#"{"number":50}"#).unwrap()))
        .expected_version(3)
        .await
        .unwrap();
    assert_eq!(store.numbers(&stream).await, [10, 20, 30, 40, 50]);
    assert_eq!(store.versions(&stream).await, (1..=5).map(Some).collect::<Vec<_>>());
}

pub(super) async fn clause_2_1_a_refused_append_writes_nothing(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 2).await;
    assert_refused!(store.append(&stream, notes(1..=100)).expected_version(1).await, Error::Conflict { .. });
    let taken = store.ids(&stream).await[0];
    let mut events: Vec<_> = notes(1..=10).into_iter().map(|event| event.with_id(Uuid::now_v7())).collect();
    events.push(noted(11).with_id(taken));
    assert_refused!(store.append(&stream, events).expected_version(2).await, Error::DuplicateEvent { .. });
    assert_eq!(store.numbers(&stream).await, [1, 2]);
    subject.holds(2).await;
}

pub(super) async fn clause_2_2_without_an_expected_version_the_stream_must_not_exist(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 3).await;
    assert_refused!(
        store.append(&stream, noted(4)).await,
        Error::Conflict { stream: named, expected: 0, actual: 3 } if named == stream,
    );
    assert_eq!(store.numbers(&stream).await, [1, 2, 3]);
}

pub(super) async fn clause_2_2_an_absent_expected_version_means_that_the_stream_must_not_exist(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, noted(1)).expected_version(None).await.unwrap();
    for absent in [None, Some(0)] {
        assert_refused!(
            store.append(&stream, noted(2)).expected_version(absent).await,
            Error::Conflict { expected: 0, actual: 1, .. },
        );
    }
    assert_eq!(store.numbers(&stream).await, [1]);
}

pub(super) async fn clause_2_2_what_the_last_of_no_events_gives_creates_the_stream(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    for length in 0..3 {
        let events = store.load_stream::<RawEvent>(&stream).await.unwrap();
        let last = events.last().and_then(|event| event.version);
        store.append(&stream, noted(length)).expected_version(last).await.unwrap();
    }
    assert_eq!(store.numbers(&stream).await, [0, 1, 2]);
}

pub(super) async fn clause_2_3_an_exact_version_must_be_the_current_one(subject: Subject) {
    let (store, stream, missing) = (subject.store(), ledger("1"), ledger("2"));
    store.with_ledger(&stream, 3).await;
    for wrong in
        [1, 2, 4, 1_000, u64::from(u32::MAX), i64::MAX as Version, i64::MAX as Version + 1, Version::MAX]
    {
        assert_refused!(
            store.append(&stream, noted(4)).expected_version(wrong).await,
            Error::Conflict { stream: named, expected, actual: 3 } if named == stream && expected == wrong,
        );
        assert_refused!(
            store.append(&missing, noted(1)).expected_version(wrong).await,
            Error::Conflict { stream: named, expected, actual: 0 } if named == missing && expected == wrong,
        );
    }
    store.append(&stream, noted(4)).expected_version(3).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1, 2, 3, 4]);
    assert!(store.numbers(&missing).await.is_empty());
}

pub(super) async fn clause_2_3_versions_that_no_stream_can_have_are_conflicts(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 3).await;
    let highest = StreamAppend::HIGHEST_VERSION;
    for version in
        [highest - 1, highest, highest + 1, u64::from(u32::MAX), i64::MAX as u64, u64::MAX - 1, u64::MAX]
    {
        for (stream, actual) in [(&stream, 3), (&ledger("2"), 0)] {
            assert_refused!(
                store.append(stream, notes([1, 2])).expected_version(version).await,
                Error::Conflict { expected, actual: found, .. } if (expected, found) == (version, actual),
            );
        }
        assert_refused!(
            store.save_snapshot(&stream, version, noted(1)).await,
            Error::SnapshotVersionMismatch { version: of, actual: Some(3), .. } if of == version,
        );
        let range = store.load_stream::<RawEvent>(&stream).versions(version..).await.unwrap();
        assert!(range.is_empty());
    }
    let all = store.load_stream::<RawEvent>(&stream).versions(1..u64::MAX).await.unwrap();
    assert_eq!(all.len(), 3);
    subject.holds(3).await;
}

pub(super) async fn clause_2_4_events_without_versioning_are_read_in_position_order(subject: Subject) {
    let (store, stream, other) = (subject.store(), ledger("1"), ledger("2"));
    let mut positions = Vec::new();
    for number in 0..5 {
        let appended =
            store.append(&stream, notes([number * 2, number * 2 + 1])).no_versioning().await.unwrap();
        assert_eq!((appended.first_version, appended.last_version), (None, None));
        positions.push(appended.position);
        store.append(&other, noted(99)).no_versioning().await.unwrap();
    }
    assert!(positions.is_sorted());
    assert_eq!(store.numbers(&stream).await, (0..10).collect::<Vec<_>>());
    assert_eq!(store.versions(&stream).await, [None; 10]);
}

pub(super) async fn clause_2_4_appends_without_versioning_all_succeed_at_once(subject: Subject) {
    let (store, another, stream) = (subject.store(), subject.another_store().await, ledger("1"));
    let appends = (0..40).map(|number| {
        let store = if number % 2 == 0 { store.clone() } else { another.clone() };
        let stream = stream.clone();
        tokio::spawn(async move { store.append(&stream, noted(number)).no_versioning().await })
    });
    let appended: Vec<_> =
        join_all(appends).await.into_iter().map(|joined| joined.unwrap().unwrap()).collect();
    let mut numbers = store.numbers(&stream).await;
    let last = appended.iter().map(|appended| appended.position).max().unwrap();
    let in_position_order: Vec<_> = store.records(last).await.iter().map(super::ledger::number).collect();
    assert_eq!(numbers, in_position_order);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
    assert_eq!(appended.iter().map(|appended| appended.position).collect::<HashSet<_>>().len(), 40);
}

pub(super) async fn clause_2_5_a_versioned_stream_refuses_no_versioning(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 1).await;
    assert_refused!(
        store.append(&stream, noted(2)).no_versioning().await,
        Error::NoExpectedVersionGivenOnVersionedStream { stream: named } if named == stream,
    );
    assert_eq!(store.numbers(&stream).await, [1]);
}

pub(super) async fn clause_2_5_an_unversioned_stream_refuses_versions(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, noted(1)).no_versioning().await.unwrap();
    assert_refused!(
        store.append(&stream, noted(2)).await,
        Error::ExpectedVersionUsedOnVersionlessStream { stream: named } if named == stream,
    );
    for version in [None, Some(0), Some(1), Some(7)] {
        assert_refused!(
            store.append(&stream, noted(2)).expected_version(version).await,
            Error::ExpectedVersionUsedOnVersionlessStream { stream: named } if named == stream,
        );
    }
    assert_eq!(store.numbers(&stream).await, [1]);
}

pub(super) async fn clause_2_5_deleting_is_the_way_to_switch(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 2).await;
    store.delete_stream(&stream).await.unwrap();
    store.append(&stream, noted(3)).no_versioning().await.unwrap();
    store.append(&stream, noted(4)).no_versioning().await.unwrap();
    assert_eq!(store.versions(&stream).await, [None, None]);
    store.delete_stream(&stream).await.unwrap();
    store.append(&stream, noted(5)).await.unwrap();
    assert_eq!(store.versions(&stream).await, [Some(1)]);
}

pub(super) async fn clause_2_6_an_append_returns_what_it_wrote(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let first = store.append(&stream, notes([1, 2, 3])).await.unwrap();
    assert_eq!((first.first_version, first.last_version, first.repeated), (Some(1), Some(3), false));
    let second = store.append(&stream, noted(4)).expected_version(3).await.unwrap();
    assert_eq!((second.first_version, second.last_version, second.repeated), (Some(4), Some(4), false));
    assert!(second.position > first.position);

    let records = store.records(second.position).await;
    let position = |number: usize| records[number].position.to_i64();
    assert_eq!((position(2), position(3)), (first.position.to_i64(), second.position.to_i64()));
}

pub(super) async fn clause_2_9_an_append_of_no_events_is_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    assert_refused!(
        store.append(&stream, notes([])).await,
        Error::EmptyAppend { stream: Some(named) } if named == stream,
    );
    assert_refused!(store.append(&stream, notes([])).no_versioning().await, Error::EmptyAppend { .. });
    // Refused before the version is looked at.
    assert_refused!(store.append(&stream, notes([])).expected_version(7).await, Error::EmptyAppend { .. });
    store.append(&stream, noted(1)).await.unwrap();
    assert_eq!(store.versions(&stream).await, [Some(1)]);
}

pub(super) async fn clause_2_14_id_and_time_are_the_callers(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let (id, time): (Uuid, Timestamp) = (Uuid::from_u128(42), "1999-12-31T23:59:59.999999Z".parse().unwrap());
    let kept_id = noted(1).with_id(id);
    let kept_time = noted(2).with_created_at(time);
    store.append(&stream, [kept_id, kept_time]).await.unwrap();
    let events = store.load_stream::<RawEvent>(&stream).await.unwrap();
    assert_eq!(events[0].uuid, id);
    assert_eq!(events[1].created_at, time);
}

pub(super) async fn clause_2_14_id_and_time_are_made_where_the_caller_gives_none(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let microseconds = || Timestamp::now().as_microsecond();
    let before = microseconds();
    store.append(&stream, notes([1, 2])).await.unwrap();
    let after = microseconds();
    for event in store.load_stream::<RawEvent>(&stream).await.unwrap() {
        assert_eq!(event.uuid.get_version_num(), 7);
        assert!((before..=after).contains(&event.created_at.as_microsecond()), "{event:?}");
    }
}
