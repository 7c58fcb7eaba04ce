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

/// How many streams are replayed or skipped in one commit.
const TOGETHER: usize = 256;

/// What became of everything that was parked; see [`Durable::replay_all`] and [`Durable::skip_all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Mended {
    /// How many streams go on.
    pub streams: usize,
    /// How many others were listed as parked, and were not any more when it was their turn: somebody else has replayed or skipped
    /// them, or deleted the stream.
    pub changed_meanwhile: usize,
}

/// The stream once its failed event is to be tried again.
fn again(failed: &BlockedStream) -> BlockedStream {
    BlockedStream { attempts: 0, retry_at: Some(failed.since), ..failed.clone() }
}

/// The stream once its failed event is left out. It goes on with what follows, whether all before it was handled up to here or
/// further.
fn without(failed: &BlockedStream) -> BlockedStream {
    let (after, position) = (failed.after.max(failed.position), failed.position.next());
    BlockedStream { after, position, ..again(failed) }
}

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
        self.change(failed, again(failed)).await
    }

    /// [Replays](Self::replay) all that is parked when it is called, however many streams that is: 256 in a commit.
    ///
    /// Where it fails or is given up, some are replayed already. Called again, it goes on with those that are still parked.
    ///
    /// # Errors
    ///
    /// The backend's. What was replayed, skipped or deleted by somebody else meanwhile is no error: the answer tells how many.
    ///
    /// ```
    /// # use event_sourcery::{EventStore, MemoryBackend, RawEvent, StreamId};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// # for _ in 0..3 {
    /// #     store.append(&StreamId::random(), RawEvent::new("Paid", "{}")?).await?;
    /// # }
    /// # let letters = || store.subscribe::<RawEvent>().durable("letters").attempts(1);
    /// # let watched = store.clone();
    /// # let all_are_parked = async move {
    /// #     let letters = watched.subscribe::<RawEvent>().durable("letters");
    /// #     while letters.parked().await.unwrap().len() < 3 {}
    /// # };
    /// # letters().until(all_are_parked).run(async |_, _| Err("the printer is out of paper".into())).await?;
    /// let replayed = letters().replay_all().await?;
    /// assert_eq!((replayed.streams, replayed.changed_meanwhile), (3, 0));
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub async fn replay_all(&self) -> Result<Mended> {
        self.change_all(again).await
    }

    /// Leaves a failed event out, for good, and goes on with those behind it in its stream. Where a
    /// [`Projector`](crate::Projector) is fed, let it [pass over](crate::Projector::pass_over) the event first.
    ///
    /// # Errors
    ///
    /// As for [`replay`](Self::replay).
    pub async fn skip(&self, failed: &BlockedStream) -> Result<()> {
        self.change(failed, without(failed)).await
    }

    /// [Skips](Self::skip) each event that is parked when it is called, and no other: a stream whose next event is parked meanwhile waits
    /// for that. Otherwise like [`replay_all`](Self::replay_all).
    ///
    /// # Errors
    ///
    /// As for [`replay_all`](Self::replay_all).
    pub async fn skip_all(&self) -> Result<Mended> {
        self.change_all(without).await
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

    async fn change_all(&self, to: fn(&BlockedStream) -> BlockedStream) -> Result<Mended> {
        let (parked, mut mended) = (self.parked().await?, Mended::default());
        let mut parts: Vec<&[BlockedStream]> = parked.chunks(TOGETHER).rev().collect();
        while let Some(part) = parts.pop() {
            let streams = part.iter().map(|failed| StreamProgress::Change(failed.at(), to(failed)));
            match self.progress(streams.collect()).await {
                Ok(()) => mended.streams += part.len(),
                // One of them is not as it was, and nothing is written.
                Err(Error::LeaseLost { .. }) => match part.split_at(part.len() / 2) {
                    ([], _) => mended.changed_meanwhile += 1,
                    (first, second) => parts.extend([second, first]),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(mended)
    }

    async fn progress(&self, streams: Vec<StreamProgress>) -> Result<()> {
        let request = ProgressRequest::new(self.id()?).with_streams(streams);
        self.of.store.backend().progress(request).await
    }

    async fn change(&self, failed: &BlockedStream, to: BlockedStream) -> Result<()> {
        match self.progress(vec![StreamProgress::Change(failed.at(), to)]).await {
            Err(Error::LeaseLost { subscription }) => Err(Error::NotBlocked {
                subscription,
                stream: failed.stream.clone(),
                position: failed.position,
            }),
            changed => changed,
        }
    }
}
