//! What a handle adds to every call.

use std::sync::Arc;

use crate::backend::{LoadRequest, Span};
use crate::context::Cause;
use crate::enricher::Enrichers;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::Deletions;

/// What a handle adds to every call: whose streams, and which context.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) tenant: TenantId,
    pub(crate) enrichers: Enrichers,
    /// The event that causes what is appended.
    pub(crate) cause: Option<Cause>,
    /// Where what is deleted is noted: for all handles of the store, or until a transaction is over.
    pub(crate) deletions: Arc<Deletions>,
}

/// The request that finds a stream's version.
pub(crate) fn last_event(scope: &Scope, stream: &StreamId) -> LoadRequest {
    LoadRequest { tenant: scope.tenant.clone(), stream: stream.clone(), span: Span::Last, limit: None }
}
