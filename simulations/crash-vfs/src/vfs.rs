//! The VFS: SQLite's C interface in front of [`State`](crate::state::State). The only unsafe code of the
//! workspace, and nothing but translation: pointers to references, failures to the codes that SQLite's
//! own Unix VFS gives.

#![expect(unsafe_code, reason = "SQLite calls a VFS through C function pointers with raw pointers")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::ffi;

use crate::disk::Disk;
use crate::state::{Failure, Open, State};

/// Name to open databases of a [`Disk`] with.
pub const VFS: &str = "murmesh-crash";
/// The same for C.
const VFS_NAME: &CStr = c"murmesh-crash";
/// Longest path.
const PATH_MAX: c_int = 256;
/// What the Unix VFS says of a disk of which nothing is known.
const SECTOR: c_int = 4_096;

/// What SQLite holds for an open file.
#[repr(C)]
struct VfsFile {
    base: ffi::sqlite3_file,
    /// Owned: made by `open`, freed by `close`.
    file: *mut OnDisk,
}

struct OnDisk {
    disk: Disk,
    open: Open,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Version 1: no shared memory and no memory map, so SQLite itself refuses to need them.
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// Makes the VFS known to SQLite, once.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let size = c_int::try_from(size_of::<VfsFile>()).unwrap_or(c_int::MAX);
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: size,
            mxPathname: PATH_MAX,
            pNext: std::ptr::null_mut(),
            zName: VFS_NAME.as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: None,
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        // SAFETY: the struct is whole and lives for ever; every function in it has SQLite's signature.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes a further VFS");
    });
}

/// The open file behind SQLite's pointer.
///
/// # Safety
/// `file` is one that [`open`] filled and [`close`] has not been called for; SQLite uses a file from one
/// thread at a time.
unsafe fn on_disk<'a>(file: *mut ffi::sqlite3_file) -> &'a mut OnDisk {
    // SAFETY: the caller says that `open` filled it, so it is a whole `VfsFile`.
    let owned = unsafe { (*file.cast::<VfsFile>()).file };
    // SAFETY: `open` put a leaked box there and only `close` frees it.
    unsafe { &mut *owned }
}

/// Runs a call of an open file; `code` is what it fails with.
///
/// # Safety
/// As of [`on_disk`].
unsafe fn call<T>(
    file: *mut ffi::sqlite3_file,
    code: c_int,
    run: impl FnOnce(&mut State, &mut Open) -> Result<T, Failure>,
) -> Result<T, c_int> {
    // SAFETY: the caller's promise is the same.
    let OnDisk { disk, open } = unsafe { on_disk(file) };
    let mut state = disk.state();
    run(&mut state, open).map_err(|failure| code_of(failure, code))
}

/// A full disk has a code of its own when bytes are written; all else is the call's.
fn code_of(failure: Failure, code: c_int) -> c_int {
    if failure == Failure::Full && code == ffi::SQLITE_IOERR_WRITE { ffi::SQLITE_FULL } else { code }
}

fn code_for(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

/// A name SQLite hands in.
///
/// # Safety
/// `name` is null or a C string that lives while the result is used.
unsafe fn text<'a>(name: *const c_char) -> Option<&'a str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: not null, so a C string by the caller's promise.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

fn open_file(name: Option<&str>, flags: c_int) -> Result<OnDisk, c_int> {
    let is = |flag: c_int| flags & flag != 0;
    let journal = is(ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL);
    let (create, exclusive) = (is(ffi::SQLITE_OPEN_CREATE), is(ffi::SQLITE_OPEN_EXCLUSIVE));
    let (disk, name) = match name {
        Some(path) => {
            let (disk, name) = Disk::of_path(path).ok_or(ffi::SQLITE_CANTOPEN)?;
            (disk, Some(name))
        }
        // A temporary file: nothing of it outlives its handle, so its disk never fails.
        None => (Disk::new(), None),
    };
    let mut open = disk
        .state()
        .open(name, create, exclusive, create && journal)
        .map_err(|failure| code_of(failure, ffi::SQLITE_CANTOPEN))?;
    open.delete_on_close = name.filter(|_| is(ffi::SQLITE_OPEN_DELETEONCLOSE)).map(str::to_owned);
    Ok(OnDisk { disk, open })
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands in null or a C string that outlives the call.
    let opened = open_file(unsafe { text(name) }, flags);
    let (methods, owned, code) = match opened {
        Ok(on_disk) => (&raw const METHODS, Box::into_raw(Box::new(on_disk)), ffi::SQLITE_OK),
        // Without methods SQLite does not call `close`.
        Err(code) => (std::ptr::null(), std::ptr::null_mut(), code),
    };
    let whole = VfsFile { base: ffi::sqlite3_file { pMethods: methods }, file: owned };
    // SAFETY: SQLite allocated `szOsFile` bytes there, the size of a `VfsFile`, aligned for pointers.
    unsafe { file.cast::<VfsFile>().write(whole) };
    if !out_flags.is_null() {
        // SAFETY: not null, so a place for one number.
        unsafe { out_flags.write(flags) };
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes what `open` filled, once.
    let owned = unsafe { (*file.cast::<VfsFile>()).file };
    // SAFETY: `open` leaked this box, and after `close` nobody uses it.
    let OnDisk { disk, open } = *unsafe { Box::from_raw(owned) };
    let mut state = disk.state();
    state.close(&open);
    if let Some(name) = &open.delete_on_close {
        // A file that stays is found and made anew by whoever wants its name.
        let _ = state.remove(name);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(length), Ok(at)) = (usize::try_from(length), usize::try_from(at)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: SQLite hands in a buffer of `length` bytes that nobody else uses during the call.
    let into = unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), length) };
    // SAFETY: SQLite hands in an open file.
    match unsafe { call(file, ffi::SQLITE_IOERR_READ, |state, open| state.read(open, into, at)) } {
        Ok(there) if there < length => ffi::SQLITE_IOERR_SHORT_READ,
        Ok(_) => ffi::SQLITE_OK,
        Err(code) => code,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(length), Ok(at)) = (usize::try_from(length), usize::try_from(at)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite hands in a buffer of `length` bytes that nobody changes during the call.
    let from = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length) };
    // SAFETY: SQLite hands in an open file.
    code_for(unsafe { call(file, ffi::SQLITE_IOERR_WRITE, |state, open| state.write(open, from, at)) })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: ffi::sqlite3_int64) -> c_int {
    let Ok(length) = usize::try_from(length) else { return ffi::SQLITE_IOERR_TRUNCATE };
    // SAFETY: SQLite hands in an open file.
    code_for(unsafe { call(file, ffi::SQLITE_IOERR_TRUNCATE, |state, open| state.truncate(open, length)) })
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: SQLite hands in an open file.
    code_for(unsafe { call(file, ffi::SQLITE_IOERR_FSYNC, State::sync) })
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite hands in an open file.
    match unsafe { call(file, ffi::SQLITE_IOERR_FSTAT, |state, open| state.length(open)) } {
        Ok(length) => {
            let length = ffi::sqlite3_int64::try_from(length).unwrap_or(ffi::sqlite3_int64::MAX);
            // SAFETY: SQLite hands in a place for one number.
            unsafe { size.write(length) };
            ffi::SQLITE_OK
        }
        Err(code) => code,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite hands in an open file.
    match unsafe { call(file, ffi::SQLITE_IOERR_LOCK, |state, open| state.lock(open, level)) } {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_BUSY,
        Err(code) => code,
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: SQLite hands in an open file.
    let OnDisk { disk, open } = unsafe { on_disk(file) };
    disk.state().unlock(open, level);
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
    // SAFETY: SQLite hands in an open file.
    let OnDisk { disk, open } = unsafe { on_disk(file) };
    let answer = c_int::from(disk.state().is_reserved(open));
    // SAFETY: SQLite hands in a place for one number.
    unsafe { reserved.write(answer) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR
}

/// What the Unix VFS promises SQLite as it is shipped, and no more: bytes beside a torn write stay.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite hands in a C string that outlives the call.
    let Some((disk, name)) = unsafe { text(name) }.and_then(Disk::of_path) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let mut state = disk.state();
    match state.remove(name) {
        Ok(()) if sync & 1 != 0 => match state.sync_directory() {
            Ok(()) => ffi::SQLITE_OK,
            Err(_) => ffi::SQLITE_IOERR_DIR_FSYNC,
        },
        Ok(()) => ffi::SQLITE_OK,
        Err(Failure::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(Failure::Off | Failure::Io | Failure::Full) => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands in a C string that outlives the call.
    let found = unsafe { text(name) }.and_then(Disk::of_path).map(|(disk, name)| disk.state().find(name));
    // As the Unix VFS: an empty file does not exist, and one that cannot be looked up neither.
    let there = match found {
        Some(Ok(Some(length))) => flags != ffi::SQLITE_ACCESS_EXISTS || length > 0,
        Some(Ok(None) | Err(_)) | None => false,
    };
    // SAFETY: SQLite hands in a place for one number.
    unsafe { answer.write(c_int::from(there)) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite hands in a C string that outlives the call.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > usize::try_from(length).unwrap_or(0) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: the paths of disks are absolute, so they are copied; `out` has room for `length` bytes, and
    // is SQLite's own, so not the name.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), out, bytes.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    let length_bytes = usize::try_from(length).unwrap_or(0);
    // SAFETY: SQLite hands in a buffer of `length` bytes.
    unsafe { out.write_bytes(0x5a, length_bytes) };
    length
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    const EPOCH_DAYS: f64 = 2_440_587.5;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // SAFETY: SQLite hands in a place for one number.
    unsafe { days.write(EPOCH_DAYS + since.as_secs_f64() / 86_400.0) };
    ffi::SQLITE_OK
}
