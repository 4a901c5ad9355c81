//! Looking far ahead in the sessions of many contacts (SPEC §8.4.6): other work goes on meanwhile.

use std::collections::BTreeSet;

use murmesh_protocol::blind::contact_address;
use murmesh_protocol::control::MessageReply;
use murmesh_protocol::id::EnvelopeId;
use murmesh_protocol::limits::{
    CONTACTS_MAX, FAR_AHEAD_CONTACTS, FAR_AHEAD_MS, FAR_AHEAD_PAUSE_MS, FAR_AHEAD_RATE,
};
use murmesh_protocol::messenger::io::{Input, Output};
use murmesh_protocol::time::{DAY_MS, SECOND_MS};
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::Frame;

use crate::correspondent::Correspondent;
use crate::mallory::{Mallory, text};
use crate::victim::{CUSTODIAN, NOW, Victim};

/// Contacts of three steps, the last of which is not full.
const CONTACTS: usize = 2 * FAR_AHEAD_CONTACTS + 3;

/// A victim and its contacts, in the order in which they are looked at.
fn many() -> (Victim, Vec<Correspondent>) {
    let mut victim = Victim::new();
    let numbers = 10..10 + u8::try_from(CONTACTS).unwrap();
    let mut contacts: Vec<Correspondent> =
        numbers.map(|i| Correspondent::connected(Mallory::number(i), &mut victim)).collect();
    contacts.sort_by_key(|contact| contact.mallory.account.id());
    (victim, contacts)
}

/// A message whose predecessors are lost.
fn far(contact: &mut Correspondent, seq: u64) -> Vec<u8> {
    (0..100).map(|_| contact.seal(vec![text(seq, NOW)])).last().unwrap()
}

fn authors(read: &[MessageReply]) -> BTreeSet<String> {
    read.iter().map(|message| message.from.clone()).collect()
}

/// What is due next is done; gives how many texts there are then.
fn step(victim: &mut Victim) -> usize {
    victim.now = victim.now.max(victim.messenger.poll_deadline().unwrap().at);
    victim.input(Input::Deadline);
    victim.read().len()
}

/// A custodian's one junk envelope made a table for each contact in one step: with thousands of them nothing else was done
/// for seconds, each half minute.
#[test]
fn a_step_looks_at_few_contacts_and_a_search_at_each_once() {
    let (mut victim, mut contacts) = many();
    for (contact, seq) in contacts.iter_mut().zip(1..) {
        let inner = far(contact, seq);
        contact.hand_over(&mut victim, &inner);
    }
    let (ends, mut found) = (victim.now.plus(FAR_AHEAD_MS + SECOND_MS), vec![0]);
    while victim.messenger.poll_deadline().is_some_and(|deadline| deadline.at <= ends) {
        found.push(step(&mut victim));
    }
    let steps: Vec<usize> = found.windows(2).map(|pair| pair[1] - pair[0]).filter(|n| *n > 0).collect();
    assert_eq!(steps, [FAR_AHEAD_CONTACTS, FAR_AHEAD_CONTACTS, 3]);
    assert_eq!(authors(&victim.read()).len(), CONTACTS);
}

/// What comes while a search is under way has the sessions behind it searched only by the next one, which waits for its turn.
#[test]
fn what_comes_during_a_search_is_looked_for_in_every_session_too() {
    let (mut victim, mut contacts) = many();
    let [first, .., last] = contacts.as_mut_slice() else { panic!("too few") };
    let inner = far(last, 1);
    last.hand_over(&mut victim, &inner);
    victim.run(FAR_AHEAD_MS);
    assert_eq!(victim.read().len(), 0, "it is under way");
    let (late, direct) = (far(first, 2), far(first, 3));
    first.hand_over(&mut victim, &late);
    first.send(&mut victim, direct);
    victim.run(FAR_AHEAD_MS - SECOND_MS);
    assert_eq!(victim.read().len(), 1, "only what it was begun for");
    victim.run(2 * SECOND_MS);
    assert_eq!(victim.read().len(), 3);
}

/// A machine that sleeps meanwhile has both due at once.
#[test]
fn a_search_that_is_due_during_another_follows_it() {
    let (mut victim, mut contacts) = many();
    let [first, .., last] = contacts.as_mut_slice() else { panic!("too few") };
    let inner = far(last, 1);
    last.hand_over(&mut victim, &inner);
    victim.run(FAR_AHEAD_MS);
    let late = far(first, 2);
    first.hand_over(&mut victim, &late);
    victim.now = victim.now.plus(2 * FAR_AHEAD_MS);
    assert_eq!(step(&mut victim), 0, "it is under way");
    victim.run(SECOND_MS);
    assert_eq!(victim.read().len(), 2);
}

/// Killed in the middle of a search: what was not found yet is with its custodians, and is listed and looked for again.
#[test]
fn a_search_that_a_restart_cuts_off_loses_nothing() {
    let (mut victim, mut contacts) = many();
    let mut sent = Vec::new();
    for (contact, seq) in contacts.iter_mut().zip(1..) {
        let (inner, mailbox) = (far(contact, seq), contact.mailbox().clone());
        let day = victim.account.day(victim.now);
        let address = contact_address(&mailbox, day).unwrap();
        let (expires, rng) = (victim.now.plus(DAY_MS).seconds(), &mut contact.mallory.rng);
        let envelope = seal_round(&mailbox.secret, address, day, expires, &inner, rng).unwrap();
        sent.push(envelope);
    }
    victim.sent.clear();
    for envelope in &sent {
        victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope: envelope.clone() }));
    }
    victim.run(FAR_AHEAD_MS + FAR_AHEAD_PAUSE_MS);
    assert_eq!(victim.read().len(), 2 * FAR_AHEAD_CONTACTS, "it is cut off in the middle");
    let dropped = |victim: &Victim| -> BTreeSet<EnvelopeId> {
        let ids = victim.sent.iter().filter_map(|output| match output {
            Output::Send(CUSTODIAN, Frame::Tombstone(tombstone)) => Some(tombstone.ids.clone()),
            _ => None,
        });
        ids.flatten().collect()
    };
    let opened = dropped(&victim);
    assert_eq!(opened.len(), 2 * FAR_AHEAD_CONTACTS, "only what was opened is dropped");
    victim.restart(false);
    for envelope in sent.iter().filter(|bytes| !opened.contains(&EnvelopeId::of(bytes))) {
        victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope: envelope.clone() }));
    }
    victim.run(FAR_AHEAD_MS + SECOND_MS);
    assert_eq!(authors(&victim.read()).len(), CONTACTS);
    assert_eq!(dropped(&victim).len(), CONTACTS);
}

/// As many contacts as there may be, before the next search is due.
#[test]
fn a_search_is_over_before_the_next_is_due() {
    let steps = u64::try_from(CONTACTS_MAX.div_ceil(FAR_AHEAD_CONTACTS)).unwrap();
    assert!(steps * FAR_AHEAD_PAUSE_MS < FAR_AHEAD_RATE.refill_ms);
}
