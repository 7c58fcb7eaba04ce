//! Clause 15.2: a stream and the store are read backwards, and what happened is found: by an id, and by what caused it.

use std::sync::Arc;

use event_sourcery::backend::{Backend, EventsRequest, LOOKS_AT, Mark};
use event_sourcery::testing::FaultyBackend;
use event_sourcery::{Context, Error, Event as _, EventStore, RawEvent, StreamId};
use uuid::Uuid;

use super::customers::{Registered, ann, customers, forgotten};
use super::ledger::{Ledgers as _, Noted, category, ledger, noted, notes, tenant};
use super::looking::{numbers, whole};
use super::subject::Subject;

pub(super) async fn clause_15_2_a_stream_is_read_backwards_from_its_end(subject: Subject) {
    let store = subject.store();
    for (name, versioned) in [("1", true), ("2", false)] {
        let stream = ledger(name);
        let append = store.append(&stream, notes(1..=7));
        if versioned { append.await } else { append.no_versioning().await }.unwrap();
        store.append(&ledger("other"), noted(99)).no_versioning().await.unwrap();
        for limit in [1, 3, 7, 100] {
            let seen = whole(async |from| store.look().backwards(&stream, from, limit).await).await;
            assert_eq!(numbers(&seen), [7, 6, 5, 4, 3, 2, 1], "{limit} a page");
            let versions: Vec<_> = seen.iter().map(|seen| seen.version()).collect();
            let expected = (1..=7).rev().map(|version| versioned.then_some(version));
            assert_eq!(versions, expected.collect::<Vec<_>>());
            assert!(seen.iter().all(|seen| *seen.stream_id() == stream && seen.tenant_id().is_default()));
        }
        let page = store.look().backwards(&stream, None, 2).await.unwrap();
        store.delete_stream(&stream).await.unwrap();
        let gone = store.look().backwards(&stream, page.next, 2).await.unwrap();
        assert!(gone.items.is_empty() && gone.next.is_none());
    }
    let unknown = store.look().backwards(&ledger("unknown"), None, 2).await.unwrap();
    assert!(unknown.items.is_empty() && unknown.next.is_none());
}

pub(super) async fn clause_15_2_the_end_of_a_long_stream_is_told_in_one_call_each(subject: Subject) {
    let (store, stream) = (subject.faulty(), ledger("1"));
    store.append(&stream, notes(1..=20_000)).await.unwrap();
    let calls = store.backend().calls();
    assert_eq!(store.version(&stream).await.unwrap(), Some(20_000));
    let last = store.look().backwards(&stream, None, 1).await.unwrap();
    assert_eq!(numbers(&last.items), [20_000]);
    assert_eq!(store.backend().calls(), calls + 2);
}

pub(super) async fn clause_15_2_the_newest_events_of_the_store_are_read_backwards(subject: Subject) {
    let (store, red) = (subject.store(), ledger("1").in_category("red").unwrap());
    store.append(&ledger("1"), notes(1..=3)).await.unwrap();
    store.for_tenant(tenant("acme")).append(&red, notes(4..=5)).await.unwrap();
    store.append(&red, (RawEvent::new("closed", r#"{"number":6}"#).unwrap(), noted(7))).await.unwrap();
    let seen = async |request: EventsRequest| {
        let seen = whole(async |from| store.look().events(request.clone().with_from(from)).await).await;
        let number = |data: &str| serde_json::from_str::<Noted>(data).unwrap().number;
        seen.iter().map(|seen| number(seen.data())).collect::<Vec<_>>()
    };
    for limit in [1, 2, 100] {
        let (newest, first) = (|| EventsRequest::newest(limit), || EventsRequest::first(limit));
        assert_eq!(seen(newest()).await, [7, 6, 5, 4, 3, 2, 1], "{limit} a page");
        assert_eq!(seen(first()).await, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(seen(newest().with_tenant(tenant("acme"))).await, [5, 4]);
        assert_eq!(seen(newest().with_category(category("red"))).await, [7, 6, 5, 4]);
        assert_eq!(seen(first().with_names([Arc::from("closed"), Arc::from("other")])).await, [6]);
    }
    let page = store.look().events(EventsRequest::newest(1)).await.unwrap();
    let wrapped = page.items[0].decode::<Noted>().unwrap();
    assert_eq!((wrapped.event, wrapped.version, page.items[0].name()), (noted(7), Some(2), "noted"));
}

pub(super) async fn clause_15_2_an_event_is_found_by_its_id(subject: Subject) {
    let (store, id) = (subject.store(), Uuid::now_v7());
    let acme = store.for_tenant(tenant("acme"));
    acme.append(&ledger("1"), (noted(1), noted(2).with_id(id))).await.unwrap();
    let seen = store.look().event(id).await.unwrap().unwrap();
    assert_eq!((seen.uuid(), seen.version(), seen.tenant_id()), (id, Some(2), &tenant("acme")));
    assert_eq!((numbers(std::slice::from_ref(&seen)), seen.stream_id()), (vec![2], &ledger("1")));
    assert!(seen.stream_id().name().is_some() && seen.unreadable().is_none());
    assert!(store.look().event(Uuid::now_v7()).await.unwrap().is_none());
    acme.delete_stream(&ledger("1")).await.unwrap();
    assert!(store.look().event(id).await.unwrap().is_none());
}

pub(super) async fn clause_15_2_a_correlation_and_the_tree_of_what_an_event_caused_are_found(
    subject: Subject,
) {
    let (store, correlation) = (subject.store(), Uuid::now_v7());
    let request = store.with_context(Context::new().with_correlation_id(correlation));
    // A context may have the id elsewhere, and is no part of it.
    let elsewhere = Context::new().with_correlation_id(Uuid::now_v7()).with_causation_id(correlation);
    store.append(&ledger("0"), noted(0).with_context(elsewhere)).await.unwrap();
    request.append(&ledger("1"), noted(1)).await.unwrap();
    let first = async |stream: &StreamId| store.load_stream::<Noted>(stream).await.unwrap().remove(0);
    let one = first(&ledger("1")).await;
    store.caused_by(&one).append(&ledger("2"), notes(2..=3)).await.unwrap();
    store.append(&ledger("other"), noted(98)).await.unwrap();
    let two = first(&ledger("2")).await;
    // What it causes may be of another correlation.
    let other = Context::new().with_correlation_id(Uuid::now_v7());
    store.caused_by(&two).append(&ledger("3"), noted(4).with_context(other)).await.unwrap();
    let four = first(&ledger("3")).await;
    store.caused_by(&four).append(&ledger("4"), noted(5)).await.unwrap();
    store.caused_by(&one).append(&ledger("5"), noted(6)).await.unwrap();

    let found = whole(async |from| store.look().correlated(correlation, from).await).await;
    assert_eq!(numbers(&found), [6, 3, 2, 1]);
    let causes = store.look().caused_by(one.uuid).await.unwrap().unwrap();
    assert_eq!((causes.root().uuid(), causes.is_whole()), (one.uuid, true));
    assert_eq!(numbers(causes.all()), [2, 3, 4, 5, 6]);
    let of = |id| causes.of(id).count();
    assert_eq!([one.uuid, two.uuid, four.uuid].map(of), [3, 1, 1]);
    let leaf = store.look().caused_by(causes.all()[3].uuid()).await.unwrap().unwrap();
    assert!(leaf.all().is_empty() && leaf.is_whole());
    assert!(store.look().caused_by(Uuid::now_v7()).await.unwrap().is_none());
}

pub(super) async fn clause_15_2_a_search_for_what_is_rare_ends_and_says_where_to_go_on(subject: Subject) {
    let (store, id) = (subject.faulty(), Uuid::now_v7());
    let acme = store.for_tenant(tenant("acme"));
    let rare = RawEvent::new("rare", "{}").unwrap().with_context(Context::new().with_correlation_id(id));
    let red = ledger("1").in_category("red").unwrap();
    acme.append(&red, rare).await.unwrap();
    for part in 0..=LOOKS_AT / 1_000 {
        store.append(&ledger(&format!("long {part}")), notes(0..1_000)).await.unwrap();
    }
    let newest = || EventsRequest::newest(10);
    let requests = [
        newest().with_names([Arc::from("rare")]),
        newest().with_tenant(tenant("acme")),
        newest().with_category(category("red")),
        newest().with_related_to([id]),
    ];
    for request in requests {
        let calls = store.backend().calls();
        let page = store.look().events(request.clone()).await.unwrap();
        assert!(page.items.is_empty() && page.next.is_some(), "{request:?}: {page:?}");
        let page = store.look().events(request.with_from(page.next)).await.unwrap();
        assert_eq!((page.items.len(), page.next), (1, None));
        assert_eq!(store.backend().calls(), calls + 2, "a page is a call");
    }
    // Its effects are far behind it.
    let cause = acme.load_stream::<RawEvent>(&red).await.unwrap().remove(0);
    acme.caused_by(&cause).append(&ledger("effect"), noted(1)).await.unwrap();
    let causes = acme.look().caused_by(cause.uuid).await.unwrap().unwrap();
    assert_eq!((numbers(causes.all()), causes.is_whole()), (vec![1], true));
}

pub(super) async fn clause_15_2_a_page_is_bounded_by_its_bytes(subject: Subject) {
    let store = subject.store();
    let large = |number: u64| {
        RawEvent::new("large", format!(r#"{{"number":{number},"x":"{}"}}"#, "y".repeat(200_000)))
    };
    let events: Vec<_> = (1..=6).map(|number| large(number).unwrap()).collect();
    store.append(&ledger("1"), events).await.unwrap();
    for backwards in [true, false] {
        let mut pages = 0;
        let seen = whole(async |from: Option<Mark>| {
            pages += 1;
            match backwards {
                true => store.look().backwards(&ledger("1"), from, 100).await,
                false => store.look().events(EventsRequest::newest(100).with_from(from)).await,
            }
        })
        .await;
        let versions: Vec<_> = seen.iter().map(|seen| seen.version().unwrap()).collect();
        assert_eq!((versions, pages), (vec![6, 5, 4, 3, 2, 1], 3));
    }
}

pub(super) async fn clause_15_2_a_row_that_cannot_be_read_is_told_as_that_and_fails_no_page(
    subject: Subject,
) {
    let backend: FaultyBackend<Arc<dyn Backend>> = subject.faulty().backend().clone();
    let erased: Arc<dyn Backend> = Arc::new(backend.clone());
    let (store, id) = (EventStore::new(erased), Uuid::now_v7());
    let appended = store.append(&ledger("1"), (noted(1), noted(2).with_id(id), noted(3))).await.unwrap();
    backend.lose(store.records(appended.position).await[1].position);
    let look = store.look();
    for page in [look.backwards(&ledger("1"), None, 9).await, look.events(EventsRequest::newest(9)).await] {
        let page = page.unwrap();
        let [three, two, one] = &page.items[..] else { panic!("they are three: {page:?}") };
        assert_eq!((three.unreadable(), one.unreadable()), (None, None));
        assert!(two.unreadable().is_some_and(|problem| problem.contains("lost")), "{two:?}");
        assert_eq!((two.uuid(), two.version(), two.name()), (id, Some(2), "noted"));
        assert!(two.decode::<Noted>().is_err() && two.context().is_err());
    }
    assert!(look.event(id).await.unwrap().unwrap().unreadable().is_some());
}

pub(super) async fn clause_15_2_who_looks_inside_sees_masks(subject: Subject) {
    let (store, stream) = (subject.private(), customers("17"));
    store.append(&stream, ann()).await.unwrap();
    for store in [store, subject.store()] {
        let seen = store.look().backwards(&stream, None, 1).await.unwrap().items.remove(0);
        let data: serde_json::Value = serde_json::from_str(seen.data()).unwrap();
        assert_eq!(data, serde_json::to_value(forgotten(&ann())).unwrap());
        assert!(seen.context().is_ok());
        let refused = seen.decode::<Registered>().unwrap_err();
        assert!(matches!(refused, Error::EncryptionMissing { .. }), "{refused}");
    }
}
