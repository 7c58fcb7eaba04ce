//! What is there of the tables, in two questions: each costs whoever opens a store a round trip.

use event_sourcery::Result;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::schema::Schema;
use super::{BY_STREAM, INDEXES};
use crate::at_work::answer;
use crate::tables::TABLES;

/// The columns of the tables $1, as far as these are there: the table's number, the column's name, and whether it takes fewer than 200
/// characters.
const COLUMNS: &str = "
    SELECT t.number, a.attname::text, coalesce(a.atttypmod BETWEEN 0 AND 203, FALSE)
    FROM unnest($1::text[]) WITH ORDINALITY AS t (name, number)
    JOIN pg_attribute a ON a.attrelid = to_regclass(t.name) AND a.attnum > 0 AND NOT a.attisdropped";

/// Whether the schema $1 is there, and a table $2, which of the indexes $3 are, and whether the table $4 has a primary key.
const OTHERS: &str = "
    SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
           to_regclass($2) IS NOT NULL,
           ARRAY(SELECT to_regclass(i.name) IS NOT NULL
                 FROM unnest($3::text[]) WITH ORDINALITY AS i (name, number) ORDER BY i.number),
           EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass($4) AND indisprimary)";

/// What is there of the tables.
pub(super) struct Found {
    /// Of each table, in the order of [`TABLES`]; none where it is missing.
    columns: Vec<Vec<Column>>,
    pub(super) has_schema: bool,
    /// Whether the Django backend of Event Sourcery for Python has made its events table here.
    pub(super) has_django: bool,
    /// Of each index, in the order of [`index_names`].
    indexes: Vec<bool>,
    /// Whether the table of the layout's number has a primary key.
    pub(super) layout_has_key: bool,
}

struct Column {
    name: String,
    is_narrow: bool,
}

impl Found {
    fn of(&self, table: &str) -> &[Column] {
        let place = TABLES.iter().position(|known| known.name == table);
        place.and_then(|place| self.columns.get(place)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn has_table(&self, table: &str) -> bool {
        !self.of(table).is_empty()
    }

    pub(super) fn has_column(&self, table: &str, name: &str) -> bool {
        self.of(table).iter().any(|column| column.name == name)
    }

    /// How many columns a table has.
    pub(super) fn width(&self, table: &str) -> usize {
        self.of(table).len()
    }

    /// Whether a column is limited to fewer than 200 characters.
    pub(super) fn is_narrow(&self, table: &str, name: &str) -> bool {
        self.of(table).iter().any(|column| column.name == name && column.is_narrow)
    }

    /// Whether one of the [`INDEXES`] is there, or the one that is to go.
    pub(super) fn has_index(&self, name: &str) -> bool {
        let place = index_names().position(|known| known == name);
        place.and_then(|place| self.indexes.get(place)).is_some_and(|is_there| *is_there)
    }
}

impl Schema<'_> {
    /// What is there, in two questions.
    pub(super) async fn found(&mut self) -> Result<Found> {
        let names: Vec<_> = TABLES.iter().map(|table| self.tables.table(table.name)).collect();
        let query = sqlx::query(COLUMNS).persistent(false).bind(names);
        let rows = answer(self.at_work.as_ref(), query.fetch_all(&mut *self.connection)).await;
        let columns = rows.and_then(|rows| columns(&rows)).map_err(|error| self.failed(error))?;

        let indexes: Vec<_> = index_names().map(|name| self.tables.beside(name)).collect();
        let django = format!("{}.event_sourcery_django_event", self.tables.schema);
        let query = sqlx::query_as(OTHERS).persistent(false).bind(&self.name).bind(django).bind(indexes);
        let query = query.bind(self.tables.table("layout"));
        let others = answer(self.at_work.as_ref(), query.fetch_one(&mut *self.connection)).await;
        let (has_schema, has_django, indexes, layout_has_key) = others.map_err(|error| self.failed(error))?;
        Ok(Found { columns, has_schema, has_django, indexes, layout_has_key })
    }
}

/// The indexes that are looked for.
fn index_names() -> impl Iterator<Item = &'static str> {
    INDEXES.iter().map(|(_, name, _)| *name).chain([BY_STREAM])
}

fn columns(rows: &[PgRow]) -> Result<Vec<Vec<Column>>, sqlx::Error> {
    let mut columns: Vec<Vec<Column>> = TABLES.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let number: i64 = row.try_get(0)?;
        let table = usize::try_from(number - 1).ok().and_then(|place| columns.get_mut(place));
        if let Some(table) = table {
            table.push(Column { name: row.try_get(1)?, is_narrow: row.try_get(2)? });
        }
    }
    Ok(columns)
}
