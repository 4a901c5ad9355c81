//! A network without machines: the test says what they would.

use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use murmesh_node::config::RoleChoice;
use murmesh_node::links::{
    Ask, Command, MACHINE_QUEUE, Machines, RUNNER_QUEUE, SessionNumber, ToKeeper, ToMessenger,
};
use murmesh_node::swarm::{self, Network, NetworkConfig, NetworkStatus, Transport};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper;
use murmesh_protocol::messenger::io::{Input, PeerFacts};
use murmesh_protocol::route::Machine;
use murmesh_protocol::wire::frame::{Frame, Role};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Longer than anything here takes, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stub {
    pub(crate) peer: PeerId,
    pub(crate) keypair: Keypair,
    pub(crate) network: Network,
    pub(crate) messenger: mpsc::Receiver<ToMessenger>,
    keeper: mpsc::Receiver<ToKeeper>,
}

pub(crate) fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().unwrap()
}

pub(crate) fn config(keypair: &Keypair, peers: Vec<Multiaddr>) -> NetworkConfig {
    NetworkConfig {
        keypair: keypair.clone(),
        listen: vec![loopback()],
        peers,
        peers_max: 50,
        mdns: false,
        role: RoleChoice::Auto,
        full_at_once: true,
        keeps: true,
        queued_bytes_max: 64 << 20,
        cache: None,
        listeners: Vec::new(),
    }
}

impl Stub {
    pub(crate) fn new(peers: Vec<Multiaddr>) -> Stub {
        Stub::with(config(&Keypair::generate_ed25519(), peers))
    }

    pub(crate) fn with(config: NetworkConfig) -> Stub {
        // Shown with a failed test, at the level RUST_LOG asks for.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let keypair = config.keypair.clone();
        let (messenger_in, messenger) = mpsc::channel(MACHINE_QUEUE);
        let (keeper_in, keeper) = mpsc::channel(MACHINE_QUEUE);
        let machines = Machines { messenger: messenger_in, keeper: keeper_in };
        let network = swarm::start(config, Transport::System, machines, mpsc::channel(RUNNER_QUEUE)).unwrap();
        let peer = swarm::own_peer(&keypair).unwrap();
        Stub { peer, keypair, network, messenger, keeper }
    }

    pub(crate) async fn status(&self) -> NetworkStatus {
        let (answer, status) = oneshot::channel();
        self.network.asks.send(Ask::Status(answer)).await.unwrap();
        status.await.unwrap()
    }

    /// Where it listens, without `/p2p`.
    pub(crate) async fn address(&self) -> Multiaddr {
        let listening = async {
            loop {
                if let Some(address) = self.status().await.listen.first() {
                    return swarm::translate::split_peer(address.parse().unwrap()).0;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, listening).await.expect("listens")
    }

    /// The next thing its Messenger is told that is neither about itself nor its addresses.
    pub(crate) async fn told(&mut self) -> ToMessenger {
        loop {
            let told = timeout(PATIENCE, self.messenger.recv()).await.expect("told in time").unwrap();
            match &told {
                ToMessenger::Up(facts, _) if facts.peer == self.peer => {}
                ToMessenger::Input(Input::Reachable { .. }) => {}
                _ => return told,
            }
        }
    }

    /// Waits until a peer is up.
    pub(crate) async fn up(&mut self, peer: PeerId) -> (PeerFacts, SessionNumber) {
        loop {
            if let ToMessenger::Up(facts, number) = self.told().await
                && facts.peer == peer
            {
                return (facts, number);
            }
        }
    }

    pub(crate) async fn down(&mut self, peer: PeerId) {
        loop {
            if let ToMessenger::Input(Input::PeerDown(down)) = self.told().await
                && down == peer
            {
                return;
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> (PeerId, Frame) {
        loop {
            if let ToMessenger::Input(Input::Frame(peer, frame)) = self.told().await {
                return (peer, frame);
            }
        }
    }

    /// Waits until a custodian is announced in a region topic.
    pub(crate) async fn neighbour(&mut self, peer: PeerId) {
        loop {
            if let ToKeeper::Input(keeper::io::Input::NeighbourSeen { peer: seen, .. }) = self.kept().await
                && seen == peer
            {
                return;
            }
        }
    }

    /// Waits until one is announced in a role.
    pub(crate) async fn neighbour_in(&mut self, peer: PeerId, role: Role) {
        loop {
            if let ToKeeper::Input(keeper::io::Input::NeighbourSeen { peer: seen, role: now, .. }) =
                self.kept().await
                && (seen, now) == (peer, role)
            {
                return;
            }
        }
    }

    /// Waits until one says good-bye there.
    pub(crate) async fn neighbour_gone(&mut self) {
        while !matches!(self.kept().await, ToKeeper::Input(keeper::io::Input::NeighbourGone(_))) {}
    }

    async fn kept(&mut self) -> ToKeeper {
        timeout(PATIENCE, self.keeper.recv()).await.expect("told in time").unwrap()
    }

    pub(crate) async fn ask(&self, commands: Vec<Command>) {
        self.network.commands.send(commands).await.unwrap();
    }

    pub(crate) async fn send(&self, to: PeerId, session: Option<SessionNumber>, frame: &Frame) {
        let frame = frame.to_bytes();
        self.ask(vec![Command::Send { to, session, frame, from: Machine::Messenger }]).await;
    }

    pub(crate) async fn stop(self) {
        let _ = self.network.asks.send(Ask::Stop).await;
        timeout(PATIENCE, self.network.task).await.expect("stops").unwrap();
    }
}
