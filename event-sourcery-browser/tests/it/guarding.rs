//! Who is answered, and what every answer guards against.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{self, ConnectInfo};
use axum::http::{Request, StatusCode, Version};
use axum::middleware::{Next, from_fn};
use event_sourcery::privacy::{Encryption, MasterKey};
use event_sourcery::uuid::Uuid;
use event_sourcery::{Event, EventStore, MemoryBackend, StreamId};
use event_sourcery_browser::{Access, Browser};
use serde::{Deserialize, Serialize};

use crate::scene::{HOSTILE, Visitor, in_memory, operated};

/// A request of this peer, with these headers.
fn of(peer: Option<&str>, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get("/store");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
    }
    request
}

#[tokio::test]
async fn without_a_hook_this_machine_alone_is_answered_and_nobody_may_act() {
    let visitor = Visitor::of(Browser::new(in_memory().await).router());
    for peer in ["127.0.0.1:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
        let answer = visitor.send(of(Some(peer), &[("host", "localhost:3000")])).await;
        assert_eq!(answer.status, StatusCode::OK, "{peer}");
    }
    let mut of_a_proxy = of(Some("127.0.0.1:9"), &[("host", "127.0.0.1:3000")]);
    *of_a_proxy.version_mut() = Version::HTTP_10;
    let refused = [
        of_a_proxy,
        of(None, &[("host", "localhost")]),
        of(Some("10.0.0.1:9"), &[("host", "localhost")]),
        of(Some("127.0.0.1:9"), &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")]),
        of(Some("127.0.0.1:9"), &[("host", "localhost"), ("forwarded", "for=127.0.0.1")]),
        of(Some("127.0.0.1:9"), &[("host", "localhost"), ("x-forwarded-proto", "https")]),
        of(Some("127.0.0.1:9"), &[("host", "localhost"), ("cf-connecting-ip", "10.0.0.1")]),
        of(Some("127.0.0.1:9"), &[("host", "evil.example")]),
        of(Some("127.0.0.1:9"), &[("host", "localhost"), ("host", "evil.example")]),
        of(Some("127.0.0.1:9"), &[]),
    ];
    for request in refused {
        let told = format!("{:?}", request.headers());
        let answer = visitor.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{told}");
        assert!(!answer.body.contains("orders") && !answer.body.contains("<nav"), "{}", answer.body);
    }
    let mut request = of(Some("127.0.0.1:9"), &[("host", "localhost")]);
    *request.uri_mut() = "/waiting".parse().unwrap();
    let waiting = visitor.send(request).await;
    assert!(waiting.status == StatusCode::OK && !waiting.body.contains("<form method=\"post\""));
}

#[tokio::test]
async fn the_hook_decides_for_each_request() {
    let by_header = |request: &axum::http::request::Parts| match request.headers.get("user") {
        Some(user) if user == "operator" => Access::look(),
        _ => Access::refused(),
    };
    let visitor = Visitor::of(Browser::new(in_memory().await).allow(by_header).router());
    assert_eq!(visitor.send(of(None, &[("user", "operator")])).await.status, StatusCode::OK);
    for asset in ["/store", "/style.css", "/act", "/nothing"] {
        assert_eq!(visitor.get(asset).await.status, StatusCode::FORBIDDEN, "{asset}");
    }
}

/// An authentication that lets nobody in.
async fn nobody(_: extract::Request, _: Next) -> StatusCode {
    StatusCode::UNAUTHORIZED
}

#[tokio::test]
async fn the_layers_of_a_service_stand_before_the_router() {
    let store = EventStore::new(MemoryBackend::new()).erased();
    let router = || Browser::new(store.clone()).allow(|_| Access::look().and_act()).router();
    for service in [
        Router::new().nest("/events", router()).route_layer(from_fn(nobody)),
        Router::new().nest("/events", router()).layer(from_fn(nobody)),
        Router::new().nest_service("/events", router()).route_layer(from_fn(nobody)),
    ] {
        let visitor = Visitor::of(service);
        for address in ["/events", "/events/store", "/events/style.css", "/events/act", "/events/a/b"] {
            assert_eq!(visitor.get(address).await.status, StatusCode::UNAUTHORIZED, "{address}");
        }
    }
}

#[tokio::test]
async fn every_answer_says_that_nothing_is_kept_guessed_framed_or_brought_from_elsewhere() {
    let visitor = operated(&in_memory().await);
    for address in ["/", "/style.css", "/live.js", "/nothing", "/act", "/streams?from=x"] {
        let headers = visitor.get(address).await.headers;
        assert_eq!(headers["cache-control"], "no-store", "{address}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{address}");
        assert_eq!(headers["referrer-policy"], "same-origin", "forms tell where they stand: {address}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("data:") && !policy.contains('*'), "{policy}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_a_page_with_the_right_status() {
    let visitor = operated(&in_memory().await);
    let nobody = Uuid::from_u128(u128::MAX);
    let asked = [
        ("/nothing".to_owned(), StatusCode::NOT_FOUND),
        ("/streams/below".to_owned(), StatusCode::NOT_FOUND),
        (format!("/event?id={nobody}"), StatusCode::NOT_FOUND),
        (format!("/causes?id={nobody}"), StatusCode::NOT_FOUND),
        (format!("/stream?id={nobody}"), StatusCode::NOT_FOUND),
        ("/subscription?name=nobody".to_owned(), StatusCode::NOT_FOUND),
        ("/act".to_owned(), StatusCode::METHOD_NOT_ALLOWED),
        ("/event?id=%3Cscript%3E".to_owned(), StatusCode::BAD_REQUEST),
        ("/event".to_owned(), StatusCode::BAD_REQUEST),
        ("/streams?from=%3Cscript%3E".to_owned(), StatusCode::BAD_REQUEST),
        ("/streams?from=%5B%227%22%5D&named=a".to_owned(), StatusCode::BAD_REQUEST),
        ("/streams?named=%00".to_owned(), StatusCode::BAD_REQUEST),
        ("/search?type=a%00".to_owned(), StatusCode::BAD_REQUEST),
        ("/subscription?name=%00".to_owned(), StatusCode::BAD_REQUEST),
        ("/subscriptions?from=%5B%22%22%2C%22%5Cu0000%22%5D".to_owned(), StatusCode::BAD_REQUEST),
        ("/search?until=%22%3E%3Cscript%3E".to_owned(), StatusCode::BAD_REQUEST),
        ("/beside?stream=%3Cscript%3E".to_owned(), StatusCode::BAD_REQUEST),
        (format!("/streams?category={}", "a".repeat(300)), StatusCode::BAD_REQUEST),
    ];
    for (address, status) in asked {
        let answer = visitor.get(&address).await;
        assert_eq!(answer.status, status, "{address}");
        assert_eq!(answer.body.matches("<script").count(), 1, "{address}");
        assert!(answer.body.contains("<h1"), "{address}");
    }
    let deep = visitor.get(&"/a".repeat(20_000)).await;
    assert!(deep.status == StatusCode::NOT_FOUND && deep.body.len() < 10_000, "{}", deep.body.len());
    let posted = visitor.send(Request::post("/streams").body(Body::empty()).unwrap()).await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(posted.headers["allow"], "GET");
}

#[tokio::test]
async fn what_a_request_says_comes_back_as_text() {
    let visitor = operated(&in_memory().await);
    let hostile = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect::<String>();
    for page in [
        "/streams?named=",
        "/streams?category=",
        "/search?type=",
        "/search?category=",
        "/subscription?done=replay-all&count=7&name=",
    ] {
        let body = visitor.get(&format!("{page}{hostile}")).await.body;
        assert_eq!(body.matches("<script").count(), 1, "{page}");
        assert!(!body.contains("<img"), "{page}");
    }
}

#[derive(Event, Serialize, Deserialize)]
struct CustomerRegistered {
    #[event(subject)]
    customer: String,
    #[event(encrypted, mask = "hidden")]
    email: String,
}

#[tokio::test]
async fn what_is_encrypted_stays_masked_also_where_the_store_has_the_keys() {
    let store = EventStore::new(MemoryBackend::new());
    let store = store.with_encryption(Encryption::new(MasterKey::from_bytes([7; 32]))).unwrap();
    let stream = StreamId::from_name("customers/17").unwrap();
    let registered = CustomerRegistered { customer: "17".into(), email: "ada@example.org".into() };
    store.append(&stream, registered).await.unwrap();
    let id = store.load_stream::<CustomerRegistered>(&stream).await.unwrap()[0].uuid;

    let visitor = operated(&store.erased());
    for page in [format!("/event?id={id}"), "/stream?name=customers%2F17".to_owned()] {
        let body = visitor.page(&page).await;
        assert!(body.contains("hidden") && !body.contains("ada@example.org"), "{page}");
    }
    assert!(visitor.page(&format!("/event?id={id}")).await.contains("encrypted, and masked"));
}
