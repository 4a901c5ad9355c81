//! Limits that protect a Messenger, met by honest heavy use (SPEC §9.1), and what one contact's junk does to
//! what others have sent.

use murmesh_protocol::control::{AddParams, MessageState, NoParams, Reply, Request};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::limits::{FAR_AHEAD_MS, FAR_AHEAD_RATE, UNOPENED_MAX};
use murmesh_protocol::messenger::io::Input;
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use murmesh_protocol::wire::frame::{Frame, Refusal};

use crate::correspondent::Correspondent;
use crate::mallory::{MALLORY, Mallory, Part, text};
use crate::victim::{NOW, Victim, facts};
use crate::world::World;

/// Whoever goes back to older copies twice has messages of three runs on their way; each is sent until a receipt
/// names its run.
#[test]
fn receipts_name_every_run_that_is_on_its_way() {
    let mut world = World::connected(4, 5);
    world.set_cut(0, 1, true);
    world.say(0, "p1", "run 1");
    for run in 2..=4 {
        world.stop(0);
        world.nodes[0].rolled_back = true;
        world.start(0);
        world.say(0, "p1", &format!("run {run}"));
    }
    world.run(MINUTE_MS);
    world.set_cut(0, 1, false);
    world.run(10 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0").len(), 4);
    assert!(world.outbox(0).is_empty(), "{:?}", world.outbox(0));
}

/// A clock is set far ahead by mistake, and back two hours later. Meanwhile somebody has used an invite.
#[test]
fn a_clock_that_jumped_deletes_no_prekey_at_once() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    let now = victim.now;
    victim.sleep(400 * DAY_MS);
    victim.run(2 * HOUR_MS);
    victim.now = now.plus(2 * HOUR_MS);
    victim.input(Input::Deadline);
    mallory.say(&mut victim, &mut session, vec![text(1, now)]);
    assert_eq!(victim.read().len(), 1);
}

/// In any network custodians come all the time; a mailbox that is full today stays so.
#[test]
fn custodians_that_come_do_not_undo_the_back_off_of_what_a_full_mailbox_refuses() {
    let mut victim = Victim::new();
    Correspondent::connected(Mallory::new(), &mut victim);
    victim.input(Input::PeerDown(MALLORY));
    victim.refuses = Some(Refusal::MailboxFull);
    for i in 0..100 {
        victim.ask(World::send_request("mallory", &format!("{i}"), None));
    }
    victim.run(HOUR_MS);
    victim.sent.clear();
    for _ in 0..120 {
        victim.run(30 * SECOND_MS);
        victim.input(Input::PeerUp(facts(PeerId([77; 32]), true)));
        victim.input(Input::PeerDown(PeerId([77; 32])));
    }
    // About two retries of each, and those that six pauses and a burst of four allow.
    assert!(victim.deposits().count() < 2_000, "{} deposits in an hour", victim.deposits().count());
}

/// What nobody can open, of 512 bytes.
fn junk(i: u64) -> Vec<u8> {
    [i.to_le_bytes().to_vec(), vec![7; 512 - 58 - 8]].concat()
}

/// A message whose predecessors are lost is found far ahead, whatever another contact has on its stream.
#[test]
fn junk_of_one_contact_does_not_displace_the_mail_of_another() {
    let mut victim = Victim::new();
    let mut friend = Correspondent::connected(Mallory::number(10), &mut victim);
    let mallory = Correspondent::connected(Mallory::new(), &mut victim);
    let far = (1..=100).map(|seq| friend.seal(vec![text(seq, NOW)])).last().unwrap();
    friend.hand_over(&mut victim, &far);
    (0..UNOPENED_MAX as u64).for_each(|i| mallory.send(&mut victim, junk(i)));
    victim.run(FAR_AHEAD_MS + SECOND_MS);
    assert_eq!(victim.read().len(), 1);
}

/// Receipts for what a killed recipient had sent were lost with its connections: the mail behind them lay
/// unopened until it had been up for half a minute, and who was killed more often than that never read any.
#[test]
fn mail_behind_lost_frames_is_read_in_time_after_a_restart() {
    let mut victim = Victim::new();
    let mut friend = Correspondent::connected(Mallory::number(10), &mut victim);
    let far = (1..=100).map(|seq| friend.seal(vec![text(seq, NOW)])).last().unwrap();
    for _ in 0..3 {
        victim.restart(false);
        victim.run(SECOND_MS);
        friend.hand_over(&mut victim, &far);
    }
    victim.run(10 * SECOND_MS);
    assert_eq!(victim.read().len(), 1);
}

/// A table of far tags is thousands of hashes. What came over one contact's stream can only be that contact's.
#[test]
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "what it costs is time")]
fn junk_of_one_contact_does_not_cost_a_table_for_every_other() {
    let mut victim = Victim::new();
    let mut contacts: Vec<Correspondent> =
        (10..50).map(|i| Correspondent::connected(Mallory::number(i), &mut victim)).collect();
    let mut cost = |direct: bool| {
        let searches = (0..3).map(|i| {
            if direct {
                contacts[0].send(&mut victim, junk(i));
            } else {
                contacts[0].hand_over(&mut victim, &junk(100 + i));
            }
            let begun = std::time::Instant::now();
            victim.run(FAR_AHEAD_RATE.refill_ms + SECOND_MS);
            begun.elapsed()
        });
        searches.min().unwrap()
    };
    let (one, every) = (cost(true), cost(false));
    assert!(2 * one < every, "{one:?} for one, {every:?} for each of 40");
}

/// Thousands of messages for a contact that is away, and its mailbox is full: each hundred begins a session, and
/// what a session has sealed that was deleted for being one too many is sealed in another one, and so on.
#[test]
fn what_waits_is_not_sealed_again_and_again() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    victim.input(Input::PeerDown(MALLORY));
    victim.restart(true);
    victim.refuses = Some(Refusal::MailboxFull);
    let manifest = contact.mallory.manifest.clone();
    for i in 0..4_600 {
        victim.ask(World::send_request("mallory", &format!("{i}"), None));
        if i % 100 == 0 {
            contact.publish(&mut victim, &manifest, 8 * DAY_MS);
            victim.sent.clear();
        }
    }
    let wanted = (0..60).filter(|_| {
        victim.run(3 * MINUTE_MS);
        let asked = contact.is_asked_for(&victim);
        if asked {
            contact.publish(&mut victim, &manifest, 8 * DAY_MS);
        }
        victim.sent.clear();
        asked
    });
    assert_eq!(wanted.count(), 0, "of 60 times");
}

/// So many messages while the contact is away that several sessions are filled; it comes back. One also goes
/// directly then.
#[test]
fn a_burst_of_thousands_arrives_once() {
    let mut world = World::connected(2, 6);
    world.stop(1);
    for i in 0..2_500 {
        world.ask(0, World::send_request("p1", &i.to_string(), None));
        world.run(4);
    }
    world.run(10 * MINUTE_MS);
    assert!(world.outbox(0).iter().all(|entry| entry.state == MessageState::Held));
    world.start(1);
    world.run(5 * MINUTE_MS);
    assert!(world.outbox(0).is_empty());
    let expected: Vec<String> = (0..2_500).map(|i| i.to_string()).collect();
    assert!(world.texts_from(1, "p0") == expected, "in order");
    let sent = world.say(0, "p1", "directly");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, SECOND_MS));
}

/// A node that was started while the clock was wrong.
#[test]
fn a_node_started_while_the_clock_is_wrong_ends_nothing_at_once() {
    let mut victim = Victim::new();
    Correspondent::connected(Mallory::new(), &mut victim);
    victim.input(Input::PeerDown(MALLORY));
    victim.refuses = Some(Refusal::MailboxFull);
    victim.ask(World::send_request("mallory", "still there?", None));
    let now = victim.now;
    victim.now = now.plus(400 * DAY_MS);
    victim.restart(false);
    victim.now = now.plus(MINUTE_MS);
    victim.input(Input::Deadline);
    let Reply::Outbox(outbox) = victim.ask(Request::Outbox(NoParams {})) else { panic!("another reply") };
    assert_eq!(outbox.messages.len(), 1);
}

/// Story: on a busy machine the invite record was asked for before its maker's disk had it. It was asked for again when
/// the client had waited for 4 s.
#[test]
fn a_ticket_whose_record_did_not_come_is_asked_for_again_while_somebody_waits() {
    let mut world = World::new(98, 2, 3);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.faults.loss = 1_000;
    let asked = world.ask(1, Request::Add(AddParams { ticket, name: None, text: None }));
    world.run(200);
    world.faults.loss = 0;
    assert!(world.run_until(SECOND_MS, |world| world.nodes[1].replies.contains_key(&asked)));
}

/// Several steps share a transaction, and what they send leaves after it: each message was acknowledged by a receipt of its
/// own, sealed here and opened, kept and looked through there.
#[test]
fn one_receipt_acknowledges_all_of_a_transaction() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    let sealed: Vec<Vec<u8>> = (1..=10).map(|seq| contact.seal(vec![text(seq, NOW)])).collect();
    victim.sent.clear();
    let Victim { messenger, store, rng, now, sent, .. } = &mut victim;
    let stepped: Result<(), StoreError> = store.transaction(|tx| {
        for inner in sealed {
            let frame = Frame::Direct { inner };
            messenger.handle_unsettled(*now, Input::Frame(MALLORY, frame), tx, rng)?;
        }
        messenger.settle(*now, tx, rng)
    });
    stepped.unwrap();
    sent.extend(std::iter::from_fn(|| messenger.poll_output()));
    let receipts = contact.hear(&victim);
    let told = receipts.iter().flat_map(|content| &content.parts).filter_map(|part| {
        let Part::Receipt { up_to, .. } = part else { return None };
        Some(*up_to)
    });
    assert_eq!(told.collect::<Vec<_>>(), [10]);
    assert_eq!(victim.read().len(), 10);
}
