//! Handing events over: what is kept of it, and what is blocked.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Runner;
use super::session::{Key, LOOK, Load, Obstacle, Session, Taken};
use crate::backend::{
    self, BlockedAt, BlockedStream, Lease, ProgressRequest, StoredRecord, StreamProgress, SubscriptionId,
};
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::subscription::deliver::{Deliver, Delivered, Failure};
use crate::subscription::later;
use crate::telemetry::Observed;

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    /// Hands over some of what is pending.
    pub(super) async fn handle(&mut self, session: &mut Session) -> Result<()> {
        let size = session.sizes.next();
        let Load { taken, events, held_back, ended_by } = session.take(size, &self.plan.filter);
        let handed = Arc::new(Handed::new(self.plan.id.clone(), &taken));
        if events.is_empty() {
            if !taken.is_empty() {
                let mut progress = handed.progress(taken.len());
                progress.streams.splice(..0, held_back.into_iter().map(StreamProgress::Block));
                self.plan.backend.progress(session.failures.with(progress)).await?;
                session.failures_are_kept();
                session.consumed(&taken);
            }
            match ended_by {
                Some((record, obstacle)) if taken.is_empty() => {
                    self.leave_to_its_stream(session, &record, obstacle).await?;
                }
                Some((record, _)) => session.pending.push_front(record),
                None => {}
            }
            session.pass_page();
            return Ok(());
        }
        if let Some((record, _)) = ended_by {
            session.pending.push_front(record);
        }
        let (begun, handed_over) = (Instant::now(), events.len());
        let delivered = {
            let (handed, failures) = (Arc::clone(&handed), Arc::clone(&session.failures));
            let read = (events, session.as_of, 1);
            self.deliver(session, read, move |kept| failures.with(handed.progress(handed.items(kept))))
                .await?
        };
        self.failures = 0;
        let Delivered { kept, failed } = delivered;
        if kept > 0 {
            session.failures_are_kept();
        }
        let in_vain = failed.as_ref().map_or(Duration::ZERO, |failure| failure.took);
        session.debts.pay(begun.elapsed().saturating_sub(in_vain));
        let consumed = if kept == 0 { 0 } else { handed.items(kept) };
        let (done, rest) = taken.split_at(consumed.min(taken.len()));
        session.consumed(done);
        match failed {
            Some(failure) => self.find_what_failed(session, kept, rest, failure).await?,
            None => {
                session.went_well(kept, handed_over);
                session.put_back(rest);
            }
        }
        session.pass_page();
        Ok(())
    }

    /// Blocks the stream of the event that has failed, or says how to find it, among the `rest` behind what was kept.
    async fn find_what_failed(
        &self,
        session: &mut Session,
        kept: usize,
        rest: &[Taken],
        failure: Failure,
    ) -> Result<()> {
        let Failure { at, of, error, took, pause } = failure;
        if of > 1 {
            self.tell_of_batch(of, &error);
            session.debts.failed_together(took);
            session.sizes.take_apart(of);
        } else if at > kept {
            session.sizes.behind(at - kept);
        } else if let Some(place) = rest.iter().position(|item| item.is_handled) {
            let (before, failing) = rest.split_at(place);
            if let Some((failing, behind)) = failing.split_first() {
                session.put_back(behind);
                session.debts.failed(&failing.record.tenant, took);
                let (attempts, pause) = pause.after(&self.plan.retry, 1);
                self.block(session, before, &failing.record, attempts, error, pause);
                return self.keep_failures_after(session, took).await;
            }
        }
        session.put_back(rest);
        Ok(())
    }

    /// An event that is not for the handler, or not yet: its stream waits for it.
    async fn leave_to_its_stream(
        &self,
        session: &mut Session,
        record: &Arc<StoredRecord>,
        obstacle: Obstacle,
    ) -> Result<()> {
        match obstacle {
            Obstacle::Undecodable(error) => self.block(session, &[], record, 1, error, None),
            Obstacle::Unknown => {
                let error = unknown(&record.event.name);
                self.block(session, &[], record, 0, error, Some(self.plan.lease));
            }
            Obstacle::Overtaken(was) => self.wait_for_it_first(session, record, was).await?,
        }
        Ok(())
    }

    /// The stream waits for an event behind this one: from here on, for this one first.
    async fn wait_for_it_first(
        &self,
        session: &mut Session,
        record: &Arc<StoredRecord>,
        was: BlockedAt,
    ) -> Result<()> {
        let Some(held) = session.held_of(record) else { return Ok(()) };
        self.keep_failures(session).await?;
        let position = record.event.position;
        let first = BlockedStream { after: was.after, ..session.blocked_by(record, held) };
        let progress = ProgressRequest {
            subscription: self.plan.id.clone(),
            leases: vec![held.lease],
            position: Some(position),
            streams: vec![StreamProgress::Change(was, first.clone())],
            outbox: None,
        };
        self.plan.backend.progress(progress).await?;
        session.reach(held.lease.segment, position);
        session.note(&first, Some(&first));
        session.look_at = Instant::now();
        Ok(())
    }

    /// Blocks the stream of an event that failed; `before` are events in front of it that wait.
    fn block(
        &self,
        session: &mut Session,
        before: &[Taken],
        record: &Arc<StoredRecord>,
        attempts: u32,
        error: String,
        pause: Option<Duration>,
    ) {
        let Some(held) = session.held_of(record) else { return };
        let position = record.event.position;
        let blocked = session.blocked_by(record, held);
        let retry_at = pause.map(|pause| backend::later(blocked.since, pause));
        let blocked = BlockedStream { attempts, error, retry_at, ..blocked };
        self.tell(&blocked, record, attempts > 0);
        let mut progress = Handed::new(self.plan.id.clone(), before).progress(before.len());
        progress.leases.retain(|lease| *lease != held.lease);
        progress.leases.push(held.lease);
        progress.position = Some(position);
        progress.streams.push(StreamProgress::Block(blocked.clone()));
        session.failed(progress);
        session.consumed(before);
        session.reach(held.lease.segment, position);
        session.note(&blocked, Some(&blocked));
        session.look_at = session.look_at.min(later(Instant::now(), pause.unwrap_or(LOOK)));
    }

    /// What fails only together with others, no event is blocked by: nobody would hear of it.
    pub(super) fn tell_of_batch(&self, events: usize, error: &str) {
        let subscription = self.plan.id.told();
        tracing::warn!(subscription, events, error, "handling a batch failed: it is taken apart");
    }

    /// Tells that an event has failed, or waits for something else, which counts no attempt.
    pub(super) fn tell(&self, blocked: &BlockedStream, record: &StoredRecord, is_counted: bool) {
        let BlockedStream { stream, position, attempts, error, retry_at, .. } = blocked;
        let (subscription, event) = (self.plan.id.told(), &*record.event.name);
        match retry_at {
            Some(_) if !is_counted && self.plan.publishes => {
                tracing::debug!(subscription, event, %stream, %position, error, "an entry waits");
            }
            Some(_) if !is_counted => {
                tracing::warn!(subscription, event, %stream, %position, "an event is left to members that know it");
            }
            Some(_) => {
                tracing::warn!(subscription, event, %stream, %position, attempts, error, "handling an event failed");
            }
            None => {
                tracing::error!(subscription, event, %stream, %position, attempts, error, "an event is parked");
            }
        }
        let (subscription, attempts, is_parked) = (&self.plan.id, *attempts, retry_at.is_none());
        if is_counted {
            self.plan.observing.tell(&Observed::Failed { subscription, attempts, is_parked });
        }
    }
}

/// Why a member does not handle an event that the subscription is run for.
pub(super) fn unknown(name: &str) -> String {
    format!(
        "this member does not know events named {name}, which the subscription is run for: they wait for one that does"
    )
}

/// What was handed over, as the progress that it makes.
struct Handed {
    subscription: SubscriptionId,
    items: Vec<(Position, Lease, Option<Key>)>,
}

impl Handed {
    fn new(subscription: SubscriptionId, taken: &[Taken]) -> Self {
        let item = |taken: &Taken| {
            let record = &taken.record;
            let waits = (!taken.is_handled).then(|| (record.tenant.clone(), record.stream.clone()));
            (record.event.position, taken.lease, waits)
        };
        Self { subscription, items: taken.iter().map(item).collect() }
    }

    /// How many items are done once so many events are handled: those that wait behind the last of them too.
    fn items(&self, handled: usize) -> usize {
        let mut events = self.items.iter().enumerate().filter(|(_, (.., waits))| waits.is_none());
        events.nth(handled).map_or(self.items.len(), |(next, _)| next)
    }

    /// The progress of the first items. That streams wait is checked with it: one that was deleted meanwhile, and made
    /// anew, does not.
    fn progress(&self, items: usize) -> ProgressRequest {
        let done = self.items.get(..items).unwrap_or(&self.items);
        let leases: BTreeSet<Lease> = done.iter().map(|(_, lease, _)| *lease).collect();
        let waiting: HashSet<&Key> = done.iter().filter_map(|(.., waits)| waits.as_ref()).collect();
        let waits = |(tenant, stream): &Key| StreamProgress::Waits(tenant.clone(), stream.clone());
        ProgressRequest {
            subscription: self.subscription.clone(),
            leases: leases.into_iter().collect(),
            position: done.last().map(|(position, ..)| *position),
            streams: waiting.into_iter().map(waits).collect(),
            outbox: None,
        }
    }
}
