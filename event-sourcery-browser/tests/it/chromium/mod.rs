//! The browser in a real one: Debian's Chromium, which is driven by WebDriver.

mod acting;
mod by_keyboard;
mod driver;
mod live;
mod looking;
mod minutes;

use std::collections::{BTreeMap, VecDeque};

use axum::Router;
use event_sourcery::EventStore;
use event_sourcery_browser::{Access, Browser};
use tokio::task::JoinHandle;

use crate::scene::{Visitor, links};
use crate::walking::joined;

/// The pages that there are.
const PAGES: [&str; 13] = [
    "store",
    "streams",
    "stream",
    "beside",
    "event",
    "causes",
    "correlation",
    "search",
    "subscriptions",
    "subscription",
    "waiting",
    "outbox",
    "holders",
];

/// A router while it is served. It is stopped with its test.
struct Served {
    address: String,
    serving: JoinHandle<()>,
}

impl Served {
    async fn new(router: Router) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, serving }
    }

    /// The address of a page: its path begins with a slash.
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The router for whoever may do everything.
fn router(store: &EventStore) -> Router {
    Browser::new(store.clone()).allow(|_| Access::look().and_act()).router()
}

/// Two of each page, found by following links, and one that shows what nobody should be able to run.
async fn of_each_kind(router: &Router) -> Vec<String> {
    let visitor = Visitor::of(router.clone());
    let mut chosen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut left = VecDeque::from(["/".to_owned()]);
    while let Some(address) = left.pop_front() {
        let kind = address.split('?').next().unwrap().trim_start_matches('/').to_owned();
        let is_hostile = |address: &String| address.contains("%3Cscript");
        let of_kind = chosen.entry(kind).or_default();
        let is_wanted = of_kind.len() < 2 || is_hostile(&address) && !of_kind.iter().any(is_hostile);
        if of_kind.contains(&address) || !is_wanted {
            continue;
        }
        let answer = visitor.get(&address).await;
        if answer.headers["content-type"] == "text/html; charset=utf-8" {
            left.extend(links(&answer.body).iter().map(|link| joined(&address, link)));
            of_kind.push(address);
        }
    }
    for page in PAGES {
        assert!(chosen.get(page).is_some_and(|addresses| !addresses.is_empty()), "nothing leads to {page}");
    }
    chosen.into_values().flatten().collect()
}
