//! Calls of every kind, on a store that others have written into.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{
    Backend as _, CursorsRequest, EventsRequest, ListRequest, StreamsRequest, SubscriptionId,
};
use event_sourcery::copy::{Copy, export};
use event_sourcery::{
    Event as _, EventStore, MemoryBackend, Passed, Position, Query, QueryItem, RawEvent, Select, StreamId,
    Tag, TenantId,
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::customers::{Registered, ann, customers, encryption};
use crate::ledger::Noted;
use crate::post::{Fate, Post};
use crate::tally::{Tally, tallies, tally};

fn event(name: &'static str) -> RawEvent {
    RawEvent::new(name, r#"{"number":1}"#).unwrap()
}

fn stream() -> StreamId {
    StreamId::from_name("kept").unwrap()
}

fn tag() -> Tag {
    Tag::new("course", "c1").unwrap()
}

/// Something in every table, as far as the backend has it.
pub async fn fill(store: &EventStore) {
    store.append(&stream(), [event("Kept"), event("Other")]).await.unwrap();
    store.append(&StreamId::random(), event("Kept")).no_versioning().await.unwrap();
    let acme = store.for_tenant(TenantId::new("acme").unwrap());
    acme.append(&StreamId::random().in_category("red").unwrap(), event("Kept")).await.unwrap();
    store.save_snapshot(&stream(), 1, event("Kept")).await.unwrap();
    let has = store.backend().capabilities();
    if has.tags {
        store.append(&StreamId::random(), event("Kept").with_tags([tag()])).await.unwrap();
    }
    if has.outbox {
        let store = store.clone().with_outbox(|_| true).unwrap();
        store.append(&StreamId::random(), [event("Sent"), event("Sent")]).await.unwrap();
        let refuses = Post::that(|_, _| Fate::Refused);
        store.outbox().limit(1).pauses(Duration::ZERO, Duration::ZERO).run(&refuses).await.unwrap();
    }
    let failed = Arc::new(Notify::new());
    let waits = Arc::clone(&failed);
    let failing = store.subscribe::<RawEvent>().durable("failing").attempts(1);
    let failing = failing.until(async move { waits.notified().await });
    let fail = async |_, _| {
        failed.notify_one();
        Err("as always".into())
    };
    failing.run(fail).await.unwrap();
    tallies(store).snapshot_every(1).aggregate(&tally("1"), Tally::note(1)).await.unwrap();
    // Behind all others: who has no keys cannot read on behind it.
    if has.keys {
        let private = store.clone().with_encryption(encryption()).unwrap();
        private.append(&customers("1"), ann()).await.unwrap();
    }
}

/// Everything that reads, and what writes beside it. What they answer is not asked.
pub async fn use_all(store: &EventStore) {
    let stream = stream();
    let _ = store.load_stream::<RawEvent>(&stream).await;
    let _ = store.load_stream::<RawEvent>(&stream).versions(1..).await;
    let _ = store.version(&stream).await;
    let _ = store.position().await;
    let mut all = store.read_all::<RawEvent>().stream();
    while let Ok(Some(_)) = all.try_next().await {}
    let _ = store.verify::<RawEvent>().await.map(|found| format!("{found} {found:?}"));
    let _ = store.append(&stream, event("New")).expected_version(2).await;
    let _ = store.append(&stream, event("New")).no_versioning().await;
    let _ = store.save_snapshot(&stream, 2, event("Kept")).await;
    for name in ["failing", "fresh"] {
        let durable =
            || store.subscribe::<RawEvent>().event_names(["Kept"]).durable(name).widen(Passed::LeaveOut);
        let _ = durable().status().await;
        let _ = durable().parked().await;
        let _ = durable().wait_for_everything(Position::from_i64(3), Duration::ZERO).await;
        let _ = durable().until(ready(())).run(async |_, _| Ok(())).await;
    }
    look_around(store).await;
    let query: Query = QueryItem::new().tagged(tag()).into();
    for query in [&query, &Query::all()] {
        let _ = store.read::<RawEvent>(query).await;
    }
    let of_course = Select::<RawEvent>::tagged("course", "c1").fold((), |(), _| {});
    let _ = store.decide(of_course, |(), _| Ok::<_, ()>(())).await;
    let _ = tallies(store).snapshot_every(1).aggregate(&tally("1"), Tally::note(1)).await;
    let _ = store.load_stream::<Noted>(&stream).stream().try_next().await;
    let _ = export(store, &mut Vec::<u8>::new()).await.map(|exported| format!("{exported:?}"));
    let copy = EventStore::new(MemoryBackend::new());
    let _ = Copy::new(store, &copy).run().await.map(|copied| format!("{copied:?}"));
    let has = store.backend().capabilities();
    if has.keys
        && let Ok(private) = store.clone().with_encryption(encryption())
    {
        let _ = private.load_stream::<Registered>(&customers("1")).await;
        let _ = private.append(&customers("2"), ann()).await;
    }
    if has.outbox
        && let Ok(store) = store.clone().with_outbox(|_| true)
    {
        let post = Post::default();
        let _ = store.outbox().limit(3).pauses(Duration::ZERO, Duration::ZERO).run(&post).await;
    }
    let _ = store.delete_stream(&stream).await;
}

/// Everything that shows what there is.
async fn look_around(store: &EventStore) {
    let (look, all) = (store.look(), 100);
    let _ = look.streams(StreamsRequest::newest(all)).await.map(|page| format!("{page:?}"));
    let _ = look.streams(StreamsRequest::named("", all)).await;
    let _ = look.tenants(ListRequest::new(all)).await;
    let _ = look.categories(ListRequest::new(all)).await;
    let _ = look.event_names(EventsRequest::newest(all)).await;
    let _ = look.events(EventsRequest::newest(all)).await.map(|page| format!("{page:?}"));
    let _ = look.backwards(&stream(), None, all).await;
    for id in [Uuid::nil(), Uuid::from_u128(1)] {
        let _ = look.event(id).await;
        let _ = look.correlated(id, None).await;
        let _ = look.caused_by(id).await.map(|causes| format!("{causes:?}"));
    }
    let _ = look.outbox(None, all).await;
    let _ = look.cursors(CursorsRequest::new(all)).await;
    let _ = look.settled().await;
    let _ = look.subscriptions(ListRequest::new(all)).await.map(|page| format!("{page:?}"));
    let failing = SubscriptionId::new(store.tenant_id().clone(), "failing");
    let _ = look.status(&failing).await;
    let _ = look.blocked(&failing, None, all).await;
}
