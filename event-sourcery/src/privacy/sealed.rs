//! The seam: a backend behind which everything is sealed that is marked, whoever asks.

use std::sync::Arc;

use async_trait::async_trait;

use super::ring::OfStore;
use super::sealing::is_marked;
use super::vault::Vault;
use crate::backend::{
    AppendOutcome, AppendRequest, Backend, Backlog, BacklogRequest, BlockedRequest, BlockedStream,
    Capabilities, DeleteRequest, ForgetRequest, HeldEntries, HoldRequest, Inspect, KeysRequest, LoadRequest,
    LoadSink, LoadedStream, NewKeysRequest, OldKeysRequest, OutboxRequest, PresenceRecord, Present,
    ProgressRequest, ReadRecords, ReadRequest, RewrapRequest, ScanPage, ScanRequest, SnapshotRequest,
    StateRequest, StoredEvent, SubjectKey, SubscriptionBackend, SubscriptionChange, SubscriptionId,
    SubscriptionRecord, TagRequest,
};
use crate::error::Result;
use crate::position::Position;
use crate::stream_id::TenantId;

/// A backend whose calls seal and open.
#[derive(Debug)]
pub(crate) struct SealedBackend {
    inner: Arc<dyn Backend>,
    vault: Arc<Vault>,
}

impl SealedBackend {
    pub(crate) fn new(inner: Arc<dyn Backend>, vault: Arc<Vault>) -> Self {
        Self { inner, vault }
    }

    fn ring(&self) -> OfStore<'_> {
        OfStore(&*self.inner)
    }
}

/// What listeners have deleted is noted with the request that they were called for.
pub(super) fn hand_back(stored: &AppendRequest, asked: &AppendRequest) {
    if let Some(deleted) = stored.deleted.get() {
        let _ = asked.deleted.set(Arc::clone(deleted));
    }
}

#[async_trait]
impl Backend for SealedBackend {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        let outcome = if is_marked(&request) {
            let stored = Arc::new(self.vault.seal(&mut self.ring(), &request).await?);
            let outcome = self.inner.append(Arc::clone(&stored)).await;
            hand_back(&stored, &request);
            outcome.inspect_err(|refused| self.vault.heed(&request.tenant, refused))
        } else {
            self.inner.append(request).await
        };
        let mut outcome = outcome?;
        self.vault.open_present(&mut self.ring(), &mut outcome).await?;
        Ok(outcome)
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        let (tenant, stream) = (request.tenant.clone(), request.stream.clone());
        let mut loaded = self.inner.load(request).await?;
        self.vault.open_stream(&mut self.ring(), (&tenant, &stream), &mut loaded).await?;
        Ok(loaded)
    }

    async fn load_in_parts(&self, request: LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        let (tenant, stream) = (request.tenant.clone(), request.stream.clone());
        let mut parts = Parts { sink, held: Vec::new() };
        self.inner.load_in_parts(request, &mut parts).await?;
        let Parts { sink, mut held } = parts;
        self.vault.open_parts(&mut self.ring(), (&tenant, &stream), &mut held).await?;
        hand_over(held, sink)
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.inner.delete(request).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        let request = if request.record.marks.is_empty() {
            request
        } else {
            self.vault.seal_snapshot(&mut self.ring(), &request).await?
        };
        self.inner.save_snapshot(request).await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        self.inner.save_state(request).await
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        self.inner.forget_projector(request).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        let mut page = self.inner.scan(request).await?;
        self.vault.open_records(&mut self.ring(), &mut page.records).await?;
        Ok(page)
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadRecords> {
        let mut read = self.inner.read(request).await?;
        self.vault.open_records(&mut self.ring(), &mut read.records).await?;
        Ok(read)
    }

    async fn tag(&self, request: TagRequest) -> Result<u64> {
        self.inner.tag(request).await
    }

    async fn position(&self) -> Result<Position> {
        self.inner.position().await
    }

    async fn present(&self) -> Result<Present> {
        self.inner.present().await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        self.inner.wait_beyond(position).await
    }

    async fn outbox(&self, request: OutboxRequest) -> Result<ScanPage> {
        let mut page = self.inner.outbox(request).await?;
        self.vault.open_records(&mut self.ring(), &mut page.records).await?;
        Ok(page)
    }

    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        self.inner.hold_entries(request).await
    }

    async fn keys(&self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        self.inner.keys(request).await
    }

    async fn create_keys(&self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        self.inner.create_keys(request).await
    }

    async fn old_keys(&self, request: OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        self.inner.old_keys(request).await
    }

    async fn rewrap_key(&self, request: RewrapRequest) -> Result<bool> {
        self.inner.rewrap_key(request).await
    }

    /// As it is stored: whoever looks inside sees masks.
    fn inspect(&self) -> Option<&dyn Inspect> {
        self.inner.inspect()
    }
}

#[async_trait]
impl SubscriptionBackend for SealedBackend {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        self.inner.subscription(id).await
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        self.inner.change_subscription(id, change).await
    }

    async fn change_subscriptions(
        &self,
        changes: Vec<(SubscriptionId, SubscriptionChange)>,
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        self.inner.change_subscriptions(changes).await
    }

    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        self.inner.renew_presence(presence).await
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        self.inner.progress(request).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        self.inner.blocked_streams(request).await
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        self.inner.backlog(request).await
    }
}

/// Hands parts of a load over, up to the first in which something may be sealed. That one, and those behind it, wait until the load is
/// over: while it reads, no key can be waited for.
pub(super) struct Parts<'s> {
    pub(super) sink: &'s mut dyn LoadSink,
    pub(super) held: Vec<LoadedStream>,
}

impl LoadSink for Parts<'_> {
    fn take(&mut self, part: LoadedStream) -> Result<()> {
        let may_be_sealed = part.snapshot.iter().chain(&part.events).any(StoredEvent::may_be_sealed);
        if !may_be_sealed && self.held.is_empty() {
            return self.sink.take(part);
        }
        self.held.push(part);
        Ok(())
    }

    fn restart(&mut self) {
        self.held.clear();
        self.sink.restart();
    }
}

/// Hands the parts over that had to wait.
pub(super) fn hand_over(held: Vec<LoadedStream>, sink: &mut dyn LoadSink) -> Result<()> {
    held.into_iter().try_for_each(|part| sink.take(part))
}
