//! What somebody asks at three in the morning, who has never seen the store: by clicking, from the first page on.

use std::time::Duration;

use event_sourcery::uuid::Uuid;
use event_sourcery::{Context, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;
use postgres_cluster::{Database, Server};

use super::driver::Chromium;
use super::{Served, router};
use crate::scene::raw;

/// A store in which order 1003 was placed and paid, and its invoice issued because of that; whose letters fail on the payment.
struct Night {
    store: EventStore<PostgresBackend>,
    served: Served,
    chromium: Chromium,
    // Dropped last, after what is connected to it.
    _database: Database,
}

impl Night {
    async fn new() -> Self {
        let database = Server::shared().create_database();
        let store = EventStore::new(PostgresBackend::connect(database.url()).await.unwrap());
        let erased = store.erased();
        fill(&erased).await;
        let night = Self {
            store,
            served: Served::new(router(&erased)).await,
            chromium: Chromium::new(),
            _database: database,
        };
        night.chromium.go(&night.served.at("/"));
        night
    }
}

async fn fill(store: &EventStore) {
    let order = StreamId::from_name("orders/1003").unwrap();
    let invoice = StreamId::from_name("invoices/77").unwrap();
    let none = serde_json::json!({});
    let request = store.with_context(Context::new().with_correlation_id(Uuid::now_v7()));
    request
        .append(&order, [raw("Placed", &serde_json::json!({"cents": 700})), raw("Paid", &none)])
        .await
        .unwrap();
    let paid = &store.load_stream::<RawEvent>(&order).await.unwrap()[1];
    store.caused_by(paid).append(&invoice, raw("Issued", &none)).await.unwrap();
    let letters = || store.subscribe::<RawEvent>().event_names(["Paid"]).durable("letters").attempts(1);
    let watched = letters();
    let is_parked = async move {
        while watched.parked().await.map_or(0, |parked| parked.len()) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    letters().until(is_parked).run(async |_, _| Err("the printer is out of paper".into())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_to_an_order() {
    let night = Night::new().await;
    let chromium = &night.chromium;
    chromium.follow("Streams");
    chromium.enter("#named", "orders/1003");
    chromium.click("form.filter button");
    chromium.follow("orders/1003");
    let text = chromium.text();
    assert!(text.contains("{\"cents\": 700}"), "{text}");
    let (paid, placed) = (text.find("Paid").unwrap(), text.find("Placed").unwrap());
    assert!(paid < placed, "the last one first: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_it_happened() {
    let night = Night::new().await;
    let chromium = &night.chromium;
    chromium.follow("Issued");
    // The first of what it is related to is its cause, which may be an event or a command.
    chromium.click(".links a");
    assert!(chromium.text().contains("The event Paid"), "{}", chromium.text());
    chromium.follow("Paid");
    chromium.follow("What it has caused");
    assert!(chromium.text().contains("Issued"), "{}", chromium.text());
    chromium.follow("The event itself");
    chromium.click(".links li:last-child a");
    let text = chromium.text();
    assert!(
        ["Placed", "Paid", "Issued"].iter().all(|name| text.contains(name)),
        "all of the request: {text}"
    );
    assert_eq!(chromium.count(".graph ol ol a"), 2, "what was caused stands below, with its stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn which_handler_failed_on_it_and_how_to_let_it_try_again() {
    let night = Night::new().await;
    let chromium = &night.chromium;
    chromium.follow("Waiting");
    let text = chromium.text();
    for told in ["letters", "orders/1003", "Paid", "the printer is out of paper", "parked"] {
        assert!(text.contains(told), "{told} in {text}");
    }
    chromium.click("tbody form button");
    assert!(chromium.text().contains("The event is tried again."), "{}", chromium.text());
    let parked =
        night.store.subscribe::<RawEvent>().event_names(["Paid"]).durable("letters").parked().await.unwrap();
    assert!(parked.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn which_transaction_holds_up_the_readers() {
    let night = Night::new().await;
    let chromium = &night.chromium;
    let mut forgotten = night.store.backend().begin().await.unwrap();
    let event = || raw("Drafted", &serde_json::json!({}));
    night.store.within(&mut forgotten).append(&StreamId::random(), event()).await.unwrap();
    night.store.append(&StreamId::random(), event()).await.unwrap();
    chromium.follow("Store");
    chromium.follow("1 open transaction");
    let text = chromium.text();
    assert!(text.contains("process ") && text.contains("idle in transaction"), "{text}");
    assert!(text.contains("SELECT pg_terminate_backend("), "what ends it is told: {text}");
    drop(forgotten);
}
