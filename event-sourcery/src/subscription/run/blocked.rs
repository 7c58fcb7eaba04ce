//! Streams that wait for a failed event, tried again when it is time.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::handle::unknown;
use super::session::{Held, Key, Session, Waiting};
use super::{PAGE, Runner};
use crate::backend::{
    self, BlockedRequest, BlockedStream, Filter, LoadRequest, ProgressRequest, ScanRequest, Segments, Span,
    StoredEvent, StoredRecord, StreamProgress, is_lost_stream_id, lost_stream_id,
};
use crate::error::Result;
use crate::event::Event;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::blocked;
use crate::subscription::deliver::{Deliver, Delivered, Failure};
use crate::subscription::guarded::whole;
use crate::wrapped_event::Recorded;

impl<E: Event, D: Deliver<E>> Runner<'_, E, D> {
    pub(super) async fn blocked(&self, segments: Segments) -> Result<HashMap<Key, Waiting>> {
        let every = BlockedRequest::new(self.plan.id.clone());
        let request = BlockedRequest { segments: Some(segments), errors: false, ..every };
        let all = blocked::all(&*self.plan.backend, request).await?;
        let waiting = all.into_iter().map(|blocked| {
            let waiting = Waiting::from(&blocked);
            ((blocked.tenant, blocked.stream), waiting)
        });
        Ok(waiting.collect())
    }

    /// Whether a stream has waited long enough to be tried again.
    pub(super) async fn is_anything_due(&self, session: &mut Session) -> Result<bool> {
        if session.due.is_known() {
            return Ok(true);
        }
        if session.blocked.is_empty() || Instant::now() < session.look_at {
            return Ok(false);
        }
        // What is listed would not be what is known.
        self.keep_failures(session).await?;
        let request = BlockedRequest {
            segments: Some(Segments::new(session.of, session.held.keys().copied())),
            due: true,
            after: session.due.after(),
            limit: session.due.limit(),
            ..BlockedRequest::new(self.plan.id.clone())
        };
        let due = self.plan.backend.blocked_streams(request).await?;
        if due.is_empty() && session.due.behind() == Position::START {
            // Those that were deleted before their turn came are not held back any more.
            session.held_back.clear();
        }
        session.looked_in_vain = session.looked_in_vain.saturating_add(1);
        for blocked in &due {
            session.note(blocked, Some(blocked));
        }
        if session.due.begins() {
            session.due.begin(session.last_blocked());
        }
        session.due.list(due);
        session.look_again();
        Ok(session.due.is_known())
    }

    /// Tries again the stream whose turn it is: one event of it. While that goes well, more and more of them together.
    pub(super) async fn retry(&mut self, session: &mut Session) -> Result<()> {
        if session.failures.hold_up_checkpoints() {
            self.keep_failures(session).await?;
        }
        let size = session.together.next();
        let may_be_several = size > 1 && session.due.are_several() && !self.plan.publishes;
        if may_be_several && self.retry_together(session, size).await? {
            session.look_again();
            return Ok(());
        }
        let Some(blocked) = session.due.first().cloned() else { return Ok(()) };
        // Something may have happened to it since it was listed.
        let behind = match session.waiting(&blocked.tenant, &blocked.stream) {
            Some(waiting) if waiting.at == blocked.at() => self.retry_next(session, &blocked).await?,
            _ => None,
        };
        session.due.tried(behind);
        session.held_back.remove(&(blocked.tenant, blocked.stream));
        session.look_again();
        Ok(())
    }

    /// Tries what comes next in a blocked stream. What the stream is blocked by then, if it goes on at once.
    async fn retry_next(
        &mut self,
        session: &mut Session,
        blocked: &BlockedStream,
    ) -> Result<Option<BlockedStream>> {
        let Some(held) = session.held.get(&blocked.segment).copied() else { return Ok(None) };
        let as_of = self.plan.tail.deletions().now();
        let next = self.next_of(session, held, blocked);
        let Some(next) = self.while_leased(session.asked, next).await? else { return Ok(None) };
        let (record, behind) = match next {
            NextOf::Event { record, next } => (record, next),
            NextOf::Unwanted(position) => {
                return self.change(session, held, blocked, Some(blocked.behind(position, position))).await;
            }
            NextOf::Nothing => return self.change(session, held, blocked, None).await,
            NextOf::Unknown => return Ok(None),
        };
        let position = record.event.position;
        let is_known = self.plan.filter.passes(&record.tenant, &record.stream, &record.event.name);
        if !is_known && record.event.unreadable.is_none() {
            return self.leave_to_others(session, held, blocked, &record).await;
        }
        let (error, attempts, pause, took) = match Recorded::<E>::decode(&record) {
            Err(error) => (whole(&error), blocked.attempts_at(position), None, Duration::ZERO),
            Ok(event) => {
                let behind = behind.map(|next| blocked.behind(position, next));
                let kept = self.progress_of(held, blocked, behind.clone());
                let read = (vec![event], as_of, blocked.attempts_at(position));
                let Delivered { kept, failed } = self.deliver(session, read, move |_| kept.clone()).await?;
                self.failures = 0;
                match failed {
                    Some(Failure { error, took, pause, .. }) => {
                        let (attempts, pause) = pause.after(&self.plan.retry, blocked.attempts_at(position));
                        (error, attempts, pause, took)
                    }
                    // It was deleted before it was handed over.
                    None if kept == 0 => return Ok(None),
                    None => {
                        session.note(blocked, behind.as_ref());
                        session.together.handled(1);
                        return Ok(behind);
                    }
                }
            }
        };
        self.fails_again(session, (held, blocked), &record, (error, attempts, pause));
        self.keep_failures_after(session, took).await?;
        Ok(None)
    }

    /// An event of a name that this member does not know waits for one that does.
    async fn leave_to_others(
        &self,
        session: &mut Session,
        held: Held,
        blocked: &BlockedStream,
        record: &StoredRecord,
    ) -> Result<Option<BlockedStream>> {
        let left = BlockedStream {
            position: record.event.position,
            attempts: 0,
            error: unknown(&record.event.name),
            retry_at: Some(backend::later(session.now(), self.plan.lease)),
            ..blocked.clone()
        };
        self.change(session, held, blocked, Some(left)).await?;
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
        ProgressRequest {
            subscription: self.plan.id.clone(),
            leases: vec![held.lease],
            position: Some(held.position),
            streams: vec![was.becomes(to)],
            outbox: None,
        }
    }

    /// What comes next in a blocked stream.
    pub(super) async fn next_of(
        &self,
        session: &Session,
        held: Held,
        blocked: &BlockedStream,
    ) -> Result<NextOf> {
        let BlockedStream { tenant, stream, after, position, .. } = blocked;
        let left = Left { session, held, blocked };
        let failed = self.event_at(*position, tenant, stream).await?;
        // What is gone tells nothing of where its stream goes on.
        let mut span = match &failed {
            Some(_) => Span::After(*position),
            None if after < position && self.event_at(*after, tenant, stream).await?.is_some() => {
                Span::After(*after)
            }
            None => Span::Full,
        };
        let mut found = failed.filter(|failed| left.contains(&failed.event));
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
            // An event of it was there a moment ago. If the stream was deleted since, that shows in the next look.
            if matches!(span, Span::After(_))
                && page.first_position.is_none()
                && !is_lost_stream_id(&blocked.stream)
            {
                return Ok(NextOf::Unknown);
            }
            let last = page.events.last().map(|last| last.position).filter(|_| page.has_more);
            for event in page.events {
                if event.position > left.end() {
                    return Ok(NextOf::last(found));
                }
                if !left.contains(&event) {
                    continue;
                }
                if let Some(record) = found {
                    return Ok(NextOf::event(record, Some(event.position)));
                }
                let (tenant, stream) = (blocked.tenant.clone(), blocked.stream.clone());
                found = Some(StoredRecord { stream, tenant, event });
            }
            match (last, found) {
                (None, None) if page.first_position.is_none() => {
                    return Ok(NextOf::last(self.lost_event_of(blocked).await?));
                }
                (None, found) => return Ok(NextOf::last(found)),
                (Some(last), None) if last > *after => return Ok(NextOf::Unwanted(last)),
                (Some(last), None) => (span, found) = (Span::After(last), None),
                // Nothing is left between the two.
                (Some(last), Some(record)) => return Ok(NextOf::event(record, Some(last))),
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
        let filter = Filter::default();
        let request = ScanRequest { after: position.previous(), up_to: Some(position), filter, limit: 1 };
        let page = self.plan.backend.scan(request).await?;
        // The row of a stream that was lost may be there again.
        let was_lost = *stream == lost_stream_id(position);
        let is_meant = |record: &StoredRecord| record.tenant == *tenant && record.stream == *stream;
        Ok(page.records.into_iter().find(|record| was_lost || is_meant(record)))
    }

    /// An event of a stream that is not there, where it was not deleted: its row is lost, and what is left of it waits.
    async fn lost_event_of(&self, blocked: &BlockedStream) -> Result<Option<StoredRecord>> {
        if is_lost_stream_id(&blocked.stream) {
            return Ok(None);
        }
        for position in [blocked.position, blocked.after] {
            let lost = lost_stream_id(position);
            if let Some(record) = self.event_at(position, &TenantId::DEFAULT, &lost).await?
                && record.stream == lost
            {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// What comes next in a blocked stream.
pub(super) enum NextOf {
    /// An event, and where the one stands that follows it.
    Event { record: Box<StoredRecord>, next: Option<Position> },
    /// Nothing that is wanted up to here, where one of its events stands. There are more behind.
    Unwanted(Position),
    /// Nothing.
    Nothing,
    /// One read has found what another has not: it is to be looked again.
    Unknown,
}

impl NextOf {
    fn event(record: StoredRecord, next: Option<Position>) -> Self {
        Self::Event { record: Box::new(record), next }
    }

    fn last(found: Option<StoredRecord>) -> Self {
        found.map_or(Self::Nothing, |record| Self::event(record, None))
    }
}

/// What is left to be handled of a blocked stream.
///
/// Mostly it is what follows `after`, up to the checkpoint. Where the checkpoint was moved back, to hand over what had been
/// passed, two things are left: what was not handled before, above `after`; and what had been passed, from `position` on if
/// that stands at or below `after`, up to the checkpoint.
struct Left<'s> {
    session: &'s Session,
    held: Held,
    blocked: &'s BlockedStream,
}

impl Left<'_> {
    /// Nothing is left above this position.
    fn end(&self) -> Position {
        self.session.handled_up_to(self.held)
    }

    fn contains(&self, event: &StoredEvent) -> bool {
        let BlockedStream { tenant, stream, after, position: failed, .. } = self.blocked;
        let (kept, segment, position) = (&self.session.kept, self.held.lease.segment, event.position);
        let was_handled = kept.was_handled(segment, tenant, stream, event);
        let was_passed = failed <= after && *failed <= kept.handled_up_to(segment);
        self.session.wanted.wants(tenant, stream, event)
            && !kept.was_present(position)
            && !kept.was_left_out(segment, tenant, stream, event)
            && (was_handled || position <= self.held.position)
            && (position > *after || was_passed && !was_handled && position >= *failed)
    }
}

impl BlockedStream {
    /// The stream once everything up to an event of it is handled, while those from `next` on still wait.
    pub(super) fn behind(&self, handled: Position, next: Position) -> Self {
        let (error, retry_at, after) = (String::new(), Some(self.since), self.after.max(handled));
        Self { after, position: next, attempts: 0, error, retry_at, ..self.clone() }
    }

    /// What is written of it once it is blocked by something else; `None`: by nothing.
    pub(super) fn becomes(&self, to: Option<Self>) -> StreamProgress {
        match to {
            Some(to) => StreamProgress::Change(self.at(), to),
            None => StreamProgress::Free(self.at(), self.tenant.clone(), self.stream.clone()),
        }
    }

    /// How often the event at this position has failed, once it fails again.
    pub(super) fn attempts_at(&self, position: Position) -> u32 {
        if self.position == position { self.attempts.saturating_add(1) } else { 1 }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use crate::testing::FaultyBackend;
    use crate::{EventStore, MemoryBackend, RawEvent, StreamId};

    #[tokio::test]
    async fn a_stream_that_is_not_found_where_its_event_was_is_looked_at_again_and_loses_nothing() {
        let backend = FaultyBackend::new(MemoryBackend::new());
        let store = EventStore::new(backend.clone());
        let events: Vec<_> = (0..3).map(|_| RawEvent::new("Happened", "{}").unwrap()).collect();
        store.append(&StreamId::random(), events).await.unwrap();
        let handled = Arc::<Mutex<Vec<i64>>>::default();
        let (noted, done) = (Arc::clone(&handled), Arc::clone(&handled));
        let until_all = async move {
            while done.lock().unwrap().len() < 3 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let mut has_failed = false;
        let run = store.subscribe::<RawEvent>().durable("letters").until(until_all).run(
            async move |recorded, _| {
                if !std::mem::replace(&mut has_failed, true) {
                    backend.hide_streams(3);
                    return Err("it fails once".into());
                }
                noted.lock().unwrap().push(recorded.position.to_i64());
                Ok(())
            },
        );
        timeout(Duration::from_secs(60), run).await.expect("nothing is lost").unwrap();
        assert_eq!(*handled.lock().unwrap(), [1, 2, 3]);
    }
}
