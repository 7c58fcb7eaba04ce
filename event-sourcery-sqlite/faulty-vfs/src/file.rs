//! The callbacks of an open file. Unsafe: SQLite's C interface.
//!
//! SQLite allocates one block per file, into which go a [`FaultyFile`] and behind it the real VFS's file.

use std::{
    ffi::{c_int, c_void},
    path::Path,
    slice,
};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods};

use crate::{disk::FileId, machine::Machine};

#[repr(C)]
struct FaultyFile {
    base: sqlite3_file,
    machine: &'static Machine,
    /// Where the file is on the modelled disk; `None` for a temporary file.
    id: Option<FileId>,
}

/// Version 2: with shared memory for the WAL, without memory-mapped reads, which nothing here would see.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(forwarded::xFileSize),
    xLock: Some(forwarded::xLock),
    xUnlock: Some(forwarded::xUnlock),
    xCheckReservedLock: Some(forwarded::xCheckReservedLock),
    xFileControl: Some(file_control),
    xSectorSize: Some(forwarded::xSectorSize),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(forwarded::xShmMap),
    xShmLock: Some(forwarded::xShmLock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(forwarded::xShmUnmap),
    xFetch: None,
    xUnfetch: None,
};

/// How many bytes of a file are this VFS's own.
pub(crate) fn size_in_front_of_real() -> c_int {
    size_of::<FaultyFile>() as c_int
}

/// Opens the real file with `real_open`, then makes `file` a file of this VFS.
///
/// # Safety
///
/// `file` points to room for a [`FaultyFile`] and a real file, unused so far.
pub(crate) unsafe fn open(
    file: *mut sqlite3_file,
    machine: &'static Machine,
    path: Option<&Path>,
    real_open: impl FnOnce(*mut sqlite3_file) -> c_int,
) -> c_int {
    // SAFETY: by this function's contract there is room for the real file.
    let real = unsafe { real(file) };
    let code = real_open(real);
    if code != ffi::SQLITE_OK {
        return code;
    }
    // SAFETY: the real file was just opened.
    let id = match machine.opened(path, || unsafe { content(real) }) {
        Ok(id) => id,
        Err(code) => {
            // SAFETY: the real file is open, and nobody will use it after this.
            unsafe { call_close(real) };
            return code;
        }
    };
    // SAFETY: by this function's contract there is room for a `FaultyFile`.
    unsafe {
        file.cast::<FaultyFile>().write(FaultyFile { base: sqlite3_file { pMethods: &METHODS }, machine, id })
    };
    ffi::SQLITE_OK
}

/// The real VFS's file behind `file`.
///
/// # Safety
///
/// `file` points to room for a [`FaultyFile`] and a real file.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: by this function's contract that is still inside the block, or just behind it.
    unsafe { file.cast::<FaultyFile>().add(1).cast() }
}

/// What this VFS knows of `file`.
///
/// # Safety
///
/// `file` was opened by [`open`] and is not closed.
unsafe fn faulty<'a>(file: *mut sqlite3_file) -> &'a FaultyFile {
    // SAFETY: `open` wrote a `FaultyFile` there, and nothing changes it after that.
    unsafe { &*file.cast::<FaultyFile>() }
}

/// Calls a method of a real file, or gives `$missing` if it has no such method.
///
/// Unsafe to use, like the method: the real file must be open, the arguments must be what SQLite would pass.
macro_rules! call {
    ($real:expr, $method:ident($($argument:expr),*), $missing:expr) => {{
        let real = $real;
        match (*(*real).pMethods).$method {
            Some(method) => method(real, $($argument),*),
            None => $missing,
        }
    }};
}

/// The whole content of a real file. Read through SQLite: to open the file a second time, and close it, would
/// drop the process's locks on it.
///
/// # Safety
///
/// `real` is an open file of the real VFS.
unsafe fn content(real: *mut sqlite3_file) -> Result<Vec<u8>, c_int> {
    let mut size: sqlite3_int64 = 0;
    // SAFETY: by this function's contract.
    let code = unsafe { call!(real, xFileSize(&mut size), ffi::SQLITE_IOERR_FSTAT) };
    if code != ffi::SQLITE_OK {
        return Err(code);
    }
    let mut bytes = vec![0_u8; size as usize];
    // SAFETY: by this function's contract; the buffer is as long as the read.
    let code =
        unsafe { call!(real, xRead(bytes.as_mut_ptr().cast(), size as c_int, 0), ffi::SQLITE_IOERR_READ) };
    if code == ffi::SQLITE_OK { Ok(bytes) } else { Err(code) }
}

/// # Safety
///
/// `real` is an open file of the real VFS, not used after this.
unsafe fn call_close(real: *mut sqlite3_file) -> c_int {
    // SAFETY: by this function's contract.
    unsafe { call!(real, xClose(), ffi::SQLITE_OK) }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite passes a file that `open` opened, and does not use it after this.
    let (code, faulty) = unsafe { (call_close(real(file)), faulty(file)) };
    faulty.machine.closed();
    code
}

unsafe extern "C" fn read(
    file: *mut sqlite3_file,
    buffer: *mut c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes a file that `open` opened.
    if unsafe { faulty(file) }.machine.lock().power_is_cut() {
        return ffi::SQLITE_IOERR_READ;
    }
    // SAFETY: the arguments are SQLite's own.
    unsafe { call!(real(file), xRead(buffer, amount, offset), ffi::SQLITE_IOERR_READ) }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    buffer: *const c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite passes a file that `open` opened, and a buffer of that many bytes.
    let (faulty, bytes) =
        unsafe { (faulty(file), slice::from_raw_parts(buffer.cast::<u8>(), amount as usize)) };
    faulty.machine.write(faulty.id, offset as usize, bytes, || {
        // SAFETY: the arguments are SQLite's own.
        unsafe { call!(real(file), xWrite(buffer, amount, offset), ffi::SQLITE_IOERR_WRITE) }
    })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: SQLite passes a file that `open` opened.
    let faulty = unsafe { faulty(file) };
    faulty.machine.truncate(faulty.id, size as usize, || {
        // SAFETY: the arguments are SQLite's own.
        unsafe { call!(real(file), xTruncate(size), ffi::SQLITE_IOERR_TRUNCATE) }
    })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite passes a file that `open` opened.
    let faulty = unsafe { faulty(file) };
    faulty.machine.sync(faulty.id)
}

/// Passes all requests on but the hints at a file's size, on which the real file might grow unseen.
unsafe extern "C" fn file_control(file: *mut sqlite3_file, request: c_int, argument: *mut c_void) -> c_int {
    if matches!(request, ffi::SQLITE_FCNTL_SIZE_HINT | ffi::SQLITE_FCNTL_CHUNK_SIZE) {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: the arguments are SQLite's own.
    unsafe { call!(real(file), xFileControl(request, argument), ffi::SQLITE_NOTFOUND) }
}

/// Those of the real file, without batches of atomic writes: the modelled disk has none.
unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite passes a file that `open` opened.
    let real = unsafe { call!(real(file), xDeviceCharacteristics(), 0) };
    real & !ffi::SQLITE_IOCAP_BATCH_ATOMIC
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite passes a file that `open` opened.
    unsafe { call!(real(file), xShmBarrier(), ()) }
}

/// The methods that go straight to the real file.
#[allow(non_snake_case, reason = "named like the method each one forwards to")]
mod forwarded {
    use super::*;

    macro_rules! forward {
        ($($method:ident($($argument:ident: $type:ty),*) or $missing:expr;)*) => {$(
            pub(super) unsafe extern "C" fn $method(file: *mut sqlite3_file $(, $argument: $type)*) -> c_int {
                // SAFETY: SQLite passes a file that `open` opened, and the arguments are SQLite's own.
                unsafe { call!(real(file), $method($($argument),*), $missing) }
            }
        )*};
    }

    forward! {
        xFileSize(size: *mut sqlite3_int64) or ffi::SQLITE_IOERR_FSTAT;
        xLock(level: c_int) or ffi::SQLITE_IOERR_LOCK;
        xUnlock(level: c_int) or ffi::SQLITE_IOERR_UNLOCK;
        xCheckReservedLock(reserved: *mut c_int) or ffi::SQLITE_IOERR_CHECKRESERVEDLOCK;
        xSectorSize() or 0;
        xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void) or ffi::SQLITE_IOERR_SHMMAP;
        xShmLock(offset: c_int, n: c_int, flags: c_int) or ffi::SQLITE_IOERR_SHMLOCK;
        xShmUnmap(delete: c_int) or ffi::SQLITE_OK;
    }
}
