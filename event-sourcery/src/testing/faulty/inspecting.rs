//! Looking inside a backend that fails on purpose: what it has lost is told as what cannot be read.

use async_trait::async_trait;
use uuid::Uuid;

use super::FaultyBackend;
use crate::backend::{
    Backend, BackwardsRequest, Counted, CursorSummary, CursorsRequest, EventsRequest, Holder, Inspect,
    ListRequest, OutboxRequest, Page, ScanPage, StoredEvent, StoredRecord, StreamSummary, StreamsRequest,
    SubscriptionId,
};
use crate::error::{Error, Result};

impl<B: Backend> FaultyBackend<B> {
    fn inspected(&self) -> Result<&dyn Inspect> {
        self.inner.inspect().ok_or_else(|| Error::unsupported(self.inner.name(), "being looked into"))
    }
}

#[async_trait]
impl<B: Backend> Inspect for FaultyBackend<B> {
    async fn streams(&self, request: StreamsRequest) -> Result<Page<StreamSummary>> {
        self.call(self.inspected()?.streams(request)).await
    }

    async fn tenants(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.call(self.inspected()?.tenants(request)).await
    }

    async fn categories(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.call(self.inspected()?.categories(request)).await
    }

    async fn event_names(&self, request: EventsRequest) -> Result<Page<Counted>> {
        self.call(self.inspected()?.event_names(request)).await
    }

    async fn backwards(&self, request: BackwardsRequest) -> Result<Page<StoredEvent>> {
        let mut page = self.call(self.inspected()?.backwards(request)).await?;
        page.items.iter_mut().for_each(|event| self.faults.lose(event));
        Ok(page)
    }

    async fn events(&self, request: EventsRequest) -> Result<Page<StoredRecord>> {
        let mut page = self.call(self.inspected()?.events(request)).await?;
        page.items.iter_mut().for_each(|record| self.faults.lose(&mut record.event));
        Ok(page)
    }

    async fn event(&self, id: Uuid) -> Result<Option<StoredRecord>> {
        let mut found = self.call(self.inspected()?.event(id)).await?;
        found.iter_mut().for_each(|record| self.faults.lose(&mut record.event));
        Ok(found)
    }

    async fn subscriptions(&self, request: ListRequest) -> Result<Page<SubscriptionId>> {
        self.call(self.inspected()?.subscriptions(request)).await
    }

    async fn cursors(&self, request: CursorsRequest) -> Result<Page<CursorSummary>> {
        self.call(self.inspected()?.cursors(request)).await
    }

    async fn entries(&self, request: OutboxRequest) -> Result<ScanPage> {
        self.call(self.inspected()?.entries(request)).await
    }

    async fn holders(&self) -> Result<Vec<Holder>> {
        self.call(self.inspected()?.holders()).await
    }
}
