//! What a client is promised about sending: once, in order, honest about gaps and ends.

use murmesh_protocol::control::{
    ErrorName, EventBody, MessageState, NoParams, QueuedReason, ReadParams, Reply, Request, SendParams,
    WhyReply,
};
use murmesh_protocol::limits::GRACE_MS;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, SECOND_MS};

use murmesh_protocol::wire::frame::Frame;

use crate::world::{Faults, World};

fn why(world: &mut World, node: usize, id: &str) -> WhyReply {
    let params = murmesh_protocol::control::MessageParams { id: id.to_owned() };
    match world.call(node, Request::Why(params)) {
        Ok(Reply::Why(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_client_id_never_sends_twice() {
    let mut world = World::connected(31, 4);
    let send = |text: &str| World::send_request("p1", text, Some("once".to_owned()));
    let Ok(Reply::Send(first)) = world.call(0, send("hello")) else { panic!() };
    world.run(2 * SECOND_MS);
    // Also after a restart.
    world.stop(0);
    world.start(0);
    let Ok(Reply::Send(second)) = world.call(0, send("hello")) else { panic!() };
    assert_eq!(first.id, second.id);
    assert_eq!(second.state, MessageState::Delivered);
    let other = world.call(0, send("other text")).map_err(|error| error.name);
    assert_eq!(other, Err(ErrorName::ClientIdReused));
    world.run(2 * SECOND_MS);
    assert_eq!(world.texts_from(1, "p0"), ["hello"]);
}

#[test]
fn bad_requests_are_named_and_change_nothing() {
    let mut world = World::connected(32, 4);
    let mut error = |to: &str, text: &str, expire_ms| {
        let params = SendParams { to: to.to_owned(), text: text.to_owned(), client_id: None, expire_ms };
        world.call(0, Request::Send(params)).map_err(|error| error.name)
    };
    assert_eq!(error("nobody", "x", None), Err(ErrorName::NoSuchContact));
    assert_eq!(error("p1", "", None), Err(ErrorName::BadText));
    assert_eq!(error("p1", &"x".repeat(60_001), None), Err(ErrorName::BadText));
    assert_eq!(error("p1", "x", Some(1)), Err(ErrorName::OutOfRange));
    assert_eq!(error("p1", "x", Some(31 * DAY_MS)), Err(ErrorName::OutOfRange));
    assert!(world.outbox(0).is_empty());
    // The largest text there is goes through, directly and by mailbox.
    let sent = world.say(0, "p1", &"x".repeat(60_000));
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 2 * SECOND_MS));
    world.stop(1);
    let sent = world.say(0, "p1", &"y".repeat(60_000));
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 5 * SECOND_MS));
}

#[test]
fn a_message_expires_and_says_so() {
    let mut world = World::connected(33, 0);
    world.stop(1);
    let params = SendParams {
        to: "p1".to_owned(),
        text: "soon gone".to_owned(),
        client_id: None,
        expire_ms: Some(HOUR_MS),
    };
    let Ok(Reply::Send(sent)) = world.call(0, Request::Send(params)) else { panic!() };
    world.run(HOUR_MS - 10 * SECOND_MS);
    assert_eq!(world.outbox(0).len(), 1);
    world.run(20 * SECOND_MS);
    assert_eq!(world.state(0, &sent.id), Some(MessageState::Expired));
    assert!(world.outbox(0).is_empty());
    // Copies (in the sender's own Keeper) live to the midnight after, and 26 h longer, for clocks may be a day
    // apart; then no more.
    world.run(DAY_MS + GRACE_MS + HOUR_MS);
    world.start(1);
    world.run(20 * SECOND_MS);
    assert!(world.texts_from(1, "p0").is_empty());
}

#[test]
fn a_gap_is_shown_and_closes() {
    let mut world = World::connected(34, 5);
    // The first message finds nobody who keeps it: it stays with its sender.
    world.stop(1);
    (2..7).for_each(|custodian| world.stop(custodian));
    let first = world.say(0, "p1", "one");
    world.run(5 * SECOND_MS);
    assert_eq!(world.outbox(0)[0].reason, Some(QueuedReason::Offline));
    (2..7).for_each(|custodian| world.start(custodian));
    let second = world.say(0, "p1", "two");
    assert!(world.wait_state(0, &second.id, MessageState::Held, 10 * SECOND_MS));
    assert_ne!(world.state(0, &first.id), Some(MessageState::Held), "its retry is not due yet");
    world.stop(0);
    world.start(1);
    world.run(20 * SECOND_MS);
    let read = world.read(1);
    assert_eq!((read[0].text.as_str(), read[0].gap_before), ("two", 1));
    let told =
        world.nodes[1].events.iter().any(|e| matches!(&e.body, EventBody::MessageGap { missing: 1, .. }));
    assert!(told);
    world.start(0);
    world.run(20 * SECOND_MS);
    assert_eq!(world.texts_from(1, "p0"), ["one", "two"], "in the author's order");
    assert_eq!(
        world.read(1).iter().map(|message| message.gap_before).max(),
        Some(0),
        "nothing is missing now"
    );
}

#[test]
fn held_mail_is_deposited_again_after_days() {
    let mut world = World::connected(35, 6);
    world.stop(1);
    let sent = world.say(0, "p1", "patience");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 5 * SECOND_MS));
    // All custodians lose everything: the sender's outbox is the truth.
    for custodian in 2..8 {
        world.stop(custodian);
        world.nodes[custodian].custody = murmesh_protocol::keeper::store::MemoryStore::default();
        world.start(custodian);
    }
    world.run(DAY_MS + HOUR_MS);
    let deposits = why(&mut world, 0, &sent.id).steps.iter().filter(|step| step.what == "held").count();
    assert!(deposits >= 8, "{deposits}");
    world.stop(0);
    world.start(1);
    world.run(20 * SECOND_MS);
    assert_eq!(world.texts_from(1, "p0"), ["patience"]);
}

#[test]
fn after_a_rollback_of_the_database_sessions_begin_anew_and_nothing_is_lost() {
    let mut world = World::connected(36, 5);
    let sent = world.say(0, "p1", "before");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 2 * SECOND_MS));
    let copy = world.nodes[0].private.clone();
    for i in 0..20 {
        world.say(0, "p1", &format!("between {i}"));
    }
    world.run(5 * SECOND_MS);
    world.stop(0);
    world.nodes[0].private = copy;
    world.nodes[0].rolled_back = true;
    world.start(0);
    let sent = world.say(0, "p1", "after");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 60 * SECOND_MS));
    world.say(1, "p0", "welcome back");
    world.run(5 * SECOND_MS);
    let texts = world.texts_from(1, "p0");
    assert_eq!(texts.len(), 22);
    assert_eq!(texts.last().unwrap(), "after");
    assert!(world.texts_from(0, "p1").contains(&"welcome back".to_owned()));
}

#[test]
fn a_recipient_that_lost_its_sessions_gets_what_is_in_flight_by_re_sealing() {
    let mut world = World::connected(37, 5);
    world.stop(1);
    let sent: Vec<_> = (0..20).map(|i| world.say(0, "p1", &format!("in flight {i}"))).collect();
    assert!(world.wait_state(0, &sent[19].id, MessageState::Held, 20 * SECOND_MS));
    // Its database is an older copy: it begins a new session, and everything is sealed again.
    world.nodes[1].rolled_back = true;
    world.start(1);
    world.say(1, "p0", "I am back");
    assert!(world.wait_state(0, &sent[19].id, MessageState::Delivered, 120 * SECOND_MS));
    let expected: Vec<String> = (0..20).map(|i| format!("in flight {i}")).collect();
    assert_eq!(world.texts_from(1, "p0"), expected);
}

#[test]
fn unread_and_since_and_limit_choose_what_read_shows() {
    let mut world = World::connected(38, 4);
    for i in 0..5 {
        world.say(0, "p1", &format!("m{i}"));
        world.run(SECOND_MS);
    }
    let mut read = |unread, limit, peek| {
        let params = ReadParams { who: Some("p0".to_owned()), unread, since: None, limit, peek };
        match world.call(1, Request::Read(params)) {
            Ok(Reply::Read(read)) => read.messages.into_iter().map(|m| m.text).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read(false, Some(2), true), ["m3", "m4"]);
    assert_eq!(read(true, None, false).len(), 5);
    assert_eq!(read(true, None, false).len(), 0, "shown once");
    assert_eq!(read(false, None, false).len(), 5);
}

#[test]
fn a_thousand_messages_arrive_in_order_over_a_stream_that_breaks() {
    let mut world = World::connected(39, 4);
    for i in 0..1_000 {
        world.ask(0, World::send_request("p1", &format!("{i:04}"), None));
        if i % 250 == 249 {
            world.set_cut(0, 1, i % 500 == 249);
        }
        world.run(3);
    }
    world.faults = Faults::default();
    world.set_cut(0, 1, false);
    world.run(60 * SECOND_MS);
    let texts = world.texts_from(1, "p0");
    assert_eq!(texts.len(), 1_000);
    assert!(texts.is_sorted());
    assert!(world.outbox(0).is_empty());
}

/// A laptop with a flat clock battery wakes up days ahead, and time service sets it back: every deadline
/// was then days away, and nothing was sent or collected until they came.
#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut world = World::connected(40, 5);
    let days = i64::try_from(20 * HOUR_MS).unwrap();
    world.set_clock(0, days);
    world.say(0, "p1", "from the future");
    world.run(20 * SECOND_MS);
    world.set_clock(0, 0);
    world.stop(1);
    let sent = world.say(0, "p1", "and back");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.start(1);
    world.run(20 * SECOND_MS);
    world.say(1, "p0", "heard you");
    world.run(20 * SECOND_MS);
    assert_eq!(world.texts_from(1, "p0"), ["from the future", "and back"]);
    assert_eq!(world.texts_from(0, "p1"), ["heard you"]);
}

/// A custodian that says it is the contact's device is not believed: what is sent goes to the mailbox.
#[test]
fn a_proof_that_fits_no_session_opens_no_direct_stream() {
    let mut world = World::connected(41, 4);
    world.stop(1);
    for custodian in 2..6 {
        let peer = world.nodes[custodian].peer;
        world.frame(0, peer, Frame::DirectProof { proof: [7; 32], want: true });
    }
    let sent = world.say(0, "p1", "for p1 only");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 5 * SECOND_MS));
    let steps = why(&mut world, 0, &sent.id).steps;
    assert!(steps.iter().all(|step| step.what != "direct"), "{steps:?}");
}

/// Item 23 of session.md's list: sealed for sessions that are gone, sealed again for the new one.
#[test]
fn mail_in_flight_to_who_lost_every_session_is_sealed_again() {
    let mut world = World::connected(42, 5);
    world.stop(1);
    let sent: Vec<_> = (0..20).map(|i| world.say(0, "p1", &format!("in flight {i}"))).collect();
    assert!(world.wait_state(0, &sent[19].id, MessageState::Held, 20 * SECOND_MS));
    world.lose_sessions(1);
    world.start(1);
    world.say(1, "p0", "I lost everything");
    let all_delivered =
        |world: &World| sent.iter().all(|s| world.state(0, &s.id) == Some(MessageState::Delivered));
    assert!(world.run_until(120 * SECOND_MS, all_delivered));
    let expected: Vec<String> = (0..20).map(|i| format!("in flight {i}")).collect();
    assert_eq!(world.texts_from(1, "p0"), expected);
}

/// SPEC §8.2: what was `held` is not `queued` again, although after a week it is sealed anew and no copy of that is
/// out yet.
#[test]
fn a_state_never_falls_back_though_a_message_is_sealed_again() {
    let mut world = World::connected(57, 5);
    world.stop(1);
    let id = world.say(0, "p1", "patience").id;
    assert!(world.wait_state(0, &id, MessageState::Held, 5 * SECOND_MS));
    world.run(9 * DAY_MS);
    assert!(why(&mut world, 0, &id).steps.iter().any(|step| step.result == "sealed again"));
    world.start(1);
    assert!(world.wait_state(0, &id, MessageState::Delivered, 60 * SECOND_MS));
    let told = world.nodes[0].events.iter().filter_map(|event| match &event.body {
        EventBody::MessageState { id: of, state, .. } if *of == id => Some(*state),
        _ => None,
    });
    let mut states: Vec<MessageState> = told.collect();
    states.dedup();
    assert_eq!(states, [MessageState::Queued, MessageState::Held, MessageState::Delivered]);
}

/// The sender's database is restored from before the receipts: it seals everything again for a new
/// session, so with new tags, under the same ids. Nobody is told of a message a second time.
#[test]
fn what_was_shown_and_is_sealed_again_is_shown_once() {
    let mut world = World::connected(43, 5);
    world.stop(1);
    let sent: Vec<_> = (0..20).map(|i| world.say(0, "p1", &format!("once {i}"))).collect();
    assert!(world.wait_state(0, &sent[19].id, MessageState::Held, 20 * SECOND_MS));
    let copy = world.nodes[0].private.clone();
    world.start(1);
    let all_delivered =
        |world: &World| sent.iter().all(|s| world.state(0, &s.id) == Some(MessageState::Delivered));
    assert!(world.run_until(60 * SECOND_MS, all_delivered));
    world.stop(0);
    world.nodes[0].private = copy;
    world.nodes[0].rolled_back = true;
    world.forget_events(0);
    world.start(0);
    assert_eq!(world.outbox(0).len(), 20, "it knows of no receipt");
    assert!(world.run_until(120 * SECOND_MS, all_delivered));
    let received = |e: &&murmesh_protocol::control::Event| matches!(&e.body, EventBody::MessageReceived(_));
    assert_eq!(world.nodes[1].events.iter().filter(received).count(), 20);
    let expected: Vec<String> = (0..20).map(|i| format!("once {i}")).collect();
    assert_eq!(world.texts_from(1, "p0"), expected);
}

/// A hundred messages of one epoch are collected, the node dies before any receipt made it write the
/// session again, and the next message is beyond the window of the session as it was before.
#[test]
fn a_session_is_on_disk_as_far_as_it_has_opened() {
    let mut world = World::connected(44, 5);
    world.stop(1);
    let sent: Vec<_> = (0..100).map(|i| world.say(0, "p1", &format!("{i:03}"))).collect();
    assert!(world.wait_state(0, &sent[99].id, MessageState::Held, 60 * SECOND_MS));
    let started = world.now;
    world.start(1);
    let received = |e: &&murmesh_protocol::control::Event| matches!(&e.body, EventBody::MessageReceived(_));
    let all = |world: &World| world.nodes[1].events.iter().filter(received).count() == 100;
    world.set_cut(0, 1, true);
    assert!(world.run_until(20 * SECOND_MS, all), "{}", world.now.since(started));
    world.stop(1);
    world.start(1);
    world.set_cut(0, 1, true);
    let next = world.say(0, "p1", "100");
    assert!(world.wait_state(0, &next.id, MessageState::Held, 10 * SECOND_MS));
    world.run(5 * SECOND_MS);
    assert_eq!(world.texts_from(1, "p0").len(), 101, "at once, not by a search far ahead");
}

/// "Every attempt, hop and custodian", and how it ended.
#[test]
fn a_story_tells_every_attempt_and_its_end() {
    let mut world = World::connected(48, 4);
    let whats = |world: &mut World, id: &str| -> Vec<String> {
        why(world, 0, id).steps.into_iter().map(|step| format!("{} {}", step.what, step.result)).collect()
    };
    // Everybody is gone: dialed, waited, nobody keeps it.
    (1..6).for_each(|i| world.stop(i));
    let id = world.say(0, "p1", "hello").id;
    world.run(20 * SECOND_MS);
    let alone = whats(&mut world, &id);
    for step in ["queued", "sealed", "dial began", "dial no answer", "round 0 of 0 custodians"] {
        assert!(alone.iter().any(|told| told.starts_with(step)), "no {step}: {alone:#?}");
    }
    // Custodians come, then p1.
    (2..6).for_each(|i| world.start(i));
    assert!(world.wait_state(0, &id, MessageState::Held, 20 * SECOND_MS));
    world.run(20 * SECOND_MS);
    world.start(1);
    assert!(world.wait_state(0, &id, MessageState::Delivered, 20 * SECOND_MS));
    let all = whats(&mut world, &id);
    for step in ["deposit sent", "held", "round 4 of 4 custodians"] {
        assert!(all.iter().any(|told| told.starts_with(step)), "no {step}: {all:#?}");
    }
    assert!(all.last().is_some_and(|told| told.starts_with("delivered ")), "{all:#?}");
}

/// A clock that was three days ahead for a while: what was laid out by it is made anew.
#[test]
fn a_clock_that_was_ahead_leaves_no_prekeys_that_nobody_may_use() {
    let mut world = World::connected(49, 4);
    world.set_clock(1, i64::try_from(3 * DAY_MS).unwrap());
    world.run(3 * HOUR_MS);
    world.set_clock(1, 0);
    world.run(10 * SECOND_MS);
    world.stop(0);
    world.lose_sessions(0);
    world.start(0);
    let sent = world.say(0, "p1", "a new session");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
}

/// A clock that was twenty days ahead: when those days come, what is laid out for them is not taken for
/// older than what custodians refused then.
#[test]
fn a_clock_that_was_far_ahead_spoils_no_later_day() {
    let mut world = World::connected(50, 2);
    world.set_clock(1, i64::try_from(20 * DAY_MS).unwrap());
    world.run(2 * HOUR_MS);
    world.set_clock(1, 0);
    world.run(15 * DAY_MS);
    world.stop(1);
    world.stop(0);
    world.lose_sessions(0);
    // By now the days that p0 asks for are all among those of the wrong clock.
    world.run(7 * DAY_MS);
    world.start(0);
    let sent = world.say(0, "p1", "while you are away");
    let held = world.wait_state(0, &sent.id, MessageState::Held, 120 * SECOND_MS);
    let story = why(&mut world, 0, &sent.id);
    assert!(held, "{story:#?}");
}

#[test]
fn the_status_tells_when_mail_was_last_listed_by_somebody_else() {
    let collected = |world: &mut World| match world.call(0, Request::Status(NoParams {})) {
        Ok(Reply::Status(status)) => status.collected_at,
        other => panic!("{other:?}"),
    };
    let mut alone = World::new(54, 1, 0);
    alone.run(2 * SECOND_MS);
    assert_eq!(collected(&mut alone), None, "its own Keeper is not somebody else");
    let mut world = World::new(55, 1, 3);
    world.run(2 * SECOND_MS);
    let first = collected(&mut world).unwrap();
    world.run(HOUR_MS);
    assert!(collected(&mut world).unwrap() > first, "each poll is one");
}
