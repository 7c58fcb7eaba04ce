//! The memory backend, as those see it who look inside. Each call has the lock for as long as it takes to look at a page.

use async_trait::async_trait;
use uuid::Uuid;

use super::MemoryBackend;
use crate::backend::{
    BackwardsRequest, Counted, CursorSummary, CursorsRequest, EventsRequest, Inspect, ListRequest,
    OutboxRequest, Page, ScanPage, StoredEvent, StoredRecord, StreamSummary, StreamsRequest, SubscriptionId,
};
use crate::error::Result;

#[async_trait]
impl Inspect for MemoryBackend {
    async fn streams(&self, request: StreamsRequest) -> Result<Page<StreamSummary>> {
        self.in_turn().await.summaries(&request)
    }

    async fn tenants(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.in_turn().await.tenants(&request)
    }

    async fn categories(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.in_turn().await.categories(&request)
    }

    async fn event_names(&self, request: EventsRequest) -> Result<Page<Counted>> {
        self.in_turn().await.event_names(&request)
    }

    async fn backwards(&self, request: BackwardsRequest) -> Result<Page<StoredEvent>> {
        self.in_turn().await.backwards(&request)
    }

    async fn events(&self, request: EventsRequest) -> Result<Page<StoredRecord>> {
        self.in_turn().await.events(&request)
    }

    async fn event(&self, id: Uuid) -> Result<Option<StoredRecord>> {
        Ok(self.in_turn().await.event_of(id))
    }

    async fn subscriptions(&self, request: ListRequest) -> Result<Page<SubscriptionId>> {
        self.in_turn().await.subscription_ids(&request)
    }

    async fn cursors(&self, request: CursorsRequest) -> Result<Page<CursorSummary>> {
        self.in_turn().await.cursors_of(&request)
    }

    async fn entries(&self, request: OutboxRequest) -> Result<ScanPage> {
        Ok(self.in_turn().await.outbox(&request))
    }
}
