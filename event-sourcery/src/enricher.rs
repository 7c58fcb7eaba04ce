//! Context enrichers: what an application adds to the context of every event it appends.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::context::{Context, ContextComponent, component_value};
use crate::error::{Error, Result};
use crate::stream_id::{StreamId, TenantId};

/// The event that an enricher is asked about.
#[derive(Debug)]
#[non_exhaustive]
pub struct Enriching<'a> {
    /// The event's stored name.
    pub event_name: &'a str,
    /// The stream it is appended to.
    pub stream_id: &'a StreamId,
    /// Whose stream.
    pub tenant_id: &'a TenantId,
    /// The context so far: what the caller set, and what enrichers before this one added.
    pub context: &'a Context,
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
        event_name: &str,
        stream_id: &StreamId,
        tenant_id: &TenantId,
    ) -> Result<()> {
        for enricher in self.0.iter() {
            if context.has_component(enricher.name) {
                continue;
            }
            if let Some(value) = (enricher.enrich)(&Enriching { event_name, stream_id, tenant_id, context })?
            {
                context.insert_component(enricher.name, value);
            }
        }
        Ok(())
    }
}
