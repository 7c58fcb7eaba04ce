//! What is told to those who look inside.

use std::collections::BTreeMap;
use std::ops::Bound;

use uuid::Uuid;

use super::super::places::Place;
use super::{Name, State, Stream, key, log};
use crate::backend::{
    BackwardsRequest, Counted, CursorId, CursorSummary, CursorsRequest, EventsRequest, Filter, LOOKS_AT,
    ListRequest, Mark, Page, PageRoom, StoredEvent, StoredRecord, StreamSummary, StreamsByName,
    StreamsRequest, SubscriptionId, stored_stream_id,
};
use crate::error::Result;
use crate::position::Position;
use crate::stream_id::{Category, TenantId};

/// What becomes of something that is looked at.
enum Looked {
    /// It counts, or it is passed over.
    On,
    /// There is no more room: it comes first on the next page.
    Full,
}

impl State {
    /// Looks at one position after the other, as many as there may be; tells where to go on.
    fn look(
        &self,
        (from, onwards): (Option<&Mark>, bool),
        mut at: impl FnMut(Position, Option<&log::Entry>) -> Looked,
    ) -> Result<Option<Mark>> {
        let (from, end) = (from.map(Mark::number).transpose()?, self.position().to_i64());
        let mut last = match from {
            Some(from) if onwards => from.max(0),
            Some(from) => from.min(end.saturating_add(1)),
            None if onwards => 0,
            None => end.saturating_add(1),
        };
        for _ in 0..LOOKS_AT {
            let number = if onwards { last.saturating_add(1) } else { last.saturating_sub(1) };
            if number < 1 || number > end {
                return Ok(None);
            }
            let position = Position::from_i64(number);
            if matches!(at(position, self.log.get(position)), Looked::Full) {
                return Ok(Some(Mark::at(last)));
            }
            last = number;
        }
        let has_more = if onwards { last < end } else { last > 1 };
        Ok(has_more.then(|| Mark::at(last)))
    }

    pub(in crate::memory) fn events(&self, request: &EventsRequest) -> Result<Page<StoredRecord>> {
        let (filter, ids) = (filter(request), ids(request));
        let (mut items, mut room) = (Vec::new(), PageRoom::of(request.limit));
        let next = self.look((request.from.as_ref(), request.onwards), |_, entry| {
            let Some(entry) = entry.filter(|entry| passes(&filter, &ids, entry)) else { return Looked::On };
            if !room.take(&entry.event) {
                return Looked::Full;
            }
            items.push(self.record(entry));
            Looked::On
        })?;
        Ok(Page::new(items, next))
    }

    pub(in crate::memory) fn event_names(&self, request: &EventsRequest) -> Result<Page<Counted>> {
        let (filter, mut counts) = (filter(request), BTreeMap::new());
        let next = self.look((request.from.as_ref(), request.onwards), |_, entry| {
            if let Some(entry) = entry.filter(|entry| passes(&filter, &[], entry)) {
                *counts.entry(entry.event.name.clone()).or_insert(0_u64) += 1;
            }
            Looked::On
        })?;
        let is_exact = request.from.is_none() && next.is_none();
        let counts = counts.into_iter().map(|(name, count)| Counted::new(name, count, is_exact));
        Ok(Page::new(counts.collect(), next))
    }

    pub(in crate::memory) fn event_of(&self, id: Uuid) -> Option<StoredRecord> {
        self.log.get(*self.ids.get(&id)?).map(|entry| self.record(entry))
    }

    pub(in crate::memory) fn backwards(&self, request: &BackwardsRequest) -> Result<Page<StoredEvent>> {
        let from = request.from.as_ref().map(Mark::number).transpose()?;
        let Some(stream) = self.streams.get(&key(&request.tenant, &request.stream)) else {
            return Ok(Page::new(Vec::new(), None));
        };
        let positions = stream.positions.as_slice();
        let end = match from {
            Some(from) => positions.binary_search(&Position::from_i64(from)).unwrap_or(0),
            None => positions.len(),
        };
        let before = positions.get(..end).unwrap_or_default();
        let mut room = PageRoom::of(request.limit);
        let events = before.iter().rev().filter_map(|position| self.event(*position));
        let items: Vec<_> = events.take_while(|event| room.take(event)).cloned().collect();
        let last = items.last().filter(|_| items.len() < before.len());
        let next = last.map(|last| Mark::at(last.position.to_i64()));
        Ok(Page::new(items, next))
    }

    pub(in crate::memory) fn summaries(&self, request: &StreamsRequest) -> Result<Page<StreamSummary>> {
        match request.by_name()? {
            Some(listing) => Ok(self.named(listing)),
            None => self.newest(request),
        }
    }

    fn newest(&self, request: &StreamsRequest) -> Result<Page<StreamSummary>> {
        let filter = Filter {
            tenant: request.tenant.clone(),
            category: request.category.clone(),
            ..Filter::default()
        };
        let mut items = Vec::new();
        let next = self.look((request.from.as_ref(), false), |position, entry| {
            let stream = entry.filter(|entry| passes(&filter, &[], entry));
            let Some(stream) = stream.and_then(|entry| self.begun_at(entry, position)) else {
                return Looked::On;
            };
            if items.len() == request.limit {
                return Looked::Full;
            }
            items.extend(self.summary(stream));
            Looked::On
        })?;
        Ok(Page::new(items, next))
    }

    /// The stream of an event, if that is its first.
    fn begun_at(&self, entry: &log::Entry, position: Position) -> Option<&Stream> {
        let stream = self.streams.get(&entry.stream)?;
        (stream.positions.first() == Some(&position)).then_some(stream)
    }

    fn named(&self, mut listing: StreamsByName<'_>) -> Page<StreamSummary> {
        loop {
            let of_category = stored_stream_id(Uuid::nil(), None, listing.category());
            let place: Place = (TenantId::stored(listing.tenant()), of_category.category().cloned());
            let from: Name = (place.0.clone(), place.1.clone(), listing.from().into());
            let names = self.names.range::<Name, _>((Bound::Included(from), Bound::Unbounded));
            let is_here = |name: &Name| name.0 == place.0 && name.1 == place.1;
            let found = names.take_while(|(name, _)| is_here(name)).map(|((.., name), uuid)| {
                let stream = key(&place.0, &stored_stream_id(*uuid, None, of_category.stored_category()));
                let stream = self.streams.get(&stream).and_then(|stream| self.summary(stream));
                (Some(name.to_string()), stream)
            });
            let one_more = listing.missing().saturating_add(1);
            if let Some(page) = listing.found(found.take(one_more)) {
                return page;
            }
            let mut behind = self.places.behind(&place);
            let next = if listing.keeps_category() {
                behind.find(|(tenant, category)| *tenant != place.0 && *category == place.1)
            } else {
                behind.next()
            };
            let next = next.map(|(tenant, category)| {
                let category = category.as_ref().map_or("", Category::as_str);
                (tenant.as_str().to_owned(), category.to_owned())
            });
            if let Some(page) = listing.go_on(next) {
                return page;
            }
        }
    }

    fn summary(&self, stream: &Stream) -> Option<StreamSummary> {
        let last = self.event(*stream.positions.last()?)?;
        Some(StreamSummary::new(stream.key.tenant().clone(), stream.id.clone(), last))
    }

    pub(in crate::memory) fn tenants(&self, request: &ListRequest) -> Result<Page<Counted>> {
        counted(request, self.places.of(request.tenant.as_ref()).map(|(tenant, _, count)| (tenant, count)))
    }

    pub(in crate::memory) fn categories(&self, request: &ListRequest) -> Result<Page<Counted>> {
        let places = self.places.of(request.tenant.as_ref());
        counted(request, places.map(|(_, category, count)| (category, count)))
    }

    pub(in crate::memory) fn subscription_ids(&self, request: &ListRequest) -> Result<Page<SubscriptionId>> {
        let from: Option<[&str; 2]> = request.from.as_ref().map(Mark::parts).transpose()?;
        let key = |id: &SubscriptionId| (id.tenant.as_str().to_owned(), id.name.to_string());
        let is_wanted = |id: &&SubscriptionId| {
            request.tenant.as_ref().is_none_or(|tenant| *tenant == id.tenant)
                && from.is_none_or(|[tenant, name]| (id.tenant.as_str(), &*id.name) > (tenant, name))
        };
        let mut ids: Vec<_> = self.subscriptions.ids().filter(is_wanted).cloned().collect();
        ids.sort_by_key(key);
        Ok(Page::cut(ids, request.limit, |last| Mark::of([last.tenant.as_str(), &*last.name])))
    }

    pub(in crate::memory) fn cursors_of(&self, request: &CursorsRequest) -> Result<Page<CursorSummary>> {
        let mut items: Vec<CursorSummary> = Vec::new();
        if let Some(stream) = &request.stream {
            let tenant = request.tenant.clone().unwrap_or(TenantId::DEFAULT);
            let stream = self.streams.get(&key(&tenant, stream));
            items.extend(stream.into_iter().flat_map(|stream| self.followed(stream, request, "")));
            return Ok(Page::new(items, None));
        }
        let (number, projector) = request.begins()?;
        // The stream that the mark is at comes again, for what of it was left.
        let from = (number != i64::MAX).then(|| Mark::at(number.saturating_add(1)));
        let filter = Filter { tenant: request.tenant.clone(), ..Filter::default() };
        let mut left = None;
        let next = self.look((from.as_ref(), false), |position, entry| {
            let stream = entry.filter(|entry| passes(&filter, &[], entry));
            let Some(stream) = stream.and_then(|entry| self.begun_at(entry, position)) else {
                return Looked::On;
            };
            let behind = if position.to_i64() == number { projector } else { "" };
            for cursor in self.followed(stream, request, behind) {
                if items.len() == request.limit {
                    let of_it = |last: &&CursorSummary| {
                        (&last.id.tenant, &last.id.stream) == (&cursor.id.tenant, &cursor.id.stream)
                    };
                    let last = items.last().filter(of_it).map_or("", |last| &*last.id.projector);
                    left = Some(Mark::of([position.to_string().as_str(), last]));
                    return Looked::Full;
                }
                items.push(cursor);
            }
            Looked::On
        })?;
        let below = next.map(|next| next.number()).transpose()?;
        let below = below.map(|below| Mark::of([below.saturating_sub(1).to_string().as_str(), ""]));
        Ok(Page::new(items, left.or(below)))
    }

    /// The cursors of a stream, by projector, behind one.
    fn followed(&self, stream: &Stream, request: &CursorsRequest, behind: &str) -> Vec<CursorSummary> {
        let (tenant, version) = (stream.key.tenant(), stream.versioned.then_some(stream.positions.len()));
        let cursors = self.cursors.get(&*stream.key).into_iter().flatten();
        let is_wanted = |projector: &str| {
            projector > behind && request.projector.as_ref().is_none_or(|wanted| **wanted == *projector)
        };
        let mut found: Vec<_> = cursors
            .filter(|(projector, _)| is_wanted(projector))
            .map(|(projector, cursor)| {
                let id = CursorId::new(projector.clone(), tenant.clone(), stream.id.clone());
                CursorSummary::new(id, *cursor, version.map(|version| version as u64))
            })
            .collect();
        found.sort_by(|one, other| one.id.projector.cmp(&other.id.projector));
        found
    }
}

fn filter(request: &EventsRequest) -> Filter {
    let EventsRequest { tenant, category, names, .. } = request.clone();
    Filter { tenant, category, names, ..Filter::default() }
}

fn ids(request: &EventsRequest) -> Vec<String> {
    request.related_to.iter().map(Uuid::to_string).collect()
}

/// Whether an event passes, and its context has one of these ids, if there are any.
fn passes(filter: &Filter, ids: &[String], entry: &log::Entry) -> bool {
    filter.passes(entry.stream.tenant(), entry.stream.stream(), &entry.event.name)
        && (ids.is_empty() || ids.iter().any(|id| entry.event.context.contains(id.as_str())))
}

/// A page of names with their counts, which may come in parts, in any order.
fn counted<'s>(request: &ListRequest, parts: impl Iterator<Item = (&'s str, u64)>) -> Result<Page<Counted>> {
    let from: Option<[&str; 1]> = request.from.as_ref().map(Mark::parts).transpose()?;
    let mut counts = BTreeMap::new();
    for (name, count) in parts.filter(|(name, _)| from.is_none_or(|[from]| *name > from)) {
        *counts.entry(name).or_insert(0_u64) += count;
    }
    let has_more = counts.len() > request.limit;
    let first = counts.into_iter().take(request.limit);
    let items: Vec<_> = first.map(|(name, count)| Counted::new(name, count, true)).collect();
    let next = items.last().filter(|_| has_more).map(|last| Mark::of([&*last.name]));
    Ok(Page::new(items, next))
}
