//! A destination, and what is in it.

use std::path::Path;
use std::time::Duration;

use event_sourcery::{EventStore, MemoryBackend, RawEvent, Recorded, StreamId};
use event_sourcery_import::{Import, ImportError, Mapping, Source};
use event_sourcery_sqlite::SqliteBackend;
use serde_json::Value;

pub(crate) fn memory() -> EventStore {
    EventStore::new(MemoryBackend::new()).erased()
}

/// Its events, in the order of the whole store.
pub(crate) async fn all(store: &EventStore) -> Vec<Recorded<RawEvent>> {
    let mut events = store.read_all::<RawEvent>().stream();
    let mut all = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        all.push(event);
    }
    all
}

/// A store in a file of this folder: one that can have holes in versions.
pub(crate) async fn in_a_file(folder: &Path) -> EventStore {
    EventStore::new(SqliteBackend::open(folder.join("ours.db")).await.unwrap()).erased()
}

pub(crate) async fn versions(store: &EventStore, stream: &StreamId) -> Vec<u64> {
    let events = store.load_stream::<RawEvent>(stream).await.unwrap();
    events.iter().map(|event| event.version.unwrap()).collect()
}

/// The names of the types in a stream, in its order.
pub(crate) async fn names(store: &EventStore, stream: &StreamId) -> Vec<String> {
    let events = store.load_stream::<RawEvent>(stream).await.unwrap();
    events.iter().map(|event| event.event.name().to_owned()).collect()
}

pub(crate) fn stream(category: &str, name: &str) -> StreamId {
    StreamId::from_name(name).unwrap().in_category(category).unwrap()
}

pub(crate) fn data(event: &Recorded<RawEvent>) -> Value {
    serde_json::from_str(event.event().data().get()).unwrap()
}

/// What its context says of where it was.
pub(crate) fn imported(event: &Recorded<RawEvent>) -> Value {
    event.wrapped_event.context.root("imported").unwrap().unwrap()
}

/// The two are equal, as a comparison of its own sees it.
pub(crate) async fn equal(
    source: impl Source,
    store: &EventStore,
    mapping: &Mapping,
) -> Result<bool, ImportError> {
    Ok(Import::new(source, store, mapping.clone()).compare().await?.is_equal())
}

/// Imports while another program writes, until a hundred events are there, and to the end once it has stopped. What was passed is not read
/// again: so nothing may have been missed.
pub(crate) async fn is_followed<S: Source>(
    source: &impl AsyncFn() -> S,
    store: &EventStore,
    mapping: &Mapping,
    stop: impl AsyncFnOnce(),
) {
    let (sender, mut come) = tokio::sync::watch::channel(0);
    let enough = async move { drop(come.wait_for(|written| *written > 100).await.unwrap()) };
    let following = Import::new(source().await, store, mapping.clone()).on_progress(move |imported| {
        sender.send_replace(imported.written);
    });
    let following = tokio::time::timeout(Duration::from_secs(100), following.run_until(enough));
    let followed = following.await.expect("the program writes").unwrap();
    assert!(followed.is_clean(), "{followed:?}");
    stop().await;
    let last = Import::new(source().await, store, mapping.clone()).after(followed.mark);
    let last = last.run().await.unwrap();
    assert_eq!((last.is_clean(), last.present, last.began_anew), (true, 0, false), "{last:?}");
    assert!(equal(source().await, store, mapping).await.unwrap());
}
