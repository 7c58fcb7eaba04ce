//! The tables that Rust makes, and those that Python makes.

use reference::SharedDatabase as _;

use super::shared_file::{SHARED_TABLES, SharedFile};

/// Columns: table, name, type, whether null is refused, whether it is the key.
fn columns(file: &SharedFile) -> Vec<String> {
    file.texts(&format!(
        "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk
         FROM sqlite_schema t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name IN {SHARED_TABLES} AND c.name NOT IN ('schema_version', 'published_at', 'stream_uuid')
         ORDER BY t.name, c.cid"
    ))
}

/// Indexes: table, whether it is unique, columns; and the name where it has one of its own.
fn indexes(file: &SharedFile) -> Vec<String> {
    file.texts(&format!(
        "SELECT t.name || CASE i.\"unique\" WHEN 1 THEN ' UNIQUE (' ELSE ' (' END
                || (SELECT group_concat(c.name) FROM pragma_index_info(i.name) c) || ') '
                || CASE i.origin WHEN 'c' THEN i.name ELSE '' END
         FROM sqlite_schema t JOIN pragma_index_list(t.name) i
         WHERE t.type = 'table' AND t.name IN {SHARED_TABLES} ORDER BY 1"
    ))
}

#[tokio::test]
async fn rust_makes_the_tables_that_python_makes_but_for_some_indexes() {
    let theirs = SharedFile::create().await;
    theirs.made_by_python();
    let ours = SharedFile::create().await;
    ours.rust().await;

    assert_eq!(columns(&ours), columns(&theirs));
    let redundant = [
        "event_sourcery_events (created_at) ix_event_sourcery_events_created_at",
        "event_sourcery_events (db_stream_id) ix_event_sourcery_events_db_stream_id",
    ];
    let mut expected = indexes(&theirs);
    expected.retain(|index| !redundant.contains(&index.as_str()));
    let own = [
        "event_sourcery_streams (category,tenant_id) ix_event_sourcery_streams_of_category",
        "event_sourcery_streams (tenant_id,category,name) ix_event_sourcery_streams_by_name",
        "event_sourcery_outbox_entries (position) ix_event_sourcery_outbox_entries_position",
        "event_sourcery_outbox_entries (position) ix_event_sourcery_outbox_entries_of_others",
        "event_sourcery_outbox_entries (published_at) ix_event_sourcery_outbox_entries_published_at",
    ];
    expected.extend(own.map(str::to_owned));
    expected.sort();
    assert_eq!(indexes(&ours), expected);
}
