//! What every publisher promises, the form of what is sent, and its signature.

use event_sourcery::outbox::{OutboxEntry, Publisher};
use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_cloudevents::Form;
use event_sourcery_conformance::publisher::{entry, publisher_keeps_its_promises};
use event_sourcery_publish_webhook::Secret;
use serde_json::Value;

use crate::python::verifies;
use crate::scene::{Books, SECRET};

#[tokio::test]
async fn it_keeps_what_a_publisher_promises() {
    let books = Books::open().await;
    publisher_keeps_its_promises(&books.publisher(), &books).await;
}

#[tokio::test]
async fn it_keeps_what_a_publisher_promises_one_by_one_and_in_the_binary_form() {
    let books = Books::open().await;
    let publisher = books.publisher().with_batch(0).with_form(Form::Binary);
    assert_eq!(publisher.batch(), 1);
    publisher_keeps_its_promises(&publisher, &books).await;
}

fn paid() -> OutboxEntry {
    let stream = StreamId::from_name("größe 1").unwrap();
    let event = WrappedEvent::new(RawEvent::new("Paid", r#"{"cents":500,"text":"ü"}"#).unwrap());
    OutboxEntry::new(Recorded::new(event, stream, Position::from_i64(17)), 1)
}

#[tokio::test]
async fn a_message_is_a_cloud_event_in_the_form_that_was_asked_for() {
    let books = Books::open().await;
    assert!(books.publisher().publish(&[paid()]).await[0].is_ok());
    assert!(books.publisher().with_form(Form::Binary).publish(&[paid()]).await[0].is_ok());
    let got = books.got();
    assert_eq!(got[0].header("content-type"), "application/cloudevents+json");
    let event: Value = serde_json::from_str(&got[0].body).unwrap();
    assert_eq!((&event["data"]["cents"], &event["streamname"]), (&500.into(), &"größe 1".into()));
    assert_eq!(got[1].header("content-type"), "application/json");
    assert_eq!(got[1].header("ce-streamname"), "gr%C3%B6%C3%9Fe%201");
    assert_eq!(got[1].body, r#"{"cents":500,"text":"ü"}"#);
}

#[tokio::test]
async fn the_signature_is_verified_by_the_library_for_python() {
    const NEXT: &str = "whsec_bmV4dC1uZXh0LW5leHQtbmV4dC1uZXh0";
    let books = Books::open().await;
    let publisher = books.publisher().with_another_secret(Secret::from_text(NEXT).unwrap());
    let entry = paid();
    assert!(publisher.publish(std::slice::from_ref(&entry)).await[0].is_ok());
    let mut got = books.got().remove(0);
    assert_eq!(got.header("webhook-id"), entry.recorded().wrapped_event.uuid.to_string());
    assert!(verifies(&got, SECRET) && verifies(&got, NEXT), "each finds its own");
    assert!(!verifies(&got, "whsec_c29tZWJvZHktZWxzZS1zb21lYm9keS1lbHNl"));
    got.body.push(' ');
    assert!(!verifies(&got, SECRET), "what was changed is not signed");
}

#[tokio::test]
async fn many_are_on_their_way_at_once_and_no_two_of_a_stream() {
    let books = Books::open().await;
    let (a, b) = (StreamId::random(), StreamId::random());
    let entries: Vec<_> = (1..=20).flat_map(|number| [entry(&a, number), entry(&b, number)]).collect();
    let answers = books.publisher().with_batch(40).publish(&entries).await;
    assert!(answers.iter().all(Result::is_ok));
    for stream in [a, b] {
        let id = |entry: &&OutboxEntry| entry.recorded().stream_id == stream;
        let sent: Vec<_> =
            entries.iter().filter(id).map(|entry| entry.recorded().wrapped_event.uuid.to_string()).collect();
        let got = books.got();
        let arrived: Vec<_> = got
            .iter()
            .map(|got| got.header("webhook-id"))
            .filter(|id| sent.iter().any(|sent| sent == id))
            .collect();
        assert_eq!(arrived, sent);
    }
}
