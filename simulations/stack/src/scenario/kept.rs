//! A node with few places and many guests: those that its Messenger writes to stay, though they are light and
//! others are full. The Messenger's part is played here; the network is the one that ships.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use libp2p::core::Transport as _;
use libp2p::identity::Keypair;
use murmesh_node::config::RoleChoice;
use murmesh_node::links::{Command, MACHINE_QUEUE, Machines, RUNNER_QUEUE};
use murmesh_node::swarm::{self, Network, NetworkConfig, Transport};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::route::Machine;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::net::{HostTransport, multiaddr};
use crate::world::{PORT, World, until};

/// Where it lives.
const HOST: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);
/// Its places.
const PEERS_MAX: usize = 6;
/// Guests that are written to, and how often.
const USED: usize = 4;
const PAUSE: Duration = Duration::from_secs(10);
/// How long it is watched.
const WATCH: Duration = Duration::from_secs(120);
/// A kind of frame that no version has: whoever reads it goes on.
const UNKNOWN: u8 = 250;

pub(crate) async fn play(world: &mut World, nodes: usize) {
    let network = start(world);
    let guest = |world: &mut World, role| {
        let mut plan = world.plan();
        plan.role = role;
        plan.typed = vec![multiaddr(SocketAddrV4::new(HOST, PORT))];
        let site = world.add(plan);
        world.start(site);
        site
    };
    let used: Vec<usize> = (0..USED).map(|_| guest(world, RoleChoice::Light)).collect();
    let peers: Vec<PeerId> = used.iter().map(|site| world.sites[*site].peer).collect();
    let connected =
        |world: &World, site: usize| world.net.open_links_between(HOST, world.sites[site].plan.host) > 0;
    until("they are in", WATCH, async || used.iter().all(|site| connected(world, *site))).await;
    sleep(Duration::from_secs(15)).await;
    let others: Vec<usize> = (0..nodes).map(|_| guest(world, RoleChoice::Full)).collect();
    let mut fewest = nodes;
    for second in 0..WATCH.as_secs() {
        if second % PAUSE.as_secs() == 0 {
            let frames = peers.iter().map(|peer| Command::Send {
                to: *peer,
                session: None,
                frame: vec![UNKNOWN],
                from: Machine::Messenger,
            });
            network.commands.send(frames.collect()).await.expect("it runs");
        }
        sleep(Duration::from_secs(1)).await;
        let gone: Vec<_> = used.iter().filter(|site| !connected(world, **site)).collect();
        assert!(gone.is_empty(), "after {second} s sessions in use are closed: {gone:?}");
        fewest = fewest.min(others.iter().filter(|site| connected(world, **site)).count());
    }
    // Those who are shown the door come again, and get ten seconds each time.
    assert!(fewest + USED <= PEERS_MAX, "never fewer than {fewest} others");
    println!(
        "kept: {USED} sessions in use of {} guests at a node of {PEERS_MAX} peers stay, once with only {fewest} others",
        USED + nodes
    );
}

fn start(world: &World) -> Network {
    world.net.plug(HOST);
    let (messenger, mut to_messenger) = mpsc::channel(MACHINE_QUEUE);
    let (keeper, mut to_keeper) = mpsc::channel(MACHINE_QUEUE);
    tokio::spawn(async move { while to_messenger.recv().await.is_some() {} });
    tokio::spawn(async move { while to_keeper.recv().await.is_some() {} });
    let config = NetworkConfig {
        keypair: Keypair::generate_ed25519(),
        listen: vec![multiaddr(SocketAddrV4::new(HOST, PORT))],
        peers: Vec::new(),
        peers_max: PEERS_MAX,
        mdns: false,
        role: RoleChoice::Full,
        full_at_once: true,
        keeps: true,
        queued_bytes_max: 64 << 20,
        cache: None,
        listeners: Vec::new(),
    };
    let transport = Transport::Other(HostTransport::new(&world.net, HOST).boxed());
    let machines = Machines { messenger, keeper };
    swarm::start(config, transport, machines, mpsc::channel(RUNNER_QUEUE)).expect("it starts")
}
