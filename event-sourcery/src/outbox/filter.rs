//! Which events are put into the outbox.

use std::fmt;
use std::sync::Arc;

use crate::backend::{Backend, NewRecord};
use crate::context::Context;
use crate::enricher::Enriching;
use crate::error::{Error, Result};
use crate::store::EventStore;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::Outbox;

type Takes = dyn Fn(&Enriching<'_>) -> bool + Send + Sync;

/// What tells which events are put into the outbox.
#[derive(Clone)]
pub(crate) struct OutboxFilter(Arc<Takes>);

impl OutboxFilter {
    /// Whether an event is put into the outbox.
    pub(crate) fn takes(
        &self,
        context: &Context,
        record: &NewRecord,
        stream_id: &StreamId,
        tenant_id: &TenantId,
    ) -> bool {
        let event_name = &*record.name;
        (self.0)(&Enriching { event_name, stream_id, tenant_id, context, record })
    }
}

impl fmt::Debug for OutboxFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutboxFilter")
    }
}

impl<B: Backend> EventStore<B> {
    /// This store with an outbox: an event that this handle, its clones and the handles made of it append is put there if the
    /// filter says so, in the transaction that appends it. Both are kept, or neither is. [`outbox`](Self::outbox) publishes it.
    ///
    /// That goes for every way to append: to one stream or several, in a closure, in a transaction of the caller's, by a handler, by
    /// a repository, by a listener that was registered on such a handle. An append that is recognised as a repeat puts nothing there.
    ///
    /// The filter sees the event as it is to be stored, undecoded; it takes the place of one that was given before. A handle
    /// without a filter puts nothing into the outbox, and pays nothing for it. On PostgreSQL, an append with entries is still one
    /// statement.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where the backend has no outbox.
    ///
    /// ```
    /// use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
    /// use event_sourcery::{Error, EventStore, MemoryBackend, RawEvent, StreamId};
    ///
    /// struct Printer;
    ///
    /// impl Publisher for Printer {
    ///     fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
    ///         Box::pin(async move {
    ///             let print = |entry: &OutboxEntry| println!("{}", entry.recorded().event().name());
    ///             entries.iter().map(|entry| Ok(print(entry))).collect()
    ///         })
    ///     }
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new()).with_outbox(|event| event.event_name == "Paid")?;
    /// store.append(&StreamId::random(), [RawEvent::new("Drafted", "{}")?, RawEvent::new("Paid", "{}")?]).await?;
    ///
    /// let published = store.outbox().run(Printer).await?;
    /// assert_eq!(published.entries, 1);
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn with_outbox(
        self,
        filter: impl Fn(&Enriching<'_>) -> bool + Send + Sync + 'static,
    ) -> Result<Self> {
        if !self.backend().capabilities().outbox {
            return Err(Error::unsupported(self.backend().name(), "an outbox"));
        }
        Ok(self.putting_into_outbox(OutboxFilter(Arc::new(filter))))
    }

    /// The outbox, to be published, and looked after. Whoever runs it need not have given it a filter: it is about what is there.
    ///
    /// On the default handle it publishes every tenant's entries; on a tenant's, that tenant's only.
    pub fn outbox(&self) -> Outbox<B> {
        Outbox::new(self.clone())
    }
}
