//! Who and what is not let in, not heard and not believed (SPEC §5, §6.4, §8.5).

use std::collections::BTreeSet;

use murmesh_protocol::blind::contact_address;
use murmesh_protocol::control::{ContactState, ErrorName, MessageState, Request, SendParams, WhoParams};
use murmesh_protocol::keys::{DeviceKeys, Entropy, MailboxKeys};
use murmesh_protocol::limits::{FIRST_MESSAGES_RATE, GRACE_MS, INVITE_MS};
use murmesh_protocol::messenger::io::{Input, Output, PeerFacts, RequestId};
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use murmesh_protocol::wire::envelope::Envelope;
use murmesh_protocol::wire::frame::Frame;
use murmesh_protocol::wire::manifest::Manifest;

use super::{contacts, send, texts};
use crate::correspondent::Correspondent;
use crate::mallory::{Mallory, Part, text};
use crate::victim::{NOW, OWN, STRANGER, Victim, facts};

/// A manifest of this version with the account's own device.
fn manifest(mallory: &Mallory, version: u64) -> Manifest {
    Mallory::manifest_of(&mallory.account, &mallory.device, version, Vec::new())
}

/// SPEC §6.4: a stream is one contact's. What another's session sealed is not taken from it, whoever passes
/// it on; its author's own stream brings it.
#[test]
fn on_a_contacts_stream_only_its_own_sessions_are_heard() {
    let mut victim = Victim::new();
    let mallory = Correspondent::connected(Mallory::new(), &mut victim);
    let mut trudy = Correspondent::connected(Mallory::number(77), &mut victim);
    let inner = trudy.seal(vec![text(1, NOW)]);
    mallory.send(&mut victim, inner.clone());
    assert_eq!(texts(&mut victim), [] as [&str; 0], "opened on somebody else's stream");
    trudy.send(&mut victim, inner);
    assert_eq!(texts(&mut victim), ["1"]);
}

/// SPEC §5.2, §8.5: a certificate says that a device once was the account's, its manifest that it is. One
/// that lists another device, or this one with another key, introduces nobody.
#[test]
fn a_device_that_its_own_manifest_does_not_list_is_not_let_in() {
    for same_device in [true, false] {
        let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
        let ticket = victim.invite();
        let mut session = mallory.begin(&victim, &ticket);
        let listed = mallory.manifest.clone();
        let other = DeviceKeys::generate(&mut mallory.rng);
        let mut fields = listed.fields().clone();
        fields.devices[0].dh = other.dh_public();
        if !same_device {
            fields.devices[0].id = other.id();
        }
        mallory.manifest = Manifest::sign(&mallory.account, fields).unwrap();
        mallory.say(&mut victim, &mut session, vec![text(1, NOW)]);
        assert_eq!(contacts(&mut victim), 0, "the same device: {same_device}");
        mallory.manifest = listed;
        mallory.say(&mut victim, &mut session, vec![text(1, NOW)]);
        assert_eq!((contacts(&mut victim), texts(&mut victim).len()), (1, 1));
    }
}

/// SPEC §8.5: contacts pin (version, hash). The bundle of a device that only an older manifest lists, or
/// another one of the pinned version, begins no session; the pinned one's does, and a newer one's.
#[test]
fn a_session_is_begun_with_a_device_of_the_pinned_manifest_or_a_newer_one() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::let_in(Mallory::new(), &mut victim);
    let mut begun_with = |contact: &mut Correspondent, version: u64| {
        victim.sent.clear();
        victim.restart(true);
        send(&mut victim, "anew");
        assert!(contact.is_asked_for(&victim));
        let (before, shown) = (victim.contact().sessions, manifest(&contact.mallory, version));
        contact.publish(&mut victim, &shown, 8 * DAY_MS);
        victim.contact().sessions - before
    };
    let pinned = contact.mallory.manifest.version();
    let stolen = DeviceKeys::generate(&mut contact.mallory.rng);
    let own = std::mem::replace(&mut contact.mallory.device, stolen);
    assert_eq!(begun_with(&mut contact, pinned - 1), 0, "an older one");
    assert_eq!(begun_with(&mut contact, pinned), 0, "another one");
    contact.mallory.device = own;
    assert_eq!(begun_with(&mut contact, pinned), 1);
    assert_eq!(begun_with(&mut contact, pinned + 1), 1);
}

/// SPEC §5.7, §9.1: each first message costs a decapsulation. One more than a prekey takes at once waits
/// in its mailbox, and is taken when there is room again.
#[test]
fn a_first_message_too_many_for_its_prekey_waits_in_its_mailbox() {
    for (before, taken) in [(FIRST_MESSAGES_RATE.burst - 1, true), (FIRST_MESSAGES_RATE.burst, false)] {
        let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
        let ticket = victim.invite();
        let mut session = mallory.begin(&victim, &ticket);
        let inner = mallory.first(&mut session, vec![]);
        let ephemeral = 8 + 48 + 1_088;
        for i in 0..before {
            let mut forged = inner.clone();
            forged[ephemeral..ephemeral + 8].copy_from_slice(&i.to_le_bytes());
            mallory.hand_over(&mut victim, &forged);
        }
        mallory.hand_over(&mut victim, &inner);
        assert_eq!(contacts(&mut victim) == 1, taken, "after {before}");
        victim.run(FIRST_MESSAGES_RATE.refill_ms);
        mallory.hand_over(&mut victim, &inner);
        assert_eq!(contacts(&mut victim), 1, "after {before} and a while");
    }
}

/// Blocks the contact, and starts anew from the disk.
fn block(victim: &mut Victim, mallory: &Mallory) {
    let request = Request::Block(WhoParams { who: mallory.account.id().to_string() });
    victim.outputs(Input::Command(RequestId(u64::MAX - 1), request));
    victim.restart(false);
    assert_eq!(victim.contact().state, ContactState::Blocked);
}

/// SPEC §6.4, §8.5: a blocked contact begins no session even with an invite, no stream is proven by it or to
/// it, and nothing is sent to it.
#[test]
fn a_blocked_contact_begins_no_session_proves_no_stream_and_gets_no_mail() {
    let (mut victim, mallory) = (Victim::new(), Mallory::new());
    let mut contact = Correspondent::connected(mallory, &mut victim);
    let peer = contact.mallory.peer;
    block(&mut victim, &contact.mallory);
    let proofs = |outputs: Vec<Output>| {
        let proof = |output: &Output| matches!(output, Output::Send(_, Frame::DirectProof { .. }));
        outputs.iter().filter(|output| proof(output)).count()
    };
    let outputs = victim.outputs(Input::PeerUp(facts(peer, false)));
    assert_eq!(proofs(outputs), 0, "it is told who lives here");
    contact.prove(&mut victim);
    assert!(!victim.contact().online, "its proof is taken");
    let ticket = victim.invite();
    let before = victim.rows(Table::Sessions);
    let mut session = contact.mallory.begin(&victim, &ticket);
    contact.mallory.say(&mut victim, &mut session, vec![text(1, NOW)]);
    assert_eq!(victim.rows(Table::Sessions), before, "it began a session");
    assert_eq!(texts(&mut victim), [] as [&str; 0]);
    let (to, text) = (contact.mallory.nickname.clone(), "hello".to_owned());
    let request = Request::Send(SendParams { to, text, client_id: None, expire_ms: None });
    let refused = victim
        .outputs(Input::Command(RequestId(u64::MAX), request))
        .into_iter()
        .any(|output| matches!(output, Output::Reply(_, Err(error)) if error.name == ErrorName::Blocked));
    assert!(refused, "mail to it is taken");
}

/// session.md, Addresses: to block somebody is more than to begin nothing with it. What it writes in the
/// sessions it has is not shown either, whichever way it comes.
#[test]
fn a_blocked_contact_is_not_heard_in_the_sessions_it_has() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    let inner = contact.seal(vec![text(1, NOW)]);
    block(&mut victim, &contact.mallory);
    contact.hand_over(&mut victim, &inner);
    assert_eq!(texts(&mut victim), [] as [&str; 0]);
}

/// SPEC §5.3, §6.4: a proof is for one connection and one verifier. Replayed on another connection, of the
/// same peer or of one that listened, or passed on by whom it was meant for, it proves nothing.
#[test]
fn a_proof_is_worth_nothing_on_another_connection() {
    let mut victim = Victim::new();
    let contact = Correspondent::let_in(Mallory::new(), &mut victim);
    let first = facts(contact.mallory.peer, false);
    let proof_on = |facts: &PeerFacts| {
        contact.session.direct_proof(&facts.peer, &OWN, &facts.their_challenge, &facts.our_challenge)
    };
    let others = [
        PeerFacts { peer: STRANGER, ..first },
        PeerFacts { their_challenge: [10; 32], ..first },
        PeerFacts { our_challenge: [10; 32], ..first },
    ];
    for other in others {
        for (proof, proves) in [(proof_on(&first), false), (proof_on(&other), true)] {
            victim.input(Input::PeerUp(other));
            victim.input(Input::Frame(other.peer, Frame::DirectProof { proof, want: false }));
            assert_eq!(victim.contact().online, proves, "{other:?}");
        }
        victim.input(Input::PeerDown(other.peer));
    }
    victim.input(Input::PeerUp(first));
    let to_another =
        contact.session.direct_proof(&first.peer, &STRANGER, &first.their_challenge, &first.our_challenge);
    for (proof, proves) in [(to_another, false), (proof_on(&first), true)] {
        victim.input(Input::Frame(first.peer, Frame::DirectProof { proof, want: false }));
        assert_eq!(victim.contact().online, proves);
    }
}

/// SPEC §8.5: "until the invite's last day + 1", with the grace of every date.
#[test]
fn a_token_lets_nobody_in_a_day_after_its_invite() {
    let ends = INVITE_MS + GRACE_MS + DAY_MS;
    for (after, let_in) in [(ends - MINUTE_MS, true), (ends + MINUTE_MS, false)] {
        let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
        let ticket = victim.invite();
        let mut session = mallory.begin(&victim, &ticket);
        victim.sleep(after);
        mallory.say(&mut victim, &mut session, vec![]);
        assert_eq!(contacts(&mut victim) == 1, let_in, "{after} ms after it was made");
    }
}

/// SPEC §2.1, §8.5: a new mailbox generation shuts somebody out of the old one. An introduction that is
/// late, or repeated, does not bring it back.
#[test]
fn mail_goes_to_the_newest_mailbox_generation_that_was_told() {
    let mut victim = Victim::new();
    let generation = |number| MailboxKeys::derive(&Entropy::from_bytes([66; 32]), number);
    let mallory = Mallory { mailbox: generation(1), ..Mallory::new() };
    let mut contact = Correspondent::let_in(mallory, &mut victim);
    for (told, used) in [(0, 1), (2, 2)] {
        contact.mallory.mailbox = generation(told);
        let introduction = contact.mallory.introduction();
        contact.mallory.say(&mut victim, &mut contact.session, vec![introduction]);
        victim.run(MINUTE_MS);
        victim.sent.clear();
        send(&mut victim, "hello");
        victim.run(SECOND_MS);
        let day = contact.mallory.account.id().day(victim.now);
        let mailbox = contact_address(&generation(used).public(), day).unwrap();
        let addresses: BTreeSet<_> =
            victim.deposits().map(|bytes| Envelope::parse(bytes).unwrap().address).collect();
        assert_eq!(addresses, BTreeSet::from([mailbox]), "after generation {told} was told");
    }
}

/// SPEC §8.5: contacts pin a manifest. An introduction with an older one leaves the pin where it is, and
/// every message says which that is.
#[test]
fn an_older_manifest_in_an_introduction_does_not_move_the_pin() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    for (told, pinned) in [(4, 5), (6, 6)] {
        contact.mallory.manifest = manifest(&contact.mallory, told);
        let introduction = contact.mallory.introduction();
        contact.say(&mut victim, vec![introduction]);
        let known: Vec<u64> = contact.hear(&victim).iter().map(|content| content.yours.0).collect();
        assert_eq!(known.last(), Some(&pinned), "after version {told} was told");
    }
}

/// Story: who removed a contact and met it again counted its messages to it from one again, in the same run. The
/// other had kept what it knew, and its next receipt said that it had them already: `delivered`, and nobody had them.
#[test]
fn a_receipt_from_before_a_contact_was_removed_acknowledges_nothing() {
    let mut victim = Victim::new();
    let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
    let receipt_for = |victim: &mut Victim, contact: &mut Correspondent| {
        let heard = contact.hear(victim).into_iter().flat_map(|content| content.parts);
        let texts = heard.filter_map(|part| match part {
            Part::Text { run, seq, .. } => Some((run, seq)),
            _ => None,
        });
        let (run, up_to) = texts.collect::<Vec<_>>().pop().unwrap();
        vec![Part::Receipt { run, up_to, beyond: vec![] }]
    };
    send(&mut victim, "one");
    let receipt = receipt_for(&mut victim, &mut contact);
    contact.say(&mut victim, receipt.clone());
    assert_eq!(victim.read()[0].state, MessageState::Delivered);
    victim.ask(Request::Remove(WhoParams { who: "mallory".to_owned() }));
    let mut contact = Correspondent::connected(contact.mallory, &mut victim);
    send(&mut victim, "new");
    contact.say(&mut victim, receipt);
    assert_ne!(victim.read()[0].state, MessageState::Delivered, "it has not got it");
    let receipt = receipt_for(&mut victim, &mut contact);
    contact.say(&mut victim, receipt);
    assert_eq!(victim.read()[0].state, MessageState::Delivered);
}
