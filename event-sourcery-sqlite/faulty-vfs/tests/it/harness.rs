//! A database to write rows into until something fails, and a look at what a power loss left of it.

use std::path::Path;

use faulty_vfs::{FaultyVfs, Survivors};
use rusqlite::{Connection, OpenFlags, Result};
use tempfile::TempDir;

const ROWS: i64 = 24;

/// How a database commits.
#[derive(Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) journal: &'static str,
    pub(crate) synchronous: &'static str,
}

pub(crate) const WAL_FULL: Mode = Mode { journal: "wal", synchronous: "FULL" };
pub(crate) const WAL_NORMAL: Mode = Mode { journal: "wal", synchronous: "NORMAL" };
pub(crate) const WAL_OFF: Mode = Mode { journal: "wal", synchronous: "OFF" };

/// Opens `db` in `dir`, with a checkpoint every few rows and the table made; `None` if a fault prevents it.
///
/// `PRAGMA journal_mode = wal` gives its answer, "wal", before it commits. Only who steps on past the answer
/// hears of a commit that failed; the connection still says "wal", but writes with a rollback journal.
pub(crate) fn open(vfs: FaultyVfs, dir: &Path, mode: Mode) -> Option<Connection> {
    let conn = Connection::open_with_flags_and_vfs(dir.join("db"), OpenFlags::default(), vfs.name()).ok()?;
    conn.pragma_update(None, "synchronous", mode.synchronous).ok()?;
    let mut set = conn.prepare(&format!("PRAGMA journal_mode = {}", mode.journal)).ok()?;
    let answer: Vec<String> = set.query_map([], |row| row.get(0)).ok()?.collect::<Result<_>>().ok()?;
    drop(set);
    if answer != [mode.journal] {
        return None;
    }
    conn.pragma_update(None, "wal_autocheckpoint", 12).ok()?;
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
        .ok()?;
    Some(conn)
}

/// Inserts rows, one per transaction, and tells which were acknowledged. Goes on after a failure.
pub(crate) fn insert_rows(conn: &Connection) -> Vec<i64> {
    let last: i64 =
        conn.query_row("SELECT coalesce(max(id), 0) FROM t", [], |row| row.get(0)).unwrap_or(1000);
    (last + 1..=last + ROWS)
        .filter(|id| conn.execute("INSERT INTO t VALUES (?1, randomblob(1500))", [id]).is_ok())
        .collect()
}

/// Opens a new database, inserts rows and closes it, all of which may fail; gives the acknowledged rows.
pub(crate) fn run(vfs: FaultyVfs, dir: &Path, mode: Mode) -> Vec<i64> {
    open(vfs, dir, mode).map(|conn| insert_rows(&conn)).unwrap_or_default()
}

/// The rows of an intact database.
pub(crate) fn rows(conn: &Connection) -> Vec<i64> {
    let check: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    if !conn.table_exists(None, "t").unwrap() {
        return Vec::new();
    }
    let mut select = conn.prepare("SELECT id FROM t").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_>>().unwrap()
}

/// The acknowledged rows that a power loss loses.
pub(crate) fn lost(vfs: FaultyVfs, survivors: Survivors, acknowledged: &[i64]) -> Vec<i64> {
    let dir = TempDir::new().unwrap();
    vfs.write_survivors(dir.path(), survivors).unwrap();
    let survived = rows(&Connection::open(dir.path().join("db")).unwrap());
    acknowledged.iter().copied().filter(|id| !survived.contains(id)).collect()
}

/// Cuts the power at every sync of a run in turn, and once after the last; gives the number of power cuts
/// that lost acknowledged rows.
pub(crate) fn cuts_that_lose_rows(vfs: FaultyVfs, mode: Mode, survivors: &[Survivors]) -> usize {
    run(vfs, TempDir::new().unwrap().path(), mode);
    let syncs = vfs.syncs();
    let loses = |n: &u64| {
        vfs.reset();
        let dir = TempDir::new().unwrap();
        vfs.cut_power_at_sync(*n);
        let acknowledged = run(vfs, dir.path(), mode);
        assert_eq!(vfs.power_is_cut(), *n <= syncs);
        survivors.iter().any(|survivors| !lost(vfs, *survivors, &acknowledged).is_empty())
    };
    (1..=syncs + 1).filter(loses).count()
}
