//! Writes that fail.

use faulty_vfs::{Fault, FaultyVfs, Survivors};
use rusqlite::ErrorCode;
use tempfile::TempDir;

use crate::harness::{WAL_FULL, insert_rows, lost, open, rows, run};

/// Fails the writes of a run from each one on in turn, and checks that nothing acknowledged is ever lost and
/// that the database works again once healed.
fn every_write(vfs: FaultyVfs, arm: impl Fn(u64)) {
    run(vfs, TempDir::new().unwrap().path(), WAL_FULL);
    for n in 1..=vfs.writes() {
        vfs.reset();
        let dir = TempDir::new().unwrap();
        arm(n);
        let conn = open(vfs, dir.path(), WAL_FULL);
        let mut acknowledged = conn.as_ref().map(insert_rows).unwrap_or_default();
        vfs.heal();
        let conn = conn.or_else(|| open(vfs, dir.path(), WAL_FULL)).unwrap();
        let after = insert_rows(&conn);
        assert!(!after.is_empty(), "works after heal, write {n}");
        acknowledged.extend(after);
        let there = rows(&conn);
        assert!(acknowledged.iter().all(|id| there.contains(id)), "write {n}");
        assert_eq!(lost(vfs, Survivors::OnlySynced, &acknowledged), [], "write {n}");
    }
}

#[test]
fn a_disk_full_from_any_write_on_loses_nothing_and_heals() {
    let vfs = FaultyVfs::register("full-from");
    every_write(vfs, |n| vfs.fail_writes_from(n, Fault::DiskFull));
}

#[test]
fn a_disk_full_at_any_one_write_loses_nothing_and_heals() {
    let vfs = FaultyVfs::register("full-once");
    every_write(vfs, |n| vfs.fail_write_once(n, Fault::DiskFull));
}

#[test]
fn each_fault_has_its_error() {
    let vfs = FaultyVfs::register("full-errors");
    let dir = TempDir::new().unwrap();
    let conn = open(vfs, dir.path(), WAL_FULL).unwrap();
    let error = || conn.execute("INSERT INTO t VALUES (NULL, x'00')", []).unwrap_err().sqlite_error_code();
    vfs.fail_writes_from(1, Fault::DiskFull);
    assert_eq!(error(), Some(ErrorCode::DiskFull));
    assert_eq!(error(), Some(ErrorCode::DiskFull), "still full");
    vfs.fail_write_once(1, Fault::IoError);
    assert_eq!(error(), Some(ErrorCode::SystemIoFailure));
    assert!(!insert_rows(&conn).is_empty(), "only that one write failed");
}
