//! A second hostile review, of honest nodes and what time, disks and custodians do to them: every test
//! here fails as long as what it shows is possible. Those that are
//! ignored still fail: each is work to do, and loses its `ignore` with its mending.

use std::collections::{BTreeMap, BTreeSet};

use murmesh_protocol::blind::request_address;
use murmesh_protocol::control::{AddParams, MessageState, NoParams, Reply, Request, SendParams};
use murmesh_protocol::id::{Address, sha256};
use murmesh_protocol::limits::CLOCK_DOUBT_MS;
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Time};
use murmesh_protocol::wire::envelope::{Envelope, seal_round, unmask};
use murmesh_protocol::wire::frame::Frame;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use crate::world::World;

pub(crate) fn connected(seed: u64, custodians: usize) -> World {
    let mut world = World::connected(seed, custodians);
    world.run(3 * SECOND_MS);
    world
}

pub(crate) fn sessions(world: &mut World, node: usize) -> u32 {
    match world.call(node, Request::Contacts(NoParams {})) {
        Ok(Reply::Contacts(list)) => list.contacts[0].sessions,
        other => panic!("{other:?}"),
    }
}

/// Up for a while, alone with the custodians.
pub(crate) fn turn(world: &mut World, node: usize, ms: u64) {
    world.start(node);
    world.run(ms);
    world.stop(node);
}

/// session.md 14, "one live session". Both begin anew at once; p0's first message lies at a custodian that
/// comes back only after p1 has heard p0's answer on its own session. From then on each sends on a
/// session that the other has archived, and 31 days later deleted: nothing that they write is
/// readable any more, and no direct stream can be proven. Nobody is told.
#[test]
fn two_that_began_at_once_do_not_part_after_a_month() {
    for seed in 610..613 {
        let mut world = connected(seed, 4);
        world.stop(0);
        world.stop(1);
        (3..6).for_each(|custodian| world.stop(custodian));
        world.nodes[0].rolled_back = true;
        world.nodes[1].rolled_back = true;
        world.start(0);
        let sent = world.say(0, "p1", "from p0");
        assert!(world.wait_state(0, &sent.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(0);
        world.stop(2);
        (3..6).for_each(|custodian| world.start(custodian));
        world.start(1);
        let sent = world.say(1, "p0", "from p1");
        assert!(world.wait_state(1, &sent.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(1);
        turn(&mut world, 0, 5 * MINUTE_MS);
        turn(&mut world, 1, 5 * MINUTE_MS);
        world.start(2);
        turn(&mut world, 1, 5 * MINUTE_MS);
        turn(&mut world, 0, 5 * MINUTE_MS);
        world.run(32 * DAY_MS);
        for (from, to) in [(0, 1), (1, 0)] {
            world.start(from);
            let sent = world.say(from, ["p1", "p0"][from], "after a month");
            assert!(world.wait_state(from, &sent.id, MessageState::Held, 60 * SECOND_MS));
            world.stop(from);
            turn(&mut world, to, 5 * MINUTE_MS);
        }
        for node in [0, 1] {
            world.start(node);
            let got = world.texts_from(node, ["p1", "p0"][node]);
            assert!(got.contains(&"after a month".to_owned()), "seed {seed}: p{node} has {got:?}");
            world.stop(node);
        }
    }
}

/// session.md 3. Opened tags are remembered for 31 days and archived sessions kept for 31 days, but the
/// private prekeys for 40. In between, who knows p0's account and recorded p1's very first message hands
/// it to p0 again: it begins a session, the one in use is archived, and p0 sends on one that p1 has
/// deleted.
#[test]
fn a_first_message_of_a_month_ago_begins_no_session() {
    let mut world = World::new(620, 2, 4);
    world.run(SECOND_MS);
    let account = world.account(0);
    world.record = true;
    // For two: an invite that is used up has its prekeys deleted, and nothing would be left to begin with.
    let ticket = world.invite_for(0, Some(2));
    world.introduce_by(&ticket, 0, 1);
    world.record = false;
    let today = account.day(world.now);
    let requests: Vec<Address> =
        (-1..=1).map(|ahead| request_address(&account, today.offset(ahead)).unwrap()).collect();
    let first = world.recorded.iter().find_map(|bytes| match Frame::from_bytes(bytes) {
        Ok(Frame::Deposit { envelope, .. }) => {
            let envelope = Envelope::parse(&envelope).unwrap();
            requests.contains(&envelope.address).then(|| unmask(&account.0, &envelope))
        }
        _ => None,
    });
    // p1 begins anew: its first session is archived on both sides.
    world.stop(1);
    world.nodes[1].rolled_back = true;
    world.start(1);
    // And both go on with the new one, so that p0 has no doubt that the first is over.
    for (from, to, text) in [(1, "p0", "anew"), (0, "p1", "indeed"), (1, "p0", "so be it")] {
        let sent = world.say(from, to, text);
        assert!(world.wait_state(from, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
    }
    world.run(5 * MINUTE_MS);
    (0..6).for_each(|node| world.stop(node));
    world.run(32 * DAY_MS + 6 * HOUR_MS);
    (2..6).for_each(|node| world.start(node));
    world.start(0);
    // For some hours p0 does not believe that so much time has passed, and forgets nothing.
    world.run(CLOCK_DOUBT_MS + 2 * HOUR_MS);
    let before = sessions(&mut world, 0);
    let day = account.day(world.now);
    let (address, expires) = (request_address(&account, day).unwrap(), world.now.plus(DAY_MS).seconds());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let envelope = seal_round(&account.0, address, day, expires, &first.unwrap(), &mut rng).unwrap();
    world.frame(0, world.nodes[5].peer, Frame::Push { envelope });
    world.run(MINUTE_MS);
    assert_eq!(sessions(&mut world, 0), before, "a replay began a session");
}

/// p1, alone with a message of p0's for which it owes a receipt: nobody is there to keep it.
fn owing(seed: u64) -> World {
    let mut world = connected(seed, 3);
    world.stop(1);
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.start(1);
    let got =
        |world: &World| world.nodes[1].events.iter().any(|event| format!("{event:?}").contains("hello"));
    assert!(world.run_until(20 * SECOND_MS, got));
    (2..5).for_each(|custodian| world.stop(custodian));
    world
}

/// A laptop gets a message and loses its network before the receipt is out. "At most one a minute": the
/// looks of rounds that are over seal the next receipt at once, and each of these leaves more looks.
#[test]
fn a_receipt_that_cannot_be_sent_is_made_once_a_minute() {
    let mut world = owing(630);
    world.run(MINUTE_MS);
    let before = world.nodes[1].lookups;
    world.run(5 * MINUTE_MS);
    let asked = world.nodes[1].lookups - before;
    assert!(asked <= 60, "{asked} questions in five minutes for one receipt");
}

/// And what that ends in: each is sealed one step further on in the chain, so after half an hour without
/// a network nothing that p1 writes can be opened ("skips 2,048, one more refused"), by mailbox or
/// directly, and after five hours the session has come to its end, at 65,536.
#[test]
fn half_an_hour_without_a_network_does_not_use_up_a_session() {
    let mut world = owing(631);
    world.run(30 * MINUTE_MS);
    (2..5).for_each(|custodian| world.start(custodian));
    let sent = world.say(1, "p0", "on line again");
    assert!(world.wait_state(1, &sent.id, MessageState::Held, MINUTE_MS));
    world.stop(1);
    turn(&mut world, 0, 2 * MINUTE_MS);
    world.start(0);
    let by_mailbox = world.texts_from(0, "p1").len();
    world.start(1);
    world.run(MINUTE_MS);
    let both_on_line = world.texts_from(0, "p1").len();
    assert_eq!((by_mailbox, both_on_line), (1, 1));
}

/// session.md 23, mailbox.md 4: "re-seals after a reset". What is `held` is not: p1 loses its sessions on
/// the eighth day and says so by a new first message, but p0 deposits again only on day 14, when the message
/// has expired. They are never on line together.
#[test]
fn held_mail_is_sealed_and_deposited_again_when_the_contact_begins_anew() {
    let mut world = connected(640, 4);
    world.stop(1);
    let sent = world.say(0, "p1", "important");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.run(7 * DAY_MS + 6 * HOUR_MS);
    turn(&mut world, 0, 10 * MINUTE_MS);
    world.lose_sessions(1);
    // Its disk is what custodians still have: nothing, as far as it can read.
    world.start(1);
    let back = world.say(1, "p0", "I lost everything");
    assert!(world.wait_state(1, &back.id, MessageState::Held, MINUTE_MS));
    world.stop(1);
    for _ in 0..6 {
        turn(&mut world, 0, 20 * MINUTE_MS);
        world.run(12 * HOUR_MS);
        turn(&mut world, 1, 20 * MINUTE_MS);
        world.run(12 * HOUR_MS);
    }
    world.start(1);
    assert_eq!(world.texts_from(1, "p0"), ["important"]);
    assert_eq!(world.state(1, &back.id), Some(MessageState::Delivered));
}

/// A receipt that finds no session to be sealed on is forgotten until something else comes: after a
/// rollback p1 opens what waits for it, begins anew, and p0 is not told.
#[test]
fn a_receipt_that_waits_for_a_session_is_sent_when_there_is_one() {
    let mut world = connected(650, 4);
    world.stop(1);
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.nodes[1].rolled_back = true;
    turn(&mut world, 1, HOUR_MS);
    world.start(0);
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 10 * MINUTE_MS));
}

/// p1 has added p0, who let it in, so the invite is used up. p1's database is restored from a copy before
/// it hears so: it asks for the invite again, is told that it has ended, and deletes the contact and
/// the conversation, while p0 has it and writes.
#[test]
fn a_rollback_while_a_contact_is_being_added_does_not_delete_it() {
    let mut world = World::new(660, 2, 4);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.run(2 * SECOND_MS);
    world.stop(0);
    let added = world.add(1, &ticket).unwrap();
    let sent = world.say(1, &added.account, "hello");
    assert!(world.wait_state(1, &sent.id, MessageState::Held, 30 * SECOND_MS));
    world.stop(1);
    turn(&mut world, 0, MINUTE_MS);
    world.nodes[1].rolled_back = true;
    world.start(1);
    world.run(MINUTE_MS);
    let contacts = match world.call(1, Request::Contacts(NoParams {})) {
        Ok(Reply::Contacts(list)) => list.contacts.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(contacts, 1, "the contact is gone, and what was written to it");
    let again = world.say(1, &added.account, "and again");
    assert!(world.wait_state(1, &again.id, MessageState::Held, 2 * MINUTE_MS));
    turn(&mut world, 0, MINUTE_MS);
    world.start(0);
    assert_eq!(world.texts_from(0, "p1"), ["hello", "and again"]);
}

/// A ticket had ended, so the contact and its messages are deleted; a new ticket of the same account works.
/// The client, which never got an answer to its send, sends it again: the Messenger takes its own
/// deletion for a damaged database and its step fails, every time.
#[test]
fn a_client_id_of_a_deleted_conversation_is_not_a_damaged_database() {
    let mut world = World::new(670, 3, 4);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.add(2, &ticket).unwrap();
    world.run(20 * SECOND_MS);
    let account = world.account(0).to_string();
    let again = || World::send_request(&account, "hello", Some("once".to_owned()));
    world.ask(1, Request::Add(AddParams { ticket, name: None, text: None }));
    world.ask(1, again());
    world.run(20 * SECOND_MS);
    let ticket = world.invite(0);
    world.add(1, &ticket).unwrap();
    world.run(20 * SECOND_MS);
    world.ask(1, again());
    world.run(20 * SECOND_MS);
    assert_eq!(world.texts_from(0, "p1"), ["hello"]);
}

/// p1's clock was days ahead for some hours. The days it missed count as collected for the next ones: what
/// lies in the mailbox of one of them is not looked for. Two days ahead is what custodians take.
#[test]
fn a_clock_that_was_ahead_does_not_skip_days_to_collect() {
    for (seed, days) in [(680, 20), (681, 2)] {
        let mut world = connected(seed, 4);
        world.set_clock(1, i64::try_from(days * DAY_MS).unwrap());
        world.run(5 * HOUR_MS);
        world.stop(1);
        world.set_clock(1, 0);
        let sent = world.say(0, "p1", "while you are away");
        assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
        world.stop(0);
        world.run(3 * DAY_MS + 12 * HOUR_MS);
        world.start(1);
        world.run(5 * MINUTE_MS);
        assert_eq!(world.texts_from(1, "p0"), ["while you are away"], "{days} days");
    }
}

/// p1 has listed yesterday's mailbox, and loses its way to the custodians until the next day. What somebody whose
/// clock is late writes meanwhile is in yesterday's.
#[test]
fn a_day_counts_when_it_was_listed_after_the_tolerance_was_over() {
    let mut world = connected(682, 4);
    let account = world.account(1);
    let today = account.day(world.now);
    while account.day(world.now) == today {
        world.run(HOUR_MS);
    }
    world.run(2 * HOUR_MS);
    [0, 2, 3, 4, 5].into_iter().for_each(|other| world.set_cut(1, other, true));
    world.set_clock(0, -i64::try_from(20 * HOUR_MS).unwrap());
    let sent = world.say(0, "p1", "late");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 20 * SECOND_MS));
    world.stop(0);
    world.run(DAY_MS + 2 * HOUR_MS);
    [2, 3, 4, 5].into_iter().for_each(|other| world.set_cut(1, other, false));
    world.run(2 * HOUR_MS);
    assert_eq!(world.texts_from(1, "p0"), ["late"]);
}

/// p1 comes back after days and for two hours meets one peer only, who keeps nothing for it (a stranger
/// can see to that). The missed days count as collected, and their mailboxes are closed.
#[test]
fn missed_days_are_collected_from_those_who_keep_them() {
    let mut world = connected(690, 5);
    world.stop(6);
    world.stop(1);
    let sent = world.say(0, "p1", "while you are away");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.run(3 * DAY_MS + 12 * HOUR_MS);
    (2..6).for_each(|custodian| world.stop(custodian));
    world.start(6);
    world.start(1);
    world.run(2 * HOUR_MS + 30 * MINUTE_MS);
    (2..6).for_each(|custodian| world.start(custodian));
    world.run(30 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0"), ["while you are away"]);
}

/// Addresses are blinded so that two days cannot be linked, and a later deposit "looks new". The envelope's
/// `expires`, in clear and to the second, is that of the message: custodians see one value under
/// yesterday's address and under today's.
#[test]
fn a_later_deposit_does_not_link_two_days() {
    let mut world = connected(700, 4);
    world.stop(1);
    world.record = true;
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.run(DAY_MS + HOUR_MS);
    let mut addresses: BTreeMap<Time, BTreeSet<Address>> = BTreeMap::new();
    for bytes in &world.recorded {
        if let Ok(Frame::Deposit { envelope, .. }) = Frame::from_bytes(bytes) {
            let envelope = Envelope::parse(&envelope).unwrap();
            addresses.entry(envelope.expires_at()).or_default().insert(envelope.address);
        }
    }
    let second = Time(1_000);
    let linked = addresses.iter().filter(|(at, seen)| at.0 % HOUR_MS >= second.0 && seen.len() > 1);
    assert_eq!(linked.count(), 0, "{addresses:?}");
}

/// What others can make a Messenger do has a price; this has none. Five frames of junk on a contact's
/// stream, and it asks custodians 24 times, makes a KEM and a handshake and seals its outbox anew; 1.5 s
/// later again.
#[test]
fn a_contact_does_not_make_a_new_session_every_other_second() {
    let mut world = connected(710, 4);
    let before = sessions(&mut world, 0);
    let peer = world.nodes[1].peer;
    for i in 0..150u32 {
        for j in 0..5u32 {
            let inner = sha256(&[&i.to_le_bytes(), &j.to_le_bytes()]).repeat(8);
            world.frame(0, peer, Frame::Direct { inner });
        }
        world.run(2 * SECOND_MS);
    }
    let made = sessions(&mut world, 0) - before;
    assert!(made <= 10, "{made} sessions in five minutes");
}

/// 2,060 messages that expire before p1 is back, and then one that does not: it is held by every custodian
/// and p1 cannot find it, because it is 2,060 ahead. Sealed again after 7 days it is farther still.
#[test]
fn a_message_after_many_that_expired_is_found() {
    let mut world = connected(720, 1);
    (1..3).for_each(|node| world.stop(node));
    for i in 0..2_060 {
        let (to, text, expire_ms) = ("p1".to_owned(), format!("{i}"), Some(MINUTE_MS));
        world.ask(0, Request::Send(SendParams { to, text, client_id: None, expire_ms }));
    }
    world.run(3 * MINUTE_MS);
    assert!(world.outbox(0).is_empty());
    world.stop(0);
    world.run(2 * DAY_MS);
    world.start(2);
    world.start(0);
    let sent = world.say(0, "p1", "the last");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 60 * SECOND_MS));
    world.stop(0);
    world.start(1);
    world.run(5 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0"), ["the last"]);
}

/// p0 began a session with a prekey that p1 does not have any more (its database is an older copy). p1
/// begins anew, and p0, whose own session has the smaller id (one in two), keeps sending on its own, which
/// nobody can open, for nine days.
#[test]
fn a_session_that_the_contact_cannot_have_is_not_preferred() {
    for seed in 730..734 {
        let mut world = connected(seed, 4);
        world.stop(1);
        world.stop(0);
        let copy = world.nodes[1].private.clone();
        world.run(DAY_MS + 2 * HOUR_MS);
        turn(&mut world, 1, MINUTE_MS);
        world.lose_sessions(0);
        world.start(0);
        let sent = world.say(0, "p1", "hello");
        assert!(world.wait_state(0, &sent.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(0);
        world.nodes[1].private = copy;
        world.nodes[1].rolled_back = true;
        world.start(1);
        let back = world.say(1, "p0", "an older copy");
        assert!(world.wait_state(1, &back.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(1);
        for _ in 0..4 {
            turn(&mut world, 0, 20 * MINUTE_MS);
            world.run(12 * HOUR_MS);
            turn(&mut world, 1, 20 * MINUTE_MS);
            world.run(6 * HOUR_MS);
        }
        world.start(1);
        assert!(world.texts_from(1, "p0").contains(&"hello".to_owned()), "seed {seed}");
    }
}

/// A node was started on an older copy, began anew, and went on. Each time its clock is set back while it
/// runs it takes itself for an older copy again: every session and the run of its numbers begin anew.
#[test]
fn a_rollback_is_one_rollback() {
    let mut world = connected(740, 4);
    world.stop(0);
    world.nodes[0].rolled_back = true;
    world.start(0);
    let sent = world.say(0, "p1", "anew");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
    let before = sessions(&mut world, 0);
    world.set_clock(0, -i64::try_from(5 * MINUTE_MS).unwrap());
    world.run(10 * SECOND_MS);
    let sent = world.say(0, "p1", "and again?");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
    assert_eq!(sessions(&mut world, 0), before);
}

/// session.md, Keys: an invite's private prekeys are "kept until the last use". They are kept for a month
/// after: who takes the disk then reads the first message, and everything up to the first answer.
#[test]
fn the_prekeys_of_an_invite_that_is_used_up_are_deleted() {
    let mut world = connected(750, 4);
    world.run(2 * HOUR_MS);
    let prekeys = world.nodes[0].private.values().filter(|(table, _)| **table == Table::Prekeys).count();
    assert_eq!(prekeys, 1, "the public one, and no other");
}
