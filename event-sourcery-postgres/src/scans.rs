//! The statements that read across streams.
//!
//! Each filter has a text of its own. With one text for all, and null for what is not asked, the server would sooner or later
//! keep a plan that fits none of them.
//!
//! The streams, and the blocks of the directory, are joined by a subquery that the planner cannot take apart (`OFFSET 0`): row
//! by row, so that a page of events in their order ends when it is full, and a block is read by its positions.

use event_sourcery::backend::Filter;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use crate::operations::BLOCK;
use crate::settled_sql::run;
use crate::sql::{Statement, event, tags_of};
use crate::tables::Tables;

/// The first row of a page: in the place of a name, in which run of the server it was read. The other columns are those of
/// [`COLUMNS`], and hold nothing.
const READ_IN: &str = concat!(
    "SELECT NULL::bigint, NULL::integer, NULL::uuid, ",
    run!(),
    ", NULL::jsonb, NULL::jsonb, NULL::timestamp, NULL::integer, NULL::uuid, NULL::text, NULL::text, NULL::text, NULL::text[] AS tags"
);

/// What an event of a page is, in the columns that `rows` reads.
const COLUMNS: &str =
    concat!("e.id, ", event!("e"), ", s.uuid, s.name, s.category, s.tenant_id, ", tags_of!("e"));

/// Statements with what a filter asks bound to them: $1 and $2 are the positions that the events are above, and at or
/// below; $3 a tenant, $4 a category, $5 names, $6 a count of segments and $7 which of them; $8 blocks of the directory, or
/// positions; $9 a limit.
#[derive(Debug)]
pub(crate) struct Scans {
    unnamed: bool,
    events: String,
    streams: String,
    read_in: String,
    columns: String,
}

impl Scans {
    pub(crate) fn new(tables: &Tables) -> Self {
        Self {
            unnamed: tables.unnamed,
            events: tables.table("events"),
            streams: tables.table("streams"),
            read_in: tables.put_into(READ_IN),
            columns: tables.put_into(COLUMNS),
        }
    }

    /// Where it is read, and events by position.
    pub(crate) fn page(&self, filter: &Filter, only: &Only) -> Statement {
        let (events, of_stream) = (self.events(filter, only), self.of_stream(filter));
        let Self { read_in, columns, .. } = self;
        Statement::made(
            format!(
                "{read_in} UNION ALL (SELECT {columns} FROM {events} {of_stream} ORDER BY e.id LIMIT $9)"
            ),
            self.unnamed,
        )
    }

    /// How many events there are, at most so many, the time of the first, and where the last stands.
    pub(crate) fn backlog(&self, filter: &Filter, only: &Only) -> Statement {
        let (all, events) = (&self.events, self.events(filter, only));
        let is_for_all = conditions(filter) == (String::new(), "");
        let of_stream = if is_for_all { String::new() } else { self.of_stream(filter) };
        let text = format!(
            "WITH waiting AS MATERIALIZED (
                SELECT count(*) AS events, min(e.id) AS first, max(e.id) AS last
                FROM (SELECT e.id FROM {events} {of_stream} ORDER BY e.id LIMIT $9) e
             )
             SELECT w.events, (SELECT e.created_at FROM {all} e WHERE e.id = w.first), w.last FROM waiting w"
        );
        Statement::made(text, self.unnamed)
    }

    /// Events between the positions.
    fn events(&self, filter: &Filter, only: &Only) -> String {
        let Self { events, .. } = self;
        let named = if filter.names.is_some() { " AND e.name = ANY ($5)" } else { "" };
        match only {
            Only::Everything => format!("(SELECT e.* FROM {events} e WHERE e.id > $1 AND e.id <= $2{named}) e"),
            Only::Blocks(_) => format!(
                "unnest($8::bigint[]) AS b (block) CROSS JOIN LATERAL (
                    SELECT e.* FROM {events} e
                    WHERE e.id > greatest($1, b.block * {BLOCK} - 1) AND e.id <= least($2, b.block * {BLOCK} + {BLOCK} - 1){named}
                    OFFSET 0
                 ) e"
            ),
            Only::At(_) => format!(
                "unnest($8::bigint[]) AS p (id) CROSS JOIN LATERAL (
                    SELECT e.* FROM {events} e WHERE e.id = p.id AND e.id > $1 AND e.id <= $2{named} OFFSET 0
                 ) e"
            ),
        }
    }

    /// Where the events of a tenant's streams ($3), of a category's ($4), or of both stand, between the positions; null where the
    /// streams have as many as $9, or more, counted together with streams that have none, or where a tenant may have streams in more
    /// categories than are gone through.
    ///
    /// Whatever the planner thinks of how many there are, it has to go by the indexes: nothing else has the order that is asked for, and
    /// an equality would make the order one of what is left.
    pub(crate) fn few(&self, filter: &Filter) -> Option<Statement> {
        let Self { events, streams, .. } = self;
        let (categories, of_one) = match (&filter.tenant, &filter.category) {
            (None, None) => return None,
            (None, Some(_)) => {
                (String::new(), "s.category >= $4 AND s.category <= $4 ORDER BY s.category, s.tenant_id".to_owned())
            }
            (Some(_), Some(_)) => (String::new(), of_category("$4")),
            (Some(_), None) => (
                format!(
                    "WITH RECURSIVE next (category) AS (
                        (SELECT s.category FROM {streams} s ORDER BY s.category LIMIT 1)
                        UNION ALL
                        SELECT (SELECT s.category FROM {streams} s WHERE s.category > n.category ORDER BY s.category LIMIT 1)
                        FROM next n WHERE n.category IS NOT NULL
                     ), category AS MATERIALIZED (
                        SELECT n.category FROM next n WHERE n.category IS NOT NULL LIMIT {CATEGORIES} + 1
                     )"
                ),
                of_category("c.category"),
            ),
        };
        let (from, are_many) = match &filter.category {
            None => ("category c CROSS JOIN", format!("(SELECT count(*) > {CATEGORIES} FROM category)")),
            Some(_) => ("(SELECT) c CROSS JOIN", "FALSE".to_owned()),
        };
        Some(Statement::made(
            format!(
                "{categories}
                 SELECT CASE WHEN count(*) < $9 AND NOT {are_many} THEN
                     coalesce(array_agg(f.id ORDER BY f.id) FILTER (WHERE f.id > $1 AND f.id <= $2), '{{}}') END
                 FROM (
                    SELECT e.id FROM {from} LATERAL (SELECT s.id FROM {streams} s WHERE {of_one} LIMIT $9) s
                    LEFT JOIN LATERAL (
                        SELECT e.id FROM {events} e WHERE e.db_stream_id = s.id
                        ORDER BY e.db_stream_id, e.version LIMIT $9
                    ) e ON TRUE
                    LIMIT $9
                 ) f"
            ),
            self.unnamed,
        ))
    }

    /// The stream of an event, if it is one of those wanted. An event whose stream is lost comes along where neither a tenant
    /// nor a category is asked for.
    fn of_stream(&self, filter: &Filter) -> String {
        let (Self { streams, .. }, (of_stream, of_any)) = (self, conditions(filter));
        let (join, on) = if of_stream.is_empty() { ("LEFT", " ON TRUE") } else { ("CROSS", "") };
        format!(
            "{join} JOIN LATERAL (
                SELECT s.uuid, s.name, s.category, s.tenant_id FROM {streams} s
                WHERE s.id = e.db_stream_id{of_stream} OFFSET 0
             ) s{on}{of_any}"
        )
    }
}

/// Which events of a stretch are looked at.
#[derive(Debug)]
pub(crate) enum Only {
    Everything,
    /// What these blocks of the directory hold.
    Blocks(Vec<i64>),
    /// Those at these positions.
    At(Vec<i64>),
}

impl Only {
    fn numbers(&self) -> Option<&[i64]> {
        match self {
            Self::Everything => None,
            Self::Blocks(numbers) | Self::At(numbers) => Some(numbers),
        }
    }
}

/// The names that a filter asks for, each once.
pub(crate) fn names(filter: &Filter) -> Option<Vec<&str>> {
    let mut names: Vec<_> = filter.names.as_ref()?.iter().map(|name| &**name).collect();
    names.sort_unstable();
    names.dedup();
    Some(names)
}

/// The streams of the tenant in a category.
fn of_category(category: &str) -> String {
    format!(
        "(s.category, s.tenant_id) >= ({category}, $3) AND (s.category, s.tenant_id) <= ({category}, $3)
         ORDER BY s.category, s.tenant_id"
    )
}

/// How many categories are gone through for one tenant.
const CATEGORIES: usize = 256;

/// Binds $1 to $8.
pub(crate) fn bind<'q>(
    statement: &Statement,
    above: i64,
    up_to: i64,
    filter: &'q Filter,
    only: &'q Only,
) -> Query<'q, Postgres, PgArguments> {
    let numbers: Option<Vec<i32>> =
        filter.segments.map(|segments| segments.numbers().map(i32::from).collect());
    statement
        .query()
        .bind(above)
        .bind(up_to)
        .bind(filter.tenant.as_ref().map(|tenant| tenant.as_str()))
        .bind(filter.category.as_ref().map(|category| category.as_str()))
        .bind(names(filter))
        .bind(filter.segments.map(|segments| i32::from(segments.of())))
        .bind(numbers)
        .bind(only.numbers())
}

/// What is asked of a stream's row; and what is asked of a stream that may be lost, which is in the first segment. A segment is what
/// `Segments::number_of` says.
fn conditions(filter: &Filter) -> (String, &'static str) {
    let mut conditions = String::new();
    if filter.tenant.is_some() {
        conditions.push_str(" AND s.tenant_id = $3");
    }
    if filter.category.is_some() {
        conditions.push_str(" AND s.category = $4");
    }
    let of_segments = if filter.segments.is_some_and(|segments| !segments.are_all()) {
        " WHERE coalesce((get_byte(uuid_send(s.uuid), 3) + get_byte(uuid_send(s.uuid), 15)) % $6, 0) = ANY ($7)"
    } else {
        ""
    };
    (conditions, of_segments)
}
