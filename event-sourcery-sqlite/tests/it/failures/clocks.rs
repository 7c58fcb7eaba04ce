//! Clause 8.7: a dead member's work is taken over, also where the machine's clock was set back since.

use std::time::Duration;

use event_sourcery::{Durable, EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use tokio::sync::{mpsc, oneshot};

use super::{Folder, event};

const LEASE: Duration = Duration::from_millis(300);

/// What was moved on is not over for hundreds of years.
const SOON: Duration = Duration::from_secs(60);

fn letters(store: &EventStore<SqliteBackend>) -> Durable<SqliteBackend, RawEvent> {
    store.subscribe().durable("letters").lease(LEASE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_members_work_is_taken_over_although_the_clock_was_set_back() {
    let folder = Folder::new();
    let store = folder.store().await;
    let dies = tokio::spawn(letters(&store).run(async |_, _| Ok(())));
    while letters(&store).status().await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    dies.abort();
    assert!(dies.await.unwrap_err().is_cancelled());
    // To set the clock back is to move all times on.
    let later = "UPDATE event_sourcery_subscription_segments SET leased_until = '2999-01-01 00:00:00.000000';
                 UPDATE event_sourcery_subscription_members SET until = '2999-01-01 00:00:00.000000';
                 UPDATE event_sourcery_subscription_presences SET renewed = '2999-01-01 00:00:00.000000'";
    folder.foreign_connection().execute_batch(later).unwrap();
    store.append(&StreamId::random(), event()).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let (handled, mut first) = mpsc::unbounded_channel();
    let run = letters(&store).until(stopped).run(async move |_, _| Ok(handled.send(())?));
    let run = tokio::spawn(run);
    tokio::time::timeout(SOON, first.recv()).await.expect("it is handled").unwrap();
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(letters(&store).status().await.unwrap().unwrap().members, 0);
}
