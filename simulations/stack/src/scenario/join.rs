//! Newcomers join by few seeds: everybody finds everybody, and a join costs what it should.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::world::{World, until};

/// Everybody who has not joined by then has not joined.
const LIMIT: Duration = Duration::from_secs(120);

/// Everybody is connected to everybody so soon after the first start, of which each takes up to 400 ms.
const JOIN_MAX: Duration = Duration::from_secs(30);
/// Memory of a node that is connected to everybody, all of this process counted.
const NODE_BYTES_MAX: u64 = 12 * 1024 * 1024;

pub(crate) async fn play(world: &mut World, nodes: usize) {
    let seeds = (nodes / 10).clamp(1, 3);
    let before = resident_bytes();
    for _ in 0..nodes {
        let mut plan = world.plan();
        let site = world.sites.len();
        plan.seeds = if site < seeds { (0..site).collect() } else { vec![site % seeds] };
        world.add(plan);
    }
    let began = Instant::now();
    for site in 0..nodes {
        world.start(site);
        let pause = world.span_ms(0..400);
        sleep(pause).await;
    }
    let everybody = nodes as u64 - 1;
    for site in 0..nodes {
        until("everybody knows everybody", LIMIT, async || world.connected(site).await == everybody).await;
    }
    let took = began.elapsed();
    let counts = world.net.counts();
    let pairs = (nodes * (nodes - 1) / 2) as u64;
    // Two who dial each other at once make two connections, of which one is kept.
    assert!(counts.dials <= 2 * pairs, "{} dials for {pairs} pairs", counts.dials);
    assert!(took <= JOIN_MAX, "the last one is in after {} ms", took.as_millis());
    let each = resident_bytes().saturating_sub(before) / nodes as u64;
    assert!(each <= NODE_BYTES_MAX, "{each} bytes a node");
    println!(
        "join: {nodes} nodes by {seeds} seeds, all connected after {} ms; {} dials, {} connections for {pairs} \
         pairs; {} KiB a node",
        took.as_millis(),
        counts.dials,
        counts.links,
        each / 1024
    );
}

/// Memory of this process.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}
