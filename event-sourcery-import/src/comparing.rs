//! The last step: whether the two are equal.

use std::collections::HashSet;

use event_sourcery::Position;
use event_sourcery::backend::{Backend, Filter, LoadRequest, LoadedStream, ScanRequest, Span, StoredEvent};

use crate::error::Result;
use crate::import::PAGE;
use crate::mapped::{Mapper, Place, origin};
use crate::report::{Compared, OTHERWISE};
use crate::source::{ForeignEvent, ForeignStream, Source, is_last};

pub(crate) async fn compare(
    source: &mut dyn Source,
    backend: &dyn Backend,
    mapper: &Mapper,
) -> Result<Compared> {
    let mut compared = Compared::default();
    let mut before = source.streams().await?;
    before.sort_unstable_by(|one, other| one.stream.cmp(&other.stream));
    let mut places = HashSet::new();
    for count in &before {
        compared.streams += 1;
        let events = compare_stream(source, backend, mapper, &count.stream, &mut compared).await?;
        compared.has_changed |= events != count.events;
        if let Ok(place) = mapper.place(&count.stream) {
            places.insert(place);
        }
    }
    compared.extra += of_other_streams(backend, mapper, &places).await?;
    let mut after = source.streams().await?;
    after.sort_unstable_by(|one, other| one.stream.cmp(&other.stream));
    compared.has_changed |= before != after;
    Ok(compared)
}

/// Compares a stream, and returns how many events it has at the source.
async fn compare_stream(
    source: &mut dyn Source,
    backend: &dyn Backend,
    mapper: &Mapper,
    foreign: &ForeignStream,
    compared: &mut Compared,
) -> Result<u64> {
    let mut stored = match mapper.place(foreign) {
        Ok(place) => Some(Stored::new(backend, place)),
        Err(_) => None,
    };
    let (mut after, mut events) = (i64::MIN, 0);
    loop {
        let page = source.events_of(foreign, after, PAGE).await?;
        for event in &page {
            events += 1;
            compare_event(mapper, event, &mut stored, compared).await?;
        }
        match page.last().filter(|_| !is_last(&page, PAGE)) {
            Some(last) => after = last.version,
            None => break,
        }
    }
    if let Some(stored) = &mut stored {
        while stored.next().await?.is_some() {
            compared.extra += 1;
        }
    }
    Ok(events)
}

async fn compare_event(
    mapper: &Mapper,
    event: &ForeignEvent,
    stored: &mut Option<Stored<'_>>,
    compared: &mut Compared,
) -> Result<()> {
    let mapped = match mapper.event(event) {
        Ok(mapped) => mapped,
        Err(problem) => {
            compared.missing.add(event, problem);
            return Ok(());
        }
    };
    let Some(stored) = stored else { return Ok(()) };
    loop {
        // An event of a lower version, or of somebody else, has none at the source.
        let Some(there) = stored.next().await? else {
            compared.missing.add(event, "the destination does not have it".to_owned());
            return Ok(());
        };
        let origin = origin(&there).filter(|origin| origin.from == mapper.mapping.from);
        let has_version = mapped.has_version(there.version, mapper.mapping.holes);
        match origin.map(|origin| origin.version) {
            Some(version) if version == mapped.version && mapped.is_equal(&there) && has_version => {
                compared.equal += 1;
            }
            Some(version) if version == mapped.version => {
                compared.different.add(event, OTHERWISE.to_owned());
            }
            Some(version) if version > mapped.version => {
                compared.missing.add(event, "the destination does not have it".to_owned());
                stored.put_back(there);
            }
            _ => {
                compared.extra += 1;
                continue;
            }
        }
        return Ok(());
    }
}

/// How many events from this source are in streams that it does not have.
async fn of_other_streams(backend: &dyn Backend, mapper: &Mapper, places: &HashSet<Place>) -> Result<u64> {
    let mut filter = Filter::new();
    if !mapper.tenant.is_default() {
        filter = filter.with_tenant(mapper.tenant.clone());
    }
    let (mut after, mut extra) = (Position::START, 0);
    loop {
        let request = ScanRequest::new(after, PAGE).with_filter(filter.clone());
        let page = backend.scan(request).await?;
        for record in page.records {
            let is_from_there =
                origin(&record.event).is_some_and(|origin| origin.from == mapper.mapping.from);
            extra += u64::from(is_from_there && !places.contains(&(record.tenant, record.stream)));
        }
        if !page.has_more {
            return Ok(extra);
        }
        after = page.next;
    }
}

/// A stream of the destination, read in pages.
struct Stored<'b> {
    backend: &'b dyn Backend,
    place: Place,
    page: std::vec::IntoIter<StoredEvent>,
    held: Option<StoredEvent>,
    after: Option<Position>,
    has_more: bool,
}

impl<'b> Stored<'b> {
    fn new(backend: &'b dyn Backend, place: Place) -> Self {
        Self { backend, place, page: Vec::new().into_iter(), held: None, after: None, has_more: true }
    }

    /// The next one will be this one.
    fn put_back(&mut self, event: StoredEvent) {
        self.held = Some(event);
    }

    async fn next(&mut self) -> Result<Option<StoredEvent>> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        loop {
            if let Some(event) = self.page.next() {
                self.after = Some(event.position);
                return Ok(Some(event));
            }
            if !self.has_more {
                return Ok(None);
            }
            let (tenant, stream) = self.place.clone();
            let span = self.after.map_or(Span::Full, Span::After);
            let request = LoadRequest::new(tenant, stream, span).with_limit(PAGE);
            let LoadedStream { events, has_more, .. } = self.backend.load(request).await?;
            (self.page, self.has_more) = (events.into_iter(), has_more);
        }
    }
}
