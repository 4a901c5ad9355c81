//! What custodians say of themselves in their region's topic reaches every custodian there, also those that
//! they never were connected to; and what somebody says in another's name is believed by nobody.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::{Transport as _, upgrade};
use libp2p::gossipsub::{self, IdentTopic};
use libp2p::identity::Keypair;
use libp2p::{Swarm, noise, swarm, yamux};
use murmesh_node::swarm::translate::peer_in;
use murmesh_protocol::id::PeerId;
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::codec;
use murmesh_protocol::wire::frame::Role;
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::net::{HostTransport, multiaddr};
use crate::world::{PORT, World, until};

/// Connections wanted at most: few, so that most are heard of by gossip only.
const PEERS_MAX: usize = 6;
/// Everybody has heard of everybody by then: an announcement is made every ten minutes.
const LIMIT: Duration = Duration::from_secs(1_500);

/// What is said in a topic, as SPEC 8.7 has it.
#[derive(Serialize)]
struct Announcement {
    peer: PeerId,
    role: Role,
    keeps: bool,
    addresses: Vec<String>,
    up_since: Time,
    time: Time,
    leaving: bool,
}

pub(crate) async fn play(world: &mut World, nodes: usize) {
    for site in 0..nodes {
        let mut plan = world.plan();
        plan.peers_max = PEERS_MAX;
        plan.seeds = if site == 0 { vec![] } else { vec![site % site.min(3)] };
        // Some keep nothing: the topics are none of their business.
        plan.keeps = site % 5 != 4;
        world.add(plan);
        world.start(site);
        let pause = world.span_ms(0..2_000);
        sleep(pause).await;
    }
    let keepers: Vec<usize> = (0..nodes).filter(|site| world.sites[*site].plan.keeps).collect();
    let names: Vec<String> = keepers.iter().map(|site| world.sites[*site].peer.to_string()).collect();
    let mut took = Duration::ZERO;
    for site in &keepers {
        let own = world.sites[*site].peer.to_string();
        took += until("every custodian is known", LIMIT, async || {
            let full = full_peers(world, *site).await;
            names.iter().all(|name| *name == own || full.contains(name))
        })
        .await;
    }
    let (mut heard, mut all) = (0, 0);
    for site in &keepers {
        let peers = world.peers(*site).await;
        all += peers.iter().filter(|peer| peer.role == "full").count();
        heard += peers.iter().filter(|peer| peer.role == "full" && !peer.connected).count();
    }

    let (honest, forged) = lie(world, keepers[0]).await;
    for site in &keepers {
        let heard = async || full_peers(world, *site).await.contains(&honest);
        until("what is said in one's own name is heard", LIMIT, heard).await;
    }
    for site in world.running() {
        let known = world.peers(site).await.into_iter().any(|peer| peer.peer_id == forged);
        assert!(!known, "{site} believes what was said in another's name");
    }
    println!(
        "regions: {} custodians of {nodes} nodes know one another after {} ms, {heard} of {all} by hearsay; a \
         lie was believed by nobody",
        keepers.len(),
        took.as_millis()
    );
}

async fn full_peers(world: &World, site: usize) -> Vec<String> {
    let peers = world.peers(site).await;
    peers.into_iter().filter(|peer| peer.role == "full").map(|peer| peer.peer_id).collect()
}

/// A stranger connects to a custodian, takes part in the gossip, and announces itself and somebody else, whom
/// it invented: says both names.
async fn lie(world: &mut World, to: usize) -> (String, String) {
    let (keypair, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
    let host = Ipv4Addr::new(77, 7, 7, 7);
    world.net.plug(host);
    let transport = HostTransport::new(&world.net, host)
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).expect("it is a key"))
        .multiplex(yamux::Config::default())
        .boxed();
    let config = gossipsub::ConfigBuilder::default().protocol_id_prefix("/murmesh/1/gossip").build();
    let signed = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    let mut gossip: gossipsub::Behaviour =
        gossipsub::Behaviour::new(signed, config.expect("as the others'")).expect("it is a key");
    let topic = IdentTopic::new("/murmesh/1/region/");
    gossip.subscribe(&topic).expect("any topic will do");
    let own = keypair.public().to_peer_id();
    let mut swarm = Swarm::new(transport, gossip, own, swarm::Config::with_tokio_executor());
    let target = SocketAddrV4::new(world.sites[to].plan.host, PORT);
    swarm.dial(multiaddr(target)).expect("it can be dialed");

    let names = [&keypair, &other].map(|key| peer_in(&key.public().to_peer_id()).expect("Ed25519"));
    let now = murmesh_node::clock::now();
    // The lie first: whoever heard the truth has heard it.
    let said = [names[1], names[0]].map(|peer| {
        let (role, addresses) = (Role::Full, vec!["/ip4/77.7.7.7/tcp/4001".to_owned()]);
        codec::encode(&Announcement {
            peer,
            role,
            keeps: true,
            addresses,
            up_since: now,
            time: now,
            leaving: false,
        })
    });
    let speak = async {
        let mut said = said.into_iter().peekable();
        while said.peek().is_some() {
            let _ = timeout(Duration::from_millis(200), swarm.select_next_some()).await;
            if let Some(bytes) = said.peek()
                && swarm.behaviour_mut().publish(topic.clone(), bytes.clone()).is_ok()
            {
                said.next();
            }
        }
        // What was said leaves while the swarm is polled.
        let _ = timeout(Duration::from_secs(2), async {
            loop {
                swarm.select_next_some().await;
            }
        })
        .await;
    };
    timeout(Duration::from_secs(9), speak).await.expect("somebody listens");
    (names[0].to_string(), names[1].to_string())
}
