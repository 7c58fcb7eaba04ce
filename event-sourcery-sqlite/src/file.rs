//! The file that was opened: it is noticed when another one stands in its place, or none.
//!
//! A file that is moved or deleted stays open. What is written to it is acknowledged and found by nobody; connections that are
//! opened later are on the other file.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_sourcery::{Error, Result};

use crate::options::SqliteOptions;

/// It is looked at again at most so often: a look takes a microsecond.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The file that a store has opened.
#[derive(Debug)]
pub(crate) struct OpenedFile {
    path: PathBuf,
    identity: Option<Identity>,
    opened: Instant,
    /// When it was last found in its place: milliseconds after it was opened.
    found: AtomicU64,
}

/// What tells a file from all others, as long as it is open: its device, and its number there.
pub(crate) type Identity = (u64, u64);

impl OpenedFile {
    /// The file of these options, which is open by now. One that a VFS of the caller's keeps need not be at its path.
    pub(crate) fn of(options: &SqliteOptions) -> Self {
        let path = options.path.clone();
        let identity = if options.vfs.is_none() { identity(&path).ok().flatten() } else { None };
        Self { path, identity, opened: Instant::now(), found: AtomicU64::new(0) }
    }

    /// Refuses to go on where another file stands at the path, if that was not looked at just now.
    pub(crate) fn check_now_and_then(&self) -> Result<()> {
        let (now, every) = (milliseconds(self.opened.elapsed()), milliseconds(LOOK_EVERY));
        if now.saturating_sub(self.found.load(Ordering::Relaxed)) < every {
            return Ok(());
        }
        self.check()?;
        self.found.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Refuses to go on where another file stands at the path. One that cannot be looked at may be the same.
    pub(crate) fn check(&self) -> Result<()> {
        if self.identity.is_none() {
            return Ok(());
        }
        let problem = match identity(&self.path) {
            Ok(found) if found == self.identity => return Ok(()),
            Ok(_) => "another file stands in its place",
            Err(error) if error.kind() == ErrorKind::NotFound => "it was moved or deleted",
            Err(_) => return Ok(()),
        };
        Err(Error::StoreNotFound {
            place: self.path.display().to_string(),
            problem: format!("the file was opened here, and since then {problem}: open the store again"),
        })
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(unix)]
pub(crate) fn identity(path: &std::path::Path) -> std::io::Result<Option<Identity>> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path)?;
    Ok(Some((found.dev(), found.ino())))
}

/// Elsewhere nothing tells that two files are one. On Windows, a file that is open can be neither moved nor deleted.
#[cfg(not(unix))]
pub(crate) fn identity(_: &std::path::Path) -> std::io::Result<Option<Identity>> {
    Ok(None)
}
