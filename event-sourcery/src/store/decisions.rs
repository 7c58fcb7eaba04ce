//! Reading and deciding across streams.

use super::EventStore;
use crate::backend::Backend;
use crate::decide::{Decide, Folds, NewEvents};
use crate::event::Event;
use crate::query::Query;
use crate::read::ReadQuery;
use crate::tag_stored::TagStored;
use crate::within::OnStore;

impl<B: Backend> EventStore<B> {
    /// Reads this handle's tenant's events that match a query, in position order, with the boundary behind them: what an append
    /// gives to [`unless_moved`](crate::Append::unless_moved).
    ///
    /// It reads all that is committed, as of one moment, and waits for nobody; all of it is in memory at once. What a query costs
    /// that has an item without tags is told at [`QueryItem`](crate::QueryItem::new).
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the backend has no tags;
    /// [`Error::UnknownEvent`](crate::Error::UnknownEvent) for a stored event that `E` does not decode,
    /// [`Error::InvalidEvent`](crate::Error::InvalidEvent) for a corrupt one; and the backend's.
    ///
    /// ```
    /// use event_sourcery::{Error, Event, EventStore, MemoryBackend, Query, QueryItem, StreamId, Tag};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(tags(name))]
    /// struct NameTaken {
    ///     name: String,
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// let ann = Query::from(QueryItem::new().of::<NameTaken>().tagged(Tag::new("name", "ann")?));
    /// let taken = store.read::<NameTaken>(&ann).await?;
    /// assert!(taken.events.is_empty());
    ///
    /// let take = || NameTaken { name: "ann".into() };
    /// store.append(&StreamId::random(), take()).unless_moved(&taken.boundary).await?;
    ///
    /// let again = store.append(&StreamId::random(), take()).unless_moved(&taken.boundary).await;
    /// assert!(matches!(again, Err(Error::BoundaryMoved { .. })));
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    pub fn read<E: Event>(&self, query: &Query) -> ReadQuery<OnStore<'_>, E> {
        ReadQuery::new(self.on_store(), self.scope(), query)
    }

    /// Gives events that are stored already the tags that their type says now, so that queries find them: those that were written
    /// before there were tags, or by Event Sourcery for Python. [`by`](TagStored::by) says further ones. No tag is taken away.
    ///
    /// It goes through the events that `E` decodes, in position order, up to what is settled at its end, 256 a commit: on the default
    /// handle those of every tenant. What has its tags is not written again. So a call that was stopped or killed at any point is
    /// simply made again; it may begin [after](TagStored::after) where it had come to. Others append and delete meanwhile.
    ///
    /// Let those who write know the tags first: what is appended above its end is not tagged by it. Decisions that have read before a
    /// commit of it are made again: on PostgreSQL, where they asked for a tag of such an event; on SQLite and in memory, all of the
    /// tenant's. Subscriptions that are limited to a tag are not handed what they have passed already.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) where the backend has no tags; for an event that does not decode those of
    /// [`read_all`](Self::read_all), once those before it are tagged: go on after its position;
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for more tags than an event has; and the backend's, where trying again
    /// does not help.
    ///
    /// ```
    /// use event_sourcery::{Event, EventStore, MemoryBackend, Query, QueryItem, RawEvent, StreamId, Tag};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(tags(name))]
    /// struct NameTaken {
    ///     name: String,
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// let untagged = RawEvent::new("NameTaken", r#"{"name": "ann"}"#)?;
    /// store.append(&StreamId::random(), untagged).await?;
    ///
    /// assert_eq!(store.tag_stored::<NameTaken>().await?.events, 1);
    /// let ann = Query::from(QueryItem::new().tagged(Tag::new("name", "ann")?));
    /// assert_eq!(store.read::<NameTaken>(&ann).await?.events.len(), 1);
    /// # Ok::<(), event_sourcery::Error>(()) }).unwrap();
    /// ```
    pub fn tag_stored<E: Event>(&self) -> TagStored<'_, E> {
        TagStored::new(self.on_store().backend, self.scope())
    }

    /// Decides on events of any streams: reads what the folds ask for, calls `decision` with what they make of it, and appends
    /// what that emits, while no event was added that they ask for. If it emits nothing, nothing is written.
    ///
    /// Where somebody else was faster, it reads and decides again, as often as [`retries`](Decide::retries) says. The events go to
    /// a stream of their own, unless [`to`](Decide::to) says otherwise. It costs a read and, if something was emitted, an append.
    /// The guide page [*decide across streams*](crate::guide::decide_across_streams) tells when a stream is the better boundary.
    ///
    /// # Errors
    ///
    /// [`CommandError::Rejected`](crate::CommandError::Rejected) with the decision's own error: then nothing is written.
    /// [`CommandError::Store`](crate::CommandError::Store) with those of [`read`](Self::read) and [`append`](Self::append):
    /// [`Error::BoundaryMoved`](crate::Error::BoundaryMoved) once all retries are used up, which
    /// [may be made again](crate::CommandError::is_retryable); [`Error::InvalidName`](crate::Error::InvalidName) for what cannot be a
    /// tag, and [`Error::NoExpectedVersionGivenOnVersionedStream`](crate::Error::NoExpectedVersionGivenOnVersionedStream) where the
    /// stream that it was [given](Decide::to) has versions.
    ///
    /// ```
    /// use event_sourcery::{CommandError, Event, EventStore, MemoryBackend, Select};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event(tags(name))]
    /// struct NameTaken {
    ///     name: String,
    /// }
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let store = EventStore::new(MemoryBackend::new());
    /// let take = |name: &'static str| {
    ///     let takers = Select::<NameTaken>::tagged("name", name).fold(0, |takers, _| *takers += 1);
    ///     store.decide(takers, move |&takers, events| {
    ///         if takers > 0 {
    ///             return Err("this name is taken");
    ///         }
    ///         events.emit(NameTaken { name: name.into() });
    ///         Ok(())
    ///     })
    /// };
    /// take("ann").await?;
    /// assert!(matches!(take("ann").await, Err(CommandError::Rejected("this name is taken"))));
    /// # Ok::<(), CommandError<&'static str>>(()) }).unwrap();
    /// ```
    pub fn decide<D, F, T, E>(&self, folds: D, decision: F) -> Decide<'_, OnStore<'_>, D, F>
    where
        D: Folds,
        F: FnMut(&D::State, &mut NewEvents) -> Result<T, E>,
    {
        Decide::new(self.on_store(), self.scope(), folds, decision)
    }
}
