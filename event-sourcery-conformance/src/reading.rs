//! Clauses 3.1 to 3.4: loading a stream.

use std::ops::Bound;

use event_sourcery::backend::{Backend as _, Span};
use event_sourcery::{Context, ContextComponent, Error, Event, EventStore, RawEvent, StreamId, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ledger::{
    Fragile, Ledger, Ledgers as _, Noted, Summed, ledger, load_request, noted, notes, tenant,
};
use super::subject::Subject;

/// Who noted a number.
#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Author {
    name: String,
    logins: Vec<u64>,
}

impl ContextComponent for Author {
    const NAME: &'static str = "author";
}

pub(super) async fn clause_3_1_each_event_is_wrapped_with_what_the_store_knows(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let (id, correlation, causation) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let time: Timestamp = "2026-03-16T10:03:02.138667Z".parse().unwrap();
    let author = Author { name: "Ada \"🧾\"".to_owned(), logins: vec![0, u64::MAX] };
    let context = Context::new()
        .with_correlation_id(correlation)
        .with_causation_id(causation)
        .with_component(&author)
        .unwrap();
    let event = noted(7).with_context(context.clone()).with_id(id).with_created_at(time);
    let appended = store.append(&stream, (event, noted(8))).await.unwrap();

    let events = store.load_stream::<Noted>(&stream).await.unwrap();
    assert_eq!(events[0].event, noted(7));
    assert_eq!((events[0].version, events[0].uuid, events[0].created_at), (Some(1), id, time));
    assert_eq!(events[0].context, context);
    assert_eq!(events[0].context.correlation_id(), Some(correlation));
    assert_eq!(events[0].context.causation_id(), Some(causation));
    assert_eq!(events[0].context.component::<Author>().unwrap(), Some(author));
    assert_eq!(events[1].context, Context::default());
    assert_eq!(events[1].context.component::<Author>().unwrap(), None);

    let records = store.records(appended.position).await;
    let record = &records[0].wrapped_event;
    assert_eq!((record.version, record.uuid, record.created_at), (Some(1), id, time));
    assert_eq!(record.context, context);
}

pub(super) async fn clause_3_1_an_unknown_stream_reads_as_empty(subject: Subject) {
    let (store, known, unknown) = (subject.store(), ledger("1"), ledger("2"));
    store.with_ledger(&known, 1).await;
    assert!(store.load_stream::<Noted>(&unknown).await.unwrap().is_empty());
    assert!(store.load_stream::<Ledger>(&unknown).await.unwrap().is_empty());
    assert!(store.load_stream::<RawEvent>(&unknown).full_history().await.unwrap().is_empty());
    assert!(store.load_stream::<RawEvent>(&unknown).versions(1..).await.unwrap().is_empty());
    assert!(store.load_stream::<RawEvent>(&unknown).stream().try_next().await.unwrap().is_none());
}

pub(super) async fn clause_3_1_the_version_of_a_stream_is_its_last_events(subject: Subject) {
    let (store, stream, unversioned) = (subject.store(), ledger("1"), ledger("2"));
    let acme = store.for_tenant(tenant("acme"));
    assert_eq!(store.version(&stream).await.unwrap(), None);
    store.with_ledger(&stream, 3).await;
    acme.with_ledger(&stream, 1).await;
    // A snapshot is not an event, and what is read need not decode.
    store.save_snapshot(&stream, 2, Summed { sum: 3 }).await.unwrap();
    store.append(&stream, RawEvent::new("erased", "{}").unwrap()).expected_version(3).await.unwrap();
    assert_eq!(store.version(&stream).await.unwrap(), Some(4));
    assert_eq!(acme.version(&stream).await.unwrap(), Some(1));
    store.append(&unversioned, notes([1, 2])).no_versioning().await.unwrap();
    assert_eq!(store.version(&unversioned).await.unwrap(), None);
    store.delete_stream(&stream).await.unwrap();
    assert_eq!(store.version(&stream).await.unwrap(), None);
    assert_eq!(acme.version(&stream).await.unwrap(), Some(1));
}

pub(super) async fn clause_3_1_a_backend_reads_the_last_event_alone(subject: Subject) {
    let (store, stream, unversioned) = (subject.store(), ledger("1"), ledger("2"));
    store.with_ledger(&stream, 3).await;
    store.append(&unversioned, notes([1, 2])).no_versioning().await.unwrap();
    let last = async |stream: &StreamId| {
        let loaded = subject.backend().load(load_request(stream, Span::Last)).await.unwrap();
        assert!(loaded.snapshot.is_none() && loaded.events.len() < 2, "{loaded:?}");
        loaded.events.first().map(|event| event.data.to_string())
    };
    assert_eq!(last(&stream).await.unwrap().replace(' ', ""), r#"{"number":3}"#);
    assert_eq!(last(&unversioned).await.unwrap().replace(' ', ""), r#"{"number":2}"#);
    assert_eq!(last(&ledger("3")).await, None);
}

type Range = (Bound<Version>, Bound<Version>);

/// The versions that a range of a ledger of 10 covers.
async fn range(store: &EventStore, range: Range) -> Vec<Version> {
    let events = store.load_stream::<Noted>(&ledger("1")).versions(range).await.unwrap();
    let pairs: Vec<_> = events.iter().map(|event| (event.version.unwrap(), event.event.number)).collect();
    assert!(pairs.iter().all(|(version, number)| version == number), "{pairs:?}");
    pairs.into_iter().map(|(version, _)| version).collect()
}

pub(super) async fn clause_3_2_a_range_takes_start_inclusive_and_stop_exclusive(subject: Subject) {
    use Bound::{Excluded, Included, Unbounded};
    let store = subject.store();
    store.with_ledger(&ledger("1"), 10).await;
    let all: Vec<_> = (1..=10).collect();
    let cases: [(Range, &[Version]); 14] = [
        ((Included(3), Excluded(7)), &[3, 4, 5, 6]),
        ((Included(3), Included(7)), &[3, 4, 5, 6, 7]),
        ((Excluded(3), Excluded(7)), &[4, 5, 6]),
        ((Included(3), Excluded(4)), &[3]),
        ((Included(3), Excluded(3)), &[]),
        ((Included(7), Excluded(3)), &[]),
        ((Included(9), Unbounded), &[9, 10]),
        ((Included(10), Included(10)), &[10]),
        ((Included(11), Unbounded), &[]),
        ((Unbounded, Excluded(3)), &[1, 2]),
        ((Included(0), Included(1)), &[1]),
        ((Unbounded, Unbounded), &all),
        ((Included(0), Included(Version::MAX)), &all),
        ((Excluded(Version::MAX), Unbounded), &[]),
    ];
    for (bounds, versions) in cases {
        assert_eq!(range(&store, bounds).await, versions, "{bounds:?}");
    }
}

pub(super) async fn clause_3_2_a_range_never_uses_snapshots(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.with_ledger(&stream, 6).await;
    store.save_snapshot(&stream, 4, Summed { sum: 10 }).await.unwrap();
    let events = store.load_stream::<Ledger>(&stream).versions(2..6).await.unwrap();
    let expected: Vec<_> = notes(2..6).into_iter().map(Ledger::Noted).collect();
    assert_eq!(events.into_iter().map(|event| event.event).collect::<Vec<_>>(), expected);
}

pub(super) async fn clause_3_2_an_unversioned_stream_refuses_a_range(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, notes([1, 2])).no_versioning().await.unwrap();
    for stop in [0, 1, 2, Version::MAX] {
        assert_refused!(
            store.load_stream::<Noted>(&stream).versions(1..stop).await,
            Error::VersionRangeOnVersionlessStream { stream: named } if named == stream,
        );
    }
    assert_refused!(
        store.load_stream::<Noted>(&stream).versions(..).stream().try_next().await,
        Error::VersionRangeOnVersionlessStream { .. },
    );
}

/// A ledger of 6 with snapshots of [`Ledger`]'s at 2 and 4, and one of another type's at 5.
async fn with_snapshots(store: &EventStore) -> StreamId {
    let stream = ledger("1");
    store.with_ledger(&stream, 6).await;
    store.save_snapshot(&stream, 4, Summed { sum: 10 }).await.unwrap();
    store.save_snapshot(&stream, 2, Summed { sum: 3 }).await.unwrap();
    let foreign = RawEvent::new("averaged", r#"{"average":3}"#).unwrap();
    store.save_snapshot(&stream, 5, foreign).await.unwrap();
    stream
}

pub(super) async fn clause_3_3_reading_starts_at_the_newest_snapshot_that_the_type_decodes(subject: Subject) {
    let store = subject.store();
    let stream = with_snapshots(&store).await;
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    let versions: Vec<_> = events.iter().map(|event| event.version).collect();
    assert_eq!(versions, [Some(4), Some(5), Some(6)]);
    assert_eq!(events[0].event, Ledger::Summed(Summed { sum: 10 }));
    assert_eq!(events[1].event, Ledger::Noted(noted(5)));
}

pub(super) async fn clause_3_3_a_type_that_does_not_know_the_snapshot_reads_the_full_history(
    subject: Subject,
) {
    let store = subject.store();
    let stream = with_snapshots(&store).await;
    let events = store.load_stream::<Noted>(&stream).await.unwrap();
    assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap().len(), 6);
}

pub(super) async fn clause_3_3_the_full_history_stays_readable_on_request(subject: Subject) {
    let store = subject.store();
    let stream = with_snapshots(&store).await;
    let events = store.load_stream::<Ledger>(&stream).full_history().await.unwrap();
    let expected: Vec<_> = notes(1..=6).into_iter().map(Ledger::Noted).collect();
    assert_eq!(events.into_iter().map(|event| event.event).collect::<Vec<_>>(), expected);
}

pub(super) async fn clause_3_3_a_snapshot_that_does_not_decode_gives_way_to_an_older_one(subject: Subject) {
    let store = subject.store();
    let stream = with_snapshots(&store).await;
    for version in [5, 6] {
        let outdated = RawEvent::new("summed", r#"{"total":15}"#).unwrap();
        store.save_snapshot(&stream, version, outdated).await.unwrap();
    }
    let events = store.load_stream::<Ledger>(&stream).await.unwrap();
    assert_eq!(events[0].event, Ledger::Summed(Summed { sum: 10 }));
    assert_eq!(events.len(), 3);

    let only_outdated = ledger("2");
    store.with_ledger(&only_outdated, 2).await;
    let outdated = RawEvent::new("summed", r#"{"total":3}"#).unwrap();
    store.save_snapshot(&only_outdated, 2, outdated).await.unwrap();
    assert_eq!(store.load_stream::<Ledger>(&only_outdated).await.unwrap().len(), 2);
}

/// A type that decodes everything.
#[derive(Event, Debug, PartialEq)]
enum Everything {
    Noted(Noted),
    #[event(catch_all)]
    Other(RawEvent),
}

pub(super) async fn clause_3_4_an_event_of_an_unknown_type_is_an_error(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let erased = RawEvent::new("erased", "{}").unwrap();
    store.append(&stream, (noted(1), erased.clone(), noted(3))).await.unwrap();
    assert_refused!(
        store.load_stream::<Noted>(&stream).await,
        Error::UnknownEvent { name, stream: named, version: Some(2) } if name == "erased" && named == stream,
    );
    assert_eq!(store.load_stream::<Noted>(&stream).versions(3..).await.unwrap().len(), 1);

    let events = store.load_stream::<Everything>(&stream).await.unwrap();
    let events: Vec<_> = events.into_iter().map(|event| event.event).collect();
    assert_eq!(events, [Everything::Noted(noted(1)), Everything::Other(erased), Everything::Noted(noted(3))]);
}

pub(super) async fn clause_3_4_an_unknown_type_without_a_version_is_an_error_too(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    store.append(&stream, RawEvent::new("erased", "{}").unwrap()).no_versioning().await.unwrap();
    assert_refused!(
        store.load_stream::<Noted>(&stream).await,
        Error::UnknownEvent { name, version: None, .. } if name == "erased",
    );
}

pub(super) async fn clause_3_4_a_payload_that_does_not_fit_the_type_is_an_error(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let wrong = RawEvent::new("noted", r#"{"number":"seven"}"#).unwrap();
    let last = store.append(&stream, (noted(1), wrong)).await.unwrap();
    assert_refused!(
        store.load_stream::<Noted>(&stream).await,
        Error::InvalidEvent { name, stream: named, version: Some(2), problem, .. }
            if name == "noted" && named == stream && problem.contains("seven"),
    );
    assert_refused!(store.load_stream::<Everything>(&stream).await, Error::InvalidEvent { .. });
    assert_eq!(store.load_stream::<RawEvent>(&stream).await.unwrap().len(), 2);

    store.settled(last.position).await;
    let mut across = store.read_all::<Noted>().stream();
    let mut read = Vec::new();
    let error = loop {
        match across.try_next().await {
            Ok(Some(record)) => read.push(record.wrapped_event.event),
            Ok(None) => panic!("the wrong payload was skipped"),
            Err(error) => break error,
        }
    };
    assert!(read.len() < 2);
    assert!(matches!(error, Error::InvalidEvent { version: Some(2), .. }), "{error}");
}

pub(super) async fn clause_3_4_a_payload_that_the_types_code_panics_on_is_an_error(subject: Subject) {
    let (store, stream) = (subject.store(), ledger("1"));
    let last = store.append(&stream, notes([2, 3, 4])).await.unwrap();
    assert_refused!(
        store.load_stream::<Fragile>(&stream).await,
        Error::InvalidEvent { name, stream: named, version: Some(2), problem, .. }
            if name == "noted" && named == stream && problem.starts_with("decoding it panicked: 3 is odd (as "),
    );
    store.settled(last.position).await;
    let verified = store.verify::<Fragile>().await.unwrap();
    assert_eq!((verified.read(), verified.failed()), (3, 1));
    // Whether an append repeats another is nothing to panic about either.
    let again = Fragile { number: 6 }.with_id(store.load_stream::<Noted>(&stream).await.unwrap()[1].uuid);
    assert_refused!(store.append(&stream, again).await, Error::DuplicateEvent { .. });
}

pub(super) async fn clause_3_1_a_read_is_as_of_one_moment(subject: Subject) {
    let (store, another, stream) = (subject.store(), subject.another_store().await, ledger("1"));
    let written = stream.clone();
    let writer = tokio::spawn(async move {
        for round in 0..50 {
            let batch = notes([round * 2, round * 2 + 1]);
            another.append(&written, batch).expected_version(round * 2).await.unwrap();
        }
    });
    loop {
        let finished = writer.is_finished();
        let numbers = store.numbers(&stream).await;
        assert_eq!(numbers.len() % 2, 0, "half an append was read");
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
        if finished {
            break;
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert_eq!(store.numbers(&stream).await.len(), 100);
}
