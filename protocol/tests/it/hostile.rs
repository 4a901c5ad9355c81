//! A second hostile review, of contacts and strangers: every test here fails as long as what it shows is
//! possible. Those that are
//! ignored still fail: each is work to do, and loses its `ignore` with its mending.

use std::collections::BTreeSet;

use murmesh_protocol::blind::{AddressSigner, BlindedSigner, contact_address};
use murmesh_protocol::control::{EventBody, EventKind, NoParams, Reply, Request, SendParams};
use murmesh_protocol::id::{Address, EnvelopeId, sha256};
use murmesh_protocol::keeper::store::KeeperStore;
use murmesh_protocol::keeper::{self, Keeper};
use murmesh_protocol::keys::{AccountKeys, DeviceKeys, Entropy};
use murmesh_protocol::limits::{CONTACT_WAKES_RATE, GRACE_MS, LIFE_MS, TEXT_BYTES_MAX};
use murmesh_protocol::messenger::Messenger;
use murmesh_protocol::messenger::io::{Input, Output, QueryId};
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::placement::Region;
use murmesh_protocol::session::Session;
use murmesh_protocol::time::{DAY_MS, MINUTE_MS, SECOND_MS, Time};
use murmesh_protocol::wire::envelope::{Envelope, unmask};
use murmesh_protocol::wire::frame::{CustodyReceipt, Frame, Refusal, Tombstone};
use murmesh_protocol::wire::{claim, codec};

use crate::honest::connected;
use crate::mallory::{Content, MALLORY, Mallory, Part, text};
use crate::victim::{CUSTODIAN, NOW, OWN, STRANGER, Victim, facts};

/// A contact dates one message in the year 10000. The event is written to disk as JSON, and can never be
/// read again: `listen --since` and every client that comes back get a damaged database, until 10,000
/// more events have gone by. The same by any custodian's `HELD` (below).
#[test]
fn a_contact_cannot_make_the_kept_events_unreadable() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![text(1, Time(253_402_300_800_000))]);
    let read = victim.read();
    assert_eq!(read.len(), 1);
    assert!(read[0].at.0 <= victim.now.plus(GRACE_MS), "not later than any honest clock: {}", read[0].at);
    let events = victim.store.transaction(|tx| Messenger::events_after(tx, 0, 1_000));
    assert!(events.is_ok(), "{events:?}");
}

/// A contact writes 60,000 characters that JSON spells with six each. The event was 360 kB, which was written
/// and never taken again: whoever follows events got a damaged database.
#[test]
fn a_contact_cannot_make_the_kept_events_unreadable_by_a_text() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    let Part::Text { id, run, seq, at, expires, .. } = text(1, NOW) else { panic!("a text") };
    let text = "\u{1}".repeat(TEXT_BYTES_MAX);
    mallory.say(&mut victim, &mut session, vec![Part::Text { id, run, seq, at, expires, text }]);
    assert_eq!(victim.read().len(), 1);
    let events = victim.store.transaction(|tx| Messenger::events_after(tx, 0, 1_000));
    assert!(
        events.is_ok_and(|(events, _)| events
            .iter()
            .any(|event| event.body.kind() == EventKind::MessageReceived))
    );
}

/// A custodian (anybody who runs one) says of one deposit that it is kept until the end of time.
#[test]
fn a_custodian_cannot_make_the_kept_events_unreadable() {
    let mut world = connected(601, 4);
    world.stop(1);
    world.record = true;
    world.say(0, "p1", "hello");
    world.run(100);
    let envelope = world.recorded.iter().find_map(|bytes| match Frame::from_bytes(bytes) {
        Ok(Frame::Deposit { envelope, .. }) => Some(EnvelopeId::of(&envelope)),
        _ => None,
    });
    let (envelope, receipt) = (envelope.unwrap(), CustodyReceipt::Plain { until: Time::MAX });
    for custodian in 2..6 {
        world.frame(0, world.nodes[custodian].peer, Frame::Held { envelope, receipt: receipt.clone() });
    }
    let events = world.nodes[0].private.transaction(|tx| Messenger::events_after(tx, 0, 1_000));
    let told = events.unwrap().0.into_iter().filter_map(|event| match event.body {
        EventBody::MessageState { custodians, .. } => custodians.until,
        _ => None,
    });
    let (latest, copies) = (world.now.plus(LIFE_MS), told.clone().count());
    assert!(copies > 0 && told.clone().all(|until| until.0 <= latest), "{:?}", told.collect::<Vec<_>>());
}

/// names: "a later one must not move a name to somebody else". A nickname that is none in between, and
/// the contact has another name whenever it likes: what was "mallory" is "bank".
#[test]
fn a_contact_does_not_choose_its_name_twice() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![]);
    assert_eq!(victim.contact().name, "mallory");
    for nickname in ["", "bank"] {
        mallory.nickname = nickname.to_owned();
        mallory.say(&mut victim, &mut session, vec![]);
    }
    assert_eq!(victim.contact().name, "mallory");
}

/// session.md 19 and the pin of manifests. The account has revoked its stolen device: version 6 lists
/// another one, and the victim has it pinned. The thief begins a session with version 5: it is let in, and
/// everything is sent to it from then on.
#[test]
fn a_device_that_the_pinned_manifest_does_not_list_is_not_heard() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let (stolen, old) = (std::mem::replace(&mut mallory.device, DeviceKeys::generate(&mut mallory.rng)), {
        mallory.manifest.clone()
    });
    mallory.manifest = Mallory::manifest_of(&mallory.account, &mallory.device, 6, Vec::new());
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![text(1, NOW)]);
    assert_eq!((victim.read().len(), victim.contact().sessions), (1, 1));
    (mallory.device, mallory.manifest) = (stolen, old);
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![text(2, NOW)]);
    assert_eq!((victim.read().len(), victim.contact().sessions), (1, 1), "the revoked device was heard");
}

/// Its sessions of before go with the pin, and who only has an older copy of the manifest is heard.
#[test]
fn sessions_follow_the_devices_of_the_pinned_manifest() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite_for(3);
    let mut stolen = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut stolen, vec![text(1, NOW)]);
    let proof = stolen.direct_proof(&STRANGER, &OWN, &[8; 32], &[9; 32]);
    victim.input(Input::Frame(STRANGER, Frame::DirectProof { proof, want: false }));
    assert!(victim.contact().online);
    mallory.device = DeviceKeys::generate(&mut mallory.rng);
    mallory.manifest = Mallory::manifest_of(&mallory.account, &mallory.device, 6, Vec::new());
    let mut own = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut own, vec![text(2, NOW)]);
    mallory.say(&mut victim, &mut stolen, vec![text(3, NOW)]);
    assert_eq!(victim.read().len(), 2, "the session of the revoked device is gone");
    victim.input(Input::Frame(STRANGER, Frame::DirectProof { proof, want: false }));
    assert!(!victim.contact().online, "and what it had proved, and can prove");
    mallory.manifest = Mallory::manifest_of(&mallory.account, &mallory.device, 5, Vec::new());
    let mut own = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut own, vec![text(4, NOW)]);
    assert_eq!((victim.read().len(), victim.contact().sessions), (3, 3));
}

/// "Contacts pin (version, hash)." Another manifest of the same version is taken in its place, without a
/// word: two that contradict one another are what equivocation looks like.
#[test]
fn another_manifest_of_the_pinned_version_is_not_taken_silently() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![]);
    mallory.manifest = Mallory::manifest_of(&mallory.account, &mallory.device, 5, vec![1]);
    mallory.say(&mut victim, &mut session, vec![]);
    let pinned = victim.store.values().filter(|(table, value)| {
        let ours = mallory.manifest.as_bytes();
        **table == Table::Contacts && value.windows(ours.len()).any(|part| part == ours)
    });
    let replaced = pinned.count() > 0;
    let healthy = match victim.ask(Request::Status(NoParams {})) {
        Reply::Status(status) => status.health.ok,
        other => panic!("{other:?}"),
    };
    assert!(!(replaced && healthy), "the pin was moved and nobody told");
    assert!(!replaced && !healthy, "the first is believed, and that there is another shows");
}

/// Thirty messages wait for Mallory, whose mailbox is full.
fn backed_off() -> (Victim, Mallory, Session) {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![]);
    victim.refuses = Some(Refusal::MailboxFull);
    for i in 0..30 {
        let (to, text) = ("mallory".to_owned(), format!("waits {i}"));
        victim.ask(Request::Send(SendParams { to, text, client_id: None, expire_ms: None }));
    }
    victim.run(10 * MINUTE_MS);
    (victim, mallory, session)
}

/// A contact whose mailbox is full (it fills it itself) lets mail to it wait at the victim. Each message of
/// it, 2 KiB, undoes the back-off of all of them: thirty deposits of what may be 64 KiB each, every time.
#[test]
fn a_contact_does_not_undo_the_back_off_with_every_message() {
    let (mut victim, mut mallory, mut session) = backed_off();
    let before = victim.deposits().count();
    for _ in 0..40 {
        let receipt = Part::Receipt { run: 9, up_to: 0, beyond: vec![] };
        mallory.say(&mut victim, &mut session, vec![receipt]);
        victim.run(100);
    }
    let made = victim.deposits().count() - before;
    assert!(made <= 300, "{made} deposits within four seconds for 40 messages of one contact");
    let before = victim.deposits().count();
    victim.run(CONTACT_WAKES_RATE.refill_ms);
    assert!(victim.deposits().count() - before >= 30, "and once more for all that came too early");
}

/// A region is looked up for one mailbox, and when the answer comes another one is meant (it is the next day, or
/// the message was sealed anew): it does not go to custodians where nobody looks for it.
#[test]
fn a_region_is_used_for_the_mailbox_that_it_was_looked_up_for() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![]);
    victim.run(10 * MINUTE_MS);
    victim.withholds = true;
    let from = victim.sent.len();
    let (to, text) = ("mallory".to_owned(), "hello".to_owned());
    victim.ask(Request::Send(SendParams { to, text, client_id: None, expire_ms: None }));
    victim.run(SECOND_MS);
    let questions = |victim: &Victim, from: usize| -> Vec<(QueryId, Address)> {
        let asked = victim.sent[from..].iter().filter_map(|output| match output {
            Output::FindCustodians(query, address) => Some((*query, *address)),
            _ => None,
        });
        let mailbox = mallory.mailbox.public();
        let days = [0, 1].map(|day| mallory.account.id().day(NOW).offset(day));
        let theirs = days.map(|day| contact_address(&mailbox, day).unwrap());
        asked.filter(|(_, address)| theirs.contains(address)).collect()
    };
    let [(query, address)] = questions(&victim, from)[..] else { panic!("one question") };
    let (from, before) = (victim.sent.len(), victim.deposits().count());
    victim.now = victim.now.plus(DAY_MS);
    victim.input(Input::Custodians(query, Region { custodians: vec![CUSTODIAN], network_size: 2 }));
    assert_eq!(victim.deposits().count(), before, "not there");
    let [(query, next)] = questions(&victim, from)[..] else { panic!("one more question") };
    assert_ne!(next, address);
    victim.input(Input::Custodians(query, Region { custodians: vec![CUSTODIAN], network_size: 2 }));
    assert_eq!(victim.deposits().count(), before + 1);
}

/// A message is being deposited when its contact, with a new session, is on line: it is sealed anew. Copies of
/// what it was before, which the contact may not be able to open, do not make it `held`.
#[test]
fn copies_of_an_earlier_sealing_do_not_count() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let tickets = [victim.invite(), victim.invite()];
    let mut session = mallory.begin(&victim, &tickets[0]);
    mallory.say(&mut victim, &mut session, vec![]);
    victim.run(10 * MINUTE_MS);
    let before = victim.deposits().count();
    let (to, text) = ("mallory".to_owned(), "hello".to_owned());
    victim.ask(Request::Send(SendParams { to, text, client_id: None, expire_ms: None }));
    victim.run(SECOND_MS);
    let old = EnvelopeId::of(victim.deposits().nth(before).unwrap());
    let mut session = mallory.begin(&victim, &tickets[1]);
    mallory.say(&mut victim, &mut session, vec![]);
    let facts = facts(MALLORY, false);
    let proof = session.direct_proof(&MALLORY, &OWN, &facts.their_challenge, &facts.our_challenge);
    victim.input(Input::PeerUp(facts));
    victim.input(Input::Frame(MALLORY, Frame::DirectProof { proof, want: false }));
    assert!(victim.contact().online);
    let receipt = CustodyReceipt::Plain { until: NOW.plus(DAY_MS) };
    victim.input(Input::Frame(CUSTODIAN, Frame::Held { envelope: old, receipt }));
    let held = |victim: &mut Victim| match victim.ask(Request::Status(NoParams {})) {
        Reply::Status(status) => status.outbox.held,
        other => panic!("{other:?}"),
    };
    assert_eq!(held(&mut victim), 0);
    let from = victim.deposits().count();
    victim.run(3 * SECOND_MS);
    let news: Vec<EnvelopeId> = victim.deposits().skip(from).map(|bytes| EnvelopeId::of(bytes)).collect();
    for envelope in news {
        let receipt = CustodyReceipt::Plain { until: NOW.plus(DAY_MS) };
        victim.input(Input::Frame(CUSTODIAN, Frame::Held { envelope, receipt }));
    }
    assert_eq!(held(&mut victim), 1, "what it is now does");
}

/// The same by connecting, proving itself and going again at once, or staying without a receipt.
#[test]
fn a_contact_does_not_undo_the_back_off_by_coming_and_going() {
    for stays_ms in [100, 3_000] {
        let (mut victim, _, session) = backed_off();
        let before = victim.deposits().count();
        let facts = facts(MALLORY, false);
        let proof = session.direct_proof(&MALLORY, &OWN, &facts.their_challenge, &facts.our_challenge);
        for i in 0..30 {
            victim.input(Input::PeerUp(facts));
            victim.input(Input::Frame(MALLORY, Frame::DirectProof { proof, want: false }));
            assert!(victim.contact().online, "{i}");
            victim.run(stays_ms);
            victim.input(Input::PeerDown(MALLORY));
        }
        let made = victim.deposits().count() - before;
        let allowed = CONTACT_WAKES_RATE.burst + 30 * stays_ms / CONTACT_WAKES_RATE.refill_ms;
        let own = usize::try_from(30 * (allowed + 2)).unwrap();
        assert!(made <= own, "{made} deposits for 30 connections of {stays_ms} ms of one contact");
    }
}

/// A custodian (the only one) lets every second message of an honest author through. From the 1,025th gap
/// on, the recipient says in its receipts that it has what it never got: "delivered", and the author's
/// outbox drops it. Promised: never "delivered" without the message.
#[test]
fn a_receipt_names_nothing_that_did_not_arrive() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    let odd: Vec<u64> = (1..=1_030).map(|i| 2 * i).collect();
    for some in odd.chunks(60) {
        mallory.say(&mut victim, &mut session, some.iter().map(|seq| text(*seq, NOW)).collect());
        victim.now = victim.now.plus(MINUTE_MS);
    }
    victim.run(10 * MINUTE_MS);
    let said = acknowledged(&victim, &mallory, &session);
    assert!(!said.is_empty());
    let lies: Vec<&u64> = said.iter().filter(|seq| *seq % 2 == 1).collect();
    assert!(lies.is_empty(), "acknowledged and never arrived: {lies:?}");
    // Everything again, sealed anew: what was here is not shown twice, and acknowledged.
    let all: Vec<u64> = (1..=2_060).collect();
    for some in all.chunks(60) {
        mallory.say(&mut victim, &mut session, some.iter().map(|seq| text(*seq, NOW)).collect());
        victim.now = victim.now.plus(MINUTE_MS);
    }
    victim.run(10 * MINUTE_MS);
    assert_eq!(victim.read().len(), all.len());
    assert!(acknowledged(&victim, &mallory, &session).is_superset(&all.into_iter().collect()));
}

/// What the victim's receipts say; the session that it is with stays as it is.
fn acknowledged(victim: &Victim, mallory: &Mallory, session: &Session) -> BTreeSet<u64> {
    let mut session = Session::from_record(&session.to_record()).unwrap();
    let secret = mallory.mailbox.public().secret;
    let mut said = BTreeSet::new();
    for bytes in victim.deposits() {
        let envelope = Envelope::parse(bytes).unwrap();
        let Ok(opened) = session.open(victim.now, &unmask(&secret, &envelope)) else { continue };
        let Ok(Content::V1(content)) = codec::decode(&opened.content) else { panic!("not a content") };
        for part in content.parts {
            if let Part::Receipt { up_to, beyond, .. } = part {
                said.extend((1..=up_to).chain(beyond.iter().flat_map(|(a, b)| *a..=*b)));
            }
        }
    }
    said
}

/// keeper: "everything a peer can grow here has a bound". Addresses cost nothing and a tombstone for one is
/// always taken: it counts towards no quota and no rate, and is kept for 31 days. 200 bytes sent (per id
/// of 64: 4 KiB kept by the node), as fast as the line goes.
#[test]
fn strangers_do_not_fill_a_keeper_with_tombstones() {
    const HELD_MAX: u64 = 16 * 1_024;
    let mut store = keeper::store::MemoryStore::default();
    let config = keeper::Config { own_peer: OWN, held_bytes_max: HELD_MAX };
    let mut keeper = store.transaction(|tx| Keeper::restore(config, NOW, tx)).unwrap();
    store
        .transaction(|tx| keeper.handle(NOW, keeper::io::Input::PeerUp(facts(CUSTODIAN, true)), tx))
        .unwrap();
    let (day, id) = (NOW.utc_day(), EnvelopeId([5; 32]));
    let mut made = Vec::new();
    for i in 0..300u32 {
        let seed = sha256(&[&i.to_le_bytes()]);
        let signer = BlindedSigner::request(&AccountKeys::derive(&Entropy::from_bytes(seed)), day);
        let (address, mut ids) = (signer.address(), vec![id]);
        let signature = claim::sign_tombstone(&signer, day, &mut ids).to_bytes().to_vec();
        let frame = Frame::Tombstone(Tombstone { address, day, ids, signature });
        let input = keeper::io::Input::Frame(CUSTODIAN, frame);
        store.transaction(|tx| keeper.handle(NOW, input, tx)).unwrap();
        made.push(address);
    }
    let kept = made.iter().filter_map(|address| store.tombstone(address, &id).unwrap());
    let bytes: u64 = kept.map(|tombstone| Frame::Tombstone(tombstone).to_bytes().len() as u64).sum();
    assert!(bytes <= HELD_MAX, "{bytes} bytes kept by who is told to keep {HELD_MAX}");
}
