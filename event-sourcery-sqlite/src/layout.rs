//! The tables: made, adopted from Event Sourcery for Python, updated, or checked.

mod adopt;
mod unfit;

use event_sourcery::{Error, Result};
use rusqlite::Connection;

use crate::options::SqliteOptions;
use crate::sql::with_tables;

/// The layout that this version of the library makes and knows.
const LAYOUT: u32 = 8;

/// The tables of the reference, with what we add in columns that have defaults; and our own.
pub(crate) const TABLES: [(&str, &str); 20] = [
    ("streams", include_str!("layout/streams.sql")),
    ("events", include_str!("layout/events.sql")),
    ("snapshots", include_str!("layout/snapshots.sql")),
    ("outbox_entries", include_str!("layout/outbox_entries.sql")),
    ("projector_cursors", include_str!("layout/projector_cursors.sql")),
    ("subscriptions", include_str!("layout/subscriptions.sql")),
    ("subscription_segments", include_str!("layout/subscription_segments.sql")),
    ("subscription_members", include_str!("layout/subscription_members.sql")),
    ("subscription_presences", include_str!("layout/subscription_presences.sql")),
    ("blocked_streams", include_str!("layout/blocked_streams.sql")),
    ("blocked_entries", include_str!("layout/blocked_entries.sql")),
    ("projected_streams", include_str!("layout/projected_streams.sql")),
    ("event_blocks", include_str!("layout/event_blocks.sql")),
    ("event_blocks_mark", include_str!("layout/event_blocks_mark.sql")),
    ("aggregate_snapshots", include_str!("layout/aggregate_snapshots.sql")),
    ("subject_keys", include_str!("layout/subject_keys.sql")),
    ("subject_key_bytes", include_str!("layout/subject_key_bytes.sql")),
    ("event_tags", include_str!("layout/event_tags.sql")),
    ("stream_deletions", include_str!("layout/stream_deletions.sql")),
    ("layout", include_str!("layout/layout.sql")),
];

/// The columns that a table has, whoever made it. A table of that name without them is somebody else's.
const COLUMNS: [(&str, &[&str]); 20] = [
    ("streams", &["id", "uuid", "name", "category", "tenant_id", "version"]),
    ("events", &adopt::EVENT_COLUMNS),
    ("snapshots", &["uuid", "version", "name", "data", "event_context", "created_at", "db_stream_id"]),
    ("outbox_entries", &["id", "created_at", "data", "stream_name", "position", "tries_left"]),
    ("projector_cursors", &["id", "name", "stream_id", "category", "version"]),
    ("subscriptions", &["tenant_id", "name", "kept"]),
    (
        "subscription_segments",
        &["tenant_id", "name", "segment", "position", "token", "member", "leased_until"],
    ),
    ("subscription_members", &["tenant_id", "name", "member", "until"]),
    ("subscription_presences", &["presence", "renewed"]),
    (
        "blocked_streams",
        &["stream_uuid", "subscription_tenant_id", "subscription_name", "position", "retry_at"],
    ),
    ("blocked_entries", &["stream_uuid", "position"]),
    ("projected_streams", &["stream_uuid", "category", "tenant_id", "projector", "version", "position"]),
    ("event_blocks", &["name", "block"]),
    ("event_blocks_mark", &["block"]),
    (
        "aggregate_snapshots",
        &["db_stream_id", "name", "format", "version", "event_uuid", "data", "created_at"],
    ),
    ("subject_keys", &["tenant_id", "subject", "key_id", "wrapped_by", "bytes", "created_at", "shredded_at"]),
    ("subject_key_bytes", &["id", "wrapped"]),
    ("event_tags", &["tenant_id", "tag", "position", "name"]),
    ("stream_deletions", &["tenant_id", "last"]),
    ("layout", &["version"]),
];

/// Makes the tables what this version needs, or checks that they are.
pub(crate) fn prepare(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let pending = plan(connection, options)?;
    if !pending.is_empty() {
        if connection.is_readonly("main").map_err(|error| options.failed(error))? {
            return Err(Error::read_only("its tables need a migration"));
        }
        if !options.migrate {
            return Err(Error::MigrationNeeded { problem: summary(&pending) });
        }
        migrate(connection, options)?;
    }
    Schema { connection, options }.refuse_duplicates()
}

/// Refuses a directory of names that is not of these events.
pub(crate) fn refuse_directory(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    Schema { connection, options }.refuse_directory()
}

/// Refuses a file that is not to be touched, before anything in it is changed.
pub(crate) fn refuse_early(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let pending = plan(connection, options)?;
    if pending.is_empty() || options.migrate {
        return Ok(());
    }
    Err(Error::MigrationNeeded { problem: summary(&pending) })
}

/// Runs what is pending, in one transaction. Several processes may try at once: each looks again once it has the lock.
fn migrate(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let failed = |error| options.failed(error);
    // The events table may be rebuilt: nothing refers to it, but it refers to the streams.
    connection.pragma_update(None, "foreign_keys", false).map_err(failed)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let migrated = plan(connection, options).and_then(|pending| {
        pending.iter().try_for_each(|statement| connection.execute_batch(statement)).map_err(failed)?;
        connection.execute_batch("COMMIT").map_err(failed)
    });
    if migrated.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    migrated
}

/// The statements that turn what is there into what this version needs; none where nothing is to be done.
pub(crate) fn plan(connection: &Connection, options: &SqliteOptions) -> Result<Vec<String>> {
    let schema = Schema { connection, options };
    schema.refuse_foreign()?;
    schema.refuse_other_columns()?;
    let found = schema.layout()?;
    if found > LAYOUT {
        return Err(Error::NewerLayout { found, known: LAYOUT });
    }
    let mut statements = Vec::new();
    for (table, sql) in TABLES {
        let missing = !schema.has_table(table)?;
        match table {
            _ if missing => statements.extend(split(&with_tables(sql, &options.prefix))),
            "streams" => statements.extend(adopt::streams(&schema)?),
            "events" => statements.extend(adopt::events(&schema)?),
            "snapshots" => statements.extend(adopt::snapshots(&schema)?),
            "outbox_entries" => statements.extend(adopt::outbox_entries(&schema)?),
            "subscription_members" => statements.extend(adopt::members(&schema)?),
            // The positions may begin anew, and the type directory with them.
            "event_blocks_mark" if makes_events(&statements, &schema) => {
                statements.push(format!("DELETE FROM {}", schema.table(table)));
            }
            "event_tags" if makes_empty_events(&statements, &schema) => {
                statements.push(format!("DELETE FROM {}", schema.table(table)));
            }
            _ => {}
        }
    }
    if found < LAYOUT {
        let layout = schema.table("layout");
        statements.push(format!("DELETE FROM {layout}"));
        statements.push(format!("INSERT INTO {layout} (version) VALUES ({LAYOUT})"));
    }
    Ok(statements)
}

fn makes_events(statements: &[String], schema: &Schema<'_>) -> bool {
    let create = format!("CREATE TABLE {}", schema.table("events"));
    statements.iter().any(|statement| statement.starts_with(&create))
}

/// The table is missing: what it held is gone, and a new event may get the position of an old one.
fn makes_empty_events(statements: &[String], schema: &Schema<'_>) -> bool {
    let create = format!("CREATE TABLE {} (", schema.table("events"));
    statements.iter().any(|statement| statement.starts_with(&create))
}

/// The statements of a script of ours, in which no text holds a semicolon.
fn split(script: &str) -> Vec<String> {
    script.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_owned).collect()
}

/// What is pending, short enough for a message.
fn summary(pending: &[String]) -> String {
    let first_lines = pending.iter().filter_map(|statement| statement.lines().next());
    first_lines.map(|line| line.trim_end_matches(" (")).collect::<Vec<_>>().join("; ")
}

/// What is in the file.
struct Schema<'c> {
    connection: &'c Connection,
    options: &'c SqliteOptions,
}

impl Schema<'_> {
    /// A table's full name.
    fn table(&self, name: &str) -> String {
        format!("{}{name}", self.options.prefix)
    }

    fn has_table(&self, name: &str) -> Result<bool> {
        self.connection
            .table_exists(Some("main"), &self.table(name))
            .map_err(|error| self.options.failed(error))
    }

    fn columns(&self, name: &str) -> Result<Vec<String>> {
        self.texts("SELECT name FROM pragma_table_info(?1)", &self.table(name))
    }

    /// The first column of an answer to a question about one name.
    fn texts(&self, sql: &str, about: &str) -> Result<Vec<String>> {
        let texts = || {
            let mut statement = self.connection.prepare(sql)?;
            statement.query_map([about], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        texts().map_err(|error| self.options.failed(error))
    }

    /// Tables of our names that somebody else made for something else.
    fn refuse_other_columns(&self) -> Result<()> {
        for (table, needed) in COLUMNS {
            if !self.has_table(table)? {
                continue;
            }
            let found = self.columns(table)?;
            let missing = needed.iter().find(|column| !found.iter().any(|found| found == *column));
            let problem = match missing {
                Some(missing) => format!("its table {} has no column {missing}", self.table(table)),
                None if table == "layout" && found.len() > 1 => {
                    format!("its table {} is not ours", self.table(table))
                }
                None => {
                    self.refuse_collations(table, needed)?;
                    continue;
                }
            };
            return Err(Error::ForeignLayout { place: self.options.path.display().to_string(), problem });
        }
        Ok(())
    }

    /// The layout on record; 0 where there is none.
    fn layout(&self) -> Result<u32> {
        if !self.has_table("layout")? {
            return Ok(0);
        }
        let sql = format!("SELECT coalesce(max(version), 0) FROM {}", self.table("layout"));
        self.connection.query_row(&sql, [], |row| row.get(0)).map_err(|error| self.options.failed(error))
    }

    /// The reference's Django backend has tables of another layout.
    fn refuse_foreign(&self) -> Result<()> {
        let django = "SELECT name FROM sqlite_schema WHERE name = ?1";
        let found = self.texts(django, "event_sourcery_django_event")?;
        if found.is_empty() || self.has_table("events")? {
            return Ok(());
        }
        let problem = "it holds the tables of the Django backend of Event Sourcery for Python, which have another layout"
            .to_owned();
        Err(Error::ForeignLayout { place: self.options.path.display().to_string(), problem })
    }
}
