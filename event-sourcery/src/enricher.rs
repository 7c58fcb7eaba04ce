//! Context enrichers: what an application adds to the context of every event it appends.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::backend::NewRecord;
use crate::context::{Context, ContextComponent, component_value};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::panics::caught;
use crate::stream_id::{StreamId, TenantId};

/// The event that an enricher, or the filter of an outbox, is asked about.
#[derive(Debug)]
#[non_exhaustive]
pub struct Enriching<'a> {
    /// The event's stored name.
    pub event_name: &'a str,
    /// The stream it is appended to.
    pub stream_id: &'a StreamId,
    /// Whose stream.
    pub tenant_id: &'a TenantId,
    /// The context so far: what the caller set, and what enrichers before this one added. The filter of an outbox sees all of it.
    pub context: &'a Context,
    /// As it is to be stored, but for its context.
    pub(crate) record: &'a NewRecord,
}

impl Enriching<'_> {
    /// The event, as a type that decodes it: its own, or one that gathers it. `None` where the type does not.
    ///
    /// It is decoded when it is asked for, from what is to be stored; who does not ask pays nothing.
    ///
    /// ```
    /// # use event_sourcery::{ContextComponent, Event, EventStore, MemoryBackend, StreamId};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Event, Serialize, Deserialize)]
    /// struct Paid { cents: i64 }
    ///
    /// #[derive(Serialize, Deserialize, Debug, PartialEq)]
    /// struct Review { reason: String }
    ///
    /// impl ContextComponent for Review {
    ///     const NAME: &'static str = "review";
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = EventStore::new(MemoryBackend::new()).with_enricher(|event| {
    ///     let paid = event.event::<Paid>()?;
    ///     (paid.cents > 100_000).then(|| Review { reason: "a large sum".into() })
    /// })?;
    /// let stream = StreamId::random();
    /// store.append(&stream, [Paid { cents: 250_000 }, Paid { cents: 3 }]).await?;
    ///
    /// let events = store.load_stream::<Paid>(&stream).await?;
    /// assert!(events[0].context.component::<Review>()?.is_some());
    /// assert!(events[1].context.component::<Review>()?.is_none());
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn event<E: Event>(&self) -> Option<E> {
        let NewRecord { name, schema_version, data, .. } = self.record;
        caught(|| E::decode_stored(name, *schema_version, data)).ok()?.ok()
    }

    /// Its payload, as it is to be stored: the text of a JSON object.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.record.data
    }

    /// Its id.
    #[must_use]
    pub const fn event_id(&self) -> Uuid {
        self.record.id
    }

    /// When it happened, in UTC, to the microsecond.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.record.created_at
    }
}

type Enrich = dyn Fn(&Enriching<'_>) -> Result<Option<Value>> + Send + Sync;

/// One enricher, for the component that it is named after.
#[derive(Clone)]
pub(crate) struct Enricher {
    name: &'static str,
    enrich: Arc<Enrich>,
}

impl Enricher {
    pub(crate) fn new<C, F>(enricher: F) -> Self
    where
        C: ContextComponent,
        F: Fn(&Enriching<'_>) -> Option<C> + Send + Sync + 'static,
    {
        Self {
            name: C::NAME,
            enrich: Arc::new(move |event| enricher(event).as_ref().map(component_value).transpose()),
        }
    }
}

impl fmt::Debug for Enricher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Enricher").field(&self.name).finish()
    }
}

/// The enrichers of a store, in the order in which they run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Enrichers(Arc<Vec<Enricher>>);

impl Enrichers {
    pub(crate) fn add(&mut self, enricher: Enricher) -> Result<()> {
        if self.0.iter().any(|known| known.name == enricher.name) {
            return Err(Error::DuplicateEnricher { name: enricher.name.to_owned() });
        }
        Arc::make_mut(&mut self.0).push(enricher);
        Ok(())
    }

    /// Adds the components that the context does not have yet.
    pub(crate) fn enrich(
        &self,
        context: &mut Context,
        record: &NewRecord,
        stream_id: &StreamId,
        tenant_id: &TenantId,
    ) -> Result<()> {
        for enricher in self.0.iter() {
            if context.has_component(enricher.name) {
                continue;
            }
            let event_name = &*record.name;
            let event = Enriching { event_name, stream_id, tenant_id, context, record };
            if let Some(value) = (enricher.enrich)(&event)? {
                context.insert_component(enricher.name, value);
            }
        }
        Ok(())
    }
}
