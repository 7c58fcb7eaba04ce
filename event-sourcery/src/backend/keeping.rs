//! What a backend keeps for durable subscriptions, and how it is asked.

use async_trait::async_trait;

use super::presences::PresenceRecord;
use super::progress::{Backlog, BacklogRequest, BlockedRequest, BlockedStream, ProgressRequest};
use super::subscriptions::{SubscriptionChange, SubscriptionId, SubscriptionRecord};
use crate::error::Result;

/// What a backend keeps for durable subscriptions.
#[async_trait]
pub trait SubscriptionBackend {
    /// A subscription as it stands, [without members](SubscriptionRecord::as_of) that do not count any more by the store's
    /// clock; `None` where there is none of that name.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn subscription(&self, id: SubscriptionId) -> Result<Option<SubscriptionRecord>>;

    /// Reads a subscription, [applies](SubscriptionChange::apply) the change by the store's clock, and writes what it
    /// makes of it, atomically; tells what was written. [`SubscriptionChange::frees_streams`] says whether the blocked
    /// streams go too, and [`SubscriptionChange::renews`] which presence was renewed at that time, and is made where there is none of
    /// its number.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn change_subscription(
        &self,
        id: SubscriptionId,
        change: SubscriptionChange,
    ) -> Result<Option<SubscriptionRecord>>;

    /// Changes several subscriptions, none of them twice, each as [`change_subscription`](Self::change_subscription) does; tells
    /// of each what was written, in their order. Durable subscriptions of a process renew their leases by it, all together: let it
    /// cost about what one costs. Where it fails, some of them, or all, may have been changed; they are asked for again, each by itself.
    /// Without an implementation of its own, they are changed one after the other.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn change_subscriptions(
        &self,
        changes: Vec<(SubscriptionId, SubscriptionChange)>,
    ) -> Result<Vec<Option<SubscriptionRecord>>> {
        let mut records = Vec::with_capacity(changes.len());
        for (id, change) in changes {
            records.push(self.change_subscription(id, change).await?);
        }
        Ok(records)
    }

    /// Renews a presence: one row, however many members it vouches for. `None` where there is none of this number, so that each
    /// member has to ask for itself; so it is without an implementation of its own.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        let _ = presence;
        Ok(None)
    }

    /// Writes progress, all or nothing, in a transaction of its own.
    ///
    /// # Errors
    ///
    /// [`Error::LeaseLost`](crate::Error::LeaseLost) where a token is not the segment's, or a stream is not blocked as the
    /// request says; and the backend's own.
    async fn progress(&self, request: ProgressRequest) -> Result<()>;

    /// Streams that wait for a failed event, by the position of that event.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn blocked_streams(&self, request: BlockedRequest) -> Result<Vec<BlockedStream>>;

    /// Counts what lies between a position and the settled one.
    ///
    /// # Errors
    ///
    /// The backend's own.
    async fn backlog(&self, request: BacklogRequest) -> Result<Backlog>;
}
