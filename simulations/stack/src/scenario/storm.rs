//! Everybody dials two nodes at once: hundreds who only hold connections, from few prefixes, and many real
//! newcomers. They take in what their limits allow, keep the peers they had, friends go on talking, and the
//! newcomers get in.

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
/// Connections that these want.
const PEERS_MAX: usize = 20;
/// Prefixes of those who only hold connections, and how many are in each.
const PREFIXES: u8 = 3;
const DIALERS: u8 = 200;
/// How long the storm lasts.
const STORM: Duration = Duration::from_secs(60);
/// A message takes this long at most; without a storm some round trips.
const LATENCY_MAX: Duration = Duration::from_millis(1_000);
/// Connections of one prefix, and what may be open besides: twice the peers that are wanted, and as many in
/// the making.
const OPEN_MAX: usize = 32 * PREFIXES as usize + 4 * PEERS_MAX;

pub(crate) async fn play(world: &mut World, nodes: usize) {
    // One without an account, and one with a friend.
    let (keeper, alice, bob) = (0, 1, 2);
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
    world.init(alice, "alice").await;
    world.init(bob, "bob").await;
    world.befriend(alice, bob).await;
    let calm = talk(world, bob, 5).await;

    let stormed = [keeper, alice].map(|site| world.sites[site].plan.host);
    let dials = |world: &World| stormed.map(|host| world.net.dials_of(host).1).iter().sum::<u64>();
    let dialed = dials(world);
    let dialers = storm(&world.net, stormed);
    let began = Instant::now();
    for number in 0..nodes {
        let mut plan = world.plan();
        plan.peers_max = PEERS_MAX;
        plan.seeds = vec![[keeper, alice][number % 2]];
        let site = world.add(plan);
        world.start(site);
    }
    let (mut worst, mut open, mut late) = (Duration::ZERO, 0, Duration::ZERO);
    let mut outside: Vec<usize> = (ESTABLISHED..ESTABLISHED + nodes).collect();
    while began.elapsed() < STORM {
        worst = worst.max(talk(world, bob, 1).await);
        open = stormed.iter().map(|host| world.net.open_links(*host)).fold(open, usize::max);
        for site in bob + 1..ESTABLISHED {
            let there = world.net.open_links_between(stormed[0], world.sites[site].plan.host);
            assert!(there > 0, "{site} lost its stream");
        }
        while let Some(site) = outside.last()
            && world.connected(*site).await >= 5
        {
            late = began.elapsed();
            outside.pop();
        }
        sleep(Duration::from_millis(500)).await;
    }
    assert!(outside.is_empty(), "newcomers do not get in: {outside:?}");
    assert!(worst <= LATENCY_MAX, "a message took {} ms", worst.as_millis());
    assert!(open <= OPEN_MAX, "{open} connections were open");
    dialers.iter().for_each(JoinHandle::abort);
    println!(
        "storm: {} dials at two nodes, {open} open at most; a message took {} ms before, {} ms at most \
         meanwhile; {nodes} newcomers had peers after {} ms",
        dials(world) - dialed,
        calm.as_millis(),
        worst.as_millis(),
        late.as_millis()
    );
}

/// Dialers that take a connection and say nothing, and come back as soon as they are thrown out.
fn storm(net: &Net, targets: [Ipv4Addr; 2]) -> Vec<JoinHandle<()>> {
    let hosts = (0..PREFIXES).flat_map(|prefix| (1..=DIALERS).map(move |host| (prefix, host)));
    let dialers = hosts.map(|(prefix, host)| {
        let target = targets[usize::from(host % 2)];
        let (net, host) = (net.clone(), Ipv4Addr::new(66, 6, prefix, host));
        net.plug(host);
        tokio::spawn(async move {
            loop {
                if let Ok(mut end) = net.dial(host, SocketAddrV4::new(target, PORT)).await {
                    let mut heard = [0; 1_024];
                    while end.read(&mut heard).await.is_ok_and(|length| length > 0) {}
                }
                sleep(Duration::from_millis(500 + net.below(4_000))).await;
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
