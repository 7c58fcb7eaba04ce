//! What SQLite reports, and the error that a caller gets for it.

use std::io::ErrorKind;
use std::time::Duration;

use event_sourcery::Error;
use rusqlite::ErrorCode;

use crate::options::SqliteOptions;

/// A failure of SQLite. One failure can be the answer to many callers: those of a group.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    code: Option<ErrorCode>,
    message: String,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self { code: error.sqlite_error_code(), message: error.to_string() }
    }
}

impl Failure {
    /// The failure of a call at whose error SQLite rolled back the transaction that it shared.
    pub(crate) fn of_ended(error: Option<&Error>) -> Self {
        let code = matches!(error, Some(Error::StorageFull { .. })).then_some(ErrorCode::DiskFull);
        // What is said around its source will be said around the message.
        let source = error.and_then(std::error::Error::source).map(|source| source.to_string());
        let said = || error.map_or_else(|| "the transaction was rolled back".to_owned(), Error::in_full);
        Self { code, message: source.unwrap_or_else(said) }
    }

    /// Whether there was no room on the disk.
    pub(crate) fn is_full_disk(&self) -> bool {
        self.code == Some(ErrorCode::DiskFull)
    }

    /// The failure of a commit for a foreign key that is checked there.
    pub(crate) fn of_constraint() -> Self {
        let message = "FOREIGN KEY constraint failed".to_owned();
        Self { code: Some(ErrorCode::ConstraintViolation), message }
    }

    /// Whether a constraint was violated.
    pub(crate) fn is_constraint(&self) -> bool {
        self.code == Some(ErrorCode::ConstraintViolation)
    }

    /// The error for a call that may have waited for a lock as long as this.
    pub(crate) fn into_error(self, busy_timeout: Duration) -> Error {
        let Self { code, message } = self;
        match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::busy(busy_timeout),
            Some(ErrorCode::DiskFull) => Error::storage_full(message),
            Some(ErrorCode::ReadOnly) => Error::read_only(message),
            _ => Error::backend("sqlite", message),
        }
    }

    /// The error for an attempt to open a file.
    fn into_open_error(self, options: &SqliteOptions) -> Error {
        let SqliteOptions { path, busy_timeout, .. } = options;
        let place = path.display().to_string();
        match (self.code, &options.vfs) {
            (Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt), _) => {
                Error::ForeignLayout { place, problem: self.message }
            }
            (Some(ErrorCode::CannotOpen), Some(vfs)) => {
                Error::StoreNotFound { place, problem: format!("the VFS {vfs} says: {}", self.message) }
            }
            // SQLite says so of a process that has no file handles left, too.
            (Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied), None) => {
                match std::fs::File::open(path) {
                    Err(error)
                        if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) =>
                    {
                        Error::StoreNotFound { place, problem: error.to_string() }
                    }
                    _ => self.into_error(*busy_timeout),
                }
            }
            (Some(ErrorCode::ReadOnly), _) => Error::read_only(format!(
                "SQLite writes to its folder even to read it, and may not ({})",
                self.message
            )),
            _ => self.into_error(*busy_timeout),
        }
    }
}

impl SqliteOptions {
    /// The error for a failure while the file is opened.
    pub(crate) fn failed(&self, failure: impl Into<Failure>) -> Error {
        failure.into().into_open_error(self)
    }
}
