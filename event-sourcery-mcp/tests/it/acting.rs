//! What an assistant may change, and who may.

use event_sourcery_mcp::Tools;
use serde_json::json;

use crate::scene::{Assistant, store};

#[tokio::test]
async fn who_may_look_alone_has_no_tool_to_act() {
    let mut assistant = Assistant::new(Tools::new(store().await)).await;
    let tools = assistant.tools().await;
    assert_eq!(tools.len(), 11, "{tools:?}");
    for acts in ["replay", "skip"] {
        assert!(!tools.iter().any(|tool| tool == acts) && assistant.is_missing(acts).await, "{acts}");
    }
}

#[tokio::test]
async fn a_failed_event_is_replayed_or_skipped_where_that_is_allowed() {
    let mut assistant = Assistant::new(Tools::new(store().await).and_act()).await;
    assert_eq!(assistant.tools().await.len(), 13);
    let told = assistant.refused("replay", json!({ "name": "letters", "position": 1 })).await;
    assert!(told.contains("See `subscription`"), "{told}");
    let failed = json!({ "name": "letters", "position": 2 });
    let done = assistant.told("replay", failed.clone()).await;
    assert_eq!(done["before"]["stream"]["name"], "orders/1003");
    let letters = assistant.told("subscription", json!({ "name": "letters" })).await;
    assert!(letters["waiting"]["items"][0]["retry_at"].is_string(), "it is tried again: {letters}");

    let elsewhere =
        json!({ "name": "letters", "position": 2, "stream": "00000000-0000-4000-8000-000000000000" });
    assistant.refused("skip", elsewhere).await;
    assistant.told("skip", failed).await;
    let letters = assistant.told("subscription", json!({ "name": "letters" })).await;
    assert_ne!(letters["waiting"]["items"][0]["position"], 2, "{letters}");
}
