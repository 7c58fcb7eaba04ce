//! Files that are not a store of ours, or not of this version.

use std::fs;

use event_sourcery::{Error, StreamId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};

use super::{Folder, event};

#[tokio::test]
async fn what_is_not_a_database_is_refused_and_left_as_it_is() {
    let whole = Folder::new();
    drop(whole.store().await);
    let truncated = fs::read(whole.path()).unwrap()[..60].to_vec();
    let mut damaged = fs::read(whole.path()).unwrap();
    damaged[..16].fill(b'x');
    let noise = (0..10_000).map(|_| fastrand::u8(..)).collect();
    for content in [b"Dear diary,\n".repeat(100), noise, truncated, damaged] {
        let folder = Folder::new();
        fs::write(folder.path(), &content).unwrap();
        let options = SqliteOptions::new(folder.path());
        let of_migration = options.migration().unwrap_err();
        assert!(matches!(of_migration, Error::ForeignLayout { .. }), "{of_migration:?}");
        let refused = options.open().await.unwrap_err();
        let Error::ForeignLayout { place, .. } = &refused else { panic!("{refused:?}") };
        assert!(place.ends_with("events.db"), "{place}");
        assert_eq!(fs::read(folder.path()).unwrap(), content, "left as it was");
    }
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_as_they_are() {
    let folder = Folder::new();
    drop(folder.store().await);
    let foreign = folder.foreign_connection();
    foreign.execute("UPDATE event_sourcery_layout SET version = 99", []).unwrap();
    for options in [
        SqliteOptions::new(folder.path()),
        SqliteOptions::new(folder.path()).migrate(false),
        SqliteOptions::new(folder.path()).read_only(true),
    ] {
        let refused = options.open().await.unwrap_err();
        assert!(matches!(refused, Error::NewerLayout { found: 99, known: 8 }), "{refused:?}");
    }
    let version =
        foreign.query_row("SELECT version FROM event_sourcery_layout", [], |row| row.get::<_, u32>(0));
    assert_eq!(version, Ok(99));
}

#[tokio::test]
async fn tables_of_the_references_django_backend_are_refused_by_name() {
    let folder = Folder::new();
    let foreign = folder.foreign_connection();
    foreign.execute_batch("CREATE TABLE event_sourcery_django_event (id INTEGER PRIMARY KEY)").unwrap();
    let refused = SqliteBackend::open(folder.path()).await.unwrap_err();
    assert!(
        matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains("Django")),
        "{refused:?}"
    );
    let tables: usize = foreign
        .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1, "nothing was made beside them");
}

#[tokio::test]
async fn an_events_table_of_another_kind_is_refused_and_its_lack_named() {
    let folder = Folder::new();
    let other = "CREATE TABLE event_sourcery_events (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)";
    folder.foreign_connection().execute_batch(other).unwrap();
    let refused = SqliteBackend::open(folder.path()).await.unwrap_err();
    assert!(
        matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains("no column version")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_database_of_the_callers_own_becomes_a_store_and_keeps_its_tables() {
    let folder = Folder::new();
    let own = "CREATE TABLE invoices (number TEXT); INSERT INTO invoices VALUES ('1003')";
    folder.foreign_connection().execute_batch(own).unwrap();
    let store = folder.store().await;
    store.append(&StreamId::random(), event()).await.unwrap();
    let number = folder.foreign_connection().query_row("SELECT number FROM invoices", [], |row| row.get(0));
    assert_eq!(number, Ok("1003".to_owned()));
}

#[tokio::test]
async fn tables_of_our_names_that_are_somebody_elses_are_refused_and_left_as_they_are() {
    for table in [
        "streams (id, title)",
        "layout (version, html)",
        "projector_cursors (film)",
        "projected_streams (stream_uuid, film)",
        "subject_keys (tenant_id, film)",
        "subject_key_bytes (id, film)",
        "event_tags (tag, film)",
    ] {
        let folder = Folder::new();
        let name = table.split(' ').next().unwrap();
        let foreign = rusqlite_at(&folder);
        foreign.execute_batch(&format!("CREATE TABLE {table}; INSERT INTO {name} DEFAULT VALUES")).unwrap();
        let before = fs::read(folder.path()).unwrap();

        let refused = SqliteOptions::new(folder.path()).table_prefix("").open().await.unwrap_err();

        assert!(
            matches!(&refused, Error::ForeignLayout { problem, .. } if problem.contains(name)),
            "{refused:?}"
        );
        assert_eq!(fs::read(folder.path()).unwrap(), before, "{table}: not even the journal mode is changed");
    }
}

#[tokio::test]
async fn tables_that_are_not_to_be_migrated_are_left_as_they_are() {
    let folder = Folder::new();
    rusqlite_at(&folder).execute_batch("CREATE TABLE own (id)").unwrap();
    let before = fs::read(folder.path()).unwrap();
    let refused = SqliteOptions::new(folder.path()).migrate(false).open().await.unwrap_err();
    assert!(matches!(refused, Error::MigrationNeeded { .. }), "{refused:?}");
    assert_eq!(fs::read(folder.path()).unwrap(), before);
}

/// A database that is not in WAL mode.
fn rusqlite_at(folder: &Folder) -> event_sourcery_sqlite::rusqlite::Connection {
    event_sourcery_sqlite::rusqlite::Connection::open(folder.path()).unwrap()
}

#[test]
fn a_prefix_in_upper_case_is_refused_because_sqlite_would_not_tell_it_from_the_lower_case_one() {
    let refused = SqliteOptions::new("never-opened.db").table_prefix("Billing_").migration().unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "table_prefix", .. }), "{refused:?}");
}
