//! What changes something: asks, does what it says, and nothing else.

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::rusqlite;
use serde_json::json;

use crate::scene::{Scene, each};

#[tokio::test]
async fn a_stream_is_deleted_by_who_says_so() {
    let scene = Scene::new().await;
    let (reset, skip) = ("subscriptions reset letters --to now", "subscriptions skip letters --all");
    for refused in ["stream delete orders/1003", reset, skip] {
        let told = scene.refused(refused, 1);
        assert!(told.contains("nothing was changed") && told.contains("--yes"), "{told}");
    }
    assert_eq!(each(&scene.json("stream show orders/1003"), "version"), [2, 1]);

    let deleted = scene.json("stream delete orders/1003 --yes");
    assert_eq!(deleted["deleted"]["name"], "orders/1003");
    let told = scene.refused("stream show orders/1003", 1);
    assert!(told.contains("--tenant acme"), "the other tenant's is still there: {told}");
}

#[tokio::test]
async fn a_failed_event_is_left_out() {
    let scene = Scene::new().await;
    let told = scene.refused("subscriptions skip letters orders/77 --yes", 1);
    assert!(told.contains("subscriptions show"), "{told}");
    let position = scene.json("subscriptions show letters")["waiting"]["items"][0]["position"].clone();
    scene.printed(&format!("subscriptions skip letters --position {position} --yes"));
    let waiting = scene.json("subscriptions show letters")["waiting"].clone();
    // It goes on behind the event, when somebody runs it.
    assert_ne!(waiting["items"][0]["position"], position);
    assert!(
        scene.refused("subscriptions replay nobody --all --yes", 1).contains("check the name and the tenant")
    );
}

#[tokio::test]
async fn all_that_is_parked_is_tried_again() {
    let scene = Scene::new().await;
    let mended = scene.json("subscriptions replay letters --all --yes");
    assert_eq!(mended, json!({ "streams": 1, "changed_meanwhile": 0 }));
    assert_eq!(each(&scene.json("subscriptions"), "parked"), [0]);
    assert_eq!(each(&scene.json("subscriptions"), "retrying"), [1]);
}

#[tokio::test]
async fn a_subscription_starts_again() {
    let scene = Scene::new().await;
    scene.printed("subscriptions reset letters --to beginning --yes");
    let listing = scene.json("subscriptions");
    assert_eq!((each(&listing, "position"), each(&listing, "parked")), (vec![&json!(0)], vec![&json!(0)]));
    scene.refused("subscriptions reset letters --to 1000000 --yes", 1);
    scene.refused("subscriptions reset letters --to yesterday --yes", 2);
}

#[tokio::test]
async fn an_entry_of_the_outbox_is_listed() {
    let scene = Scene::new().await;
    assert_eq!(scene.json("outbox")["items"], json!([]));
    let store = EventStore::new(scene.backend().await).with_outbox(|_| true).unwrap();
    store
        .append(&StreamId::from_name("letters/1").unwrap(), RawEvent::new("Sent", "{}").unwrap())
        .await
        .unwrap();
    assert_eq!(each(&scene.json("outbox"), "name"), ["Sent"]);
    assert_eq!(scene.json("outbox waiting")["items"], json!([]));
    assert!(scene.refused("outbox replay letters/1 --yes", 1).contains("outbox waiting"));
}

#[tokio::test]
async fn tables_are_made_by_who_says_so() {
    let scene = Scene { folder: tempfile::tempdir().unwrap() };
    let is_there = || scene.folder.path().join("orders.db").exists();
    assert!(scene.refused("migrate --yes", 1).contains("--create") && !is_there());
    let sql = scene.printed("migrate --print --create");
    assert!(sql.contains("CREATE TABLE event_sourcery_streams") && !is_there());
    assert!(scene.refused("migrate --create", 1).contains("--yes") && !is_there());

    scene.printed("migrate --create --yes");
    assert_eq!(scene.json("stats")["position"], 0);
    assert_eq!(scene.json("migrate"), json!({ "sql": "", "is_done": true }));
}

/// Tables of an older layout are told, and stay as they are.
#[tokio::test]
async fn who_looks_migrates_nothing() {
    let scene = Scene::new().await;
    let path = scene.folder.path().join("orders.db");
    let older = "DROP TABLE event_sourcery_event_blocks_mark";
    rusqlite::Connection::open(&path).unwrap().execute(older, []).unwrap();
    let told = scene.refused("streams", 3);
    assert!(told.contains("event-sourcery migrate"), "{told}");
    assert!(scene.printed("migrate --print").contains("event_blocks_mark"), "it is still missing");
    scene.printed("migrate --yes");
    scene.printed("streams");
}
