//! Everybody dials one node at once: hundreds who only hold connections, from few prefixes, and many real
//! newcomers. It takes in what its limits allow, its friends go on talking, and the newcomers get in.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use futures::AsyncReadExt;
use murmesh_protocol::control::MessageState;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::net::Net;
use crate::world::{PORT, World, until};

/// Established nodes.
const ESTABLISHED: usize = 12;
/// Connections that the stormed node wants.
const PEERS_MAX: usize = 20;
/// Prefixes of those who only hold connections, and how many are in each.
const PREFIXES: u8 = 6;
const DIALERS: u8 = 100;
/// How long the storm lasts.
const STORM: Duration = Duration::from_secs(60);
/// A message takes this long at most; without a storm some round trips.
const LATENCY_MAX: Duration = Duration::from_millis(1_000);
/// Connections of one prefix, and what may be open besides: twice the peers that are wanted, and as many in
/// the making.
const OPEN_MAX: usize = 32 * PREFIXES as usize + 4 * PEERS_MAX;

pub(crate) async fn play(world: &mut World, nodes: usize) {
    let (stormed, friend) = (0, 1);
    for site in 0..ESTABLISHED {
        let mut plan = world.plan();
        plan.peers_max = PEERS_MAX;
        plan.seeds = (0..site.min(1)).collect();
        world.add(plan);
        world.start(site);
    }
    for site in 0..ESTABLISHED {
        until("established", STORM, async || world.connected(site).await == ESTABLISHED as u64 - 1).await;
    }
    world.init(stormed, "alice").await;
    world.init(friend, "bob").await;
    world.befriend(stormed, friend).await;
    let calm = talk(world, friend, 5).await;

    let host = world.sites[stormed].plan.host;
    let (_, dialed) = world.net.dials_of(host);
    let dialers = storm(&world.net, host);
    let began = Instant::now();
    for _ in 0..nodes {
        let mut plan = world.plan();
        plan.seeds = vec![stormed];
        let site = world.add(plan);
        world.start(site);
    }
    let (mut worst, mut open) = (Duration::ZERO, 0);
    while began.elapsed() < STORM {
        worst = worst.max(talk(world, friend, 1).await);
        open = open.max(world.net.open_links(host));
        for site in 1..ESTABLISHED {
            let there = world.net.open_links_between(host, world.sites[site].plan.host);
            assert!(there > 0 || site > PEERS_MAX, "{site} lost its stream");
        }
        sleep(Duration::from_millis(500)).await;
    }
    assert!(worst <= LATENCY_MAX, "a message took {} ms", worst.as_millis());
    assert!(open <= OPEN_MAX, "{open} connections were open");
    let mut late = Duration::ZERO;
    for site in ESTABLISHED..ESTABLISHED + nodes {
        until("newcomers get in", STORM, async || world.connected(site).await >= 5).await;
        late = began.elapsed();
    }
    dialers.iter().for_each(JoinHandle::abort);
    let dialed = world.net.dials_of(host).1 - dialed;
    println!(
        "storm: {dialed} dials at one node, {open} open at most; a message took {} ms before, {} ms at most \
         meanwhile; {nodes} newcomers had peers after {} ms",
        calm.as_millis(),
        worst.as_millis(),
        late.as_millis()
    );
}

/// Dialers that take a connection and say nothing, and come back as soon as they are thrown out.
fn storm(net: &Net, target: Ipv4Addr) -> Vec<JoinHandle<()>> {
    let hosts = (0..PREFIXES).flat_map(|prefix| (1..=DIALERS).map(move |host| (prefix, host)));
    let dialers = hosts.map(|(prefix, host)| {
        let (net, host) = (net.clone(), Ipv4Addr::new(66, 6, prefix, host));
        net.plug(host);
        tokio::spawn(async move {
            loop {
                if let Ok(mut end) = net.dial(host, SocketAddrV4::new(target, PORT)).await {
                    let mut heard = [0; 1_024];
                    while end.read(&mut heard).await.is_ok_and(|length| length > 0) {}
                }
                sleep(Duration::from_millis(100 + net.below(2_000))).await;
            }
        })
    });
    dialers.collect()
}

/// Sends messages to Alice; says how long the slowest took until its sender knew that she has it.
async fn talk(world: &World, friend: usize, messages: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in 0..messages {
        let began = Instant::now();
        let id = world.send(friend, "alice", format!("{number}")).await;
        let delivered = async {
            while world.state_of(friend, &id).await != Some(MessageState::Delivered) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(STORM, delivered).await.expect("delivered");
        slowest = slowest.max(began.elapsed());
    }
    slowest
}
