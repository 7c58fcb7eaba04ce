//! Clause 5: deleting.

use event_sourcery::backend::{Backend as _, SnapshotRequest};
use event_sourcery::{Error, Event as _, NewEvent, RawEvent, StreamId};

use super::ledger::{Ledger, Ledgers as _, Summed, ledger, noted, notes, snapshot_request, tenant};
use super::subject::Subject;

pub(super) async fn clause_5_1_a_deleted_streams_events_are_gone_from_every_read(subject: Subject) {
    let (store, stream, other) = (subject.store(), ledger("1"), ledger("2"));
    store.with_ledger(&stream, 3).await;
    let last = store.with_ledger(&other, 2).await;
    store.settled(last.position).await;
    store.delete_stream(&stream).await.unwrap();
    assert!(store.load_stream::<RawEvent>(&stream).await.unwrap().is_empty());
    assert!(store.load_stream::<RawEvent>(&stream).versions(1..).await.unwrap().is_empty());
    assert!(store.load_stream::<RawEvent>(&stream).stream().try_next().await.unwrap().is_none());
    let records = store.records(last.position).await;
    assert!(records.iter().all(|record| record.stream_id == other), "{records:?}");
    assert_eq!(records.len(), 2);
}

pub(super) async fn clause_5_1_the_same_uuid_elsewhere_is_untouched(subject: Subject) {
    let store = subject.store();
    let plain = ledger("1");
    let red = plain.clone().in_category("red").unwrap();
    let acme = store.for_tenant(tenant("acme"));
    let zenith = store.for_tenant(tenant("zenith"));
    let places = [(&store, &plain), (&store, &red), (&acme, &plain), (&acme, &red), (&zenith, &red)];
    for (handle, stream) in places {
        handle.with_ledger(stream, 3).await;
        handle.save_snapshot(stream, 2, Summed { sum: 3 }).await.unwrap();
    }
    for (deleted, (handle, stream)) in places.iter().enumerate() {
        handle.delete_stream(stream).await.unwrap();
        for (place, (handle, stream)) in places.iter().enumerate() {
            let expected = if place <= deleted { 0 } else { 2 };
            let events = handle.load_stream::<Ledger>(stream).await.unwrap();
            assert_eq!(events.len(), expected, "place {place} after deleting place {deleted}");
        }
    }
}

/// A snapshot whose time does not tell that it is older than the stream that is created next.
fn of_the_future() -> NewEvent<Summed> {
    Summed { sum: 666 }.with_created_at("2199-01-01T00:00:00Z".parse().unwrap())
}

pub(super) async fn clause_5_1_a_deleted_streams_snapshots_do_not_show_up_again(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 3).await;
    for version in [1, 3, 2] {
        store.save_snapshot(&stream, version, of_the_future()).await.unwrap();
    }
    store.delete_stream(&stream).await.unwrap();
    assert!(store.load_stream::<Ledger>(&stream).await.unwrap().is_empty());
    store.append(&stream, notes(1..=5)).await.unwrap();
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.event).collect::<Vec<_>>(),
        notes(1..=5).into_iter().map(Ledger::Noted).collect::<Vec<_>>()
    );
}

pub(super) async fn clause_5_1_the_next_stream_inherits_no_snapshot(subject: Subject) {
    // Where a backend numbers its streams, the next one may get the number of the one that was deleted.
    let store = subject.store();
    for number in 1..=4 {
        let stream = ledger(&number.to_string());
        store.append(&stream, notes(1..=3)).await.unwrap();
        assert_eq!(store.load_stream::<Ledger>(&stream).await.unwrap().len(), 3, "ledger {number}");
        store.save_snapshot(&stream, 3, of_the_future()).await.unwrap();
        store.delete_stream(&stream).await.unwrap();
    }
}

pub(super) async fn clause_5_1_a_deleted_streams_snapshot_ids_are_free_again(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let snapshot = Summed { sum: 6 }.with_id(uuid::Uuid::from_u128(9));
    for _ in 0..2 {
        store.with_ledger(&stream, 3).await;
        store.save_snapshot(&stream, 3, snapshot.clone()).await.unwrap();
        assert_eq!(store.load_stream::<Ledger>(&stream).await.unwrap().len(), 1);
        store.delete_stream(&stream).await.unwrap();
    }
}

pub(super) async fn clause_5_1_dropping_the_outbox_can_be_asked_for(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 3).await;
    store.delete_stream(&stream).drop_outbox().await.unwrap();
    assert!(store.numbers(&stream).await.is_empty());
}

pub(super) async fn clause_5_2_deleting_what_does_not_exist_does_nothing(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.delete_stream(&stream).await.unwrap();
    store.delete_stream(&stream).drop_outbox().await.unwrap();
    store.with_ledger(&stream, 2).await;
    store.delete_stream(&ledger("2")).await.unwrap();
    store.delete_stream(&stream.clone().in_category("red").unwrap()).await.unwrap();
    store.for_tenant(tenant("acme")).delete_stream(&stream).await.unwrap();
    store.delete_stream(&StreamId::random()).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1, 2]);
    store.delete_stream(&stream).await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    assert!(store.numbers(&stream).await.is_empty());
}

pub(super) async fn clause_5_2_a_deleted_stream_is_created_again_from_version_1(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    for length in 1..=3 {
        store.with_ledger(&stream, length).await;
        store.delete_stream(&stream).await.unwrap();
        assert_refused!(
            store.append(&stream, noted(1)).expected_version(length).await,
            Error::Conflict { expected, actual: 0, .. } if expected == length,
        );
    }
    let appended = store.append(&stream, noted(1)).await.unwrap();
    assert_eq!(appended.first_version, Some(1));
}

pub(super) async fn clause_5_2_a_deleted_stream_is_created_again_with_either_kind_of_versioning(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, noted(1)).no_versioning().await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    assert!(store.load_stream::<RawEvent>(&stream).versions(..).await.unwrap().is_empty());
    store.append(&stream, noted(1)).await.unwrap();
    assert_eq!(store.versions(&stream).await, [Some(1)]);
    store.delete_stream(&stream).await.unwrap();
    store.append(&stream, noted(1)).no_versioning().await.unwrap();
    assert_eq!(store.versions(&stream).await, [None]);
    assert_refused!(
        store.append(&stream, noted(2)).await,
        Error::ExpectedVersionUsedOnVersionlessStream { .. }
    );
}

pub(super) async fn clause_5_2_deleting_by_uuid_deletes_the_named_stream(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 2).await;
    store.delete_stream(&StreamId::from_uuid(stream.uuid())).await.unwrap();
    assert!(store.numbers(&stream).await.is_empty());
    store.append(&stream, noted(1)).await.unwrap();
}

pub(super) async fn clause_5_1_no_snapshot_is_taken_of_a_deleted_stream(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 2).await;
    store.delete_stream(&stream).await.unwrap();
    assert_refused!(
        store.save_snapshot(&stream, 2, Summed { sum: 3 }).await,
        Error::SnapshotVersionMismatch { version: 2, actual: Some(0), .. },
    );
    let SnapshotRequest { version, .. } = snapshot_request(&stream, 1, 1);
    store.with_ledger(&stream, 1).await;
    subject.backend().save_snapshot(snapshot_request(&stream, version, 1)).await.unwrap();
    assert_eq!(store.load_stream::<Ledger>(&stream).await.unwrap().len(), 1);
}
