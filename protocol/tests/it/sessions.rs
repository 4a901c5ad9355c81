//! Several sessions with one contact: which is sent on, and what becomes of what others have sealed
//! (SPEC §5.5).

use murmesh_protocol::control::MessageState;
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

use crate::honest::{connected, sessions, turn};
use crate::world::World;

fn session_rows(world: &World, node: usize) -> usize {
    world.nodes[node].private.values().filter(|(table, _)| **table == Table::Sessions).count()
}

fn held(world: &mut World, node: usize) -> usize {
    world.outbox(node).iter().filter(|entry| entry.state == MessageState::Held).count()
}

/// Both begin anew at once, on line. They settle on one session, and a month later have no other.
#[test]
fn two_that_begin_at_once_settle_on_one_session() {
    for seed in 760..764 {
        let mut world = connected(seed, 4);
        [0, 1].into_iter().for_each(|node| world.stop(node));
        world.nodes[0].rolled_back = true;
        world.nodes[1].rolled_back = true;
        [0, 1].into_iter().for_each(|node| world.start(node));
        world.ask(0, World::send_request("p1", "from p0", None));
        world.ask(1, World::send_request("p0", "from p1", None));
        world.run(MINUTE_MS);
        for i in 0..3 {
            world.say(0, "p1", &format!("{i}"));
            world.say(1, "p0", &format!("{i}"));
            world.run(10 * SECOND_MS);
        }
        (0..2).for_each(|node| world.stop(node));
        world.run(33 * DAY_MS);
        (0..2).for_each(|node| world.start(node));
        world.say(0, "p1", "after a month");
        world.say(1, "p0", "after a month");
        world.run(2 * HOUR_MS);
        assert_eq!((world.texts_from(0, "p1").len(), world.texts_from(1, "p0").len()), (5, 5), "{seed}");
        assert_eq!((session_rows(&world, 0), session_rows(&world, 1)), (1, 1), "{seed}");
    }
}

/// p0 writes more than first messages can carry to p1, who is away: it begins anew, and again. What the full
/// sessions have sealed p1 can open; sealing it on the newest would fill that, and so on for ever.
#[test]
fn what_a_full_session_has_sealed_is_not_sealed_again() {
    let mut world = connected(770, 4);
    (0..2).for_each(|node| world.stop(node));
    world.lose_sessions(0);
    world.start(0);
    let before = sessions(&mut world, 0);
    for i in 0..230 {
        world.ask(0, World::send_request("p1", &format!("{i}"), None));
    }
    world.run(10 * MINUTE_MS);
    assert_eq!((held(&mut world, 0), sessions(&mut world, 0) - before), (230, 3));
    world.run(DAY_MS + HOUR_MS);
    assert_eq!((held(&mut world, 0), sessions(&mut world, 0) - before), (230, 3), "deposited again as it is");
    world.start(1);
    world.run(5 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0").len(), 230);
}

/// But a contact that begins anew may have lost the full ones too.
#[test]
fn what_a_full_session_has_sealed_is_sealed_again_for_who_lost_it() {
    let mut world = connected(780, 4);
    (0..2).for_each(|node| world.stop(node));
    let copy = world.nodes[1].private.clone();
    world.run(DAY_MS + 2 * HOUR_MS);
    turn(&mut world, 1, MINUTE_MS);
    world.lose_sessions(0);
    world.start(0);
    for i in 0..110 {
        world.ask(0, World::send_request("p1", &format!("{i}"), None));
    }
    world.run(10 * MINUTE_MS);
    assert_eq!(held(&mut world, 0), 110);
    world.stop(0);
    world.nodes[1].private = copy;
    world.nodes[1].rolled_back = true;
    world.start(1);
    let back = world.say(1, "p0", "an older copy");
    assert!(world.wait_state(1, &back.id, MessageState::Held, MINUTE_MS));
    world.stop(1);
    turn(&mut world, 0, 20 * MINUTE_MS);
    turn(&mut world, 1, 20 * MINUTE_MS);
    world.start(1);
    assert_eq!(world.texts_from(1, "p0").len(), 110);
}

/// p0's deposits are on their way when p1's new session comes: what custodians then have of them p1 cannot
/// open, and there is nothing else that would be due for a day.
#[test]
fn a_round_that_ends_for_a_lost_session_is_followed_by_another() {
    let mut world = connected(790, 4);
    world.stop(1);
    (2..6).for_each(|custodian| world.set_cut(0, custodian, true));
    let sent = world.say(0, "p1", "between two sessions");
    world.run(MINUTE_MS);
    assert_eq!(world.state(0, &sent.id), Some(MessageState::Queued));
    world.stop(0);
    (2..6).for_each(|custodian| world.set_cut(0, custodian, false));
    world.lose_sessions(1);
    turn(&mut world, 1, MINUTE_MS);
    world.start(1);
    let back = world.say(1, "p0", "I lost everything");
    assert!(world.wait_state(1, &back.id, MessageState::Held, MINUTE_MS));
    world.stop(1);
    turn(&mut world, 0, 20 * MINUTE_MS);
    world.start(1);
    world.run(MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0"), ["between two sessions"]);
}
