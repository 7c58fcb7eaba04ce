//! What the memory backend does beside the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_sourcery::{Error, EventStore, MemoryBackend, RawEvent, StreamId};

type Store = EventStore<MemoryBackend>;

fn event() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

/// Whether another task has its turn while this one makes the same call a thousand times.
async fn lets_others_go_on(call: impl AsyncFnMut()) -> bool {
    lets_others_go_on_within(1_000, call).await
}

async fn lets_others_go_on_within(calls: usize, mut call: impl AsyncFnMut()) -> bool {
    let had_its_turn = Arc::new(AtomicBool::new(false));
    let has_its_turn = Arc::clone(&had_its_turn);
    tokio::spawn(async move { has_its_turn.store(true, Ordering::Relaxed) });
    for _ in 0..calls {
        call().await;
    }
    had_its_turn.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_task_that_never_pauses_lets_others_go_on() {
    let (store, stream): (Store, _) = (EventStore::new(MemoryBackend::new()), StreamId::random());
    let append = async || {
        store.append(&StreamId::random(), event()).await.unwrap();
    };
    assert!(lets_others_go_on(append).await, "appending");
    let load = async || drop(store.load_stream::<RawEvent>(&stream).await.unwrap());
    assert!(lets_others_go_on(load).await, "loading");
    let read = async || drop(store.read_all::<RawEvent>().stream().try_next().await.unwrap());
    assert!(lets_others_go_on(read).await, "reading across streams");
    let position = async || {
        store.position().await.unwrap();
    };
    assert!(lets_others_go_on(position).await, "the position");
    let delete = async || store.delete_stream(&stream).await.unwrap();
    assert!(lets_others_go_on(delete).await, "deleting");
    let transaction = async || store.transaction::<_, Error, _>(|_| Ok(())).await.unwrap();
    assert!(lets_others_go_on(transaction).await, "transactions");
}

#[tokio::test]
async fn a_task_with_large_events_lets_others_go_on_sooner() {
    let (store, stream): (Store, _) = (EventStore::new(MemoryBackend::new()), StreamId::random());
    let append = async || {
        let large = RawEvent::new("Large", format!(r#"{{"x":"{}"}}"#, "y".repeat(1_000_000))).unwrap();
        store.append(&stream, large).no_versioning().await.unwrap();
    };
    assert!(lets_others_go_on_within(3, append).await, "appending");
    let load = async || drop(store.load_stream::<RawEvent>(&stream).await.unwrap());
    assert!(lets_others_go_on_within(3, load).await, "loading");
    let read = async || drop(store.read_all::<RawEvent>().stream().try_next().await.unwrap());
    assert!(lets_others_go_on_within(3, read).await, "reading across streams");
}
