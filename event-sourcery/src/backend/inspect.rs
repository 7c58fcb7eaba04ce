//! What a backend tells those who look inside: listings and searches that nothing else needs, each bounded.

use async_trait::async_trait;
use uuid::Uuid;

use super::holder::Holder;
use super::listing::{Counted, ListRequest, Page};
use super::looking::{
    BackwardsRequest, CursorSummary, CursorsRequest, EventsRequest, StreamSummary, StreamsRequest,
};
use super::outbox::OutboxRequest;
use super::reads::ScanPage;
use super::records::{StoredEvent, StoredRecord};
use super::subscriptions::SubscriptionId;
use crate::error::Result;

/// The part of a backend that is asked by those who [look inside](crate::look): see [`Backend::inspect`](super::Backend::inspect).
///
/// Every call takes a bounded time, however large the store is. What an index serves ends with the page; what none serves looks at
/// [`LOOKS_AT`](super::LOOKS_AT) rows at most, and says with the [`Mark`](super::Mark) of its page where to go on, whether it has found
/// anything or not. A request that names a tenant is told nothing of others, in its marks either.
///
/// What is told is what is committed and visible now, settled or not. A row that cannot be read is told as
/// [what it is](StoredEvent::unreadable), and keeps nobody from the others.
#[async_trait]
pub trait Inspect: Send + Sync {
    /// Streams that have events: by name, or those that were begun last first.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for a mark of another listing; the backend's own. So it is with every
    /// request that has a mark.
    async fn streams(&self, request: StreamsRequest) -> Result<Page<StreamSummary>>;

    /// Tenants that have streams, each with how many; the empty name is the default tenant.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    async fn tenants(&self, request: ListRequest) -> Result<Page<Counted>>;

    /// Categories that have streams, each with how many; the empty name is that of streams in none.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    async fn categories(&self, request: ListRequest) -> Result<Page<Counted>>;

    /// The stored names of the events of one stretch of the store, each with how many of them there are in the stretch. The limit
    /// does not count, nor do the ids.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    async fn event_names(&self, request: EventsRequest) -> Result<Page<Counted>>;

    /// A stream's events, the last one first.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    async fn backwards(&self, request: BackwardsRequest) -> Result<Page<StoredEvent>>;

    /// Events of all streams, from the newest one back, or onwards.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    async fn events(&self, request: EventsRequest) -> Result<Page<StoredRecord>>;

    /// The event of this id, whoever's.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn event(&self, id: Uuid) -> Result<Option<StoredRecord>>;

    /// Durable subscriptions that have run, by tenant and name, the outbox's among them.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    async fn subscriptions(&self, request: ListRequest) -> Result<Page<SubscriptionId>>;

    /// Cursors of projectors, by the streams that they are about: those that were begun last first.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    async fn cursors(&self, request: CursorsRequest) -> Result<Page<CursorSummary>>;

    /// What [`Backend::outbox`](super::Backend::outbox) reads, within the bound: a page may end before it has what was asked for.
    ///
    /// # Errors
    ///
    /// As for [`Backend::outbox`](super::Backend::outbox).
    async fn entries(&self, request: OutboxRequest) -> Result<ScanPage>;

    /// Who holds up the settled position at present. Without an implementation of its own, nobody does: so it is where positions are
    /// given in the order of the commits.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn holders(&self) -> Result<Vec<Holder>> {
        Ok(Vec::new())
    }
}
