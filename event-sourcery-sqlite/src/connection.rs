//! Connections: the one that writes, and those that read.

use std::thread;
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::layout;
use crate::options::{SqliteOptions, Synchronous};

/// Statements that a connection keeps prepared.
const CACHED_STATEMENTS: usize = 64;

/// More pages than the connections of a process hold together.
const POOL_LIMIT_PAGES: i64 = 1_000_000;

/// How long to wait for those who keep the file from changing to WAL mode, before trying again.
const BETWEEN_CHANGES_TO_WAL: Duration = Duration::from_millis(1);

/// The connection that writes, in WAL mode. On a file that may only be read, one that reads.
pub(crate) fn writer(options: &SqliteOptions) -> Result<Connection> {
    let connection = open(options, options.create)?;
    let failed = |error| options.failed(error);
    if !connection.is_readonly("main").map_err(failed)? {
        layout::refuse_early(&connection, options)?;
        use_wal(&connection, options)?;
        sync_as_asked(&connection, options)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        // What is deleted, or moved to another page, is cleared in pages that are written anyway: see `operations::keys`.
        connection.pragma_update(None, "secure_delete", "FAST").map_err(failed)?;
    }
    Ok(connection)
}

/// A connection that copies the log into the file.
pub(crate) fn checkpointer(options: &SqliteOptions) -> Result<Connection> {
    let connection = open(options, false)?;
    sync_as_asked(&connection, options)?;
    Ok(connection)
}

fn sync_as_asked(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let is_synced = options.synchronous != Synchronous::Off;
    // On macOS a sync reaches the drive, and not only its cache, with `fullfsync` alone; elsewhere it means nothing.
    let pragmas = connection
        .pragma_update(None, "synchronous", options.synchronous.pragma())
        .and_then(|()| connection.pragma_update(None, "fullfsync", is_synced))
        .and_then(|()| connection.pragma_update(None, "checkpoint_fullfsync", is_synced));
    pragmas.map_err(|error| options.failed(error))
}

/// A connection that holds no pages, and raises the limit of the pool that all connections' pages share.
///
/// SQLite as it is bundled (`SQLITE_ENABLE_MEMORY_MANAGEMENT`) has one pool, whose limit is the sum of what each
/// connection may cache. A connection that is at its own limit takes the page longest unused, another connection's too;
/// when the other one then grows again, the pool is over its limit, and SQLite drops every page that is let go, to read it
/// anew for the next row. What a connection may cache by itself is not raised.
pub(crate) fn pool_limit(options: &SqliteOptions) -> Result<Connection> {
    let connection = Connection::open("").map_err(|error| options.failed(error))?;
    connection.pragma_update(None, "cache_size", POOL_LIMIT_PAGES).map_err(|error| options.failed(error))?;
    Ok(connection)
}

/// A connection that reads, and refuses to write. It creates no file.
pub(crate) fn reader(options: &SqliteOptions) -> Result<Connection> {
    let connection = open(options, false)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| options.failed(error))?;
    Ok(connection)
}

fn open(options: &SqliteOptions, may_create: bool) -> Result<Connection> {
    let may_create = may_create && !options.read_only;
    if options.vfs.is_none() {
        check_path(options, may_create)?;
    }
    let access = if options.read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else if may_create {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match &options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(&options.path, flags, vfs.as_str()),
        None => Connection::open_with_flags(&options.path, flags),
    }
    .map_err(|error| options.failed(error))?;
    connection.busy_timeout(options.busy_timeout).map_err(|error| options.failed(error))?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // A plan that does not depend on the values: without it, a statement with a `LIMIT` is prepared anew for each.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(|error| options.failed(error))?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(|error| options.failed(error))?;
    // The first look at the file: what is not a database is found out here.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(|error| options.failed(error))?;
    Ok(connection)
}

/// SQLite says "unable to open database file" to all of these. Where a VFS of the caller's keeps its files only the VFS knows.
fn check_path(options: &SqliteOptions, may_create: bool) -> Result<()> {
    let path = &options.path;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let problem = if path.is_dir() {
        "it is a folder, and a file is wanted"
    } else if folder.is_some_and(|folder| !folder.is_dir()) {
        "its folder does not exist"
    } else if !may_create && !path.exists() {
        "there is no such file, and it is not to be created"
    } else {
        return Ok(());
    };
    Err(Error::StoreNotFound { place: path.display().to_string(), problem: problem.to_owned() })
}

/// Turns WAL mode on. SQLite does not wait for those who are at work on a file in another mode, so we do.
fn use_wal(connection: &Connection, options: &SqliteOptions) -> Result<()> {
    let began = Instant::now();
    let answers = loop {
        match change_to_wal(connection) {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < options.busy_timeout =>
            {
                thread::sleep(BETWEEN_CHANGES_TO_WAL);
            }
            answers => break answers.map_err(|error| options.failed(error))?,
        }
    };
    if answers == ["wal"] {
        return Ok(());
    }
    let problem =
        format!("the file cannot be put in WAL mode (it stays in {answers:?}): is it on a network drive?");
    Err(Error::backend("sqlite", problem))
}

/// SQLite answers "wal" before the change is committed: only stepping on past the answer tells whether it was. Until
/// then the connection would write with a rollback journal.
fn change_to_wal(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut change = connection.prepare("PRAGMA journal_mode = wal")?;
    change.query_map([], |row| row.get::<_, String>(0))?.collect()
}
