//! What is read across streams in order to decide on it, and the boundary of that decision.

use std::sync::Arc;

use super::records::StoredRecord;
use crate::query::Query;
use crate::stream_id::TenantId;

/// Which events to read of a tenant's, however many they are, with the boundary behind them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReadRequest {
    /// Whose events.
    pub tenant: TenantId,
    /// Which of them.
    pub query: Query,
}

impl ReadRequest {
    /// The tenant's events that match.
    #[must_use]
    pub const fn new(tenant: TenantId, query: Query) -> Self {
        Self { tenant, query }
    }
}

/// What was read by a query, and its boundary: both as of one moment.
///
/// Everything that is committed is in it, whether or not its position is settled; nothing is waited for.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReadRecords {
    /// The events that match, in position order.
    pub records: Vec<StoredRecord>,
    /// What has to stay as it is for a decision on them to hold.
    pub boundary: Boundary,
}

impl ReadRecords {
    /// These events, and the boundary behind them.
    #[must_use]
    pub const fn new(records: Vec<StoredRecord>, boundary: Boundary) -> Self {
        Self { records, boundary }
    }
}

/// The boundary of a decision: a query, and what of it had been read. An append [holds](crate::Append::unless_moved) while it has
/// not moved: while no event was committed that matches and that was not read.
///
/// One that was read in a transaction is one outside of it as well, once that has committed. What was read of the transaction's own events
/// decides nothing once these are rolled back, with it or to a savepoint: it has moved.
///
/// It is for the store that it was read from, while the process lives: do not keep it. A backup that is restored may take back what
/// it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    tenant: TenantId,
    query: Query,
    mark: Arc<str>,
}

impl Boundary {
    /// The boundary behind what was read; the mark is the backend's own.
    #[must_use]
    pub fn new(tenant: TenantId, query: Query, mark: impl Into<Arc<str>>) -> Self {
        Self { tenant, query, mark: mark.into() }
    }

    /// Whose events it is about.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Which of them.
    #[must_use]
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// How the backend that has read it tells how far that was; nobody else can read it.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }
}
