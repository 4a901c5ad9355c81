//! The connection manager in a network larger than anybody wants peers: bounds, rest, the dead.

use std::time::Duration;

use tokio::time::sleep;

use crate::world::{World, until};

/// Connections wanted at most; the network is dialed up to two thirds of that.
const PEERS_MAX: usize = 12;
/// More than that for the ten seconds that a newcomer gets.
const GUESTS_MAX: u64 = 3;
/// Until everybody has found their peers.
const SETTLE: Duration = Duration::from_secs(300);
/// How long the network is watched at rest.
const REST: Duration = Duration::from_secs(300);
/// Nodes whose cables are pulled.
const DEAD: usize = 8;

pub(crate) async fn play(world: &mut World, nodes: usize) {
    for site in 0..nodes {
        let mut plan = world.plan();
        plan.peers_max = PEERS_MAX;
        plan.seeds = if site == 0 { vec![] } else { vec![site % site.min(3)] };
        world.add(plan);
        world.start(site);
        let pause = world.span_ms(0..2_000);
        sleep(pause).await;
    }
    sleep(SETTLE).await;
    let begun = rest(world).await;
    let replaced = replace_the_dead(world, nodes).await;
    println!(
        "peers: {nodes} nodes of {PEERS_MAX} peers; {begun} connections begun in {} s of rest; {DEAD} dead replaced \
         after {} ms",
        REST.as_secs(),
        replaced.as_millis()
    );
}

/// At rest nobody has more than they want for long, everybody has some, and little changes.
async fn rest(world: &World) -> u64 {
    let before = world.net.counts().links;
    for _ in 0..REST.as_secs() / 5 {
        sleep(Duration::from_secs(5)).await;
        for site in world.running() {
            let connected = world.connected(site).await;
            assert!(connected <= PEERS_MAX as u64 + GUESTS_MAX, "{connected} peers at {site}");
            assert!(connected >= 4, "{connected} peers at {site}");
        }
    }
    let begun = world.net.counts().links - before;
    assert!(begun <= 2 * world.sites.len() as u64, "the network does not rest: {begun} connections");
    begun
}

/// Who is gone without a word is noticed, and others take its place.
async fn replace_the_dead(world: &mut World, nodes: usize) -> Duration {
    let mut names = Vec::new();
    for site in 3..3 + DEAD {
        names.push(world.sites[site].peer.to_string());
        world.kill(site).await;
    }
    let mut longest = Duration::ZERO;
    for site in (0..3).chain(3 + DEAD..nodes) {
        let replaced = until("the dead are replaced", Duration::from_secs(300), async || {
            let peers = world.peers(site).await;
            let connected: Vec<_> = peers.iter().filter(|peer| peer.connected).collect();
            connected.len() >= 4 && connected.iter().all(|peer| !names.contains(&peer.peer_id))
        });
        longest = longest.max(replaced.await);
    }
    longest
}
