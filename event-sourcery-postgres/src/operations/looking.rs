//! What those who look inside are told of streams, tenants and categories, subscriptions and cursors.

mod events;

use event_sourcery::backend::{
    COUNTS_TO, Counted, Cursor, CursorId, CursorSummary, CursorsRequest, LOOKS_AT, ListRequest, Mark, Page,
    StoredRecord, StreamSummary, StreamsByName, StreamsRequest, SubscriptionId, stored_stream_id,
    stored_tenant_id,
};
use event_sourcery::{Category, Position, Result, TenantId, Version};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use super::Operations;
use crate::failure::Failure;
use crate::rows::{EventReader, value};
use crate::sql::Statement;

/// A row of the streams, with the last event of the stream, if it has any.
struct Begun {
    number: i64,
    name: Option<String>,
    record: Option<StoredRecord>,
}

impl Begun {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let record = value::<Option<i64>>(row, 0)?.map(|_| EventReader::default().record(row));
        Ok(Self { number: value(row, 12)?, name: value(row, 9)?, record })
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

/// A row of cursors: the stream's number, the projector, and the cursor.
struct Followed(i64, String, CursorSummary);

impl Followed {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (number, projector): (i64, String) = (value(row, 0)?, value(row, 1)?);
        let version = |version: i64| Version::try_from(version).unwrap_or(0);
        let position = value::<Option<i64>>(row, 3)?.map_or(Position::START, Position::from_i64);
        let cursor = Cursor::new(version(value(row, 2)?), position);
        let stream = stored_stream_id(value(row, 4)?, value(row, 5)?, value(row, 6)?);
        let id = CursorId::new(projector.as_str().into(), stored_tenant_id(value(row, 7)?), stream);
        let last = value::<Option<i32>>(row, 8)?.map(|last| version(i64::from(last)));
        Ok(Self(number, projector, CursorSummary::new(id, cursor, last)))
    }
}

/// What is listed with counts.
enum Names<'r> {
    Tenants,
    Categories,
    /// Categories of this tenant.
    Of(&'r str),
}

impl Operations<'_> {
    pub(crate) async fn summaries(&mut self, request: &StreamsRequest) -> Result<Page<StreamSummary>> {
        match request.by_name()? {
            Some(listing) => self.named(listing).await,
            None => self.newest(request).await,
        }
    }

    async fn newest(&mut self, request: &StreamsRequest) -> Result<Page<StreamSummary>> {
        let below = request.from.as_ref().map(Mark::number).transpose()?.unwrap_or(i64::MAX);
        let end = self.end_of_streams(below).await?;
        let query = self.sql.look.newest.query().bind(below).bind(end.unwrap_or(i64::MIN));
        let query = query.bind(request.tenant.as_ref().map(TenantId::as_str));
        let query = query.bind(request.category.as_ref().map(Category::as_str));
        let mut found = self.all_read(query.bind(one_more(request.limit)), Begun::read).await?;
        let is_full = found.len() > request.limit;
        found.truncate(request.limit);
        let next = if is_full { found.last().map(|last| last.number) } else { end };
        let items = found.into_iter().filter_map(Begun::summary).collect();
        Ok(Page::new(items, next.map(Mark::at)))
    }

    /// The last of as many streams below this number as are looked at, if there are so many.
    async fn end_of_streams(&mut self, below: i64) -> Result<Option<i64>> {
        let query = self.sql.look.nth_stream_below.query().bind(below);
        self.one_read(query.bind(one_less(LOOKS_AT)), |row| value(row, 0)).await
    }

    async fn named(&mut self, mut listing: StreamsByName<'_>) -> Result<Page<StreamSummary>> {
        loop {
            let query = self.sql.look.named.query().bind(listing.tenant()).bind(listing.category());
            let query = query.bind(listing.from()).bind(one_more(listing.missing()));
            let found = self.all_read(query, Begun::read).await?;
            if let Some(page) = listing.found(found.into_iter().map(Begun::named)) {
                return Ok(page);
            }
            let (tenant, category) = (listing.tenant(), listing.category());
            let next = if listing.keeps_category() {
                let next = self.next_name(&Names::Tenants, tenant).await?;
                next.map(|tenant| (tenant, category.to_owned()))
            } else {
                self.place_behind(tenant, category).await?
            };
            if let Some(page) = listing.go_on(next) {
                return Ok(page);
            }
        }
    }

    async fn place_behind(&mut self, tenant: &str, category: &str) -> Result<Option<(String, String)>> {
        let query = self.sql.look.next_place.query().bind(tenant).bind(category);
        self.one_read(query, |row| Ok((value(row, 0)?, value(row, 1)?))).await
    }

    pub(crate) async fn tenants(&mut self, request: &ListRequest) -> Result<Page<Counted>> {
        match &request.tenant {
            Some(tenant) => {
                let own = self.count(&Names::Tenants, tenant.as_str()).await?;
                Ok(Page::new(own.into_iter().collect(), None))
            }
            None => self.counted(request, &Names::Tenants).await,
        }
    }

    pub(crate) async fn categories(&mut self, request: &ListRequest) -> Result<Page<Counted>> {
        let names = request.tenant.as_ref().map_or(Names::Categories, |tenant| Names::Of(tenant.as_str()));
        self.counted(request, &names).await
    }

    /// A page of names, from the empty one on, or from behind the mark.
    async fn counted(&mut self, request: &ListRequest, names: &Names<'_>) -> Result<Page<Counted>> {
        let after: Option<[&str; 1]> = request.from.as_ref().map(Mark::parts).transpose()?;
        let mut name = match after {
            Some([after]) => self.next_name(names, after).await?,
            None => Some(String::new()),
        };
        let (mut items, mut last) = (Vec::new(), String::new());
        for _ in 0..request.limit {
            let Some(found) = name else { return Ok(Page::new(items, None)) };
            items.extend(self.count(names, &found).await?);
            name = self.next_name(names, &found).await?;
            last = found;
        }
        Ok(Page::new(items, name.map(|_| Mark::of([last.as_str()]))))
    }

    async fn next_name(&mut self, names: &Names<'_>, after: &str) -> Result<Option<String>> {
        let statement = match names {
            Names::Tenants => &self.sql.look.next_tenant,
            Names::Categories => &self.sql.look.next_category,
            Names::Of(tenant) => {
                let next = self.place_behind(tenant, after).await?;
                return Ok(next.filter(|(of, _)| of == tenant).map(|(_, category)| category));
            }
        };
        self.one_read(statement.query().bind(after), |row| value(row, 0)).await
    }

    /// How many streams that have events there are of a name; nothing where there are none.
    async fn count(&mut self, names: &Names<'_>, name: &str) -> Result<Option<Counted>> {
        let look = &self.sql.look;
        let counted =
            |statement: &Statement| statement.query().bind(name.to_owned()).bind(one_more(COUNTS_TO));
        let query = match names {
            Names::Tenants => counted(&look.count_tenant),
            Names::Categories => counted(&look.count_category),
            Names::Of(tenant) => counted(&look.count_both).bind(*tenant),
        };
        let found = self.one_read(query, |row| Ok((value::<i64>(row, 0)?, value::<i64>(row, 1)?))).await?;
        let (looked_at, counted) = found.unwrap_or_default();
        Ok(Counted::of_looked_at(name, looked_at.unsigned_abs(), counted.unsigned_abs()))
    }

    pub(crate) async fn subscriptions(&mut self, request: &ListRequest) -> Result<Page<SubscriptionId>> {
        let own = request.tenant.as_ref().map(TenantId::as_str);
        let after: Option<[&str; 2]> = request.from.as_ref().map(Mark::parts).transpose()?;
        let look = &self.sql.look;
        let statement = if after.is_some() { &look.subscriptions_behind } else { &look.subscriptions_from };
        let [tenant, name] = after.unwrap_or([own.unwrap_or_default(), ""]);
        let query = statement.query().bind(tenant).bind(name).bind(one_more(request.limit));
        let read =
            |row: &PgRow| -> Result<(String, String), sqlx::Error> { Ok((value(row, 0)?, value(row, 1)?)) };
        let found = self.all_read(query, read).await?;
        let found = found.into_iter().take_while(|(tenant, _)| own.is_none_or(|own| own == tenant));
        let ids: Vec<_> =
            found.map(|(tenant, name)| SubscriptionId::new(stored_tenant_id(&tenant), name)).collect();
        Ok(Page::cut(ids, request.limit, |last| Mark::of([last.tenant.as_str(), &*last.name])))
    }

    pub(crate) async fn cursors(&mut self, request: &CursorsRequest) -> Result<Page<CursorSummary>> {
        let (mut from, behind) = request.begins()?;
        let mut end = None;
        let mut lowest = i64::MIN;
        if let Some(stream) = &request.stream {
            let tenant = request.tenant.clone().unwrap_or(TenantId::DEFAULT);
            let query = Self::about(&self.sql.look.stream_number, &tenant, stream);
            let Some(number) = self.one_read(query, |row| value(row, 0)).await? else {
                return Ok(Page::new(Vec::new(), None));
            };
            (from, lowest) = (number, number);
        } else {
            end = self.end_of_streams(from.saturating_add(1)).await?;
            lowest = end.unwrap_or(lowest);
        }
        let query = self.sql.look.cursors.query().bind(from).bind(lowest);
        let query =
            query.bind(request.tenant.as_ref().map(TenantId::as_str)).bind(request.projector.as_deref());
        let query = query.bind(behind).bind(one_more(request.limit));
        let mut found = self.all_read(query, Followed::read).await?;
        let is_full = found.len() > request.limit;
        found.truncate(request.limit);
        let last = found.last().filter(|_| is_full);
        let next = last.map(|Followed(number, projector, _)| {
            Mark::of([number.to_string().as_str(), projector.as_str()])
        });
        let next = next.or(end.map(|end| Mark::of([end.saturating_sub(1).to_string().as_str(), ""])));
        Ok(Page::new(found.into_iter().map(|Followed(.., summary)| summary).collect(), next))
    }

    /// Where the last of as many entries of the outbox stands as are looked at, if there are so many.
    pub(crate) async fn end_of_entries(&mut self, after: Position) -> Result<Option<Position>> {
        let query = self.sql.look.nth_entry_above.query().bind(after.to_i64()).bind(one_less(LOOKS_AT));
        self.one_read(query, |row| value(row, 0).map(Position::from_i64)).await
    }

    /// The first row of an answer, read.
    async fn one_read<T>(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        read: impl FnOnce(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Option<T>> {
        let row = self.row(query).await.map_err(|failure: Failure| self.failed(failure))?;
        row.as_ref().map(read).transpose().map_err(|error| self.failed(error))
    }

    /// All rows of an answer, read.
    async fn all_read<T>(
        &mut self,
        query: Query<'_, Postgres, PgArguments>,
        read: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>> {
        let rows = self.rows(query).await.map_err(|failure: Failure| self.failed(failure))?;
        rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }
}

fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn one_less(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX).saturating_sub(1)
}
