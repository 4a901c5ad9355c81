//! A node without a process around it: its network, both machines and their stores, joined.
//!
//! [`Node`](crate::Node) adds the lock, the control socket and the threads. The tests of the real stack under
//! virtual time (`simulations/stack`) give it a network in memory and run its loops on their only thread.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use murmesh_protocol::control::{ControlError, ErrorName, Reply, Request, StatusReply};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper;
use murmesh_protocol::messenger::store::{From, Table};
use murmesh_protocol::store::StoreError;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backend::NodeBackend;
use crate::clock;
use crate::config::{Config, Profile};
use crate::control::{Backend, EventHub};
use crate::driver::{self, KeeperEngine, MessengerEngine, Surroundings};
use crate::links::{Ask, MACHINE_QUEUE, Machines, RUNNER_QUEUE, ToKeeper, ToMessenger};
use crate::store::{CustodyStore, PrivateStore, Unlock};
use crate::swarm::{self, Network, NetworkConfig, StartError, Transport};

/// What a node is joined from, besides its configuration.
pub struct Found {
    /// The node's key.
    pub keypair: Keypair,
    /// Where to listen, ports chosen.
    pub listen: Vec<Multiaddr>,
    /// What connections go over.
    pub transport: Transport,
    /// The account, if there is one.
    pub private: Option<PrivateStore>,
    /// What opens it.
    pub unlock: Unlock,
    /// What is kept for others.
    pub custody: CustodyStore,
    /// Where known peers are kept.
    pub cache: Option<PathBuf>,
}

/// The loop of a machine, from its restoring to its last commit. Whoever runs it decides where.
pub struct MachineLoop {
    /// Of the machine.
    pub name: &'static str,
    /// It blocks while it commits.
    pub run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl MachineLoop {
    /// Runs it on a thread of its own, with the timers of the runtime this is called in.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn spawn(self) -> std::io::Result<std::thread::JoinHandle<()>> {
        let runtime = Handle::current();
        let body = move || runtime.block_on(self.run);
        std::thread::Builder::new().name(self.name.to_owned()).spawn(body)
    }
}

/// See the module.
pub struct Assembly {
    peer: PeerId,
    pub(crate) backend: Arc<NodeBackend>,
    pub(crate) hub: Arc<EventHub>,
    pub(crate) listeners: usize,
    pub(crate) stop: CancellationToken,
    network: Network,
    machines: Machines,
}

impl Assembly {
    /// Joins a node: its network runs from here on, its machines when their loops do. Must be called inside
    /// a tokio runtime.
    ///
    /// # Errors
    /// Why it does not start, in the control API's words.
    pub fn start(config: &Config, found: Found) -> Result<(Assembly, [MachineLoop; 2]), ControlError> {
        let peer = swarm::own_peer(&found.keypair).ok_or(ErrorName::Internal)?;
        let mut private = found.private;
        let cursor = private.as_mut().map(last_cursor).transpose()?.unwrap_or(0);
        let hub = Arc::new(EventHub::new(cursor));
        let (messenger, messenger_messages) = mpsc::channel(MACHINE_QUEUE);
        let (keeper, keeper_messages) = mpsc::channel(MACHINE_QUEUE);
        let (runner, commands) = mpsc::channel(RUNNER_QUEUE);
        let machines = Machines { messenger, keeper };
        let network_config = NetworkConfig {
            keypair: found.keypair,
            listen: found.listen,
            peers: config.peers.clone(),
            peers_max: config.peers_max,
            mdns: config.mdns && !config.is_loopback_only(),
            role: config.role,
            full_at_once: config.is_loopback_only() || config.profile == Profile::Server,
            keeps: config.held_bytes_max > 0,
            queued_bytes_max: swarm::QUEUED_BYTES_MAX,
            cache: found.cache,
            listeners: Vec::new(),
        };
        let commands = (runner.clone(), commands);
        let network = swarm::start(network_config, found.transport, machines.clone(), commands)
            .map_err(|error| start_error(&error))?;

        let surroundings =
            Surroundings { keeper: machines.keeper.clone(), runner: runner.clone(), hub: hub.clone() };
        let directory = config.data_dir.clone();
        let engine = MessengerEngine::new(peer, directory, found.unlock, private, surroundings)
            .accepting(config.accept_requests);
        let keeper_config = keeper::Config { own_peer: peer, held_bytes_max: config.held_bytes_max };
        let custodian = KeeperEngine::new(keeper_config, found.custody, machines.messenger.clone(), runner);
        let loops = [driver::run(engine, messenger_messages), driver::run(custodian, keeper_messages)];

        let (stop, asks) = (CancellationToken::new(), network.asks.clone());
        let (started, expire) = (clock::now(), config.mail_expire_ms);
        let backend = Arc::new(NodeBackend::new(machines.clone(), asks, stop.clone(), started, expire));
        let listeners = network.listeners;
        Ok((Assembly { peer, backend, hub, listeners, stop, network, machines }, loops))
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

    /// Says good-bye to the peers, then lets the machines end: their loops commit what they were told.
    pub async fn stop(self) {
        let _ = self.network.asks.send(Ask::Stop).await;
        // A task that panicked has been logged; the rest must end all the same.
        let _ = self.network.task.await;
        let _ = self.machines.messenger.send(ToMessenger::Stop).await;
        let _ = self.machines.keeper.send(ToKeeper::Stop).await;
    }
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

fn start_error(error: &StartError) -> ControlError {
    let name = match error {
        StartError::Listen { .. } => ErrorName::Listen,
        StartError::Setup(_) | StartError::Key => ErrorName::Internal,
    };
    ControlError::with(name, error.to_string())
}
