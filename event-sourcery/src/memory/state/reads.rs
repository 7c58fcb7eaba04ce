//! Reads: of one stream, and across streams.

use super::{State, Stream, key, log};
use crate::backend::{Filter, LoadRequest, LoadedStream, PageRoom, ScanPage, ScanRequest, Span, StoredEvent};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::version::Version;

/// How many positions a page looks at before it is handed over as it is: the lock is held meanwhile.
const FAR: i64 = 65_536;

impl State {
    pub(in crate::memory) fn load(&self, request: &LoadRequest) -> Result<LoadedStream> {
        let Some(stream) = self.streams.get(&key(&request.tenant, &request.stream)) else {
            return Ok(LoadedStream::default());
        };
        if matches!(request.span, Span::Versions { .. }) && !stream.versioned {
            return Err(Error::VersionRangeOnVersionlessStream { stream: request.stream.clone() });
        }
        let snapshot = self.snapshot_for(stream, request.span);
        let snapshot_version = snapshot.as_ref().and_then(|snapshot| snapshot.version).unwrap_or(0);
        let wanted = self.wanted(stream, request.span, snapshot_version);
        let mut room = request.limit.map(PageRoom::of);
        let mut fits = |event: &&StoredEvent| room.as_mut().is_none_or(|room| room.take(event));
        let events: Vec<_> =
            wanted.iter().filter_map(|at| self.event(*at)).take_while(&mut fits).cloned().collect();
        Ok(LoadedStream {
            snapshot,
            has_more: events.len() < wanted.len(),
            events,
            first_position: request.limit.and(stream.positions.first().copied()),
        })
    }

    pub(in crate::memory) fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        let (position, end) = (request.after, self.position());
        let bound = request.up_to.unwrap_or(end);
        if position > end.max(bound) {
            return Err(Error::BeyondEnd { position, end });
        }
        let far = Position::from_i64(request.after.max(Position::START).to_i64().saturating_add(FAR));
        let reached = bound.min(far);
        let wanted = |entry: &&log::Entry| passes(&request.filter, entry);
        let (mut room, mut is_full) = (PageRoom::of(request.limit), false);
        let mut fits = |entry: &&log::Entry| {
            is_full = !room.take(&entry.event);
            !is_full
        };
        let entries = self.log.between(request.after, reached).filter(wanted);
        let records: Vec<_> = entries.take_while(&mut fits).map(|entry| self.record(entry)).collect();
        let next = match records.last() {
            Some(last) if is_full => last.event.position,
            _ => reached.max(request.after),
        };
        Ok(ScanPage { records, next, has_more: is_full || reached < bound })
    }

    /// The events above a position and up to another that pass a filter.
    pub(in crate::memory) fn events_between<'s>(
        &'s self,
        after: Position,
        up_to: Position,
        filter: &'s Filter,
    ) -> impl Iterator<Item = &'s StoredEvent> {
        self.log.between(after, up_to).filter(|entry| passes(filter, entry)).map(|entry| &entry.event)
    }

    /// What stands in for the first events of the stream.
    fn snapshot_for(&self, stream: &Stream, span: Span) -> Option<StoredEvent> {
        match span {
            Span::FromSnapshot { names, up_to } => self.snapshot(stream, names, up_to),
            Span::FromState { name, format } => stream.state_of(name, format),
            _ => None,
        }
    }

    /// The newest snapshot of these names that the stream has reached, and that is no older than its first event.
    fn snapshot(&self, stream: &Stream, names: &[&str], up_to: Version) -> Option<StoredEvent> {
        let first = self.event(*stream.positions.first()?)?;
        let wanted = |snapshot: &&StoredEvent| {
            names.contains(&&*snapshot.name)
                && snapshot.version.is_some_and(|version| version <= up_to)
                && snapshot.created_at >= first.created_at
        };
        stream.snapshots.iter().filter(wanted).max_by_key(|snapshot| snapshot.version).cloned()
    }

    /// The part of the stream's positions that a span covers.
    fn wanted<'s>(&self, stream: &'s Stream, span: Span, snapshot_version: Version) -> &'s [Position] {
        let positions = stream.positions.as_slice();
        let at = |version: Version| usize::try_from(version).unwrap_or(usize::MAX).min(positions.len());
        let place = |position: Position| positions.partition_point(|other| *other < position);
        let range = match span {
            Span::Full => 0..positions.len(),
            Span::FromSnapshot { .. } | Span::FromState { .. } => at(snapshot_version)..positions.len(),
            Span::Versions { start, stop } => at(start.saturating_sub(1))..at(stop.saturating_sub(1)),
            Span::After(position) => match positions.binary_search(&position) {
                Ok(at) => at + 1..positions.len(),
                Err(_) => 0..0,
            },
            Span::Last => positions.len().saturating_sub(1)..positions.len(),
            Span::Event(id) => match self.ids.get(&id).map(|position| (*position, place(*position))) {
                Some((position, at)) if positions.get(at) == Some(&position) => at..at + 1,
                _ => 0..0,
            },
        };
        positions.get(range).unwrap_or_default()
    }
}

fn passes(filter: &Filter, entry: &log::Entry) -> bool {
    filter.passes(entry.stream.tenant(), entry.stream.stream(), &entry.event.name)
}
