//! A running node: everything started in order, ended in order.
//!
//! Order of the end: control clients get their answers, peers a good-bye, then the machines commit and
//! empty their write-ahead logs, and at last the lock is free.

use std::sync::Arc;
use std::time::Duration;

use murmesh_protocol::control::files::STARTUP_ERROR;
use murmesh_protocol::control::{ControlError, ErrorName, Reply, Request, StatusReply};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper;
use murmesh_protocol::messenger::store::{From, Table};
use murmesh_protocol::store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::backend::NodeBackend;
use crate::config::{Config, Profile, remember_listen};
use crate::control::{self, Backend, ControlSocket, DirLock, EventHub, Limits};
use crate::driver::{self, KeeperEngine, MessengerEngine, Surroundings, open_error};
use crate::links::{Ask, MACHINE_QUEUE, Machines, RUNNER_QUEUE, ToKeeper, ToMessenger};
use crate::store::{CustodyStore, PrivateStore, Unlock};
use crate::swarm::{self, Network, NetworkConfig, StartError};
use crate::{clock, files, identity};

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
    peer: PeerId,
    backend: Arc<NodeBackend>,
    network: Network,
    machines: Machines,
    threads: Vec<std::thread::JoinHandle<()>>,
    control: JoinHandle<()>,
    stop: CancellationToken,
    _lock: DirLock,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("peer", &self.peer).finish_non_exhaustive()
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
        let peer = swarm::own_peer(&keypair).ok_or(ErrorName::Internal)?;
        let listen = identity::choose_ports(directory, &config.listen)?;
        let (mut private, custody) = open_stores(directory, unlock).await?;
        let cursor = private.as_mut().map(last_cursor).transpose()?.unwrap_or(0);
        let hub = Arc::new(EventHub::new(cursor));

        let (messenger, messenger_messages) = mpsc::channel(MACHINE_QUEUE);
        let (keeper, keeper_messages) = mpsc::channel(MACHINE_QUEUE);
        let (runner, commands) = mpsc::channel(RUNNER_QUEUE);
        let machines = Machines { messenger, keeper };
        let network_config = NetworkConfig {
            keypair,
            listen,
            peers: config.peers.clone(),
            peers_max: config.peers_max,
            mdns: config.mdns && !config.is_loopback_only(),
            role: config.role,
            full_at_once: config.is_loopback_only() || config.profile == Profile::Server,
            keeps: config.held_bytes_max > 0,
            queued_bytes_max: swarm::QUEUED_BYTES_MAX,
            cache: Some(directory.join(CACHE_FILE)),
            listeners: Vec::new(),
        };
        let network = swarm::start(network_config, machines.clone(), (runner.clone(), commands))
            .map_err(|error| start_error(&error))?;
        if config.listen_is_new
            && let Err(error) = remember_listen(directory, &config.listen)
        {
            tracing::warn!(%error, "the listening addresses are not remembered for the next start");
        }

        let surroundings =
            Surroundings { keeper: machines.keeper.clone(), runner: runner.clone(), hub: hub.clone() };
        let engine = MessengerEngine::new(peer, directory.clone(), unlock.clone(), private, surroundings)
            .accepting(config.accept_requests);
        let keeper_config = keeper::Config { own_peer: peer, held_bytes_max: config.held_bytes_max };
        let custodian = KeeperEngine::new(keeper_config, custody, machines.messenger.clone(), runner);
        let threads = vec![
            driver::spawn(engine, messenger_messages, Handle::current()).map_err(|e| no_thread(&e))?,
            driver::spawn(custodian, keeper_messages, Handle::current()).map_err(|e| no_thread(&e))?,
        ];

        let stop = CancellationToken::new();
        let asks = network.asks.clone();
        let expire = config.mail_expire_ms;
        let backend = Arc::new(NodeBackend::new(machines.clone(), asks, stop.clone(), clock::now(), expire));
        wait_for_listeners(&backend, network.listeners).await;
        let limits = Limits { flush: FLUSH_PATIENCE, ..Limits::default() };
        let serving = control::serve(socket, backend.clone(), hub, stop.clone(), limits);
        let control = tokio::spawn(serving);
        tracing::info!(%peer, "started");
        Ok(Node { peer, backend, network, machines, threads, control, stop, _lock: lock })
    }

    /// Its PeerId.
    #[must_use]
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// Answers a request as the control socket would.
    ///
    /// # Errors
    /// What the control API answers.
    pub async fn call(&self, request: Request) -> Result<Reply, ControlError> {
        self.backend.call(request).await
    }

    /// The state of the node.
    ///
    /// # Errors
    /// What the control API answers.
    pub async fn status(&self) -> Result<StatusReply, ControlError> {
        self.backend.status().await
    }

    /// Waits until a client asks the node to stop.
    pub async fn stop_asked(&self) {
        self.stop.cancelled().await;
    }

    /// Ends the node; everything is committed and the lock free when this returns.
    pub async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has been logged; the rest must end all the same.
        let _ = self.control.await;
        let _ = self.network.asks.send(Ask::Stop).await;
        let _ = self.network.task.await;
        let _ = self.machines.messenger.send(ToMessenger::Stop).await;
        let _ = self.machines.keeper.send(ToKeeper::Stop).await;
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

/// The cursor of the last kept event: its position in its table.
fn last_cursor(store: &mut PrivateStore) -> Result<u64, ControlError> {
    let last = store.transaction(|tx| tx.list(Table::Events, b"", From::End, 1));
    match last {
        Ok(rows) => Ok(rows.last().map_or(0, |row| row.position)),
        Err(StoreError::Full | StoreError::Io) => Err(ErrorName::Disk.into()),
        Err(StoreError::Corrupt) => Err(ErrorName::Database.into()),
    }
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

fn start_error(error: &StartError) -> ControlError {
    let name = match error {
        StartError::Listen { .. } => ErrorName::Listen,
        StartError::Setup(_) | StartError::Key => ErrorName::Internal,
    };
    ControlError::with(name, error.to_string())
}

fn no_thread(error: &std::io::Error) -> ControlError {
    ControlError::with(ErrorName::Internal, error.to_string())
}
