//! What those who look inside are told of streams, tenants and categories, subscriptions and cursors.

mod events;

use event_sourcery::backend::{
    COUNTS_TO, Counted, Cursor, CursorId, CursorSummary, CursorsRequest, LOOKS_AT, ListRequest, Mark, Names,
    Page, StoredRecord, StreamSummary, StreamsByName, StreamsRequest, SubscriptionId, stored_tenant_id,
};
use event_sourcery::{Category, Position, Result, TenantId};
use rusqlite::types::ValueRef;
use rusqlite::{Params, Row};

use super::Operations;
use crate::rows::{EventReader, stream_and_tenant};

/// What a hidden stream has in the place of a tenant and a category: see `removal`.
const HIDDEN: &str = "\0";

/// A row of the streams, with the last event of the stream, if it has any.
struct Begun {
    number: i64,
    name: Option<String>,
    record: Option<StoredRecord>,
}

impl Begun {
    fn read(row: &Row<'_>) -> Result<Self, String> {
        let number = row.get(12).map_err(|error| error.to_string())?;
        let has_events = !matches!(row.get_ref(0), Ok(ValueRef::Null));
        let record = has_events.then(|| EventReader::default().record(row));
        Ok(Self { number, name: text(row, 9), record })
    }

    /// A row without events is no stream.
    fn summary(self) -> Option<StreamSummary> {
        let StoredRecord { stream, tenant, event, .. } = self.record?;
        Some(StreamSummary::new(tenant, stream, &event))
    }

    fn named(mut self) -> (Option<String>, Option<StreamSummary>) {
        (self.name.take(), self.summary())
    }
}

impl<'c> Operations<'c> {
    pub(crate) fn summaries(&self, request: &StreamsRequest) -> Result<Page<StreamSummary>> {
        match request.by_name()? {
            Some(listing) => self.named(listing),
            None => self.newest(request),
        }
    }

    fn newest(&self, request: &StreamsRequest) -> Result<Page<StreamSummary>> {
        let below = request.from.as_ref().map(Mark::number).transpose()?.unwrap_or(i64::MAX);
        let end = self.end_of_streams(below)?;
        let tenant = request.tenant.as_ref().map(TenantId::as_str);
        let category = request.category.as_ref().map(Category::as_str);
        let values = (below, end.unwrap_or(i64::MIN), tenant, category, one_more(request.limit));
        let mut found = self.all_rows(&self.sql.look.newest, values, Begun::read)?;
        let is_full = found.len() > request.limit;
        found.truncate(request.limit);
        let next = if is_full { found.last().map(|last| last.number) } else { end };
        let items = found.into_iter().filter_map(Begun::summary).collect();
        Ok(Page::new(items, next.map(Mark::at)))
    }

    /// The last of as many streams below this number as are looked at, if there are so many.
    fn end_of_streams(&self, below: i64) -> Result<Option<i64>> {
        self.first(&self.sql.look.nth_stream_below, (below, LOOKS_AT - 1), |row| row.get(0))
    }

    fn named(&self, mut listing: StreamsByName<'_>) -> Result<Page<StreamSummary>> {
        loop {
            let place = (listing.tenant(), listing.category(), listing.from(), one_more(listing.missing()));
            let found = self.all_rows(&self.sql.look.named, place, Begun::read)?;
            if let Some(page) = listing.found(found.into_iter().map(Begun::named)) {
                return Ok(page);
            }
            let (tenant, category) = (listing.tenant(), listing.category());
            let next = if listing.keeps_category() {
                let next = self.next_name(&self.sql.look.next_tenant, [tenant])?;
                next.map(|tenant| (tenant, category.to_owned()))
            } else {
                self.place_behind(tenant, category)?
            };
            if let Some(page) = listing.go_on(next) {
                return Ok(page);
            }
        }
    }

    fn place_behind(&self, tenant: &str, category: &str) -> Result<Option<(String, String)>> {
        let read = |row: &Row<'_>| Ok(text(row, 0).zip(text(row, 1)));
        Ok(self.first(&self.sql.look.next_place, (tenant, category), read)?.flatten())
    }

    fn next_name(&self, sql: &'c str, values: impl Params) -> Result<Option<String>> {
        Ok(self.first(sql, values, |row| Ok(text(row, 0)))?.flatten())
    }

    pub(crate) fn tenants(&self, request: &ListRequest) -> Result<Page<Counted>> {
        let sql = &self.sql.look;
        let count = |name: &str| self.count(&sql.count_tenant, name, (name, COUNTS_TO + 1));
        match &request.tenant {
            Some(tenant) => Ok(Page::new(count(tenant.as_str())?.into_iter().collect(), None)),
            None => self.counted(request, |after| self.next_name(&sql.next_tenant, [after]), count),
        }
    }

    pub(crate) fn categories_counted(&self, request: &ListRequest) -> Result<Page<Counted>> {
        let sql = &self.sql.look;
        let Some(tenant) = request.tenant.as_ref().map(TenantId::as_str) else {
            let count = |name: &str| self.count(&sql.count_category, name, (name, COUNTS_TO + 1));
            return self.counted(request, |after| self.next_name(&sql.next_category, [after]), count);
        };
        let next = |after: &str| -> Result<Option<String>> {
            let next = self.place_behind(tenant, after)?;
            Ok(next.filter(|(of, _)| of == tenant).map(|(_, category)| category))
        };
        let count = |name: &str| self.count(&sql.count_both, name, (name, COUNTS_TO + 1, tenant));
        self.counted(request, next, count)
    }

    /// A page of names, from the empty one on, or from behind the mark.
    fn counted(
        &self,
        request: &ListRequest,
        next: impl Fn(&str) -> Result<Option<String>>,
        count: impl Fn(&str) -> Result<Option<Counted>>,
    ) -> Result<Page<Counted>> {
        let after: Option<[&str; 1]> = request.from.as_ref().map(Mark::parts).transpose()?;
        let mut name = match after {
            Some([after]) => next(after)?,
            None => Some(String::new()),
        };
        let (mut items, mut last) = (Vec::new(), String::new());
        for _ in 0..request.limit {
            let Some(found) = name else { return Ok(Page::new(items, None)) };
            items.extend(count(&found)?);
            name = next(&found)?;
            last = found;
        }
        Ok(Page::new(items, name.map(|_| Mark::of([last.as_str()]))))
    }

    /// How many streams that have events there are of a name; nothing where there are none.
    fn count(&self, sql: &'c str, name: &str, values: impl Params) -> Result<Option<Counted>> {
        if name == HIDDEN {
            return Ok(None);
        }
        let read = |row: &Row<'_>| -> rusqlite::Result<(u64, u64)> { Ok((row.get(0)?, row.get(1)?)) };
        let (looked_at, counted) = self.first(sql, values, read)?.unwrap_or_default();
        Ok(Counted::of_looked_at(name, looked_at, counted))
    }

    pub(crate) fn subscriptions(&self, request: &ListRequest) -> Result<Page<SubscriptionId>> {
        let own = request.tenant.as_ref().map(TenantId::as_str);
        let after: Option<[&str; 2]> = request.from.as_ref().map(Mark::parts).transpose()?;
        let (tenant, name) = match after {
            Some([tenant, name]) => (tenant, format!("{name}\u{1}")),
            None => (own.unwrap_or_default(), String::new()),
        };
        let values = (tenant, name, one_more(request.limit));
        let read = |row: &Row<'_>| text(row, 0).zip(text(row, 1)).ok_or_else(|| "it has no name".to_owned());
        let found = self.all_rows(&self.sql.look.subscriptions, values, read)?;
        let found = found.into_iter().take_while(|(tenant, _)| own.is_none_or(|own| own == tenant));
        let ids: Vec<_> =
            found.map(|(tenant, name)| SubscriptionId::new(stored_tenant_id(&tenant), name)).collect();
        Ok(Page::cut(ids, request.limit, |last| Mark::of([last.tenant.as_str(), &*last.name])))
    }

    pub(crate) fn cursors(&self, request: &CursorsRequest) -> Result<Page<CursorSummary>> {
        let (mut from, behind) = request.begins()?;
        let mut end = None;
        let mut lowest = i64::MIN;
        if let Some(stream) = &request.stream {
            let tenant = request.tenant.clone().unwrap_or(TenantId::DEFAULT);
            let Some(row) = self.find_stream(&tenant, stream)? else {
                return Ok(Page::new(Vec::new(), None));
            };
            (from, lowest) = (row.id, row.id);
        } else {
            end = self.end_of_streams(from.saturating_add(1))?;
            lowest = end.unwrap_or(lowest);
        }
        let (tenant, projector) =
            (request.tenant.as_ref().map(TenantId::as_str), request.projector.as_deref());
        let values = (from, lowest, tenant, projector, behind, one_more(request.limit));
        let mut found = self.all_rows(&self.sql.look.cursors, values, |row| {
            let number: i64 = row.get(0).map_err(|error| error.to_string())?;
            let summary = cursor(row).inspect_err(|problem| {
                tracing::warn!(number, %problem, "a cursor of the stream cannot be read, and is left out");
            });
            Ok((number, text(row, 1).unwrap_or_default(), summary.ok()))
        })?;
        let is_full = found.len() > request.limit;
        found.truncate(request.limit);
        let last = found.last().filter(|_| is_full);
        let next =
            last.map(|(number, projector, _)| Mark::of([number.to_string().as_str(), projector.as_str()]));
        let next = next.or(end.map(|end| Mark::of([end.saturating_sub(1).to_string().as_str(), ""])));
        Ok(Page::new(found.into_iter().filter_map(|(.., summary)| summary).collect(), next))
    }
}

/// A cursor: its projector, version and position behind the stream's number, then the stream, and its version.
fn cursor(row: &Row<'_>) -> Result<CursorSummary, String> {
    let failed = |error: rusqlite::Error| error.to_string();
    let (stream, tenant) = stream_and_tenant(row, 4, &mut Names::default())?;
    let projector: String = row.get(1).map_err(failed)?;
    let position = row.get::<_, Option<i64>>(3).map_err(failed)?.map_or(Position::START, Position::from_i64);
    let cursor = Cursor::new(row.get(2).map_err(failed)?, position);
    let version = row.get(8).unwrap_or(None);
    Ok(CursorSummary::new(CursorId::new(projector.into(), tenant, stream), cursor, version))
}

/// A text, if it is one.
fn text(row: &Row<'_>, index: usize) -> Option<String> {
    row.get_ref(index).ok()?.as_str().ok().map(str::to_owned)
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
