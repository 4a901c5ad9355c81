//! Mail for who is away: deposited, its sender leaves, most of those who hold it die, and it is collected.

use std::time::Duration;

use murmesh_protocol::control::MessageState;
use tokio::time::sleep;

use crate::world::{World, until};

/// Messages sent to who is away.
const MESSAGES: usize = 12;
/// Holders that stay: `good` of SPEC 8.2, halved.
const STAY: usize = 2;
/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(900);

pub(crate) async fn play(world: &mut World, nodes: usize) {
    for site in 0..nodes {
        let mut plan = world.plan();
        plan.seeds = if site == 0 { vec![] } else { vec![site % site.min(3)] };
        world.add(plan);
        world.start(site);
    }
    let (alice, bob) = (nodes - 2, nodes - 1);
    let enough = (nodes as u64 - 1).min(20);
    for site in 0..nodes {
        until("company", LIMIT, async || world.connected(site).await >= enough).await;
    }
    world.init(alice, "alice").await;
    world.init(bob, "bob").await;
    world.befriend(alice, bob).await;
    let first = world.send(alice, "bob", "are you there?".to_owned()).await;
    let delivered = async || world.state_of(alice, &first).await == Some(MessageState::Delivered);
    until("delivered", LIMIT, delivered).await;
    world.stop(bob).await;

    let mut last = String::new();
    for number in 0..MESSAGES {
        last = world.send(alice, "bob", format!("for later {number}")).await;
        sleep(Duration::from_millis(200)).await;
    }
    let held = until("held", LIMIT, async || {
        let messages = world.messages(alice).await;
        messages.iter().filter(|message| message.state == MessageState::Held).count() == MESSAGES
    })
    .await;
    // Every copy that is on its way is there.
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.state_of(alice, &last).await, Some(MessageState::Held), "bob is away");
    world.stop(alice).await;

    let mut holders = Vec::new();
    for site in world.running() {
        if world.status(site).await.custody.envelopes >= MESSAGES as u64 {
            holders.push(site);
        }
    }
    assert!(holders.len() >= 4, "held by enough: {holders:?}");
    let dead: Vec<usize> = holders[STAY..].to_vec();
    for site in &dead {
        world.kill(*site).await;
    }
    sleep(Duration::from_secs(60)).await;
    world.start(bob);
    let collected = until("collected", LIMIT, async || world.messages(bob).await.len() > MESSAGES).await;
    let texts: Vec<String> = world.messages(bob).await.into_iter().map(|message| message.text).collect();
    let wanted = (0..MESSAGES).map(|number| format!("for later {number}"));
    let wanted: Vec<String> = std::iter::once("are you there?".to_owned()).chain(wanted).collect();
    assert_eq!(texts, wanted, "each once and in order");
    println!(
        "custody: {nodes} nodes, {MESSAGES} messages held after {} ms by {}; {} of them died; collected {} ms \
         after the return",
        held.as_millis(),
        holders.len(),
        dead.len(),
        collected.as_millis()
    );
}
