//! A tenant's handle shows that tenant, and no other.

use axum::http::StatusCode;
use event_sourcery::look::EventsRequest;
use event_sourcery::testing::{Fault, FaultyBackend};
use event_sourcery::{EventStore, MemoryBackend, TenantId};
use event_sourcery_browser::{Access, Browser};

use crate::scene::{Form, Visitor, fail, in_memory, operated, order, raw, tenant};
use crate::walking::walk;

fn seen_by_acme(store: &EventStore) -> Visitor {
    Visitor::of(Browser::new(store.clone()).allow(|_| Access::look_at(tenant("acme")).and_act()).router())
}

#[tokio::test]
async fn no_page_of_a_tenant_tells_of_another() {
    let store = in_memory().await;
    let visited = walk(&seen_by_acme(&store), "/").await;
    for (address, answer) in &visited {
        assert!(!answer.body.contains("rival"), "{address}");
        assert!(
            !answer.body.contains("Positions a second"),
            "what others write is nobody's business: {address}"
        );
    }
    for page in ["/stream?", "/event?", "/causes?", "/correlation?", "/subscription?"] {
        assert!(visited.iter().any(|(address, _)| address.starts_with(page)), "{page}");
    }
}

#[tokio::test]
async fn what_is_another_tenants_is_not_there_for_who_asks_by_its_id_or_name() {
    let store = in_memory().await;
    let of_rival = EventsRequest::newest(1).with_tenant(tenant("rival"));
    let event = store.look().events(of_rival).await.unwrap().items[0].uuid();
    let stream = order("rival", 0);
    let visitor = seen_by_acme(&store);
    for address in [
        format!("/event?id={event}"),
        format!("/causes?id={event}"),
        format!("/stream?id={}&category=rival-orders&tenant=rival", stream.uuid()),
        format!("/stream?id={}&category=rival-orders", stream.uuid()),
        "/streams?tenant=rival".to_owned(),
        "/search?tenant=rival".to_owned(),
        "/subscriptions?tenant=rival".to_owned(),
        "/subscription?name=rival&tenant=rival".to_owned(),
        "/waiting?tenant=rival".to_owned(),
        format!("/beside?stream=%5B%22{}%22,%22%22,%22rival-orders%22,%22rival%22,%22%22%5D", stream.uuid()),
    ] {
        assert_eq!(visitor.get(&address).await.status, StatusCode::NOT_FOUND, "{address}");
    }
    let found = visitor.page(&format!("/search?id={event}")).await;
    assert!(!found.contains("The event"), "{found}");
}

#[tokio::test]
async fn what_the_database_says_of_a_subscription_is_told_to_no_tenant() {
    let store = EventStore::new(FaultyBackend::new(MemoryBackend::new()));
    let (erased, acme) = (store.erased(), store.for_tenant(tenant("acme")).erased());
    acme.append(&order("acme", 0), raw("Placed", &serde_json::json!({}))).await.unwrap();
    fail(&acme, "letters", 1).await;
    for (visitor, is_told) in [(operated(&erased), true), (seen_by_acme(&erased), false)] {
        store.backend().fail(1, Fault::Before);
        let page = visitor.page("/subscription?name=letters&tenant=acme").await;
        assert!(page.contains("It cannot be read"), "{page}");
        assert_eq!(page.contains("the connection broke"), is_told, "{page}");
    }
}

#[tokio::test]
async fn a_form_of_who_sees_all_is_good_for_no_tenant() {
    let store = in_memory().await;
    let page = operated(&store).page("/waiting?tenant=acme").await;
    let form = Form::to("replay", &page);
    let visitor = seen_by_acme(&store);
    assert_eq!(visitor.submit(&form).await.status, StatusCode::FORBIDDEN);
    let own = Form::to("replay", &visitor.page("/waiting").await);
    assert_eq!(visitor.submit(&own.clone().with("tenant", "rival")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(visitor.submit(&own).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nobody_is_shown_more_by_a_tenant_than_the_handle_sees() {
    let store = in_memory().await;
    let of_default = Browser::new(store.clone()).allow(|_| Access::look_at(TenantId::DEFAULT)).router();
    let acme = store.for_tenant(tenant("acme"));
    let of_rival = Browser::new(acme.clone()).allow(|_| Access::look_at(tenant("rival"))).router();
    for router in [of_default, of_rival] {
        assert_eq!(Visitor::of(router).get("/store").await.status, StatusCode::FORBIDDEN);
    }
    let own = Visitor::of(Browser::new(acme).allow(|_| Access::look()).router());
    assert!(!own.page("/store").await.contains("rival"));
}
