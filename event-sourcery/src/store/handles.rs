//! Handles of a store: a tenant's, a request's, a handler's, and what is added to every event.

use super::EventStore;
use crate::backend::Backend;
use crate::context::{Context, ContextComponent};
use crate::enricher::{Enricher, Enriching};
use crate::error::Result;
use crate::stream_id::TenantId;
use crate::wrapped_event::{Recorded, WrappedEvent};

impl<B: Backend> EventStore<B> {
    /// A handle that sees this tenant's streams only. Every operation obeys it.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId, TenantId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new());
    /// let acme = store.for_tenant(TenantId::new("acme")?);
    /// let stream = StreamId::from_name("invoices/1003")?;
    ///
    /// acme.append(&stream, RawEvent::new("Paid", "{}")?).await?;
    /// assert!(store.load_stream::<RawEvent>(&stream).await?.is_empty());
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn for_tenant(&self, tenant: TenantId) -> Self {
        let mut store = self.clone();
        store.scope.tenant = tenant;
        store
    }

    /// A handle for one request: every event that is appended through it carries this context, whoever appends it, unless the event
    /// brings its own. An id, or a component, that this context has takes the place of the handle's; the others stay.
    ///
    /// A component in it is one that the caller has set: enrichers leave it alone. Snapshots get none of it.
    ///
    /// ```
    /// # use event_sourcery::{Context, Event as _, EventStore, MemoryBackend, RawEvent, StreamId, uuid::Uuid};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # let stream = StreamId::random();
    /// let request = store.with_context(Context::new().with_correlation_id(Uuid::now_v7()));
    /// request.append(&stream, RawEvent::new("Paid", "{}")?).await?;
    ///
    /// let paid = &store.load_stream::<RawEvent>(&stream).await?[0];
    /// assert!(paid.context.correlation_id().is_some());
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn with_context(&self, context: Context) -> Self {
        let mut store = self.clone();
        store.scope.handed_down = self.scope.handed_down.with(context);
        store
    }

    /// A handle whose appends carry this event's correlation id, and its id as causation id, in the place of those that the handle
    /// had ([`with_context`](Self::with_context)), unless an event brings its own. Handlers of durable subscriptions are handed one.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # let (order, invoice) = (StreamId::random(), StreamId::random());
    /// # store.append(&order, RawEvent::new("Ordered", "{}")?).await?;
    /// let ordered = &store.load_stream::<RawEvent>(&order).await?[0];
    /// store.caused_by(ordered).append(&invoice, RawEvent::new("Issued", "{}")?).await?;
    ///
    /// let issued = &store.load_stream::<RawEvent>(&invoice).await?[0];
    /// assert_eq!(issued.context.causation_id(), Some(ordered.uuid));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn caused_by<E>(&self, event: &WrappedEvent<E>) -> Self {
        let mut store = self.clone();
        store.scope.handed_down = self.scope.handed_down.caused_by(event);
        store
    }

    /// A handle for the tenant of this event, whose appends are [caused by](Self::caused_by) it: what the handler of a single
    /// event is handed, for a handler that has a batch of them.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, Next, RawEvent, StreamId, TenantId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # let (order, invoice) = (StreamId::random(), StreamId::random());
    /// # let acme = store.for_tenant(TenantId::new("acme")?);
    /// # acme.append(&order, RawEvent::new("Ordered", "{}")?).await?;
    /// # let mut events = store.subscribe::<RawEvent>().stream();
    /// # let Some(Next::Event(ordered)) = events.try_next().await? else { panic!() };
    /// store.reacting_to(&ordered).append(&invoice, RawEvent::new("Issued", "{}")?).await?;
    ///
    /// let issued = &store.for_tenant(ordered.tenant_id).load_stream::<RawEvent>(&invoice).await?[0];
    /// assert_eq!(issued.context.causation_id(), Some(ordered.wrapped_event.uuid));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn reacting_to<E>(&self, event: &Recorded<E>) -> Self {
        let mut store = self.clone();
        store.scope = self.scope.reacting_to(event);
        store
    }

    /// The tenant that this handle works for.
    #[must_use]
    pub fn tenant_id(&self) -> &TenantId {
        &self.scope.tenant
    }

    /// This store with an enricher: it runs on every event that this handle and its clones append, after those given
    /// before, and adds a component to the event's context. A component that the caller set is kept.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateEnricher`](crate::Error::DuplicateEnricher) when there is one for this component already.
    ///
    /// ```
    /// # use event_sourcery::{ContextComponent, EventStore, MemoryBackend, RawEvent, StreamId};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize, Debug, PartialEq)]
    /// struct Host { name: String }
    ///
    /// impl ContextComponent for Host {
    ///     const NAME: &'static str = "host";
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new()).with_enricher(|_| Some(Host { name: "web-3".into() }))?;
    /// let stream = StreamId::random();
    /// store.append(&stream, RawEvent::new("Paid", "{}")?).await?;
    ///
    /// let events = store.load_stream::<RawEvent>(&stream).await?;
    /// assert_eq!(events[0].context.component::<Host>()?, Some(Host { name: "web-3".into() }));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn with_enricher<C, F>(mut self, enricher: F) -> Result<Self>
    where
        C: ContextComponent,
        F: Fn(&Enriching<'_>) -> Option<C> + Send + Sync + 'static,
    {
        self.scope.enrichers.add(Enricher::new(enricher))?;
        Ok(self)
    }
}
