//! Reading across streams.

use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::stream;

use crate::backend::{Backend, Filter, ScanRequest, StoredEvent};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::events::Events;
use crate::position::Position;
use crate::store::Scope;
use crate::stream_id::Category;
use crate::tag::Tag;
use crate::wrapped_event::Recorded;

/// How many events are in memory at once, if they are small.
const PAGE: usize = 512;

/// A read across streams in the making; see [`EventStore::read_all`](crate::EventStore::read_all).
#[derive(Debug)]
#[must_use = "nothing is read until this is read as a stream"]
pub struct ReadAll<'a, E> {
    backend: &'a dyn Backend,
    request: ScanRequest,
    tags: Vec<Tag>,
    event: PhantomData<fn() -> E>,
}

impl<'a, E: Event> ReadAll<'a, E> {
    pub(crate) fn new(backend: &'a dyn Backend, scope: &Scope) -> Self {
        let tenant = (!scope.tenant.is_default()).then(|| scope.tenant.clone());
        let names = (!E::CATCH_ALL).then(|| E::NAMES.iter().map(|name| Arc::from(*name)).collect());
        let filter = Filter { tenant, names, ..Filter::default() };
        let request = ScanRequest { after: Position::START, up_to: None, filter, limit: PAGE };
        Self { backend, request, tags: Vec::new(), event: PhantomData }
    }

    /// Only events above this position.
    pub fn after(mut self, position: Position) -> Self {
        self.request.after = position;
        self
    }

    /// Only events of this category's streams.
    pub fn category(mut self, category: Category) -> Self {
        self.request.filter.category = Some(category);
        self
    }

    /// Only events that have this tag, and those that were given before. It reads the others too, and leaves them out, unless they
    /// cannot be read: a [query](crate::EventStore::read) finds few by their tags.
    ///
    /// # Errors
    ///
    /// As an item: [`Error::Unsupported`] where the backend has no tags.
    pub fn tagged(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// The events one by one, in position order and in bounded memory, up to what is settled when the end is reached.
    ///
    /// # Errors
    ///
    /// An item is an error for a stored event that is corrupt or does not fit `E`, and where the backend fails.
    /// Nothing follows an error. [`Error::InvalidEvent`](crate::Error::InvalidEvent) tells the position: read on
    /// [`after`](Self::after) it.
    pub fn stream(self) -> Events<'a, Recorded<E>> {
        let Self { backend, request, tags, .. } = self;
        let tags: Arc<[Tag]> = tags.into();
        Events::of_pages(stream::try_unfold(Some((backend, request, tags)), next_page))
    }
}

type Next<'a> = Option<(&'a dyn Backend, ScanRequest, Arc<[Tag]>)>;

async fn next_page<E: Event>(
    next: Next<'_>,
) -> Result<Option<(impl Iterator<Item = Result<Recorded<E>>> + use<E>, Next<'_>)>> {
    let Some((backend, mut request, tags)) = next else { return Ok(None) };
    if !tags.is_empty() && !backend.capabilities().tags {
        return Err(Error::unsupported(backend.name(), "tags"));
    }
    let page = backend.scan(request.clone()).await?;
    request.after = page.next;
    let wanted = Arc::clone(&tags);
    // What cannot be read may have them.
    let is_wanted = move |event: &StoredEvent| {
        event.unreadable.is_some() || wanted.iter().all(|tag| event.tags.contains(tag))
    };
    let records = page.records.into_iter().filter(move |record| is_wanted(&record.event));
    let records = records.map(|record| Recorded::decode(&record));
    Ok(Some((records, page.has_more.then_some((backend, request, tags)))))
}
