//! Tables that the reference made: what they lack is added, no row is changed.

use event_sourcery::{Error, Result};

use super::{Schema, TABLES, split};
use crate::sql::with_tables;

const ADDED: &str = "schema_version";
pub(super) const EVENT_COLUMNS: [&str; 8] =
    ["id", "version", "uuid", "name", "data", "event_context", "created_at", "db_stream_id"];

/// The events table: without AUTOINCREMENT it would give the positions of deleted events again, and it is rebuilt.
pub(super) fn events(schema: &Schema<'_>) -> Result<Vec<String>> {
    let columns = schema.columns("events")?;
    let table = schema.table("events");
    let made_by =
        schema.texts("SELECT upper(sql) FROM sqlite_schema WHERE type = 'table' AND name = ?1", &table)?;
    if made_by.iter().any(|sql| sql.contains("AUTOINCREMENT")) {
        return Ok(add_schema_version(&table, &columns));
    }
    rebuild(schema, &table, &columns)
}

/// The streams table: it lacks the indexes by which the streams of a category, or of a tenant, are found, and listed by name.
pub(super) fn streams(schema: &Schema<'_>) -> Result<Vec<String>> {
    missing_indexes(schema, "streams")
}

/// Those of a table's indexes that are not there.
fn missing_indexes(schema: &Schema<'_>, table: &str) -> Result<Vec<String>> {
    let script = TABLES.iter().find(|(name, _)| *name == table).map_or("", |(_, sql)| *sql);
    let mut statements = Vec::new();
    for index in split(&with_tables(script, &schema.options.prefix)).into_iter().skip(1) {
        let name = index.split_whitespace().nth(2).unwrap_or_default();
        if !has_index(schema, name)? {
            statements.push(index);
        }
    }
    Ok(statements)
}

fn has_index(schema: &Schema<'_>, name: &str) -> Result<bool> {
    let is_there = "SELECT name FROM sqlite_schema WHERE type = 'index' AND name = ?1";
    Ok(!schema.texts(is_there, name)?.is_empty())
}

/// The snapshots table.
pub(super) fn snapshots(schema: &Schema<'_>) -> Result<Vec<String>> {
    Ok(add_schema_version(&schema.table("snapshots"), &schema.columns("snapshots")?))
}

/// The outbox: it lacks what tells that an entry was published and of which stream it is, and what they are found by. Entries of
/// Event Sourcery for Python tell their stream in their text alone. Up to layout 7 every entry was in an index by its stream, which each
/// append paid for with a page of that.
pub(super) fn outbox_entries(schema: &Schema<'_>) -> Result<Vec<String>> {
    let (table, columns) = (schema.table("outbox_entries"), schema.columns("outbox_entries")?);
    let added = [("published_at", "DATETIME"), ("stream_uuid", "CHAR(32)")].into_iter();
    let missing = added.filter(|(added, _)| !columns.iter().any(|column| column == added));
    let mut statements: Vec<_> =
        missing.map(|(column, kind)| format!("ALTER TABLE {table} ADD COLUMN {column} {kind}")).collect();
    let by_stream = format!("ix_{table}_stream");
    if has_index(schema, &by_stream)? {
        statements.push(format!("DROP INDEX {by_stream}"));
    }
    statements.extend(missing_indexes(schema, "outbox_entries")?);
    Ok(statements)
}

fn add_schema_version(table: &str, columns: &[String]) -> Vec<String> {
    if columns.iter().any(|column| column == ADDED) {
        return Vec::new();
    }
    vec![format!("ALTER TABLE {table} ADD COLUMN {ADDED} INTEGER NOT NULL DEFAULT 1")]
}

/// Copies the events into a table with AUTOINCREMENT. Their positions stay; the next one is above every position on
/// record, those in the outbox included. Indexes and triggers are made again, but for two that our indexes cover.
fn rebuild(schema: &Schema<'_>, table: &str, columns: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) =
        columns.iter().find(|column| !EVENT_COLUMNS.contains(&column.as_str()) && *column != ADDED)
    {
        let problem = format!(
            "{table} has a column {unknown} that we do not know, and has to be rebuilt with AUTOINCREMENT: rebuild it yourself"
        );
        return Err(Error::MigrationNeeded { problem });
    }
    let covered = [format!("ix_{table}_created_at"), format!("ix_{table}_db_stream_id")];
    let hung_on = schema.texts(
        "SELECT name || char(10) || sql FROM sqlite_schema
         WHERE tbl_name = ?1 AND type IN ('index', 'trigger') AND sql IS NOT NULL",
        table,
    )?;
    let script = TABLES.iter().find(|(name, _)| *name == "events").map_or("", |(_, sql)| *sql);
    let own = split(&with_tables(script, &schema.options.prefix));
    let Some((create, indexes)) = own.split_first() else { return Ok(own) };
    let kept: Vec<_> = columns.iter().map(String::as_str).collect();
    let (rebuilt, names) = (format!("{table}_rebuilt"), kept.join(", "));
    let mut statements = vec![
        create.replacen(table, &rebuilt, 1),
        format!("INSERT INTO {rebuilt} ({names}) SELECT {names} FROM {table} ORDER BY id"),
        format!("DROP TABLE {table}"),
        // Triggers and views of the user's may name the table: they are to stay as they are.
        "PRAGMA legacy_alter_table = ON".to_owned(),
        format!("ALTER TABLE {rebuilt} RENAME TO {table}"),
        "PRAGMA legacy_alter_table = OFF".to_owned(),
    ];
    statements.extend_from_slice(indexes);
    for named_sql in &hung_on {
        let Some((name, sql)) = named_sql.split_once('\n') else { continue };
        let made_already = statements.iter().any(|statement| statement.contains(&format!(" {name}\n")));
        if !made_already && !covered.iter().any(|covered| covered == name) {
            statements.push(sql.to_owned());
        }
    }
    statements.push(sequence_above_everything(schema, table)?);
    Ok(statements)
}

/// Members of the layouts 2 and 3 do not tell how long their leases last, and up to 5 they know of no presences. Earlier builds of 6 lack
/// the index by which those are found for whom a presence vouches.
pub(super) fn members(schema: &Schema<'_>) -> Result<Vec<String>> {
    let (table, columns) = (schema.table("subscription_members"), schema.columns("subscription_members")?);
    let added = [("lasting_ms", "INTEGER NOT NULL DEFAULT 0"), ("presence", "INTEGER")].into_iter();
    let missing = added.filter(|(added, _)| !columns.iter().any(|column| column == added));
    let mut statements: Vec<_> =
        missing.map(|(column, kind)| format!("ALTER TABLE {table} ADD COLUMN {column} {kind}")).collect();
    statements.extend(missing_indexes(schema, "subscription_members")?);
    Ok(statements)
}

fn sequence_above_everything(schema: &Schema<'_>, table: &str) -> Result<String> {
    let mut highest = format!("(SELECT coalesce(max(id), 0) FROM {table})");
    if schema.has_table("outbox_entries")? {
        let outbox = schema.table("outbox_entries");
        highest = format!("max({highest}, (SELECT coalesce(max(position), 0) FROM {outbox}))");
    }
    Ok(format!(
        "INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', {highest}
         WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}');
         UPDATE sqlite_sequence SET seq = {highest} WHERE name = '{table}'"
    ))
}
