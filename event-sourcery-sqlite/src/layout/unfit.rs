//! Tables that somebody else made, or changed, in which one row would be taken for another, or not be found: refused by name.

use event_sourcery::{Error, Result};

use super::Schema;
use crate::operations::BLOCK;
use crate::sql::with_tables;

/// What has to be unique but for the numbers of rows: columns in the order of their names.
const UNIQUE: [(&str, &str); 15] = [
    ("streams", "category, tenant_id, uuid"),
    ("streams", "category, name, tenant_id"),
    ("events", "uuid"),
    ("events", "db_stream_id, version"),
    ("subscriptions", "name, tenant_id"),
    ("subscription_segments", "name, segment, tenant_id"),
    ("subscription_members", "member, name, tenant_id"),
    ("blocked_streams", "category, stream_uuid, subscription_name, subscription_tenant_id, tenant_id"),
    ("blocked_entries", "position, stream_uuid"),
    ("projected_streams", "category, projector, stream_uuid, tenant_id"),
    ("event_blocks", "block, name"),
    ("aggregate_snapshots", "db_stream_id, format, name"),
    ("subject_keys", "subject, tenant_id"),
    ("event_tags", "position, tag, tenant_id"),
    ("stream_deletions", "tenant_id"),
];

/// The indexes of the table ?1 that make sure that the columns ?2 are unique, by what they are: by no collation that takes one text for
/// another.
const UNIQUE_INDEXES: &str = "
    SELECT i.name FROM pragma_index_list(?1) i
    WHERE i.\"unique\" AND NOT i.partial AND ?2 = (
        SELECT group_concat(part, ', ') FROM (
            SELECT coalesce(c.name, '?') || CASE WHEN c.coll = 'BINARY' COLLATE NOCASE THEN '' ELSE ' COLLATE ' || c.coll END AS part
            FROM pragma_index_xinfo(i.name) c WHERE c.key ORDER BY c.name))";

/// Names of events that are not listed for their block, ?1 positions a block: of the first that holds events, and of the last of those
/// that are listed.
const NOT_LISTED: &str = "
    SELECT DISTINCT e.name FROM (
        SELECT (SELECT id / ?1 FROM {events} WHERE id > 0 ORDER BY id LIMIT 1) AS block
        UNION ALL
        SELECT (SELECT id / ?1 FROM {events}
                WHERE id < (SELECT max(block) FROM {event_blocks_mark}) * ?1 ORDER BY id DESC LIMIT 1)
    ) looked
    JOIN {events} e ON e.id >= looked.block * ?1 AND e.id < looked.block * ?1 + ?1
    WHERE looked.block < (SELECT max(block) FROM {event_blocks_mark})
      AND NOT EXISTS (SELECT 1 FROM {event_blocks} d WHERE d.name = e.name AND d.block = looked.block)";

impl Schema<'_> {
    fn foreign(&self, problem: String) -> Error {
        Error::ForeignLayout { place: self.options.path.display().to_string(), problem }
    }

    /// Columns in which one stream, tenant or name would be taken for another.
    pub(super) fn refuse_collations(&self, table: &str, columns: &[&str]) -> Result<()> {
        let table = self.table(table);
        for &column in columns {
            let described = self.connection.column_metadata(Some("main"), table.as_str(), column);
            let (_, collation, ..) = described.map_err(|error| self.options.failed(error))?;
            let collation = collation.map_or_else(|| "BINARY".into(), |name| name.to_string_lossy());
            if !collation.eq_ignore_ascii_case("BINARY") {
                return Err(self.foreign(format!(
                    "its column {table}.{column} has the collation {collation}, which takes different texts for the same, so that one \
                     stream or tenant would be taken for another: make the table anew without it, and copy its rows"
                )));
            }
        }
        Ok(())
    }

    /// Tables whose indexes were lost on the way, or have others in their place: ids and versions could be given twice.
    pub(super) fn refuse_duplicates(&self) -> Result<()> {
        for (table, columns) in UNIQUE {
            let table = self.table(table);
            let found =
                self.connection.prepare(UNIQUE_INDEXES).and_then(|mut it| it.exists((&table, columns)));
            if !found.map_err(|error| self.options.failed(error))? {
                return Err(self.foreign(format!(
                    "its table {table} has no unique index on ({columns}) that tells all texts apart: make one, \
                     CREATE UNIQUE INDEX ix_{table}_{} ON {table} ({columns})",
                    columns.replace(", ", "_")
                )));
            }
        }
        Ok(())
    }

    /// A directory of names that was not made of these events: whoever renames events by hand, or fills them in from elsewhere, leaves
    /// one behind by which readers would pass them by. What is not text is in none.
    pub(super) fn refuse_directory(&self) -> Result<()> {
        let lacks = || -> rusqlite::Result<bool> {
            let mut not_listed = self.connection.prepare(&with_tables(NOT_LISTED, &self.options.prefix))?;
            let mut names = not_listed.query([BLOCK])?;
            while let Some(row) = names.next()? {
                if row.get_ref(0)?.as_str().is_ok() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if !lacks().map_err(|error| self.options.failed(error))? {
            return Ok(());
        }
        let [directory, events, mark] =
            ["event_blocks", "events", "event_blocks_mark"].map(|name| self.table(name));
        Err(self.foreign(format!(
            "its directory of event names, {directory}, lacks names of {events}, so that readers of these would pass their events by: \
             DELETE FROM {mark}"
        )))
    }
}
