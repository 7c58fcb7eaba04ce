//! What every publisher promises, and the form of what is sent.

use event_sourcery::outbox::{OutboxEntry, Publisher};
use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_cloudevents::Form;
use event_sourcery_conformance::publisher::{entry, publisher_keeps_its_promises};
use serde_json::Value;

use crate::scene::Shop;

#[tokio::test]
async fn it_keeps_what_a_publisher_promises() {
    let shop = Shop::open().await;
    publisher_keeps_its_promises(&shop.publisher(), &shop).await;
}

#[tokio::test]
async fn it_keeps_what_a_publisher_promises_one_by_one_and_in_the_binary_form() {
    let shop = Shop::open().await;
    let publisher = shop.publisher().with_batch(0).with_form(Form::Binary);
    assert_eq!(publisher.batch(), 1);
    publisher_keeps_its_promises(&publisher, &shop).await;
}

#[tokio::test]
async fn a_repeat_is_not_stored_again() {
    let shop = Shop::open().await;
    let entries = [entry(&StreamId::random(), 1)];
    for _ in 0..3 {
        assert!(shop.publisher().publish(&entries).await[0].is_ok());
    }
    assert_eq!(shop.messages().await.len(), 1);
}

fn paid() -> OutboxEntry {
    let stream = StreamId::from_name("1003").unwrap().in_category("größe.n").unwrap();
    let event = WrappedEvent::new(RawEvent::new("Paid", r#"{"cents":500}"#).unwrap()).with_version(2);
    OutboxEntry::new(Recorded::new(event, stream, Position::from_i64(17)), 1)
}

#[tokio::test]
async fn a_message_is_a_cloud_event_under_a_subject_of_its_category_and_type() {
    let shop = Shop::open().await;
    assert!(shop.publisher().publish(&[paid()]).await[0].is_ok());
    let message = &shop.messages().await[0];
    assert_eq!(message.subject.as_str(), "shop.gr%C3%B6%C3%9Fe%2En.Paid");
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(event["data"]["cents"], 500);
    assert_eq!((&event["streamversion"], &event["streamcategory"]), (&"2".into(), &"größe.n".into()));
    let headers = message.headers.as_ref().unwrap();
    assert_eq!(headers.get("Content-Type").unwrap().as_str(), "application/cloudevents+json");
}

#[tokio::test]
async fn in_the_binary_form_the_attributes_are_headers() {
    let shop = Shop::open().await;
    let publisher = shop.publisher().with_form(Form::Binary);
    assert!(publisher.publish(&[paid()]).await[0].is_ok());
    let message = &shop.messages().await[0];
    assert_eq!(message.payload.as_ref(), br#"{"cents":500}"#);
    let headers = message.headers.as_ref().unwrap();
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-streamcategory", "gr%C3%B6%C3%9Fe.n"),
        ("ce-datacontenttype", "application/json"),
    ] {
        assert_eq!(headers.get(name).unwrap().as_str(), value, "{name}");
    }
}
