//! Small files of the data directory: written as a whole, synced, readable by their owner only.
//!
//! What the databases need of a file system beside SQLite is the trait [`Files`], so that tests can put
//! all of it on a disk whose power fails.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use murmesh_protocol::control::{ControlError, ErrorName};

/// A file system.
pub(crate) trait Files: Debug + Send + Sync {
    /// What SQLite calls it; none is the system's.
    fn vfs(&self) -> Option<&str>;
    /// The content of a file.
    fn read(&self, path: &Path) -> Result<Vec<u8>>;
    /// Makes a file that only its owner reads, or empties it; writes and syncs it.
    fn write_synced(&self, path: &Path, content: &[u8]) -> Result<()>;
    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a name.
    fn remove(&self, path: &Path) -> Result<()>;
    /// Makes a new or removed name of a directory durable.
    fn sync_parent(&self, path: &Path) -> Result<()>;
    /// Only the owner reads it from now on.
    fn restrict(&self, path: &Path) -> Result<()>;
}

/// The system's files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System;

impl Files for System {
    fn vfs(&self) -> Option<&str> {
        None
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn write_synced(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_parent(&self, path: &Path) -> Result<()> {
        sync_parent(path)
    }

    fn restrict(&self, path: &Path) -> Result<()> {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
    }
}

/// Replaces a file: after a crash there is the old or the new content, never half of it.
///
/// # Errors
/// When the disk fails.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    replace_on(&System, path, content)
}

/// The same on any file system.
///
/// # Errors
/// When the disk fails.
pub(crate) fn replace_on(files: &dyn Files, path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    files.write_synced(&new, content)?;
    files.rename(&new, path)?;
    files.sync_parent(path)
}

/// Makes a directory that only its owner may enter, and those above it.
///
/// # Errors
/// When the disk fails or something else is there.
pub fn make_directory(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a new or removed name of a directory durable.
///
/// # Errors
/// When the disk fails.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// What a file that cannot be used means to a client: `permission`, or `disk`.
pub(crate) fn cannot_use(path: &Path, error: &std::io::Error) -> ControlError {
    let denied = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
    let name = if denied { ErrorName::Permission } else { ErrorName::Disk };
    ControlError::with(name, format!("{}: {error}", path.display()))
}
