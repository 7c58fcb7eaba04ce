//! Clauses 17.1 and 17.2: tags, and what a query finds by them.

use std::time::Duration;

use event_sourcery::backend::{Boundary, EventsRequest};
use event_sourcery::{
    Error, Event as _, EventStore, NewEvent, Next, Query, QueryItem, RawEvent, StreamId, Tag,
};
use uuid::Uuid;

use super::ledger::{Ledgers as _, Noted, Summed, ledger, noted, number, tenant};
use super::subject::Subject;

/// A tag, from `name:value`.
pub(super) fn tag(text: &str) -> Tag {
    let (name, value) = text.split_once(':').unwrap();
    Tag::new(name, value).unwrap()
}

/// A note with these tags.
pub(super) fn tagged(number: u64, tags: &[&str]) -> NewEvent<Noted> {
    noted(number).with_tags(tags.iter().map(|text| tag(text)))
}

/// What has all of these tags.
pub(super) fn with(tags: &[&str]) -> QueryItem {
    tags.iter().fold(QueryItem::new(), |item, text| item.tagged(tag(text)))
}

/// The numbers of the notes that match, in their order, and the boundary behind them.
pub(super) async fn read(store: &EventStore, query: &Query) -> (Vec<u64>, Boundary) {
    let read = store.read::<RawEvent>(query).await.unwrap();
    let notes = read.events.iter().filter(|record| record.event().name() == "noted");
    (notes.map(number).collect(), read.boundary)
}

/// Appends notes with tags, each to a stream of its own.
pub(super) async fn note(store: &EventStore, number: u64, tags: &[&str]) -> StreamId {
    let stream = StreamId::random();
    store.append(&stream, tagged(number, tags)).await.unwrap();
    stream
}

pub(super) async fn clause_17_1_tags_are_read_with_the_event_wherever_it_is_read(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let expected = [tag("course:c1"), tag("student:s1")];
    let events = [tagged(1, &["student:s1", "course:c1", "student:s1"]), tagged(2, &[])];
    let appended = store.append(&stream, events).await.unwrap();

    let loaded = store.load_stream::<Noted>(&stream).await.unwrap();
    assert_eq!(loaded[0].tags, expected, "each once, and in order");
    assert!(loaded[1].tags.is_empty());
    let mut in_pages = store.load_stream::<Noted>(&stream).stream();
    assert_eq!(in_pages.try_next().await.unwrap().unwrap().tags, expected);
    let records = store.records(appended.position).await;
    assert_eq!(records[0].wrapped_event.tags, expected);
    assert!(records[1].wrapped_event.tags.is_empty());
    let Some(Next::Event(heard)) = store.subscribe::<Noted>().stream().try_next().await.unwrap() else {
        panic!("there is an event to hand over");
    };
    assert_eq!(heard.wrapped_event.tags, expected);
    let found = store.read::<Noted>(&with(&["course:c1"]).into()).await.unwrap();
    assert_eq!((found.events.len(), &found.events[0]), (1, &heard));
}

pub(super) async fn clause_17_1_whoever_looks_inside_sees_the_tags(subject: Subject) {
    let (store, expected) = (subject.store(), [tag("course:c1"), tag("student:s1")]);
    for versioned in [true, false] {
        let (stream, id) = (StreamId::random(), Uuid::now_v7());
        let events = [tagged(1, &["student:s1", "course:c1"]).with_id(id), tagged(2, &[])];
        let append = store.append(&stream, events);
        if versioned { append.await } else { append.no_versioning().await }.unwrap();
        let look = store.look();
        assert_eq!(look.event(id).await.unwrap().unwrap().tags(), expected);
        let newest = look.events(EventsRequest::newest(2)).await.unwrap();
        let mut onwards = look.events(EventsRequest::first(9)).await.unwrap();
        let of_stream = look.backwards(&stream, None, 2).await.unwrap();
        onwards.items.reverse();
        for seen in [newest, onwards, of_stream] {
            assert!(seen.items[0].tags().is_empty());
            assert_eq!(seen.items[1].tags(), expected);
        }
    }
}

pub(super) async fn clause_17_1_tags_are_a_tenants(subject: Subject) {
    let store = subject.store();
    let (acme, query) = (store.for_tenant(tenant("acme")), with(&["course:c1"]).into());
    note(&store, 1, &["course:c1"]).await;
    let (numbers, boundary) = read(&acme, &query).await;
    assert!(numbers.is_empty());
    note(&acme, 2, &["course:c1"]).await;
    assert_eq!(read(&store, &query).await.0, [1]);
    assert_eq!(read(&acme, &query).await.0, [2]);
    // And so are boundaries: what others wrote meanwhile does not move it.
    let (_, of_default) = read(&store, &query).await;
    note(&acme, 3, &["course:c1"]).await;
    store.append(&ledger("1"), tagged(4, &["course:c1"])).unless_moved(&of_default).await.unwrap();
    assert_refused!(
        acme.append(&ledger("1"), noted(5)).unless_moved(&boundary).await,
        Error::BoundaryMoved { .. }
    );
}

pub(super) async fn clause_17_1_the_longest_tags_and_the_most_of_them_are_stored(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let long = Tag::new("a", "🧾".repeat(212)).unwrap();
    let odd = Tag::new("it's 100%_\\", "'; --:\u{1}").unwrap();
    store.append(&stream, noted(1).with_tags([long.clone(), odd.clone()])).await.unwrap();
    for tag in [long, odd] {
        assert_eq!(read(&store, &QueryItem::new().tagged(tag).into()).await.0, [1]);
    }
    let tags = |count: u64| (0..count).map(|number| Tag::new("seat", number).unwrap());
    store.append(&ledger("2"), noted(2).with_tags(tags(64))).await.unwrap();
    let all = tags(64).fold(QueryItem::new(), QueryItem::tagged);
    assert_eq!(read(&store, &all.into()).await.0, [2]);
    assert_refused!(
        store.append(&ledger("3"), noted(3).with_tags(tags(65))).await,
        Error::InvalidOption { option: "tags", .. }
    );
    subject.holds(2).await;
}

pub(super) async fn clause_17_1_a_copy_of_an_event_keeps_its_tags(subject: Subject) {
    let (store, query) = (subject.store(), with(&["course:c1"]).into());
    let original = note(&store, 1, &["course:c1"]).await;
    let events = store.load_stream::<RawEvent>(&original).await.unwrap();
    let copies: Vec<_> = events.into_iter().map(|wrapped| wrapped.event).collect();
    store.append(&ledger("copy"), copies).await.unwrap();
    assert_eq!(read(&store, &query).await.0, [1, 1]);
}

pub(super) async fn clause_17_1_subscriptions_and_reads_of_everything_are_filtered_by_tags(subject: Subject) {
    let store = subject.store();
    let (course, student) = (tag("course:c1"), tag("student:s1"));
    note(&store, 1, &["course:c1"]).await;
    note(&store, 2, &["student:s1", "course:c1"]).await;
    note(&store, 3, &[]).await;
    let last = store.append(&ledger("1"), tagged(4, &["student:s1"])).await.unwrap();
    store.settled(last.position).await;

    let mut both = store.read_all::<Noted>().tagged(course.clone()).tagged(student.clone()).stream();
    assert_eq!(both.try_next().await.unwrap().unwrap().event().number, 2);
    assert!(both.try_next().await.unwrap().is_none());
    let mut batches = store.subscribe::<Noted>().tagged(student).batches(100);
    let batch = batches.next(Duration::ZERO).await.unwrap();
    let numbers: Vec<_> = batch.events.iter().map(|record| record.event().number).collect();
    assert_eq!(numbers, [2, 4]);
    let mut following = store.subscribe::<Noted>().tagged(course).stream();
    for number in [1, 2] {
        assert!(is_event(following.try_next().await.unwrap(), number));
    }
    assert!(matches!(following.try_next().await.unwrap(), Some(Next::CaughtUp(_))));
    note(&store, 5, &["student:s1"]).await;
    note(&store, 6, &["course:c1"]).await;
    loop {
        match following.try_next().await.unwrap() {
            Some(Next::CaughtUp(_)) => {}
            next => break assert!(is_event(next, 6)),
        }
    }
}

fn is_event(next: Option<Next<Noted>>, number: u64) -> bool {
    matches!(next, Some(Next::Event(record)) if record.event().number == number)
}

pub(super) async fn clause_17_1_tags_are_taken_or_refused_as_unsupported(subject: Subject) {
    let (store, name) = (subject.store(), subject.backend().name());
    let is_taken = subject.capabilities().tags;
    match store.append(&ledger("1"), tagged(1, &["course:c1"])).await {
        Ok(_) if is_taken => {}
        refused => {
            assert_refused!(refused, Error::Unsupported { backend, .. } if !is_taken && backend == name);
        }
    }
    subject.holds(usize::from(is_taken)).await;
    match store.read::<RawEvent>(&Query::all()).await {
        Ok(_) if is_taken => {}
        refused => {
            assert_refused!(refused, Error::Unsupported { backend, .. } if !is_taken && backend == name);
        }
    }
    match store.tag_stored::<Noted>().await {
        Ok(_) if is_taken => {}
        refused => {
            assert_refused!(refused, Error::Unsupported { backend, .. } if !is_taken && backend == name);
        }
    }
}

pub(super) async fn clause_17_2_an_item_matches_one_of_its_types_and_all_of_its_tags(subject: Subject) {
    let store = subject.store();
    note(&store, 1, &["course:c1"]).await;
    note(&store, 2, &["course:c1", "student:s1"]).await;
    note(&store, 3, &["course:c2", "student:s1"]).await;
    note(&store, 4, &[]).await;
    let summed = Summed { sum: 5 }.with_tags([tag("course:c1"), tag("student:s1")]);
    store.append(&StreamId::random(), summed).await.unwrap();
    let found = |items: Vec<QueryItem>| {
        let store = store.clone();
        async move {
            let read = store.read::<RawEvent>(&Query::new(items)).await.unwrap();
            let digit = |text: &str| text.chars().find(char::is_ascii_digit).unwrap();
            read.events.iter().map(|record| digit(record.event().data().get())).collect::<String>()
        }
    };
    assert_eq!(found(vec![with(&["course:c1"])]).await, "125");
    assert_eq!(found(vec![with(&["student:s1", "course:c1"])]).await, "25");
    assert_eq!(found(vec![with(&["student:s1", "course:c3"])]).await, "");
    assert_eq!(found(vec![with(&["course:c1", "student:s1"]).named("noted")]).await, "2");
    assert_eq!(found(vec![with(&["course:c1"]).of::<Summed>()]).await, "5");
    assert_eq!(found(vec![with(&["course:c1"]).named("noted").named("summed")]).await, "125");
    assert_eq!(found(vec![with(&["course:c1"]).named("unheard")]).await, "");
    assert_eq!(found(vec![with(&["course:c2"]), with(&["course:c1"]).named("summed")]).await, "35");
    assert_eq!(found(vec![QueryItem::new().named("noted")]).await, "1234");
    assert_eq!(found(vec![QueryItem::new()]).await, "12345");
    assert_eq!(found(vec![]).await, "");
}

pub(super) async fn clause_17_2_what_matches_is_read_once_in_position_order(subject: Subject) {
    let store = subject.store();
    for number in 0..20 {
        let tags = [["course:c1", "student:s1"], ["course:c2", "student:s1"]];
        note(&store, number, &tags[usize::from(number % 3 == 0)]).await;
    }
    let query = Query::new([with(&["course:c2"]), with(&["student:s1"]), with(&["course:c1"])]);
    let read = store.read::<Noted>(&query).await.unwrap();
    let numbers: Vec<_> = read.events.iter().map(|record| record.event().number).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    assert!(read.events.is_sorted_by_key(|record| record.position));
}

pub(super) async fn clause_17_7_events_without_tags_are_seen_by_items_without_tags_only(subject: Subject) {
    let store = subject.store();
    let (by_tag, by_type) = (with(&["course:c1"]).into(), QueryItem::new().of::<Noted>().into());
    let ((_, tag_boundary), (_, type_boundary)) = (read(&store, &by_tag).await, read(&store, &by_type).await);
    note(&store, 1, &[]).await;
    assert!(read(&store, &by_tag).await.0.is_empty());
    assert_eq!(read(&store, &by_type).await.0, [1]);
    assert_refused!(
        store.append(&ledger("1"), noted(2)).unless_moved(&type_boundary).await,
        Error::BoundaryMoved { query, .. } if query == by_type,
    );
    store.append(&ledger("1"), noted(2)).unless_moved(&tag_boundary).await.unwrap();
}
