//! Files that are moved, deleted or replaced while a store is open, and a working directory that is changed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;

use super::{Folder, event, length};
use crate::process::{once_more_on, store_path};

/// The file with what SQLite keeps beside it.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

fn part(path: &Path, part: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(part);
    name.into()
}

/// What a call is refused with once it is noticed that the file is gone. Until then it goes on with the file that it has.
async fn refusal<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> String {
    let (deadline, mut tries) =
        (Instant::now() + Duration::from_secs(60), tokio::time::interval(Duration::from_millis(5)));
    loop {
        match call().await {
            Err(Error::StoreNotFound { problem, .. }) => return problem,
            Err(other) => panic!("{other:?}"),
            Ok(_) => assert!(Instant::now() < deadline, "nobody noticed it"),
        }
        tries.tick().await;
    }
}

/// A store with an event in a stream, which the store has read, or not.
async fn with_an_event(has_read: bool) -> (Folder, EventStore<SqliteBackend>, StreamId) {
    let (folder, stream) = (Folder::new(), StreamId::random());
    let store = folder.store().await;
    store.append(&stream, event()).await.unwrap();
    if has_read {
        assert_eq!(length(&store, &stream).await, 1);
    }
    (folder, store, stream)
}

/// Both kinds of connections refuse: that which writes, and those that read, the ones that are open and new ones. Until it is
/// noticed, the stream is read from the file that was opened.
async fn is_refused(store: &EventStore<SqliteBackend>, stream: &StreamId, why: &str) {
    let read = store.load_stream::<RawEvent>(stream).await.map(|events| events.len());
    assert!(matches!(read, Ok(1) | Err(Error::StoreNotFound { .. })), "{read:?}");
    let other = StreamId::random();
    let append = async || store.append(&other, event()).no_versioning().await;
    assert!(refusal(append).await.contains(why));
    assert!(refusal(async || store.load_stream::<RawEvent>(stream).await).await.contains(why));
    assert!(refusal(async || store.position().await).await.contains(why));
    assert!(refusal(async || store.read_all::<RawEvent>().stream().try_next().await).await.contains(why));
    let transaction = async || store.transaction::<_, Error, _>(|_| Ok(())).await;
    assert!(refusal(transaction).await.contains(why));
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_whose_file_was_replaced_says_so_and_reads_nothing_of_the_other() {
    for has_read in [true, false] {
        let (folder, store, stream) = with_an_event(has_read).await;
        for end in PARTS {
            let (from, to) = (part(&folder.path(), end), part(&folder.0.path().join("moved.db"), end));
            fs::rename(from, to).unwrap();
        }
        let other = folder.store().await;
        other.append(&stream, [event(), event()]).await.unwrap();
        is_refused(&store, &stream, "another file stands in its place").await;
        assert_eq!(length(&other, &stream).await, 2);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_store_whose_file_was_deleted_says_so_and_makes_no_other() {
    for has_read in [true, false] {
        let (folder, store, stream) = with_an_event(has_read).await;
        for end in PARTS {
            fs::remove_file(part(&folder.path(), end)).unwrap();
        }
        is_refused(&store, &stream, "it was moved or deleted").await;
        assert!(!folder.path().exists());
    }
}

/// In a process of its own: the working directory is the process's.
#[tokio::test]
async fn a_relative_path_stands_for_one_file_whatever_becomes_of_the_working_directory() {
    if let Some(elsewhere) = store_path() {
        let stream = StreamId::random();
        let store = EventStore::new(SqliteBackend::open("events.db").await.unwrap());
        store.append(&stream, event()).await.unwrap();
        std::env::set_current_dir(&elsewhere).unwrap();
        store.append(&stream, event()).expected_version(1).await.unwrap();
        assert_eq!(length(&store, &stream).await, 2);
        assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0, "nothing is made there");
        return;
    }
    let test = concat!(
        module_path!(),
        "::a_relative_path_stands_for_one_file_whatever_becomes_of_the_working_directory"
    );
    let (folder, elsewhere) = (Folder::new(), tempfile::tempdir().unwrap());
    let mut child = once_more_on(test, elsewhere.path());
    assert!(child.current_dir(folder.0.path()).status().unwrap().success(), "its message is above");
}

#[tokio::test]
async fn what_is_no_file_is_no_store() {
    let refused = SqliteBackend::open(":memory:").await.unwrap_err();
    assert!(matches!(&refused, Error::StoreNotFound { problem, .. } if problem.contains("MemoryBackend")));
    assert!(matches!(SqliteBackend::open("").await.unwrap_err(), Error::StoreNotFound { .. }));
}
