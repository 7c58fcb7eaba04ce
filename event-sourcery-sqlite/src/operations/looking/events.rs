//! What those who look inside are told of events.

use event_sourcery::backend::{
    BackwardsRequest, Counted, EventsRequest, LOOKS_AT, Mark, Page, PageRoom, StoredEvent, StoredRecord,
};
use event_sourcery::{Category, Result, TenantId};
use rusqlite::{Params, Row};
use uuid::Uuid;

use super::super::load::RawVersion;
use super::super::{Operations, json_array};
use super::one_more;
use crate::rows::{EventReader, hex};

/// A stretch of the store that is looked at: above one position, and up to another.
struct Looked {
    above: i64,
    up_to: i64,
    /// Where it ends, unless that is the end of the store.
    end: Option<i64>,
}

impl<'c> Operations<'c> {
    fn stretch(&self, request: &EventsRequest) -> Result<Looked> {
        let from = request.from.as_ref().map(Mark::number).transpose()?;
        let (sql, most) = (&self.sql.look, LOOKS_AT - 1);
        if request.onwards {
            let above = from.unwrap_or(0);
            let end: Option<i64> = self.first(&sql.nth_event_above, (above, most), |row| row.get(0))?;
            return Ok(Looked { above, up_to: end.unwrap_or(i64::MAX), end });
        }
        let below = from.unwrap_or(i64::MAX);
        let end: Option<i64> = self.first(&sql.nth_event_below, (below, most), |row| row.get(0))?;
        let above = end.map_or(i64::MIN, |end| end.saturating_sub(1));
        Ok(Looked { above, up_to: below.saturating_sub(1), end })
    }

    pub(crate) fn events(&self, request: &EventsRequest) -> Result<Page<StoredRecord>> {
        let Looked { above, up_to, end } = self.stretch(request)?;
        let (tenant, category, names) = asked(request);
        let ids = request.related_to.iter().map(Uuid::to_string);
        let ids = (!request.related_to.is_empty()).then(|| json_array(ids));
        let sql = &self.sql.look;
        let sql = if request.onwards { &sql.events_onwards } else { &sql.events_back };
        let mut statement = self.statement(sql)?;
        let values = (above, up_to, tenant, category, names, ids, one_more(request.limit));
        let mut rows = statement.query(values).map_err(|error| self.failed(error))?;
        let (mut items, mut reader) = (Vec::<StoredRecord>::new(), EventReader::default());
        let (mut room, mut next) = (PageRoom::of(request.limit), end);
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let record = reader.record(row);
            if !room.take(&record.event) {
                next = items.last().map(|last| last.event.position.to_i64());
                break;
            }
            items.push(record);
        }
        self.tag(&mut items, |record| &mut record.event)?;
        Ok(Page::new(items, next.map(Mark::at)))
    }

    pub(crate) fn event_names(&self, request: &EventsRequest) -> Result<Page<Counted>> {
        let Looked { above, up_to, end } = self.stretch(request)?;
        let (tenant, category, names) = asked(request);
        let is_exact = request.from.is_none() && end.is_none();
        let values = (above, up_to, tenant, category, names);
        let items = self.all_rows(&self.sql.look.event_names, values, |row| {
            let count = row.get(1).map_err(|error| error.to_string())?;
            Ok(Counted::new(super::text(row, 0).unwrap_or_default(), count, is_exact))
        })?;
        Ok(Page::new(items, end.map(Mark::at)))
    }

    pub(crate) fn event(&self, id: Uuid) -> Result<Option<StoredRecord>> {
        let read = |row: &Row<'_>| Ok(EventReader::default().record(row));
        let mut found = self.first(&self.sql.look.event, [hex(id)], read)?;
        self.tag(found.as_mut_slice(), |record| &mut record.event)?;
        Ok(found)
    }

    /// A stream's events from its end: those with versions first, as they are read last.
    pub(crate) fn backwards(&self, request: &BackwardsRequest) -> Result<Page<StoredEvent>> {
        let nothing = || Ok(Page::new(Vec::new(), None));
        let Some(stream) = self.find_stream(&request.tenant, &request.stream)? else { return nothing() };
        let from = request.from.as_ref().map(Mark::number).transpose()?;
        let (sql, limit) = (&self.sql.look, one_more(request.limit));
        let (mut room, mut items) = (PageRoom::of(request.limit), Vec::new());
        let mut unversioned_below = i64::MAX;
        let mut is_full = match from {
            None => self.take_all(&sql.versions_from_end, (stream.id, limit), &mut room, &mut items)?,
            Some(position) => {
                let at = |row: &Row<'_>| RawVersion::of(row, 0);
                match self.first(&self.sql.version_at, [position, stream.id], at)? {
                    None => return nothing(),
                    Some(version) if version.is_null() => {
                        unversioned_below = position;
                        false
                    }
                    Some(version) => {
                        let values = (stream.id, version, limit);
                        self.take_all(&sql.versions_below, values, &mut room, &mut items)?
                    }
                }
            }
        };
        if !is_full {
            let values = (stream.id, unversioned_below, limit);
            is_full = self.take_all(&sql.unversioned_below, values, &mut room, &mut items)?;
        }
        self.tag(&mut items, |event| event)?;
        let last = items.last().filter(|_| is_full);
        let next = last.map(|last| Mark::at(last.position.to_i64()));
        Ok(Page::new(items, next))
    }

    /// Takes events for which there is room; tells whether there are more.
    fn take_all(
        &self,
        sql: &'c str,
        values: impl Params,
        room: &mut PageRoom,
        items: &mut Vec<StoredEvent>,
    ) -> Result<bool> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(values).map_err(|error| self.failed(error))?;
        let mut reader = EventReader::default();
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            let event = reader.event(row);
            if !room.take(&event) {
                return Ok(true);
            }
            items.push(event);
        }
        Ok(false)
    }
}

/// The tenant, the category, and the names as JSON.
fn asked(request: &EventsRequest) -> (Option<&str>, Option<&str>, Option<String>) {
    let names = request.names.as_ref().map(|names| json_array(names.iter().map(|name| &**name)));
    let (tenant, category) = (request.tenant.as_ref(), request.category.as_ref());
    (tenant.map(TenantId::as_str), category.map(Category::as_str), names)
}
