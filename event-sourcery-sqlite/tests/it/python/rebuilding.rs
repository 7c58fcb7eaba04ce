//! An events table that Python made lacks AUTOINCREMENT: it is rebuilt, with all that hung on it.

use event_sourcery::StreamId;
use event_sourcery_sqlite::SqliteOptions;
use reference::invoicing::paid;
use reference::{SharedDatabase as _, fill};

use super::shared_file::SharedFile;

fn counters(file: &SharedFile) -> Vec<String> {
    file.texts("SELECT name || ' ' || seq FROM sqlite_sequence ORDER BY name")
}

#[tokio::test]
async fn an_adopted_events_table_counts_positions_and_has_lost_two_indexes() {
    let file = SharedFile::create().await;
    let mut python = file.made_by_python();
    fill(&mut python);
    let names = "SELECT name FROM sqlite_schema
                 WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = 'event_sourcery_events' ORDER BY 1";
    assert_eq!(file.texts(names).len(), 4);

    file.rust().await;

    let kept = ["ix_event_sourcery_events_uuid", "ix_events_stream_id_version_event_sourcery_events"];
    assert_eq!(file.texts(names), kept);
    let made_by = "SELECT sql FROM sqlite_schema WHERE name = 'event_sourcery_events'";
    assert!(file.texts(made_by)[0].contains("AUTOINCREMENT"));
    assert_eq!(
        file.number("SELECT seq FROM sqlite_sequence"),
        file.number("SELECT max(id) FROM event_sourcery_events")
    );
    assert!(file.texts("SELECT \"table\" FROM pragma_foreign_key_check").is_empty());
    assert_eq!(file.texts("PRAGMA integrity_check"), ["ok"]);
}

#[tokio::test]
async fn adopting_keeps_what_the_user_has_hung_on_the_tables() {
    let file = SharedFile::create().await;
    let mut python = file.made_by_python();
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
    let own = || {
        let mut schema = file.schema();
        schema.retain(|object| {
            ["by_month", "on_event", "on_stream", "names"].iter().any(|own| object.starts_with(own))
        });
        schema
    };
    let (before, seen) = (own(), file.number("SELECT count(*) FROM seen"));

    let rust = file.rust().await;

    assert_eq!(own(), before);
    assert_eq!(
        file.number("SELECT count(*) FROM seen"),
        seen,
        "copying the events is not an insert of the user's"
    );
    rust.append(&StreamId::random(), paid("1")).await.unwrap();
    rust.delete_stream(&StreamId::from_name("invoices/1003").unwrap()).await.unwrap();
    let seen = file.texts("SELECT what FROM seen ORDER BY rowid DESC LIMIT 2");
    assert_eq!(seen, ["7 left", "invoicing.Paid"]);
    assert_eq!(file.texts("SELECT name FROM names"), ["invoicing.Paid"]);
}

#[tokio::test]
async fn the_printed_migration_does_what_opening_does() {
    let file = SharedFile::create().await;
    let mut python = file.made_by_python();
    fill(&mut python);
    let opened = SharedFile::create().await;
    file.sql().execute("VACUUM INTO ?1", [opened.path().to_str()]).unwrap();
    opened.rust().await;

    let printed = SqliteOptions::new(file.path()).migration().unwrap();
    assert_ne!(printed, "");
    file.run(&format!("PRAGMA foreign_keys = OFF; BEGIN; {printed} COMMIT;"));

    assert_eq!(file.schema(), opened.schema());
    assert_eq!(counters(&file), counters(&opened));
    assert_eq!(file.rows(), opened.rows());
    assert_eq!(SqliteOptions::new(file.path()).migration().unwrap(), "");
    let unmigrated = file.open(false).await;
    assert!(unmigrated.is_ok(), "{unmigrated:?}");
}
