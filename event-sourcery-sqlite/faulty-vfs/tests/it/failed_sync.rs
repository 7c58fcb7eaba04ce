//! Syncs that fail while the power stays on.

use faulty_vfs::{FaultyVfs, Survivors};
use tempfile::TempDir;

use crate::harness::{WAL_FULL, insert_rows, lost, open, run};

#[test]
fn a_failed_sync_loses_nothing_that_was_acknowledged_before_or_after() {
    let vfs = FaultyVfs::register("sync-once");
    run(vfs, TempDir::new().unwrap().path(), WAL_FULL);
    for n in 1..=vfs.syncs() {
        vfs.reset();
        let dir = TempDir::new().unwrap();
        vfs.fail_sync_once(n);
        let conn = open(vfs, dir.path(), WAL_FULL).or_else(|| open(vfs, dir.path(), WAL_FULL)).unwrap();
        let acknowledged = insert_rows(&conn);
        assert!(acknowledged.len() > 10, "sync {n}: {acknowledged:?}");
        assert_eq!(lost(vfs, Survivors::OnlySynced, &acknowledged), [], "sync {n}");
        assert_eq!(lost(vfs, Survivors::Torn { seed: n }, &acknowledged), [], "sync {n}");
    }
}

#[test]
fn no_row_is_acknowledged_while_syncs_fail() {
    let vfs = FaultyVfs::register("sync-from");
    let dir = TempDir::new().unwrap();
    let conn = open(vfs, dir.path(), WAL_FULL).unwrap();
    vfs.fail_syncs_from(1);
    assert_eq!(insert_rows(&conn), []);
    assert!(!vfs.power_is_cut());
    vfs.heal();
    assert!(!insert_rows(&conn).is_empty());
}
