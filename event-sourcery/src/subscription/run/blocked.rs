//! Streams that wait for a failed event, tried again when it is time.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::session::{Key, Session};
use super::{PAGE, Runner};
use crate::backend::{
    self, BlockedRequest, BlockedStream, Filter, LoadRequest, ProgressRequest, ScanRequest, Segments, Span,
    StoredRecord, StreamProgress,
};
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::deliver::{Deliver, whole};
use crate::wrapped_event::Recorded;

/// How often is looked, at least, for blocked streams that somebody has asked to be tried again.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// How many blocked streams, or events of one of them, are tried before reading on.
const RETRIED: usize = 16;

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    pub(super) async fn blocked(&self, segments: Segments) -> Result<HashSet<Key>> {
        let (subscription, limit) = (self.plan.id.clone(), PAGE);
        let mut request = BlockedRequest {
            subscription,
            segments: Some(segments),
            due: false,
            after: Position::START,
            limit,
        };
        let mut all = HashSet::new();
        loop {
            let page = self.plan.backend.blocked_streams(request.clone()).await?;
            let last = page.last().filter(|_| page.len() == limit).map(|last| last.position);
            all.extend(page.into_iter().map(|blocked| (blocked.tenant, blocked.stream)));
            match last {
                Some(last) => request.after = last,
                None => return Ok(all),
            }
        }
    }

    /// Tries again what has waited long enough.
    pub(super) async fn retry_what_is_due(&mut self, session: &mut Session) -> Result<()> {
        if session.blocked.is_empty() || Instant::now() < session.look_at {
            return Ok(());
        }
        let request = BlockedRequest {
            subscription: self.plan.id.clone(),
            segments: Some(Segments::new(session.of, session.held.keys().copied())),
            due: true,
            after: Position::START,
            limit: RETRIED,
        };
        let due = self.plan.backend.blocked_streams(request).await?;
        session.look_at = Instant::now();
        if due.len() < RETRIED {
            session.look_at += self.plan.retry.first_pause.clamp(Duration::from_millis(10), LOOK);
        }
        for blocked in due {
            if self.stop.is_requested() || Instant::now() >= self.renew_at(session) {
                return Ok(());
            }
            self.retry(session, blocked).await?;
        }
        Ok(())
    }

    /// Goes on with a blocked stream: its failed event, and those behind it.
    async fn retry(&mut self, session: &mut Session, mut blocked: BlockedStream) -> Result<()> {
        for _ in 0..RETRIED {
            if self.stop.is_requested() {
                return Ok(());
            }
            let Some(held) = session.held.get(&blocked.segment).copied() else { return Ok(()) };
            let key = (blocked.tenant.clone(), blocked.stream.clone());
            let id = self.plan.id.clone();
            let progress = |change| ProgressRequest {
                subscription: id.clone(),
                leases: vec![held.lease],
                position: Some(held.position),
                streams: vec![change],
            };
            let freed = || StreamProgress::Free(blocked.at(), key.0.clone(), key.1.clone());
            let (record, is_last) = match self.next_of(&blocked, held.position).await? {
                NextOf::Event { record, is_last } => (record, is_last),
                NextOf::Unwanted(position) => {
                    let behind = blocked.behind(position);
                    let change = StreamProgress::Change(blocked.at(), behind.clone());
                    self.plan.backend.progress(progress(change)).await?;
                    blocked = behind;
                    continue;
                }
                NextOf::Nothing => {
                    self.plan.backend.progress(progress(freed())).await?;
                    session.blocked.remove(&key);
                    return Ok(());
                }
            };
            let position = record.event.position;
            let behind = blocked.behind(position);
            let change = if is_last { freed() } else { StreamProgress::Change(blocked.at(), behind.clone()) };
            let (error, pause) = match Recorded::<E>::decode(&record) {
                Err(error) => (whole(&error), None),
                Ok(event) => {
                    let kept = progress(change);
                    let delivered = self.deliver(session, vec![event], move |_| kept.clone()).await?;
                    let Some((_, error)) = delivered.failed else {
                        if is_last {
                            session.blocked.remove(&key);
                            return Ok(());
                        }
                        blocked = behind;
                        continue;
                    };
                    (error, self.plan.retry.pause(blocked.attempts_at(position)))
                }
            };
            let failed = BlockedStream {
                position,
                attempts: blocked.attempts_at(position),
                error,
                retry_at: pause.map(|pause| backend::later(session.now(), pause)),
                ..blocked.clone()
            };
            self.tell(&failed, &record);
            let change = StreamProgress::Change(blocked.at(), failed);
            return self.plan.backend.progress(progress(change)).await;
        }
        session.look_at = Instant::now();
        Ok(())
    }

    /// What comes next in a blocked stream, up to a position.
    async fn next_of(&self, blocked: &BlockedStream, up_to: Position) -> Result<NextOf> {
        let BlockedStream { tenant, stream, after, position, .. } = blocked;
        let passes = |name: &str| self.plan.filter.passes(tenant, stream, name);
        let failed = self.event_at(*position, tenant, stream).await?;
        // What is gone tells nothing of where its stream goes on.
        let mut span = if failed.is_some() { Span::After(*position) } else { Span::Full };
        let mut found = failed.filter(|failed| after < position && passes(&failed.event.name));
        loop {
            let (tenant, stream) = (tenant.clone(), stream.clone());
            let page =
                self.plan.backend.load(LoadRequest { tenant, stream, span, limit: Some(PAGE) }).await?;
            if matches!(span, Span::After(anchor) if page.first_position.is_some_and(|first| first > anchor))
            {
                // It was deleted meanwhile, and made anew.
                (span, found) = (Span::Full, None);
                continue;
            }
            let last = page.events.last().map(|last| last.position).filter(|_| page.has_more);
            for event in page.events {
                if event.position > up_to {
                    return Ok(NextOf::last(found));
                }
                if event.position <= *after || !passes(&event.name) {
                    continue;
                }
                if let Some(found) = found {
                    return Ok(NextOf::Event { record: found, is_last: false });
                }
                let (tenant, stream) = (blocked.tenant.clone(), blocked.stream.clone());
                found = Some(StoredRecord { stream, tenant, event });
            }
            match (last, found) {
                (None, found) => return Ok(NextOf::last(found)),
                (Some(_), Some(record)) => return Ok(NextOf::Event { record, is_last: false }),
                (Some(last), None) if last > *after => return Ok(NextOf::Unwanted(last)),
                (Some(last), None) => (span, found) = (Span::After(last), None),
            }
        }
    }

    /// The event of a stream at a position, if it is still there.
    async fn event_at(
        &self,
        position: Position,
        tenant: &TenantId,
        stream: &StreamId,
    ) -> Result<Option<StoredRecord>> {
        let filter = Filter { tenant: Some(tenant.clone()), ..Filter::default() };
        let after = Position::from_i64(position.to_i64() - 1);
        let page =
            self.plan.backend.scan(ScanRequest { after, up_to: Some(position), filter, limit: 1 }).await?;
        Ok(page.records.into_iter().find(|record| record.stream == *stream))
    }
}

/// What comes next in a blocked stream.
enum NextOf {
    /// An event, and whether nothing is known to follow it.
    Event { record: StoredRecord, is_last: bool },
    /// Nothing that is wanted up to here, where one of its events stands. There are more behind.
    Unwanted(Position),
    /// Nothing.
    Nothing,
}

impl NextOf {
    fn last(found: Option<StoredRecord>) -> Self {
        found.map_or(Self::Nothing, |record| Self::Event { record, is_last: true })
    }
}

impl BlockedStream {
    /// The stream once everything up to an event of it is handled, while those behind it still wait.
    fn behind(&self, position: Position) -> Self {
        let (error, retry_at) = (String::new(), Some(self.since));
        Self { after: position, position, attempts: 0, error, retry_at, ..self.clone() }
    }

    /// How often the event at this position has failed, once it fails again.
    fn attempts_at(&self, position: Position) -> u32 {
        if self.position == position { self.attempts.saturating_add(1) } else { 1 }
    }
}
