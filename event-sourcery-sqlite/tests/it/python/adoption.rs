//! A store that Python made, opened by Rust for the first time.

use event_sourcery::StreamId;
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use serde_json::json;

use super::invoicing::{numbered, paid, payments, payments_in_python};
use super::process::{Expected, Python, append, event, place, with};
use super::shared_file::{SharedFile, connect, made_by_python, rows, texts};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// Something in every table, from several tenants, with holes between the positions.
fn fill(python: &mut Python) {
    let events = [event(&paid("1")), event(&paid("2"))];
    let (unnamed, audit) = (StreamId::random(), StreamId::random().in_category("audit").unwrap());
    python.create(&unnamed, &events);
    python.told(&with(append(&stream(), Expected::Version(0), &events), "outbox", true));
    python.append(&audit, Expected::NoVersioning, &events).unwrap();
    python.told(&with(append(&stream(), Expected::Version(0), &events), "tenant", "acme"));
    python.snapshot(&unnamed, 2, &json!({"type": "Summary", "fields": {"payments": 2}}));
    python
        .told(&json!({"do": "put_cursor", "stream": place(&stream()), "projector": "revenue", "version": 1}));
}

/// A schema object's name and SQL, except for the names SQLite gives.
fn schema(connection: &Connection) -> Vec<String> {
    texts(connection, "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name")
}

fn counters(connection: &Connection) -> Vec<String> {
    texts(connection, "SELECT name || ' ' || seq FROM sqlite_sequence ORDER BY name")
}

#[tokio::test]
async fn adopting_a_store_changes_no_row() {
    let (file, mut python) = made_by_python();
    fill(&mut python);
    let before = rows(&file.sql());
    assert!(before.len() == 5 && before.values().all(|rows| !rows.is_empty()), "{before:?}");

    file.rust().await;

    assert_eq!(rows(&file.sql()), before);
}

#[tokio::test]
async fn an_adopted_events_table_counts_positions_and_has_lost_two_indexes() {
    let (file, mut python) = made_by_python();
    fill(&mut python);
    let names = "SELECT name FROM sqlite_schema
                 WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = 'event_sourcery_events' ORDER BY 1";
    assert_eq!(texts(&file.sql(), names).len(), 4);

    file.rust().await;

    let kept = ["ix_event_sourcery_events_uuid", "ix_events_stream_id_version_event_sourcery_events"];
    assert_eq!(texts(&file.sql(), names), kept);
    let made_by = "SELECT sql FROM sqlite_schema WHERE name = 'event_sourcery_events'";
    assert!(texts(&file.sql(), made_by)[0].contains("AUTOINCREMENT"));
    assert_eq!(
        file.number("SELECT seq FROM sqlite_sequence"),
        file.number("SELECT max(id) FROM event_sourcery_events")
    );
    assert!(texts(&file.sql(), "SELECT \"table\" FROM pragma_foreign_key_check").is_empty());
    assert_eq!(texts(&file.sql(), "PRAGMA integrity_check"), ["ok"]);
}

#[tokio::test]
async fn adopting_keeps_what_the_user_has_hung_on_the_tables() {
    let (file, mut python) = made_by_python();
    file.run(
        "CREATE TABLE seen (what TEXT);
         CREATE INDEX by_month ON event_sourcery_events (substr(created_at, 1, 7)) WHERE version = 1;
         CREATE TRIGGER on_event AFTER INSERT ON event_sourcery_events
         BEGIN INSERT INTO seen VALUES (NEW.name); END;
         CREATE TRIGGER on_stream AFTER DELETE ON event_sourcery_streams
         BEGIN INSERT INTO seen SELECT count(*) || ' left' FROM event_sourcery_events; END;
         CREATE VIEW names AS SELECT DISTINCT name FROM event_sourcery_events;",
    );
    fill(&mut python);
    let own = |connection: &Connection| {
        let mut schema = schema(connection);
        schema.retain(|object| {
            ["by_month", "on_event", "on_stream", "names"].iter().any(|own| object.starts_with(own))
        });
        schema
    };
    let (before, seen) = (own(&file.sql()), file.number("SELECT count(*) FROM seen"));

    let rust = file.rust().await;

    assert_eq!(own(&file.sql()), before);
    assert_eq!(
        file.number("SELECT count(*) FROM seen"),
        seen,
        "copying the events is not an insert of the user's"
    );
    rust.append(&StreamId::random(), paid("1")).await.unwrap();
    rust.delete_stream(&stream()).await.unwrap();
    let seen = texts(&file.sql(), "SELECT what FROM seen ORDER BY rowid DESC LIMIT 2");
    assert_eq!(seen, ["7 left", "invoicing.Paid"]);
    assert_eq!(texts(&file.sql(), "SELECT name FROM names"), ["invoicing.Paid"]);
}

#[tokio::test]
async fn adoption_happens_once() {
    let (file, mut python) = made_by_python();
    fill(&mut python);
    assert_ne!(SqliteOptions::new(file.path()).migration().unwrap(), "");
    file.rust().await;
    let (adopted, content) = (schema(&file.sql()), rows(&file.sql()));

    assert_eq!(SqliteOptions::new(file.path()).migration().unwrap(), "");
    file.rust().await;
    python.create_all();
    file.rust().await;

    assert_eq!(schema(&file.sql()), adopted);
    assert_eq!(rows(&file.sql()), content);
}

#[tokio::test]
async fn python_goes_on_with_the_connection_it_had_when_the_file_was_adopted() {
    let (file, mut python) = made_by_python();
    python.create(&stream(), &[event(&paid("1"))]);

    let rust = file.rust().await;

    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=2));
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
    python.snapshot(&stream(), 2, &json!({"type": "Summary", "fields": {"payments": 2}}));
    assert_eq!(python.load(&stream())[0].class, "Summary");
    python.delete(&stream());
    assert!(python.load(&stream()).is_empty());
    assert!(rust.load_stream::<event_sourcery::RawEvent>(&stream()).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_lost_that_python_writes_while_the_file_is_adopted() {
    let (file, mut python) = made_by_python();
    let appends = 60;
    for expected in 0..appends {
        python.send(&append(
            &stream(),
            Expected::Version(expected),
            &[event(&paid((expected + 1).to_string()))],
        ));
    }
    python.answer().unwrap();

    let rust = file.rust().await;

    for _ in 1..appends {
        python.answer().unwrap();
    }
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=appends));
}

#[tokio::test]
async fn the_printed_migration_does_what_opening_does() {
    let (file, mut python) = made_by_python();
    fill(&mut python);
    let opened = SharedFile::new();
    file.sql().execute("VACUUM INTO ?1", [opened.path().to_str()]).unwrap();
    opened.rust().await;

    let printed = SqliteOptions::new(file.path()).migration().unwrap();
    file.run(&format!("PRAGMA foreign_keys = OFF; BEGIN; {printed} COMMIT;"));

    assert_eq!(schema(&file.sql()), schema(&opened.sql()));
    assert_eq!(counters(&file.sql()), counters(&opened.sql()));
    assert_eq!(rows(&file.sql()), rows(&opened.sql()));
    let unmigrated = SqliteOptions::new(file.path()).migrate(false).open().await;
    assert!(unmigrated.is_ok(), "{unmigrated:?}");
}

#[tokio::test]
async fn positions_go_on_above_those_that_the_outbox_has_promised() {
    let (file, mut python) = made_by_python();
    let deleted = StreamId::from_name("deleted").unwrap();
    python.create(&stream(), &[event(&paid("1"))]);
    python.told(&with(
        append(&deleted, Expected::Version(0), &[event(&paid("1")), event(&paid("2"))]),
        "outbox",
        true,
    ));
    python.delete(&deleted);
    let promised = file.number("SELECT max(position) FROM event_sourcery_outbox_entries").unwrap();
    assert!(python.position().to_i64() < promised, "the reference would give the position again");

    let rust = file.rust().await;

    let appended = rust.append(&StreamId::random(), paid("3")).await.unwrap();
    assert_eq!(appended.position.to_i64(), promised + 1);
}

#[tokio::test]
async fn a_file_that_is_not_to_be_migrated_is_refused_and_left_alone() {
    let (file, mut python) = made_by_python();
    fill(&mut python);
    let before = schema(&file.sql());

    let refused = SqliteBackend::options(file.path()).migrate(false).open().await;

    assert!(matches!(refused, Err(event_sourcery::Error::MigrationNeeded { .. })), "{refused:?}");
    assert_eq!(schema(&connect(&file.path())), before);
}
