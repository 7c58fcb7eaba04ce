//! Power loss in WAL mode.

use faulty_vfs::{FaultyVfs, Survivors};
use tempfile::TempDir;

use crate::harness::{WAL_FULL, WAL_NORMAL, WAL_OFF, cuts_that_lose_rows, insert_rows, lost, open, rows};

const TORN: [Survivors; 3] =
    [Survivors::Torn { seed: 1 }, Survivors::Torn { seed: 2 }, Survivors::Torn { seed: 3 }];

#[test]
fn full_keeps_every_acknowledged_row() {
    let vfs = FaultyVfs::register("power-full");
    assert_eq!(cuts_that_lose_rows(vfs, WAL_FULL, &[Survivors::OnlySynced]), 0);
    assert!(vfs.syncs() > 30, "rows and checkpoints were synced: {}", vfs.syncs());
}

#[test]
fn full_keeps_every_acknowledged_row_when_writes_are_torn() {
    let vfs = FaultyVfs::register("power-full-torn");
    assert_eq!(cuts_that_lose_rows(vfs, WAL_FULL, &TORN), 0);
}

#[test]
fn normal_loses_acknowledged_rows() {
    let vfs = FaultyVfs::register("power-normal");
    assert!(cuts_that_lose_rows(vfs, WAL_NORMAL, &[Survivors::OnlySynced]) > 0);
}

#[test]
fn off_loses_acknowledged_rows() {
    let vfs = FaultyVfs::register("power-off");
    assert!(cuts_that_lose_rows(vfs, WAL_OFF, &[Survivors::OnlySynced]) > 0);
}

#[test]
fn the_same_seed_draws_the_same_survivors_and_another_seed_others() {
    let vfs = FaultyVfs::register("power-seeds");
    let dir = TempDir::new().unwrap();
    let conn = open(vfs, dir.path(), WAL_OFF).unwrap();
    insert_rows(&conn);
    vfs.cut_power();
    let draw = |seed| {
        let after = TempDir::new().unwrap();
        vfs.write_survivors(after.path(), Survivors::Torn { seed }).unwrap();
        ["db", "db-wal"].map(|name| std::fs::read(after.path().join(name)).ok())
    };
    assert!(draw(1) == draw(1));
    assert!((2..6).any(|seed| draw(1) != draw(seed)));
}

#[test]
fn nothing_works_without_power_and_reset_brings_it_back() {
    let vfs = FaultyVfs::register("power-reset");
    let (before, after) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let conn = open(vfs, before.path(), WAL_FULL).unwrap();
    let acknowledged = insert_rows(&conn);
    vfs.cut_power();
    assert!(insert_rows(&conn).is_empty());
    assert!(open(vfs, before.path(), WAL_FULL).is_none());
    drop(conn);
    assert!(lost(vfs, Survivors::OnlySynced, &acknowledged).is_empty());

    vfs.write_survivors(after.path(), Survivors::OnlySynced).unwrap();
    vfs.reset();
    let conn = open(vfs, after.path(), WAL_FULL).unwrap();
    assert_eq!(rows(&conn), acknowledged);
    assert!(!insert_rows(&conn).is_empty());
}

#[test]
fn a_database_that_was_there_before_is_durable_as_found() {
    let vfs = FaultyVfs::register("power-existing");
    let dir = TempDir::new().unwrap();
    let existing = insert_rows(&open(vfs, dir.path(), WAL_FULL).unwrap());
    vfs.reset();
    let conn = open(vfs, dir.path(), WAL_OFF).unwrap();
    let unsynced = insert_rows(&conn);
    assert!(lost(vfs, Survivors::OnlySynced, &existing).is_empty());
    assert_eq!(lost(vfs, Survivors::OnlySynced, &unsynced), unsynced);
}
