//! The machine that the files are on: its power, its disk, and the faults it is to show.
//!
//! Each file operation takes the real one as a closure and returns an SQLite result code. A write, truncation
//! or deletion holds the lock until the real one is done, so none takes effect once the power is gone.

use std::{
    ffi::c_int,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::ffi;

use crate::{
    Survivors,
    calls::Calls,
    disk::{Change, Disk, FileId},
};

#[derive(Debug, Default)]
pub(crate) struct Machine(Mutex<State>);

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) writes: Calls,
    pub(crate) syncs: Calls,
    pub(crate) sync_delay: Duration,
    cut_at_sync: Option<u64>,
    power_is_cut: bool,
    open_files: usize,
    disk: Disk,
}

impl Machine {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an open file; one without a path is a temporary one. `content` reads what the file holds.
    pub(crate) fn opened(
        &self,
        path: Option<&Path>,
        content: impl FnOnce() -> Result<Vec<u8>, c_int>,
    ) -> Result<Option<FileId>, c_int> {
        let mut state = self.lock();
        let id = path.map(|path| state.disk.open(path, content)).transpose()?;
        state.open_files += 1;
        Ok(id)
    }

    pub(crate) fn closed(&self) {
        self.lock().open_files -= 1;
    }

    pub(crate) fn write(
        &self,
        file: Option<FileId>,
        offset: usize,
        bytes: &[u8],
        real: impl FnOnce() -> c_int,
    ) -> c_int {
        let mut state = self.lock();
        if state.power_is_cut {
            return ffi::SQLITE_IOERR_WRITE;
        }
        if let Err(code) = state.writes.count() {
            return code;
        }
        state.change(file, || Change::Write { offset, bytes: bytes.to_vec() }, real)
    }

    pub(crate) fn truncate(&self, file: Option<FileId>, len: usize, real: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.lock();
        if state.power_is_cut {
            return ffi::SQLITE_IOERR_TRUNCATE;
        }
        state.change(file, || Change::Truncate { len }, real)
    }

    pub(crate) fn delete(&self, path: &Path, sync_directory: bool, real: impl FnOnce() -> c_int) -> c_int {
        let mut state = self.lock();
        if state.power_is_cut {
            return ffi::SQLITE_IOERR_DELETE;
        }
        let code = real();
        if code == ffi::SQLITE_OK {
            state.disk.delete(path, sync_directory);
        }
        code
    }

    /// What a sync covers is what was written before it began; so the delay comes last.
    pub(crate) fn sync(&self, file: Option<FileId>) -> c_int {
        let (code, delay) = {
            let mut state = self.lock();
            (state.sync(file), state.sync_delay)
        };
        if code == ffi::SQLITE_OK && !delay.is_zero() {
            thread::sleep(delay);
        }
        code
    }
}

impl State {
    pub(crate) fn cut_power_at_sync(&mut self, n: u64) {
        self.cut_at_sync = Some(self.syncs.nth_from_now(n));
    }

    pub(crate) fn cut_power(&mut self) {
        self.power_is_cut = true;
    }

    pub(crate) fn power_is_cut(&self) -> bool {
        self.power_is_cut
    }

    pub(crate) fn survivors(&self, survivors: Survivors) -> Vec<(PathBuf, Vec<u8>)> {
        self.disk.survivors(survivors)
    }

    pub(crate) fn reset(&mut self) {
        assert_eq!(self.open_files, 0, "reset with files still open: close the connections first");
        *self = Self::default();
    }

    fn change(
        &mut self,
        file: Option<FileId>,
        change: impl FnOnce() -> Change,
        real: impl FnOnce() -> c_int,
    ) -> c_int {
        let code = real();
        if let (ffi::SQLITE_OK, Some(file)) = (code, file) {
            self.disk.change(file, change());
        }
        code
    }

    fn sync(&mut self, file: Option<FileId>) -> c_int {
        if self.power_is_cut {
            return ffi::SQLITE_IOERR_FSYNC;
        }
        let outcome = self.syncs.count();
        if self.cut_at_sync == Some(self.syncs.seen()) {
            self.cut_power();
            return ffi::SQLITE_IOERR_FSYNC;
        }
        match (outcome, file) {
            (Ok(()), Some(file)) => self.disk.sync(file),
            (Err(_), Some(file)) => self.disk.fail_sync(file),
            (_, None) => {}
        }
        outcome.err().unwrap_or(ffi::SQLITE_OK)
    }
}
