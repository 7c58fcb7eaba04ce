//! Columns with a collation of their own: whether it tells texts apart by what they are, and fits their indexes.

use event_sourcery::Result;

use super::schema::Schema;
use crate::at_work::answer;
use crate::tables::TABLES;

/// Of the columns $2 of the tables $1 one whose own collation takes different texts for the same, or has another version than its
/// indexes were built with: table, name, type, the collation, whether that tells all texts apart, and both versions.
const UNFIT: &str = "
    SELECT n.table_name, n.column_name, format_type(a.atttypid, a.atttypmod), c.oid::regcollation::text,
           c.collisdeterministic, c.collversion, pg_collation_actual_version(c.oid)
    FROM unnest($1::text[], $2::text[]) AS n (table_name, column_name)
    JOIN pg_attribute a ON a.attrelid = to_regclass(n.table_name) AND a.attname = n.column_name AND NOT a.attisdropped
    JOIN pg_collation c ON c.oid = a.attcollation
    WHERE c.collprovider <> 'd'
      AND (NOT c.collisdeterministic OR c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid))
    LIMIT 1";

/// What [`UNFIT`] tells.
type Unfit = (String, String, String, String, bool, Option<String>, Option<String>);

impl Schema<'_> {
    /// Columns in which one stream, or one tenant, would be taken for another, or not be found. That of the database is looked at
    /// with the server.
    pub(super) async fn refuse_collations(&mut self) -> Result<()> {
        let own = &self.tables;
        let columns = TABLES
            .iter()
            .flat_map(|table| table.columns.iter().map(move |column| (own.table(table.name), column.name)));
        let (tables, columns): (Vec<_>, Vec<_>) = columns.unzip();
        let query = sqlx::query_as(UNFIT).persistent(false).bind(tables).bind(columns);
        let found = answer(self.at_work.as_ref(), query.fetch_optional(&mut *self.connection)).await;
        let found: Option<Unfit> = found.map_err(|error| self.failed(error))?;
        let Some((table, column, of_type, collation, tells_apart, built, now)) = found else { return Ok(()) };
        if !tells_apart {
            return Err(self.foreign(format!(
                "its column {table}.{column} has the collation {collation}, which takes different texts for the same, so that one \
                 stream or tenant would be taken for another: ALTER TABLE {table} ALTER COLUMN {column} TYPE {of_type} \
                 COLLATE \"default\""
            )));
        }
        let version = |version: Option<String>| version.unwrap_or_else(|| "unknown".to_owned());
        let (built, now) = (version(built), version(now));
        Err(self.foreign(format!(
            "the indexes on its column {table}.{column} were built with version {built} of the collation {collation}, and the server \
             sorts by version {now}, so that streams may not be found: REINDEX TABLE {table}, then ALTER COLLATION {collation} \
             REFRESH VERSION"
        )))
    }
}
