//! Looking inside a store: what is in it, what happened, and who waits for what, without knowing any event type.
//!
//! [`EventStore::look`] gives a [`Look`], whose calls answer in [pages](Page), each in a bounded time, however large the store is. A
//! page that ends before the listing does has a [`Mark`] from which the next one goes on. What no index serves looks at [`LOOKS_AT`]
//! rows a page at most: such a page may be empty, and have a mark all the same. No call reads the whole store unasked.
//!
//! What is told is what is committed now, settled or not: so it is no place to subscribe from. A row that cannot be read is told as
//! what it is, and does not fail the page. What is encrypted shows as its mask, also to who has the keys: load the stream to read it.
//!
//! The default handle sees every tenant, as its subscriptions do. A tenant's handle sees, and acts on, that tenant alone.
//!
//! The guide page [*look inside*](crate::guide::look_inside) has the questions, and what each of them costs.

mod causes;
mod events;
mod seen;
mod subscriptions;

pub use self::causes::Causes;
pub use self::seen::Seen;
pub use self::subscriptions::SubscriptionSummary;
use crate::backend::{Backend, Inspect};
pub use crate::backend::{
    COUNTS_TO, Counted, CursorSummary, CursorsRequest, EventsRequest, Holder, LOOKS_AT, ListRequest, Mark,
    Page, StreamSummary, StreamsRequest, SubscriptionId,
};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::store::EventStore;
use crate::stream_id::TenantId;

/// The most that a page has, whatever is asked for.
const MOST: usize = 1_000;

/// A look inside a store, through one of its handles; see [`EventStore::look`].
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    backend: &'a dyn Backend,
    tenant: &'a TenantId,
}

/// The settled position, and who holds it up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettledPosition {
    /// The settled position.
    pub position: Position,
    /// The open transactions because of which readers do not come beyond it; none where they can come to the end. `None` on a
    /// tenant's handle: they are nobody's.
    pub holders: Option<Vec<Holder>>,
}

impl<B: Backend> EventStore<B> {
    /// Looks inside: lists what is in the store, tells what happened, and who waits for what. See the [module](crate::look).
    ///
    /// ```
    /// use event_sourcery::look::StreamsRequest;
    /// use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new());
    /// let stream = StreamId::from_name("orders/1003")?;
    /// store.append(&stream, [RawEvent::new("Placed", "{}")?, RawEvent::new("Paid", "{}")?]).await?;
    ///
    /// let orders = store.look().streams(StreamsRequest::named("orders/", 50)).await?;
    /// assert_eq!((&orders.items[0].stream, orders.items[0].version), (&stream, Some(2)));
    ///
    /// let last = store.look().backwards(&stream, None, 1).await?;
    /// assert_eq!(last.items[0].name(), "Paid");
    /// let before = store.look().backwards(&stream, last.next, 1).await?;
    /// assert_eq!(before.items[0].name(), "Placed");
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn look(&self) -> Look<'_> {
        Look { backend: self.backend(), tenant: self.tenant_id() }
    }
}

impl<'a> Look<'a> {
    /// Streams that have events, each with its last event: [by name](StreamsRequest::named), or the
    /// [newest](StreamsRequest::newest) first.
    ///
    /// By name, an index has the order, tenant by tenant and category by category: a page goes through 256 of those at most. Newest
    /// first, a page that leaves out other tenants and categories looks at [`LOOKS_AT`] streams at most.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the backend cannot be looked into; [`Error::InvalidOption`] for a tenant that this handle does
    /// not see, and for a mark of another listing; and the backend's. So it is with every call.
    pub async fn streams(&self, request: StreamsRequest) -> Result<Page<StreamSummary>> {
        let (tenant, limit) = (self.whose(request.tenant)?, limit(request.limit));
        self.inspect()?.streams(StreamsRequest { tenant, limit, ..request }).await
    }

    /// Tenants that have streams, each with the count of them, which ends at [`COUNTS_TO`]; the empty name is the default tenant. An
    /// index has them: a page takes two look-ups for each, and its streams are counted.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    pub async fn tenants(&self, request: ListRequest) -> Result<Page<Counted>> {
        let request = self.list(request)?;
        self.inspect()?.tenants(request).await
    }

    /// Categories that have streams, each with the count of them, which ends at [`COUNTS_TO`]; the empty name is that of streams in
    /// none. It costs what [`tenants`](Self::tenants) does.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    pub async fn categories(&self, request: ListRequest) -> Result<Page<Counted>> {
        let request = self.list(request)?;
        self.inspect()?.categories(request).await
    }

    /// Cursors of [projectors](crate::Projector), with the versions that their streams have: by streams, those that were begun last
    /// first. A page looks at [`LOOKS_AT`] streams at most. Those of one stream are found at once.
    ///
    /// # Errors
    ///
    /// As for [`streams`](Self::streams).
    pub async fn cursors(&self, request: CursorsRequest) -> Result<Page<CursorSummary>> {
        let (tenant, limit) = (self.whose(request.tenant)?, limit(request.limit));
        self.inspect()?.cursors(CursorsRequest { tenant, limit, ..request }).await
    }

    /// The settled position, and on the default handle who holds it up. It never waits.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the backend cannot be looked into; and the backend's.
    pub async fn settled(&self) -> Result<SettledPosition> {
        let inspect = self.inspect()?;
        let holders = if self.tenant.is_default() { Some(inspect.holders().await?) } else { None };
        Ok(SettledPosition { position: self.backend.position().await?, holders })
    }

    /// What tells, where the backend claims to have that.
    fn inspect(&self) -> Result<&'a dyn Inspect> {
        let claimed = self.backend.capabilities().inspect;
        let inspect = self.backend.inspect().filter(|_| claimed);
        inspect.ok_or_else(|| Error::unsupported(self.backend.name(), "being looked into"))
    }

    /// Whose is asked for, if this handle sees it; `None`: everybody's.
    fn whose(&self, asked: Option<TenantId>) -> Result<Option<TenantId>> {
        let own = self.tenant;
        match asked {
            asked if own.is_default() => Ok(asked),
            Some(asked) if asked != *own => {
                let problem = format!(
                    "this handle sees the tenant {own} only: use the default handle, or that of {asked}"
                );
                Err(Error::InvalidOption { option: "tenant", problem })
            }
            _ => Ok(Some(own.clone())),
        }
    }

    fn list(&self, request: ListRequest) -> Result<ListRequest> {
        let (tenant, limit) = (self.whose(request.tenant)?, limit(request.limit));
        Ok(ListRequest { tenant, limit, ..request })
    }
}

/// How many a page has at most, where so many are asked for.
fn limit(asked: usize) -> usize {
    asked.clamp(1, MOST)
}
