//! Clause 6, and clause 3.6 where it is about snapshots.

use event_sourcery::backend::{Backend as _, LoadRequest, Span};
use event_sourcery::{Context, Error, Event as _, RawEvent, TenantId, Version};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::ledger::{Ledger, Ledgers as _, Summed, ledger, noted, notes, snapshot_request};
use super::subject::Subject;

pub(super) async fn clause_6_1_a_snapshot_is_for_a_version_that_the_stream_has_reached(subject: Subject) {
    let (store, stream, unknown, unversioned) = (subject.store(), ledger("1"), ledger("2"), ledger("3"));
    store.with_ledger(&stream, 3).await;
    store.append(&unversioned, notes([1, 2])).no_versioning().await.unwrap();
    let sum = Summed { sum: 6 };
    for wrong in [0, 4, 1_000, i64::MAX as Version, Version::MAX] {
        assert_refused!(
            store.save_snapshot(&stream, wrong, sum).await,
            Error::SnapshotVersionMismatch { stream: named, version, actual: Some(3) }
                if named == stream && version == wrong,
        );
    }
    for version in [0, 1] {
        assert_refused!(
            store.save_snapshot(&unknown, version, sum).await,
            Error::SnapshotVersionMismatch { actual: Some(0), .. },
        );
        assert_refused!(
            store.save_snapshot(&unversioned, version, sum).await,
            Error::SnapshotVersionMismatch { stream: named, actual: None, .. } if named == unversioned,
        );
    }
    assert_eq!(store.load_stream::<Ledger>(&stream).await.unwrap().len(), 3);
    assert!(store.load_stream::<Ledger>(&unknown).await.unwrap().is_empty());
    for reached in [1, 2, 3] {
        store.save_snapshot(&stream, reached, sum).await.unwrap();
    }
}

pub(super) async fn clause_6_1_the_newest_snapshot_by_version_wins(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 5).await;
    let now = Timestamp::now();
    // Neither the order of saving nor the snapshots' own times decide.
    for (version, age) in [(2, 30), (4, 60), (3, 10), (1, 0)] {
        let time = now + SignedDuration::from_secs(120 - age);
        store.save_snapshot(&stream, version, Summed { sum: version }.with_created_at(time)).await.unwrap();
    }
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(events[0].event, Ledger::Summed(Summed { sum: 4 }));
    assert_eq!(events[0].version, Some(4));
    assert_eq!(events.len(), 2);
}

pub(super) async fn clause_6_1_a_snapshot_keeps_what_the_caller_set(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 2).await;
    let (id, correlation) = (Uuid::from_u128(5), Uuid::from_u128(6));
    let time: Timestamp = "2199-01-01T00:00:00.000001Z".parse().unwrap();
    let context = Context::new().with_correlation_id(correlation);
    let snapshot = Summed { sum: 3 }.with_id(id).with_created_at(time).with_context(context.clone());
    store.save_snapshot(&stream, 2, snapshot).await.unwrap();
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].uuid, events[0].created_at, &events[0].context), (id, time, &context));
}

pub(super) async fn clause_6_1_an_id_that_a_snapshot_has_is_refused(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 3).await;
    let id = Uuid::from_u128(5);
    store.save_snapshot(&stream, 1, Summed { sum: 1 }.with_id(id)).await.unwrap();
    assert_refused!(
        store.save_snapshot(&stream, 3, Summed { sum: 6 }.with_id(id)).await,
        Error::DuplicateEvent { event_id, stream: named, .. } if event_id == id && named == stream,
    );
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(events[0].event, Ledger::Summed(Summed { sum: 1 }));
    // An event's id and a snapshot's have nothing to do with each other.
    store.append(&stream, noted(4).with_id(id)).expected_version(3).await.unwrap();
}

pub(super) async fn clause_6_2_snapshots_change_no_other_read_and_no_append(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let last = store.with_ledger(&stream, 4).await;
    let scanned = store.records(last.position).await;
    let position = store.position().await.unwrap();
    for version in [2, 4] {
        store.save_snapshot(&stream, version, Summed { sum: 666 }).await.unwrap();
    }
    assert_eq!(store.records_after(event_sourcery::Position::START).await, scanned);
    assert_eq!(store.position().await.unwrap(), position);
    assert_eq!(store.numbers(&stream).await, [1, 2, 3, 4]);
    assert_eq!(store.load_stream::<Ledger>(&stream).versions(1..).await.unwrap().len(), 4);
    assert_refused!(
        store.append(&stream, noted(5)).expected_version(2).await,
        Error::Conflict { actual: 4, .. }
    );
    let appended = store.append(&stream, noted(5)).expected_version(4).await.unwrap();
    assert_eq!(appended.first_version, Some(5));
    assert_eq!(store.records(appended.position).await.len(), 5);
}

pub(super) async fn clause_3_6_a_snapshot_older_than_the_first_event_is_ignored(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let created: Timestamp = "2020-05-05T05:05:05.000005Z".parse().unwrap();
    let events: Vec<_> = notes(1..=3).into_iter().map(|event| event.with_created_at(created)).collect();
    store.append(&stream, events).await.unwrap();
    let leftover = created - SignedDuration::from_micros(1);
    store.save_snapshot(&stream, 3, Summed { sum: 666 }.with_created_at(leftover)).await.unwrap();
    assert_eq!(store.load_stream::<Ledger>(&stream).await.unwrap().len(), 3);
    // As old as the first event is not older, and a leftover hides no older version of the stream's own.
    store.save_snapshot(&stream, 2, Summed { sum: 3 }.with_created_at(created)).await.unwrap();
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(events[0].event, Ledger::Summed(Summed { sum: 3 }));
    assert_eq!(events.len(), 2);
}

/// The version of the snapshot that a backend finds, and how many events after it.
async fn found(
    subject: &Subject,
    names: &'static [&'static str],
    up_to: Version,
) -> (Option<Version>, usize) {
    let span = Span::FromSnapshot { names, up_to };
    let request = LoadRequest::new(TenantId::DEFAULT, ledger("1"), span);
    let loaded = subject.backend().load(request).await.unwrap();
    (loaded.snapshot.and_then(|snapshot| snapshot.version), loaded.events.len())
}

pub(super) async fn clause_3_3_a_backend_finds_snapshots_by_name_and_highest_version(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 6).await;
    for version in [2, 4] {
        subject.backend().save_snapshot(snapshot_request(&stream, version, 0)).await.unwrap();
    }
    store.save_snapshot(&stream, 5, RawEvent::new("averaged", "{}").unwrap()).await.unwrap();
    assert_eq!(found(&subject, &["summed"], Version::MAX).await, (Some(4), 2));
    assert_eq!(found(&subject, &["summed", "averaged"], Version::MAX).await, (Some(5), 1));
    assert_eq!(found(&subject, &["averaged", "noted"], Version::MAX).await, (Some(5), 1));
    assert_eq!(found(&subject, &["averaged"], 4).await, (None, 6));
    assert_eq!(found(&subject, &["summed"], 4).await, (Some(4), 2));
    assert_eq!(found(&subject, &["summed"], 3).await, (Some(2), 4));
    assert_eq!(found(&subject, &["summed"], 1).await, (None, 6));
    assert_eq!(found(&subject, &["summed"], 0).await, (None, 6));
    assert_eq!(found(&subject, &["noted"], Version::MAX).await, (None, 6));
    assert_eq!(found(&subject, &[], Version::MAX).await, (None, 6));
    assert_eq!(found(&subject, &["summe", "Summed", "s%", "summed "], Version::MAX).await, (None, 6));
}
