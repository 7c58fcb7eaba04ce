//! The power of a server is cut while clients append: on a disk that forgets what was not synced.

use std::sync::{Arc, Mutex};

use event_sourcery::EventStore;
use event_sourcery_conformance::history::{Acknowledged, Flaw};
use event_sourcery_postgres::PostgresBackend;
use lossy_disk::LossyDisk;
use postgres_cluster::{Cluster, Database};

use super::appender::{Appender, Attempt, Kind, OWN_TABLE};
use super::survived::Survived;
use crate::scene::{Scene, Store, pool, until};

const TASKS: usize = 12;
/// How many appends are acknowledged before the power is cut.
const ENOUGH: usize = 200;

type Answers = Arc<Mutex<Vec<Acknowledged>>>;

/// A store that takes commits as the server makes them, or not.
async fn scene_on(database: Database, accepts: bool) -> Scene {
    let options = PostgresBackend::options(database.url()).accept_lost_commits(accepts);
    let store = EventStore::new(options.open().await.unwrap());
    Scene { store, pool: pool(&database.url()), database }
}

async fn append_until_refused(store: Store, answers: Answers) {
    let mut appender = Appender::new(&store);
    while let Ok(answer) = appender.attempt(&Attempt::new(fastrand::choice(Kind::ALL).unwrap())).await {
        answers.lock().unwrap().push(answer);
    }
}

/// What a power cut leaves wrong under a server with these settings.
async fn flaws_of_a_power_cut(settings: &[(&str, &str)], accepts: bool) -> Vec<Flaw> {
    let mut disk = LossyDisk::mount();
    let mut cluster = Cluster::start_in(disk.path(), settings);
    // It was made without a sync, and has been there for long.
    disk.sync();
    let scene = scene_on(cluster.create_database(), accepts).await;
    scene.run(OWN_TABLE).await;
    scene.run("CHECKPOINT").await;
    let answers = Answers::default();
    let append = || tokio::spawn(append_until_refused(scene.store.clone(), Arc::clone(&answers)));
    let tasks: Vec<_> = (0..TASKS).map(|_| append()).collect();
    until(async || answers.lock().unwrap().len() >= ENOUGH).await;
    tokio::task::block_in_place(|| {
        cluster.kill();
        disk.lose_power();
    });
    // Nobody goes on at the server that starts again.
    tasks.iter().for_each(|task| task.abort());
    tokio::task::block_in_place(|| cluster.start_again());
    let acknowledged = answers.lock().unwrap().clone();
    let scene = scene_on(scene.database, accepts).await;
    Survived::read(&scene).await.flaws(&acknowledged)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_power_cut_of_the_server_takes_back_nothing_acknowledged_and_leaves_nothing_half() {
    assert_eq!(flaws_of_a_power_cut(&[], false).await, Vec::<Flaw>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_commits_wait_for_no_disk_a_power_cut_of_the_server_takes_acknowledged_appends_back() {
    // The log of what nobody waits for is written late.
    let late = [("synchronous_commit", "off"), ("wal_writer_delay", "10s"), ("autovacuum", "off")];
    let flaws = flaws_of_a_power_cut(&late, true).await;
    let is_lost = |flaw: &Flaw| matches!(flaw, Flaw::Lost { .. });
    assert!(flaws.iter().any(is_lost), "the test can see a loss: {flaws:?}");
}
