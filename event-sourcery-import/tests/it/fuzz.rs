//! Files of others in which anything stands in any column: a run comes to its end, and tells what it has left out.

use std::time::Duration;

use event_sourcery_conformance::fuzz::{Random, rounds};
use event_sourcery_import::{Import, Mapping, SqliteSource};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::scene::memory;

/// Whatever a run does, it does not take longer.
const PATIENCE: Duration = Duration::from_secs(60);

fn value(random: &mut Random, plain: Value) -> Value {
    match random.below(24) {
        0 => Value::Null,
        1 => Value::Blob(random.text().into_bytes()),
        2 => Value::Real(f64::from_bits(random.bits())),
        3 => Value::Text(random.text()),
        4 => Value::Integer(random.integer()),
        _ => plain,
    }
}

#[test]
fn files_in_which_anything_stands() {
    let runtime = Runtime::new().unwrap();
    rounds(|random| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("theirs.db");
        let file = Connection::open(&path).unwrap();
        let table = "CREATE TABLE stored_events (originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB)";
        file.execute_batch(table).unwrap();
        for _ in 0..random.below(12) {
            let (stream, version) = (random.below(3).to_string(), 1 + random.below(4) as i64);
            let state = Value::Blob(br#"{"timestamp": "2026-03-01T12:00:00+00:00"}"#.to_vec());
            let stream = value(random, Value::Text(stream));
            let version = value(random, Value::Integer(version));
            let topic = value(random, Value::Text("Bank:Paid".to_owned()));
            let state = value(random, state);
            let insert = "INSERT INTO stored_events VALUES (CAST(?1 AS TEXT), ?2, ?3, ?4)";
            file.execute(insert, params![stream, version, topic, state]).unwrap();
        }
        let rows: u64 = file.query_row("SELECT count(*) FROM stored_events", [], |row| row.get(0)).unwrap();
        runtime.block_on(async {
            let (store, mapping) = (memory(), Mapping::new("bank"));
            let import = async || {
                let source = SqliteSource::eventsourcing(&path).await.unwrap();
                Import::new(source, &store, mapping.clone())
            };
            let planned = timeout(PATIENCE, import().await.dry_run()).await.expect("it ends").unwrap();
            assert_eq!(planned.events, rows);
            let run = timeout(PATIENCE, import().await.run()).await.expect("it ends").unwrap();
            assert!(run.written + run.present + run.left_out.count + run.different.count >= rows, "{run:?}");
            timeout(PATIENCE, import().await.compare()).await.expect("it ends").unwrap();
        });
    });
}
