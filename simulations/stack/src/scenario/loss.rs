//! Two friends write to each other while every link between them is cut again and again, in the middle of
//! whatever is on it: nothing that was accepted is lost, shown twice or out of order.

use std::collections::BTreeMap;
use std::time::Duration;

use murmesh_protocol::control::MessageState;
use tokio::time::{Instant, sleep};

use crate::world::{World, until};

/// Messages each way.
const MESSAGES: usize = 120;
/// Pause between two messages.
const PAUSE_MS: std::ops::Range<u64> = 20..500;
/// Bytes after which a link is cut next; a message of these takes some hundreds.
const CUT_BYTES: u64 = 6_000;
/// Only what is connected again can be cut again.
const CUTS_MIN: u64 = 15;
/// All of it has arrived by then.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn play(world: &mut World, nodes: usize) {
    for site in 0..nodes.max(3) {
        let mut plan = world.plan();
        plan.seeds = (0..site.min(1)).collect();
        world.add(plan);
        world.start(site);
    }
    let (alice, bob) = (1, 2);
    until("company", LIMIT, async || world.connected(alice).await >= 2 && world.connected(bob).await >= 2)
        .await;
    world.init(alice, "alice").await;
    world.init(bob, "bob").await;
    world.befriend(alice, bob).await;

    let began = Instant::now();
    let mut ids = BTreeMap::new();
    for number in 0..MESSAGES {
        for (from, to) in [(alice, "bob"), (bob, "alice")] {
            let id = world.send(from, to, format!("{to} {number}")).await;
            ids.insert(id, from);
        }
        cut(world, alice, bob);
        let pause = world.span_ms(PAUSE_MS);
        sleep(pause).await;
    }
    let cuts = world.net.counts().cuts;
    until("delivered", LIMIT, async || {
        let mut waiting = 0;
        for site in [alice, bob] {
            let messages = world.messages(site).await;
            let mine = messages.iter().filter(|message| ids.get(&message.id) == Some(&site));
            waiting += mine.filter(|message| message.state != MessageState::Delivered).count();
        }
        waiting == 0
    })
    .await;
    let took = began.elapsed();
    for (site, name) in [(alice, "alice"), (bob, "bob")] {
        let messages = world.messages(site).await;
        let shown: Vec<String> =
            messages.into_iter().map(|message| message.text).filter(|text| text.starts_with(name)).collect();
        let wanted: Vec<String> = (0..MESSAGES).map(|number| format!("{name} {number}")).collect();
        assert_eq!(shown, wanted, "each once and in order at {name}");
    }
    assert!(cuts >= CUTS_MIN, "the two are connected again too seldom to be cut more than {cuts} times");
    println!("loss: {} messages over {cuts} cuts, all delivered after {} ms", 2 * MESSAGES, took.as_millis());
}

/// Every other time, whatever connects the two is cut some bytes later.
fn cut(world: &mut World, a: usize, b: usize) {
    let [a, b] = [a, b].map(|site| world.sites[site].plan.host);
    if world.net.below(2) == 0 {
        let bytes = usize::try_from(world.net.below(CUT_BYTES)).unwrap_or(0);
        world.net.cut_after(a, b, bytes + 1);
    }
}
