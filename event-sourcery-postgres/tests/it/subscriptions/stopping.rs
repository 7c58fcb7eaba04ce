//! Clause 8.9: a subscription that is told to stop ends in time, also while its rows are locked, or nothing answers.

use std::time::{Duration, Instant};

use event_sourcery::{Error, RawEvent, Result};
use postgres_cluster::Cluster;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::scene::{Scene, Store, event, until};

/// 3 seconds, and what a busy machine takes.
const IN_TIME: Duration = Duration::from_secs(15);

/// A subscription that has handled what there is.
async fn running(store: &Store) -> (oneshot::Sender<()>, JoinHandle<Result<()>>) {
    store.append(&event_sourcery::StreamId::random(), event()).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let subscription = || store.subscribe::<RawEvent>().durable("letters");
    let run = tokio::spawn(subscription().until(stopped).run(async |_, _| Ok(())));
    until(async || subscription().status().await.unwrap().is_some_and(|status| status.events_behind == 0))
        .await;
    (stop, run)
}

async fn ends_in_time(stop: oneshot::Sender<()>, run: JoinHandle<Result<()>>) {
    let told = Instant::now();
    drop(stop);
    let ended = run.await.unwrap();
    assert!(told.elapsed() < IN_TIME, "{:?}", told.elapsed());
    assert!(matches!(&ended, Err(Error::NotLeftInTime { subscription, .. }) if subscription == "letters"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_while_its_rows_are_locked_ends_in_time() {
    let scene = Scene::new().await;
    let (stop, run) = running(&scene.store).await;
    let mut locking = scene.begin().await;
    let lock = "SELECT * FROM event_sourcery_subscription_segments FOR UPDATE";
    event_sourcery_postgres::sqlx::query(lock).execute(&mut *locking).await.unwrap();
    ends_in_time(stop, run).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_while_the_server_is_frozen_ends_in_time() {
    let cluster = Cluster::start(&[("fsync", "off")]);
    let scene = Scene::on(cluster.create_database()).await;
    let (stop, run) = running(&scene.store).await;
    cluster.freeze();
    ends_in_time(stop, run).await;
    cluster.thaw();
}
