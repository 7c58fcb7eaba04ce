//! A backend that is shared is a backend too.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AppendOutcome, AppendRequest, Backend, Backlog, BacklogRequest, BlockedRequest, BlockedStream,
    Capabilities, DeleteRequest, ForgetRequest, Grouped, HeldEntries, HoldRequest, Inspect, KeysRequest,
    LoadRequest, LoadSink, LoadedStream, NewKeysRequest, OldKeysRequest, OutboxRequest, PresenceRecord,
    Present, ProgressRequest, ReadRecords, ReadRequest, RewrapRequest, ScanPage, ScanRequest,
    SnapshotRequest, StateRequest, SubjectKey, SubscriptionBackend, SubscriptionChange, SubscriptionId,
    SubscriptionRecord, TagRequest,
};
use crate::error::Result;
use crate::position::Position;
use crate::stream_id::TenantId;

#[async_trait]
impl<B: Backend + ?Sized> Backend for Arc<B> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        (**self).append(request).await
    }

    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        (**self).load(request).await
    }

    async fn load_in_parts(&self, request: LoadRequest, sink: &mut dyn LoadSink) -> Result<()> {
        (**self).load_in_parts(request, sink).await
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        (**self).delete(request).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        (**self).save_snapshot(request).await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        (**self).save_state(request).await
    }

    async fn forget_projector(&self, request: ForgetRequest) -> Result<()> {
        (**self).forget_projector(request).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        (**self).scan(request).await
    }

    async fn read(&self, request: ReadRequest) -> Result<ReadRecords> {
        (**self).read(request).await
    }

    async fn tag(&self, request: TagRequest) -> Result<u64> {
        (**self).tag(request).await
    }

    async fn position(&self) -> Result<Position> {
        (**self).position().await
    }

    async fn present(&self) -> Result<Present> {
        (**self).present().await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        (**self).wait_beyond(position).await
    }

    async fn outbox(&self, request: OutboxRequest) -> Result<ScanPage> {
        (**self).outbox(request).await
    }

    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        (**self).hold_entries(request).await
    }

    async fn keys(&self, request: KeysRequest) -> Result<Vec<SubjectKey>> {
        (**self).keys(request).await
    }

    async fn create_keys(&self, request: NewKeysRequest) -> Result<Vec<SubjectKey>> {
        (**self).create_keys(request).await
    }

    async fn old_keys(&self, request: OldKeysRequest) -> Result<Vec<(TenantId, SubjectKey)>> {
        (**self).old_keys(request).await
    }

    async fn rewrap_key(&self, request: RewrapRequest) -> Result<bool> {
        (**self).rewrap_key(request).await
    }

    fn grouped(&self) -> Option<Grouped> {
        (**self).grouped()
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        (**self).inspect()
    }
}

#[async_trait]
impl<B: Backend + ?Sized> SubscriptionBackend for Arc<B> {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        (**self).subscription(id).await
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        (**self).change_subscription(id, change).await
    }

    async fn change_subscriptions(
        &self,
        changes: Vec<(SubscriptionId, SubscriptionChange)>,
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        (**self).change_subscriptions(changes).await
    }

    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        (**self).renew_presence(presence).await
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        (**self).progress(request).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        (**self).blocked_streams(request).await
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        (**self).backlog(request).await
    }
}
