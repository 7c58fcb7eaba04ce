//! Clauses 2.10 and 4.5, as far as a process can test them on itself: everything is there after every handle is gone.

use event_sourcery::{Error, Event as _, Position, RawEvent};

use super::ledger::{Ledger, Ledgers as _, Summed, ledger, noted, notes, tenant};
use super::subject::Subject;

pub(super) async fn clause_2_10_what_was_acknowledged_is_there_after_reopening(subject: Subject) {
    let (store, stream, bare) = (subject.store(), ledger("1").in_category("red").unwrap(), ledger("2"));
    let acme = store.for_tenant(tenant("acme"));
    store.append(&stream, notes(1..=20)).await.unwrap();
    acme.append(&stream, notes(1..=3)).await.unwrap();
    store.append(&bare, noted(1)).no_versioning().await.unwrap();
    store.save_snapshot(&stream, 10, Summed { sum: 55 }).await.unwrap();
    let repeatable = noted(21).with_id(uuid::Uuid::from_u128(21));
    let last = store.append(&stream, repeatable.clone()).expected_version(20).await.unwrap();
    let before = store.records(last.position).await;
    drop((store, acme));

    let subject = subject.reopened().await;
    let store = subject.store();
    let after = store.records(last.position).await;
    assert_eq!(after, before);
    let names = |records: &[event_sourcery::Recorded<RawEvent>]| {
        records.iter().map(|record| record.stream_id.name().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(names(&after), names(&before));
    assert_eq!(store.for_tenant(tenant("acme")).numbers(&stream).await, [1, 2, 3]);
    let known = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!((known[0].version, known[0].event), (Some(10), Ledger::Summed(Summed { sum: 55 })));
    assert_eq!(known.len(), 12);
    assert!(store.append(&stream, repeatable).expected_version(20).await.unwrap().repeated);
    assert_refused!(
        store.append(&stream, noted(22)).expected_version(20).await,
        Error::Conflict { actual: 21, .. }
    );
    assert_refused!(
        store.append(&bare, noted(2)).await,
        Error::ExpectedVersionUsedOnVersionlessStream { .. },
    );
}

pub(super) async fn clause_2_10_what_was_deleted_stays_deleted_after_reopening(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 5).await;
    store.save_snapshot(&stream, 5, Summed { sum: 15 }).await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    drop(store);
    let store = subject.reopened().await.store();
    assert!(store.load_stream::<Ledger>(&stream).await.unwrap().is_empty());
    store.append(&stream, noted(1)).await.unwrap();
    assert_eq!(store.numbers(&stream).await, [1]);
}

pub(super) async fn clause_4_5_what_was_settled_stays_settled_across_restarts(mut subject: Subject) {
    let mut settled = Position::START;
    for round in 1..=3 {
        let store = subject.store();
        assert!(store.position().await.unwrap() >= settled, "round {round}");
        let stream = ledger(&round.to_string());
        let appended = store.with_ledger(&stream, 2).await;
        store.settled(appended.position).await;
        settled = store.position().await.unwrap();
        drop(store);
        subject = subject.reopened().await;
    }
}

pub(super) async fn clause_4_1_positions_are_not_reused_after_deleting_the_newest_stream_and_reopening(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    let deleted = store.with_ledger(&stream, 5).await;
    store.settled(deleted.position).await;
    let settled = store.position().await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    drop(store);
    let store = subject.reopened().await.store();
    assert!(store.position().await.unwrap() >= settled);
    let anew = store.with_ledger(&stream, 1).await;
    assert!(anew.position > deleted.position);
    assert_eq!(
        store.records_after(settled).await.len(),
        1,
        "a reader that had seen the deleted events sees the new one"
    );
}
