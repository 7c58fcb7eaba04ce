//! Clauses 3.5 and 8.2: pages are bounded by their bytes, too.

use std::time::Duration;

use event_sourcery::backend::{PageRoom, Span, StoredEvent};
use event_sourcery::{EventStore, Next, Position, RawEvent, Recorded, StreamId};

use super::ledger::{Ledgers as _, ledger, load_request, scan_request};
use super::subject::Subject;

/// What an event's payload has, about: three of them are more than a page holds.
const LARGE: usize = 800_000;

/// How large the events are: some are more than a page holds, by themselves.
const SIZES: [usize; 14] =
    [10, LARGE, 10, LARGE, LARGE, LARGE, LARGE, 4 * LARGE, 10, 4 * LARGE, 4 * LARGE, LARGE, LARGE, 10];

fn events() -> impl Iterator<Item = RawEvent> {
    SIZES
        .into_iter()
        .map(|size| RawEvent::new("Large", format!(r#"{{"x":"{}"}}"#, "y".repeat(size))).unwrap())
}

/// All of them are there, in order.
fn are_all<'e>(read: impl IntoIterator<Item = &'e str>) {
    let lengths: Vec<_> = read.into_iter().map(|data| data.len().next_multiple_of(10)).collect();
    let expected: Vec<_> = SIZES.into_iter().map(|size| (size + 8).next_multiple_of(10)).collect();
    assert_eq!(lengths, expected);
}

async fn append(store: &EventStore, stream: &StreamId, versioned: bool) {
    let mut last = None;
    for (version, event) in (0..).zip(events()) {
        let append = store.append(stream, event);
        let appended =
            if versioned { append.expected_version(version).await } else { append.no_versioning().await };
        last = Some(appended.unwrap().position);
    }
    store.settled(last.unwrap()).await;
}

/// A page has no more bytes than there is room for, but for those of its last event.
fn is_bounded<'e>(page: impl IntoIterator<Item = &'e StoredEvent>) {
    let sizes: Vec<_> = page.into_iter().map(|event| event.data.len() + event.context.len()).collect();
    let before_the_last: usize = sizes.iter().rev().skip(1).sum();
    assert!(before_the_last <= PageRoom::BYTES, "{sizes:?}");
}

pub(super) async fn clause_3_5_a_page_of_a_stream_ends_by_its_bytes(subject: Subject) {
    for (name, versioned) in [("1", true), ("2", false)] {
        let (store, stream) = (subject.store(), ledger(name));
        append(&store, &stream, versioned).await;
        let (mut request, mut read) = (load_request(&stream, Span::Full), Vec::new());
        request.limit = Some(100);
        loop {
            let page = subject.backend().load(request.clone()).await.unwrap();
            is_bounded(&page.events);
            read.extend(page.events);
            let Some(last) = read.last().filter(|_| page.has_more) else { break };
            request.span = Span::After(last.position);
        }
        are_all(read.iter().map(|event| &*event.data));
        let (mut events, mut one_by_one) = (store.load_stream::<RawEvent>(&stream).stream(), Vec::new());
        while let Some(event) = events.try_next().await.unwrap() {
            one_by_one.push(event.event);
        }
        are_all(one_by_one.iter().map(|event| event.data().get()));
    }
}

pub(super) async fn clause_3_5_a_range_of_versions_is_read_in_pages_that_end_by_their_bytes(
    subject: Subject,
) {
    let (store, stream) = (subject.store(), ledger("1"));
    append(&store, &stream, true).await;
    let mut events = store.load_stream::<RawEvent>(&stream).versions(1..).stream();
    let mut read = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        read.push(event.event);
    }
    are_all(read.iter().map(|event| event.data().get()));
}

pub(super) async fn clause_8_2_a_page_across_streams_ends_by_its_bytes(subject: Subject) {
    let store = subject.store();
    append(&store, &ledger("1"), false).await;
    let (mut request, mut read) = (scan_request(Position::START, 100), Vec::new());
    loop {
        let page = subject.backend().scan(request.clone()).await.unwrap();
        is_bounded(page.records.iter().map(|record| &record.event));
        read.extend(page.records);
        if !page.has_more {
            break;
        }
        request.after = page.next;
    }
    are_all(read.iter().map(|record| &*record.event.data));
}

pub(super) async fn clause_8_2_large_events_are_handed_over_as_others_are(subject: Subject) {
    let store = subject.store();
    let mut waiting = store.subscribe::<RawEvent>().stream();
    assert!(matches!(waiting.try_next().await.unwrap(), Some(Next::CaughtUp(_))));
    append(&store, &ledger("1"), false).await;
    for mut subscription in [waiting, store.subscribe::<RawEvent>().stream()] {
        let mut read = Vec::new();
        while read.len() < SIZES.len() {
            if let Some(Next::Event(event)) = subscription.try_next().await.unwrap() {
                read.push(event);
            }
        }
        are_all(read.iter().map(data));
    }
    for fill_within in [Duration::ZERO, Duration::from_millis(1)] {
        let (mut batches, mut read) =
            (store.subscribe::<RawEvent>().batches(100).fill_within(fill_within), Vec::new());
        while read.len() < SIZES.len() {
            let batch = batches.next(Duration::from_secs(60)).await.unwrap();
            let sizes: Vec<_> = batch.events.iter().map(|event| data(event).len()).collect();
            assert!(sizes.iter().rev().skip(1).sum::<usize>() <= 10 << 20, "{sizes:?}");
            read.extend(batch.events);
        }
        are_all(read.iter().map(data));
    }
}

fn data(event: &Recorded<RawEvent>) -> &str {
    event.wrapped_event.event.data().get()
}
