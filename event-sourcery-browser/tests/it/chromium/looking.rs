//! What holds for every page, as Chromium shows it.

use serde_json::{Value, json};

use super::driver::Chromium;
use super::{Served, of_each_kind, router};
use crate::scene::{HOSTILE, in_memory};

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_shown_without_a_complaint_and_runs_nothing_that_it_shows() {
    let router = router(&in_memory().await);
    let (served, chromium) = (Served::new(router.clone()).await, Chromium::new());
    let mut hostile = 0;
    for address in of_each_kind(&router).await {
        // A dialog of a script would fail whatever is asked next.
        chromium.go(&served.at(&address));
        assert_eq!(chromium.complaints(), Vec::<String>::new(), "{address}");
        assert_eq!(chromium.count("script"), 1, "{address}");
        assert_eq!(chromium.count("img, iframe, object, [onerror], [style]"), 0, "{address}");
        hostile += u32::from(chromium.text().contains(HOSTILE));
    }
    assert!(hostile >= 5, "it is shown, as text: {hostile}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_got_into_a_page_would_be_kept_from_running_and_found_out() {
    let (served, chromium) = (Served::new(router(&in_memory().await)).await, Chromium::new());
    chromium.go(&served.at("/store"));
    chromium.script(
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1'; document.body.append(script);",
    );
    assert_eq!(chromium.script("return window.ran ?? null"), Value::Null);
    let complaints = chromium.complaints();
    assert!(complaints.iter().any(|one| one.contains("Content Security Policy")), "{complaints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_whole_where_scripts_are_off() {
    let router = router(&in_memory().await);
    let (served, chromium) = (Served::new(router.clone()).await, Chromium::without_scripts());
    for address in of_each_kind(&router).await {
        chromium.go(&served.at(&address));
        assert_eq!(chromium.count("h1"), 1, "{address}");
        assert_eq!(chromium.count("button.pause"), 0, "no script has run: {address}");
    }
    // Links and forms lead on.
    chromium.go(&served.at("/"));
    chromium.follow("Streams");
    chromium.enter("#named", "acme-letters");
    chromium.click("form.filter button");
    chromium.follow("acme-letters/0");
    assert!(chromium.text().contains("acmeSent"), "{}", chromium.text());
}

/// Faults in what a screen reader is told, as Chromium tells it.
fn unheard(tree: &Value) -> Vec<String> {
    let nodes: Vec<&Value> =
        tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != true).collect();
    let of = |role: &str| nodes.iter().filter(|node| node["role"]["value"] == role).count();
    let mut faults: Vec<String> = Vec::new();
    for landmark in ["banner", "main"] {
        if of(landmark) != 1 {
            faults.push(format!("{} times {landmark}", of(landmark)));
        }
    }
    let is_top = |node: &&&Value| {
        node["role"]["value"] == "heading"
            && node["properties"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["name"] == "level" && one["value"]["value"] == 1)
    };
    if nodes.iter().filter(is_top).count() != 1 {
        faults.push("not one heading above all others".to_owned());
    }
    let named = [
        "button",
        "checkbox",
        "columnheader",
        "combobox",
        "image",
        "link",
        "navigation",
        "region",
        "rowheader",
        "search",
    ];
    for node in &nodes {
        let role = node["role"]["value"].as_str().unwrap();
        let is_named = node["name"]["value"].as_str().is_some_and(|name| !name.trim().is_empty());
        if !is_named && (named.contains(&role) || matches!(role, "table" | "textbox" | "Date" | "DateTime")) {
            faults.push(format!("{role} without a name"));
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_reader_is_told_what_everything_is() {
    let router = router(&in_memory().await);
    let (served, chromium) = (Served::new(router.clone()).await, Chromium::new());
    for address in of_each_kind(&router).await {
        chromium.go(&served.at(&address));
        assert_eq!(chromium.script("return document.documentElement.lang"), "en", "{address}");
        assert_eq!(
            chromium.count("th:not([scope]), table:not(:has(caption)), nav:not([aria-label])"),
            0,
            "{address}"
        );
        let tree = chromium.command("Accessibility.getFullAXTree", &json!({}));
        assert_eq!(unheard(&tree), Vec::<String>::new(), "{address}");
    }
    chromium
        .script("document.querySelector('nav a').textContent = ''; document.querySelector('h1').remove();");
    let tree = chromium.command("Accessibility.getFullAXTree", &json!({}));
    assert_eq!(
        unheard(&tree),
        ["not one heading above all others", "link without a name"],
        "what is missing is noticed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_shows_every_page_in_its_width() {
    let router = router(&in_memory().await);
    let (served, chromium) = (Served::new(router.clone()).await, Chromium::new());
    let phone = json!({ "width": 375, "height": 700, "deviceScaleFactor": 2, "mobile": true });
    chromium.command("Emulation.setDeviceMetricsOverride", &phone);
    for address in of_each_kind(&router).await {
        chromium.go(&served.at(&address));
        let widths = chromium.script("return [innerWidth, document.documentElement.scrollWidth]");
        assert_eq!(widths, json!([375, 375]), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_read_stands_out_in_the_light_and_in_the_dark() {
    let router = router(&in_memory().await);
    let (served, chromium) = (Served::new(router.clone()).await, Chromium::new());
    let script = include_str!("contrast.js");
    for address in of_each_kind(&router).await {
        chromium.go(&served.at(&address));
        for scheme in ["light", "dark"] {
            let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            chromium.command("Emulation.setEmulatedMedia", &features);
            let found = chromium.script(script);
            assert_eq!(found["poor"], json!([]), "{address}");
            assert!(found["count"].as_u64() > Some(10), "{address}: {found}");
            let ground = found["ground"].as_f64().unwrap();
            assert_eq!(ground > 0.5, scheme == "light", "{address}: {ground}");
        }
    }
    chromium.script("document.querySelector('h1').style.color = '#555'");
    assert_eq!(
        chromium.script(script)["poor"].as_array().unwrap().len(),
        1,
        "what stands out too little is noticed"
    );
}
