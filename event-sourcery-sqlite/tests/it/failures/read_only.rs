//! Stores that may only be read.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};

use super::{Folder, event, length};
use crate::process::{copy_on, store_path};

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

async fn reads_and_refuses_to_write(store: EventStore<SqliteBackend>) {
    assert_eq!(length(&store, &stream()).await, 1);
    let appended = store.append(&StreamId::random(), event()).await.unwrap_err();
    assert!(matches!(appended, Error::ReadOnly { .. }) && !appended.is_retryable(), "{appended:?}");
    let deleted = store.delete_stream(&stream()).await.unwrap_err();
    assert!(matches!(deleted, Error::ReadOnly { .. }), "{deleted:?}");
    let in_closure = store.transaction(|tx| tx.append(&StreamId::random(), event()).run()).await.unwrap_err();
    assert!(matches!(in_closure, Error::ReadOnly { .. }), "{in_closure:?}");
    assert_eq!(length(&store, &stream()).await, 1);
}

#[tokio::test]
async fn a_store_opened_for_reading_reads_and_refuses_to_write() {
    let folder = Folder::new();
    folder.store().await.append(&stream(), event()).await.unwrap();
    let reading = SqliteOptions::new(folder.path()).read_only(true).open().await.unwrap();
    reads_and_refuses_to_write(EventStore::new(reading)).await;
}

#[tokio::test]
async fn a_store_opened_for_reading_sees_what_is_appended_meanwhile() {
    let folder = Folder::new();
    let writing = folder.store().await;
    let reading = EventStore::new(SqliteOptions::new(folder.path()).read_only(true).open().await.unwrap());
    assert_eq!(length(&reading, &stream()).await, 0);
    writing.append(&stream(), event()).await.unwrap();
    assert_eq!(length(&reading, &stream()).await, 1);
}

#[tokio::test]
async fn a_file_without_tables_opened_for_reading_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    folder.foreign_connection().execute_batch("CREATE TABLE own (id INTEGER)").unwrap();
    let before = fs::read(folder.path()).unwrap();
    let refused = SqliteOptions::new(folder.path()).read_only(true).open().await.unwrap_err();
    assert!(
        matches!(&refused, Error::ReadOnly { problem, .. } if problem.contains("migration")),
        "{refused:?}"
    );
    assert_eq!(fs::read(folder.path()).unwrap(), before);
}

/// Makes the file and its folder what another user may read, and runs `test` as one who may not write the file: this
/// one, or, where permissions do not bind us, another.
async fn without_permission<T: Future>(
    test: &str,
    folder: &Folder,
    folder_mode: u32,
    run: impl FnOnce() -> T,
) {
    fs::set_permissions(folder.0.path(), Permissions::from_mode(folder_mode)).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o444)).unwrap();
    if OpenOptions::new().write(true).open(folder.path()).is_err() {
        run().await;
        return;
    }
    let nobody = 65_534;
    // This binary may stand in a folder that others cannot enter.
    let open_to_all = tempfile::tempdir().unwrap();
    fs::set_permissions(open_to_all.path(), Permissions::from_mode(0o755)).unwrap();
    let mut again = copy_on(&open_to_all.path().join("tests"), test, folder.path());
    let status = again.uid(nobody).gid(nobody).current_dir("/").status();
    assert!(status.expect("the copy can be run by others").success(), "its message is above");
}

#[tokio::test]
async fn a_file_without_write_permission_reads_and_refuses_to_write() {
    let read = async |path: PathBuf| {
        reads_and_refuses_to_write(EventStore::new(SqliteBackend::open(path).await.unwrap())).await
    };
    if let Some(path) = store_path() {
        return read(path).await;
    }
    let folder = Folder::new();
    folder.store().await.append(&stream(), event()).await.unwrap();
    let test = concat!(module_path!(), "::a_file_without_write_permission_reads_and_refuses_to_write");
    without_permission(test, &folder, 0o777, || read(folder.path())).await;
}

/// SQLite keeps its write-ahead log beside the file, for readers too.
#[tokio::test]
async fn a_file_in_a_folder_without_write_permission_is_refused_with_the_reason() {
    let refuse = async |path: PathBuf| {
        let refused = SqliteBackend::open(path).await.unwrap_err();
        assert!(
            matches!(&refused, Error::ReadOnly { problem, .. } if problem.contains("folder")),
            "{refused:?}"
        );
    };
    if let Some(path) = store_path() {
        return refuse(path).await;
    }
    let folder = Folder::new();
    folder.store().await.append(&stream(), event()).await.unwrap();
    let test =
        concat!(module_path!(), "::a_file_in_a_folder_without_write_permission_is_refused_with_the_reason");
    without_permission(test, &folder, 0o555, || refuse(folder.path())).await;
    fs::set_permissions(folder.0.path(), Permissions::from_mode(0o755)).unwrap();
}
