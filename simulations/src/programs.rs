//! The programs under test: where they are, and how they are run without touching the user's own murmesh.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that should have been built is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not built: run `cargo test --workspace`, or build it first")]
pub struct NotBuilt(String);

/// The program of this name that was built together with the running one.
///
/// # Errors
/// When it was not.
pub fn find(name: &str) -> Result<PathBuf, NotBuilt> {
    let exe = std::env::current_exe().unwrap_or_default();
    // Beside it; tests run from target/PROFILE/deps.
    let places = exe.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    places.into_iter().find(|path| path.is_file()).ok_or_else(|| NotBuilt(name.to_owned()))
}

/// A command that reads nothing of the user's: configuration is looked for under `home`.
#[must_use]
pub fn isolated(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("MURMESH_DATA_DIR").env_remove("MURMESH_PASSPHRASE_FILE").env_remove("RUST_LOG");
    command.env("XDG_CONFIG_HOME", home.join("config")).stdin(Stdio::null());
    command
}
