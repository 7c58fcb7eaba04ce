//! Clause 8.9: a subscription that is told to stop ends in time, also while somebody else has locked the file.

use std::time::{Duration, Instant};

use event_sourcery::{Error, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteOptions;
use tokio::sync::oneshot;

use super::{Folder, event};

/// 3 seconds, and what a busy machine takes: less than the file is waited for.
const IN_TIME: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_while_the_file_is_locked_ends_in_time() {
    for in_transaction in [false, true] {
        let folder = Folder::new();
        let options = SqliteOptions::new(folder.path()).busy_timeout(Duration::from_secs(60));
        let store = event_sourcery::EventStore::new(options.open().await.unwrap());
        store.append(&StreamId::random(), event()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (handled, mut first) = tokio::sync::mpsc::unbounded_channel();
        let durable = store.subscribe::<RawEvent>().durable("letters").until(stopped);
        let running = tokio::spawn(async move {
            if in_transaction {
                durable.run_in_transaction(move |_, _| Ok(handled.send(())?)).await
            } else {
                durable.run(async move |_, _| Ok(handled.send(())?)).await
            }
        });
        first.recv().await.unwrap();
        let locking = folder.foreign_connection();
        locking.busy_timeout(Duration::from_secs(10)).unwrap();
        locking.execute_batch("BEGIN IMMEDIATE").unwrap();
        let told = Instant::now();
        drop(stop);
        let ended = running.await.unwrap();
        assert!(told.elapsed() < IN_TIME, "{:?}", told.elapsed());
        assert!(
            matches!(&ended, Err(Error::NotLeftInTime { subscription, .. }) if subscription == "letters")
        );
        locking.execute_batch("ROLLBACK").unwrap();
    }
}
