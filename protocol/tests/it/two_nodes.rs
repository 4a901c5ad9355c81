//! Two people whose nodes are up: introduced by ticket, messages both ways.

use murmesh_protocol::control::{ErrorName, MessageState, Path};
use murmesh_protocol::time::SECOND_MS;

use crate::world::World;

#[test]
fn a_ticket_connects_two_people_and_messages_go_directly() {
    let mut world = World::new(1, 2, 5);
    world.run(SECOND_MS);
    world.introduce(0, 1);
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 2 * SECOND_MS));
    let sent = world.say(1, "p0", "hello yourself");
    assert!(world.wait_state(1, &sent.id, MessageState::Delivered, 2 * SECOND_MS));
    let read = world.read(1);
    assert_eq!(read.iter().map(|m| m.text.as_str()).collect::<Vec<_>>(), ["hello", "hello yourself"]);
    assert_eq!(read.iter().map(|m| m.path).collect::<Vec<_>>(), [Some(Path::Direct), Some(Path::Direct)]);
    assert_eq!(world.texts_from(0, "p1"), ["hello yourself"]);
    assert!(world.outbox(0).is_empty() && world.outbox(1).is_empty());
    assert_eq!(world.nodes.iter().map(|node| node.misbehaved).sum::<u64>(), 0);
}

#[test]
fn two_nodes_alone_are_enough() {
    let mut world = World::new(2, 2, 0);
    world.run(SECOND_MS);
    world.introduce(0, 1);
    let sent = world.say(1, "p0", "hello");
    assert!(world.wait_state(1, &sent.id, MessageState::Delivered, 2 * SECOND_MS));
}

#[test]
fn a_second_add_changes_nothing_and_own_or_used_tickets_are_refused() {
    let mut world = World::new(3, 3, 4);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    assert_eq!(world.add(0, &ticket).map_err(|error| error.name), Err(ErrorName::OwnTicket));
    assert!(!world.add(1, &ticket).unwrap().known);
    world.run(5 * SECOND_MS);
    assert!(world.add(1, &ticket).unwrap().known);
    assert_eq!(world.add(2, &ticket).map_err(|error| error.name), Err(ErrorName::TicketEnded));
    assert_eq!(world.add(2, "MURMESH:nonsense").map_err(|error| error.name), Err(ErrorName::BadTicket));
}
