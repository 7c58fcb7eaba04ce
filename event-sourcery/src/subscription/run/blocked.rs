//! Streams that wait for a failed event, tried again when it is time.

use std::collections::HashMap;

use jiff::Timestamp;
use tokio::time::Instant;

use super::session::{Held, Key, Session};
use super::{PAGE, Runner};
use crate::backend::{
    self, BlockedRequest, BlockedStream, Filter, LoadRequest, ProgressRequest, ScanRequest, Segments, Span,
    StoredRecord, StreamProgress,
};
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::blocked;
use crate::subscription::deliver::{Deliver, whole};
use crate::wrapped_event::Recorded;

/// How many blocked streams, or events of one of them, are tried before reading on.
const RETRIED: usize = 16;

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    pub(super) async fn blocked(&self, segments: Segments) -> Result<HashMap<Key, Option<Timestamp>>> {
        let all = blocked::all(&*self.plan.backend, self.plan.id.clone(), Some(segments)).await?;
        Ok(all.into_iter().map(|blocked| ((blocked.tenant, blocked.stream), blocked.retry_at)).collect())
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
        let mut is_done = due.len() < RETRIED;
        for blocked in due {
            is_done &= self.retry(session, blocked).await?;
        }
        if is_done {
            session.look_at = session.next_look();
        }
        Ok(())
    }

    /// Goes on with a blocked stream: its failed event, and those behind it. Whether nothing of it is to be done at once.
    async fn retry(&mut self, session: &mut Session, mut blocked: BlockedStream) -> Result<bool> {
        for _ in 0..RETRIED {
            if self.stop.is_requested() || Instant::now() >= self.renew_at(session) {
                return Ok(false);
            }
            match self.retry_next(session, &blocked).await? {
                Some(behind) => blocked = behind,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Tries what comes next in a blocked stream. What the stream is blocked by then, if it goes on at once.
    async fn retry_next(
        &mut self,
        session: &mut Session,
        blocked: &BlockedStream,
    ) -> Result<Option<BlockedStream>> {
        let Some(held) = session.held.get(&blocked.segment).copied() else { return Ok(None) };
        let next = self.next_of(blocked, held.position);
        let Some(next) = self.while_leased(session.asked, next).await? else { return Ok(None) };
        let (record, is_last) = match next {
            NextOf::Event { record, is_last } => (record, is_last),
            NextOf::Unwanted(position) => {
                return self.change(session, held, blocked, Some(blocked.behind(position))).await;
            }
            NextOf::Nothing => return self.change(session, held, blocked, None).await,
        };
        let position = record.event.position;
        let (error, pause) = match Recorded::<E>::decode(&record) {
            Err(error) => (whole(&error), None),
            Ok(event) => {
                let behind = (!is_last).then(|| blocked.behind(position));
                let kept = self.progress_of(held, blocked, behind.clone());
                let delivered = self.deliver(session, vec![event], move |_| kept.clone()).await?;
                let Some((_, error)) = delivered.failed else {
                    session.note(blocked, behind.as_ref());
                    return Ok(behind);
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
        self.change(session, held, blocked, Some(failed)).await?;
        Ok(None)
    }

    /// Keeps what a stream is blocked by now; `None`: it is free.
    async fn change(
        &self,
        session: &mut Session,
        held: Held,
        was: &BlockedStream,
        to: Option<BlockedStream>,
    ) -> Result<Option<BlockedStream>> {
        self.plan.backend.progress(self.progress_of(held, was, to.clone())).await?;
        session.note(was, to.as_ref());
        Ok(to)
    }

    fn progress_of(&self, held: Held, was: &BlockedStream, to: Option<BlockedStream>) -> ProgressRequest {
        let freed = || StreamProgress::Free(was.at(), was.tenant.clone(), was.stream.clone());
        ProgressRequest {
            subscription: self.plan.id.clone(),
            leases: vec![held.lease],
            position: Some(held.position),
            streams: vec![to.map_or_else(freed, |to| StreamProgress::Change(was.at(), to))],
        }
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
