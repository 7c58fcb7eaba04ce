//! What is told, page by page, and to whom.

use std::process::Stdio;

use event_sourcery::privacy::{Encryption, MasterKey};
use event_sourcery::{Event, EventStore, RawEvent, StreamId, Tag};
use event_sourcery_sqlite::rusqlite;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::scene::{REQUEST, Scene, each};

#[tokio::test]
async fn streams_are_listed_newest_first_by_name_and_by_category() {
    let scene = Scene::new().await;
    let names = |arguments: &str| -> Vec<String> {
        let listing = scene.json(arguments);
        let streams = each(&listing, "stream");
        streams.iter().map(|stream| stream["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("streams"), ["orders/1003", "invoices/77", "orders/1003"]);
    assert_eq!(names("streams orders/"), ["orders/1003", "orders/1003"]);
    assert_eq!(names("streams --by-name --category invoices"), ["invoices/77"]);
    assert_eq!(each(&scene.json("streams --tenant acme"), "tenant"), ["acme"]);
    assert!(scene.refused("stream show orders/7 --tenant acme", 1).contains("no stream orders/7"));
}

#[tokio::test]
async fn every_listing_goes_on_where_its_page_has_ended() {
    let scene = Scene::new().await;
    let goes_on = |arguments: &str| {
        let whole = scene.json(arguments);
        let (mut items, mut from) = (Vec::new(), None::<String>);
        loop {
            let mut program = scene.program();
            program.args(arguments.split_whitespace()).args(["--json", "--limit", "1"]);
            if let Some(mark) = &from {
                program.args(["--from", mark.as_str()]);
            }
            let page: serde_json::Value = serde_json::from_slice(&program.output().unwrap().stdout).unwrap();
            items.extend(page["items"].as_array().unwrap().clone());
            from = page["next"].as_str().map(str::to_owned);
            if from.is_none() {
                break;
            }
        }
        assert_eq!(json!(items), whole["items"], "{arguments}");
        assert!(whole["next"].is_null(), "{arguments}");
    };
    goes_on("streams");
    goes_on("streams --by-name");
    goes_on("stream show orders/1003");
    goes_on("search");
    goes_on("search --name Placed");
    goes_on("stats categories");
    let told = scene.printed("streams --limit 1");
    assert!(told.contains("Go on with: --from '["), "{told}");
    // Each page is told in the order in which it happened.
    assert_eq!(each(&scene.json(&format!("trace {REQUEST} --limit 1")), "name"), ["Issued"]);
    assert!(scene.refused("streams --by-name --from [\"7\"]", 2).contains("mark"));
}

#[tokio::test]
async fn an_event_is_shown_whole() {
    let scene = Scene::new().await;
    let id = scene.id_of("Issued");
    let told = scene.printed(&format!("event {id}"));
    assert!(told.starts_with("Issued\n") && told.contains(&REQUEST.to_string()), "{told}");
    let event = scene.json(&format!("event {id}"));
    assert_eq!(event["stream"]["category"], "invoices");
    assert_eq!(event["context"]["correlation_id"], json!(REQUEST));
    assert!(scene.refused(&format!("event {REQUEST}"), 1).contains("trace --correlation"));
    scene.refused(&format!("event {id} --tenant acme"), 1);
}

#[tokio::test]
async fn tags_are_shown_with_their_events() {
    let scene = Scene::new().await;
    let store = EventStore::new(scene.backend().await);
    let tags = [Tag::new("student", "s\u{1b}1").unwrap(), Tag::new("course", "c1").unwrap()];
    let stream = StreamId::from_name("orders/1004").unwrap();
    store.append(&stream, RawEvent::new("Tagged", "{}").unwrap().with_tags(tags)).await.unwrap();
    let (shown, as_json) = (r"course:c1 student:s\u{1b}1", json!(["course:c1", "student:s\u{1b}1"]));
    for listing in ["search --name Tagged", "stream show orders/1004"] {
        assert_eq!(scene.json(listing)["items"][0]["tags"], as_json, "{listing}");
        let told = scene.printed(listing);
        assert!(told.contains(shown), "{told}");
    }
    let event = format!("event {}", scene.id_of("Tagged"));
    assert_eq!(scene.json(&event)["tags"], as_json);
    assert!(scene.printed(&event).contains(shown));
    assert_eq!(scene.json("search --name Issued")["items"][0]["tags"], json!([]));
    assert!(!scene.printed("search --name Issued").contains("Tags"));
}

#[tokio::test]
async fn events_are_searched_by_name_category_and_time() {
    let scene = Scene::new().await;
    let names = |arguments: &str| {
        each(&scene.json(arguments), "name").into_iter().map(ToString::to_string).collect::<String>()
    };
    assert_eq!(names("search --name Paid --name Issued"), r#""Issued""Paid""#);
    assert_eq!(names("search --category invoices"), r#""Issued""#);
    assert_eq!(names("search --since 2026-12-01T03:00:02Z --until 2026-12-01T03:00:03Z"), r#""Paid""#);
    assert_eq!(names("search --until 2026-12-01T03:00:03Z --limit 1"), r#""Paid""#);
    scene.refused("search --since yesterday", 2);
}

#[tokio::test]
async fn what_there_is_is_counted() {
    let scene = Scene::new().await;
    let stats = scene.json("stats");
    assert_eq!((&stats["position"], &stats["newest"], &stats["holders"]), (&json!(4), &json!(4), &json!(0)));
    assert_eq!(each(&stats["events"], "count"), [1, 1, 2]);
    assert_eq!(each(&scene.json("stats tenants"), "name"), ["", "acme"]);
    let told = scene.printed("stats");
    assert!(told.contains("(no tenant)") && told.contains("Issued"), "{told}");
    assert_eq!(scene.json("holders"), json!({ "position": 4, "newest": 4, "holders": [] }));
}

#[tokio::test]
async fn what_cannot_be_read_is_found() {
    let scene = Scene::new().await;
    let clean = scene.json("verify");
    assert_eq!((&clean["read"], &clean["damaged"], &clean["up_to"]), (&json!(4), &json!(0), &json!(4)));
    let path = scene.folder.path().join("orders.db");
    let spoil = "UPDATE event_sourcery_events SET data = 'no json' WHERE name = 'Issued'";
    rusqlite::Connection::open(path).unwrap().execute(spoil, []).unwrap();

    let output = scene.run("verify --json");
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["read"], &found["damaged"]), (&json!(4), &json!(1)));
    assert_eq!(
        (&found["failures"][0]["position"], &found["failures"][0]["name"]),
        (&json!(3), &json!("Issued"))
    );
    // Nobody reads it, and it is damaged all the same.
    let mut unread = scene.program();
    let mut unread = unread.args(["verify", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    assert_eq!(unread.wait().unwrap().code(), Some(1));
    assert!(scene.refused("verify --after 5", 1).contains("ends at position 4"));
    assert_eq!(scene.json("verify --after 4")["up_to"], 4);

    let issued = scene.json("search --category invoices")["items"][0].clone();
    assert_eq!((&issued["data"], &issued["data_text"]), (&json!(null), &json!("no json")));
}

#[derive(Event, Serialize, Deserialize)]
struct Registered {
    #[event(subject)]
    customer: String,
    #[event(encrypted, mask = "somebody")]
    email: String,
}

#[tokio::test]
async fn what_is_encrypted_shows_as_its_mask() {
    let scene = Scene::new().await;
    let keys = Encryption::new(MasterKey::from_bytes([7; 32]));
    let store = EventStore::new(scene.backend().await).with_encryption(keys).unwrap();
    let registered = Registered { customer: "17".into(), email: "ann@example.com".into() };
    store.append(&StreamId::from_name("customers/17").unwrap(), registered).await.unwrap();
    let shown = scene.json("stream show customers/17")["items"][0].clone();
    assert_eq!(shown["data"]["email"], "somebody");
    assert!(shown["context"].get("").is_none(), "{shown}");
    let verified = scene.json("verify");
    assert_eq!((&verified["damaged"], &verified["encrypted"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn a_long_chain_of_causes_says_how_it_goes_on() {
    let scene = Scene::new().await;
    let (store, stream) = (EventStore::new(scene.backend().await), StreamId::from_name("chain").unwrap());
    let step = |number: u64| RawEvent::new("Step", format!("{{\"number\": {number}}}")).unwrap();
    store.append(&stream, step(0)).await.unwrap();
    for number in 1..=66 {
        let chain = store.load_stream::<RawEvent>(&stream).await.unwrap();
        let cause = chain.last().unwrap();
        store.caused_by(cause).append(&stream, step(number)).expected_version(number).await.unwrap();
    }
    let chain = store.load_stream::<RawEvent>(&stream).await.unwrap();
    let told = scene.printed(&format!("trace {}", scene.id_of("Step")));
    let further = format!("event-sourcery trace {}", chain[1].uuid);
    assert!(told.contains(&further), "{told}");
    assert!(!scene.printed(&format!("trace {}", chain[64].uuid)).contains("What came before"));
}
