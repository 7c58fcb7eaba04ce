//! What nobody tells: it is looked at.

use std::sync::PoisonError;

use event_sourcery::backend::{Backend, Grouped};
use event_sourcery::look::{ListRequest, Look, SubscriptionId};
use event_sourcery::{EventStore, Result};

use crate::watching::{Telemetry, of};

/// So many subscriptions are listed at once.
const PAGE: usize = 100;

/// So many streams that wait are looked at.
const WAITING: usize = 1_000;

impl Telemetry {
    /// Looks at what stands still: how far subscriptions are behind, what is parked, who holds readers up, and how many calls have
    /// shared commits. Call it now and then, in one process: every 15 seconds, say.
    ///
    /// A subscription that cannot be read is left out: [`Look::subscriptions`] says why.
    ///
    /// It costs what [`Look::subscriptions`], [`Look::status`] and [`Look::blocked`] do, for each subscription, and [`Look::settled`].
    ///
    /// # Errors
    ///
    /// Those of these calls: [`Error::Unsupported`](event_sourcery::Error::Unsupported) where the backend cannot be looked into; and the
    /// backend's.
    pub async fn sample<B: Backend>(&self, store: &EventStore<B>) -> Result<()> {
        if let Some(grouped) = store.backend().grouped() {
            self.count(grouped);
        }
        let look = store.look();
        let mut from = None;
        loop {
            let page = look.subscriptions(ListRequest::new(PAGE).with_from(from)).await?;
            for subscription in &page.items {
                // One that cannot be read keeps nobody from the others.
                if subscription.unreadable.is_none() {
                    self.sample_one(look, &subscription.id).await?;
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        let holders = look.settled().await?.holders.unwrap_or_default();
        let longest = holders.iter().filter_map(|holder| holder.open_for).max().unwrap_or_default();
        self.instruments.held_up.record(longest.as_secs_f64(), &[]);
        Ok(())
    }

    async fn sample_one(&self, look: Look<'_>, id: &SubscriptionId) -> Result<()> {
        let (instruments, attributes) = (&*self.instruments, of(id));
        let Some(status) = look.status(id).await? else { return Ok(()) };
        let waiting = look.blocked(id, None, WAITING).await?;
        let parked = waiting.items.iter().filter(|blocked| blocked.retry_at.is_none());
        instruments.lag.record(status.events_behind, &attributes);
        instruments.lag_time.record(status.behind.as_secs_f64(), &attributes);
        instruments.members.record(status.members as u64, &attributes);
        instruments.parked_streams.record(parked.count() as u64, &attributes);
        Ok(())
    }

    /// Counts what was committed since that was counted last.
    fn count(&self, now: Grouped) {
        let mut counted = self.instruments.grouped.lock().unwrap_or_else(PoisonError::into_inner);
        self.instruments.commits.add(now.commits.saturating_sub(counted.commits), &[]);
        self.instruments.committed.add(now.calls.saturating_sub(counted.calls), &[]);
        *counted = now;
    }
}
