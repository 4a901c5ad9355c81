//! Small files of the data directory: written as a whole, synced, readable by their owner only.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use murmesh_protocol::control::{ControlError, ErrorName};

/// Replaces a file: after a crash there is the old or the new content, never half of it.
///
/// # Errors
/// When the disk fails.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_parent(path)
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
