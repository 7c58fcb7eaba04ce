//! What there is to handle: a few streams that grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event_sourcery::backend::Backend;
use event_sourcery::{EventStore, RawEvent, StreamId};
use tokio::task::JoinHandle;

/// The name of the events.
pub const HAPPENED: &str = "Happened";
const STREAMS: usize = 12;

/// Appends to the streams, now to this one and now to that, until it is ended.
pub struct Load {
    streams: Vec<StreamId>,
    ends: Arc<AtomicBool>,
    writer: JoinHandle<()>,
}

impl Load {
    /// Begins with streams that do not exist yet.
    pub fn on<B: Backend>(store: &EventStore<B>) -> Self {
        let (streams, ends) = (streams(), Arc::new(AtomicBool::new(false)));
        let (store, grown, until) = (store.clone(), streams.clone(), Arc::clone(&ends));
        let writer = tokio::spawn(async move {
            while !until.load(Ordering::Relaxed) {
                append(&store, fastrand::choice(&grown).unwrap(), fastrand::usize(1..3)).await;
                tokio::time::sleep(Duration::from_millis(8)).await;
            }
        });
        Self { streams, ends, writer }
    }

    /// The streams, which grow no more.
    pub async fn end(self) -> Vec<StreamId> {
        self.ends.store(true, Ordering::Relaxed);
        self.writer.await.expect("nothing refuses an append");
        self.streams
    }
}

/// Streams that do not exist yet.
pub fn streams() -> Vec<StreamId> {
    (0..STREAMS).map(|_| StreamId::random()).collect()
}

/// So many events behind a stream's last.
pub async fn append<B: Backend>(store: &EventStore<B>, stream: &StreamId, count: usize) {
    let events: Vec<_> = (0..count).map(|_| RawEvent::new(HAPPENED, "{}").unwrap()).collect();
    let version = store.version(stream).await.unwrap();
    store.append(stream, events).expected_version(version).await.expect("nothing refuses an append");
}

/// So many events in each stream.
pub async fn append_to_all<B: Backend>(store: &EventStore<B>, streams: &[StreamId], count: usize) {
    for stream in streams {
        append(store, stream, count).await;
    }
}
