//! The lock of a data directory: one node on it at a time, and `murmesh down` sees when it has ended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use murmesh_protocol::control::files;
use murmesh_protocol::control::{ControlError, ErrorName};

/// Held by the running node; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock of `data_dir`, which must exist, and writes this process id into it.
    ///
    /// # Errors
    /// `already-running` if a live process holds it, `permission` or `disk` if the file cannot be used.
    pub fn take(data_dir: &Path) -> Result<DirLock, ControlError> {
        let path = data_dir.join(files::LOCK);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| cannot_use(&path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ErrorName::AlreadyRunning.into()),
            Err(TryLockError::Error(error)) => return Err(cannot_use(&path, &error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| cannot_use(&path, &error))?;
        Ok(DirLock { _file: file })
    }
}

/// `permission` or `disk`, with the path and the system's words.
pub(crate) fn cannot_use(path: &Path, error: &io::Error) -> ControlError {
    let name =
        if error.kind() == io::ErrorKind::PermissionDenied { ErrorName::Permission } else { ErrorName::Disk };
    ControlError::with(name, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_lock_and_a_dropped_one_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::take(dir.path()).unwrap();
        assert_eq!(DirLock::take(dir.path()).unwrap_err().name, ErrorName::AlreadyRunning);
        let text = std::fs::read_to_string(dir.path().join(files::LOCK)).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
        drop(held);
        DirLock::take(dir.path()).unwrap();
    }
}
