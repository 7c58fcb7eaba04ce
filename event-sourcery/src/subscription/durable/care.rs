//! What can be done with what is kept under a subscription's name: looked at, mended, reset, forgotten.

use std::time::Duration;

use jiff::Timestamp;

use super::{Durable, Start, Status};
use crate::backend::{
    Backend, Backlog, BacklogRequest, BlockedRequest, BlockedStream, Filter, MOST_SEGMENTS, Present,
    ProgressRequest, Segments, StreamProgress, SubscriptionChange, SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::position::Position;
use crate::subscription::{blocked, refuse};

/// How many of the events that a subscription is behind are counted.
const COUNTED: u64 = 10_000;

impl<B: Backend, E: Event> Durable<B, E> {
    /// Where it stands; `None` where it has never run. It counts no more than 10,000 of the events that it is behind, and for no longer
    /// than a page takes: what it costs does not grow with the backlog.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn status(&self) -> Result<Option<Status>> {
        refuse(&self.of.refused)?;
        let backend = self.of.store.backend();
        let Some(record) = backend.subscription(self.id()?).await? else { return Ok(None) };
        let positions: Vec<Position> = record.segments.iter().map(|segment| segment.position).collect();
        let mut distinct = positions.clone();
        distinct.sort();
        distinct.dedup();
        let (mut behind, mut handled, mut has_more) = (Backlog::default(), 0, false);
        let filter = self.run_for(&record).unwrap_or_else(|| self.of.filter.clone());
        for position in &distinct {
            let here = (0..).zip(&positions).filter(|(_, of_segment)| *of_segment == position);
            let of = u16::try_from(positions.len()).unwrap_or(MOST_SEGMENTS);
            let segments = Segments::new(of, here.map(|(number, _)| number));
            let filter = Filter { segments: (!segments.are_all()).then_some(segments), ..filter.clone() };
            let most = COUNTED.saturating_sub(behind.events).max(1);
            let backlog = backend.backlog(BacklogRequest::new(*position, filter).at_most(most)).await?;
            handled += self.handled_above(&record, *position, backlog.cut_off, segments).await?;
            behind.events += backlog.events;
            has_more |= backlog.cut_off.is_some();
            behind.oldest = [behind.oldest, backlog.oldest].into_iter().flatten().min();
        }
        let now = Timestamp::now();
        let age = |oldest: Timestamp| Duration::try_from(now.duration_since(oldest));
        Ok(Some(Status {
            position: distinct.first().copied().unwrap_or(Position::START),
            members: record.members.len(),
            events_behind: behind.events.saturating_sub(handled),
            has_more,
            behind: behind.oldest.and_then(|oldest| age(oldest).ok()).unwrap_or_default(),
        }))
    }

    /// How many events above these segments' checkpoint, and up to where others were counted, were handled before it was moved back.
    async fn handled_above(
        &self,
        record: &SubscriptionRecord,
        checkpoint: Position,
        cut_off: Option<Position>,
        segments: Segments,
    ) -> Result<u64> {
        let (mut events, backend) = (0, self.of.store.backend());
        let Some(kept) = &record.kept else { return Ok(0) };
        for number in segments.numbers() {
            for (scope, after, up_to) in kept.handled_above(number, checkpoint) {
                let segments = Some(Segments::new(segments.of(), [number]));
                let filter = Filter { segments, ..scope.filter() };
                let up_to = cut_off.map_or(up_to, |cut_off| cut_off.min(up_to));
                if after < up_to {
                    events += backend.backlog(BacklogRequest::new(after, filter).up_to(up_to)).await?.events;
                }
            }
        }
        Ok(events)
    }

    /// The events that were given up after the last attempt, or could not be decoded: of each stream the first, which the others
    /// wait behind. In position order, each with its error.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn parked(&self) -> Result<Vec<BlockedStream>> {
        let mut blocked = self.blocked().await?;
        blocked.retain(|stream| stream.retry_at.is_none());
        Ok(blocked)
    }

    /// Every stream that waits for a failed event, parked or to be tried again, in the order of those events.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn blocked(&self) -> Result<Vec<BlockedStream>> {
        blocked::all(self.of.store.backend(), BlockedRequest::new(self.id()?)).await
    }

    /// Tries a failed event again, soon, with all its attempts before it: by whoever runs the subscription.
    ///
    /// # Errors
    ///
    /// [`Error::NotBlocked`] where the stream is not blocked by this event any more, or the event was left out; and the
    /// backend's.
    pub async fn replay(&self, failed: &BlockedStream) -> Result<()> {
        let again = BlockedStream { attempts: 0, retry_at: Some(failed.since), ..failed.clone() };
        self.change(failed, again).await
    }

    /// Leaves a failed event out, for good, and goes on with those behind it in its stream. Where a
    /// [`Projector`](crate::Projector) is fed, let it [pass over](crate::Projector::pass_over) the event first.
    ///
    /// # Errors
    ///
    /// As for [`replay`](Self::replay).
    pub async fn skip(&self, failed: &BlockedStream) -> Result<()> {
        let (attempts, retry_at) = (0, Some(failed.since));
        // The stream goes on with what follows, whether all before it was handled up to here or further.
        let (after, position) = (failed.after.max(failed.position), failed.position.next());
        let behind = BlockedStream { after, position, attempts, retry_at, ..failed.clone() };
        self.change(failed, behind).await
    }

    /// Starts again from there: what follows is handled anew, whether it was handled or not. What was parked before comes again
    /// only if it lies behind that position. Whoever runs the subscription goes on from there too. Does nothing where it has
    /// never run. The cursors of a [`Projector`](crate::Projector) stay: [`forget`](crate::Projector::forget) them first.
    ///
    /// # Errors
    ///
    /// [`Error::BeyondEnd`] for a position behind the end of the store; and the backend's.
    pub async fn reset(&self, start: Start) -> Result<()> {
        let Present { position, above: present } = start.begin(self.of.store.backend()).await?;
        let change = SubscriptionChange::Reset { position, present };
        self.of.store.backend().change_subscription(self.id()?, change).await?;
        Ok(())
    }

    /// Forgets the subscription, with its checkpoint and its parked events. Stop it first: a process that still runs it makes it
    /// anew, at its own [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn remove(&self) -> Result<()> {
        self.of.store.backend().change_subscription(self.id()?, SubscriptionChange::Remove).await?;
        Ok(())
    }

    async fn change(&self, failed: &BlockedStream, to: BlockedStream) -> Result<()> {
        let request = ProgressRequest {
            subscription: self.id()?,
            leases: Vec::new(),
            position: None,
            streams: vec![StreamProgress::Change(failed.at(), to)],
            outbox: None,
        };
        match self.of.store.backend().progress(request).await {
            Err(Error::LeaseLost { subscription }) => Err(Error::NotBlocked {
                subscription,
                stream: failed.stream.clone(),
                position: failed.position,
            }),
            changed => changed,
        }
    }
}
