//! What is refused, alone; and what a stream is warned of.

use async_nats::jetstream::stream::{Config, StorageType};
use event_sourcery::outbox::{OutboxEntry, Publisher};
use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_conformance::publisher::{
    entry, publisher_holds_back_what_stands_behind_a_refused_message,
};
use event_sourcery_publish_nats::Weakness;
use serde_json::json;

use crate::scene::Shop;

/// An entry of a stream of its own that has so many bytes.
fn large(bytes: usize) -> OutboxEntry {
    let event = RawEvent::new("Large", json!({ "text": "x".repeat(bytes) }).to_string()).unwrap();
    let wrapped = WrappedEvent::new(event).with_version(2);
    OutboxEntry::new(Recorded::new(wrapped, StreamId::random(), Position::from_i64(2)), 1)
}

#[tokio::test]
async fn behind_a_message_that_is_too_large_for_the_stream_its_own_wait_and_others_go_on() {
    let shop = Shop::open().await;
    let publisher = shop.publisher();
    publisher_holds_back_what_stands_behind_a_refused_message(&publisher, &shop, large(200_000)).await;
}

#[tokio::test]
async fn behind_a_message_that_is_too_large_for_the_server_its_own_wait_and_others_go_on() {
    let shop = Shop::open().await;
    let publisher = shop.publisher();
    publisher_holds_back_what_stands_behind_a_refused_message(&publisher, &shop, large(2_000_000)).await;
}

/// How one entry is answered whose subject is this.
async fn refused_for_its_subject(subject: &'static str) -> String {
    let shop = Shop::open().await;
    let publisher = shop.publisher().with_subject(move |_| subject.to_owned());
    let answer = publisher.publish(&[entry(&StreamId::random(), 1)]).await.remove(0).unwrap_err();
    assert!(answer.is_refused(), "{answer:?}");
    std::error::Error::source(&answer).unwrap().to_string()
}

#[tokio::test]
async fn a_subject_that_the_stream_does_not_take_refuses_the_message() {
    let said = refused_for_its_subject("elsewhere.a").await;
    assert!(said.contains("SHOP") && said.contains("elsewhere.a"), "{said}");
}

#[tokio::test]
async fn a_subject_that_is_none_refuses_the_message() {
    let said = refused_for_its_subject("shop.>").await;
    assert!(said.contains("shop.>") && said.contains("token"), "{said}");
}

#[tokio::test]
async fn what_no_cloud_event_can_hold_refuses_the_message() {
    let shop = Shop::open().await;
    let stream = StreamId::from_name("a\nb").unwrap();
    let answer = shop.publisher().publish(&[entry(&stream, 1)]).await.remove(0).unwrap_err();
    assert!(answer.is_refused(), "{answer:?}");
}

#[tokio::test]
async fn a_stream_that_is_not_there_is_away() {
    let shop = Shop::open().await;
    shop.context.delete_stream("SHOP").await.unwrap();
    let answer = shop.publisher().publish(&[entry(&StreamId::random(), 1)]).await.remove(0).unwrap_err();
    assert!(answer.is_away(), "{answer:?}");
}

#[tokio::test]
async fn a_full_stream_is_away_and_goes_on_when_there_is_room() {
    let full = Config {
        max_messages: 1,
        discard: async_nats::jetstream::stream::DiscardPolicy::New,
        ..Config::default()
    };
    let shop = Shop::with_stream(full).await;
    let publisher = shop.publisher();
    assert!(publisher.publish(&[entry(&StreamId::random(), 1)]).await[0].is_ok());
    let next = [entry(&StreamId::random(), 1)];
    let answer = publisher.publish(&next).await.remove(0).unwrap_err();
    assert!(answer.is_away(), "{answer:?}");
    shop.context.get_stream("SHOP").await.unwrap().purge().await.unwrap();
    assert!(publisher.publish(&next).await[0].is_ok());
}

#[tokio::test]
async fn what_a_stream_may_lose_is_told() {
    let on_disk = Shop::open().await;
    assert_eq!(on_disk.publisher().weaknesses().await.unwrap(), [Weakness::OneReplica]);
    let in_memory = Config { storage: StorageType::Memory, ..Config::default() };
    let in_memory = Shop::with_stream(in_memory).await;
    assert_eq!(in_memory.publisher().weaknesses().await.unwrap(), [Weakness::InMemory]);
}
