//! What an assistant finds out.

use event_sourcery::privacy::{Encryption, MasterKey};
use event_sourcery::{
    Context, ContextComponent, Event, EventStore, MemoryBackend, RawEvent, StreamId, TenantId,
};
use event_sourcery_mcp::Tools;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::scene::{Assistant, REQUEST, each, store};

#[tokio::test]
async fn what_happened_why_and_which_handler_failed_on_it() {
    let mut assistant = Assistant::new(Tools::new(store().await)).await;
    let order = assistant.told("stream", json!({ "stream": "orders/1003" })).await;
    assert_eq!(each(&order, "name"), ["Paid", "Placed"]);
    assert_eq!(order["items"][0]["data"], r#"{"euros": 7.10}"#, "to the character");
    let paid = order["items"][0]["id"].clone();
    let causes = assistant.told("causes", json!({ "id": paid })).await;
    assert_eq!((&causes["has_caused"][0]["name"], &causes["is_whole"]), (&json!("Issued"), &json!(true)));
    let issued = causes["has_caused"][0]["id"].clone();
    let causes = assistant.told("causes", json!({ "id": issued })).await;
    assert_eq!((&causes["caused_by"][0]["id"], &causes["caused_further_by"]), (&paid, &json!(null)));
    assert_eq!(assistant.told("event", json!({ "id": issued })).await["stream"]["category"], "invoices");
    let request = assistant.told("correlation", json!({ "id": REQUEST })).await;
    assert_eq!(each(&request, "name"), ["Issued", "Paid", "Placed"]);

    assert_eq!(each(&assistant.told("subscriptions", json!({})).await, "name"), ["letters"]);
    let letters = assistant.told("subscription", json!({ "name": "letters" })).await;
    let failed = &letters["waiting"]["items"][0];
    assert_eq!((&failed["event_id"], &failed["retry_at"]), (&paid, &json!(null)));
    assert!(failed["error"].as_str().unwrap().contains("out of paper"), "{failed}");
    assert_eq!(
        assistant.told("holders", json!({})).await,
        json!({ "position": 4, "newest": 4, "holders": [] })
    );
}

#[tokio::test]
async fn listings_have_pages_and_what_is_wrong_is_told() {
    let mut assistant = Assistant::new(Tools::new(store().await)).await;
    let first = assistant.told("streams", json!({ "prefix": "orders/", "limit": 1 })).await;
    let next = first["next"].as_str().unwrap();
    let second = assistant.told("streams", json!({ "prefix": "orders/", "limit": 1, "from": next })).await;
    assert_ne!(each(&first, "tenant"), each(&second, "tenant"));
    assert_eq!(each(&assistant.told("search", json!({ "type": "Issued" })).await, "version"), [1]);
    assert_eq!(each(&assistant.told("counts", json!({ "of": "tenants" })).await, "count"), [2, 1]);
    assert_eq!(assistant.told("outbox", json!({})).await["items"], json!([]));

    assert!(assistant.refused("stream", json!({ "stream": "orders/7" })).await.contains("See `streams`"));
    assert!(assistant.refused("event", json!({ "id": REQUEST })).await.contains("`correlation`"));
    assert!(assistant.refused("event", json!({ "uuid": REQUEST })).await.contains("unknown field"));
    assert!(assistant.refused("streams", json!({ "from": "[\"a\", \"b\"]" })).await.contains("mark"));
}

#[tokio::test]
async fn a_tenants_handle_shows_that_tenant_alone() {
    let acme = store().await.for_tenant(TenantId::new("acme").unwrap());
    let mut assistant = Assistant::new(Tools::new(acme)).await;
    assert_eq!(each(&assistant.told("streams", json!({})).await, "tenant"), ["acme"]);
    assert_eq!(each(&assistant.told("search", json!({})).await, "name"), ["Placed"]);
    for tool in ["streams", "search", "subscriptions"] {
        let told = assistant.refused(tool, json!({ "tenant": "zenith" })).await;
        assert!(told.contains("one tenant alone"), "{told}");
    }
    assert_eq!(assistant.told("holders", json!({})).await["holders"], json!(null));
}

#[derive(Event, Serialize, Deserialize)]
struct Registered {
    #[event(subject)]
    customer: String,
    #[event(encrypted, mask = "somebody")]
    email: String,
}

#[derive(Serialize, Deserialize)]
struct Remark {
    text: String,
}

impl ContextComponent for Remark {
    const NAME: &'static str = "remark";
}

#[tokio::test]
async fn what_is_encrypted_shows_as_its_mask_and_what_is_long_is_cut() {
    let keys = Encryption::new(MasterKey::from_bytes([7; 32]));
    let store = EventStore::new(MemoryBackend::new()).with_encryption(keys).unwrap().erased();
    let registered = Registered { customer: "17".into(), email: "ann@example.com".into() };
    store.append(&StreamId::from_name("customers/17").unwrap(), registered).await.unwrap();
    let long = RawEvent::new("Noted", json!({ "text": "n".repeat(5_000) }).to_string()).unwrap();
    let wordy = Context::new().with_component(&Remark { text: "r".repeat(5_000) }).unwrap();
    store.with_context(wordy).append(&StreamId::from_name("notes/1").unwrap(), long).await.unwrap();

    let mut assistant = Assistant::new(Tools::new(store)).await;
    let customer = assistant.told("stream", json!({ "stream": "customers/17" })).await["items"][0].clone();
    assert!(customer["data"].as_str().unwrap().contains("somebody"), "{customer}");
    assert!(!customer.to_string().contains("ann@"), "{customer}");
    assert!(customer["context"].get("").is_none(), "{customer}");
    let note = assistant.told("stream", json!({ "stream": "notes/1" })).await["items"][0].clone();
    assert_eq!((note["data"].as_str().unwrap().len(), &note["data_is_cut"]), (2_000, &json!(true)));
    assert_eq!((note["context"].as_str().unwrap().len(), &note["context_is_cut"]), (2_000, &json!(true)));
    let note = assistant.told("event", json!({ "id": note["id"] })).await;
    assert_eq!((note["data"].as_str().unwrap().len(), &note["data_is_cut"]), (5_011, &json!(false)));
    assert_eq!(note["context"]["components"]["remark"]["text"].as_str().unwrap().len(), 5_000);
}

#[tokio::test]
async fn what_an_event_has_caused_is_told_up_to_a_number_and_that_it_is_not_all() {
    let store = EventStore::new(MemoryBackend::new()).erased();
    let stream = StreamId::from_name("orders/1").unwrap();
    store.append(&stream, RawEvent::new("Placed", "{}").unwrap()).await.unwrap();
    let placed = &store.load_stream::<RawEvent>(&stream).await.unwrap()[0];
    let effects = (0..101).map(|_| RawEvent::new("Viewed", "{}").unwrap()).collect::<Vec<_>>();
    store.caused_by(placed).append(&StreamId::random(), effects).await.unwrap();
    let mut assistant = Assistant::new(Tools::new(store)).await;
    let order = assistant.told("stream", json!({ "stream": "orders/1" })).await;
    let causes = assistant.told("causes", json!({ "id": order["items"][0]["id"] })).await;
    let told = causes["has_caused"].as_array().unwrap().len();
    assert_eq!((told, &causes["is_whole"]), (100, &json!(false)));
}
