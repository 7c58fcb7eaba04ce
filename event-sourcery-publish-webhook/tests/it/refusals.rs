//! What a receiver does not accept, and what is not connected to.

use std::error::Error;
use std::iter;
use std::time::{Duration, Instant};

use axum::http::Method;
use event_sourcery::outbox::{OutboxEntry, PublishError, Publisher};
use event_sourcery::{Position, RawEvent, Recorded, StreamId, WrappedEvent};
use event_sourcery_cloudevents::CloudEvents;
use event_sourcery_conformance::publisher::{
    entry, publisher_holds_back_what_stands_behind_a_refused_message,
    publisher_tells_that_the_other_end_is_away,
};
use event_sourcery_publish_webhook::{InvalidEndpoint, Secret, WebhookPublisher};

use crate::scene::{Books, Reply, SECRET};

/// An entry of a stream of its own that is called so.
fn second(name: &'static str) -> OutboxEntry {
    let wrapped = WrappedEvent::new(RawEvent::new(name, "{}").unwrap()).with_version(2);
    OutboxEntry::new(Recorded::new(wrapped, StreamId::random(), Position::from_i64(2)), 1)
}

async fn one(publisher: &WebhookPublisher) -> Result<(), PublishError> {
    publisher.publish(&[entry(&StreamId::random(), 1)]).await.remove(0)
}

/// What an error says, with all that caused it.
fn in_full(error: &PublishError) -> String {
    let causes = iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn behind_a_message_that_is_not_accepted_its_own_wait_and_others_go_on() {
    for status in [422, 500] {
        let books =
            Books::answering(move |body| Reply::Status(if body.contains("Refused") { status } else { 200 }));
        let books = books.await;
        let publisher = books.publisher();
        publisher_holds_back_what_stands_behind_a_refused_message(&publisher, &books, second("Refused"))
            .await;
    }
}

#[tokio::test]
async fn a_receiver_that_fails_at_everything_is_away() {
    for status in [500, 503, 404, 401] {
        let books = Books::answering(move |_| Reply::Status(status)).await;
        publisher_tells_that_the_other_end_is_away(&books.publisher()).await;
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let books = Books::answering(move |_| Reply::With(status, "location", "/elsewhere")).await;
        let answer = one(&books.publisher()).await.unwrap_err();
        assert!(answer.is_away() && in_full(&answer).contains("redirects"), "{}", in_full(&answer));
        let got = books.got();
        assert_eq!(got.len(), 1, "nothing else was asked for");
        assert_eq!(got[0].method, Method::POST);
    }
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_passed_on() {
    let books = Books::answering(|_| Reply::With(429, "retry-after", "7")).await;
    let answer = one(&books.publisher()).await.unwrap_err();
    assert_eq!((answer.is_away(), answer.retry_after()), (true, Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_away_in_time() {
    let books = Books::answering(|_| Reply::Never).await;
    let publisher = books.publisher().with_timeout(Duration::from_millis(300));
    let began = Instant::now();
    publisher_tells_that_the_other_end_is_away(&publisher).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_away() {
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let events = CloudEvents::from_source("/shop").unwrap();
    let secret = Secret::from_text(SECRET).unwrap();
    let publisher = WebhookPublisher::in_own_network(&format!("http://{gone}/"), secret, events).unwrap();
    publisher_tells_that_the_other_end_is_away(&publisher).await;
}

#[tokio::test]
async fn what_no_cloud_event_can_hold_refuses_the_message() {
    let books = Books::open().await;
    let stream = StreamId::from_name("a\nb").unwrap();
    let answer = books.publisher().publish(&[entry(&stream, 1)]).await.remove(0).unwrap_err();
    assert!(answer.is_refused(), "{answer:?}");
}

fn in_the_internet(address: &str) -> Result<WebhookPublisher, InvalidEndpoint> {
    let events = CloudEvents::from_source("/shop").unwrap();
    WebhookPublisher::new(address, Secret::from_text(SECRET).unwrap(), events)
}

#[tokio::test]
async fn a_name_that_stands_for_a_private_address_is_not_connected_to() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = one(&in_the_internet(&format!("https://localhost:{port}/")).unwrap()).await.unwrap_err();
    assert!(
        answer.is_away() && in_full(&answer).contains("no address of the internet"),
        "{}",
        in_full(&answer)
    );
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody has connected");
}

#[test]
fn addresses_that_are_none_or_not_of_the_internet_are_refused() {
    for address in
        ["", "books", "/events", "ftp://books.example/", "https://user:secret@books.example/", "https:///"]
    {
        let refused = in_the_internet(address).unwrap_err();
        assert!(matches!(refused, InvalidEndpoint::NotAnAddress), "{address}: {refused}");
        assert!(!format!("{refused:?} {refused}").contains("secret"));
    }
    assert!(matches!(in_the_internet("http://books.example/"), Err(InvalidEndpoint::NotEncrypted)));
    for address in ["https://127.0.0.1/", "https://10.1.2.3:8443/", "https://[::1]/", "https://[fd00::1]:1/"]
    {
        let refused = in_the_internet(address).unwrap_err();
        assert!(matches!(refused, InvalidEndpoint::PrivateAddress(_)), "{address}: {refused}");
    }
    let publisher = in_the_internet("https://books.example/token-secret").unwrap();
    assert!(!format!("{publisher:?}").contains("secret"), "{publisher:?}");
}
