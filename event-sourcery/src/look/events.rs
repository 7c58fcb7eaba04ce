//! Looking at events.

use uuid::Uuid;

use super::{Look, MOST, Mark, Page, Seen, limit};
use crate::backend::{BackwardsRequest, Counted, EventsRequest, OutboxRequest, StoredRecord};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::stream_id::StreamId;

impl Look<'_> {
    /// The events of a stream of this handle's tenant, from its end backwards, or before a mark. An index has their order. A stream
    /// that does not exist has none.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn backwards(&self, stream: &StreamId, from: Option<Mark>, most: usize) -> Result<Page<Seen>> {
        let request = BackwardsRequest::new(self.tenant.clone(), stream.clone(), limit(most));
        let page = self.inspect()?.backwards(request.with_from(from)).await?;
        let record = |event| StoredRecord::new(stream.clone(), self.tenant.clone(), event);
        Ok(page.map(|event| Seen::new(record(event))))
    }

    /// Events of all streams, from the newest one back, or onwards. A page looks at [`LOOKS_AT`](super::LOOKS_AT) events at most: of
    /// a rare type, a small category or tenant, it may have none, and a mark.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn events(&self, request: EventsRequest) -> Result<Page<Seen>> {
        let request = self.of_events(request)?;
        Ok(self.inspect()?.events(request).await?.map(Seen::new))
    }

    /// The stored names of events, each with how many of them there are, in one stretch of the store: [`LOOKS_AT`](super::LOOKS_AT)
    /// events, from the newest one back, or from a mark on. Add up the pages for as much of the store as you want to know of. A count
    /// is exact where the first page is the last.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn event_names(&self, request: EventsRequest) -> Result<Page<Counted>> {
        let request = self.of_events(request)?;
        self.inspect()?.event_names(request).await
    }

    /// The event of this id, if there is one that this handle sees. An index finds it.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn event(&self, id: Uuid) -> Result<Option<Seen>> {
        let found = self.inspect()?.event(id).await?;
        let is_seen = |record: &StoredRecord| self.tenant.is_default() || record.tenant == *self.tenant;
        Ok(found.filter(is_seen).map(Seen::new))
    }

    /// The events of a correlation id, from the newest one back, or from a mark on. No index has them, because that would be written
    /// with every event: a page looks at [`LOOKS_AT`](super::LOOKS_AT) events. What one request has caused stands close together
    /// mostly: look from the mark of an event of it, if you know one.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn correlated(&self, correlation_id: Uuid, from: Option<Mark>) -> Result<Page<Seen>> {
        let request = EventsRequest::newest(MOST).with_related_to([correlation_id]).with_from(from);
        let mut page = self.events(request).await?;
        let is_of_it = |seen: &Seen| {
            seen.context().is_ok_and(|context| context.correlation_id() == Some(correlation_id))
        };
        page.items.retain(is_of_it);
        Ok(page)
    }

    /// Entries of the outbox that are not published, by the positions of their events. What waits there is
    /// [listed](Look::blocked) under [`SubscriptionId::outbox`](crate::backend::SubscriptionId::outbox). An index has their order; a
    /// page that leaves out other tenants looks at a bounded number of entries.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams); [`Error::Unsupported`] also where the backend has no outbox.
    pub async fn outbox(&self, from: Option<Mark>, most: usize) -> Result<Page<Seen>> {
        if !self.backend.capabilities().outbox {
            return Err(Error::unsupported(self.backend.name(), "an outbox"));
        }
        let after = from.as_ref().map(Mark::number).transpose()?.map_or(Position::START, Position::from_i64);
        let mut request = OutboxRequest::new(after, limit(most));
        request.tenant = self.whose(None)?;
        let page = self.inspect()?.entries(request).await?;
        let next = page.has_more.then(|| Mark::at(page.next.to_i64()));
        Ok(Page::new(page.records, next).map(Seen::new))
    }

    fn of_events(&self, request: EventsRequest) -> Result<EventsRequest> {
        let (tenant, limit) = (self.whose(request.tenant)?, limit(request.limit));
        Ok(EventsRequest { tenant, limit, ..request })
    }
}
