//! Handlers that take batches.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::Durable;
use crate::backend::{Backend, JoinableBackend, TransactionalBackend};
use crate::error::{Result, Source};
use crate::event::Event;
use crate::store::EventStore;
use crate::subscription::HandlerTransaction;
use crate::subscription::deliver::{AtLeastOnce, InBatches, InTransaction, WithinTransaction};
use crate::subscription::guarded::guarded;
use crate::subscription::run;
use crate::within::Within;
use crate::wrapped_event::Recorded;

impl<B: Backend, E: Event> Durable<B, E> {
    /// [`run`](Self::run) for a handler that takes many events at once: one request to a search index, one mail with all news.
    /// Each batch is handed over at least once.
    ///
    /// A batch is what is there, in position order: one event, or many of many streams and tenants. While the subscription
    /// is behind, batches grow up to [`batch`](Durable::batch) events, and to half a megabyte of payloads and contexts, unless its
    /// last event has more. Nothing waits for a batch to fill.
    ///
    /// A batch that fails, by an error, a panic or the [time limit](Durable::handler_timeout) for all of it, is taken apart: its
    /// parts are handed over, and taken apart in turn where they fail. An event that fails alone is tried again and parked, as with
    /// [`run`](Self::run); its stream waits, and the others go on. So the handler sees events again that it has seen in a batch that
    /// failed, and a batch of one has to be as good as any.
    ///
    /// The second argument is the store, for the subscription's own tenant. What is a reaction to one of the events goes
    /// through [`store.reacting_to(&event)`](EventStore::reacting_to): for the event's tenant, with its context.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # store.append(&StreamId::random(), [RawEvent::new("Paid", "{}")?, RawEvent::new("Paid", "{}")?]).await?;
    /// # let (indexed, stop) = tokio::sync::oneshot::channel();
    /// # let mut indexed = Some(indexed);
    /// store
    ///     .subscribe::<RawEvent>()
    ///     .durable("search")
    ///     .until(stop)
    ///     .run_batches(async move |events, _store| {
    ///         println!("{} documents in one request", events.len());
    /// #       indexed.take().map(|indexed| indexed.send(()));
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn run_batches<H>(self, mut handler: H) -> Result<()>
    where
        H: AsyncFnMut(Vec<Recorded<E>>, EventStore<B>) -> Result<(), Source>,
    {
        let (store, limit) = (self.of.store.clone(), self.handler_timeout);
        let (plan, until) = self.plan()?;
        let handler = async move |events: Vec<Recorded<E>>, store: EventStore<B>| {
            guarded(limit, async { handler(events, store).await }).await
        };
        run::run(plan, until, InBatches(AtLeastOnce { store, handler })).await
    }
}

impl<B: JoinableBackend, E: Event> Durable<B, E> {
    /// [`run_within`](Self::run_within) for a handler that takes many events at once, such as one `INSERT` for all of them: what
    /// shares the transaction is handed over together, and what the handler writes through it takes effect exactly once.
    ///
    /// What a batch is, and what becomes of one that fails, [`run_batches`](Self::run_batches) says. Nothing stays of one that
    /// fails: each part has a transaction of its own.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn run_batches_within<H>(self, mut handler: H) -> Result<()>
    where
        H: AsyncFnMut(Vec<Recorded<E>>, &mut HandlerTransaction<B>) -> Result<(), Source>,
    {
        let (store, idle, limit) = (self.of.store.clone(), self.lease, self.handler_timeout);
        let (plan, until) = self.plan()?;
        let handler = async move |events: Vec<Recorded<E>>, transaction: &mut HandlerTransaction<B>| {
            guarded(limit, async { handler(events, transaction).await }).await
        };
        // Later than the handler is given up: that is what is told.
        let statement = limit.map(|limit| limit.saturating_add(Duration::from_secs(1)));
        run::run(plan, until, InBatches(WithinTransaction { store, handler, idle, statement })).await
    }
}

impl<B: TransactionalBackend, E: Event> Durable<B, E> {
    /// [`run_in_transaction`](Self::run_in_transaction) for a handler that takes many events at once: what shares the
    /// transaction is handed over together, and what the handler writes through it takes effect exactly once. Every other
    /// write waits as long as the handler takes for all of them: [`batch`](Durable::batch) says how many that are at most.
    ///
    /// What a batch is, and what becomes of one that fails, [`run_batches`](Self::run_batches) says. Nothing stays of one that
    /// fails: each part has a transaction of its own.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # let (order, invoice) = (StreamId::random().in_category("orders")?, StreamId::random());
    /// # store.append(&order, [RawEvent::new("Ordered", "{}")?, RawEvent::new("Ordered", "{}")?]).await?;
    /// # let watched = store.clone();
    /// # let invoiced = invoice.clone();
    /// # let stop = async move { while watched.version(&invoiced).await.unwrap().is_none() {} };
    /// store
    ///     .subscribe::<RawEvent>()
    ///     .event_names(["Ordered"])
    ///     .durable("invoicing")
    ///     .until(stop)
    ///     .run_batches_in_transaction(move |orders, tx| {
    ///         let lines = format!(r#"{{"orders":{}}}"#, orders.len());
    ///         tx.append(&invoice, RawEvent::new("Issued", lines)?).run()?;
    ///         Ok(())
    ///     })
    ///     .await?;
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub async fn run_batches_in_transaction<H>(self, handler: H) -> Result<()>
    where
        H: for<'w, 't> Fn(Vec<Recorded<E>>, &mut Within<'w, B::Transaction<'t>>) -> Result<(), Source>
            + Send
            + Sync
            + 'static,
    {
        let (store, handler, limit) = (self.of.store.clone(), Arc::new(handler), self.handler_timeout);
        let (plan, until) = self.plan()?;
        // Boxed, so that the future of this call is `Send` in the eyes of the compiler, whatever the closure.
        let run: Pin<Box<dyn Future<Output = Result<()>> + Send>> =
            Box::pin(run::run(plan, until, InBatches(InTransaction { store, handler, limit })));
        run.await
    }
}
