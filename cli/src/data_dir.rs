//! The data directory: which it is, and whether this user can use it. What is in it is the node's.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use murmesh_protocol::control::ErrorName;
use murmesh_protocol::control::files::{CUSTODY_DATABASE, LOCK, PRIVATE_DATABASE};

use crate::error::{Failure, Problem};

/// `$XDG_DATA_HOME/murmesh`, else `~/.local/share/murmesh`.
pub(crate) fn default() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(Path::new(".local/share"))))?;
    Some(base.join("murmesh"))
}

/// Makes the directory if it is missing, and tries what a node does first: to open its lock. A node that
/// cannot do that has nowhere to write down why.
pub(crate) fn make_usable(dir: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|error| unusable(dir, &error))?;
    let lock = dir.join(LOCK);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
    opened.map(drop).map_err(|error| unusable(&lock, &error))
}

/// No node has made anything here: neither an account nor what a custodian keeps.
pub(crate) fn is_fresh(dir: &Path) -> bool {
    ![PRIVATE_DATABASE, CUSTODY_DATABASE].iter().any(|database| dir.join(database).exists())
}

/// Changes nothing: a directory that is missing is no fault, one that cannot be entered is.
pub(crate) fn check_readable(dir: &Path) -> Result<(), Failure> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable(dir, &error)),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The system's words; a full disk is another problem.
pub(crate) fn unusable(path: &Path, error: &io::Error) -> Failure {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    let name = if full { ErrorName::Disk } else { ErrorName::Permission };
    Failure::with(Problem::Node(name), format!("{}: {}", path.display(), system_words(error)))
}

/// What the system says, without the number that only a programmer wants.
pub(crate) fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    rest.next().map(|first| first.to_lowercase().chain(rest).collect()).unwrap_or_default()
}
