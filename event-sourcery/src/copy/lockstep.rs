//! The events of a destination, met one after the other by those of the source: both have them in one order, so that one way through
//! both, a page of each in memory, finds what is missing and what is too many.

use std::collections::VecDeque;
use std::sync::Arc;

use super::destination::Destination;
use super::origin::{Found, Origin, PAGE};
use crate::backend::{Backend, Filter, ScanRequest, StoredRecord};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::stream_id::TenantId;

/// What an event of the source has met.
pub(super) enum Met {
    /// Itself, in its place or in another one.
    There(StoredRecord),
    /// Others that are at the source too: it is not there.
    Nowhere,
    /// The end: it stands behind all that was there, if it does.
    End,
    /// One that the source does not have. Ask again.
    Extra(StoredRecord),
    /// One that cannot be read. Ask again.
    Damaged(StoredRecord),
}

/// How far the events of a destination were met.
pub(super) struct Lockstep {
    backend: Arc<dyn Backend>,
    request: ScanRequest,
    page: VecDeque<StoredRecord>,
    has_more: bool,
}

impl Lockstep {
    /// From the first event on, up to what is there now: what is written meanwhile is not met.
    pub(super) async fn begin(backend: Arc<dyn Backend>, tenant: Option<TenantId>) -> Result<Self> {
        let end = backend.position().await?;
        let filter = Filter { tenant, ..Filter::default() };
        let request = ScanRequest::new(Position::START, PAGE).with_up_to(end).with_filter(filter);
        let has_more = end > Position::START;
        Ok(Self { backend, request, page: VecDeque::new(), has_more })
    }

    /// Lets the next event of the source meet what is there.
    pub(super) async fn meet(
        &mut self,
        origin: &mut dyn Origin,
        destination: &Destination,
        record: &StoredRecord,
    ) -> Result<Met> {
        loop {
            self.fill().await?;
            let Some(there) = self.page.front() else { return Ok(Met::End) };
            if there.event.unreadable.is_some() {
                return self.take_next().map(Met::Damaged);
            }
            if there.event.id == record.event.id {
                return self.take_next().map(Met::There);
            }
            match origin.find(there).await? {
                Found::Gone => return self.take_next().map(Met::Extra),
                // It came to another place, and was met there.
                Found::At(position) if position < record.event.position => drop(self.take_next()?),
                // It stays: it may be the last one there is.
                Found::Lost => drop(self.take_next()?),
                Found::At(_) => {
                    return Ok(destination.find(record).await?.map_or(Met::Nowhere, Met::There));
                }
                Found::Unknown => match destination.find(record).await? {
                    Some(found) if found.event.position > there.event.position => {
                        return self.take_next().map(Met::Extra);
                    }
                    found => return Ok(found.map_or(Met::Nowhere, Met::There)),
                },
            }
        }
    }

    /// What is left once the source has no more events: the next one that it does not have.
    pub(super) async fn rest(&mut self, origin: &mut dyn Origin) -> Result<Option<StoredRecord>> {
        loop {
            self.fill().await?;
            let Some(there) = self.page.pop_front() else { return Ok(None) };
            if !matches!(origin.find(&there).await?, Found::At(_) | Found::Lost) {
                return Ok(Some(there));
            }
        }
    }

    async fn fill(&mut self) -> Result<()> {
        while self.page.is_empty() && self.has_more {
            let page = self.backend.scan(self.request.clone()).await?;
            self.request.after = page.next;
            self.has_more = page.has_more;
            self.page = page.records.into();
        }
        Ok(())
    }

    fn take_next(&mut self) -> Result<StoredRecord> {
        self.page.pop_front().ok_or(Error::bug("an event that was met is not there any more"))
    }
}
