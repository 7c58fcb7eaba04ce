//! Without a mouse.

use std::collections::BTreeSet;

use event_sourcery::{EventStore, MemoryBackend, StreamId};

use super::driver::Chromium;
use super::{Served, router};
use crate::scene::{fail, raw};

const TAB: char = '\u{e004}';
const ENTER: char = '\u{e007}';

/// Stops what would put other links into the place of these, and numbers what can be pressed, chosen and written into.
/// Tells how many there are.
const NUMBERED: &str = "document.querySelector('button.pause')?.click();
    const all = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary')];
    const shown = all.filter((one) => one.checkVisibility());
    shown.forEach((one, at) => { one.dataset.number = at; });
    return shown.length;";

/// The number of what has the focus, and whether that is seen: `null` where it has left the page.
const FOCUSED: &str = "const focused = document.activeElement;
    if (focused === document.body) return null;
    const style = getComputedStyle(focused);
    const box = focused.getBoundingClientRect();
    const is_seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
        && box.width > 0 && box.bottom > 0 && box.top < innerHeight;
    return [Number(focused.dataset.number ?? -1), is_seen];";

/// A store with a few streams, on each of which a handler has failed.
async fn failed() -> EventStore {
    let store = EventStore::new(MemoryBackend::new()).erased();
    for number in 0..3 {
        let stream = StreamId::from_name(format!("orders/{number}")).unwrap();
        store.append(&stream, raw("Placed", &serde_json::json!({"number": number}))).await.unwrap();
    }
    fail(&store, "letters", 3).await;
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_and_button_is_reached_and_seen() {
    let (served, chromium) = (Served::new(router(&failed().await)).await, Chromium::new());
    for address in ["/store", "/streams", "/search", "/subscription?name=letters"] {
        chromium.go(&served.at(address));
        let all = chromium.script(NUMBERED).as_i64().unwrap();
        let mut reached = BTreeSet::new();
        // The frames of tables are reached as well, for who scrolls them by keyboard.
        for _ in 0..2 * all + 20 {
            chromium.press(TAB);
            let focused = chromium.script(FOCUSED);
            let Some(number) = focused[0].as_i64() else { break };
            assert_eq!(focused[1], true, "the focus is not seen on {number} of {address}");
            reached.insert(number);
        }
        let missing: Vec<i64> = (0..all).filter(|number| !reached.contains(number)).collect();
        assert!(all > 8 && missing.is_empty(), "{address}: {missing:?} of {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_link_leads_past_the_navigation() {
    let (served, chromium) = (Served::new(router(&failed().await)).await, Chromium::new());
    chromium.go(&served.at("/streams"));
    chromium.press(TAB);
    assert_eq!(chromium.script("return document.activeElement.textContent"), "Skip to the content");
    chromium.press(ENTER);
    assert_eq!(chromium.script("return document.activeElement.id"), "content");
    chromium.press(TAB);
    assert_eq!(chromium.script("return document.activeElement.id"), "named", "the first field of the page");
}
