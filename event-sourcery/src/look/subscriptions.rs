//! Looking at durable subscriptions, and after what waits in them.

use std::time::Duration;

use jiff::Timestamp;

use super::{Look, MOST, Mark, Page, limit};
use crate::backend::{
    BlockedRequest, BlockedStream, Filter, ListRequest, OutboxRequest, SubscriptionId, SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::subscription::{self, Mended, Mending, Status};

/// A durable subscription, as it is kept.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SubscriptionSummary {
    /// Whose it is, and its name; without a name, it is [what publishes the outbox](SubscriptionId::is_outbox).
    pub id: SubscriptionId,
    /// Its segments, each with its checkpoint and who has its lease; its members, and until when they count; `None` where that
    /// cannot be read.
    pub record: Option<SubscriptionRecord>,
    /// Why it cannot be read, if it cannot.
    pub unreadable: Option<String>,
}

impl SubscriptionSummary {
    /// The checkpoint that is furthest behind: everything up to here was handled, or waits for a failed event.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.record.as_ref().and_then(furthest_behind)
    }
}

fn furthest_behind(record: &SubscriptionRecord) -> Option<Position> {
    record.segments.iter().map(|segment| segment.position).min()
}

impl Look<'_> {
    /// The durable subscriptions that have run, by tenant and name, those of the [outbox](SubscriptionId::is_outbox) among them: on
    /// the default handle everybody's. An index has their order; each is read by itself.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn subscriptions(&self, request: ListRequest) -> Result<Page<SubscriptionSummary>> {
        let request = self.list(request)?;
        let page = self.inspect()?.subscriptions(request).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for id in page.items {
            items.extend(self.summary(id).await?);
        }
        Ok(Page::new(items, page.next))
    }

    /// One of them; `None` where it has never run.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<Option<SubscriptionSummary>> {
        self.refuse_others(id)?;
        self.summary(id.clone()).await
    }

    /// How far it is behind, and for how long; `None` where it has never run. It costs what
    /// [`Durable::status`](crate::Durable::status) does: at most 10,000 events are counted. Of the outbox, entries are counted, at
    /// most as many as a page has.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn status(&self, id: &SubscriptionId) -> Result<Option<Status>> {
        self.refuse_others(id)?;
        let Some(record) = self.backend.subscription(id.clone()).await? else { return Ok(None) };
        let whose = (!id.tenant.is_default()).then(|| id.tenant.clone());
        if id.is_outbox() {
            return self.outbox_status(&record, whose).await.map(Some);
        }
        let kept = record.kept.as_ref().map(|kept| kept.scope().filter());
        let filter = kept.unwrap_or_else(|| Filter { tenant: whose, ..Filter::default() });
        subscription::status(self.backend, &record, filter).await.map(Some)
    }

    async fn outbox_status(
        &self,
        record: &SubscriptionRecord,
        whose: Option<crate::TenantId>,
    ) -> Result<Status> {
        let mut request = OutboxRequest::new(Position::START, MOST);
        request.tenant = whose;
        let page = self.inspect()?.entries(request).await?;
        let age = |oldest: Timestamp| Duration::try_from(Timestamp::now().duration_since(oldest)).ok();
        Ok(Status {
            position: furthest_behind(record).unwrap_or(Position::START),
            members: record.members.len(),
            events_behind: page.records.len() as u64,
            has_more: page.has_more,
            behind: page.records.first().and_then(|first| age(first.event.created_at)).unwrap_or_default(),
        })
    }

    /// The streams that wait in it for a failed event, parked or to be tried again, in the order of those events. An index has their
    /// order. Where several wait at one position, a page has all of them or none.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Look::streams).
    pub async fn blocked(
        &self,
        id: &SubscriptionId,
        from: Option<Mark>,
        most: usize,
    ) -> Result<Page<BlockedStream>> {
        self.refuse_others(id)?;
        let after = from.as_ref().map(Mark::number).transpose()?.map_or(Position::START, Position::from_i64);
        let mut most = limit(most);
        loop {
            let request = BlockedRequest::new(id.clone()).with_page(after, most);
            let mut found = self.backend.blocked_streams(request).await?;
            let last = found.last().map(|last| last.position).filter(|_| found.len() >= most);
            let Some(last) = last else { return Ok(Page::new(found, None)) };
            found.retain(|blocked| blocked.position < last);
            if let Some(next) = found.last().map(|last| Mark::at(last.position.to_i64())) {
                return Ok(Page::new(found, Some(next)));
            }
            most = most.saturating_mul(2);
        }
    }

    /// Tries a failed event again, as [`Durable::replay`](crate::Durable::replay) does: as the listing shows it.
    ///
    /// # Errors
    ///
    /// [`Error::NotBlocked`] where the stream does not wait for this event any more; [`Error::InvalidOption`] for a subscription of
    /// a tenant that this handle does not see; and the backend's.
    pub async fn replay(&self, id: &SubscriptionId, failed: &BlockedStream) -> Result<()> {
        self.mending(id)?.replay(failed).await
    }

    /// Leaves a failed event out, for good, as [`Durable::skip`](crate::Durable::skip) does; of the outbox, the entry goes.
    ///
    /// # Errors
    ///
    /// As for [`replay`](Look::replay).
    pub async fn skip(&self, id: &SubscriptionId, failed: &BlockedStream) -> Result<()> {
        self.mending(id)?.skip(failed).await
    }

    /// [Replays](Look::replay) all that is parked now, 256 streams in a commit.
    ///
    /// # Errors
    ///
    /// As for [`replay`](Look::replay), but that what others change meanwhile is no error: the answer tells how many.
    pub async fn replay_all(&self, id: &SubscriptionId) -> Result<Mended> {
        self.mending(id)?.replay_all().await
    }

    /// [Skips](Look::skip) each event that is parked now, 256 streams in a commit.
    ///
    /// # Errors
    ///
    /// As for [`replay_all`](Look::replay_all).
    pub async fn skip_all(&self, id: &SubscriptionId) -> Result<Mended> {
        self.mending(id)?.skip_all().await
    }

    async fn summary(&self, id: SubscriptionId) -> Result<Option<SubscriptionSummary>> {
        let (record, unreadable) = match self.backend.subscription(id.clone()).await {
            Ok(None) => return Ok(None),
            Ok(record) => (record, None),
            Err(error @ Error::Backend { .. }) => (None, Some(error.in_full())),
            Err(error) => return Err(error),
        };
        Ok(Some(SubscriptionSummary { id, record, unreadable }))
    }

    fn mending(&self, id: &SubscriptionId) -> Result<Mending<'_>> {
        self.refuse_others(id)?;
        Ok(Mending::new(self.backend, id.clone()))
    }

    /// Refuses subscriptions of tenants that this handle does not see.
    fn refuse_others(&self, id: &SubscriptionId) -> Result<()> {
        self.whose(Some(id.tenant.clone())).map(drop)
    }
}
