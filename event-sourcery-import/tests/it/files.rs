//! From files of SQLite as other programs leave them, with what is awkward in them.

use std::path::PathBuf;

use event_sourcery::uuid::Uuid;
use event_sourcery::{RawEvent, TenantId};
use event_sourcery_import::{Holes, Import, ImportError, Mapping, PayloadRule, SqliteSource, TimeRule};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scene::{all, data, equal, imported, memory, names, stream};

/// A file that another program writes, in a folder of its own.
struct File {
    folder: TempDir,
    connection: Connection,
}

impl File {
    fn new(tables: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("theirs.db")).unwrap();
        connection.execute_batch(tables).unwrap();
        Self { folder, connection }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("theirs.db")
    }

    fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }
}

// As `eventsourcing` makes it.
const STORED_EVENTS: &str = "
    CREATE TABLE stored_events (originator_id TEXT, originator_version INTEGER, topic TEXT, state BLOB,
        PRIMARY KEY (originator_id, originator_version))";

// As Emmett makes it.
const EMT_MESSAGES: &str = "
    CREATE TABLE emt_messages (
        stream_id TEXT NOT NULL, stream_position BIGINT NOT NULL, partition TEXT NOT NULL DEFAULT 'global',
        message_kind CHAR(1) NOT NULL DEFAULT 'E', message_data JSONB NOT NULL, message_metadata JSONB NOT NULL,
        message_schema_version TEXT NOT NULL, message_type TEXT NOT NULL, message_id TEXT NOT NULL,
        is_archived BOOLEAN NOT NULL DEFAULT FALSE, global_position INTEGER PRIMARY KEY,
        created DATETIME DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (stream_id, stream_position, partition, is_archived))";

fn message(stream: &str, version: i64, partition: &str, id: &str) -> String {
    let position = version.to_string();
    let metadata = json!({"streamName": stream, "messageId": id, "streamPosition": position, "by": "Ada"});
    format!(
        "INSERT INTO emt_messages (stream_id, stream_position, partition, message_data, message_metadata, message_schema_version, \
         message_type, message_id, created)
         VALUES ('{stream}', {version}, '{partition}', '{{\"n\": {version}}}', '{metadata}', '0', 'Added{version}', '{id}', \
         '2026-03-01 12:00:00');"
    )
}

const FIRST: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test]
async fn emmett_has_ids_twice_ids_that_are_none_holes_and_partitions() {
    let file = File::new(EMT_MESSAGES);
    file.run(&message("cart-1", 1, "emt:default", FIRST));
    file.run(&message("cart-2", 1, "emt:default", FIRST));
    file.run(&message("cart-1", 2, "emt:default", "no UUID"));
    // A refused append has raised the version.
    file.run(&message("cart-1", 5, "emt:default", &Uuid::from_u128(5).to_string()));
    file.run(&message("cart-1", 1, "acme", &Uuid::from_u128(6).to_string()));
    let source = || SqliteSource::emmett(file.path());

    let store = memory();
    let stopping = Mapping::new("shop").tenants_by_partition();
    let planned = Import::new(source().await.unwrap(), &store, stopping.clone()).dry_run().await.unwrap();
    assert_eq!((planned.events, planned.streams, planned.streams_with_holes), (5, 3, 1));
    assert_eq!((planned.derived_ids, planned.left_out.count), (1, 0), "{planned:?}");
    let run = Import::new(source().await.unwrap(), &store, stopping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.left_out.count), (4, 1));
    assert!(run.left_out.first[0].problem.contains("3 to 4"), "{run:?}");
    assert!(!equal(source().await.unwrap(), &store, &stopping).await.unwrap());

    // The mapping was not what is wanted: another one goes on from what is there.
    let mapping = stopping.holes(Holes::Renumber);
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.present, run.moved_up, run.is_clean()), (1, 4, 1, true), "{run:?}");
    let moved = store.load_stream::<RawEvent>(&stream("cart", "cart-1")).await.unwrap();
    assert_eq!((moved[2].version, moved[2].event.name()), (Some(3), "Added5"));
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());

    let events = all(&store).await;
    assert_eq!(events[0].wrapped_event.uuid.to_string(), FIRST);
    assert_eq!(imported(&events[1])["id"], FIRST, "its id belongs to another event");
    assert_eq!(imported(&events[2])["id"], "no UUID");
    assert_eq!(events[3].tenant_id, TenantId::new("acme").unwrap());
    let metadata: Option<Value> = events[0].wrapped_event.context.root("metadata").unwrap();
    assert_eq!(metadata, Some(json!({"by": "Ada"})));
    assert_eq!(events[0].wrapped_event.created_at.to_string(), "2026-03-01T12:00:00Z");
    // What comes next is written behind what has moved up.
    file.run(&message("cart-1", 6, "emt:default", &Uuid::from_u128(7).to_string()));
    let next = Import::new(source().await.unwrap(), &store, mapping.clone()).after(run.mark);
    let run = next.run().await.unwrap();
    assert_eq!((run.written, run.moved_up), (1, 1), "{run:?}");
}

#[tokio::test]
async fn a_row_that_holds_what_it_may_not_is_left_out_and_ends_no_run() {
    let state = "CAST('{\"timestamp\": \"2026-03-01T12:00:00+00:00\"}' AS BLOB)";
    let file = File::new(STORED_EVENTS);
    for stream in ["a", "bad", "c"] {
        file.run(&format!("INSERT INTO stored_events VALUES ('{stream}', 1, 'Bank:Paid', {state})"));
    }
    let source = || SqliteSource::eventsourcing(file.path());
    let mapping = Mapping::new("bank");
    for spoil in [
        "originator_id = x'ff'",
        "originator_id = NULL",
        "originator_id = CAST(x'ff' AS TEXT)",
        "originator_version = 'two'",
        "originator_version = x'01'",
        "originator_version = NULL",
        "topic = x'00'",
        "topic = NULL",
        "state = NULL",
        "state = x'ff'",
    ] {
        file.run(&format!("UPDATE stored_events SET {spoil} WHERE rowid = 2"));
        let store = memory();
        let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
        assert_eq!((run.written, run.left_out.count), (2, 1), "{spoil}: {run:?}");
        assert!(!equal(source().await.unwrap(), &store, &mapping).await.unwrap(), "{spoil}");
        let mended = "originator_id = 'bad', originator_version = 1, topic = 'Bank:Paid'";
        file.run(&format!("UPDATE stored_events SET {mended}, state = {state} WHERE rowid = 2"));
        let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
        assert_eq!((run.written, run.present, run.is_clean()), (1, 2, true), "{spoil}: {run:?}");
        assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap(), "{spoil}");
    }
}

#[tokio::test]
async fn numbers_that_are_given_again_are_noticed() {
    let file = File::new(STORED_EVENTS);
    let write = |stream: &str, version: i64| {
        file.run(&format!(
            "INSERT INTO stored_events VALUES ('{stream}', {version}, 'Bank:Paid', \
             CAST('{{\"timestamp\": \"2026-03-01T12:00:00+00:00\"}}' AS BLOB))"
        ));
    };
    let source = || SqliteSource::eventsourcing(file.path());
    let (store, mapping) = (memory(), Mapping::new("bank"));
    write("a", 1);
    write("b", 1);
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();

    // The newest event is erased, and its number belongs to another one, and the next number to a third.
    file.run("DELETE FROM stored_events WHERE originator_id = 'b'");
    write("c", 1);
    write("d", 1);
    let next = Import::new(source().await.unwrap(), &store, mapping.clone()).after(run.mark);
    let run = next.run().await.unwrap();
    assert_eq!((run.began_anew, run.written), (true, 2), "{run:?}");
    let compare = Import::new(source().await.unwrap(), &store, mapping.clone()).compare();
    let compared = compare.await.unwrap();
    assert_eq!((compared.equal, compared.extra), (3, 1), "what was erased is still here");
    assert!(!compared.is_equal());

    // A row is written anew in its place: no number tells.
    file.run("UPDATE stored_events SET topic = 'Bank:Refunded' WHERE originator_id = 'a'");
    let next = Import::new(source().await.unwrap(), &store, mapping.clone()).after(run.mark);
    let run = next.run().await.unwrap();
    assert_eq!((run.written, run.began_anew), (0, false));
    let compared = Import::new(source().await.unwrap(), &store, mapping).compare().await.unwrap();
    assert_eq!((compared.equal, compared.different.count), (2, 1), "{compared:?}");
}

#[tokio::test]
async fn a_file_that_was_numbered_anew_is_the_same() {
    let file = File::new(STORED_EVENTS);
    file.run(
        r#"INSERT INTO stored_events VALUES ('a', 1, 'Bank:Paid', CAST('{"timestamp": "2026-03-01T12:00:00+00:00"}' AS BLOB)),
               ('b', 1, 'Bank:Paid', CAST('{"timestamp": "2026-03-01T12:00:00+00:00"}' AS BLOB))"#,
    );
    let source = || SqliteSource::eventsourcing(file.path());
    let (store, mapping) = (memory(), Mapping::new("bank"));
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    // As `VACUUM` may do it.
    file.run("UPDATE stored_events SET rowid = rowid + 10");
    let again = Import::new(source().await.unwrap(), &store, mapping.clone()).after(run.mark);
    let again = again.run().await.unwrap();
    assert_eq!((again.began_anew, again.written, again.present), (true, 0, 2), "{again:?}");
    assert!(again.is_clean(), "{again:?}");
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());
}

/// Emmett's columns of JSON are called `JSONB`, which makes numbers of texts that are such. Its own metadata is text; that of others may be
/// anything.
#[tokio::test]
async fn a_payload_that_is_a_number_is_one_and_metadata_that_is_no_text_is_told() {
    let file = File::new(EMT_MESSAGES);
    for version in 1..=3_u8 {
        let id = Uuid::from_u128(version.into()).to_string();
        file.run(&message("cart-1", version.into(), "emt:default", &id));
    }
    file.run("UPDATE emt_messages SET message_data = '12' WHERE stream_position = 1");
    file.run("UPDATE emt_messages SET message_data = '1.5' WHERE stream_position = 2");
    let kinds = "SELECT group_concat(typeof(message_data), ' ') FROM emt_messages";
    let kinds: String = file.connection.query_row(kinds, [], |row| row.get(0)).unwrap();
    assert_eq!(kinds, "integer real text");
    file.run("UPDATE emt_messages SET message_metadata = CAST(x'22ff22' AS TEXT) WHERE stream_position = 3");
    let source = || SqliteSource::emmett(file.path());
    let (store, mapping) = (memory(), Mapping::new("shop").wrap("value"));
    let run = Import::new(source().await.unwrap(), &store, mapping).run().await.unwrap();
    assert_eq!((run.written, run.left_out.count), (2, 1), "{run:?}");
    let problem = &run.left_out.first[0];
    assert_eq!((problem.version, problem.problem.contains("metadata")), (3, true), "{problem:?}");
    let events = all(&store).await;
    assert_eq!((data(&events[0]), data(&events[1])), (json!({"value": 12}), json!({"value": 1.5})));
}

#[tokio::test]
async fn a_payload_that_is_no_json_is_decoded_as_the_user_says() {
    let file = File::new(STORED_EVENTS);
    // Bytes that are each one higher stand for compressed ones.
    let state: Vec<u8> =
        br#"{"timestamp": "2026-03-01T12:00:00+00:00"}"#.iter().map(|byte| byte + 1).collect();
    let insert = "INSERT INTO stored_events VALUES ('a', 1, 'Bank:Paid', ?1)";
    file.connection.execute(insert, [state]).unwrap();
    let source = || SqliteSource::eventsourcing(file.path());
    let (store, mapping) = (memory(), Mapping::new("bank"));
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert!(run.left_out.first[0].problem.contains("decode"), "{run:?}");

    let import = Import::new(source().await.unwrap(), &store, mapping);
    let run = import.decoding(|bytes| Ok(bytes.iter().map(|byte| byte - 1).collect())).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (1, true), "{run:?}");
    assert_eq!(data(&all(&store).await[0]), json!({"timestamp": "2026-03-01T12:00:00+00:00"}));
}

// As the migrations of sqlite-es make it.
const EVENTS: &str = "
    CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL,
        sequence integer CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, event_version text NOT NULL,
        payload text NOT NULL, metadata text NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence)) STRICT";

#[tokio::test]
async fn cqrs_es_has_neither_ids_nor_times_nor_an_order_across_streams() {
    let file = File::new(EVENTS);
    let write = |kind: &str, id: &str, sequence: i64, payload: &str| {
        let metadata = r#"{"time": "2026-03-01T12:00:00.5Z"}"#;
        file.run(&format!(
            "INSERT INTO events VALUES ('{kind}', '{id}', {sequence}, 'Changed', '1.0', '{payload}', '{metadata}')"
        ));
    };
    write("account", "1", 1, r#"{"Opened": {"owner": "Ada"}}"#);
    write("account", "1", 2, r#""Closed""#);
    write("customer", "1", 1, r#"{"Changed": {"name": "Ada"}}"#);
    let source = || SqliteSource::cqrs_es(file.path());
    let store = memory();
    let mapping = Mapping::new("bank").payload(PayloadRule::Tagged);
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.left_out.count), (0, 3), "nobody says when: {run:?}");

    let mapping = mapping.time(TimeRule::Metadata("time".to_owned()));
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (3, true), "{run:?}");
    write("account", "1", 3, r#"{"Opened": {}}"#);
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.present), (1, 0), "only what is new is read");
    // One of the two would be lost without a word.
    write("twice", "1", 1, r#"{"Opened": {"owner": "Ada"}, "Opened": {}}"#);
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.left_out.count), (0, 1), "{run:?}");
    assert!(run.left_out.first[0].problem.contains("Opened"), "{run:?}");
    file.run("DELETE FROM events WHERE aggregate_type = 'twice'");
    assert_eq!(names(&store, &stream("account", "1")).await, ["Changed"; 3]);
    assert_eq!(names(&store, &stream("customer", "1")).await, ["Changed"]);
    let events = all(&store).await;
    let of_account: Vec<_> =
        events.iter().filter(|event| event.stream_id == stream("account", "1")).collect();
    assert_eq!(data(of_account[0]), json!({"owner": "Ada"}));
    assert_eq!((data(of_account[1]), &imported(of_account[1])["tag"]), (json!({}), &json!("Closed")));
    assert_eq!(imported(of_account[0])["form"], "1.0");
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());
    file.run("ALTER TABLE events RENAME TO of_the_bank");
    let renamed = SqliteSource::cqrs_es_in(file.path(), "of_the_bank").await.unwrap();
    assert!(equal(renamed, &store, &mapping).await.unwrap());
}

// As mire makes it.
const ES_EVENTS: &str = "
    CREATE TABLE es_streams (stream_id TEXT PRIMARY KEY, stream_category TEXT NOT NULL, stream_version INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
    CREATE TABLE es_events (global_position INTEGER PRIMARY KEY AUTOINCREMENT,
        stream_id TEXT NOT NULL REFERENCES es_streams (stream_id), stream_version INTEGER NOT NULL, event_type TEXT NOT NULL,
        data TEXT NOT NULL, metadata TEXT NOT NULL DEFAULT '{}', stream_category TEXT, payload_size INTEGER, metadata_size INTEGER,
        transaction_id INTEGER NOT NULL, created_at TEXT NOT NULL, UNIQUE (stream_id, stream_version))";

#[tokio::test]
async fn mire_has_times_as_text_payloads_as_they_were_written_and_several_categories_in_a_stream() {
    let file = File::new(ES_EVENTS);
    file.run(
        r#"INSERT INTO es_streams VALUES ('account-1', 'account', 2, '2026-03-01T12:00:00.000001Z', '2026-03-01T10:00:00.500000Z'),
               ('customer-1', 'customer', 1, '2026-03-01T11:00:00.000000Z', '2026-03-01T11:00:00.000000Z');
           INSERT INTO es_events (stream_id, stream_category, stream_version, event_type, data, metadata, transaction_id, created_at) VALUES
           ('account-1', 'account', 1, 'Opened', '{"type": "Opened", "b": 1.50, "a": 12345678901234567890}', '{"by": "Ada"}', 1,
            '2026-03-01T12:00:00.000001Z'),
           ('customer-1', 'customer', 1, 'Named', '{}', '{}', 2, '2026-03-01T11:00:00.000000Z'),
           ('account-1', 'savings', 2, 'Closed', '{}', '{}', 3, '2026-03-01T10:00:00.500000Z')"#,
    );
    let source = || SqliteSource::mire(file.path());
    let (store, mapping) = (memory(), Mapping::new("bank"));
    let run = Import::new(source().await.unwrap(), &store, mapping.clone()).run().await.unwrap();
    assert_eq!((run.written, run.is_clean()), (3, true), "{run:?}");
    let events = all(&store).await;
    let times: Vec<_> = events.iter().map(|event| event.wrapped_event.created_at.to_string()).collect();
    assert_eq!(times, ["2026-03-01T12:00:00.000001Z", "2026-03-01T11:00:00Z", "2026-03-01T10:00:00.5Z"]);
    let payload = events[0].event().data().get().replace(' ', "");
    assert_eq!(payload, r#"{"type":"Opened","b":1.50,"a":12345678901234567890}"#);
    assert_eq!(names(&store, &stream("account", "account-1")).await, ["Opened", "Closed"]);
    assert_eq!(names(&store, &stream("customer", "customer-1")).await, ["Named"]);
    assert!(equal(source().await.unwrap(), &store, &mapping).await.unwrap());
}

#[tokio::test]
async fn a_file_with_other_tables_is_told_apart_from_one_that_is_not_there() {
    let file = File::new(EVENTS);
    let refused = SqliteSource::emmett(file.path()).await.unwrap_err();
    let names_it = |problem: &str| problem.contains("emt_messages");
    assert!(matches!(&refused, ImportError::Layout { problem, .. } if names_it(problem)), "{refused:?}");
    let missing = SqliteSource::emmett(file.folder.path().join("missing.db")).await.unwrap_err();
    assert!(matches!(missing, ImportError::Source { .. }), "{missing:?}");
}
