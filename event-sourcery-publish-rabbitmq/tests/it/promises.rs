//! What every publisher promises, and the form of what is sent.

use event_sourcery::outbox::{OutboxEntry, Publisher};
use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_cloudevents::{CloudEvents, Form};
use event_sourcery_conformance::publisher::publisher_keeps_its_promises;
use event_sourcery_publish_rabbitmq::RabbitMqPublisher;
use event_sourcery_publish_rabbitmq::lapin::types::AMQPValue;
use serde_json::Value;

use crate::scene::Shop;

#[tokio::test]
async fn it_keeps_what_a_publisher_promises_in_both_forms_and_one_by_one() {
    let shop = Shop::open().await;
    let one_by_one = shop.publisher().with_batch(0);
    assert_eq!(one_by_one.batch(), 1);
    for publisher in [shop.publisher(), shop.publisher().with_form(Form::Binary), one_by_one] {
        publisher_keeps_its_promises(&publisher, &shop).await;
        shop.forget();
    }
}

fn paid() -> OutboxEntry {
    let stream = StreamId::from_name("1003").unwrap().in_category("kept").unwrap();
    let event = WrappedEvent::new(RawEvent::new("größe.Paid", r#"{"cents":500}"#).unwrap()).with_version(2);
    OutboxEntry::new(Recorded::new(event, stream, Position::from_i64(17)), 1)
}

#[tokio::test]
async fn a_message_is_a_persistent_cloud_event_in_the_form_that_was_asked_for() {
    let shop = Shop::open().await;
    assert!(shop.publisher().publish(&[paid()]).await[0].is_ok());
    assert!(shop.publisher().with_form(Form::Binary).publish(&[paid()]).await[0].is_ok());
    let messages = shop.take().await;
    let [structured, binary] = &messages[..] else { panic!("two have arrived: {messages:?}") };

    assert_eq!(structured.routing_key.as_str(), "kept.gr%C3%B6%C3%9Fe%2EPaid");
    assert_eq!(structured.properties.delivery_mode(), &Some(2));
    let content_type = |message: &event_sourcery_publish_rabbitmq::lapin::message::Delivery| {
        message.properties.content_type().as_ref().unwrap().to_string()
    };
    assert_eq!(content_type(structured), "application/cloudevents+json");
    let event: Value = serde_json::from_slice(&structured.data).unwrap();
    assert_eq!((&event["data"]["cents"], &event["streamversion"]), (&500.into(), &"2".into()));

    assert_eq!(content_type(binary), "application/json");
    assert_eq!(binary.data, br#"{"cents":500}"#);
    let headers = binary.properties.headers().as_ref().unwrap().inner();
    let expected = AMQPValue::LongString("größe.Paid".into());
    assert_eq!(headers.get("cloudEvents_type"), Some(&expected));
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    let events = || CloudEvents::from_source("/shop").unwrap();
    for address in ["", "nowhere", "amqp://guest:secret@[", "http://guest:secret@localhost"] {
        let refused = RabbitMqPublisher::new(address, "shop", events()).unwrap_err();
        assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused}");
    }
    assert!(RabbitMqPublisher::new("amqp://localhost", "x".repeat(256), events()).is_err());
    let publisher = RabbitMqPublisher::new("amqp://guest:secret@localhost", "shop", events()).unwrap();
    assert!(!format!("{publisher:?}").contains("secret"));
}
