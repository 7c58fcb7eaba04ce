//! Making the tables: by us, by hand, by many at once, and not at all.

use std::process::Stdio;

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_sqlite::SqliteOptions;
use futures_util::future::join_all;

use super::{Folder, event, length};
use crate::process::{once_more_on, store_path};

#[tokio::test]
async fn tables_that_are_missing_and_not_to_be_made_are_named() {
    let folder = Folder::new();
    let unmigrated = || SqliteOptions::new(folder.path()).migrate(false);
    let problem = async || match unmigrated().open().await {
        Err(Error::MigrationNeeded { problem }) => problem,
        other => panic!("{other:?}"),
    };
    let all = problem().await;
    for table in ["streams", "events", "snapshots", "outbox_entries", "projector_cursors", "layout"] {
        assert!(all.contains(&format!("CREATE TABLE event_sourcery_{table}")), "{table}: {all}");
    }
    drop(folder.store().await);
    unmigrated().open().await.expect("nothing is missing");
    folder.foreign_connection().execute_batch("DROP TABLE event_sourcery_outbox_entries").unwrap();
    let one = problem().await;
    assert!(one.contains("CREATE TABLE event_sourcery_outbox_entries"), "{one}");
    assert!(!one.contains("event_sourcery_streams"), "{one}");
}

#[tokio::test]
async fn the_printed_migration_run_by_hand_makes_a_store_with_nothing_left_to_migrate() {
    for prefix in ["event_sourcery_", "billing_"] {
        let folder = Folder::new();
        let options = || SqliteOptions::new(folder.path()).table_prefix(prefix);
        let sql = options().migration().unwrap();
        assert!(!folder.path().exists(), "printing makes nothing");
        let by_hand = format!("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; {sql} COMMIT;");
        folder.foreign_connection().execute_batch(&by_hand).unwrap();
        assert_eq!(options().migration().unwrap(), "", "nothing is left to do");
        let store = EventStore::new(options().migrate(false).open().await.unwrap());
        let stream = StreamId::random();
        store.append(&stream, event()).await.unwrap();
        assert_eq!(length(&store, &stream).await, 1);
    }
}

#[tokio::test]
async fn opening_again_migrates_nothing() {
    let folder = Folder::new();
    drop(folder.store().await);
    let schema_version = || {
        let foreign = folder.foreign_connection();
        foreign.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = (schema_version(), std::fs::read(folder.path()).unwrap());
    assert_eq!(SqliteOptions::new(folder.path()).migration().unwrap(), "");
    drop(folder.store().await);
    assert!(before == (schema_version(), std::fs::read(folder.path()).unwrap()), "not a byte has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_that_open_a_new_file_at_once_all_succeed() {
    for _ in 0..10 {
        let folder = Folder::new();
        let opening = (0..8).map(|_| tokio::spawn(SqliteOptions::new(folder.path()).open()));
        let opened = join_all(opening.collect::<Vec<_>>()).await;
        let stores = opened.into_iter().map(|opened| EventStore::new(opened.unwrap().unwrap()));
        let stores: Vec<_> = stores.collect();
        let stream = StreamId::random();
        for store in &stores {
            store.append(&stream, event()).no_versioning().await.unwrap();
        }
        assert_eq!(length(&stores[0], &stream).await, stores.len());
    }
}

#[tokio::test]
async fn many_processes_that_open_a_new_file_at_once_all_succeed() {
    let stream = StreamId::from_name("shared").unwrap();
    if let Some(path) = store_path() {
        let store = EventStore::new(SqliteOptions::new(path).open().await.unwrap());
        store.append(&stream, event()).no_versioning().await.unwrap();
        return;
    }
    let test = concat!(module_path!(), "::many_processes_that_open_a_new_file_at_once_all_succeed");
    for _ in 0..4 {
        let folder = Folder::new();
        let start = |_| once_more_on(test, folder.path()).stderr(Stdio::inherit()).spawn().unwrap();
        let processes: Vec<_> = (0..6).map(start).collect();
        for mut process in processes {
            assert!(process.wait().unwrap().success(), "its message is above");
        }
        assert_eq!(length(&folder.store().await, &stream).await, 6);
    }
}
