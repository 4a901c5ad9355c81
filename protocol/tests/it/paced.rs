//! What others can make a Messenger do has a price: peers that come and go, contacts that ask again and
//! again, contacts that say they live where somebody else does.

use murmesh_protocol::control::{MessageState, Reply, Request};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::limits::{DIRECT_RECEIPT_MS, PROOFS_RATE, REPEATED_RECEIPTS_RATE, ROUNDS_MAX};
use murmesh_protocol::time::{HOUR_MS, MINUTE_MS, SECOND_MS};
use murmesh_protocol::wire::frame::Frame;

use crate::world::World;

/// p0 and p1 know each other, p1 and all custodians are gone, and p0 has written.
fn stranded(seed: u64, texts: usize) -> World {
    let mut world = World::connected(seed, 4);
    (1..6).for_each(|i| world.stop(i));
    for i in 0..texts {
        world.say(0, "p1", &format!("text {i}"));
    }
    // Back-off has grown by now.
    world.run(10 * MINUTE_MS);
    world
}

#[test]
fn peers_that_come_and_go_do_not_make_regions_be_looked_up_each_time() {
    let mut world = World::new(71, 1, 0);
    world.run(SECOND_MS);
    let before = world.nodes[0].lookups;
    world.flap(0, PeerId([9; 32]));
    world.run(SECOND_MS);
    let once = world.nodes[0].lookups - before;
    assert!(once > 0, "one is worth a look");
    for _ in 0..300 {
        world.flap(0, PeerId([9; 32]));
        world.run(SECOND_MS / 5);
    }
    let all = world.nodes[0].lookups - before;
    assert!(all <= 16 * once, "{all} questions in a minute, {once} for one look");
}

#[test]
fn a_custodian_that_comes_and_goes_does_not_undo_the_back_off() {
    let mut world = stranded(72, 1);
    let attempts = |world: &mut World| world.outbox(0)[0].attempts;
    let before = attempts(&mut world);
    world.flap(0, PeerId([9; 32]));
    world.run(SECOND_MS);
    assert!(attempts(&mut world) > before, "one is worth a try within a second");
    for _ in 0..120 {
        world.flap(0, PeerId([9; 32]));
        world.run(SECOND_MS);
    }
    let tried = attempts(&mut world) - before;
    assert!(tried <= 20, "{tried} attempts in two minutes");
}

#[test]
fn retries_for_a_new_custodian_do_not_come_all_at_once() {
    let mut world = stranded(73, 30);
    world.flap(0, PeerId([9; 32]));
    world.run(2);
    let (now, mut due): (_, Vec<String>) = (world.now, Vec::new());
    for entry in world.outbox(0) {
        due.extend(entry.next_try.map(|at| format!("{at:?}")));
    }
    due.sort();
    due.dedup();
    assert!(due.len() > 20, "{} different times for 30 messages, at {now:?}", due.len());
}

/// More than fit the window of a direct stream, and it breaks before any receipt: the rest, which was on
/// no way yet, finds another too.
#[test]
fn what_waited_for_room_on_a_stream_that_breaks_goes_by_mailbox() {
    let mut world = World::connected(74, 4);
    let ids: Vec<u64> =
        (0..200).map(|i| world.ask(0, World::send_request("p1", &format!("text {i}"), None))).collect();
    world.stop(1);
    let ids: Vec<String> = ids
        .iter()
        .map(|id| match world.nodes[0].replies.remove(id) {
            Some(Ok(Reply::Send(sent))) => sent.id,
            other => panic!("{other:?}"),
        })
        .collect();
    let held = world.run_until(20 * SECOND_MS, |world| {
        ids.iter().all(|id| world.state(0, id) == Some(MessageState::Held))
    });
    let left = ids.iter().filter(|id| world.state(0, id) != Some(MessageState::Held)).count();
    assert!(held, "{left} of 200 are not held");
}

fn frames(world: &World, which: impl Fn(&Frame) -> bool) -> Vec<Frame> {
    world.recorded.iter().filter_map(|bytes| Frame::from_bytes(bytes).ok()).filter(which).collect()
}

#[test]
fn what_is_repeated_is_not_acknowledged_each_time() {
    let mut world = World::new(75, 2, 4);
    world.run(SECOND_MS);
    world.introduce(0, 1);
    world.run(10 * SECOND_MS);
    world.record = true;
    world.ask(0, World::send_request("p1", "hello", None));
    let is_direct = |frame: &Frame| matches!(frame, Frame::Direct { .. });
    let message = frames(&world, is_direct).remove(0);
    world.run(2 * SECOND_MS);
    let peer = world.nodes[0].peer;
    for repeated in [message, Frame::DirectProof { proof: [0; 32], want: true }] {
        world.run(MINUTE_MS);
        world.recorded.clear();
        for _ in 0..300 {
            world.frame(1, peer, repeated.clone());
        }
        let answers = frames(&world, |_| true).len();
        assert!(answers > 0, "a lost receipt is repeated");
        let most = usize::try_from(REPEATED_RECEIPTS_RATE.burst + PROOFS_RATE.burst).unwrap();
        assert!(answers <= most, "{answers} answers to 300 of {repeated:?}");
    }
    world.run(SECOND_MS);
    world.say(1, "p0", "still here");
    world.run(SECOND_MS);
    assert_eq!(world.texts_from(0, "p1"), ["still here"]);
}

#[test]
fn one_proof_is_sent_for_all_that_waits_for_a_contact() {
    let mut world = World::new(76, 3, 4);
    // p1 says that it lives where p2 does: p2 is connected and proves nothing.
    world.stop(1);
    world.nodes[1].poses_as = Some(world.nodes[2].peer);
    world.start(1);
    world.run(SECOND_MS);
    world.introduce(0, 1);
    world.run(2 * SECOND_MS);
    world.stop(1);
    world.record = true;
    for i in 0..100 {
        world.ask(0, World::send_request("p1", &format!("text {i}"), None));
    }
    world.run(SECOND_MS / 2);
    let proofs = frames(&world, |frame| matches!(frame, Frame::DirectProof { .. })).len();
    assert!(proofs <= usize::try_from(PROOFS_RATE.burst).unwrap(), "{proofs} proofs for 100 messages");
}

/// p1 tells p0 that it lives at p2's peer, and p2 that it lives at p0's.
#[test]
fn a_contact_that_poses_as_another_does_not_take_its_direct_way() {
    for seed in 80..84 {
        let mut world = World::new(seed, 3, 4);
        for (poses_as, met) in [(2, 0), (0, 2)] {
            world.stop(1);
            world.nodes[1].poses_as = Some(world.nodes[poses_as].peer);
            world.start(1);
            world.run(SECOND_MS);
            world.introduce(met, 1);
        }
        let ticket = world.invite(0);
        world.add(2, &ticket).unwrap();
        world.run(20 * SECOND_MS);
        world.stop(1);
        world.set_cut(0, 2, true);
        world.run(MINUTE_MS);
        world.set_cut(0, 2, false);
        world.run(SECOND_MS);
        let online = |world: &mut World, node: usize, name: &str| match world
            .call(node, Request::Contacts(murmesh_protocol::control::NoParams {}))
        {
            Ok(Reply::Contacts(list)) => {
                list.contacts.iter().any(|contact| contact.name == name && contact.online)
            }
            other => panic!("{other:?}"),
        };
        assert!(online(&mut world, 0, "p2") && online(&mut world, 2, "p0"), "seed {seed}");
    }
}

#[test]
fn a_large_outbox_does_not_ask_for_all_its_custodians_at_once() {
    let mut world = World::connected(77, 4);
    world.stop(1);
    world.run(SECOND_MS);
    let before = world.nodes[0].lookups;
    let ids: Vec<u64> =
        (0..600).map(|i| world.ask(0, World::send_request("p1", &format!("text {i}"), None))).collect();
    // The first finds out that nobody answers where p1 was; a dial takes 50 ms here.
    world.run(51);
    let asked = usize::try_from(world.nodes[0].lookups - before).unwrap();
    assert!((ROUNDS_MAX - 1..=ROUNDS_MAX + 1).contains(&asked), "{asked} questions at once");
    let held = |world: &World| {
        let states = |id: &u64| match world.nodes[0].replies.get(id) {
            Some(Ok(Reply::Send(sent))) => world.state(0, &sent.id) == Some(MessageState::Held),
            _ => false,
        };
        ids.iter().all(states)
    };
    assert!(world.run_until(20 * SECOND_MS, held), "and every one gets its turn");
}

/// A burst that outlasts the direct way's patience goes both ways at once, and every message is there once.
#[test]
fn a_long_burst_to_a_contact_who_is_online_is_delivered() {
    for (seed, loss) in [(90, 1), (91, 20), (92, 100)] {
        let mut world = World::connected(seed, 5);
        world.faults.loss = loss;
        for i in 0..1_000 {
            world.ask(0, World::send_request("p1", &format!("text {i:04}"), None));
        }
        let done = (0..60).any(|_| {
            world.run(SECOND_MS);
            world.outbox(0).is_empty()
        });
        assert!(done, "{} of 1,000 are not delivered, seed {seed}", world.outbox(0).len());
        let texts = world.texts_from(1, "p0");
        let expected: Vec<String> = (0..1_000).map(|i| format!("text {i:04}")).collect();
        assert_eq!(texts, expected);
    }
}

/// The receipt of p1's is lost, and so is the one for the copy in its mailbox. Both stay on line: p0 sends the
/// message again, ever more rarely, and the next receipt heals it.
#[test]
fn a_lost_receipt_is_asked_for_again_but_ever_more_rarely() {
    for (seed, lost_ms, heals_ms) in
        [(94, 20 * SECOND_MS, 30 * SECOND_MS), (95, 5 * MINUTE_MS, 6 * MINUTE_MS)]
    {
        let mut world = World::connected(seed, 4);
        world.run(MINUTE_MS);
        (world.record, world.mute) = (true, Some((1, 0)));
        let sent: Vec<String> = (0..2).map(|i| world.say(0, "p1", &format!("{i}")).id).collect();
        let last = sent.last().unwrap();
        assert!(world.wait_state(0, last, MessageState::Held, 20 * SECOND_MS));
        world.run(lost_ms);
        let direct = frames(&world, |frame| matches!(frame, Frame::Direct { .. })).len();
        assert!(direct <= sent.len() + 8, "{direct} direct messages for {} texts", sent.len());
        world.mute = None;
        assert!(world.wait_state(0, last, MessageState::Delivered, heals_ms), "{:?}", world.state(0, last));
        let lost = |id: &&String| world.state(0, id) != Some(MessageState::Delivered);
        assert_eq!(sent.iter().filter(lost).count(), 0);
        world.recorded.clear();
        world.run(HOUR_MS);
        assert_eq!(frames(&world, |frame| matches!(frame, Frame::Direct { .. })).len(), 0);
    }
}

/// A machine that stands still while a burst comes in finds all of it at once when it goes on: what was sent
/// directly, and what went by mailbox meanwhile.
#[test]
fn a_burst_to_a_contact_whose_machine_stood_still_is_delivered() {
    for seed in 94..96 {
        let mut world = World::connected(seed, 5);
        for i in 0..1_000 {
            world.ask(0, World::send_request("p1", &format!("text {i:04}"), None));
            if i % 2 == 0 {
                world.run(1);
            }
            if i == 400 {
                world.nodes[1].paused_until = world.now.plus(4 * SECOND_MS);
            }
        }
        let done = (0..60).any(|_| {
            world.run(SECOND_MS);
            world.outbox(0).is_empty()
        });
        assert!(done, "{} are not delivered, seed {seed}", world.outbox(0).len());
        let texts = world.texts_from(1, "p0");
        let expected: Vec<String> = (0..1_000).map(|i| format!("text {i:04}")).collect();
        assert!(texts == expected, "{} texts", texts.len());
    }
}

/// As long as receipts come in over the direct stream, what waits for room on it is nobody else's business.
#[test]
fn a_burst_that_is_being_received_is_not_deposited() {
    let mut world = World::connected(97, 5);
    world.record = true;
    let texts = 16_000;
    for i in 0..texts {
        world.ask(0, World::send_request("p1", &format!("text {i:04}"), None));
    }
    let began = world.now;
    let done = (0..60).any(|_| {
        world.run(SECOND_MS);
        world.outbox(0).is_empty()
    });
    assert!(done && world.now.since(began) > DIRECT_RECEIPT_MS, "it takes longer than one has patience");
    let deposits = frames(&world, |frame| matches!(frame, Frame::Deposit { .. })).len();
    assert!(deposits < texts / 20, "{deposits} deposits of {texts} texts");
    assert_eq!(world.texts_from(1, "p0").len(), texts);
}
