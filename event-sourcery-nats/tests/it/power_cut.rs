//! Servers lose their power while clients append: on disks that forget what was not synced.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use broker_cluster::{Nats, NatsCluster};
use event_sourcery::{EventStore, StreamId};
use event_sourcery_nats::NatsBackend;
use lossy_disk::LossyDisk;
use tokio::time::sleep;

use crate::scene::{PATIENCE, Paid, open, options};

/// They sync what they acknowledge. Such a disk does not tell how much room it has.
const DURABLE: &str = "jetstream { max_file_store: 1GB, sync_interval: always }";
/// What servers do that are not told how to sync.
const DEFAULT: &str = "jetstream { max_file_store: 1GB }";

const TASKS: u64 = 8;
/// How many appends are acknowledged before the power is cut.
const ENOUGH: u64 = 200;

/// How many events of each stream were acknowledged.
type Acknowledged = Arc<Mutex<HashMap<StreamId, u64>>>;

async fn append_until_refused(store: EventStore<NatsBackend>, acknowledged: Acknowledged) {
    let stream = StreamId::random();
    for number in 1.. {
        if store.append(&stream, Paid { number }).expected_version(number - 1).await.is_err() {
            return;
        }
        acknowledged.lock().unwrap().insert(stream.clone(), number);
    }
}

/// How many acknowledged events are gone after the power was cut of all who serve the store.
async fn lost(urls: &str, replicas: usize, disks: &[&Mutex<LossyDisk>], cut: impl FnOnce()) -> u64 {
    let store = async || EventStore::new(open(options(urls, "SHOP").await.replicas(replicas)).await);
    let before = store().await;
    // It was made without a sync, and has been there for long.
    disks.iter().for_each(|disk| disk.lock().unwrap().sync());
    let acknowledged = Acknowledged::default();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| tokio::spawn(append_until_refused(before.clone(), Arc::clone(&acknowledged))))
        .collect();
    let began = Instant::now();
    while acknowledged.lock().unwrap().values().sum::<u64>() < ENOUGH {
        assert!(began.elapsed() < PATIENCE, "appends are acknowledged");
        sleep(Duration::from_millis(1)).await;
    }
    tokio::task::block_in_place(cut);
    // Nobody goes on at the servers that start again.
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let (acknowledged, mut lost) = (acknowledged.lock().unwrap().clone(), 0);
    let after = store().await;
    for (stream, acknowledged) in acknowledged {
        let events = after.load_stream::<Paid>(&stream).await.unwrap();
        let numbers: Vec<_> = events.iter().map(|event| event.event.number).collect();
        assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "each once, in order");
        lost += acknowledged.saturating_sub(events.len() as u64);
    }
    lost
}

async fn lost_by_one(configuration: &str) -> u64 {
    let disk = Mutex::new(LossyDisk::mount());
    let mut nats = Nats::start_on(disk.lock().unwrap().path(), configuration);
    let urls = nats.url();
    let cut = || {
        nats.kill();
        disk.lock().unwrap().lose_power();
        nats.start_again();
    };
    lost(&urls, 1, &[&disk], cut).await
}

async fn lost_by_three(configuration: &str) -> u64 {
    let disks = [(); 3].map(|()| Mutex::new(LossyDisk::mount()));
    let folders = disks.each_ref().map(|disk| disk.lock().unwrap().path().to_owned());
    let folders: [&Path; 3] = folders.each_ref().map(|folder| folder.as_path());
    let mut cluster = NatsCluster::start_on(folders, configuration);
    let urls = cluster.urls().join(",");
    let nodes = ["node0", "node1", "node2"];
    let cut = || {
        nodes.iter().for_each(|node| cluster.node(node).kill());
        disks.iter().for_each(|disk| disk.lock().unwrap().lose_power());
        nodes.iter().for_each(|node| cluster.node(node).start_again());
    };
    lost(&urls, 3, &disks.each_ref(), cut).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_of_a_server_that_syncs_takes_back_nothing_acknowledged() {
    assert_eq!(lost_by_one(DURABLE).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_of_three_servers_that_sync_takes_back_nothing_acknowledged() {
    assert_eq!(lost_by_three(DURABLE).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_of_a_server_that_syncs_by_default_takes_acknowledged_events_back() {
    assert!(lost_by_one(DEFAULT).await > 0, "the test can see a loss");
}
