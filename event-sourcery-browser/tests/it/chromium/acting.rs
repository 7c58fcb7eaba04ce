//! Replaying and skipping in Chromium, and what others cannot make it do.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use event_sourcery::privacy::{Encryption, MasterKey};
use event_sourcery::{Event, EventStore, MemoryBackend, StreamId};
use event_sourcery_browser::{Access, Browser};
use serde::{Deserialize, Serialize};

use super::driver::Chromium;
use super::{Served, of_each_kind, router};
use crate::scene::{Form, Visitor, fail, in_memory, raw, tenant};

/// A store in which a handler has failed on an event of each of three streams.
async fn failed() -> EventStore {
    let store = EventStore::new(MemoryBackend::new()).erased();
    for number in 0..3 {
        let stream = StreamId::from_name(format!("orders/{number}")).unwrap();
        store.append(&stream, raw("Placed", &serde_json::json!({}))).await.unwrap();
    }
    fail(&store, "letters", 3).await;
    store
}

async fn parked(store: &EventStore) -> usize {
    store.subscribe::<event_sourcery::RawEvent>().durable("letters").parked().await.unwrap().len()
}

const PAGE: &str = "/subscription?name=letters";

#[tokio::test(flavor = "multi_thread")]
async fn failed_events_are_replayed_and_skipped_by_their_buttons() {
    let store = failed().await;
    let served = Served::new(router(&store)).await;
    // With scripts and without: the forms are the same.
    for (chromium, left) in [(Chromium::new(), 2), (Chromium::without_scripts(), 0)] {
        chromium.go(&served.at(PAGE));
        if left > 0 {
            chromium.click("tbody form button");
            assert!(chromium.text().contains("The event is tried again."), "{}", chromium.text());
        } else {
            chromium.click(".actions summary");
            chromium.click(".actions details button");
            assert!(chromium.text().contains("was left out"), "{}", chromium.text());
        }
        assert!(chromium.address().contains("done="), "it was sent on: {}", chromium.address());
        assert_eq!(parked(&store).await, left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_site_cannot_act_through_whoever_may() {
    let store = failed().await;
    let router = router(&store);
    let form = Form::to("replay-all", &Visitor::of(router.clone()).page(PAGE).await);
    let served = Served::new(router).await;
    // It even knows the token.
    let fields: String = form
        .0
        .iter()
        .map(|(name, value)| format!("<input type=hidden name={name} value='{value}'>"))
        .collect();
    let page = format!(
        "<!doctype html><form method=post action='{}'>{fields}<button>Win</button></form>",
        served.at("/act")
    );
    let elsewhere = Router::new().route("/", get(move || async move { Html(page) }));
    let elsewhere = Served::new(elsewhere).await;
    let chromium = Chromium::new();
    // By another name, so that it is another site, and not only another origin of this one.
    chromium.go(&elsewhere.at("/").replace("127.0.0.1", "localhost"));
    chromium.click("button");
    let text = chromium.text();
    assert!(chromium.address().ends_with("/act") && text.contains("Forbidden"), "{text}");
    assert_eq!(parked(&store).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_site_frames_it() {
    let served = Served::new(router(&failed().await)).await;
    let page = format!("<!doctype html><iframe src='{}'></iframe>", served.at("/store"));
    let elsewhere = Router::new().route("/", get(move || async move { Html(page) }));
    let elsewhere = Served::new(elsewhere).await;
    let chromium = Chromium::new();
    chromium.go(&elsewhere.at("/"));
    let complaints = chromium.complaints();
    assert!(complaints.iter().any(|one| one.contains("frame-ancestors")), "{complaints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_shown_that_tenant_alone() {
    let store = in_memory().await;
    let router = Browser::new(store).allow(|_| Access::look_at(tenant("acme")).and_act()).router();
    let (served, chromium) = (Served::new(router.clone()).await, Chromium::new());
    for address in of_each_kind(&router).await {
        chromium.go(&served.at(&address));
        let source = chromium.script("return document.documentElement.outerHTML");
        assert!(!source.as_str().unwrap().contains("rival"), "{address}");
    }
    chromium.go(&served.at("/streams"));
    assert_eq!(chromium.count("#tenant"), 0, "there is none to be asked for");
}

#[derive(Event, Serialize, Deserialize)]
struct CustomerRegistered {
    #[event(subject)]
    customer: String,
    #[event(encrypted, mask = "hidden")]
    email: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_is_masked() {
    let store = EventStore::new(MemoryBackend::new());
    let store = store.with_encryption(Encryption::new(MasterKey::from_bytes([7; 32]))).unwrap();
    let stream = StreamId::from_name("customers/17").unwrap();
    let registered = CustomerRegistered { customer: "17".into(), email: "ada@example.org".into() };
    store.append(&stream, registered).await.unwrap();
    let (served, chromium) = (Served::new(router(&store.erased())).await, Chromium::new());
    chromium.go(&served.at("/"));
    chromium.follow("CustomerRegistered");
    chromium.click(".stored summary");
    let text = chromium.text();
    assert!(text.contains("hidden") && text.contains("encrypted, and masked"), "{text}");
    let source = chromium.script("return document.documentElement.outerHTML");
    assert!(!source.as_str().unwrap().contains("ada@example.org"));
}
