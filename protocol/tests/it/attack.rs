//! Found by a hostile review: each test failed before its mending, and says what is promised.

use std::collections::BTreeMap;

use murmesh_protocol::blind::{AddressSigner, BlindedSigner, InviteSigner, request_address};
use murmesh_protocol::control::{AddParams, MessageState, NoParams, Reply, Request};
use murmesh_protocol::id::{Address, EnvelopeId, InviteToken, PeerId, sha256};
use murmesh_protocol::keeper::{self, Keeper};
use murmesh_protocol::keys::{AccountKeys, Entropy};
use murmesh_protocol::limits::{WANTED_PASSED_ON_MAX, WANTED_PER_PEER_MAX};
use murmesh_protocol::messenger::io::{Input, Output, RequestId};
use murmesh_protocol::placement::Region;
use murmesh_protocol::time::{DAY_MS, Day, HOUR_MS, SECOND_MS};
use murmesh_protocol::wire::claim;
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::{Admission, Claim, Frame, Refusal, Subject};
use murmesh_protocol::wire::record::{RecordHead, RecordIn, Slot, seal_record};
use murmesh_protocol::wire::ticket::Ticket;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use crate::mallory::Mallory;
use crate::victim::{CUSTODIAN, NOW, OWN, STRANGER, Victim, facts};
use crate::world::World;

fn have(
    victim: &mut Victim,
    peer: PeerId,
    address: Address,
    from: usize,
    holder: Option<PeerId>,
) -> Vec<Output> {
    let ids = (from..from + 512).map(|i| EnvelopeId(sha256(&[&i.to_le_bytes()]))).collect();
    victim.outputs(Input::Frame(peer, Frame::Have { address, ids, cursor: 0, more: false, holder }))
}

fn request(victim: &Victim) -> Address {
    request_address(&victim.account, victim.account.day(victim.now)).unwrap()
}

/// session.md: "holding someone's account key must not give their IP". A stranger that knows only the
/// account asks every peer it meets with one HAVE; the owner answers with a claim signed by its mailbox.
#[test]
fn a_stranger_cannot_find_out_which_peer_an_account_lives_at() {
    let mut victim = Victim::new();
    let address = request(&victim);
    let outputs = have(&mut victim, STRANGER, address, 0, None);
    let answered = outputs.iter().any(|o| matches!(o, Output::Send(STRANGER, Frame::Get { .. })));
    assert!(!answered, "the owner signed a GET for a peer it never asked");
}

/// SPEC §8.4.5: what custodians list is fetched. A stranger fills the table of wanted bodies.
#[test]
fn a_stranger_cannot_keep_mail_from_being_collected() {
    let mut victim = Victim::new();
    let address = request(&victim);
    let holder = |i: u8| Some(PeerId([100 + i; 32]));
    for i in 0..32 {
        // Three holders make it last 4.5 s, and each more 1.5 s: there is no bound on them.
        for h in 0..3 {
            have(&mut victim, STRANGER, address, i * 512, holder(h));
        }
    }
    victim.now = victim.now.plus(1_600);
    for _ in 0..40_000 {
        victim.input(Input::Deadline);
        if victim.messenger.poll_deadline().is_none_or(|d| d.at > victim.now) {
            break;
        }
    }
    let outputs = have(&mut victim, CUSTODIAN, address, 1_000_000, None);
    let fetched = outputs.iter().any(|o| matches!(o, Output::Send(CUSTODIAN, Frame::Get { .. })));
    assert!(fetched, "a member of the region lists mail and it is not fetched");
}

/// threats.md A3: delivery while one custodian is honest. What honest custodians pass on of a neighbour filled their own
/// shares of the table of wanted bodies: a member of the region that announced to them what it did not have, over and over,
/// kept everything that they listed themselves from being fetched.
#[test]
fn one_custodian_does_not_use_up_what_another_lists() {
    const HOLDER: PeerId = PeerId([4; 32]);
    let mut victim = Victim::new();
    victim.withholds = true;
    victim.input(Input::PeerUp(facts(HOLDER, true)));
    victim.run(SECOND_MS);
    let asked = victim.sent.iter().filter_map(|output| match output {
        Output::FindCustodians(query, _) => Some(*query),
        _ => None,
    });
    for query in asked.collect::<Vec<_>>() {
        let found = Region { custodians: vec![CUSTODIAN, HOLDER], network_size: 3 };
        victim.input(Input::Custodians(query, found));
    }
    let address = request(&victim);
    let fetched = |outputs: &[Output], of: PeerId| -> usize {
        let gets = outputs.iter().map(|output| match output {
            Output::Send(peer, Frame::Get { ids, .. }) if *peer == of => ids.len(),
            _ => 0,
        });
        gets.sum()
    };
    let mut all = |peer: PeerId, from: usize, holder: Option<PeerId>| -> usize {
        let of = holder.unwrap_or(peer);
        (0..WANTED_PER_PEER_MAX / 512)
            .map(|i| fetched(&have(&mut victim, peer, address, from + i * 512, holder), of))
            .sum()
    };
    let passed_on = all(CUSTODIAN, 0, Some(HOLDER));
    assert_eq!(all(CUSTODIAN, 1_000_000, None), WANTED_PER_PEER_MAX, "what it has itself");
    assert_eq!(all(HOLDER, 2_000_000, None), WANTED_PER_PEER_MAX, "nor is the other's share used up");
    assert_eq!(passed_on, WANTED_PASSED_ON_MAX);
}

/// SPEC §5.4: a wide table "is made at most once a collection". Here one pass for each junk envelope,
/// each pass with a table of 4,096 HMACs for each session.
#[test]
fn junk_of_a_custodian_does_not_multiply_the_search_for_far_tags() {
    let mut victim = Victim::new();
    let today = victim.account.day(victim.now);
    let requests: Vec<Address> =
        (-40..=2).filter_map(|d| request_address(&victim.account, today.offset(d)).ok()).collect();
    let contact = *victim.claimed.iter().find(|a| !requests.contains(a)).unwrap();
    for _ in 0..200 {
        victim.now = victim.now.plus(1);
        let day = victim.now.utc_day();
        let expires = victim.now.plus(DAY_MS).seconds();
        let envelope = seal_round(&[5; 32], contact, day, expires, &[7; 512 - 58], &mut victim.rng).unwrap();
        victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope }));
    }
    let (mut passes, ends) = (0, victim.now.plus(31_000));
    while let Some(deadline) = victim.messenger.poll_deadline().filter(|d| d.at < ends) {
        passes += usize::from(deadline.reason == "collecting: try what could not be opened");
        victim.now = victim.now.max(deadline.at);
        victim.input(Input::Deadline);
    }
    assert!(passes <= 2, "{passes} passes for one collection");
}

/// limits.rs: "A GET makes the custodian send as many bodies". One id 64 times over: 4 MiB for 2 KiB,
/// from a mailbox that anybody may make up. The node performs a batch of 256 frames at once: 1 GiB.
#[test]
fn one_envelope_is_sent_once_for_one_get() {
    let mut store = keeper::store::MemoryStore::default();
    let config = keeper::Config { own_peer: OWN, held_bytes_max: 1 << 30 };
    let mut keeper = store.transaction(|tx| Keeper::restore(config, NOW, tx)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let day = NOW.utc_day();
    let signer = BlindedSigner::request(&AccountKeys::derive(&Entropy::from_bytes([7; 32])), day);
    let address = signer.address();
    let inner = vec![0; 65_536 - 58];
    let envelope = seal_round(&[5; 32], address, day, NOW.plus(DAY_MS).seconds(), &inner, &mut rng).unwrap();
    let ids = vec![EnvelopeId::of(&envelope); 64];
    let signed = claim::Claim { custodian: OWN, challenge: [9; 32], address, day, cursor: 0 };
    let signature = claim::sign_get(&signer, &signed, &ids).to_bytes().to_vec();
    let get = Frame::Get { claim: Claim { address, day, cursor: 0, signature }, ids };
    let asked = get.to_bytes().len();
    let deposit = Frame::Deposit { envelope, admission: Admission::None };
    let up = keeper::io::Input::PeerUp(facts(STRANGER, false));
    for input in [up, keeper::io::Input::Frame(STRANGER, deposit)] {
        store.transaction(|tx| keeper.handle(NOW, input, tx)).unwrap();
    }
    while keeper.poll_output().is_some() {}
    store.transaction(|tx| keeper.handle(NOW, keeper::io::Input::Frame(STRANGER, get), tx)).unwrap();
    let sent: usize = std::iter::from_fn(|| keeper.poll_output())
        .map(|output| match output {
            keeper::io::Output::Send(_, frame) => frame.to_bytes().len(),
            keeper::io::Output::Misbehaved(..) => 0,
        })
        .sum();
    assert!(sent < 2 * 65_536, "{asked} bytes asked, {sent} sent");
}

/// An honest custodian cannot see into a record. Who holds the ticket too publishes junk that is signed
/// well, and everybody that hands it over is banned at once (`Malformed` is a whole ban in node).
#[test]
fn a_custodian_is_not_at_fault_for_what_it_cannot_see() {
    let mut victim = Victim::new();
    let account = AccountKeys::derive(&Entropy::from_bytes([7; 32])).id();
    let token = InviteToken([5; 16]);
    let ticket = Ticket { account, token: Some(token), hints: vec![] }.to_string();
    victim.input(Input::Command(RequestId(1), Request::Add(AddParams { ticket, name: None, text: None })));
    let signer = InviteSigner::new(&account, &token);
    let head = RecordHead { slot: Slot::Invite, day: Day(0), seq: NOW.0, expires: NOW.plus(DAY_MS) };
    let record = seal_record(&signer, &head, &token.0, b"junk", &mut victim.rng).unwrap();
    let frame = Frame::Records { address: signer.address(), records: vec![record] };
    let outputs = victim.outputs(Input::Frame(CUSTODIAN, frame));
    assert!(!outputs.iter().any(|o| matches!(o, Output::Misbehaved(CUSTODIAN, _))), "{outputs:?}");
}

/// The same junk, and after it an ordinary message now and then: what a pass has tried is not searched
/// for again because something else was opened.
#[test]
fn tried_junk_is_not_searched_for_again_with_every_message() {
    let mut world = World::connected(51, 4);
    world.stop(0);
    // One envelope that nobody can open, in p1's own mailbox: taken from its custodians by hand.
    world.junk(1);
    world.run(40 * SECOND_MS);
    let before = world.nodes[1].far_ahead_passes;
    assert_eq!(before, 1, "it is searched for once");
    world.start(0);
    for i in 0..10 {
        world.say(0, "p1", &format!("ordinary {i}"));
        world.run(35 * SECOND_MS);
    }
    assert_eq!(world.texts_from(1, "p0").len(), 10);
    assert_eq!(world.nodes[1].far_ahead_passes, before, "and not with every message");
}

/// session.md, "bundle rollback: refused": a custodian kept an old bundle, laid out ahead for today, back.
#[test]
fn a_bundle_that_was_kept_back_begins_no_session() {
    let mut world = World::new(52, 2, 4);
    world.record = true;
    world.run(SECOND_MS);
    world.introduce(0, 1);
    world.run(2 * SECOND_MS);
    let account = world.account(1);
    let later = world.now.plus(3 * DAY_MS);
    let address = request_address(&account, account.day(later)).unwrap();
    let old: Vec<Vec<u8>> = world
        .recorded
        .iter()
        .filter_map(|bytes| match Frame::from_bytes(bytes) {
            Ok(Frame::PutRecord { record }) if record.starts_with(&address.0) => Some(record),
            _ => None,
        })
        .collect();
    assert!(!old.is_empty(), "records are laid out a week ahead");
    world.record = false;
    world.run(3 * DAY_MS);
    // p0 begins anew, by today's bundle; then once more, and hears of nothing but the old one.
    let begin_anew = |world: &mut World| {
        world.stop(0);
        world.lose_sessions(0);
        world.start(0);
    };
    begin_anew(&mut world);
    let sent = world.say(0, "p1", "by today's bundle");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 60 * SECOND_MS));
    let sessions = |world: &mut World| match world.call(0, Request::Contacts(NoParams {})) {
        Ok(Reply::Contacts(list)) => list.contacts[0].sessions,
        other => panic!("{other:?}"),
    };
    let before = sessions(&mut world);
    world.faults.loss = 1_000;
    begin_anew(&mut world);
    let sent = world.say(0, "p1", "by an old one?");
    world.run(100);
    world.frame(0, world.nodes[3].peer, Frame::Records { address, records: old });
    world.run(20 * SECOND_MS);
    assert_eq!(sessions(&mut world), before, "a session was begun with a bundle of three days ago");
    world.faults.loss = 0;
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
    assert_eq!(sessions(&mut world), before + 1);
}

/// A custodian that refuses every record, or says nothing: it is not asked every five seconds for ever.
#[test]
fn a_custodian_that_takes_no_record_is_asked_ever_more_rarely() {
    for refuses in [true, false] {
        let mut victim = Victim::new();
        let (mut puts, ends) = (BTreeMap::new(), victim.now.plus(2 * HOUR_MS));
        while let Some(deadline) = victim.messenger.poll_deadline().filter(|deadline| deadline.at < ends) {
            victim.now = victim.now.max(deadline.at);
            let outputs = victim.outputs(Input::Deadline);
            for output in outputs {
                let Output::Send(CUSTODIAN, Frame::PutRecord { record }) = output else { continue };
                let head = RecordIn::parse(&record).unwrap().verify().unwrap();
                let subject = Subject::Record(head.address(), head.head().slot as u8);
                *puts.entry((head.address(), head.head().slot as u8)).or_insert(0) += 1;
                if refuses {
                    let why = Refusal::NotACustodian;
                    victim.input(Input::Frame(CUSTODIAN, Frame::Refused { subject, why, retry_after_ms: 0 }));
                }
            }
        }
        let most = puts.values().copied().max().unwrap_or(0);
        let bound = if refuses { 4 } else { 14 };
        assert!((1..=bound).contains(&most), "{most} times in two hours; refuses: {refuses}");
    }
}

/// session.md: each message carries what its sender knows of both manifests, "so custodians that show
/// different people different manifests are noticed at the next message": in the node's health.
#[test]
fn a_contact_that_knows_another_manifest_shows_in_the_status() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    let health = |victim: &mut Victim| match victim.ask(Request::Status(NoParams {})) {
        Reply::Status(status) => (status.health.ok, status.health.reasons),
        other => panic!("{other:?}"),
    };
    mallory.say(&mut victim, &mut session, vec![]);
    assert_eq!(health(&mut victim), (true, vec![]));
    // A version of the victim's manifest that the victim never made.
    mallory.yours = (u64::MAX, [1; 8]);
    mallory.say(&mut victim, &mut session, vec![]);
    assert_eq!(health(&mut victim), (false, vec!["account-keys-contradict".to_owned()]));
    mallory.yours = (0, [0; 8]);
    mallory.say(&mut victim, &mut session, vec![]);
    assert_eq!(health(&mut victim), (true, vec![]), "its next message agrees");
}
