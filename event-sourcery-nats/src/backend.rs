//! The backend: who does what.

use std::fmt;
use std::sync::Arc;

use async_nats::jetstream::Context;
use async_trait::async_trait;
use event_sourcery::backend::{
    AppendOutcome, AppendRequest, Backend, Backlog, BacklogRequest, BlockedRequest, BlockedStream,
    Capabilities, DeleteRequest, LoadRequest, LoadedStream, ProgressRequest, ScanPage, ScanRequest,
    SnapshotRequest, StateRequest, SubscriptionBackend, SubscriptionChange, SubscriptionId,
    SubscriptionRecord,
};
use event_sourcery::{Error, Position, Result};

use crate::NAME;
use crate::options::NatsOptions;
use crate::store::Store;
use crate::waking::Waking;

/// A store on NATS JetStream, on one server or replicated on several. Clones share one connection and what is remembered of streams.
///
/// It has no transactions, listeners, outbox, keys, presences, nor can it be looked into; see the table in the crate's README. An event
/// id is recognised in its own stream only.
///
/// - An append is one message and one round trip, if the stream is remembered, which the streams are that were written to last; else its
///   messages are read before.
/// - A future that is dropped leaves an append wholly there or wholly absent.
/// - Reads are answered by the leader, or checked against what it says; see `LAYOUT.md`.
#[derive(Clone)]
pub struct NatsBackend {
    store: Arc<Store>,
    _waking: Arc<Waking>,
}

/// The store's name, and nothing of what is in it.
impl fmt::Debug for NatsBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsBackend").finish_non_exhaustive()
    }
}

impl NatsBackend {
    /// How to open the store of this name: 1 to 32 letters, digits, `_` and `-`. Two stores of one account share nothing.
    ///
    /// ```no_run
    /// use event_sourcery::EventStore;
    /// use event_sourcery_nats::{NatsBackend, async_nats};
    ///
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = async_nats::connect("nats://localhost").await?;
    /// let jetstream = async_nats::jetstream::new(client);
    /// let backend = NatsBackend::options(jetstream, "SHOP").replicas(3).servers_sync_always().open().await?;
    /// let store = EventStore::new(backend);
    /// # drop(store);
    /// # Ok(())
    /// # }
    /// ```
    pub fn options(context: Context, name: impl Into<String>) -> NatsOptions {
        NatsOptions::new(context, name.into())
    }

    pub(crate) fn new(store: Arc<Store>, waking: Waking) -> Self {
        Self { store, _waking: Arc::new(waking) }
    }
}

#[async_trait]
impl Backend for NatsBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none().several_streams().durable().shared()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        if !request.outbox.is_empty() {
            return Err(Error::unsupported(NAME, "an outbox"));
        }
        if !request.shreds.is_empty() {
            return Err(Error::unsupported(NAME, "keys of data subjects"));
        }
        self.store.append(&request).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        self.store.load(&request).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.store.delete(&request).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        self.store.save_snapshot(&request).await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        self.store.save_state(&request).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        self.store.scan(&request).await
    }

    async fn position(&self) -> Result<Position> {
        self.store.settled().await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        self.store.wait_beyond(position).await
    }
}

#[async_trait]
impl SubscriptionBackend for NatsBackend {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        self.store.subscription(&id).await
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        self.store.change_subscription(&id, &change).await
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        self.store.progress(&request).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        self.store.blocked_streams(&request).await
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        self.store.backlog(&request).await
    }
}
