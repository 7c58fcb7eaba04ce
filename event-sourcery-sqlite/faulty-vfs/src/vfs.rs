//! The VFS callbacks, and the registration. Unsafe: SQLite's C interface.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    path::PathBuf,
    ptr,
};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};

use crate::{file, machine::Machine};

/// What `pAppData` of a registered VFS points to.
struct AppData {
    real: *mut sqlite3_vfs,
    machine: &'static Machine,
    /// Where all files lie, whatever their path; `None`: where their path says.
    folder: Option<PathBuf>,
}

/// The files that are to survive a power loss; all others are temporary.
const LASTING: c_int = ffi::SQLITE_OPEN_MAIN_DB
    | ffi::SQLITE_OPEN_WAL
    | ffi::SQLITE_OPEN_MAIN_JOURNAL
    | ffi::SQLITE_OPEN_SUPER_JOURNAL;

pub(crate) fn register(name: &'static CStr, machine: &'static Machine, folder: Option<PathBuf>) {
    // SAFETY: the name is a C string; a null one asks for the default VFS.
    let (taken, real) = unsafe { (ffi::sqlite3_vfs_find(name.as_ptr()), ffi::sqlite3_vfs_find(ptr::null())) };
    assert!(taken.is_null(), "a VFS named {name:?} exists already");
    assert!(!real.is_null(), "SQLite has no default VFS");
    let app_data = Box::leak(Box::new(AppData { real, machine, folder }));
    let vfs = sqlite3_vfs {
        iVersion: 2, // without the system calls of version 3
        szOsFile: file::size_in_front_of_real() + real_size(real),
        pNext: ptr::null_mut(),
        zName: name.as_ptr(),
        pAppData: ptr::from_mut(app_data).cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xFullPathname: Some(full_pathname),
        // SAFETY: SQLite never frees its default VFS. The callbacks copied with it ignore the VFS passed to
        // them, so they may be called with this one.
        ..unsafe { *real }
    };
    // SAFETY: the struct, its name and its app data are leaked, so they live as long as the registration.
    let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
    assert_eq!(code, ffi::SQLITE_OK, "registering the VFS {name:?}");
}

fn real_size(real: *mut sqlite3_vfs) -> c_int {
    // SAFETY: SQLite never frees its default VFS.
    unsafe { (*real).szOsFile }
}

/// # Safety
///
/// `vfs` was registered by [`register`].
unsafe fn app_data<'a>(vfs: *mut sqlite3_vfs) -> &'a AppData {
    // SAFETY: `register` set `pAppData` to a leaked `AppData`, of which only shared references are made.
    unsafe { &*(*vfs).pAppData.cast::<AppData>() }
}

/// # Safety
///
/// `name` is a C string.
unsafe fn path(name: *const c_char) -> PathBuf {
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned().into()
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite calls this with the VFS it was registered in.
    let AppData { real, machine, .. } = unsafe { app_data(vfs) };
    // SAFETY: SQLite made room for `szOsFile` bytes; without methods it takes the file for not opened.
    unsafe { (*file).pMethods = ptr::null() };
    if machine.lock().power_is_cut() {
        return ffi::SQLITE_CANTOPEN;
    }
    let lasts = flags & LASTING != 0 && !name.is_null();
    // SAFETY: a name that is not null is a C string.
    let path = lasts.then(|| unsafe { path(name) });
    let real_open = |file: *mut sqlite3_file| {
        // SAFETY: all arguments are SQLite's own, but for the VFS and the file, which are the real VFS's.
        unsafe {
            (**real).xOpen.map_or(ffi::SQLITE_CANTOPEN, |open| open(*real, name, file, flags, out_flags))
        }
    };
    // SAFETY: `file` has `szOsFile` bytes, so the real file fits behind ours.
    unsafe { file::open(file, machine, path.as_deref(), real_open) }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: SQLite calls this with the VFS it was registered in, and a C string.
    let (AppData { real, machine, .. }, path) = unsafe { (app_data(vfs), path(name)) };
    machine.delete(&path, sync_directory != 0, || {
        // SAFETY: the arguments are SQLite's own, but for the VFS, which is the real one.
        unsafe { (**real).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(*real, name, 0)) }
    })
}

/// What this answers is what files are opened, looked for and deleted by.
unsafe extern "C" fn full_pathname(
    vfs: *mut sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: SQLite calls this with the VFS it was registered in, and a C string.
    let (AppData { real, folder, .. }, path) = unsafe { (app_data(vfs), path(name)) };
    let moved = folder.as_ref().and_then(|folder| Some(folder.join(path.file_name()?)));
    let moved = moved.and_then(|path| CString::new(path.into_os_string().into_encoded_bytes()).ok());
    let name = moved.as_ref().map_or(name, |path| path.as_ptr());
    // SAFETY: the name is a C string, the rest SQLite's own, but for the VFS, which is the real one.
    unsafe { (**real).xFullPathname.map_or(ffi::SQLITE_CANTOPEN, |resolve| resolve(*real, name, room, full)) }
}
