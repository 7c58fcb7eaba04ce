//! A SQLite VFS that loses power, fills the disk and fails on request. For tests only.
//!
//! It wraps the platform's default VFS. Files really are written, so SQLite reads back what it wrote; next
//! to them a model keeps what a disk would still hold after a power loss: the bytes as of each file's last
//! sync. [`FaultyVfs::write_survivors`] puts those into a fresh directory, to be opened with the plain VFS.
//!
//! ```no_run
//! use faulty_vfs::{FaultyVfs, Survivors};
//! use rusqlite::{Connection, OpenFlags};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vfs = FaultyVfs::register("the-name-of-this-test");
//! let db = Connection::open_with_flags_and_vfs("before/events.db", OpenFlags::default(), vfs.name())?;
//! vfs.cut_power_at_sync(7);
//! // ... write to `db` until it fails ...
//! vfs.write_survivors("after", Survivors::OnlySynced)?;
//! let survivor = Connection::open("after/events.db")?;
//! # Ok(()) }
//! ```
//!
//! # What the model assumes
//!
//! - A sync makes every earlier write and truncation of that one file durable, by whichever connection.
//! - The first sync of a new file also makes its directory durable, as SQLite's own VFS sees to for journals
//!   and WALs. A deletion is durable once its directory is; until then the deleted file may come back.
//! - After a failed sync, what it should have flushed is not retried by the next one, as on Linux.
//! - The `-shm` file does not survive. Temporary files are subject to faults but do not survive either.
//! - Nothing is really synced: the page cache outlives the test, and the tests run the faster for it.
//!
//! Connections to one database must all use the same VFS: the model does not see what bypasses it.

mod calls;
mod disk;
mod file;
mod machine;
mod torn;
mod vfs;

use std::{
    ffi::CString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use machine::Machine;

/// How a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `SQLITE_FULL`: there is no space left.
    DiskFull,
    /// `SQLITE_IOERR_WRITE`: the device gave an error.
    IoError,
}

/// What a power loss leaves of the writes that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// Nothing: each file is as its last sync left it, and a deletion not yet durable did not happen.
    OnlySynced,
    /// Some of them, drawn at random: each 512-byte sector is in one of the states it went through since the
    /// last sync, independently of the others; so is each truncation, creation and deletion done or not.
    /// The same seed draws the same survivors.
    Torn {
        /// Where the random draw starts.
        seed: u64,
    },
}

/// A handle to one registered VFS. Copies of it are the same VFS.
///
/// The calls of all files opened through it are counted together, so give each test a VFS of its own.
/// Wherever a call is picked by number, 1 is the first one after the method returns; 0 panics. Of power cuts,
/// of failing writes and of failing syncs, each, the last one asked for replaces any before it.
#[derive(Debug, Clone, Copy)]
pub struct FaultyVfs {
    name: &'static str,
    machine: &'static Machine,
}

impl FaultyVfs {
    /// Registers a VFS under `name` for the rest of the process's life.
    ///
    /// # Panics
    ///
    /// If a VFS of this name exists already, or the name holds a NUL byte.
    pub fn register(name: &str) -> Self {
        Self::register_with(name, None)
    }

    /// Registers a VFS whose files all lie in `folder`, each under its own name, whatever path they are opened with.
    ///
    /// # Panics
    ///
    /// As [`register`](Self::register) does.
    pub fn register_with_files_in(name: &str, folder: &Path) -> Self {
        Self::register_with(name, Some(folder.to_owned()))
    }

    fn register_with(name: &str, folder: Option<PathBuf>) -> Self {
        let c_name = Box::leak(CString::new(name).expect("a name without NUL bytes").into_boxed_c_str());
        let machine = Box::leak(Box::default());
        vfs::register(c_name, machine, folder);
        Self { name: c_name.to_str().expect("made from a str"), machine }
    }

    /// The name that connections open with: `Connection::open_with_flags_and_vfs(path, flags, vfs.name())`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Cuts the power at the `n`-th sync from now: that sync does not take effect, and from then on every
    /// read, write, truncation, sync, deletion and opening fails. Nothing but [`reset`](Self::reset) brings
    /// the power back.
    pub fn cut_power_at_sync(&self, n: u64) {
        self.machine.lock().cut_power_at_sync(n);
    }

    /// Cuts the power now.
    pub fn cut_power(&self) {
        self.machine.lock().cut_power();
    }

    /// Whether the power is gone.
    pub fn power_is_cut(&self) -> bool {
        self.machine.lock().power_is_cut()
    }

    /// Writes what a power loss leaves of each file into `dir`, under the file's own name. The directory is
    /// created if need be, and must not hold files of those names yet.
    ///
    /// May be called more than once, to see different survivors of one power loss. With the power still on,
    /// it writes what a power loss at this moment would leave.
    pub fn write_survivors(&self, dir: impl AsRef<Path>, survivors: Survivors) -> io::Result<()> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir)?;
        for (path, image) in self.machine.lock().survivors(survivors) {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
            io::Write::write_all(&mut fs::File::create_new(dir.join(name))?, &image)?;
        }
        Ok(())
    }

    /// Fails the `n`-th write from now and all later ones, until [`heal`](Self::heal).
    pub fn fail_writes_from(&self, n: u64, fault: Fault) {
        self.machine.lock().writes.fail_from(n, fault.code());
    }

    /// Fails the `n`-th write from now, and only that one.
    pub fn fail_write_once(&self, n: u64, fault: Fault) {
        self.machine.lock().writes.fail_once(n, fault.code());
    }

    /// Fails the `n`-th sync from now and all later ones, until [`heal`](Self::heal). The power stays on.
    pub fn fail_syncs_from(&self, n: u64) {
        self.machine.lock().syncs.fail_from(n, rusqlite::ffi::SQLITE_IOERR_FSYNC);
    }

    /// Fails the `n`-th sync from now, and only that one. The power stays on.
    pub fn fail_sync_once(&self, n: u64) {
        self.machine.lock().syncs.fail_once(n, rusqlite::ffi::SQLITE_IOERR_FSYNC);
    }

    /// Makes every sync take this much longer, from now on.
    pub fn sync_delay(&self, delay: Duration) {
        self.machine.lock().sync_delay = delay;
    }

    /// Lets all writes and syncs succeed again. Does not bring the power back, nor call off a power cut.
    pub fn heal(&self) {
        let mut machine = self.machine.lock();
        machine.writes.heal();
        machine.syncs.heal();
    }

    /// Makes the VFS as good as newly registered: power on, no faults, no delay, counts at zero, and no file
    /// remembered. A file opened afterwards counts as durable as it then is.
    ///
    /// # Panics
    ///
    /// If a file is still open through this VFS: close the connections first.
    pub fn reset(&self) {
        self.machine.lock().reset();
    }

    /// How many syncs were asked for while the power was on, since registration or reset, failed ones
    /// included.
    pub fn syncs(&self) -> u64 {
        self.machine.lock().syncs.seen()
    }

    /// How many writes were asked for while the power was on, since registration or reset, failed ones
    /// included.
    pub fn writes(&self) -> u64 {
        self.machine.lock().writes.seen()
    }
}

impl Fault {
    fn code(self) -> std::ffi::c_int {
        match self {
            Self::DiskFull => rusqlite::ffi::SQLITE_FULL,
            Self::IoError => rusqlite::ffi::SQLITE_IOERR_WRITE,
        }
    }
}
