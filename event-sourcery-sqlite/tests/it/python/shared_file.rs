//! The file that both languages work on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use event_sourcery::{EventStore, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::{Connection, types::Value};
use tempfile::TempDir;

use super::process::Python;

/// A file in a folder that goes with it.
pub(super) struct SharedFile {
    folder: TempDir,
}

impl SharedFile {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("shared.db")
    }

    pub(super) fn python(&self) -> Python {
        Python::start(&self.path())
    }

    pub(super) async fn rust(&self) -> EventStore<SqliteBackend> {
        EventStore::new(SqliteBackend::open(self.path()).await.expect("the store opens"))
    }

    /// A connection for what neither language can be brought to do.
    pub(super) fn sql(&self) -> Connection {
        connect(&self.path())
    }

    /// Runs statements by hand.
    pub(super) fn run(&self, sql: &str) {
        self.sql().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// A number that SQL finds; `None` for NULL.
    pub(super) fn number(&self, sql: &str) -> Option<i64> {
        self.sql().query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The version in the row of a stream, which may have drifted.
    pub(super) fn row_version(&self, stream: &StreamId) -> Option<i64> {
        let uuid = stream.uuid().simple();
        self.number(&format!("SELECT version FROM event_sourcery_streams WHERE uuid = '{uuid}'"))
    }
}

/// A file whose tables Python made, and Python at work on it.
pub(super) fn made_by_python() -> (SharedFile, Python) {
    let file = SharedFile::new();
    let mut python = file.python();
    python.create_all();
    (file, python)
}

/// A file that Rust made, or opened after Python made it, and both at work on it.
pub(super) async fn shared() -> (SharedFile, Python, EventStore<SqliteBackend>) {
    let (file, python) = made_by_python();
    let rust = file.rust().await;
    (file, python, rust)
}

pub(super) fn connect(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the file opens");
    connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout");
    connection
}

/// Every row of every table: the columns that the reference has, with the types of their values.
pub(super) type Rows = BTreeMap<String, Vec<Vec<(String, Value)>>>;

/// Every row of every table of the reference, without columns that we add.
pub(super) fn rows(connection: &Connection) -> Rows {
    let tables = texts(
        connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'event_sourcery_%'",
    );
    let shared = tables.into_iter().filter(|table| table != "event_sourcery_layout");
    shared.map(|table| (table.clone(), rows_of(connection, &table))).collect()
}

fn rows_of(connection: &Connection, table: &str) -> Vec<Vec<(String, Value)>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).expect("a table");
    let columns: Vec<String> = statement.column_names().iter().map(|name| (*name).to_owned()).collect();
    let row = |row: &event_sourcery_sqlite::rusqlite::Row<'_>| {
        let all = columns.iter().enumerate();
        let shared = all.filter(|(_, column)| *column != "schema_version");
        shared.map(|(number, column)| Ok((column.clone(), row.get(number)?))).collect()
    };
    statement.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect()
}

/// The first column of an answer.
pub(super) fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect("a query");
    statement.query_map([], |row| row.get(0)).expect("rows").map(|text| text.expect("a text")).collect()
}
