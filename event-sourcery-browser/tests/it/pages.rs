//! What each page tells.

use std::sync::Arc;

use event_sourcery::look::{EventsRequest, Seen};
use event_sourcery::uuid::Uuid;
use event_sourcery::{EventStore, MemoryBackend, NewEvent, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;

use crate::scene::{HOSTILE, ORDERS, Visitor, in_memory, links, operated, order, raw};

async fn newest(store: &EventStore, name: &str) -> Seen {
    let request = EventsRequest::newest(1).with_names([Arc::<str>::from(name)]);
    store.look().events(request).await.unwrap().items.remove(0)
}

/// How many rows the tables of a page have.
fn rows(page: &str) -> usize {
    page.matches("scope=\"row\"").count()
}

/// Follows the link of a page to its next one, as long as there is one, and counts the rows.
async fn count(visitor: &Visitor, from: &str) -> Vec<usize> {
    let (mut address, mut counts) = (from.to_owned(), Vec::new());
    loop {
        let page = visitor.page(&address).await;
        counts.push(rows(&page));
        let Some((_, rest)) = page.split_once("rel=\"next\" ") else { return counts };
        address = links(rest)[0].trim_start_matches('.').to_owned();
    }
}

#[tokio::test]
async fn the_store_at_a_glance_tells_what_there_is_and_whether_counts_are_exact() {
    let visitor = operated(&in_memory().await);
    let page = visitor.page("/store").await;
    for told in ["Settled position", "memory", "nobody", "acme-orders", "rivalPaid", "Positions a second"] {
        assert!(page.contains(told), "{told}");
    }
    // The memory backend counts all that there are.
    let folder = tempfile::tempdir().unwrap();
    let store = EventStore::new(SqliteBackend::open(folder.path().join("events.db")).await.unwrap()).erased();
    let mut append = store.append_all();
    for _ in 0..1_001 {
        append = append.and(&StreamId::random(), RawEvent::new("Placed", "{}").unwrap());
    }
    append.await.unwrap();
    assert!(operated(&store).page("/store").await.contains("at least 1,000"));
}

#[tokio::test]
async fn streams_are_listed_by_tenant_category_and_name_in_pages() {
    let visitor = operated(&in_memory().await);
    assert_eq!(count(&visitor, "/streams?tenant=acme&category=acme-orders").await, [50, ORDERS - 50]);
    assert_eq!(count(&visitor, "/streams?named=acme-orders%2F").await, [50, ORDERS - 50]);
    assert_eq!(count(&visitor, "/streams?named=acme-letters").await, [1]);
    let page = visitor.page("/streams?category=rival-orders").await;
    assert!(page.contains("rival-orders/2") && !page.contains("acme-orders/"), "{page}");
}

#[tokio::test]
async fn a_stream_is_read_from_its_end_in_pages() {
    let store = EventStore::new(MemoryBackend::new()).erased();
    let stream = StreamId::from_name("orders/1").unwrap();
    let events: Vec<_> = (0..120).map(|at| raw("Counted", &serde_json::json!({"counted": at}))).collect();
    store.append(&stream, events).await.unwrap();
    let visitor = operated(&store);
    assert_eq!(count(&visitor, "/stream?name=orders%2F1").await, [50, 50, 20]);
    let page = visitor.page("/stream?name=orders%2F1").await;
    assert!(
        page.contains("{&quot;counted&quot;:119}") && !page.contains("{&quot;counted&quot;:69}"),
        "{page}"
    );
}

#[tokio::test]
async fn an_event_shows_its_payload_as_a_tree_its_context_and_what_it_is_related_to() {
    let store = in_memory().await;
    let paid = newest(&store, "acmePaid").await;
    let page = operated(&store).page(&format!("/event?id={}", paid.uuid())).await;
    for told in [
        "<span class=\"key\">cents</span> <span class=\"number\">1200</span>",
        "2 items",
        "Caused by ",
        "correlation_id",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert!(page.contains(&format!("title=\"{}\"", paid.uuid())), "the whole id is there to be copied");
}

#[tokio::test]
async fn an_event_shows_the_tags_that_it_has() {
    let store = in_memory().await;
    let (tagged, untagged) = (newest(&store, HOSTILE).await, newest(&store, "acmePaid").await);
    let page = operated(&store).page(&format!("/event?id={}", tagged.uuid())).await;
    assert!(page.contains("<dt>Tags</dt>") && page.contains("of:&lt;script&gt;alert("), "{page}");
    let page = operated(&store).page(&format!("/event?id={}", untagged.uuid())).await;
    assert!(!page.contains("<dt>Tags</dt>"), "{page}");
}

#[tokio::test]
async fn streams_stand_beside_each_other_by_time_up_to_six() {
    let store = in_memory().await;
    let lane = |number| {
        let stream = order("acme", number);
        let lane = serde_json::json!([stream.uuid(), stream.name(), "acme-orders", "acme", ""]).to_string();
        format!("stream={}", form_urlencoded::byte_serialize(lane.as_bytes()).collect::<String>())
    };
    let address = |count: usize| format!("/beside?{}", (0..count).map(lane).collect::<Vec<_>>().join("&"));
    let visitor = operated(&store);
    for (asked, shown) in [(2, 2), (6, 6), (7, 6)] {
        let page = visitor.page(&address(asked)).await;
        assert_eq!((page.matches("class=\"dot\"").count(), rows(&page)), (shown, shown), "{asked}");
        assert_eq!(page.matches("scope=\"col\"").count(), shown + 1, "{asked}");
    }
    assert!(visitor.page(&address(7)).await.contains("The first 6 of 7 streams are shown."));
}

#[tokio::test]
async fn a_correlation_is_a_graph_of_causes() {
    let store = in_memory().await;
    let sent = newest(&store, "rivalSent").await;
    let page = operated(&store).page(&format!("/correlation?id={}", Uuid::from_u128(1))).await;
    let of_rival: Vec<usize> = ["rivalPlaced", "rivalPaid", "rivalSent"]
        .map(|name| page.find(&format!(">{name}<")).unwrap())
        .to_vec();
    assert!(of_rival.is_sorted(), "each below its cause");
    let graph = page.split_once("class=\"graph\"").unwrap().1;
    let before = &graph[..graph.find(&sent.uuid().to_string()).unwrap()];
    assert_eq!(before.matches("<ol>").count() - before.matches("</ol>").count(), 3, "{before}");
}

#[tokio::test]
async fn what_an_event_has_caused_is_told_also_where_it_was_caused_by_itself() {
    let store = in_memory().await;
    let itself = Uuid::now_v7();
    let context = event_sourcery::Context::new().with_causation_id(itself).with_correlation_id(itself);
    let event = NewEvent::new(RawEvent::new("Odd", "{}").unwrap()).with_id(itself).with_context(context);
    store.append(&StreamId::random(), event).await.unwrap();
    let visitor = operated(&store);
    for page in ["causes", "correlation"] {
        let page = visitor.page(&format!("/{page}?id={itself}")).await;
        assert_eq!(page.matches(">Odd<").count(), 1, "{page}");
    }
    let placed = store.look().events(EventsRequest::first(1)).await.unwrap().items.remove(0);
    let page = visitor.page(&format!("/causes?id={}", placed.uuid())).await;
    assert!(page.contains(">Paid<") && page.contains(">Sent<") && !page.contains(">acmePaid<"), "{page}");
}

#[tokio::test]
async fn events_are_found_by_type_category_time_and_id() {
    let store = in_memory().await;
    let visitor = operated(&store);
    assert_eq!(count(&visitor, "/search?type=acmePlaced").await, [50, ORDERS - 50]);
    assert_eq!(rows(&visitor.page("/search?category=rival-orders").await), 3);
    assert_eq!(rows(&visitor.page("/search?until=2000-01-01T00:00").await), 0);

    let all = store.look().events(EventsRequest::first(1_000)).await.unwrap().items;
    for middle in [0, all.len() / 2, all.len() - 1] {
        let until = all[middle].created_at();
        let last = all.iter().rfind(|seen| seen.created_at() <= until).unwrap();
        let page = visitor.page(&format!("/search?until={until}")).await;
        let (_, first) = page.split_once("<th scope=\"row\"><a href=\"./event?id=").unwrap();
        assert!(first.starts_with(&last.uuid().to_string()), "{middle}: {until}");
    }

    let event = all[0].uuid();
    assert!(visitor.page(&format!("/search?id={event}")).await.contains("The event "));
    let stream = StreamId::from_name("acme-letters/0").unwrap().uuid();
    assert!(visitor.page(&format!("/search?id={stream}&tenant=acme")).await.contains("The stream "));
}

#[tokio::test]
async fn nothing_later_than_what_was_asked_for_is_found_where_times_go_back() {
    let store = EventStore::new(MemoryBackend::new()).erased();
    for (name, time) in [("Late", "2026-01-02T00:00:00Z"), ("Early", "2026-01-01T00:00:00Z")] {
        let event = NewEvent::new(RawEvent::new(name, "{}").unwrap()).with_created_at(time.parse().unwrap());
        store.append(&StreamId::random(), event).await.unwrap();
    }
    let page = operated(&store).page("/search?until=2026-01-01T12:00").await;
    assert!(page.contains(">Early<") && !page.contains(">Late<"), "{page}");
}

#[tokio::test]
async fn subscriptions_tell_their_checkpoints_members_and_lag_over_time() {
    let store = in_memory().await;
    let visitor = operated(&store);
    let page = visitor.page("/subscriptions").await;
    assert_eq!(rows(&page), 3);
    let one = links(&page).into_iter().find(|link| link.starts_with("./subscription?")).unwrap();
    let page = visitor.page(one.trim_start_matches('.')).await;
    for told in ["Checkpoint", "Segments", "Members", "nobody", "parked", "Events behind"] {
        assert!(page.contains(told), "{told}");
    }
}

#[tokio::test]
async fn what_waits_is_listed_with_its_error() {
    let visitor = operated(&in_memory().await);
    let page = visitor.page("/waiting").await;
    let mut errors =
        page.split("<td class=\"error\">").skip(1).map(|cell| cell.split("</td>").next().unwrap());
    assert!(
        errors.any(|error| error.contains("rival&lt;script&gt;alert('1')")),
        "it is there, as text: {page}"
    );
    assert!(page.contains("More of them wait in "), "some of each are shown");
}

#[tokio::test]
async fn the_outbox_lists_what_is_not_published() {
    let visitor = operated(&in_memory().await);
    let page = visitor.page("/outbox").await;
    assert_eq!(rows(&page), 3);
    assert!(page.contains("Nobody has published this outbox yet."));
}

#[tokio::test]
async fn who_holds_up_the_settled_position_is_told() {
    let visitor = operated(&in_memory().await);
    assert!(visitor.page("/holders").await.contains("Nobody holds it up"));
}
