//! The backend, as those see it who look inside.

use async_trait::async_trait;
use event_sourcery::Result;
use event_sourcery::backend::{
    BackwardsRequest, Counted, CursorSummary, CursorsRequest, EventsRequest, Holder, Inspect, ListRequest,
    OutboxRequest, Page, ScanPage, StoredEvent, StoredRecord, StreamSummary, StreamsRequest, SubscriptionId,
};
use uuid::Uuid;

use super::PostgresBackend;
use crate::database::{Database, FEW, call};
use crate::failure::met_damage;

#[async_trait]
impl Inspect for PostgresBackend {
    async fn streams(&self, request: StreamsRequest) -> Result<Page<StreamSummary>> {
        self.apart(async move |database| call!(database, operations => operations.summaries(&request))).await
    }

    async fn tenants(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.apart(async move |database| call!(database, operations => operations.tenants(&request))).await
    }

    async fn categories(&self, request: ListRequest) -> Result<Page<Counted>> {
        self.apart(async move |database| call!(database, operations => operations.categories(&request))).await
    }

    async fn event_names(&self, request: EventsRequest) -> Result<Page<Counted>> {
        self.apart(async move |database| call!(database, operations => operations.event_names(&request)))
            .await
    }

    async fn backwards(&self, request: BackwardsRequest) -> Result<Page<StoredEvent>> {
        self.apart(async move |database| database.backwards(request).await).await
    }

    async fn events(&self, request: EventsRequest) -> Result<Page<StoredRecord>> {
        self.apart(async move |database| database.events(request).await).await
    }

    async fn event(&self, id: Uuid) -> Result<Option<StoredRecord>> {
        self.apart(async move |database| database.event(id).await).await
    }

    async fn subscriptions(&self, request: ListRequest) -> Result<Page<SubscriptionId>> {
        self.apart(async move |database| call!(database, operations => operations.subscriptions(&request)))
            .await
    }

    async fn cursors(&self, request: CursorsRequest) -> Result<Page<CursorSummary>> {
        self.apart(async move |database| call!(database, operations => operations.cursors(&request))).await
    }

    /// Up to as many entries as are looked at.
    async fn entries(&self, request: OutboxRequest) -> Result<ScanPage> {
        self.apart(async move |database| {
            let after = request.after;
            let Some(end) = call!(database, operations => operations.end_of_entries(after))? else {
                return database.outbox(&request).await;
            };
            let page = database.outbox(&request.with_up_to(end)).await?;
            Ok(if page.has_more { page } else { ScanPage::new(page.records, end, true) })
        })
        .await
    }

    async fn holders(&self) -> Result<Vec<Holder>> {
        self.held_up_by().await
    }
}

/// What the server cannot give is read again without payloads, a few events at a time, and then what can be had of them.
impl Database {
    async fn backwards(&self, mut request: BackwardsRequest) -> Result<Page<StoredEvent>> {
        let read = call!(*self, operations => operations.backwards(&request));
        if !read.as_ref().is_err_and(met_damage) {
            return read;
        }
        request.limit = request.limit.min(FEW);
        let mut page = call!(*self, operations => {
            operations.spares_payloads = true;
            operations.backwards(&request)
        })?;
        let positions: Vec<_> = page.items.iter().map(|event| event.position.to_i64()).collect();
        let mut whole = call!(*self, operations => operations.whole(&positions))?;
        page.items.retain_mut(|event| whole.complete(event));
        Ok(page)
    }

    async fn events(&self, mut request: EventsRequest) -> Result<Page<StoredRecord>> {
        let read = call!(*self, operations => operations.events(&request));
        if !read.as_ref().is_err_and(met_damage) {
            return read;
        }
        request.limit = request.limit.min(FEW);
        let page = call!(*self, operations => {
            operations.spares_payloads = true;
            operations.events(&request)
        })?;
        Ok(Page::new(self.whole(page.items).await?, page.next))
    }

    async fn event(&self, id: Uuid) -> Result<Option<StoredRecord>> {
        let read = call!(*self, operations => operations.event(id));
        if !read.as_ref().is_err_and(met_damage) {
            return read;
        }
        let found = call!(*self, operations => {
            operations.spares_payloads = true;
            operations.event(id)
        })?;
        Ok(self.whole(found.into_iter().collect()).await?.pop())
    }

    async fn whole(&self, mut records: Vec<StoredRecord>) -> Result<Vec<StoredRecord>> {
        let positions: Vec<_> = records.iter().map(|record| record.event.position.to_i64()).collect();
        let mut whole = call!(*self, operations => operations.whole(&positions))?;
        records.retain_mut(|record| whole.complete_record(record));
        Ok(records)
    }
}
