//! A running node: everything started in order, ended in order.
//!
//! Order of the end: control clients get their answers, peers a good-bye, then the machines commit and
//! empty their write-ahead logs, and at last the lock is free.

use std::time::Duration;

use murmesh_protocol::control::files::STARTUP_ERROR;
use murmesh_protocol::control::{ControlError, ErrorName, Reply, Request, StatusReply};
use murmesh_protocol::id::PeerId;
use tokio::task::JoinHandle;

use crate::assembly::{Assembly, Found, MachineLoop};
use crate::backend::NodeBackend;
use crate::config::{Config, remember_listen};
use crate::control::{self, ControlSocket, DirLock, Limits};
use crate::driver::open_error;
use crate::store::{CustodyStore, PrivateStore, Unlock};
use crate::swarm::Transport;
use crate::{files, identity};

/// Where known peers are kept.
const CACHE_FILE: &str = "peers.json";
/// How long a start waits for its listeners to be bound.
const LISTEN_PATIENCE: Duration = Duration::from_secs(5);
/// How long the machines may take to commit and flush at the end.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// At the end, how long clients may take to read their answers.
const FLUSH_PATIENCE: Duration = Duration::from_millis(500);

/// A running node.
pub struct Node {
    assembly: Assembly,
    threads: Vec<std::thread::JoinHandle<()>>,
    control: JoinHandle<()>,
    _lock: DirLock,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node and returns when its control socket answers and its listeners are bound. Must be
    /// called inside a multi-thread tokio runtime.
    ///
    /// # Errors
    /// Why it does not start, in the control API's words.
    pub async fn start(config: &Config, unlock: &Unlock) -> Result<Node, ControlError> {
        let directory = &config.data_dir;
        files::make_directory(directory).map_err(|error| files::cannot_use(directory, &error))?;
        let lock = DirLock::take(directory)?;
        // Of an earlier start. Now, under the lock and before anything answers: one that is refused
        // because of this node writes its own reason later, which must stay.
        let _ = std::fs::remove_file(directory.join(STARTUP_ERROR));
        let socket = ControlSocket::bind(directory)?;
        let keypair = identity::load_key(directory)?;
        let listen = identity::choose_ports(directory, &config.listen)?;
        let (private, custody) = open_stores(directory, unlock).await?;
        let found = Found {
            keypair,
            listen,
            transport: Transport::System,
            private,
            unlock: unlock.clone(),
            custody,
            cache: Some(directory.join(CACHE_FILE)),
        };
        let (assembly, loops) = Assembly::start(config, found)?;
        if config.listen_is_new
            && let Err(error) = remember_listen(directory, &config.listen)
        {
            tracing::warn!(%error, "the listening addresses are not remembered for the next start");
        }
        let threads = loops.into_iter().map(MachineLoop::spawn).collect::<Result<_, _>>();
        let threads = threads.map_err(|error| ControlError::with(ErrorName::Internal, error.to_string()))?;

        let (backend, hub, stop) = (assembly.backend.clone(), assembly.hub.clone(), assembly.stop.clone());
        wait_for_listeners(&backend, assembly.listeners).await;
        let limits = Limits { flush: FLUSH_PATIENCE, ..Limits::default() };
        let control = tokio::spawn(control::serve(socket, backend, hub, stop, limits));
        tracing::info!(peer = %assembly.peer(), "started");
        Ok(Node { assembly, threads, control, _lock: lock })
    }

    /// Its PeerId.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.assembly.peer()
    }

    /// Answers a request as the control socket would.
    ///
    /// # Errors
    /// What the control API answers.
    pub async fn call(&self, request: Request) -> Result<Reply, ControlError> {
        self.assembly.call(request).await
    }

    /// The state of the node.
    ///
    /// # Errors
    /// What the control API answers.
    pub async fn status(&self) -> Result<StatusReply, ControlError> {
        self.assembly.status().await
    }

    /// Waits until a client asks the node to stop.
    pub async fn stop_asked(&self) {
        self.assembly.stop.cancelled().await;
    }

    /// Ends the node; everything is committed and the lock free when this returns.
    pub async fn stop(self) {
        self.assembly.stop.cancel();
        // A task that panicked has been logged; the rest must end all the same.
        let _ = self.control.await;
        self.assembly.stop().await;
        let threads = self.threads;
        let join = tokio::task::spawn_blocking(move || {
            threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        match tokio::time::timeout(STOP_PATIENCE, join).await {
            Ok(Ok(0)) => tracing::info!("stopped"),
            Ok(_) => tracing::error!("a machine had panicked"),
            Err(_) => tracing::error!("a machine did not end in time"),
        }
    }
}

/// Argon2id and migrations take their time: not on a thread of the runtime.
async fn open_stores(
    directory: &std::path::Path,
    unlock: &Unlock,
) -> Result<(Option<PrivateStore>, CustodyStore), ControlError> {
    let (directory, unlock) = (directory.to_owned(), unlock.clone());
    let open = move || {
        let private = PrivateStore::exists(&directory).then(|| PrivateStore::open(&directory, &unlock));
        let private = private.transpose().map_err(|error| open_error(&error))?;
        let custody = CustodyStore::open(&directory).map_err(|error| open_error(&error))?;
        Ok((private, custody))
    };
    tokio::task::spawn_blocking(open).await.map_err(|_| ErrorName::Internal)?
}

/// Clients wait for the addresses: the socket answers only when they are known.
async fn wait_for_listeners(backend: &NodeBackend, listeners: usize) {
    let bound = async {
        loop {
            match backend.status().await {
                Ok(status) if status.listen.len() < listeners => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(_) | Err(_) => return,
            }
        }
    };
    if tokio::time::timeout(LISTEN_PATIENCE, bound).await.is_err() {
        tracing::warn!("not every listener is bound");
    }
}
