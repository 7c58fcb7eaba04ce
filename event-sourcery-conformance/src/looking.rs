//! Clauses 15.1 and 15.4: what there is in the store is listed in pages, and to a tenant what is its own.

use std::sync::Arc;

use event_sourcery::backend::{COUNTS_TO, EventsRequest, LOOKS_AT, ListRequest, Mark, Page, StreamsRequest};
use event_sourcery::look::Seen;
use event_sourcery::{Error, Event as _, EventStore, RawEvent, Result, StreamId};

use super::ledger::{category, ledger, noted, notes, tenant};
use super::subject::Subject;

/// Everything that a listing has, page by page.
pub(super) async fn whole<T>(mut next: impl AsyncFnMut(Option<Mark>) -> Result<Page<T>>) -> Vec<T> {
    let (mut all, mut from) = (Vec::new(), None);
    for _ in 0..1_000 {
        let page = next(from).await.unwrap();
        all.extend(page.items);
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
    panic!("the listing has no end");
}

/// The numbers in events of ledgers.
pub(super) fn numbers(seen: &[Seen]) -> Vec<u64> {
    let number = |seen: &Seen| seen.decode::<super::ledger::Noted>().unwrap().event.number;
    seen.iter().map(number).collect()
}

/// The streams of a listing, as they are told to people, whose they are, and their versions.
async fn streams(store: &EventStore, request: StreamsRequest) -> Vec<String> {
    let all = whole(async |from| store.look().streams(request.clone().with_from(from)).await).await;
    let told = |stream: &StreamId| stream.name().map_or("nameless".to_owned(), |_| stream.to_string());
    all.iter().map(|one| format!("{} of {} at {:?}", told(&one.stream), one.tenant, one.version)).collect()
}

/// The names of a listing, with their counts.
async fn counts(
    mut next: impl AsyncFnMut(ListRequest) -> Result<Page<event_sourcery::backend::Counted>>,
) -> Vec<(String, u64, bool)> {
    let all = whole(async |from| next(ListRequest::new(1).with_from(from)).await).await;
    all.iter().map(|one| (one.name.to_string(), one.count, one.is_exact)).collect()
}

fn exact(names: &[(&str, u64)]) -> Vec<(String, u64, bool)> {
    names.iter().map(|(name, count)| ((*name).to_owned(), *count, true)).collect()
}

/// Streams of three tenants, in categories and none, with names that look alike.
async fn with_streams(store: &EventStore) {
    let red = |name: &str| ledger(name).in_category("red").unwrap();
    for name in ["b/2", "a/1", "b/10", "B/1", "b-1", "é", "b/1"] {
        store.append(&ledger(name), notes(1..=2)).await.unwrap();
    }
    store.append(&red("b/1"), noted(1)).no_versioning().await.unwrap();
    store.append(&StreamId::random(), noted(1)).await.unwrap();
    let (acme, zenith) = (store.for_tenant(tenant("acme")), store.for_tenant(tenant("zenith")));
    acme.append(&red("b/1"), notes(1..=3)).await.unwrap();
    acme.append(&ledger("b/7"), noted(1)).await.unwrap();
    zenith.append(&ledger("b/3"), noted(1)).await.unwrap();
}

pub(super) async fn clause_15_1_streams_are_listed_by_name_and_by_how_it_begins(subject: Subject) {
    let store = subject.store();
    with_streams(&store).await;
    let by_name = |prefix: &str, limit| StreamsRequest::named(prefix, limit);
    let default = [
        "ledgers/b/1 of the default tenant at Some(2)",
        "ledgers/b/10 of the default tenant at Some(2)",
        "ledgers/b/2 of the default tenant at Some(2)",
        "red:ledgers/b/1 of the default tenant at None",
    ];
    let acme = ["ledgers/b/7 of acme at Some(1)", "red:ledgers/b/1 of acme at Some(3)"];
    let zenith = "ledgers/b/3 of zenith at Some(1)";
    for limit in [1, 2, 3, 100] {
        let all = streams(&store, by_name("ledgers/b/", limit)).await;
        assert_eq!(all, [&default[..], &acme[..], &[zenith]].concat(), "{limit} a page");
        let of_acme = by_name("ledgers/b/", limit).with_tenant(tenant("acme"));
        assert_eq!(streams(&store, of_acme).await, acme, "{limit} a page");
        let red = by_name("", limit).with_category(category("red"));
        assert_eq!(streams(&store, red).await, [default[3], acme[1]], "{limit} a page");
    }
    let named = streams(&store, by_name("", 2)).await;
    let names: Vec<_> = named.iter().map(|told| told.split(" of ").next().unwrap()).collect();
    let of_default = ["B/1", "a/1", "b-1", "b/1", "b/10", "b/2", "é"].map(|name| format!("ledgers/{name}"));
    assert_eq!(names[..7], of_default);
    assert_eq!(streams(&store, by_name("ledgers/c", 2)).await, [""; 0]);
    assert_eq!(streams(&store, by_name("ledgers/b/1", 1)).await.len(), 4);
}

pub(super) async fn clause_15_1_streams_are_listed_newest_first_with_their_last_event(subject: Subject) {
    let store = subject.store();
    with_streams(&store).await;
    store.append(&ledger("b/2"), RawEvent::new("closed", "{}").unwrap()).expected_version(2).await.unwrap();
    for limit in [1, 5, 100] {
        let all = streams(&store, StreamsRequest::newest(limit)).await;
        assert_eq!(all.len(), 12, "{limit} a page: {all:?}");
        assert_eq!(
            all[..5],
            [
                "ledgers/b/3 of zenith at Some(1)",
                "ledgers/b/7 of acme at Some(1)",
                "red:ledgers/b/1 of acme at Some(3)",
                "nameless of the default tenant at Some(1)",
                "red:ledgers/b/1 of the default tenant at None",
            ]
        );
        assert_eq!(all[11], "ledgers/b/2 of the default tenant at Some(3)");
        let red = StreamsRequest::newest(limit).with_category(category("red"));
        assert_eq!(streams(&store, red).await, [&*all[2], &*all[4]]);
        assert_eq!(
            streams(&store, StreamsRequest::newest(limit).with_tenant(tenant("acme"))).await,
            all[1..3]
        );
    }
    let page = store.look().streams(StreamsRequest::named("ledgers/b/2", 1)).await.unwrap();
    let last = store.look().backwards(&ledger("b/2"), None, 1).await.unwrap().items.remove(0);
    let [listed] = &page.items[..] else { panic!("listed are {page:?}") };
    assert_eq!((&*listed.event_name, listed.created_at), ("closed", last.created_at()));
    assert_eq!(listed.position.to_i64(), last.position().to_i64());
}

pub(super) async fn clause_15_1_a_deleted_stream_is_listed_no_more(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1").in_category("red").unwrap());
    store.append(&stream, notes(1..=600)).await.unwrap();
    store.append(&ledger("2"), noted(1)).await.unwrap();
    store.delete_stream(&stream).await.unwrap();
    let two = ["ledgers/2 of the default tenant at Some(1)"];
    assert_eq!(streams(&store, StreamsRequest::newest(10)).await, two);
    assert_eq!(streams(&store, StreamsRequest::named("", 10)).await, two);
    assert_eq!(counts(async |request| store.look().categories(request).await).await, exact(&[("", 1)]));
    assert_eq!(counts(async |request| store.look().tenants(request).await).await, exact(&[("", 1)]));
    assert!(store.look().backwards(&stream, None, 10).await.unwrap().items.is_empty());
    assert_eq!(numbers(&whole(async |from| newest(&store, from).await).await), [1]);

    store.append(&stream, noted(7)).await.unwrap();
    assert_eq!(
        streams(&store, StreamsRequest::named("", 10)).await[1],
        "red:ledgers/1 of the default tenant at Some(1)"
    );
}

async fn newest(store: &EventStore, from: Option<Mark>) -> Result<Page<Seen>> {
    store.look().events(EventsRequest::newest(100).with_from(from)).await
}

pub(super) async fn clause_15_1_tenants_and_categories_are_listed_with_counts(subject: Subject) {
    let store = subject.store();
    assert_eq!(counts(async |request| store.look().tenants(request).await).await, exact(&[]));
    with_streams(&store).await;
    let acme = store.for_tenant(tenant("acme"));
    acme.append(&ledger("1").in_category("blue").unwrap(), noted(1)).await.unwrap();
    let tenants = counts(async |request| store.look().tenants(request).await).await;
    assert_eq!(tenants, exact(&[("", 9), ("acme", 3), ("zenith", 1)]));
    let categories = counts(async |request| store.look().categories(request).await).await;
    assert_eq!(categories, exact(&[("", 10), ("blue", 1), ("red", 2)]));
    let of_acme =
        counts(async |request| store.look().categories(request.with_tenant(tenant("acme"))).await).await;
    assert_eq!(of_acme, exact(&[("", 1), ("blue", 1), ("red", 1)]));
}

pub(super) async fn clause_15_1_a_count_that_is_not_exact_says_so(subject: Subject) {
    let store = subject.store();
    let many = COUNTS_TO as u64 + 1;
    let mut append = store.append_all();
    for number in 0..many {
        append = append.and(&ledger(&number.to_string()), noted(number));
    }
    append.await.unwrap();
    for of in
        [store.look().tenants(ListRequest::new(9)).await, store.look().categories(ListRequest::new(9)).await]
    {
        let of = of.unwrap();
        let [one] = &of.items[..] else { panic!("there is one: {of:?}") };
        assert!(if one.is_exact { one.count == many } else { one.count == many - 1 }, "{one:?}");
    }
}

pub(super) async fn clause_15_1_event_names_are_counted_stretch_by_stretch(subject: Subject) {
    let store = subject.store();
    store.for_tenant(tenant("acme")).append(&ledger("1"), notes(1..=3)).await.unwrap();
    let closed = RawEvent::new("closed", "{}").unwrap();
    store.append(&ledger("1").in_category("red").unwrap(), (noted(1), closed)).await.unwrap();
    let names = async |request: EventsRequest| {
        let page = store.look().event_names(request).await.unwrap();
        assert_eq!(page.next, None);
        page.items.iter().map(|one| (one.name.to_string(), one.count, one.is_exact)).collect::<Vec<_>>()
    };
    let newest = || EventsRequest::newest(1);
    assert_eq!(names(newest()).await, exact(&[("closed", 1), ("noted", 4)]));
    assert_eq!(names(newest().with_tenant(tenant("acme"))).await, exact(&[("noted", 3)]));
    assert_eq!(names(newest().with_category(category("red"))).await, exact(&[("closed", 1), ("noted", 1)]));
    let parts = LOOKS_AT / 1_000 + 1;
    for part in 0..parts {
        store.append(&ledger(&format!("long {part}")), notes(0..1_000)).await.unwrap();
    }
    let mut pages = 0;
    let all = whole(async |from| {
        pages += 1;
        let page = store.look().event_names(newest().with_from(from)).await?;
        assert!(page.items.iter().all(|one| !one.is_exact), "{page:?}");
        Ok(page)
    })
    .await;
    let read: u64 = all.iter().map(|one| one.count).sum();
    assert_eq!((read, pages), (parts as u64 * 1_000 + 5, 2), "one stretch is not all of it");
}

pub(super) async fn clause_15_4_a_tenants_handle_sees_that_tenant_only(subject: Subject) {
    let store = subject.store();
    with_streams(&store).await;
    let id = uuid::Uuid::now_v7();
    let zenith = store.for_tenant(tenant("zenith"));
    zenith.append(&ledger("secret"), noted(9).with_id(id)).await.unwrap();
    let acme = store.for_tenant(tenant("acme"));
    let look = acme.look();
    let own = ["ledgers/b/7 of acme at Some(1)", "red:ledgers/b/1 of acme at Some(3)"];
    assert_eq!(streams(&acme, StreamsRequest::named("", 1)).await, own);
    assert_eq!(streams(&acme, StreamsRequest::newest(1)).await, own);
    assert_eq!(counts(async |request| look.tenants(request).await).await, exact(&[("acme", 2)]));
    assert_eq!(counts(async |request| look.categories(request).await).await, exact(&[("", 1), ("red", 1)]));
    let all = whole(async |from| look.events(EventsRequest::newest(1).with_from(from)).await).await;
    assert_eq!(numbers(&all), [1, 3, 2, 1]);
    let names = look.event_names(EventsRequest::newest(1)).await.unwrap();
    assert_eq!(names.items[0].count, 4);
    assert!(look.backwards(&ledger("b/3"), None, 9).await.unwrap().items.is_empty());
    assert!(look.event(id).await.unwrap().is_none() && zenith.look().event(id).await.unwrap().is_some());
    assert!(look.caused_by(id).await.unwrap().is_none());
    assert_eq!(look.settled().await.unwrap().holders, None);
}

pub(super) async fn clause_15_4_a_tenants_handle_cannot_ask_for_another_nor_learn_of_it_by_a_mark(
    subject: Subject,
) {
    let store = subject.store();
    with_streams(&store).await;
    let acme = store.for_tenant(tenant("acme"));
    let look = acme.look();
    let zenith = || tenant("zenith");
    assert_refused!(
        look.streams(StreamsRequest::newest(1).with_tenant(zenith())).await,
        Error::InvalidOption { option: "tenant", .. },
    );
    assert_refused!(
        look.tenants(ListRequest::new(1).with_tenant(zenith())).await,
        Error::InvalidOption { option: "tenant", .. },
    );
    assert_refused!(
        look.events(EventsRequest::first(1).with_tenant(zenith())).await,
        Error::InvalidOption { option: "tenant", .. },
    );
    let (mut from, mut marks) = (None, Vec::new());
    loop {
        let page = look.streams(StreamsRequest::named("", 1).with_from(from)).await.unwrap();
        let Some(next) = page.next else { break };
        marks.push(next.to_string());
        from = Some(next);
    }
    let tells = |mark: &String| mark.contains("zenith") || mark.contains("b/3") || mark.contains("b/10");
    assert!(!marks.is_empty() && !marks.iter().any(tells), "{marks:?}");
    // One that the default handle was given.
    let of_zenith = Mark::of(["zenith", "", "ledgers/b/"]);
    let asked = look.streams(StreamsRequest::named("", 9).with_from(Some(of_zenith))).await;
    assert!(asked.is_err() || asked.is_ok_and(|page| page.items.is_empty()));
    let names: Arc<[Arc<str>]> = [Arc::from("noted")].into();
    let foreign = Some("[\"a\",\"b\"]".parse().unwrap());
    assert_refused!(
        look.events(EventsRequest::newest(1).with_names(names).with_from(foreign)).await,
        Error::InvalidOption { option: "from", .. },
    );
}
