//! Stores that somebody else has locked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_sqlite::rusqlite::Connection;
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions};
use tokio::task::JoinHandle;

use super::{Folder, event, length};
use crate::process::{once_more_on, store_path};

const BRIEFLY: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(30);

async fn open(folder: &Folder, busy_timeout: Duration) -> EventStore<SqliteBackend> {
    let options = SqliteOptions::new(folder.path()).busy_timeout(busy_timeout);
    EventStore::new(options.open().await.unwrap())
}

fn is_busy(error: &Error) -> bool {
    matches!(error, Error::Busy { waited, .. } if *waited == BRIEFLY) && error.is_retryable()
}

fn lock(folder: &Folder) -> Connection {
    let locking = folder.foreign_connection();
    locking.execute_batch("BEGIN IMMEDIATE").unwrap();
    locking
}

#[tokio::test]
async fn a_write_to_a_locked_store_is_busy_in_time_and_succeeds_when_the_lock_goes() {
    let folder = Folder::new();
    let store = open(&folder, BRIEFLY).await;
    let (kept, new) = (StreamId::random(), StreamId::random());
    store.append(&kept, event()).await.unwrap();
    let locking = lock(&folder);
    let began = Instant::now();
    assert!(is_busy(&store.append(&new, event()).await.unwrap_err()));
    let waited = began.elapsed();
    assert!(waited >= BRIEFLY && waited < BRIEFLY + Duration::from_secs(5), "{waited:?}");
    let closure = store.transaction::<(), _, _>(|_| panic!("it has no transaction to run in"));
    assert!(is_busy(&closure.await.unwrap_err()));
    assert!(is_busy(&store.delete_stream(&kept).await.unwrap_err()));
    assert_eq!(length(&store, &kept).await, 1, "reading does not wait for a writer");
    locking.execute_batch("ROLLBACK").unwrap();
    store.append(&new, event()).await.expect("the lock is gone");
    assert_eq!((length(&store, &kept).await, length(&store, &new).await), (1, 1));
}

#[tokio::test]
async fn a_write_waits_for_a_lock_that_goes_in_time() {
    let folder = Folder::new();
    let store = open(&folder, LONG).await;
    let locking = lock(&folder);
    let stream = StreamId::random();
    let append = tokio::spawn({
        let (store, stream) = (store.clone(), stream.clone());
        async move { store.append(&stream, event()).await }
    });
    still_waits(&append).await;
    locking.execute_batch("COMMIT").unwrap();
    append.await.unwrap().unwrap();
    assert_eq!(length(&store, &stream).await, 1);
}

/// Sees for a while that nothing comes of it.
async fn still_waits<T: std::fmt::Debug>(call: &JoinHandle<T>) {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..10 {
        looks.tick().await;
        assert!(!call.is_finished(), "it did not wait");
    }
}

/// Locks the store until told to end.
fn lock_until_told(path: &std::path::Path) {
    let locking = Connection::open(path).unwrap();
    locking.execute_batch("BEGIN IMMEDIATE").unwrap();
    println!("\nlocked");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn a_store_that_another_process_has_locked_is_busy_until_that_ends() {
    if let Some(path) = store_path() {
        return lock_until_told(&path);
    }
    let folder = Folder::new();
    let store = open(&folder, BRIEFLY).await;
    let test = concat!(module_path!(), "::a_store_that_another_process_has_locked_is_busy_until_that_ends");
    let mut locking = once_more_on(test, folder.path());
    let mut locking = locking.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(locking.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(output.any(|line| line == "locked"), "the other process locks the store");
    let stream = StreamId::random();
    assert!(is_busy(&store.append(&stream, event()).await.unwrap_err()));
    locking.stdin.take().unwrap().flush().unwrap();
    assert!(locking.wait().unwrap().success());
    store.append(&stream, event()).await.unwrap();
    assert_eq!(length(&store, &stream).await, 1);
}

#[tokio::test]
async fn a_store_that_needs_no_migration_opens_while_another_writes() {
    let folder = Folder::new();
    drop(folder.store().await);
    let _locking = lock(&folder);
    let store = open(&folder, BRIEFLY).await;
    assert_eq!(length(&store, &StreamId::random()).await, 0);
}

#[tokio::test]
async fn a_store_to_be_migrated_is_busy_while_another_writes_and_opens_when_that_ends() {
    for journal in ["delete", "wal"] {
        let folder = Folder::new();
        let own = format!("PRAGMA journal_mode = {journal}; CREATE TABLE own (id INTEGER)");
        folder.foreign_connection().execute_batch(&own).unwrap();
        let locking = lock(&folder);
        let options = SqliteOptions::new(folder.path());
        let began = Instant::now();
        let refused = options.clone().busy_timeout(BRIEFLY).open().await.unwrap_err();
        assert!(is_busy(&refused), "{journal}: {refused:?}");
        assert!(began.elapsed() >= BRIEFLY, "{journal}: it waited");
        let opening = tokio::spawn(options.busy_timeout(LONG).open());
        still_waits(&opening).await;
        locking.execute_batch("COMMIT").unwrap();
        opening.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn however_many_calls_queue_up_behind_a_lock_none_waits_longer_than_asked() {
    let folder = Folder::new();
    drop(folder.store().await);
    let timeout = Duration::from_millis(300);
    let store = open(&folder, timeout).await;
    let _locking = lock(&folder);
    let began = Instant::now();
    let closures = (0..200).map(|_| store.transaction(|_| Ok::<_, Error>(())));
    for refused in futures_util::future::join_all(closures).await {
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    }
    // One after the other, they would take a minute.
    assert!(began.elapsed() < timeout * 100, "{:?}", began.elapsed());
}
