//! Clause 3.5: a stream longer than memory, read event by event.

use event_sourcery::backend::{LoadRequest, Span};
use event_sourcery::{
    Error, Event, EventStore, Events, Position, RawEvent, Result, StreamId, TenantId, Version, WrappedEvent,
};

use super::ledger::{Ledger, Ledgers as _, Noted, Summed, ledger, noted, notes};
use super::subject::Subject;

/// Longer than two of the library's pages, and not a multiple of them.
const LONG: u64 = 1_300;

async fn collect<E: Event>(mut events: Events<'_, WrappedEvent<E>>) -> Result<Vec<WrappedEvent<E>>> {
    let mut read = Vec::new();
    while let Some(event) = events.try_next().await? {
        read.push(event);
    }
    Ok(read)
}

pub(super) async fn clause_3_5_a_long_stream_reads_event_by_event_as_it_does_at_once(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, LONG).await;
    let at_once = store.load_stream::<Noted>(&stream).await.unwrap();
    assert_eq!(at_once.len() as u64, LONG);
    assert_eq!(collect(store.load_stream::<Noted>(&stream).stream()).await.unwrap(), at_once);
    assert_eq!(collect(store.load_stream::<Noted>(&stream).full_history().stream()).await.unwrap(), at_once);
}

pub(super) async fn clause_3_5_a_paged_read_starts_at_the_snapshot(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, LONG).await;
    store.save_snapshot(&stream, 100, Summed { sum: 5_050 }).await.unwrap();
    let at_once = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(at_once.len() as u64, LONG - 100 + 1);
    assert_eq!(collect(store.load_stream::<Ledger>(&stream).stream()).await.unwrap(), at_once);
    let full = collect(store.load_stream::<Ledger>(&stream).full_history().stream()).await.unwrap();
    assert_eq!(full.len() as u64, LONG);
}

pub(super) async fn clause_3_5_a_paged_read_keeps_to_its_range(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, LONG).await;
    for range in [5..1_200, 1..513, 1..514, 700..701, 1_299..9_999, 5..5] {
        let at_once = store.load_stream::<Noted>(&stream).versions(range.clone()).await.unwrap();
        let paged =
            collect(store.load_stream::<Noted>(&stream).versions(range.clone()).stream()).await.unwrap();
        assert_eq!(paged, at_once, "{range:?}");
    }
}

pub(super) async fn clause_3_5_an_unversioned_stream_is_read_in_pages_too(subject: Subject) {
    let (store, stream, other) = (subject.store(), ledger("1"), ledger("2"));
    for start in [0, 600] {
        store.append(&stream, notes(start..start + 600)).no_versioning().await.unwrap();
        store.append(&other, noted(7)).no_versioning().await.unwrap();
    }
    let paged = collect(store.load_stream::<Noted>(&stream).stream()).await.unwrap();
    assert_eq!(
        paged.iter().map(|event| event.event.number).collect::<Vec<_>>(),
        (0..1_200).collect::<Vec<_>>()
    );
}

pub(super) async fn clause_3_5_a_multiple_of_the_page_ends_where_it_ends(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 1_024).await;
    assert_eq!(collect(store.load_stream::<Noted>(&stream).stream()).await.unwrap().len(), 1_024);
}

pub(super) async fn clause_3_5_what_is_appended_meanwhile_is_read_too(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, LONG).await;
    let mut events = store.load_stream::<Noted>(&stream).stream();
    events.try_next().await.unwrap().unwrap();
    store.append(&stream, noted(LONG + 1)).expected_version(LONG).await.unwrap();
    let rest = collect(events).await.unwrap();
    let expected: Vec<_> = (2..=LONG + 1).collect();
    assert_eq!(rest.iter().map(|event| event.event.number).collect::<Vec<_>>(), expected);
}

/// Asserts that a paged read which has begun does not go on after the stream was changed so.
async fn assert_breaks_off(store: &EventStore, stream: &StreamId, change: impl AsyncFnOnce()) {
    let mut events = store.load_stream::<RawEvent>(stream).stream();
    events.try_next().await.unwrap().unwrap();
    change().await;
    let mut read = 1;
    let error = loop {
        match events.try_next().await {
            Ok(Some(_)) => read += 1,
            Ok(None) => panic!("a torn read of {read} events passed for the stream"),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, Error::StreamChangedWhileReading { stream: named } if named == stream),
        "{error}"
    );
    assert!(error.is_retryable());
    assert!(events.try_next().await.unwrap().is_none(), "nothing follows an error");
}

pub(super) async fn clause_3_5_a_stream_deleted_while_it_is_read_is_an_error(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, LONG).await;
    assert_breaks_off(&store, &stream, async || store.delete_stream(&stream).await.unwrap()).await;
}

pub(super) async fn clause_3_5_a_stream_created_anew_while_it_is_read_is_an_error(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, LONG).await;
    let anew = async || {
        store.delete_stream(&stream).await.unwrap();
        store.append(&stream, notes(1..=LONG)).await.unwrap();
    };
    assert_breaks_off(&store, &stream, anew).await;
    let unversioned = async || {
        store.delete_stream(&stream).await.unwrap();
        store.append(&stream, notes(1..=LONG)).no_versioning().await.unwrap();
    };
    assert_breaks_off(&store, &stream, unversioned).await;
}

/// The numbers of the pages that a backend cuts a span into.
async fn pages(subject: &Subject, stream: &StreamId, limit: usize) -> Vec<Vec<Option<Version>>> {
    let mut span = Span::Full;
    let mut pages = Vec::new();
    loop {
        let request = LoadRequest::new(TenantId::DEFAULT, stream.clone(), span).with_limit(limit);
        let page = subject.backend().load(request).await.unwrap();
        assert!(page.first_position.is_some_and(|first| first > Position::START));
        pages.push(page.events.iter().map(|event| event.version).collect());
        let Some(last) = page.events.last().filter(|_| page.has_more) else { return pages };
        span = Span::After(last.position);
    }
}

pub(super) async fn clause_3_5_a_backend_cuts_pages_of_any_size(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 7).await;
    for limit in [1, 2, 3, 6, 7, 8, 1_000] {
        let pages = pages(&subject, &stream, limit).await;
        assert!(pages.iter().all(|page| page.len() <= limit), "{limit}: {pages:?}");
        assert_eq!(pages.len(), 7_usize.div_ceil(limit), "{limit}: {pages:?}");
        assert_eq!(pages.concat(), (1..=7).map(Some).collect::<Vec<_>>(), "{limit}");
    }
}

pub(super) async fn clause_3_5_behind_an_event_that_is_not_the_streams_there_is_nothing(subject: Subject) {
    let (store, stream, other) = (subject.store(), ledger("1"), ledger("2"));
    let behind = async |position: Position| {
        let request = LoadRequest::new(TenantId::DEFAULT, stream.clone(), Span::After(position));
        let page = subject.backend().load(request.with_limit(10)).await.unwrap();
        (page.events.len(), page.has_more, page.first_position)
    };
    for versioned in [true, false] {
        let append = async |stream: &StreamId, count| {
            let append = store.append(stream, notes(1..=count));
            let appended = if versioned { append.await } else { append.no_versioning().await };
            store.records(appended.unwrap().position).await
        };
        let gone = append(&stream, 3).await.pop().unwrap().position;
        assert_eq!(behind(gone).await.0, 0);
        let others = append(&other, 1).await.pop().unwrap().position;
        store.delete_stream(&stream).await.unwrap();
        assert_eq!(behind(gone).await, (0, false, None));
        let all = append(&stream, 2).await;
        let [.., first, last] = all.as_slice() else { panic!("two events were appended") };
        for position in [gone, others, Position::START] {
            assert_eq!(behind(position).await, (0, false, Some(first.position)), "{position}");
        }
        assert_eq!(behind(first.position).await, (1, false, Some(first.position)));
        assert_eq!(behind(last.position).await.0, 0);
        store.delete_stream(&stream).await.unwrap();
        store.delete_stream(&other).await.unwrap();
    }
}

pub(super) async fn clause_3_5_the_events_before_a_bad_one_are_handed_over(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 2).await;
    store.append(&stream, RawEvent::new("Unheard", "{}").unwrap()).expected_version(2).await.unwrap();
    let position = store.append(&stream, noted(4)).expected_version(3).await.unwrap().position;
    let mut events = store.load_stream::<Noted>(&stream).stream();
    for version in [1, 2] {
        assert_eq!(events.try_next().await.unwrap().unwrap().version, Some(version));
    }
    assert_refused!(events.try_next().await, Error::UnknownEvent { version: Some(3), .. });
    assert!(events.try_next().await.unwrap().is_none(), "nothing follows an error");

    store.settled(position).await;
    let corrupt = RawEvent::new(Noted::NAMES[0], "{}").unwrap();
    let position = store.append(&stream, corrupt).expected_version(4).await.unwrap().position;
    store.settled(position).await;
    let mut records = store.read_all::<Noted>().stream();
    for _ in [1, 2, 4] {
        assert!(records.try_next().await.unwrap().is_some());
    }
    assert_refused!(records.try_next().await, Error::InvalidEvent { version: Some(5), .. });
    assert!(records.try_next().await.unwrap().is_none(), "nothing follows an error");
}
