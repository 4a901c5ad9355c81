//! Clocks that are wrong for a while (SPEC §8.4).

use murmesh_protocol::control::MessageState;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

use crate::honest::connected;

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
