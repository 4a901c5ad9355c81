//! Clocks that are wrong for a while (SPEC §8.4).

use murmesh_protocol::control::MessageState;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

use crate::honest::connected;
use crate::world::World;

/// p0's clock is set 20 days ahead, and back after two hours: everything in its outbox was over by then. What
/// is over after all is told later.
#[test]
fn a_clock_that_was_ahead_for_two_hours_ends_no_message() {
    let mut world = connected(800, 4);
    world.stop(1);
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.set_clock(0, i64::try_from(20 * DAY_MS).unwrap());
    world.run(2 * HOUR_MS);
    assert_eq!(world.outbox(0).len(), 1);
    world.set_clock(0, 0);
    world.run(MINUTE_MS);
    world.start(1);
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 10 * MINUTE_MS));
    world.stop(1);
    let sent = world.say(0, "p1", "hello?");
    world.set_clock(0, i64::try_from(20 * DAY_MS).unwrap());
    world.run(6 * HOUR_MS + MINUTE_MS);
    assert_eq!(world.state(0, &sent.id), Some(MessageState::Expired), "nobody set it back");
}

/// And what comes meanwhile is not over either: it would be acknowledged, and never shown.
#[test]
fn a_clock_that_is_ahead_hides_no_message() {
    let mut world = connected(801, 4);
    world.set_clock(0, i64::try_from(20 * DAY_MS).unwrap());
    let sent = world.say(1, "p0", "hello");
    assert!(world.wait_state(1, &sent.id, MessageState::Delivered, 10 * SECOND_MS));
    assert_eq!(world.texts_from(0, "p1"), ["hello"]);
}

/// The one clock that is years off, of somebody who writes and is written to.
const YEARS_MS: u64 = 3_653 * DAY_MS;

/// What both have to read once every clock is right, and nothing twice.
fn talk(world: &mut World) {
    for (from, to, other) in [(0, 1, "p1"), (1, 0, "p0")] {
        let sent = world.say(from, other, "right again");
        assert!(world.wait_state(from, &sent.id, MessageState::Delivered, 10 * MINUTE_MS));
        let texts = world.texts_from(to, &format!("p{from}"));
        assert_eq!(texts.iter().filter(|text| *text == "right again").count(), 1);
    }
}

/// Ten years ahead or behind for five hours, by a jump or since the start, and right again: what was written
/// before, meanwhile and after it arrives, once. Mailboxes have days, so what is deposited meanwhile is collected
/// by nobody whose clock is right: it waits until the clock is.
#[test]
fn ten_years_off_for_some_hours_lose_nothing() {
    let years = i64::try_from(YEARS_MS).unwrap();
    for (seed, skew_ms, restarted) in
        [(810, years, false), (811, -years, false), (812, years, true), (813, -years, true)]
    {
        let mut world = connected(seed, 4);
        let case = format!("{skew_ms} ms, restarted: {restarted}");
        world.stop(1);
        let before = world.say(0, "p1", "before");
        assert!(world.wait_state(0, &before.id, MessageState::Held, 10 * SECOND_MS), "{case}");
        if restarted {
            world.stop(0);
        }
        world.set_clock(0, skew_ms);
        if restarted {
            world.start(0);
        }
        let meanwhile = world.say(0, "p1", "meanwhile");
        world.run(5 * HOUR_MS);
        if restarted {
            world.stop(0);
            world.start(0);
            world.run(MINUTE_MS);
        }
        assert_eq!(world.outbox(0).len(), 2, "{case}");
        world.start(1);
        let answer = world.say(1, "p0", "an answer");
        world.run(10 * MINUTE_MS);
        if restarted {
            world.stop(0);
        }
        world.set_clock(0, 0);
        if restarted {
            world.start(0);
        }
        world.run(2 * HOUR_MS);
        for (node, id) in [(0, &before.id), (0, &meanwhile.id), (1, &answer.id)] {
            assert!(world.wait_state(node, id, MessageState::Delivered, HOUR_MS), "{case}");
        }
        assert_eq!(world.texts_from(1, "p0"), ["before", "meanwhile"], "{case}");
        assert_eq!(world.texts_from(0, "p1"), ["an answer"], "{case}");
        talk(&mut world);
    }
}
