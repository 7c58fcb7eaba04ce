//! Clause 7.1: every operation keeps to its tenant.

use std::collections::HashSet;

use event_sourcery::{Error, Event as _, EventStore, Position, RawEvent, StreamId, TenantId};
use uuid::Uuid;

use super::ledger::{Ledger, Ledgers as _, Summed, ledger, noted, notes, number, tenant};
use super::subject::Subject;

/// The store in the eyes of the default tenant and of two others.
fn three_tenants(subject: &Subject) -> [EventStore; 3] {
    let store = subject.store();
    let [acme, zenith] = ["acme", "zenith"].map(|name| store.for_tenant(tenant(name)));
    [store, acme, zenith]
}

pub(super) async fn clause_7_1_loads_see_the_tenants_streams_only(subject: Subject) {
    let (tenants, stream) = (three_tenants(&subject), ledger("1"));
    for (number, handle) in (1..).zip(&tenants) {
        assert!(handle.load_stream::<RawEvent>(&stream).await.unwrap().is_empty());
        handle.append(&stream, notes(0..number)).await.unwrap();
    }
    for (number, handle) in (1_usize..).zip(&tenants) {
        assert_eq!(handle.load_stream::<RawEvent>(&stream).await.unwrap().len(), number);
        assert_eq!(handle.load_stream::<RawEvent>(&stream).full_history().await.unwrap().len(), number);
        assert_eq!(handle.load_stream::<RawEvent>(&stream).versions(1..).await.unwrap().len(), number);
        let mut paged = handle.load_stream::<RawEvent>(&stream).stream();
        for _ in 0..number {
            assert!(paged.try_next().await.unwrap().is_some());
        }
        assert!(paged.try_next().await.unwrap().is_none());
    }
}

pub(super) async fn clause_7_1_version_checks_look_at_the_tenants_stream(subject: Subject) {
    let ([default, acme, zenith], stream) = (three_tenants(&subject), ledger("1"));
    default.with_ledger(&stream, 3).await;
    acme.with_ledger(&stream, 1).await;
    assert_refused!(
        acme.append(&stream, noted(2)).expected_version(3).await,
        Error::Conflict { actual: 1, .. }
    );
    assert_refused!(
        zenith.append(&stream, noted(2)).expected_version(3).await,
        Error::Conflict { actual: 0, .. }
    );
    assert_refused!(
        default.append(&stream, noted(2)).expected_version(1).await,
        Error::Conflict { actual: 3, .. }
    );
    acme.append(&stream, noted(2)).expected_version(1).await.unwrap();
    default.append(&stream, noted(4)).expected_version(3).await.unwrap();
    assert_eq!(default.versions(&stream).await.len(), 4);
    assert_eq!(acme.versions(&stream).await.len(), 2);
    assert_eq!(zenith.versions(&stream).await.len(), 0);
}

pub(super) async fn clause_7_1_kinds_of_versioning_are_the_tenants_own(subject: Subject) {
    let ([default, acme, zenith], stream) = (three_tenants(&subject), ledger("1"));
    default.append(&stream, noted(1)).await.unwrap();
    acme.append(&stream, noted(1)).no_versioning().await.unwrap();
    zenith.append(&stream, noted(1)).await.unwrap();
    assert_eq!(default.versions(&stream).await, [Some(1)]);
    assert_eq!(acme.versions(&stream).await, [None]);
    acme.append(&stream, noted(2)).no_versioning().await.unwrap();
    assert_refused!(
        default.append(&stream, noted(2)).no_versioning().await,
        Error::NoExpectedVersionGivenOnVersionedStream { .. }
    );
}

pub(super) async fn clause_7_1_deletions_keep_to_the_tenant(subject: Subject) {
    let ([default, acme, zenith], stream) = (three_tenants(&subject), ledger("1"));
    for handle in [&default, &acme] {
        handle.with_ledger(&stream, 2).await;
        handle.save_snapshot(&stream, 2, Summed { sum: 3 }).await.unwrap();
    }
    zenith.delete_stream(&stream).await.unwrap();
    assert_eq!(acme.load_stream::<Ledger>(&stream).await.unwrap().len(), 1);
    acme.delete_stream(&stream).await.unwrap();
    assert!(acme.load_stream::<Ledger>(&stream).await.unwrap().is_empty());
    assert_eq!(default.load_stream::<Ledger>(&stream).await.unwrap().len(), 1);
    assert_eq!(default.numbers(&stream).await, [1, 2]);
}

pub(super) async fn clause_7_1_snapshots_are_the_tenants_own(subject: Subject) {
    let ([default, acme, zenith], stream) = (three_tenants(&subject), ledger("1"));
    for handle in [&default, &acme] {
        handle.with_ledger(&stream, 2).await;
    }
    acme.save_snapshot(&stream, 2, Summed { sum: 666 }).await.unwrap();
    assert_eq!(acme.load_stream::<Ledger>(&stream).await.unwrap().len(), 1);
    assert_eq!(default.load_stream::<Ledger>(&stream).await.unwrap().len(), 2);
    assert_refused!(
        zenith.save_snapshot(&stream, 2, Summed { sum: 3 }).await,
        Error::SnapshotVersionMismatch { actual: Some(0), .. },
    );
}

pub(super) async fn clause_7_1_reading_across_streams_keeps_to_the_tenant(subject: Subject) {
    let [default, acme, zenith] = three_tenants(&subject);
    default.append(&ledger("1"), noted(1)).await.unwrap();
    acme.append(&ledger("1"), noted(2)).await.unwrap();
    acme.append(&ledger("2"), noted(3)).await.unwrap();
    let last = zenith.append(&ledger("1"), noted(4)).await.unwrap();
    zenith.settled(last.position).await;
    let numbers = async |handle: &EventStore| {
        handle.records_after(Position::START).await.iter().map(number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&acme).await, [2, 3]);
    assert_eq!(numbers(&zenith).await, [4]);
    // The default handle works in system context (7.2).
    assert_eq!(numbers(&default).await, [1, 2, 3, 4]);
    let owners: Vec<_> =
        default.records_after(Position::START).await.into_iter().map(|record| record.tenant_id).collect();
    assert_eq!(owners, [TenantId::DEFAULT, tenant("acme"), tenant("acme"), tenant("zenith")]);
}

pub(super) async fn clause_7_1_names_are_the_tenants_own(subject: Subject) {
    let ([default, acme, _], named) = (three_tenants(&subject), ledger("1"));
    let by_uuid = StreamId::from_uuid(named.uuid());
    default.append(&named, noted(1)).await.unwrap();
    let last = acme.append(&by_uuid, noted(2)).await.unwrap();
    let name =
        |records: Vec<event_sourcery::Recorded<RawEvent>>| records[0].stream_id.name().map(str::to_owned);
    assert_eq!(name(acme.records(last.position).await), None);
    let last = acme.append(&named, noted(3)).expected_version(1).await.unwrap();
    assert_eq!(name(acme.records(last.position).await).as_deref(), Some("ledgers/1"));
}

pub(super) async fn clause_7_1_event_ids_are_unique_across_tenants(subject: Subject) {
    let ([default, acme, _], stream) = (three_tenants(&subject), ledger("1"));
    let event = noted(1).with_id(Uuid::from_u128(1));
    default.append(&stream, event.clone()).await.unwrap();
    assert_refused!(acme.append(&stream, event.clone()).await, Error::DuplicateEvent { .. });
    assert!(default.append(&stream, event).await.unwrap().repeated);
    assert!(acme.versions(&stream).await.is_empty());
}

pub(super) async fn clause_7_1_a_handle_of_a_handle_is_the_last_tenants(subject: Subject) {
    let [default, acme, zenith] = three_tenants(&subject);
    assert!(default.tenant_id().is_default());
    assert_eq!(acme.for_tenant(tenant("zenith")).tenant_id(), zenith.tenant_id());
    acme.for_tenant(tenant("zenith")).append(&ledger("1"), noted(1)).await.unwrap();
    assert_eq!(zenith.numbers(&ledger("1")).await, [1]);
    assert!(acme.numbers(&ledger("1")).await.is_empty());
}

pub(super) async fn clause_7_1_tenants_that_look_alike_are_told_apart(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let names = [
        "acme",
        "Acme",
        "ACME",
        "acme ",
        " acme",
        "acmé",
        "acme\u{301}",
        "a%",
        "a_me",
        "null",
        "default",
        "'acme'",
    ];
    for name in names {
        store.for_tenant(tenant(name)).append(&stream, noted(1)).await.unwrap();
    }
    let last = store.append(&stream, noted(1)).await.unwrap();
    let records = store.records(last.position).await;
    let owners: HashSet<_> = records.iter().map(|record| record.tenant_id.clone()).collect();
    assert_eq!(owners.len(), names.len() + 1);
    for name in names {
        store.settled(last.position).await;
        assert_eq!(store.for_tenant(tenant(name)).records_after(Position::START).await.len(), 1, "{name:?}");
    }
}
