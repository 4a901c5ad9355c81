//! Everything at once: loss, repetition, reordering, crashes between any two steps, clocks a day apart,
//! both sides beginning at once. What must hold: every message shown as `held` or `delivered` arrives
//! once, in order, and nothing is shown twice or lost.

use std::collections::BTreeMap;

use murmesh_protocol::control::{EventBody, MessageState};
use murmesh_protocol::time::{DAY_MS, HOUR_MS, SECOND_MS};

use crate::world::{Faults, World};

const STORM: Faults = Faults { loss: 100, duplication: 100, crash: 4 };
const CALM: Faults = Faults { loss: 0, duplication: 0, crash: 0 };

/// Sends `count` messages each way while faults rage and nodes come and go; then heals and checks.
fn storm(seed: u64, skew_ms: i64, both_invite: bool, count: usize) {
    let clocks =
        |node| [0, skew_ms, 0, skew_ms / 2, -skew_ms / 2][if node < 2 { node } else { 2 + node % 3 }];
    let mut world = World::with_clocks(seed, 2, 6, clocks);
    world.run(SECOND_MS);
    world.faults = Faults { crash: 0, ..STORM };
    if both_invite {
        let tickets = [world.invite(0), world.invite(1)];
        let mut asked = Vec::new();
        for (node, ticket) in [(0, &tickets[1]), (1, &tickets[0])] {
            let params =
                murmesh_protocol::control::AddParams { ticket: ticket.clone(), name: None, text: None };
            asked.push((node, world.ask(node, murmesh_protocol::control::Request::Add(params))));
        }
        let connected = world.run_until(HOUR_MS, |world| {
            [0, 1].iter().all(|i| {
                let told = |e: &murmesh_protocol::control::Event| {
                    matches!(e.body, EventBody::ContactConnected { .. })
                };
                world.nodes[*i].events.iter().any(told)
            })
        });
        assert!(connected, "seed {seed}: never connected\n{}\n{}", world.describe(0), world.describe(1));
    } else {
        world.introduce(0, 1);
    }
    world.faults = STORM;
    let names = ["p0", "p1"];
    let mut sent: [Vec<String>; 2] = [Vec::new(), Vec::new()];
    for i in 0..count {
        for from in [0, 1] {
            if !world.is_up(from) {
                continue;
            }
            let text = format!("{from}-{i}");
            let id = world.ask(from, World::send_request(names[1 - from], &text, Some(text.clone())));
            // Only an answered send is promised: the answer leaves after the commit.
            if matches!(world.nodes[from].replies.remove(&id), Some(Ok(_))) {
                sent[from].push(text);
            }
        }
        world.run(SECOND_MS / 4 + (i as u64 * 37) % 900);
        match i % 10 {
            3 if world.is_up(1) => world.stop(1),
            7 if !world.is_up(1) => world.start(1),
            5 if world.is_up(0) => world.stop(0),
            8 if !world.is_up(0) => world.start(0),
            _ => {}
        }
    }
    world.faults = CALM;
    for node in 0..world.nodes.len() {
        world.run(2 * SECOND_MS);
        if !world.is_up(node) {
            world.start(node);
        }
    }
    world.run(3 * HOUR_MS);
    for from in [0, 1] {
        check(&mut world, seed, from, &names, &sent[from]);
    }
}

fn check(world: &mut World, seed: u64, from: usize, names: &[&str; 2], sent: &[String]) {
    let to = 1 - from;
    let got = world.texts_from(to, names[from]);
    let mut counts: BTreeMap<&String, u32> = BTreeMap::new();
    got.iter().for_each(|text| *counts.entry(text).or_default() += 1);
    assert!(counts.values().all(|count| *count == 1), "seed {seed}: shown twice: {counts:?}");
    let missing: Vec<&String> = sent.iter().filter(|text| !counts.contains_key(text)).collect();
    assert!(missing.is_empty(), "seed {seed}: {} of {} lost: {missing:?}", missing.len(), sent.len());
    let number = |text: &String| text.split_once('-').and_then(|(_, n)| n.parse::<u32>().ok());
    assert!(got.iter().map(number).is_sorted(), "seed {seed}: out of order: {got:?}");
    assert!(world.outbox(from).is_empty(), "seed {seed}: not all delivered: {:?}", world.outbox(from));
    // What was ever shown as held or delivered is there.
    let promised = world.nodes[from].events.iter().filter_map(|event| match &event.body {
        EventBody::MessageState { id, state: MessageState::Held | MessageState::Delivered, .. } => {
            Some(id.clone())
        }
        _ => None,
    });
    let promised: Vec<String> = promised.collect();
    let there: Vec<String> = world.read(to).into_iter().map(|message| message.id).collect();
    assert!(promised.iter().all(|id| there.contains(id)), "seed {seed}: a promise was broken");
}

#[test]
fn loss_repetition_reordering_and_crashes_lose_nothing() {
    (0..6).for_each(|seed| storm(100 + seed, 0, false, 60));
}

#[test]
fn clocks_a_day_apart_lose_nothing() {
    let day = i64::try_from(DAY_MS).unwrap();
    (0..3).for_each(|seed| storm(200 + seed, day, false, 40));
    (0..3).for_each(|seed| storm(300 + seed, -day, false, 40));
}

#[test]
fn both_sides_beginning_at_once_end_in_one_conversation() {
    (0..6).for_each(|seed| storm(400 + seed, 0, true, 40));
}
