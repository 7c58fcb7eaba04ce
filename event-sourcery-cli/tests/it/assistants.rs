//! The tools for assistants, called by the client that assistants have.

use std::process::Command;

use serde_json::{Value, json};

use crate::scene::{Scene, each, printed};

/// Where `scripts/test` brings the client to.
const BROUGHT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/assistant");
const CLIENT: &str = include_str!("../assistant/client.mjs");

/// What the program says to a client that makes these calls.
fn called(scene: &Scene, further: &[&str], calls: &Value) -> Value {
    // What it imports is looked for in its folder.
    let mut node = Command::new("node");
    node.current_dir(BROUGHT).args(["--input-type=module", "--eval", CLIENT, "--"]);
    let url = format!("sqlite:{}", scene.folder.path().join("orders.db").display());
    node.arg(calls.to_string()).arg(env!("CARGO_BIN_EXE_event-sourcery")).args(["mcp", &url]).args(further);
    let output = node.output().expect("node, and the client: see `bring_assistant` in scripts/bring.sh");
    serde_json::from_str(&printed(&output)).unwrap()
}

#[tokio::test]
async fn an_assistant_finds_out_what_happened_and_changes_nothing() {
    let scene = Scene::new().await;
    let calls = json!([
        { "name": "stream", "arguments": { "stream": "orders/1003" } },
        { "name": "subscription", "arguments": { "name": "letters" } },
        { "name": "event", "arguments": { "id": "no id" } },
        { "name": "replay", "arguments": { "name": "letters", "position": 2 } },
    ]);
    let said = called(&scene, &[], &calls);
    assert_eq!(said["server"]["name"], "event-sourcery");
    let tools = said["tools"].as_array().unwrap();
    assert!(tools.iter().all(|tool| tool["annotations"]["readOnlyHint"] == true), "{tools:?}");
    let [order, letters, unfit, refused] = said["answers"].as_array().unwrap().as_slice() else {
        panic!("{said}")
    };
    assert_eq!(each(&order["structuredContent"], "name"), ["Paid", "Placed"]);
    let waiting = &letters["structuredContent"]["waiting"]["items"][0];
    assert!(waiting["error"].as_str().unwrap().contains("out of paper"), "{waiting}");
    assert_eq!(unfit["isError"], true);
    assert!(refused["refused"].as_str().unwrap().contains("no tool"), "{refused}");
    assert_eq!(each(&scene.json("subscriptions"), "parked"), [1]);
}

#[tokio::test]
async fn an_assistant_replays_a_failed_event_where_that_is_allowed() {
    let scene = Scene::new().await;
    let calls = json!([{ "name": "replay", "arguments": { "name": "letters", "position": 2 } }]);
    let said = called(&scene, &["--allow-actions"], &calls);
    assert_eq!(said["answers"][0]["structuredContent"]["before"]["event_name"], "Paid", "{said}");
    assert_eq!(each(&scene.json("subscriptions"), "parked"), [0]);
}
