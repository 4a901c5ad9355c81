//! A peer that speaks libp2p and says on its frame stream what the test wants.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, Stream, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use libp2p_stream::IncomingStreams;
use murmesh_node::swarm::streams::PROTOCOL;
use murmesh_node::swarm::translate;
use murmesh_protocol::id::PeerId;
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::frame::{Frame, Hello, PROTOCOL_VERSION, Role};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::stub::{PATIENCE, Stub};

pub(crate) struct Attacker {
    pub(crate) peer: PeerId,
    pub(crate) stream: Stream,
    control: libp2p_stream::Control,
    node: libp2p::PeerId,
    driver: JoinHandle<()>,
    /// Gossip of the node's is accepted, and not read: it does not listen to who takes none.
    _gossip: Vec<IncomingStreams>,
}

/// What the node calls gossip.
pub(crate) const GOSSIP: [StreamProtocol; 2] =
    [StreamProtocol::new("/murmesh/1/gossip/1.1.0"), StreamProtocol::new("/murmesh/1/gossip/1.0.0")];

fn swarm(keypair: Keypair) -> Swarm<libp2p_stream::Behaviour> {
    SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE * 2))
        .build()
}

pub(crate) fn hello(role: Role, addresses: &[&str]) -> Frame {
    Frame::Hello(Hello {
        version: PROTOCOL_VERSION,
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        role,
        keeps: true,
        challenge: [5; 32],
        time: Time(1),
    })
}

impl Attacker {
    /// Connects and opens a frame stream, on which nothing is said yet.
    pub(crate) async fn connect(node: &Stub, address: &Multiaddr) -> Attacker {
        Attacker::try_connect(&Keypair::generate_ed25519(), node, address).await.expect("is let in")
    }

    /// The same under a key; none if it is not let in.
    pub(crate) async fn try_connect(keypair: &Keypair, node: &Stub, address: &Multiaddr) -> Option<Attacker> {
        Attacker::at(keypair, libp2p::PeerId::from(node.keypair.public()), address).await
    }

    /// The same, of any node.
    pub(crate) async fn at(keypair: &Keypair, node: libp2p::PeerId, address: &Multiaddr) -> Option<Attacker> {
        let mut swarm = swarm(keypair.clone());
        let peer = translate::peer_in(swarm.local_peer_id()).unwrap();
        let mut control = swarm.behaviour().new_control();
        let gossip = GOSSIP.map(|protocol| control.accept(protocol).unwrap()).into();
        swarm.dial(DialOpts::peer_id(node).addresses(vec![address.clone()]).build()).unwrap();
        // Before it, libp2p-stream may miss the connection and wait for ever.
        let connected = async {
            loop {
                match swarm.next().await {
                    Some(SwarmEvent::ConnectionEstablished { .. }) => break true,
                    Some(SwarmEvent::OutgoingConnectionError { .. }) => break false,
                    _ => {}
                }
            }
        };
        if !timeout(PATIENCE, connected).await.expect("connects or not") {
            return None;
        }
        let driver = tokio::spawn(async move {
            loop {
                swarm.next().await;
            }
        });
        let stream = timeout(PATIENCE, control.open_stream(node, PROTOCOL)).await.expect("answers");
        Some(Attacker { peer, stream: stream.ok()?, control, node, driver, _gossip: gossip })
    }

    /// Connects and says HELLO.
    pub(crate) async fn greeted(node: &Stub, address: &Multiaddr, role: Role) -> Attacker {
        let mut attacker = Attacker::connect(node, address).await;
        attacker.say(&hello(role, &[])).await;
        attacker
    }

    /// Opens one more frame stream on the same connection.
    pub(crate) async fn another_stream(&mut self) -> std::io::Result<Stream> {
        self.open(PROTOCOL).await
    }

    /// Opens a stream of any protocol.
    pub(crate) async fn open(&mut self, protocol: StreamProtocol) -> std::io::Result<Stream> {
        timeout(PATIENCE, self.control.open_stream(self.node, protocol))
            .await
            .expect("answers")
            .map_err(std::io::Error::other)
    }

    /// Writes bytes; whether the node still takes them is its own affair.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    pub(crate) async fn say(&mut self, frame: &Frame) {
        let frame = frame.to_bytes();
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        self.write(&[length.as_slice(), &frame].concat()).await;
    }

    /// The next frame the node sends; none when it has hung up.
    pub(crate) async fn hear(&mut self) -> Option<Frame> {
        let heard = async {
            let mut length = [0; 4];
            self.stream.read_exact(&mut length).await.ok()?;
            let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
            self.stream.read_exact(&mut bytes).await.ok()?;
            Frame::from_bytes(&bytes).ok()
        };
        timeout(PATIENCE, heard).await.expect("hears in time")
    }

    /// Reads until the node hangs up.
    pub(crate) async fn until_hung_up(&mut self) {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("the node hangs up");
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
