//! Files that others have written into: whatever stands in a row, reading it is an answer or an error, and the store lives on.

use std::time::Duration;

use event_sourcery::EventStore;
use event_sourcery_conformance::fuzz::{Random, fill, rounds, use_all};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::types::Value;
use event_sourcery_sqlite::rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Whatever a call does, it does not take longer.
const PATIENCE: Duration = Duration::from_secs(120);

fn value(random: &mut Random) -> Value {
    match random.below(6) {
        0 => Value::Null,
        1 => Value::Blob(random.text().into_bytes()),
        2 => Value::Real(f64::from_bits(random.bits())),
        3 => Value::Text(random.text()),
        _ => Value::Integer(random.integer()),
    }
}

/// The tables with their columns.
fn columns(file: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT m.name, c.name FROM sqlite_schema m, pragma_table_info(m.name) c
               WHERE m.type = 'table' AND m.name NOT IN ('event_sourcery_layout')";
    let mut statement = file.prepare(sql).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// Writes a value into a row, or all rows, unless the table forbids it.
fn damage(file: &Connection, columns: &[(String, String)], random: &mut Random) {
    let (table, column) = &columns[random.below(columns.len())];
    let rows = if random.once_in(2) { "" } else { "WHERE rowid = (SELECT max(rowid) FROM {table})" };
    let rows = rows.replace("{table}", table);
    let value = if random.once_in(6) { "CAST(?1 AS TEXT)" } else { "?1" };
    let _ = file.execute(
        &format!("UPDATE OR IGNORE {table} SET {column} = {value} {rows}"),
        params![self::value(random)],
    );
}

#[test]
fn files_that_others_have_written_into() {
    let runtime = Runtime::new().unwrap();
    rounds(|random| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        runtime.block_on(async {
            let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
            fill(&store.erased()).await;
            let file = Connection::open(&path).unwrap();
            file.busy_timeout(Duration::from_secs(60)).unwrap();
            file.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
            let columns = columns(&file);
            for _ in 0..=random.below(3) {
                damage(&file, &columns, random);
            }
            timeout(PATIENCE, use_all(&store.erased())).await.expect("each call ends");
            // The writer lives on: it can be asked for something.
            store.transaction(|_| Ok::<_, event_sourcery::Error>(())).await.expect("the writer lives on");
            drop(store);
            // Opened anew, what was given before is looked at.
            if let Ok(backend) = SqliteBackend::open(&path).await {
                let store = EventStore::new(backend).erased();
                timeout(PATIENCE, use_all(&store)).await.expect("each call ends");
            }
        });
    });
}
