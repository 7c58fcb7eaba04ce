//! The outbox, read as a subscription reads a store.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::{
    AppendOutcome, AppendRequest, Backend, Backlog, BacklogRequest, BlockedRequest, BlockedStream,
    Capabilities, DeleteRequest, HeldEntries, HoldRequest, LoadRequest, LoadedStream, OutboxRequest,
    PresenceRecord, ProgressRequest, ScanPage, ScanRequest, SnapshotRequest, Span, StateRequest,
    SubscriptionBackend, SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use crate::error::Result;
use crate::position::Position;

/// A backend whose events are the entries of its outbox: a stream is what is in there of it.
#[derive(Debug)]
pub(super) struct Entries(pub(super) Arc<dyn Backend>);

/// How many entries of a stream are read at once.
const PAGE: usize = 256;

#[async_trait]
impl Backend for Entries {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn append(&self, request: Arc<AppendRequest>) -> Result<AppendOutcome> {
        self.0.append(request).await
    }

    /// The entries of a stream, from its first one on, or behind one.
    async fn load(&self, request: LoadRequest) -> Result<LoadedStream> {
        let LoadRequest { tenant, stream, span, limit } = request;
        let of_stream =
            |after, limit| OutboxRequest::new(after, limit).with_stream(tenant.clone(), stream.clone());
        let (after, anchor) = match span {
            Span::After(anchor) => {
                let alone = of_stream(anchor.previous(), 1).with_up_to(anchor);
                let is_there = !self.0.outbox(alone).await?.records.is_empty();
                (anchor, is_there.then_some(anchor))
            }
            _ => (Position::START, None),
        };
        // As far as they are visible, settled or not: another process may have come further than this one knows to be settled, and what
        // waits up to its checkpoint is there.
        let all = of_stream(after, limit.unwrap_or(PAGE)).with_up_to(Position::from_i64(i64::MAX));
        let page = self.0.outbox(all).await?;
        let first = page.records.first().map(|first| first.event.position);
        let events = page.records.into_iter().map(|record| record.event).collect();
        Ok(LoadedStream::new(events).with_page(page.has_more, anchor.or(first)))
    }

    async fn delete(&self, request: DeleteRequest) -> Result<()> {
        self.0.delete(request).await
    }

    async fn save_snapshot(&self, request: SnapshotRequest) -> Result<()> {
        self.0.save_snapshot(request).await
    }

    async fn save_state(&self, request: StateRequest) -> Result<()> {
        self.0.save_state(request).await
    }

    async fn scan(&self, request: ScanRequest) -> Result<ScanPage> {
        let ScanRequest { after, up_to, filter, limit } = request;
        let (tenant, segments) = (filter.tenant, filter.segments);
        self.0.outbox(OutboxRequest { up_to, tenant, segments, ..OutboxRequest::new(after, limit) }).await
    }

    async fn position(&self) -> Result<Position> {
        self.0.position().await
    }

    async fn wait_beyond(&self, position: Position) -> Result<Position> {
        self.0.wait_beyond(position).await
    }

    async fn hold_entries(&self, request: HoldRequest) -> Result<HeldEntries> {
        self.0.hold_entries(request).await
    }
}

#[async_trait]
impl SubscriptionBackend for Entries {
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        self.0.subscription(id).await
    }

    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>> {
        self.0.change_subscription(id, change).await
    }

    async fn change_subscriptions(
        &self,
        changes: Vec<(SubscriptionId, SubscriptionChange)>,
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        self.0.change_subscriptions(changes).await
    }

    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        self.0.renew_presence(presence).await
    }

    async fn progress(&self, request: ProgressRequest) -> Result<()> {
        self.0.progress(request).await
    }

    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>> {
        self.0.blocked_streams(request).await
    }

    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog> {
        self.0.backlog(request).await
    }
}
