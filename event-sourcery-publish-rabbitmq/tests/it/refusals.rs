//! What is refused, alone, and what passes.

use event_sourcery::outbox::{OutboxEntry, PublishError, Publisher};
use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_conformance::publisher::{
    entry, publisher_holds_back_what_stands_behind_a_refused_message,
};
use event_sourcery_publish_rabbitmq::RabbitMqPublisher;
use event_sourcery_publish_rabbitmq::lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use crate::scene::{Shop, bind, exchange, queue};

/// An entry of a stream of its own, with a name, and so many bytes.
fn second(name: &'static str, bytes: usize) -> OutboxEntry {
    let event = RawEvent::new(name, json!({ "text": "x".repeat(bytes) }).to_string()).unwrap();
    let wrapped = WrappedEvent::new(event).with_version(2);
    OutboxEntry::new(Recorded::new(wrapped, StreamId::random(), Position::from_i64(2)), 1)
}

/// One whose key no queue takes, for events called `Lost`.
fn losing(publisher: RabbitMqPublisher) -> RabbitMqPublisher {
    publisher.with_routing_key(|recorded| {
        (if recorded.event().name() == "Lost" { "lost" } else { "kept" }).to_owned()
    })
}

async fn one(publisher: &RabbitMqPublisher, entry: OutboxEntry) -> Result<(), PublishError> {
    publisher.publish(&[entry]).await.remove(0)
}

#[tokio::test]
async fn behind_a_refused_message_its_own_wait_and_others_go_on() {
    let shop = Shop::with_settings(&[("max_message_size", "100000")]).await;
    let publisher = losing(shop.publisher());
    // One that no queue takes is given back; for one that is too large, the channel is ended.
    for refused in [second("Lost", 1), second("Large", 200_000)] {
        publisher_holds_back_what_stands_behind_a_refused_message(&publisher, &shop, refused).await;
        shop.forget();
    }
    let keyless = shop.publisher().with_routing_key(|recorded| match recorded.event().name() {
        "Lost" => "x".repeat(256),
        _ => "kept".to_owned(),
    });
    publisher_holds_back_what_stands_behind_a_refused_message(&keyless, &shop, second("Lost", 1)).await;
}

/// The channel ends while those behind the large one are being sent.
#[tokio::test]
async fn a_message_that_ends_the_channel_while_others_are_sent_is_refused_alone() {
    let shop = Shop::with_settings(&[("max_message_size", "100000")]).await;
    let publisher = losing(shop.publisher());
    let mut entries = vec![second("Large", 200_000)];
    entries.extend((0..400).map(|_| second("Kept", 50_000)));
    let answers = publisher.publish(&entries).await;
    for (number, answer) in answers.iter().enumerate() {
        let is_refused = answer.as_ref().is_err_and(PublishError::is_refused);
        assert!(if number == 0 { is_refused } else { answer.is_ok() }, "{number}: {answer:?}");
    }
}

#[tokio::test]
async fn of_many_on_their_way_together_each_that_is_given_back_is_told_by_its_own_name() {
    let shop = Shop::open().await;
    let publisher = losing(shop.publisher());
    let entries: Vec<_> =
        (0..200).map(|number| second(if number % 3 == 0 { "Lost" } else { "Kept" }, 1)).collect();
    let answers = publisher.publish(&entries).await;
    for (number, answer) in answers.iter().enumerate() {
        let is_refused = answer.as_ref().is_err_and(PublishError::is_refused);
        assert_eq!(is_refused, number % 3 == 0, "{number}: {answer:?}");
    }
    assert_eq!(shop.take().await.len(), answers.iter().filter(|answer| answer.is_ok()).count());
}

#[tokio::test]
async fn what_takes_no_messages_for_now_is_away_and_goes_on_later() {
    let shop = Shop::open().await;
    let (_connection, channel) = shop.connect().await;

    let nowhere = shop.publisher_to("later");
    let answer = one(&nowhere, second("Kept", 1)).await.unwrap_err();
    assert!(answer.is_away(), "there is no such exchange: {answer:?}");
    exchange(&channel, "later").await;
    bind(&channel, "books", "later", "#").await;
    one(&nowhere, second("Kept", 1)).await.unwrap();

    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    exchange(&channel, "narrow").await;
    queue(&channel, "narrow", full).await;
    bind(&channel, "narrow", "narrow", "#").await;
    let narrow = shop.publisher_to("narrow");
    let mut answers = Vec::new();
    for number in 1..=5 {
        answers.push(one(&narrow, entry(&StreamId::random(), number)).await);
    }
    assert!(answers[0].is_ok(), "{answers:?}");
    assert!(answers[4].as_ref().is_err_and(PublishError::is_away), "the queue is full: {answers:?}");
    channel.queue_purge("narrow".into(), Default::default()).await.unwrap();
    one(&narrow, second("Kept", 1)).await.unwrap();
}
