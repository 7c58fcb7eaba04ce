//! One message that cannot be read stops its stream, and nobody else: whatever others have published where the store lies.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sourcery::backend::BlockedStream;
use event_sourcery::{Error, EventStore, RawEvent, Recorded, StreamId, TenantId};
use event_sourcery_nats::async_nats::jetstream::Context;
use tokio::time::{sleep, timeout};

use crate::scene::{PATIENCE, Paid, Servers, connect, store};

fn stream(name: &str) -> StreamId {
    StreamId::from_name(name).unwrap()
}

/// Publishes what is no message of ours.
async fn publish(context: &Context, subject: String, message: &'static str) {
    context.publish(subject, message.into()).await.unwrap().await.unwrap();
}

/// The subject of a stream of the default tenant, of which `kind` begins.
fn subject(kind: &str, stream: &StreamId) -> String {
    format!("SHOP.{kind}.-.-.{}", stream.uuid().simple())
}

/// Runs a subscription of payments, which asks for them by their name, until so many are handled and so many streams parked.
async fn run(store: &EventStore, handled: usize, parked: usize) -> (Vec<u64>, Vec<BlockedStream>) {
    let durable = || store.subscribe::<Paid>().durable("run").segments(4);
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let (seen, noted, listing) = (Arc::clone(&numbers), Arc::clone(&numbers), durable());
    let until = async move {
        while seen.lock().unwrap().len() < handled
            || listing.parked().await.map_or(0, |list| list.len()) != parked
        {
            sleep(Duration::from_millis(2)).await;
        }
    };
    let run = durable().until(until).run(async move |recorded: Recorded<Paid>, _| {
        noted.lock().unwrap().push(recorded.wrapped_event.event.number);
        Ok(())
    });
    timeout(PATIENCE, run).await.expect("others go on").expect("nobody is stopped");
    let mut numbers = numbers.lock().unwrap().clone();
    numbers.sort_unstable();
    (numbers, durable().parked().await.unwrap())
}

#[tokio::test]
async fn a_message_that_cannot_be_read_stops_its_stream_alone_whoever_asks_for_its_events_by_their_name() {
    let servers = Servers::start(1);
    let (store, context) = (store(&servers).await.erased(), connect(&servers.urls()).await);
    let (good, bad) = (stream("good"), stream("bad"));
    store.append(&bad, Paid { number: 1 }).await.unwrap();
    publish(&context, subject("e", &bad), "no message").await;
    store.append(&good, Paid { number: 2 }).await.unwrap();

    let found = store.verify::<Paid>().await.unwrap();
    assert_eq!((found.read(), found.failed(), &found.failures[0].stream_id), (3, 1, &bad));
    let (handled, parked) = run(&store, 2, 1).await;
    assert_eq!(handled, [1, 2]);
    assert_eq!((&parked[0].stream, &parked[0].tenant), (&bad, &TenantId::DEFAULT));
    assert!(parked[0].error.len() < 400, "{}", parked[0].error);

    // What stands before it is handed over, and what it is, is told.
    let mut one_by_one = store.load_stream::<Paid>(&bad).stream();
    assert_eq!(one_by_one.try_next().await.unwrap().unwrap().event.number, 1);
    for error in [one_by_one.try_next().await.map(drop), store.load_stream::<Paid>(&bad).await.map(drop)] {
        assert!(matches!(&error, Err(Error::InvalidEvent { stream, .. }) if *stream == bad), "{error:?}");
    }

    // Tried again, it is parked again; left out, its stream is free.
    let durable = || store.subscribe::<Paid>().durable("run");
    durable().replay(&parked[0]).await.unwrap();
    let (handled, parked) = run(&store, 0, 1).await;
    assert!(handled.is_empty());
    durable().skip(&parked[0]).await.unwrap();
    store.append(&good, Paid { number: 3 }).expected_version(1).await.unwrap();
    assert_eq!(run(&store, 1, 0).await.0, [3]);

    store.delete_stream(&bad).await.unwrap();
    store.append(&bad, Paid { number: 4 }).await.unwrap();
    assert_eq!(run(&store, 1, 0).await.0, [4]);
    assert_eq!(store.verify::<Paid>().await.unwrap().failed(), 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_its_tenants_however_long_that_is_called() {
    let servers = Servers::start(1);
    let (store, context) = (store(&servers).await.erased(), connect(&servers.urls()).await);
    for name in ["acme".to_owned(), "t".repeat(200)] {
        let (own, other) = (TenantId::new(&name).unwrap(), TenantId::new("globex").unwrap());
        let (of_own, of_other) = (store.for_tenant(own.clone()), store.for_tenant(other));
        let bad = stream(&name);
        of_own.append(&bad, Paid { number: 1 }).await.unwrap();
        let information = context.get_stream("SHOP").await.unwrap();
        let last = information.cached_info().state.last_sequence;
        let message = information.get_raw_message(last).await.unwrap();
        publish(&context, message.subject.to_string(), "{}").await;

        let everybody = store.verify::<Paid>().await.unwrap();
        let failed = everybody.failures.iter().filter(|failure| failure.stream_id == bad);
        assert_eq!(failed.count(), 1, "{name}: the system sees whose it is");
        let (handled, parked) = run(&of_own, 1, 1).await;
        assert_eq!((handled, &parked[0].stream, &parked[0].tenant), (vec![1], &bad, &own));
        assert_eq!(of_other.verify::<Paid>().await.unwrap().failed(), 0, "{name}: nobody else does");
    }
}

#[tokio::test]
async fn a_row_of_a_blocked_stream_that_cannot_be_read_stops_no_other_stream() {
    let servers = Servers::start(1);
    let (store, context) = (store(&servers).await.erased(), connect(&servers.urls()).await);
    let (good, bad) = (stream("good"), stream("bad"));
    store.append(&good, Paid { number: 1 }).await.unwrap();
    publish(&context, subject("e", &bad), "no message").await;
    assert_eq!(run(&store, 1, 1).await.0, [1]);
    publish(&context, subject("k.row.-.run", &bad), r#"{"round":"none"}"#).await;
    publish(&context, subject("k.row.-.run", &stream("other")), "no row").await;
    store.append(&good, Paid { number: 2 }).expected_version(1).await.unwrap();
    assert_eq!(run(&store, 1, 0).await, (vec![2], Vec::new()));
}

#[tokio::test]
async fn a_batch_whose_rest_never_appears_and_impossible_numbers_stop_nobody_who_reads_all() {
    let servers = Servers::start(1);
    let (store, context) = (store(&servers).await.erased(), connect(&servers.urls()).await);
    let (half, wild, good) = (stream("half"), stream("wild"), stream("good"));
    let event = "\n{\"id\":\"00000000-0000-0000-0000-000000000001\",\"name\":\"paid\",\"at\":0,\"schema\":1,\"data\":12,\"context\":2}\n\
                 {\"number\":1}{}";
    let head = |stream: &StreamId, rest: &str| {
        format!("{{\"form\":1,\"kind\":\"events\",\"stream\":\"{}\",{rest}}}{event}", stream.uuid())
    };
    let most = u64::MAX;
    let numbers = format!("\"first\":{most},\"life\":{most},\"follow\":{most},\"versioned\":true");
    for (stream, rest) in [(&half, "\"first\":1,\"versioned\":true,\"follow\":1"), (&wild, &*numbers)] {
        let message = head(stream, rest);
        context.publish(subject("e", stream), message.into()).await.unwrap().await.unwrap();
    }
    store.append(&good, Paid { number: 2 }).await.unwrap();
    let mut all = store.read_all::<RawEvent>().stream();
    let mut count = 0;
    while all.try_next().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
    assert_eq!(run(&store, 3, 0).await.0, [1, 1, 2]);
    for stream in [&half, &wild] {
        let _ = store.load_stream::<Paid>(stream).await;
        let _ = store.append(stream, Paid { number: 3 }).expected_version(1).await;
        store.delete_stream(stream).await.unwrap();
    }
    assert_eq!(store.load_stream::<Paid>(&good).await.unwrap().len(), 1);
}

/// What one tenant sends at once has a bound, and takes the room of no other.
#[tokio::test]
async fn a_tenant_that_sends_more_than_there_is_room_for_is_busy_and_no_other_is() {
    let servers = Servers::start(1);
    let store = store(&servers).await.erased();
    let (acme, globex) = (TenantId::new("acme").unwrap(), TenantId::new("globex").unwrap());
    let (acme, globex) = (store.for_tenant(acme), store.for_tenant(globex));
    let large = format!("{{\"number\":\"{}\"}}", "1".repeat(6 << 20));
    let streams: Vec<_> = (0..12).map(|_| StreamId::random()).collect();
    let event = || RawEvent::new("large", large.clone()).unwrap();
    let appends = streams.iter().map(|stream| acme.append(stream, event()).into_future());
    let (appended, other) = tokio::join!(
        futures_util::future::join_all(appends),
        globex.append(&streams[0], Paid { number: 1 }).into_future()
    );
    let busy = appended.iter().filter(|one| matches!(one, Err(Error::Busy { .. }))).count();
    assert!((1..12).contains(&busy), "{busy} of 12 were busy");
    other.unwrap();
    acme.append(&StreamId::random(), event()).await.unwrap();
}
