//! Places where no store can be opened.

use std::fs;
use std::time::Duration;

use event_sourcery::{Error, StreamId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use faulty_vfs::{Fault, FaultyVfs};

use super::{Folder, event, length};

fn not_found(error: Error) -> String {
    let Error::StoreNotFound { place, problem } = error else { panic!("{error:?}") };
    assert!(place.ends_with("events.db"), "{place}");
    problem
}

#[tokio::test]
async fn a_missing_file_that_is_not_to_be_created_is_not_found_and_not_created() {
    let folder = Folder::new();
    for options in [
        SqliteOptions::new(folder.path()).create(false),
        SqliteOptions::new(folder.path()).read_only(true),
        SqliteOptions::new(folder.path()).create(false).migrate(false),
    ] {
        assert!(not_found(options.open().await.unwrap_err()).contains("no such file"));
    }
    assert!(!folder.path().exists());
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_beside_it_get_the_rights_of_the_file() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    for mode in [0o600, 0o640] {
        let folder = Folder::new();
        fs::File::create(folder.path()).unwrap().set_permissions(fs::Permissions::from_mode(mode)).unwrap();
        let store = folder.store().await;
        store.append(&StreamId::random(), event()).await.unwrap();
        for beside in ["", "-wal", "-shm"] {
            let path = format!("{}{beside}", folder.path().display());
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{path}");
        }
    }
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = Folder::new();
    let path = folder.0.path().join("missing").join("events.db");
    assert!(not_found(SqliteBackend::open(path).await.unwrap_err()).contains("folder"));
}

#[tokio::test]
async fn a_folder_is_no_store() {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    assert!(not_found(SqliteBackend::open(folder.path()).await.unwrap_err()).contains("it is a folder"));
}

#[tokio::test]
async fn a_prefix_that_is_no_plain_identifier_is_refused_before_anything_is_made() {
    let folder = Folder::new();
    let too_long = "x".repeat(41);
    for prefix in ["a b_", "a;DROP TABLE x;--", "é_", "a\"", "a\0", "a-", "sqlite_", too_long.as_str()] {
        let options = SqliteOptions::new(folder.path()).table_prefix(prefix);
        assert!(options.migration().is_err(), "{prefix:?}");
        let refused = options.open().await.unwrap_err();
        assert!(
            matches!(refused, Error::InvalidOption { option: "table_prefix", .. }),
            "{prefix:?}: {refused:?}"
        );
    }
    assert!(!folder.path().exists());
}

#[tokio::test]
async fn a_store_without_readers_is_refused() {
    let folder = Folder::new();
    let refused = SqliteOptions::new(folder.path()).readers(0).open().await.unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "readers", .. }), "{refused:?}");
}

#[tokio::test]
async fn a_disk_full_at_any_write_of_opening_is_told_and_the_next_attempt_opens() {
    let vfs = FaultyVfs::register("opening-full");
    for n in 1.. {
        vfs.reset();
        let folder = Folder::new();
        let options = SqliteOptions::new(folder.path()).vfs(vfs.name());
        vfs.fail_writes_from(n, Fault::DiskFull);
        let opened = options.clone().open().await;
        let reached = vfs.writes() >= n;
        vfs.heal();
        match opened {
            Err(Error::StorageFull { .. }) => assert!(reached),
            Err(other) => panic!("write {n}: {other:?}"),
            Ok(store) => drop(store),
        }
        let store = event_sourcery::EventStore::new(options.open().await.unwrap());
        store.append(&StreamId::random(), event()).await.unwrap();
        if !reached {
            println!("{} writes failed", n - 1);
            return;
        }
    }
}

/// The VFS keeps its files where nobody else finds them: nothing of ours may look at the path.
#[tokio::test]
async fn a_file_that_only_its_vfs_finds_is_opened_and_another_one_at_its_path_is_no_matter() {
    let (folder, hidden) = (Folder::new(), Folder::new());
    let vfs = FaultyVfs::register_with_files_in("opening-hidden", hidden.0.path());
    let nowhere = folder.0.path().join("missing").join("events.db");
    let options = SqliteOptions::new(&nowhere).vfs(vfs.name());
    for missing in [options.clone().create(false), options.clone().read_only(true)] {
        assert!(not_found(missing.open().await.unwrap_err()).contains("opening-hidden"));
    }
    assert!(options.migration().unwrap().contains("CREATE TABLE event_sourcery_events"));

    let stream = StreamId::random();
    let store = event_sourcery::EventStore::new(options.clone().open().await.unwrap());
    store.append(&stream, event()).await.unwrap();
    assert!(hidden.path().exists() && !nowhere.exists());
    assert_eq!(options.migration().unwrap(), "");

    let at_its_path = SqliteOptions::new(folder.path()).vfs(vfs.name());
    fs::write(folder.path(), "no database").unwrap();
    let store = event_sourcery::EventStore::new(at_its_path.open().await.unwrap());
    assert_eq!(length(&store, &stream).await, 1);
    fs::remove_file(folder.path()).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    store.append(&stream, event()).expected_version(1).await.unwrap();
    assert_eq!(length(&store, &stream).await, 2);
}
