//! The file that both languages work on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use event_sourcery::{Error, EventStore, Projector, RawEvent, Recorded, Result};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::types::ValueRef;
use event_sourcery_sqlite::rusqlite::{Connection, Row};
use reference::{Rows, SharedDatabase, Unreadable, in_a_word};
use tempfile::TempDir;

/// The tables that both languages know. The others are ours.
pub(super) const SHARED_TABLES: &str = "('event_sourcery_streams', 'event_sourcery_events', \
     'event_sourcery_snapshots', 'event_sourcery_outbox_entries', 'event_sourcery_projector_cursors')";

/// A file in a folder that goes with it.
pub(super) struct SharedFile {
    folder: TempDir,
}

impl SharedFile {
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("shared.db")
    }

    /// A connection for what neither language can be brought to do.
    pub(super) fn sql(&self) -> Connection {
        connect(&self.path())
    }
}

#[async_trait::async_trait]
impl SharedDatabase for SharedFile {
    async fn create() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn url(&self) -> String {
        format!("sqlite:///{}?timeout=30", self.path().display())
    }

    async fn open(&self, migrate: bool) -> Result<EventStore> {
        let backend = SqliteBackend::options(self.path()).migrate(migrate).open().await?;
        Ok(EventStore::new(backend).erased())
    }

    async fn project(&self, projector: &str, recorded: Recorded<RawEvent>) -> Vec<String> {
        let store = EventStore::new(SqliteBackend::open(self.path()).await.expect("the store opens"));
        let mut projection = Projector::new(projector).expect("a name").project(recorded);
        let projected = store.transaction::<_, Error, _>(move |tx| {
            let mut given = Vec::new();
            while let Some(projected) = projection.next(tx)? {
                given.push(in_a_word(&projected));
            }
            Ok(given)
        });
        projected.await.expect("it is projected")
    }

    fn run(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        texts(&self.sql(), sql)
    }

    fn rows(&self) -> Rows {
        let connection = self.sql();
        let tables =
            format!("SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN {SHARED_TABLES}");
        let tables = texts(&connection, &tables).into_iter();
        tables.map(|table| (table.clone(), rows_of(&connection, &table))).collect()
    }

    fn schema(&self) -> Vec<String> {
        self.texts("SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name")
    }

    fn unreadable(&self) -> Unreadable {
        Unreadable {
            payloads: &[
                "'{\"number\": \"2\"'",
                "'{\"number\": \"2\"} and more'",
                "''",
                "'null'",
                "'[\"2\"]'",
                "'\"2\"'",
                "7",
                "x'7b7d'",
                "x'ff00'",
                "CAST(x'7b22ff223a317d' AS TEXT)",
                "'{\"a\":' || replace(hex(zeroblob(4000)), '0', '[')",
            ],
            contexts: &[
                "'{'",
                "'[]'",
                "'null'",
                "'{\"correlation_id\": \"not a UUID\"}'",
                "'{\"causation_id\": 7}'",
                "'{\"components\": []}'",
                "'{\"load\": NaN}'",
                "x'7b7d'",
            ],
            ids: &["'not a UUID'", "''", "NULL", "x'f00d0000000040008000000000000001'"],
            times: &[
                "'yesterday'",
                "'2025-02-30 10:03:02.138667'",
                "''",
                "1742119382",
                "1742119382.138667",
                "CAST('2025-03-16 10:03:02.138667' AS BLOB)",
            ],
            event: "data = '{', event_context = x'00', created_at = 'yesterday', uuid = NULL",
        }
    }
}

fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the file opens");
    connection.busy_timeout(Duration::from_secs(10)).expect("a timeout");
    connection
}

/// The first column of an answer.
fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect("a query");
    let text = |row: &Row<'_>| row.get_ref(0).map(text);
    statement.query_map([], text).expect("rows").map(|text| text.expect("a value")).collect()
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(integer) => integer.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).into_owned(),
    }
}

fn rows_of(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).expect("a table");
    let columns: Vec<String> = statement.column_names().iter().map(|name| (*name).to_owned()).collect();
    let row = |row: &Row<'_>| {
        let ours = ["schema_version", "published_at", "stream_uuid"];
        let shared = columns.iter().filter(|column| !ours.contains(&column.as_str()));
        let values = shared.map(|column| Ok(format!("{column}: {:?}", row.get_ref(column.as_str())?)));
        values.collect::<std::result::Result<Vec<_>, _>>().map(|values| values.join(", "))
    };
    statement.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect()
}
