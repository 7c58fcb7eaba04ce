//! What can be done with what is kept under a subscription's name: looked at, mended, reset, forgotten.

use super::{Durable, Start, Status};
use crate::backend::{Backend, BlockedRequest, BlockedStream, Present, SubscriptionChange};
use crate::error::Result;
use crate::event::Event;
use crate::subscription::mending::{Mended, Mending};
use crate::subscription::{blocked, refuse, standing};

impl<B: Backend, E: Event> Durable<B, E> {
    /// How far it has come; `None` if it has never run. It counts at most 10,000 of the events that are left, and for no longer than a
    /// page takes: so its cost does not grow with the backlog. Of a subscription that is limited to tags, as many are read instead.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn status(&self) -> Result<Option<Status>> {
        refuse(&self.of.refused)?;
        let backend = self.of.store.backend();
        let Some(record) = backend.subscription(self.id()?).await? else { return Ok(None) };
        let filter = self.run_for(&record).unwrap_or_else(|| self.of.filter.clone());
        standing::status(backend, &record, filter).await.map(Some)
    }

    /// The events that were given up after the last attempt, or could not be decoded: the first of each stream, for which the others
    /// wait. In position order, each with its error.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn parked(&self) -> Result<Vec<BlockedStream>> {
        self.mending()?.parked().await
    }

    /// Every stream that waits for a failed event, parked or to be tried again, in the order of those events.
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn blocked(&self) -> Result<Vec<BlockedStream>> {
        blocked::all(self.of.store.backend(), BlockedRequest::new(self.id()?)).await
    }

    /// Has a failed event tried again soon, with its full number of attempts, by a process that runs the subscription.
    ///
    /// # Errors
    ///
    /// [`Error::NotBlocked`](crate::Error::NotBlocked) where the stream is not blocked by this event any more, or the event was left out; and the
    /// backend's.
    pub async fn replay(&self, failed: &BlockedStream) -> Result<()> {
        self.mending()?.replay(failed).await
    }

    /// [Replays](Self::replay) all that is parked when it is called, however many streams that is: 256 in a commit.
    ///
    /// If it fails or is dropped, some events are replayed already. Call it again to go on with those that are still parked.
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
        self.mending()?.replay_all().await
    }

    /// Leaves a failed event out, for good, and goes on with those after it in its stream. Where a
    /// [`Projector`](crate::Projector) is fed, let it [pass over](crate::Projector::pass_over) the event first.
    ///
    /// # Errors
    ///
    /// As for [`replay`](Self::replay).
    pub async fn skip(&self, failed: &BlockedStream) -> Result<()> {
        self.mending()?.skip(failed).await
    }

    /// [Skips](Self::skip) each event that is parked when it is called, and no other: a stream whose next event is parked meanwhile waits
    /// for that. Otherwise like [`replay_all`](Self::replay_all).
    ///
    /// # Errors
    ///
    /// As for [`replay_all`](Self::replay_all).
    pub async fn skip_all(&self) -> Result<Mended> {
        self.mending()?.skip_all().await
    }

    /// Starts again from this position: what follows is handled again, whether it was handled or not. What was parked before comes
    /// again only if it lies after that position. Processes that run the subscription go on from there too. Does nothing if it has
    /// never run. The cursors of a [`Projector`](crate::Projector) stay: [`forget`](crate::Projector::forget) them first.
    ///
    /// # Errors
    ///
    /// [`Error::BeyondEnd`](crate::Error::BeyondEnd) for a position beyond the end of the store; and the backend's.
    pub async fn reset(&self, start: Start) -> Result<()> {
        let Present { position, above: present } = start.begin(self.of.store.backend()).await?;
        let change = SubscriptionChange::Reset { position, present };
        self.of.store.backend().change_subscription(self.id()?, change).await?;
        Ok(())
    }

    /// Forgets the subscription, with its checkpoint and its parked events. Stop it first: a process that still runs it creates it
    /// again, at its own [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// The backend's.
    pub async fn remove(&self) -> Result<()> {
        self.of.store.backend().change_subscription(self.id()?, SubscriptionChange::Remove).await?;
        Ok(())
    }

    fn mending(&self) -> Result<Mending<'_>> {
        Ok(Mending::new(self.of.store.backend(), self.id()?))
    }
}
