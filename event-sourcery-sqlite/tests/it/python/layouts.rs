//! The tables that Rust makes, and those that Python makes.

use event_sourcery::StreamId;
use event_sourcery_sqlite::rusqlite::Connection;
use serde_json::json;

use super::invoicing::{numbered, paid, payments, payments_in_python};
use super::process::{Expected, event};
use super::shared_file::{SharedFile, made_by_python, texts};

/// Columns: table, name, type, whether null is refused, whether it is the key.
fn columns(connection: &Connection) -> Vec<String> {
    texts(
        connection,
        "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk
         FROM sqlite_schema t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name LIKE 'event_sourcery_%' AND t.name <> 'event_sourcery_layout'
           AND c.name <> 'schema_version'
         ORDER BY t.name, c.cid",
    )
}

/// Indexes: table, whether it is unique, columns; and the name where it has one of its own.
fn indexes(connection: &Connection) -> Vec<String> {
    texts(
        connection,
        "SELECT t.name || CASE i.\"unique\" WHEN 1 THEN ' UNIQUE (' ELSE ' (' END
                || (SELECT group_concat(c.name) FROM pragma_index_info(i.name) c) || ') '
                || CASE i.origin WHEN 'c' THEN i.name ELSE '' END
         FROM sqlite_schema t JOIN pragma_index_list(t.name) i
         WHERE t.type = 'table' AND t.name LIKE 'event_sourcery_%' ORDER BY 1",
    )
}

#[tokio::test]
async fn rust_makes_the_tables_that_python_makes_but_for_two_indexes() {
    let (theirs, _python) = made_by_python();
    let ours = SharedFile::new();
    ours.rust().await;

    assert_eq!(columns(&ours.sql()), columns(&theirs.sql()));
    let redundant = [
        "event_sourcery_events (created_at) ix_event_sourcery_events_created_at",
        "event_sourcery_events (db_stream_id) ix_event_sourcery_events_db_stream_id",
    ];
    let mut expected = indexes(&theirs.sql());
    expected.retain(|index| !redundant.contains(&index.as_str()));
    assert_eq!(indexes(&ours.sql()), expected);
}

#[tokio::test]
async fn python_works_on_a_store_that_rust_made() {
    let file = SharedFile::new();
    let rust = file.rust().await;
    let mut python = file.python();
    let (first, second) = (StreamId::from_name("first").unwrap(), StreamId::from_name("second").unwrap());
    rust.append(&first, paid("1")).await.unwrap();

    python.create_all();
    python.append(&first, Expected::Version(1), &[event(&paid("2"))]).unwrap();
    python.create(&second, &[event(&paid("1"))]);
    python.snapshot(&second, 1, &json!({"type": "Summary", "fields": {"payments": 1}}));
    python.delete(&second);

    assert_eq!(payments_in_python(&python.load(&first)), numbered(1..=2));
    assert_eq!(payments(&rust.load_stream(&first).await.unwrap()), numbered(1..=2));
    assert!(python.load(&second).is_empty());
}
