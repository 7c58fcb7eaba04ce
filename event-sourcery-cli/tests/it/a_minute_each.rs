//! What somebody asks at three in the morning, who has never seen the store.

use serde_json::json;

use crate::scene::{REQUEST, Scene, each};

#[tokio::test]
async fn what_happened_to_an_order() {
    let scene = Scene::new().await;
    let told = scene.printed("stream show orders/1003");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[1].contains("Paid") && lines[2].contains("Placed"), "{told}");
    assert!(lines[2].contains("700"), "{told}");
    let listing = scene.json("stream show orders/1003");
    assert_eq!(each(&listing, "version"), [2, 1]);
    assert_eq!(listing["items"][1]["data"], json!({ "cents": 700 }));
    assert_eq!(listing["next"], json!(null));
}

#[tokio::test]
async fn why_it_happened() {
    let scene = Scene::new().await;
    let issued = scene.id_of("Issued");
    let traced = scene.json(&format!("trace {issued}"));
    assert_eq!((&traced["caused_by"][0]["name"], &traced["is_whole"]), (&json!("Paid"), &json!(true)));
    let told = scene.printed(&format!("trace {issued}"));
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("  Paid") && lines[1].starts_with("> └─ Issued"), "{told}");

    let paid = scene.json(&format!("trace {}", scene.id_of("Paid")));
    assert_eq!(paid["has_caused"][0]["name"], "Issued");
    let all = scene.json(&format!("trace --correlation {REQUEST}"));
    assert_eq!(each(&all, "name"), ["Placed", "Paid", "Issued"]);
    // An id that is none of an event may be one of a correlation.
    assert_eq!(scene.json(&format!("trace {REQUEST}")), all);
    assert!(scene.refused("trace 00000000-0000-7000-8000-000000000000", 1).contains("no event"));
}

#[tokio::test]
async fn which_handler_failed_on_it() {
    let scene = Scene::new().await;
    let listing = scene.json("subscriptions");
    assert_eq!(
        (each(&listing, "name"), each(&listing, "parked")),
        (vec![&json!("letters")], vec![&json!(1)])
    );
    let waiting = scene.json("subscriptions show letters")["waiting"]["items"][0].clone();
    assert_eq!(waiting["stream"]["name"], "orders/1003");
    assert_eq!(waiting["event_id"], json!(scene.id_of("Paid")));
    assert!(waiting["error"].as_str().unwrap().contains("out of paper"), "{waiting}");
    let told = scene.printed("subscriptions show letters");
    assert!(told.contains("out of paper") && told.contains("orders/1003"), "{told}");
}

#[tokio::test]
async fn how_to_let_it_try_again() {
    let scene = Scene::new().await;
    let refused = scene.refused("subscriptions replay letters orders/1003", 1);
    assert!(refused.contains("--yes"), "{refused}");
    let retry_at = || scene.json("subscriptions show letters")["waiting"]["items"][0]["retry_at"].clone();
    assert!(retry_at().is_null(), "nothing was changed");

    scene.printed("subscriptions replay letters orders/1003 --yes");
    assert!(retry_at().is_string(), "it is tried again");
}
