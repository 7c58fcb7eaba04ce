//! The power is cut while a process appends: on a disk that forgets what was not synced, whatever SQLite thinks it has written.

use std::time::{Duration, Instant};

use event_sourcery_sqlite::{SqliteOptions, Synchronous};
use lossy_disk::LossyDisk;

use super::kill_worker::{self, Worker};
use crate::survived::{Survived, examine};

/// How long to append.
const LOAD: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(60);

/// Cuts the power of a process that runs this test as a worker. What is left, or what is wrong with that.
fn cut_power(test: &str) -> Result<Survived, String> {
    let mut disk = LossyDisk::mount();
    let path = disk.path().join("events.db");
    let mut worker = Worker::start(test, &path);
    assert!(worker.answered_by(Instant::now() + PATIENCE), "the worker appends");
    worker.listen_until(Instant::now() + LOAD);
    let acknowledged = worker.kill();
    disk.lose_power();
    println!("{} acknowledged", acknowledged.len());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(examine(path, &acknowledged))
}

#[test]
fn a_power_cut_under_a_process_takes_back_nothing_acknowledged_and_leaves_nothing_half() {
    if let Some(path) = kill_worker::path() {
        return kill_worker::append_until_killed(&path);
    }
    let test = concat!(
        module_path!(),
        "::a_power_cut_under_a_process_takes_back_nothing_acknowledged_and_leaves_nothing_half"
    );
    cut_power(test).expect("everything acknowledged is there");
}

#[test]
fn without_syncs_a_power_cut_under_a_process_takes_acknowledged_appends_back() {
    if let Some(path) = kill_worker::path() {
        return kill_worker::append_with(SqliteOptions::new(path).synchronous(Synchronous::Off));
    }
    let test = concat!(
        module_path!(),
        "::without_syncs_a_power_cut_under_a_process_takes_acknowledged_appends_back"
    );
    assert!(cut_power(test).is_err(), "the test can see a loss");
}
