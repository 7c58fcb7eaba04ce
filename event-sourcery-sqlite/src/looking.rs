//! The backend, as those see it who look inside. Each call is a read transaction of its own.

use async_trait::async_trait;
use event_sourcery::Result;
use event_sourcery::backend::{
    BackwardsRequest, Counted, CursorSummary, CursorsRequest, EventsRequest, Inspect, ListRequest,
    OutboxRequest, Page, ScanPage, StoredEvent, StoredRecord, StreamSummary, StreamsRequest, SubscriptionId,
};
use uuid::Uuid;

use crate::backend::SqliteBackend;

#[async_trait]
impl Inspect for SqliteBackend {
    async fn streams(&self, request: StreamsRequest) -> Result<Page<StreamSummary>> {
        self.readers.read(move |operations| operations.summaries(&request)).await
    }

    async fn tenants(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.readers.read(move |operations| operations.tenants(&request)).await
    }

    async fn categories(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.readers.read(move |operations| operations.categories_counted(&request)).await
    }

    async fn event_names(&self, request: EventsRequest) -> Result<Page<Counted>> {
        self.readers.read(move |operations| operations.event_names(&request)).await
    }

    async fn backwards(&self, request: BackwardsRequest) -> Result<Page<StoredEvent>> {
        self.readers.read(move |operations| operations.backwards(&request)).await
    }

    async fn events(&self, request: EventsRequest) -> Result<Page<StoredRecord>> {
        self.readers.read(move |operations| operations.events(&request)).await
    }

    async fn event(&self, id: Uuid) -> Result<Option<StoredRecord>> {
        self.readers.read(move |operations| operations.event(id)).await
    }

    async fn subscriptions(&self, request: ListRequest) -> Result<Page<SubscriptionId>> {
        self.readers.read(move |operations| operations.subscriptions(&request)).await
    }

    async fn cursors(&self, request: CursorsRequest) -> Result<Page<CursorSummary>> {
        self.readers.read(move |operations| operations.cursors(&request)).await
    }

    /// A page of the outbox is bounded by itself.
    async fn entries(&self, request: OutboxRequest) -> Result<ScanPage> {
        self.readers.read(move |operations| operations.outbox(&request)).await
    }
}
