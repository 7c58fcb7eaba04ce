//! Files that others have written into: whatever stands in a row, reading it is an answer or an error, and the store lives on.

use std::sync::Arc;
use std::time::Duration;

use event_sourcery::conformance::fuzz::{Random, rounds};
use event_sourcery::{EventStore, Passed, Position, RawEvent, StreamId, TenantId};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::types::Value;
use event_sourcery_sqlite::rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

fn event(name: &'static str) -> RawEvent {
    RawEvent::new(name, r#"{"number":1}"#).unwrap()
}

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

async fn fill(store: &EventStore<SqliteBackend>) {
    let stream = StreamId::from_name("kept").unwrap();
    store.append(&stream, [event("Kept"), event("Other")]).await.unwrap();
    store.append(&StreamId::random(), event("Kept")).no_versioning().await.unwrap();
    let acme = store.for_tenant(TenantId::new("acme").unwrap());
    acme.append(&StreamId::random().in_category("red").unwrap(), event("Kept")).await.unwrap();
    store.save_snapshot(&stream, 1, event("Kept")).await.unwrap();
    let failed = Arc::new(Notify::new());
    let waits = Arc::clone(&failed);
    let failing = store.subscribe::<RawEvent>().durable("failing").attempts(1);
    let failing = failing.until(async move { waits.notified().await });
    let fail = async |_, _| {
        failed.notify_one();
        Err("as always".into())
    };
    failing.run(fail).await.unwrap();
}

/// Everything that reads, and what writes beside it. What they answer is not asked.
async fn use_all(store: &EventStore<SqliteBackend>) {
    let stream = StreamId::from_name("kept").unwrap();
    let _ = store.load_stream::<RawEvent>(&stream).await;
    let _ = store.load_stream::<RawEvent>(&stream).versions(1..).await;
    let _ = store.version(&stream).await;
    let _ = store.position().await;
    let mut all = store.read_all::<RawEvent>().stream();
    while let Ok(Some(_)) = all.try_next().await {}
    let _ = store.verify::<RawEvent>().await.map(|found| format!("{found} {found:?}"));
    let _ = store.append(&stream, event("New")).expected_version(2).await;
    let _ = store.append(&stream, event("New")).no_versioning().await;
    let _ = store.save_snapshot(&stream, 2, event("Kept")).await;
    for name in ["failing", "fresh"] {
        let durable =
            || store.subscribe::<RawEvent>().event_names(["Kept"]).durable(name).widen(Passed::LeaveOut);
        let _ = durable().status().await;
        let _ = durable().parked().await;
        let _ = durable().wait_for_everything(Position::from_i64(3), Duration::ZERO).await;
        let run = durable().until(std::future::ready(())).run(async |_, _| Ok(()));
        let _ = tokio::time::timeout(Duration::from_secs(20), run).await.expect("it stops");
    }
    let _ = store.delete_stream(&stream).await;
}

#[test]
fn files_that_others_have_written_into() {
    let runtime = Runtime::new().unwrap();
    rounds(|random| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        runtime.block_on(async {
            let store = EventStore::new(SqliteBackend::open(&path).await.unwrap());
            fill(&store).await;
            let file = Connection::open(&path).unwrap();
            file.busy_timeout(Duration::from_secs(60)).unwrap();
            file.execute_batch("PRAGMA ignore_check_constraints = ON").unwrap();
            let columns = columns(&file);
            for _ in 0..=random.below(3) {
                damage(&file, &columns, random);
            }
            use_all(&store).await;
            // The writer lives on: it can be asked for something.
            store.transaction(|_| Ok::<_, event_sourcery::Error>(())).await.expect("the writer lives on");
            drop(store);
            // Opened anew, what was given before is looked at.
            if let Ok(backend) = SqliteBackend::open(&path).await {
                use_all(&EventStore::new(backend)).await;
            }
        });
    });
}
