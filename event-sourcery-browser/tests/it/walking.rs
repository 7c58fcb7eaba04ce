//! Every link of every page leads somewhere, wherever the router is mounted; and what holds for all pages.

use std::collections::{BTreeSet, VecDeque};

use axum::Router;
use axum::http::StatusCode;
use event_sourcery::EventStore;
use event_sourcery_browser::{Access, Browser};
use event_sourcery_sqlite::SqliteBackend;

use crate::scene::{Answer, Visitor, filled, in_memory, links};

/// More pages than the store of the scene has.
const MOST: usize = 2_000;

/// Visits every page from this address on, and tells each with what it said.
pub(crate) async fn walk(visitor: &Visitor, from: &str) -> Vec<(String, Answer)> {
    let (mut seen, mut left) = (BTreeSet::from([from.to_owned()]), VecDeque::from([from.to_owned()]));
    let mut visited = Vec::new();
    while let Some(address) = left.pop_front() {
        let answer = visitor.get(&address).await;
        assert_eq!(answer.status, StatusCode::OK, "{address}: {}", answer.body);
        let is_page = answer.headers["content-type"].to_str().unwrap().starts_with("text/html");
        for link in if is_page { links(&answer.body) } else { Vec::new() } {
            let there = joined(&address, &link);
            if seen.insert(there.clone()) {
                left.push_back(there);
            }
        }
        visited.push((address, answer));
        assert!(
            visited.len() < MOST,
            "the walk does not end: {:?}",
            visited.last().map(|(address, _)| address)
        );
    }
    visited
}

/// A link as a web browser reads it on the page of this address. All of them are relative.
pub(crate) fn joined(address: &str, link: &str) -> String {
    let relative = link.strip_prefix("./").unwrap_or_else(|| panic!("{link} on {address} is not relative"));
    let (folder, _) = address.split('?').next().unwrap().rsplit_once('/').unwrap();
    format!("{folder}/{relative}")
}

/// What holds for every page.
fn check(address: &str, page: &str) {
    assert_eq!(page.matches("<script").count(), 1, "one script, the crate's own: {address}");
    assert_eq!(page.matches("<h1").count(), 1, "{address}");
    assert!(!page.contains("<img") && !page.contains(" style=") && !page.contains("<style"), "{address}");
    assert!(page.contains("<html lang=\"en\">") && page.contains("<main id=\"content\""), "{address}");
    assert!(page.contains("href=\"#content\"") && page.contains("<nav aria-label="), "{address}");
    assert_eq!(page.matches("<th>").count(), 0, "each head of a table says for what: {address}");
    assert_eq!(page.matches("<th ").count(), page.matches(" scope=\"").count(), "{address}");
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count(), "{address}");
    for input in page.split("<input id=\"").skip(1) {
        let id = input.split('"').next().unwrap();
        assert!(page.contains(&format!("<label for=\"{id}\"")), "{id} on {address} has no label");
    }
}

async fn walk_all(visitor: &Visitor, from: &str, pages: &[&str]) {
    let visited = walk(visitor, from).await;
    for (address, answer) in &visited {
        if answer.headers["content-type"] == "text/html; charset=utf-8" {
            check(address, &answer.body);
        }
    }
    for page in pages {
        let is_it = |(address, _): &(String, Answer)| address.split('?').next().unwrap().ends_with(page);
        assert!(visited.iter().any(is_it), "nothing leads to {page}");
    }
}

const PAGES: [&str; 16] = [
    "/store",
    "/streams",
    "/stream",
    "/beside",
    "/event",
    "/causes",
    "/correlation",
    "/search",
    "/subscriptions",
    "/subscription",
    "/waiting",
    "/outbox",
    "/holders",
    "/style.css",
    "/live.js",
    "/icon.svg",
];

fn router(store: &EventStore) -> Router {
    Browser::new(store.clone()).allow(|_| Access::look().and_act()).router()
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere() {
    let store = in_memory().await;
    walk_all(&Visitor::of(router(&store)), "/", &PAGES).await;
}

#[tokio::test]
async fn every_link_of_every_page_leads_somewhere_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(SqliteBackend::open(folder.path().join("events.db")).await.unwrap()).await;
    walk_all(&Visitor::of(router(&store)), "/", &PAGES).await;
}

#[tokio::test]
async fn it_may_be_mounted_under_any_path() {
    let store = EventStore::new(event_sourcery::MemoryBackend::new()).erased();
    let nested = Router::new().nest("/admin/events", router(&store));
    let twice = Router::new().nest("/a", Router::new().nest("/b", router(&store)));
    let service = Router::new().nest_service("/admin/events", router(&store));
    let own = Router::new().fallback_service(router(&store));
    for (router, from) in [
        (nested, "/admin/events"),
        (twice, "/a/b"),
        (service.clone(), "/admin/events"),
        (service, "/admin/events/"),
        (own, "/"),
    ] {
        let pages = [
            "/store",
            "/streams",
            "/search",
            "/subscriptions",
            "/waiting",
            "/outbox",
            "/holders",
            "/style.css",
        ];
        walk_all(&Visitor::of(router), from, &pages).await;
    }
}
