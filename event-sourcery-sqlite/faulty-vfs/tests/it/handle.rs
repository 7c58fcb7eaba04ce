//! The handle itself: registration, counts, the delay, and several connections.

use std::time::{Duration, Instant};

use faulty_vfs::{Fault, FaultyVfs};
use tempfile::TempDir;

use crate::harness::{WAL_FULL, insert_rows, open, rows};

#[test]
#[should_panic(expected = "exists already")]
fn a_name_is_registered_once() {
    FaultyVfs::register("handle-twice");
    FaultyVfs::register("handle-twice");
}

#[test]
#[should_panic(expected = "close the connections first")]
fn reset_wants_all_files_closed() {
    let vfs = FaultyVfs::register("handle-reset");
    let dir = TempDir::new().unwrap();
    let _conn = open(vfs, dir.path(), WAL_FULL).unwrap();
    vfs.reset();
}

#[test]
fn two_vfs_do_not_disturb_one_another() {
    let (one, other) = (FaultyVfs::register("handle-one"), FaultyVfs::register("handle-other"));
    let (dir, other_dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    one.fail_writes_from(1, Fault::DiskFull);
    assert!(open(one, dir.path(), WAL_FULL).is_none());
    assert!(open(other, other_dir.path(), WAL_FULL).is_some());
}

#[test]
fn a_delayed_sync_takes_that_long() {
    let vfs = FaultyVfs::register("handle-delay");
    let dir = TempDir::new().unwrap();
    let conn = open(vfs, dir.path(), WAL_FULL).unwrap();
    let (before, start) = (vfs.syncs(), Instant::now());
    vfs.sync_delay(Duration::from_millis(30));
    conn.execute("INSERT INTO t VALUES (1, x'00')", []).unwrap();
    assert!(vfs.syncs() > before);
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[test]
fn connections_share_the_wal_through_shared_memory() {
    let vfs = FaultyVfs::register("handle-shared");
    let dir = TempDir::new().unwrap();
    let writer = open(vfs, dir.path(), WAL_FULL).unwrap();
    let reader = open(vfs, dir.path(), WAL_FULL).unwrap();
    let written = insert_rows(&writer);
    assert_eq!(rows(&reader), written);
    let both = std::thread::scope(|scope| {
        let reading = scope.spawn(move || (0..50).all(|_| rows(&reader).starts_with(&written)));
        let more = insert_rows(&writer);
        (reading.join().unwrap(), more.len())
    });
    assert_eq!(both, (true, 24));
}
