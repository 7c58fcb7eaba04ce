//! What a handle adds to every call.

use std::sync::Arc;

use crate::backend::{JoinedTransaction, LoadRequest, Span};
use crate::context::HandedDown;
use crate::enricher::Enrichers;
use crate::error::{Error, Result};
use crate::outbox::OutboxFilter;
use crate::privacy::{self, Vault};
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::Deletions;
use crate::telemetry::Observing;
use crate::wrapped_event::Recorded;

/// What a handle adds to every call: whose streams, and which context.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) tenant: TenantId,
    pub(crate) enrichers: Enrichers,
    /// What is put into the outbox; `None`: nothing.
    pub(crate) outbox: Option<OutboxFilter>,
    /// What the context of each event is that says nothing else.
    pub(crate) handed_down: HandedDown,
    /// Where what is deleted is noted: for all handles of the store, or until a transaction is over.
    pub(crate) deletions: Arc<Deletions>,
    /// What is encrypted and decrypted with; `None`: nothing is.
    pub(crate) vault: Option<Arc<Vault>>,
    /// Who is told what is done.
    pub(crate) observing: Observing,
    /// The name of the backend, if it has no tags.
    pub(crate) without_tags: Option<&'static str>,
}

impl Scope {
    /// A transaction of the caller's, as this handle calls it.
    pub(crate) fn joined<'a>(
        &self,
        transaction: Box<dyn JoinedTransaction + 'a>,
    ) -> Box<dyn JoinedTransaction + 'a> {
        privacy::joined(transaction, self.vault.as_ref())
    }

    /// Refuses what must not be sent to a backend that has no tags.
    pub(crate) fn check_tags(&self) -> Result<()> {
        self.without_tags.map_or(Ok(()), |backend| Err(Error::unsupported(backend, "tags")))
    }

    /// For the tenant of an event, and with its context.
    pub(crate) fn reacting_to<E>(&self, event: &Recorded<E>) -> Self {
        let handed_down = self.handed_down.caused_by(&event.wrapped_event);
        Self { tenant: event.tenant_id.clone(), handed_down, ..self.clone() }
    }
}

/// The request that finds a stream's version.
pub(crate) fn last_event(scope: &Scope, stream: &StreamId) -> LoadRequest {
    LoadRequest { tenant: scope.tenant.clone(), stream: stream.clone(), span: Span::Last, limit: None }
}
