//! What is read: the trait of all sources, and an event as another store keeps it.

use std::fmt;

use async_trait::async_trait;
use event_sourcery::jiff::Timestamp;
use event_sourcery::uuid::Uuid;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ids;

/// How many bytes of payload and metadata a page has, at which it ends: whoever imports holds a few pages, however large the events are.
pub const PAGE_BYTES: usize = 1 << 20;

/// A store of another kind, which is read and never changed.
///
/// To read one that this crate does not know, implement it: everything else is the same for all of them.
#[async_trait]
pub trait Source: Send {
    /// What it is, for messages.
    fn name(&self) -> &str;

    /// In which order its events are read.
    fn order(&self) -> Order;

    /// A position up to which everything is there: **no event at or below it can appear any more**. This has to be known, and not
    /// guessed from time. Not called where the order is [`Order::Streams`].
    ///
    /// # Errors
    ///
    /// [`ImportError::StillWriting`](crate::ImportError::StillWriting); and where it cannot be read.
    async fn horizon(&mut self) -> Result<i64>;

    /// The next events above a position and up to another one, in the order of their positions: `limit` of them at most. The page ends
    /// behind the event with which they have [`PAGE_BYTES`] of payload and metadata. Fewer events with fewer bytes: there are no more. Not
    /// called where the order is [`Order::Streams`].
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    async fn page(&mut self, after: i64, up_to: i64, limit: usize) -> Result<Vec<ForeignEvent>>;

    /// All its streams, and how many events each of them has, as of one moment.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    async fn streams(&mut self) -> Result<Vec<StreamCount>>;

    /// The next events of a stream above a version, whatever was committed, in the order of their versions. The page ends as that of
    /// [`page`](Self::page) does.
    ///
    /// # Errors
    ///
    /// Where it cannot be read.
    async fn events_of(
        &mut self,
        stream: &ForeignStream,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ForeignEvent>>;
}

/// In which order a source is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// It numbers its events across streams, and they are read by that.
    Positions,
    /// It has no order across streams: it is read stream by stream, and each run looks at all of them.
    Streams,
}

/// A stream, as the source names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ForeignStream {
    /// Its category, if the source has any.
    pub category: Option<String>,
    /// Its id.
    pub id: String,
    /// The part of the store that it is in, if the source has parts: a tenant's, perhaps.
    pub partition: Option<String>,
}

/// A stream, and how many events it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamCount {
    /// The stream.
    pub stream: ForeignStream,
    /// How many events it has.
    pub events: u64,
}

/// An event as the source keeps it. `Debug` shows neither payload nor metadata.
#[derive(Clone, PartialEq, Eq)]
pub struct ForeignEvent {
    /// Its stream.
    pub stream: ForeignStream,
    /// Its version. The first one of a stream is 1, unless the [mapping](method@crate::Mapping::first_version) says otherwise.
    pub version: i64,
    /// Its position, where the source has an order across streams.
    pub position: Option<i64>,
    /// Its id, if it has one. It may be anything, and stand there twice.
    pub id: Option<String>,
    /// The name of its type, if it has one that is text.
    pub event_type: Option<String>,
    /// Its payload, if it has one: JSON, unless the source is told how to [decode](crate::Import::decoding) it.
    pub payload: Option<Vec<u8>>,
    /// The text of its metadata, if it has any: JSON.
    pub metadata: Option<String>,
    /// The version of its payload's form, if the source has one, as it says it.
    pub form: Option<String>,
    /// Its time.
    pub time: ForeignTime,
}

impl ForeignEvent {
    /// How many bytes its payload and its metadata have.
    pub(crate) fn size(&self) -> usize {
        self.payload.as_ref().map_or(0, Vec::len) + self.metadata.as_ref().map_or(0, String::len)
    }
}

/// Whether there are no more behind a page of so many at most: neither their number nor their bytes have ended it.
pub(crate) fn is_last(page: &[ForeignEvent], limit: usize) -> bool {
    page.len() < limit && page.iter().map(ForeignEvent::size).sum::<usize>() < PAGE_BYTES
}

/// When an event of a source happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignTime {
    /// Nobody says.
    Unknown,
    /// Then: at the event's own time, or when its transaction began, as the source has it.
    At(Timestamp),
    /// It stands in the payload, under this key.
    InPayload(&'static str),
}

impl fmt::Debug for ForeignEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, version, position, id, event_type, time, .. } = self;
        f.debug_struct("ForeignEvent")
            .field("stream", stream)
            .field("version", version)
            .field("position", position)
            .field("id", id)
            .field("event_type", event_type)
            .field("time", time)
            .finish_non_exhaustive()
    }
}

/// How far a source was read: keep it (it is serde's), and [go on from it](crate::Import::after).
///
/// It names the last event as well as a number: databases give numbers again after the newest events were erased, and a file that
/// was rewritten may number them anew. Where the event at that number is another one, everything is read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub(crate) position: i64,
    pub(crate) last: Option<LastEvent>,
}

/// The last event at or below a mark: its position, and what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastEvent {
    pub(crate) position: i64,
    pub(crate) digest: Uuid,
}

impl Mark {
    /// The beginning.
    pub(crate) const START: Self = Self { position: 0, last: None };

    /// The position up to which everything was read.
    #[must_use]
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// The same, behind an event.
    pub(crate) fn pass(&mut self, event: &ForeignEvent) {
        if let Some(position) = event.position {
            self.position = position;
            self.last = Some(LastEvent { position, digest: ids::digest(event) });
        }
    }

    /// The next events behind it; `None` where its last event is not the one any more that it was.
    ///
    /// That one is read together with them. If it were looked at first, it could be erased in between, its number given again, and the
    /// event that has it by now be passed for ever. Where it fills a page by itself, it is looked at on both sides of them.
    pub(crate) async fn next(
        &self,
        source: &mut dyn Source,
        up_to: i64,
        limit: usize,
    ) -> Result<Option<Behind>> {
        let Some(last) = &self.last else {
            if self.position != Self::START.position {
                return Ok(None);
            }
            let events = source.page(0, up_to, limit).await?;
            return Ok(Some(Behind { is_last: is_last(&events, limit), events, is_uncertain: false }));
        };
        let one_more = limit.saturating_add(1);
        let page = source.page(last.position.saturating_sub(1), up_to, one_more).await?;
        let is_end = is_last(&page, one_more);
        let mut page = page.into_iter();
        if !page.next().is_some_and(|event| last.is(&event)) {
            return Ok(None);
        }
        let events: Vec<_> = page.collect();
        if is_end || !events.is_empty() {
            return Ok(Some(Behind { events, is_last: is_end, is_uncertain: false }));
        }
        let events = source.page(last.position, up_to, limit).await?;
        Ok(Some(Behind { is_last: is_last(&events, limit), events, is_uncertain: true }))
    }

    /// Whether its last event is the one that it was.
    pub(crate) async fn holds(&self, source: &mut dyn Source) -> Result<bool> {
        let Some(last) = &self.last else { return Ok(true) };
        let there = source.page(last.position.saturating_sub(1), last.position, 1).await?;
        Ok(there.first().is_some_and(|event| last.is(event)))
    }
}

impl LastEvent {
    fn is(&self, event: &ForeignEvent) -> bool {
        event.position == Some(self.position) && ids::digest(event) == self.digest
    }
}

/// What stands behind a mark.
pub(crate) struct Behind {
    pub(crate) events: Vec<ForeignEvent>,
    /// Whether there are no more.
    pub(crate) is_last: bool,
    /// Whether the mark may have been given up while they were read: it [holds](Mark::holds) only if it does so by now.
    pub(crate) is_uncertain: bool,
}
