//! Where events are copied from.

use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::{Backend, Filter, LoadRequest, ScanRequest, Span, StoredRecord};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::stream_id::TenantId;

/// How many events are in memory at once, if they are small.
pub(super) const PAGE: usize = 512;

/// Some of the events, in their order.
pub(super) struct Stretch {
    pub(super) records: Vec<StoredRecord>,
    /// Up to where it was read.
    pub(super) up_to: Position,
    /// Whether there may be more.
    pub(super) has_more: bool,
}

/// Where an event is that was there once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    At(Position),
    /// It is not there: its stream was deleted, or it never was.
    Gone,
    /// Nobody can tell: what stands in its place there cannot be read. So it is none that was deleted, and may be the last one there is.
    Lost,
    /// A file cannot be asked.
    Unknown,
}

/// Where the stream of an event begins now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// With this event.
    Here,
    /// Before it.
    Before,
    /// Behind it, or nowhere: the stream was deleted meanwhile.
    Behind,
    /// A file cannot be asked.
    Unknown,
}

/// What events are copied from.
#[async_trait]
pub(super) trait Origin: Send {
    /// The next events.
    async fn read(&mut self) -> Result<Stretch>;

    /// Where the event of this id is, if it is in that stream.
    async fn find(&mut self, record: &StoredRecord) -> Result<Found>;

    /// Where its stream begins.
    async fn begins(&mut self, record: &StoredRecord) -> Result<Begins>;

    /// Waits until there is more to read; `false`: there never will be.
    async fn wait(&mut self) -> Result<bool>;

    /// Whether everything that is committed there can be read by now.
    async fn is_settled(&mut self) -> Result<bool>;

    /// What keeps the keys of data subjects.
    fn backend(&self) -> Option<Arc<dyn Backend>>;
}

/// A store, as it is stored: nothing in it is opened.
pub(super) struct StoreOrigin {
    backend: Arc<dyn Backend>,
    request: ScanRequest,
}

impl StoreOrigin {
    /// From the first event on: everybody's, or this tenant's.
    pub(super) fn new(backend: Arc<dyn Backend>, tenant: Option<TenantId>) -> Self {
        let filter = Filter { tenant, ..Filter::default() };
        Self { backend, request: ScanRequest::new(Position::START, PAGE).with_filter(filter) }
    }
}

impl StoreOrigin {
    /// Whether the event may be there all the same, in a row that cannot be read: the row of its stream, or its own, which is found by its
    /// version. What has no versions is looked through.
    async fn is_lost(&self, record: &StoredRecord) -> Result<bool> {
        if self.backend.capabilities().inspect
            && let Some(inspect) = self.backend.inspect()
            && let Some(found) = inspect.event(record.event.id).await?
        {
            return Ok(found.event.unreadable.is_some());
        }
        let version = record.event.version;
        let mut span = version
            .map_or(Span::Full, |version| Span::Versions { start: version, stop: version.saturating_add(1) });
        loop {
            let (tenant, stream) = (record.tenant.clone(), record.stream.clone());
            let request = LoadRequest::new(tenant, stream, span).with_limit(PAGE);
            let loaded = match self.backend.load(request).await {
                // It lives anew, without versions.
                Err(Error::VersionRangeOnVersionlessStream { .. }) => return Ok(false),
                loaded => loaded?,
            };
            if loaded.events.iter().any(|event| event.unreadable.is_some()) {
                return Ok(true);
            }
            match loaded.events.last().filter(|_| loaded.has_more && version.is_none()) {
                Some(last) => span = Span::After(last.position),
                None => return Ok(false),
            }
        }
    }
}

#[async_trait]
impl Origin for StoreOrigin {
    async fn read(&mut self) -> Result<Stretch> {
        let page = self.backend.scan(self.request.clone()).await?;
        self.request.after = page.next;
        Ok(Stretch { records: page.records, up_to: page.next, has_more: page.has_more })
    }

    async fn find(&mut self, record: &StoredRecord) -> Result<Found> {
        let (tenant, stream) = (record.tenant.clone(), record.stream.clone());
        let request = LoadRequest::new(tenant, stream, Span::Event(record.event.id));
        let found = self.backend.load(request).await?;
        Ok(match found.events.first() {
            Some(event) => Found::At(event.position),
            None if self.is_lost(record).await? => Found::Lost,
            None => Found::Gone,
        })
    }

    async fn begins(&mut self, record: &StoredRecord) -> Result<Begins> {
        let (tenant, stream) = (record.tenant.clone(), record.stream.clone());
        let request = LoadRequest::new(tenant, stream, Span::Full).with_limit(1);
        Ok(match self.backend.load(request).await?.first_position {
            Some(first) if first == record.event.position => Begins::Here,
            Some(first) if first < record.event.position => Begins::Before,
            _ => Begins::Behind,
        })
    }

    async fn wait(&mut self) -> Result<bool> {
        self.backend.wait_beyond(self.request.after).await?;
        Ok(true)
    }

    async fn is_settled(&mut self) -> Result<bool> {
        Ok(self.backend.present().await?.above.is_empty())
    }

    fn backend(&self) -> Option<Arc<dyn Backend>> {
        Some(Arc::clone(&self.backend))
    }
}
