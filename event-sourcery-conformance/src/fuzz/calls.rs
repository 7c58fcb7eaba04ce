//! Calls of every kind, on a store that others have written into.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::{EventStore, Passed, Position, RawEvent, StreamId, TenantId};
use tokio::sync::Notify;

fn event(name: &'static str) -> RawEvent {
    RawEvent::new(name, r#"{"number":1}"#).unwrap()
}

fn stream() -> StreamId {
    StreamId::from_name("kept").unwrap()
}

/// Something in every table.
pub async fn fill(store: &EventStore) {
    store.append(&stream(), [event("Kept"), event("Other")]).await.unwrap();
    store.append(&StreamId::random(), event("Kept")).no_versioning().await.unwrap();
    let acme = store.for_tenant(TenantId::new("acme").unwrap());
    acme.append(&StreamId::random().in_category("red").unwrap(), event("Kept")).await.unwrap();
    store.save_snapshot(&stream(), 1, event("Kept")).await.unwrap();
    let failed = Arc::new(Notify::new());
    let waits = Arc::clone(&failed);
    let failing = store.subscribe::<RawEvent>().durable("failing").attempts(1);
    let failing = failing.until(async move { waits.notified().await });
    let fail = async |_, _| {
        failed.notify_one();
        Err("as always".into())
    };
    failing.run(fail).await.unwrap();
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
    let _ = store.delete_stream(&stream).await;
}
