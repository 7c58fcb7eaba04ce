//! Deletions that others finish, and appends that meet them.

use event_sourcery::uuid::Uuid;
use event_sourcery::{Error, Event as _, EventStore, RawEvent, StreamId};
use event_sourcery_nats::async_nats::HeaderMap;
use event_sourcery_nats::async_nats::jetstream::Context;

use crate::scene::{Paid, Servers, connect, open, options, store};
use crate::wire::Wire;

/// Publishes what a process has published that was killed behind it: the mark of a deletion.
async fn mark_as_ending(context: &Context, stream: &StreamId, last: u64) {
    let subject = format!("SHOP.e.-.-.{}", stream.uuid().simple());
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", last.to_string());
    let mark = r#"{"form":1,"kind":"ending"}"#;
    context.publish_with_headers(subject, headers, mark.into()).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn a_deletion_that_was_killed_is_finished_by_whoever_appends_or_deletes() {
    let servers = Servers::start(1);
    let (store, context) = (store(&servers).await, connect(&servers.urls()).await);
    for (number, by_deleting) in [(1, true), (2, false)] {
        let stream = StreamId::from_name(number.to_string()).unwrap();
        store.append(&stream, [1, 2].map(|number| Paid { number })).await.unwrap();
        let last = context.get_stream("SHOP").await.unwrap().cached_info().state.last_sequence;
        mark_as_ending(&context, &stream, last).await;
        assert!(store.load_stream::<Paid>(&stream).await.unwrap().is_empty());
        if by_deleting {
            store.delete_stream(&stream).await.unwrap();
            let mut all = store.read_all::<RawEvent>().stream();
            assert!(all.try_next().await.unwrap().is_none(), "what was before the mark is gone");
        }
        let appended = store.append(&stream, Paid { number: 3 }).await.unwrap();
        assert_eq!(appended.first_version, Some(1));
        let events = store.load_stream::<Paid>(&stream).await.unwrap();
        assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), [3]);
        let mut all = store.read_all::<Paid>().stream();
        let mut numbers = Vec::new();
        while let Some(event) = all.try_next().await.unwrap() {
            numbers.push(event.wrapped_event.event.number);
        }
        assert_eq!(numbers, [3], "what was before the mark is gone");
        store.delete_stream(&stream).await.unwrap();
    }
}

/// Whoever comes late to finish a deletion does not take what stands beside the stream by now.
#[tokio::test]
async fn a_deletion_that_somebody_else_has_finished_takes_nothing_of_the_new_life() {
    let servers = Servers::start(1);
    let (store, context) = (store(&servers).await, connect(&servers.urls()).await);
    let wire = Wire::to(&servers.urls()).await;
    let slow = EventStore::new(open(options(&wire.url(), "SHOP").await).await);
    let stream = StreamId::from_name("1").unwrap();
    store.append(&stream, Paid { number: 1 }).await.unwrap();
    mark_as_ending(&context, &stream, 1).await;

    // It has seen the mark, and has not asked yet up to where the side stream reaches.
    let held = wire.hold_at("STREAM.INFO.SHOP-side");
    let deleting = {
        let stream = stream.clone();
        tokio::spawn(async move { slow.delete_stream(&stream).await })
    };
    held.reached().await;
    store.delete_stream(&stream).await.unwrap();
    store.append(&stream, Paid { number: 2 }).await.unwrap();
    store.save_snapshot(&stream, 1, Paid { number: 2 }).await.unwrap();
    held.release();
    deleting.await.unwrap().unwrap();

    let side = context.get_stream("SHOP-side").await.unwrap();
    assert_eq!(side.cached_info().state.messages, 1, "the snapshot of the new life is there");
    let events = store.load_stream::<Paid>(&stream).await.unwrap();
    assert_eq!(events.iter().map(|event| event.event.number).collect::<Vec<_>>(), [2]);
}

/// Whoever remembers a stream that another process has deleted and made anew does not append to it as if nothing had been.
#[tokio::test]
async fn what_is_remembered_of_a_stream_that_lives_anew_is_not_believed() {
    let servers = Servers::start(1);
    let (one, other) = (store(&servers).await, store(&servers).await);
    let (stream, id) = (StreamId::from_name("1").unwrap(), Uuid::from_u128(7));
    one.append(&stream, Paid { number: 1 }.with_id(id)).await.unwrap();
    other.delete_stream(&stream).await.unwrap();
    let refused = one.append(&stream, Paid { number: 2 }).expected_version(1).await;
    assert!(matches!(refused, Err(Error::Conflict { actual: 0, .. })), "{refused:?}");
    other.append(&stream, Paid { number: 3 }).await.unwrap();
    let refused = one.append(&stream, Paid { number: 4 }).await;
    assert!(matches!(refused, Err(Error::Conflict { actual: 1, .. })), "{refused:?}");
    // The id went with the stream, and is not taken for a repeat.
    let appended = one.append(&stream, Paid { number: 1 }.with_id(id)).expected_version(1).await.unwrap();
    assert!(!appended.repeated && appended.first_version == Some(2), "{appended:?}");
}

/// Deletions and appends at once: each append that was acknowledged behind the last deletion is there, from version 1 on.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_deleted_again_and_again_while_others_append() {
    for nodes in [1, 3] {
        let servers = Servers::start(nodes);
        let (one, other) = (store(&servers).await, store(&servers).await);
        let stream = StreamId::from_name("1").unwrap();
        let appending = {
            let stream = stream.clone();
            tokio::spawn(async move {
                for number in 0..200 {
                    let version = one.version(&stream).await.unwrap().unwrap_or(0);
                    match one.append(&stream, Paid { number }).expected_version(version).await {
                        Ok(appended) => assert_eq!(appended.first_version, Some(version + 1)),
                        Err(Error::Conflict { .. }) => {}
                        Err(error) => panic!("{}", error.in_full()),
                    }
                }
            })
        };
        while !appending.is_finished() {
            other.delete_stream(&stream).await.unwrap();
            let events = other.load_stream::<Paid>(&stream).await.unwrap();
            let versions: Vec<_> = events.iter().map(|event| event.version.unwrap()).collect();
            assert_eq!(versions, (1..=versions.len() as u64).collect::<Vec<_>>(), "on {nodes}");
        }
        appending.await.unwrap();
    }
}
