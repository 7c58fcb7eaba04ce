//! Pages that are brought up to date while they are looked at.

use event_sourcery::{EventStore, MemoryBackend, StreamId};

use super::driver::Chromium;
use super::{Served, router};
use crate::scene::raw;

/// Hands over the page's title once the newest event is of this type: the script of the page is to put it there.
const ONCE_IT_IS_PAID: &str = "const done = arguments[arguments.length - 1];
    const part = document.getElementById('live-newest');
    const look = () => { if (part.textContent.includes('Paid')) done(document.title); };
    new MutationObserver(look).observe(part, { childList: true, subtree: true });
    look();";

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_brought_up_to_date_until_that_is_stopped() {
    let store = EventStore::new(MemoryBackend::new()).erased();
    let order = StreamId::from_name("orders/1003").unwrap();
    let none = serde_json::json!({});
    store.append(&order, raw("Placed", &none)).await.unwrap();
    let (served, chromium) = (Served::new(router(&store)).await, Chromium::new());
    chromium.go(&served.at("/store"));
    assert!(!chromium.text().contains("Paid"));
    chromium.script("window.is_the_same_page = true");
    store.append(&order, raw("Paid", &none)).expected_version(1).await.unwrap();
    let title = chromium.wait_for(ONCE_IT_IS_PAID);
    assert!(title.as_str().unwrap().starts_with("The store at a glance"), "{title}");
    assert_eq!(chromium.script("return window.is_the_same_page"), true, "it was not loaded again");
    assert_eq!(chromium.complaints(), Vec::<String>::new());

    chromium.click("button.pause");
    assert_eq!(
        chromium.script("return document.querySelector('button.pause').textContent"),
        "Go on updating"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_gone_is_told() {
    let store = EventStore::new(MemoryBackend::new()).erased();
    let (served, chromium) = (Served::new(router(&store)).await, Chromium::new());
    chromium.go(&served.at("/store"));
    // A request of the page from now on fails, as where nobody answers.
    chromium.script("window.fetch = () => Promise.reject(new Error('gone'))");
    let told = chromium.wait_for(
        "const done = arguments[arguments.length - 1];
        const told = document.querySelector('[role=status]');
        const look = () => { if (told.textContent) done(told.textContent); };
        new MutationObserver(look).observe(told, { childList: true });
        look();",
    );
    assert_eq!(told, "Not up to date");
}
