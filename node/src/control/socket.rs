//! The socket file: who may connect, and what is left of a killed node.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use murmesh_protocol::control::files::{SOCKET, SOCKET_PATH_BYTES_MAX};
use murmesh_protocol::control::{ControlError, ErrorName};
use tokio::net::{UnixListener, UnixStream};

use super::lock::cannot_use;

/// The listening control socket of a data directory. Dropping it removes the file.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Makes `data_dir` private to this user (0700), replaces the socket of a dead node, and listens
    /// (0600). Take the [`DirLock`](super::DirLock) first: it, not the socket, decides who runs.
    ///
    /// # Errors
    /// `socket-path` if the path is too long, `already-running` if a live node answers on it,
    /// `permission` or `disk` if the directory cannot be used.
    pub fn bind(data_dir: &Path) -> Result<ControlSocket, ControlError> {
        let path = data_dir.join(SOCKET);
        if path.as_os_str().as_bytes().len() > SOCKET_PATH_BYTES_MAX {
            return Err(ControlError::with(ErrorName::SocketPath, path.display().to_string()));
        }
        make_private(data_dir).map_err(|error| cannot_use(data_dir, &error))?;
        if StdUnixStream::connect(&path).is_ok() {
            return Err(ErrorName::AlreadyRunning.into());
        }
        match fs::remove_file(&path) {
            Ok(()) => tracing::info!("replacing the control socket of a node that was killed"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(cannot_use(&path, &error)),
        }
        // Nobody else can reach it between the two calls: the directory is private already.
        let listener = UnixListener::bind(&path).map_err(|error| cannot_use(&path, &error))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(|error| cannot_use(&path, &error))?;
        Ok(ControlSocket { listener, path })
    }

    /// The next client that runs as this user. Cancel-safe.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_same_user(&stream) => return stream,
                Ok(_) => tracing::warn!("refused a control client of another user"),
                Err(error) => {
                    // Out of file descriptors, mostly: they come back when clients leave.
                    tracing::warn!(%error, "cannot accept a control client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket was gone already");
        }
    }
}

fn make_private(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// Root may look at everything anyway; anybody else only at their own.
fn is_same_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}
