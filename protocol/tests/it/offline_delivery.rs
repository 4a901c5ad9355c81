//! One side is away: custodians keep the message, and the sender may leave.

use murmesh_protocol::control::{MessageParams, MessageState, Path, QueuedReason, Reply, Request};
use murmesh_protocol::time::{DAY_MS, SECOND_MS};

use crate::world::World;

#[test]
fn held_mail_arrives_after_the_sender_and_two_custodians_are_gone() {
    let mut world = World::connected(11, 5);
    world.stop(1);
    world.run(SECOND_MS);
    let sent = world.say(0, "p1", "are you there?");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 5 * SECOND_MS));
    // Two that have it, the first who said so.
    let Ok(Reply::Why(why)) = world.call(0, Request::Why(MessageParams { id: sent.id.clone() })) else {
        panic!()
    };
    let held = why.steps.iter().filter(|step| step.what == "held").filter_map(|step| step.peer.clone());
    let gone: Vec<String> = held.take(2).collect();
    world.stop(0);
    for custodian in 2..7 {
        if gone.contains(&world.nodes[custodian].peer.to_string()) {
            world.stop(custodian);
        }
    }
    world.run(3_600 * SECOND_MS);
    world.start(1);
    assert!(world.run_until(10 * SECOND_MS, |world| !world.nodes[1].events.is_empty()
        && world.nodes[1].events.iter().any(|e| matches!(&e.body,
            murmesh_protocol::control::EventBody::MessageReceived(m) if m.text == "are you there?"))));
    let read = world.read(1);
    let last = read.last().unwrap();
    assert_eq!((last.text.as_str(), last.path), ("are you there?", Some(Path::Mailbox)));
    let custodians: Vec<String> = world.nodes[2..].iter().map(|node| node.peer.to_string()).collect();
    assert!(last.kept_by.as_ref().is_some_and(|peer| custodians.contains(peer) && !gone.contains(peer)));
    assert_eq!(gone.len(), 2);
    // The receipt waits in the sender's mailbox in turn.
    world.run(10 * SECOND_MS);
    world.start(0);
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 10 * SECOND_MS));
    // What was collected is dropped everywhere that is up.
    world.run(5 * SECOND_MS);
    assert!(world.outbox(0).is_empty());
}

#[test]
fn with_nobody_else_a_message_waits_here_and_goes_when_the_contact_is_seen() {
    let mut world = World::connected(12, 0);
    world.stop(1);
    world.run(SECOND_MS);
    let sent = world.say(0, "p1", "later");
    world.run(20 * SECOND_MS);
    let outbox = world.outbox(0);
    assert_eq!(outbox[0].state, MessageState::Queued);
    assert!(matches!(outbox[0].reason, Some(QueuedReason::NobodyToKeepIt | QueuedReason::Offline)));
    world.start(1);
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, SECOND_MS));
}

/// Found by hand: the one peer that the ticket named was counted as a custodian of its own owner's mail.
#[test]
fn who_is_being_added_does_not_keep_its_own_mail() {
    let mut world = World::new(14, 2, 0);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.run(2 * SECOND_MS);
    world.stop(0);
    let added = world.add(1, &ticket).unwrap();
    let sent = world.say(1, &added.account, "are you there?");
    world.run(10 * SECOND_MS);
    world.start(0);
    assert!(world.wait_state(1, &sent.id, MessageState::Delivered, 60 * SECOND_MS));
    let params = MessageParams { id: sent.id.clone() };
    let Ok(Reply::Why(why)) = world.call(1, Request::Why(params)) else { panic!() };
    let asked = why.steps.iter().filter(|step| step.what == "deposit").count();
    assert_eq!(asked, 0, "its recipient was to hold it: {:#?}", why.steps);
}

#[test]
fn mail_is_collected_after_days_away() {
    let mut world = World::connected(13, 6);
    world.stop(1);
    for day in 0..5 {
        let sent = world.say(0, "p1", &format!("day {day}"));
        assert!(world.wait_state(0, &sent.id, MessageState::Held, 5 * SECOND_MS));
        world.run(DAY_MS);
    }
    world.stop(0);
    world.start(1);
    world.run(20 * SECOND_MS);
    let expected: Vec<String> = (0..5).map(|day| format!("day {day}")).collect();
    assert_eq!(world.texts_from(1, "p0"), expected);
}
