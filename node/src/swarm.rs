//! The network of a node: libp2p around one framed stream for each pair of peers.
//!
//! It carries frames between the machines of two nodes, finds peers, and answers who keeps mail for
//! an address. It decides nothing about messages. Start with [`runner`]: the only loop.

use std::path::PathBuf;

use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, Swarm};
use murmesh_protocol::control;
use murmesh_protocol::id::PeerId;
use murmesh_protocol::wire::frame::Role;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::behaviour::NodeBehaviour;
pub use self::behaviour::{Carried, Carry, Transport};
pub(crate) use self::queue::QUEUED_BYTES_MAX;
use self::runner::Runner;
use crate::config::RoleChoice;
use crate::links::{Ask, Command, Machines, RUNNER_QUEUE};

mod addresses;
pub mod admission;
mod behaviour;
mod cache;
mod peers;
mod queue;
mod reach;
mod routing;
mod runner;
mod session;
pub mod streams;
pub mod translate;

#[cfg(test)]
pub(crate) use self::cache::reads_cache;
#[cfg(test)]
pub(crate) use self::runner::{announcement, reads_announcement};

/// What the network needs to know.
pub struct NetworkConfig {
    /// The node's key.
    pub keypair: Keypair,
    /// Where to listen, ports chosen.
    pub listen: Vec<Multiaddr>,
    /// Addresses of `--peer`.
    pub peers: Vec<Multiaddr>,
    /// Connections wanted at most.
    pub peers_max: usize,
    /// Look for peers in the local network.
    pub mdns: bool,
    /// The role asked for.
    pub role: RoleChoice,
    /// Skip probation: loopback-only nodes and servers.
    pub full_at_once: bool,
    /// Mail is kept here.
    pub keeps: bool,
    /// Bytes that may wait to be sent to all peers together.
    pub queued_bytes_max: usize,
    /// Where known peers are kept.
    pub cache: Option<PathBuf>,
    /// Filled in at start.
    pub listeners: Vec<ListenerId>,
}

/// The network's part of `node.status`.
#[derive(Clone, Debug)]
pub struct NetworkStatus {
    /// Own PeerId.
    pub peer_id: String,
    /// Bound addresses with `/p2p`, in the order of the configuration.
    pub listen: Vec<String>,
    /// Own role.
    pub role: Role,
    /// Peers that are up.
    pub connected: usize,
    /// Peers that are up, and others whose addresses are known.
    pub known: usize,
    /// Other peers that would keep mail.
    pub custodians_known: usize,
    /// How this node can be reached.
    pub reach: control::Reach,
    /// Bytes that wait to be sent to peers.
    pub queued_bytes: usize,
}

/// Why the network does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Keys or sockets.
    #[error(transparent)]
    Setup(#[from] behaviour::SetupError),
    /// The node's key is not Ed25519.
    #[error("the node's key is not Ed25519")]
    Key,
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
}

/// A running network.
#[derive(Debug)]
pub struct Network {
    /// Questions and the end.
    pub asks: mpsc::Sender<Ask>,
    /// What the machines want done.
    pub commands: mpsc::Sender<Vec<Command>>,
    /// Listeners that are bound or about to be.
    pub listeners: usize,
    /// The runner's task.
    pub task: JoinHandle<()>,
}

/// Makes the sockets and starts the runner. Must be called inside a tokio runtime.
///
/// # Errors
/// When an address cannot be listened on or the key cannot be used.
pub fn start(
    mut config: NetworkConfig,
    transport: Transport,
    machines: Machines,
    commands: (mpsc::Sender<Vec<Command>>, mpsc::Receiver<Vec<Command>>),
) -> Result<Network, StartError> {
    let own = translate::peer_in(&config.keypair.public().to_peer_id()).ok_or(StartError::Key)?;
    let mut swarm = behaviour::make(&config.keypair, config.peers_max, config.mdns, transport)?;
    let (listeners, bound) = listen(&mut swarm, &config.listen)?;
    config.listeners = listeners;
    let (asks, asked) = mpsc::channel(RUNNER_QUEUE);
    let (runner, session_events) = Runner::new(own, config, swarm, machines);
    let task = tokio::spawn(runner.run(asked, commands.1, session_events));
    Ok(Network { asks, commands: commands.0, listeners: bound, task })
}

/// Listeners in the order of their addresses, and how many of them will be bound.
fn listen(
    swarm: &mut Swarm<NodeBehaviour>,
    addresses: &[Multiaddr],
) -> Result<(Vec<ListenerId>, usize), StartError> {
    let mut listeners = Vec::new();
    let mut failed = None;
    let mut bound = 0;
    for address in addresses {
        match swarm.listen_on(address.clone()) {
            Ok(id) => {
                listeners.push(id);
                bound += 1;
            }
            // A machine without IPv6 is no reason not to start.
            Err(error) => {
                tracing::debug!(%address, "cannot listen");
                tracing::warn!(%error, "a listener cannot be bound");
                failed = Some(StartError::Listen { address: address.clone(), reason: error.to_string() });
                listeners.push(ListenerId::next());
            }
        }
    }
    match failed {
        Some(error) if bound == 0 || !tolerable(addresses) => Err(error),
        Some(_) | None => Ok((listeners, bound)),
    }
}

/// Only wildcard addresses may fail: what was named must be listened on.
fn tolerable(addresses: &[Multiaddr]) -> bool {
    addresses.iter().all(|address| translate::scope(address).is_none())
}

/// The PeerId of a node key, in the core's words.
#[must_use]
pub fn own_peer(keypair: &Keypair) -> Option<PeerId> {
    translate::peer_in(&keypair.public().to_peer_id())
}
