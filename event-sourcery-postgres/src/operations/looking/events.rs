//! What those who look inside are told of events.

use std::ops::ControlFlow::{Break, Continue};

use event_sourcery::backend::{
    BackwardsRequest, Counted, EventsRequest, LOOKS_AT, Mark, Page, PageRoom, StoredEvent, StoredRecord,
};
use event_sourcery::{Category, Result, TenantId};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use uuid::Uuid;

use super::super::Operations;
use super::{one_less, one_more};
use crate::rows::{EventReader, value};
use crate::sql::Statement;

/// A statement of ours with values bound.
type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// A stretch of the store that is looked at: above one position, and up to another.
struct Looked {
    above: i64,
    up_to: i64,
    /// Where it ends, unless that is the end of the store.
    end: Option<i64>,
}

impl Operations<'_> {
    async fn stretch(&mut self, request: &EventsRequest) -> Result<Looked> {
        let from = request.from.as_ref().map(Mark::number).transpose()?;
        let (look, most) = (&self.sql.look, one_less(LOOKS_AT));
        let read = |row: &PgRow| value::<i64>(row, 0);
        if request.onwards {
            let above = from.unwrap_or(0);
            let end = self.one_read(look.nth_event_above.query().bind(above).bind(most), read).await?;
            return Ok(Looked { above, up_to: end.unwrap_or(i64::MAX), end });
        }
        let below = from.unwrap_or(i64::MAX);
        let end = self.one_read(look.nth_event_below.query().bind(below).bind(most), read).await?;
        let above = end.map_or(i64::MIN, |end| end.saturating_sub(1));
        Ok(Looked { above, up_to: below.saturating_sub(1), end })
    }

    pub(crate) async fn events(&mut self, request: &EventsRequest) -> Result<Page<StoredRecord>> {
        let looked = self.stretch(request).await?;
        let look = &self.sql.look;
        let statement = if request.onwards { &look.events_onwards } else { &look.events_back };
        let ids: Vec<String> = request.related_to.iter().map(Uuid::to_string).collect();
        let query = bind(&self.sparing(statement), &looked, request);
        let query = query.bind((!ids.is_empty()).then_some(ids)).bind(one_more(request.limit));
        let (mut items, mut reader) = (Vec::<StoredRecord>::new(), EventReader::default());
        let (mut room, mut is_full) = (PageRoom::of(request.limit), false);
        let take = |row: PgRow| {
            let record = reader.record(&row);
            is_full = !room.take(&record.event);
            if is_full {
                return Break(());
            }
            items.push(record);
            Continue(())
        };
        let read = self.each_row(query, request.limit.saturating_add(1), take).await;
        read.map_err(|failure| self.failed(failure))?;
        let last = items.last().filter(|_| is_full).map(|last| last.event.position.to_i64());
        let next = if is_full { last } else { looked.end };
        Ok(Page::new(items, next.map(Mark::at)))
    }

    pub(crate) async fn event_names(&mut self, request: &EventsRequest) -> Result<Page<Counted>> {
        let looked = self.stretch(request).await?;
        let query = bind(&self.sql.look.event_names, &looked, request);
        let is_exact = request.from.is_none() && looked.end.is_none();
        let read = |row: &PgRow| -> Result<Counted, sqlx::Error> {
            let (name, count): (&str, i64) = (value(row, 0)?, value(row, 1)?);
            Ok(Counted::new(name, count.unsigned_abs(), is_exact))
        };
        Ok(Page::new(self.all_read(query, read).await?, looked.end.map(Mark::at)))
    }

    pub(crate) async fn event(&mut self, id: Uuid) -> Result<Option<StoredRecord>> {
        let query = self.sparing(&self.sql.look.event).query().bind(id);
        self.one_read(query, |row| Ok(EventReader::default().record(row))).await
    }

    /// A stream's events from its end: those with versions first, as they are read last.
    pub(crate) async fn backwards(&mut self, request: &BackwardsRequest) -> Result<Page<StoredEvent>> {
        let from = request.from.as_ref().map(Mark::number).transpose()?;
        let about = |statement: &Statement| Self::about(statement, &request.tenant, &request.stream);
        let look = &self.sql.look;
        let (mut versions_below, mut unversioned_below) = (Some(i64::MAX), i64::MAX);
        if let Some(position) = from {
            let query = about(&look.version_at).bind(position);
            match self.one_read(query, |row| value::<Option<i32>>(row, 0)).await? {
                None => return Ok(Page::new(Vec::new(), None)),
                Some(Some(version)) => versions_below = Some(i64::from(version)),
                Some(None) => (versions_below, unversioned_below) = (None, position),
            }
        }
        let (mut room, mut items, mut is_full) = (PageRoom::of(request.limit), Vec::new(), false);
        if let Some(below) = versions_below {
            let query = about(&self.sparing(&look.versions_below)).bind(below);
            is_full = self.take_all(query.bind(one_more(request.limit)), &mut room, &mut items).await?;
        }
        if !is_full {
            let query = about(&self.sparing(&look.unversioned_below)).bind(unversioned_below);
            is_full = self.take_all(query.bind(one_more(request.limit)), &mut room, &mut items).await?;
        }
        let last = items.last().filter(|_| is_full);
        let next = last.map(|last: &StoredEvent| Mark::at(last.position.to_i64()));
        Ok(Page::new(items, next))
    }

    /// Takes events for which there is room; tells whether there are more.
    async fn take_all(
        &mut self,
        query: Bound<'_>,
        room: &mut PageRoom,
        items: &mut Vec<StoredEvent>,
    ) -> Result<bool> {
        let at_most = room.events().saturating_add(1);
        let (mut reader, mut is_full) = (EventReader::default(), false);
        let take = |row: PgRow| {
            let event = reader.event(&row);
            is_full = !room.take(&event);
            if is_full {
                return Break(());
            }
            items.push(event);
            Continue(())
        };
        self.each_row(query, at_most, take).await.map_err(|failure| self.failed(failure))?;
        Ok(is_full)
    }

    /// The statement, without payloads where these are spared.
    fn sparing(&self, statement: &Statement) -> Statement {
        if self.spares_payloads { statement.without_payloads() } else { statement.clone() }
    }
}

/// A statement about a stretch: its positions, the tenant, the category and the names bound, as $1 to $5.
fn bind<'q>(statement: &Statement, looked: &Looked, request: &'q EventsRequest) -> Bound<'q> {
    let names = request.names.as_ref().map(|names| names.iter().map(|name| &**name).collect::<Vec<_>>());
    let query = statement.query().bind(looked.above).bind(looked.up_to);
    let query = query.bind(request.tenant.as_ref().map(TenantId::as_str));
    query.bind(request.category.as_ref().map(Category::as_str)).bind(names)
}
