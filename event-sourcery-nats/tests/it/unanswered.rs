//! What a caller is told where no answer comes, and how soon; and that a repeat ends in exactly one copy.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use broker_cluster::Nats;
use event_sourcery::uuid::Uuid;
use event_sourcery::{Error, Event as _, EventStore, NewEvent, RawEvent, StreamId};
use event_sourcery_nats::NatsBackend;
use event_sourcery_nats::async_nats::ConnectOptions;
use event_sourcery_nats::async_nats::jetstream::{self, stream::Config};
use futures_util::future::join_all;

use crate::scene::{DURABLE, PATIENCE, Paid, connect, open, options};
use crate::wire::Wire;

const TIMEOUT: Duration = Duration::from_secs(2);

/// How much later a machine may be that has other work.
const SLACK: Duration = Duration::from_secs(5);

async fn store(url: &str) -> EventStore<NatsBackend> {
    EventStore::new(open(options(url, "SHOP").await.timeout(TIMEOUT)).await)
}

fn paid(number: u64) -> Paid {
    Paid { number }
}

/// Fails unless it is unknown whether it was done, which is told in time.
fn is_unknown<T: Debug>(told: Result<T, Error>, since: Instant) {
    match told {
        Err(error @ Error::OutcomeUnknown { .. }) => assert!(!error.is_retryable()),
        other => panic!("{other:?}"),
    }
    assert!(since.elapsed() < TIMEOUT + SLACK, "after {:?}", since.elapsed());
}

/// Fails unless nobody has answered, which is told in time.
fn is_away<T: Debug>(told: Result<T, Error>, since: Instant) {
    match told {
        Err(error @ Error::Unavailable { .. }) => assert!(error.is_retryable()),
        other => panic!("{other:?}"),
    }
    assert!(since.elapsed() < TIMEOUT + SLACK, "after {:?}", since.elapsed());
}

/// The events of a stream, by their numbers.
async fn numbers(store: &EventStore<NatsBackend>, stream: &StreamId) -> Vec<u64> {
    let events = store.load_stream::<Paid>(stream).await.unwrap();
    events.iter().map(|event| event.event.number).collect()
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_unknown_and_its_repeat_is_recognised() {
    let nats = Nats::start_with(DURABLE);
    let wire = Wire::to(&nats.url()).await;
    let (through, id) = (store(&wire.url()).await, Uuid::from_u128(2));
    for versioned in [true, false] {
        let stream = StreamId::random();
        let append = async |event: NewEvent<Paid>| {
            let append = through.append(&stream, event);
            if versioned { append.expected_version(1).await } else { append.no_versioning().await }
        };
        if versioned {
            through.append(&stream, paid(1)).await.unwrap();
        } else {
            append(paid(1).with_id(Uuid::from_u128(1))).await.unwrap();
        }
        wire.lose_answer_to("HPUB SHOP.e.");
        let began = Instant::now();
        is_unknown(append(paid(2).with_id(id)).await, began);
        assert!(wire.is_done(), "an answer was lost");

        let repeated = append(paid(2).with_id(id)).await.unwrap();
        assert!(repeated.repeated && repeated.last_version == versioned.then_some(2), "{repeated:?}");
        assert_eq!(numbers(&through, &stream).await, [1, 2]);
    }
}

/// What it has got by then, it does later.
#[tokio::test]
async fn a_frozen_server_is_waited_for_as_long_as_was_said_and_what_it_stores_late_is_there_once() {
    let nats = Nats::start_with(DURABLE);
    let (store, stream) = (store(&nats.url()).await, StreamId::random());
    store.append(&stream, paid(1)).await.unwrap();

    nats.freeze();
    let began = Instant::now();
    let event = || paid(2).with_id(Uuid::from_u128(2));
    is_unknown(store.append(&stream, event()).expected_version(1).await, began);
    let began = Instant::now();
    is_away(store.load_stream::<Paid>(&stream).await, began);
    let began = Instant::now();
    is_away(store.position().await, began);
    // Nothing was sent before the stream was read.
    let began = Instant::now();
    is_away(store.append(&StreamId::random(), paid(1)).no_versioning().await, began);
    nats.thaw();

    let repeated = store.append(&stream, event()).expected_version(1).await.unwrap();
    assert!(repeated.repeated, "{repeated:?}");
    assert_eq!(numbers(&store, &stream).await, [1, 2]);
}

/// Also of a client that has no room to keep what it cannot send.
#[tokio::test]
async fn while_no_server_is_there_each_call_ends_in_time_and_repeats_end_in_one_copy() {
    let mut nats = Nats::start_with(DURABLE);
    let client = ConnectOptions::new().client_capacity(1).connect(nats.url()).await.unwrap();
    let options = NatsBackend::options(jetstream::new(client), "SHOP").servers_sync_always();
    let store = EventStore::new(open(options.timeout(TIMEOUT)).await);
    let streams: Vec<_> = (0..8).map(|_| StreamId::random()).collect();
    for stream in &streams {
        store.append(stream, paid(1)).await.unwrap();
    }
    let second = |stream: &StreamId| paid(2).with_id(Uuid::new_v5(&stream.uuid(), b"2"));

    nats.kill();
    let began = Instant::now();
    let appends = streams.iter().map(|stream| store.append(stream, second(stream)).expected_version(1));
    for told in join_all(appends.map(IntoFuture::into_future)).await {
        is_unknown(told, began);
    }
    let began = Instant::now();
    is_away(store.load_stream::<Paid>(&streams[0]).await, began);
    nats.start_again();

    for stream in &streams {
        let began = Instant::now();
        // The client has to find the server first.
        while store.append(stream, second(stream)).expected_version(1).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "it is back");
        }
        assert_eq!(numbers(&store, stream).await, [1, 2]);
    }
}

#[tokio::test]
async fn a_store_that_is_full_says_so_and_takes_the_append_when_there_is_room_again() {
    let nats = Nats::start();
    let (store, context) = (store(&nats.url()).await, connect(&nats.url()).await);
    let data = format!("{{\"x\":\"{}\"}}", "y".repeat(2_000));
    let (stream, event) = (StreamId::random(), || RawEvent::new("large", data.clone()).unwrap());
    store.append(&stream, event()).await.unwrap();
    let found = context.get_stream("SHOP").await.unwrap().cached_info().config.clone();
    context.update_stream(Config { max_bytes: 10_000, ..found.clone() }).await.unwrap();

    let mut version = 1;
    let full = loop {
        match store.append(&stream, event()).expected_version(version).await {
            Ok(appended) => version = appended.last_version.unwrap(),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, Error::StorageFull { .. }) && full.is_retryable(), "{}", full.in_full());
    assert!((2..6).contains(&version), "{version} fit");
    assert_eq!(store.version(&stream).await.unwrap(), Some(version));

    context.update_stream(found).await.unwrap();
    let appended = store.append(&stream, event()).expected_version(version).await.unwrap();
    assert_eq!(appended.first_version, Some(version + 1));
}
