//! Found by a hostile review of contacts that are blocked, removed or not there yet: each test failed before its mending,
//! and says what is promised (SPEC §8.5, §10.1).

use murmesh_protocol::blind::{AddressSigner, InviteSigner};
use murmesh_protocol::control::{AddParams, ContactState, NoParams, Reply, Request, WhoParams};
use murmesh_protocol::id::InviteToken;
use murmesh_protocol::messenger::io::{Input, Output, RequestId};
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::time::{DAY_MS, Day, HOUR_MS, MINUTE_MS, SECOND_MS};
use murmesh_protocol::wire::frame::Frame;
use murmesh_protocol::wire::record::{RecordHead, Slot, seal_record};
use murmesh_protocol::wire::ticket::Ticket;

use crate::correspondent::Correspondent;
use crate::mallory::{Mallory, text};
use crate::victim::{CUSTODIAN, NOW, Victim};

/// What a user does so that somebody is heard no more.
const ENDINGS: [fn(WhoParams) -> Request; 2] = [Request::Block, Request::Remove];

fn who(mallory: &Mallory) -> WhoParams {
    WhoParams { who: mallory.account.id().to_string() }
}

/// What tells somebody outside that a message was dealt with.
fn is_answer(output: &Output) -> bool {
    matches!(output, Output::Send(_, Frame::Deposit { .. } | Frame::Direct { .. } | Frame::Tombstone(_)))
}

/// Story: what was opened before the block came again by its mailbox, as it does when its sender repeats it. The copy was
/// known, its receipt was repeated, with the new addresses of the machine: whoever was blocked learnt whenever it liked
/// that the account is there, and where. The custodian, who may be the contact's own, was told to drop it.
#[test]
fn what_is_repeated_tells_a_contact_that_is_not_heard_nothing() {
    for ending in ENDINGS {
        let mut victim = Victim::new();
        let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
        let inner = contact.seal(vec![text(1, NOW)]);
        contact.send(&mut victim, inner.clone());
        assert_eq!(victim.read().len(), 1);
        victim.ask(ending(who(&contact.mallory)));
        victim.input(Input::PeerDown(contact.mallory.peer));
        victim.run(MINUTE_MS);
        let from = victim.sent.len();
        contact.hand_over(&mut victim, &inner);
        victim.run(HOUR_MS);
        let told: Vec<Output> = victim.sent.split_off(from).into_iter().filter(is_answer).collect();
        assert!(told.is_empty(), "{} frames", told.len());
    }
}

/// Story: messages of a contact that could not be opened waited to be searched for when it was blocked or removed. Then
/// they could not be opened for good, a session was wanted, and the contact's own node was asked for its keys; of a
/// removed one a session was begun and stayed on the disk.
#[test]
fn nothing_is_begun_with_a_contact_that_is_not_heard() {
    for (ending, sessions) in ENDINGS.into_iter().zip([1, 0]) {
        let mut victim = Victim::new();
        let mut contact = Correspondent::connected(Mallory::new(), &mut victim);
        for i in 0..20 {
            contact.send(&mut victim, vec![i; 512 - 58]);
        }
        victim.ask(ending(who(&contact.mallory)));
        victim.run(20 * SECOND_MS);
        assert!(!contact.is_asked_for(&victim));
        let manifest = contact.mallory.manifest.clone();
        contact.publish(&mut victim, &manifest, DAY_MS);
        victim.run(20 * SECOND_MS);
        assert_eq!(victim.rows(Table::Sessions), sessions);
    }
}

/// A ticket of Mallory's with its machine in it, and an invite record that says that it has ended.
fn ticket(mallory: &Mallory) -> (String, Frame) {
    let (account, token) = (mallory.account.id(), InviteToken([5; 16]));
    let hints = vec![murmesh_protocol::wire::ticket::Hint {
        ip: "203.0.113.9".parse().unwrap(),
        port: 4_000,
        quic: false,
    }];
    let text = Ticket { account, token: Some(token), hints }.to_string();
    let signer = InviteSigner::new(&account, &token);
    let head = RecordHead { slot: Slot::Invite, day: Day(0), seq: NOW.0, expires: NOW.plus(DAY_MS) };
    let ended = seal_record(&signer, &head, &token.0, &[1], &mut Mallory::new().rng).unwrap();
    (text, Frame::Records { address: signer.address(), records: vec![ended] })
}

fn is_looked_for(output: &Output) -> bool {
    matches!(output, Output::ConnectHint(_))
}

/// Story: a contact was blocked before it had answered. At the next start its machine was dialed and asked for its
/// invite; it said that the invite had ended, so the contact was given up, and its block with it.
#[test]
fn a_block_outlives_the_ticket_of_its_contact() {
    let (mut victim, mallory) = (Victim::new(), Mallory::new());
    let (ticket, ended) = ticket(&mallory);
    let add = Request::Add(AddParams { ticket, name: None, text: None });
    victim.input(Input::Command(RequestId(900), add));
    assert!(victim.sent.iter().any(is_looked_for));
    victim.ask(Request::Block(who(&mallory)));
    let from = victim.sent.len();
    victim.restart(false);
    victim.run(DAY_MS / 24);
    assert!(!victim.sent.split_off(from).iter().any(is_looked_for), "whoever is blocked is not dialed");
    victim.input(Input::Frame(CUSTODIAN, ended.clone()));
    assert_eq!(victim.contact().state, ContactState::Blocked);
    // Let in again it is added as before.
    let from = victim.sent.len();
    victim.ask(Request::Unblock(who(&mallory)));
    victim.run(MINUTE_MS);
    assert!(victim.sent.split_off(from).iter().any(is_looked_for), "its ticket is used again");
    victim.input(Input::Frame(CUSTODIAN, ended));
    match victim.ask(Request::Contacts(NoParams {})) {
        Reply::Contacts(list) => assert_eq!(list.contacts.len(), 0, "given up: its ticket has ended"),
        other => panic!("{other:?}"),
    }
}

/// A request is finished, whatever becomes of what it is about (SPEC §10.1): the client that added a contact waited for
/// ever when it was blocked, removed, or connected by its own first message meanwhile.
#[test]
fn who_adds_a_contact_is_answered_whatever_becomes_of_it() {
    for what in ["blocked", "removed", "connected"] {
        let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
        let mut session = (what == "connected").then(|| {
            let ticket = victim.invite();
            mallory.begin(&victim, &ticket)
        });
        let (ticket, _) = ticket(&mallory);
        let add = Request::Add(AddParams { ticket, name: None, text: None });
        victim.input(Input::Command(RequestId(900), add));
        match &mut session {
            Some(session) => mallory.say(&mut victim, session, vec![]),
            None => {
                let index = usize::from(what == "removed");
                victim.ask(ENDINGS[index](who(&mallory)));
            }
        }
        victim.run(MINUTE_MS);
        let answers = victim.sent.iter().filter(|o| matches!(o, Output::Reply(RequestId(900), _))).count();
        assert_eq!(answers, 1, "{what}");
    }
}

/// Story: a contact that contradicted about keys was blocked, and the node stayed unwell until its next start. Or it was
/// well, and the blocked contact made it unwell with a first message that nobody hears.
#[test]
fn a_blocked_contact_does_not_make_the_node_unwell() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let tickets = [victim.invite(), victim.invite()];
    let [mut first, mut second] = tickets.map(|ticket| mallory.begin(&victim, &ticket));
    let is_well = |victim: &mut Victim| match victim.ask(Request::Status(NoParams {})) {
        Reply::Status(status) => status.health.ok,
        other => panic!("{other:?}"),
    };
    mallory.yours = (u64::MAX, [1; 8]);
    mallory.say(&mut victim, &mut first, vec![]);
    assert!(!is_well(&mut victim));
    victim.ask(Request::Block(who(&mallory)));
    assert!(is_well(&mut victim), "whoever is not heard contradicts nobody");
    // Another manifest of the version that is known.
    let Mallory { account, device, manifest, .. } = &mallory;
    mallory.manifest = Mallory::manifest_of(account, device, manifest.version(), b"other".to_vec());
    mallory.say(&mut victim, &mut second, vec![]);
    assert!(is_well(&mut victim));
}
