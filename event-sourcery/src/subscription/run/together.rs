//! Streams that are tried again together: what has been replayed by the thousand shares its commits, as fresh events do.
//!
//! One event of each is handed over, in the order in which they are due. It goes as with fresh ones: one that fails is kept as failed, or
//! found by handing fewer over, and from then on they are tried one by one again, until that goes well.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Runner;
use super::blocked::NextOf;
use super::session::{Held, Session};
use crate::backend::{BlockedStream, ProgressRequest, StoredRecord, SubscriptionId};
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::subscription::deliver::{Deliver, Delivered, Failure};
use crate::wrapped_event::Recorded;

/// How long it is looked what comes next in so many streams.
const LOOK_FOR: Duration = Duration::from_millis(50);

/// A stream that is tried again.
struct Retried {
    blocked: BlockedStream,
    held: Held,
    /// The event that is handed over.
    record: Box<StoredRecord>,
    /// What the stream is blocked by once that is handled.
    behind: Option<BlockedStream>,
}

impl Retried {
    /// How often its event is handed over with this time.
    fn attempts(&self) -> u32 {
        self.blocked.attempts_at(self.record.event.position)
    }
}

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    /// Tries again the first streams that are due, at most so many. Not where there are no two that can be tried together.
    pub(super) async fn retry_together(&mut self, session: &mut Session, size: usize) -> Result<bool> {
        let as_of = self.plan.tail.deletions().now();
        let (events, retried): (Vec<Recorded<E>>, Vec<Retried>) =
            self.gather(session, size).await?.into_iter().unzip();
        if retried.len() < 2 {
            return Ok(false);
        }
        let attempts = retried.iter().map(Retried::attempts).max().unwrap_or(1);
        let (count, retried, id) = (retried.len(), Arc::new(retried), self.plan.id.clone());
        let progress = {
            let retried = Arc::clone(&retried);
            move |kept| progress_of(&id, retried.iter().take(kept))
        };
        let Delivered { kept, failed } = self.deliver(session, (events, as_of, attempts), progress).await?;
        self.failures = 0;
        for Retried { blocked, behind, .. } in retried.iter().take(kept) {
            session.note(blocked, behind.as_ref());
            session.due.tried_together(behind.is_some());
            session.held_back.remove(&(blocked.tenant.clone(), blocked.stream.clone()));
        }
        match failed {
            None if kept == count => session.together.handled(kept),
            None if kept > 0 => session.together.begin_anew(),
            // The first is gone: by itself, that is found out.
            None => session.together.behind(1),
            Some(Failure { of, error, .. }) if of > 1 => {
                self.tell_of_batch(of, &error);
                session.together.take_apart(of);
            }
            Some(Failure { at, .. }) if at > kept => session.together.behind(at - kept),
            Some(failure) => {
                if let Some(failing) = retried.get(kept) {
                    self.fails_among_others(session, failing, failure).await?;
                }
            }
        }
        Ok(true)
    }

    async fn fails_among_others(
        &self,
        session: &mut Session,
        failing: &Retried,
        Failure { error, took, pause, .. }: Failure,
    ) -> Result<()> {
        let Retried { blocked, held, record, .. } = failing;
        let (attempts, pause) = pause.after(&self.plan.retry, failing.attempts());
        self.fails_again(session, (*held, blocked), record, (error, attempts, pause));
        session.due.tried_together(false);
        session.held_back.remove(&(blocked.tenant.clone(), blocked.stream.clone()));
        self.keep_failures_after(session, took).await
    }

    /// What comes next in each of the first streams. It ends before one that is not simply to be handed its event, and where another
    /// checkpoint would have to be written.
    async fn gather(&self, session: &Session, size: usize) -> Result<Vec<(Recorded<E>, Retried)>> {
        let (mut gathered, until, mut reached) = (Vec::new(), Instant::now() + LOOK_FOR, None);
        for blocked in session.due.front().take(size) {
            let Some(held) = session.held.get(&blocked.segment).copied() else { break };
            let is_as_listed = session
                .waiting(&blocked.tenant, &blocked.stream)
                .is_some_and(|waiting| waiting.at == blocked.at());
            let is_as_far = *reached.get_or_insert(held.position) == held.position;
            if !is_as_listed || !is_as_far || Instant::now() >= until {
                break;
            }
            let next = self.while_leased(session.asked, self.next_of(session, held, blocked)).await?;
            let Some(NextOf::Event { record, next }) = next else { break };
            if !self.plan.filter.passes(&record.tenant, &record.stream, &record.event.name) {
                break;
            }
            let Ok(event) = Recorded::decode(&record) else { break };
            let behind = next.map(|next| blocked.behind(record.event.position, next));
            gathered.push((event, Retried { blocked: blocked.clone(), held, record, behind }));
        }
        Ok(gathered)
    }
}

/// The progress of those that are handled. All their segments have come equally far.
fn progress_of<'r>(
    id: &SubscriptionId,
    handled: impl Iterator<Item = &'r Retried> + Clone,
) -> ProgressRequest {
    let leases: BTreeSet<_> = handled.clone().map(|retried| retried.held.lease).collect();
    let position: Option<Position> = handled.clone().map(|retried| retried.held.position).max();
    ProgressRequest {
        subscription: id.clone(),
        leases: leases.into_iter().collect(),
        position,
        streams: handled.map(|retried| retried.blocked.becomes(retried.behind.clone())).collect(),
        outbox: None,
    }
}
