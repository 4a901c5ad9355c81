//! What one contact, or a stranger, can make a Messenger do (SPEC §9.1).

use murmesh_protocol::blind::contact_address;
use murmesh_protocol::id::MessageId;
use murmesh_protocol::keys::MailboxPublic;
use murmesh_protocol::limits::FAR_AHEAD_MS;
use murmesh_protocol::messenger::io::{Input, Output};
use murmesh_protocol::session::Session;
use murmesh_protocol::time::{DAY_MS, MINUTE_MS, SECOND_MS};
use murmesh_protocol::wire::codec;
use murmesh_protocol::wire::envelope::{Envelope, seal_round, unmask};
use murmesh_protocol::wire::frame::Frame;

use crate::mallory::{Content, Introduction, Mallory, Part};
use crate::victim::{CUSTODIAN, NOW, OWN, STRANGER, Victim, facts};

/// A contact, and its sessions: two that the victim has heard of, the second last, and one that it has not.
fn met() -> (Victim, Mallory, [Session; 3]) {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite_for(3);
    let mut sessions = std::array::from_fn(|_| mallory.begin(&victim, &ticket));
    sessions.iter_mut().take(2).for_each(|session| mallory.say(&mut victim, session, vec![]));
    victim.run(MINUTE_MS);
    (victim, mallory, sessions)
}

fn prove(victim: &mut Victim, session: &Session, good: bool) {
    let nonce = if good { [8; 32] } else { [0; 32] };
    let proof = session.direct_proof(&STRANGER, &OWN, &nonce, &[9; 32]);
    victim.input(Input::Frame(STRANGER, Frame::DirectProof { proof, want: false }));
}

/// Each proof that fits nobody costs a hash for every session there is. A stranger that comes back again and
/// again has a few; meanwhile contacts are known where they are said to be, and soon everywhere again.
#[test]
fn a_stranger_does_not_have_all_sessions_tried_as_often_as_it_likes() {
    let (mut victim, _, [_, session, _]) = met();
    for _ in 0..8 {
        victim.input(Input::PeerDown(STRANGER));
        victim.input(Input::PeerUp(facts(STRANGER, false)));
        (0..8).for_each(|_| prove(&mut victim, &session, false));
    }
    victim.input(Input::PeerDown(STRANGER));
    victim.input(Input::PeerUp(facts(STRANGER, false)));
    prove(&mut victim, &session, true);
    assert!(!victim.contact().online, "tried for a stranger although it had so many");
    let home = facts(murmesh_protocol::id::PeerId([66; 32]), false);
    victim.input(Input::PeerUp(home));
    let proof = session.direct_proof(&home.peer, &OWN, &home.their_challenge, &home.our_challenge);
    victim.input(Input::Frame(home.peer, Frame::DirectProof { proof, want: false }));
    assert!(victim.contact().online, "said to be there");
    victim.input(Input::PeerDown(home.peer));
    victim.now = victim.now.plus(SECOND_MS);
    prove(&mut victim, &session, true);
    assert!(victim.contact().online);
}

/// Nothing but the line bounds what a contact sends over a direct stream: a text of 57 KB in each message, and
/// the disk is full by the evening.
#[test]
fn a_contact_does_not_fill_the_disk() {
    let (mut victim, mut mallory, [mut initial, mut session, mut fresh]) = met();
    let secret = mallory.mailbox.public().secret;
    let answers: Vec<Vec<u8>> = victim.deposits().cloned().collect();
    let heard: Vec<Part> = answers
        .iter()
        .filter_map(|bytes| session.open(victim.now, &unmask(&secret, &Envelope::parse(bytes).unwrap())).ok())
        .flat_map(|opened| match codec::decode(&opened.content) {
            Ok(Content::V1(content)) => content.parts,
            Err(error) => panic!("{error:?}"),
        })
        .collect();
    let mailbox = heard.iter().find_map(|part| match part {
        Part::Introduction(Introduction { generation, base_key, secret, .. }) => {
            Some(MailboxPublic { generation: *generation, base_key: *base_key, secret: *secret })
        }
        _ => None,
    });
    prove(&mut victim, &session, true);
    let big = |seq: u64| {
        let id = MessageId(u128::from(seq).to_le_bytes());
        Part::Text { id, run: 1, seq, at: NOW, expires: NOW.plus(9 * DAY_MS), text: "x".repeat(57_000) }
    };
    let sent: Vec<Vec<u8>> = (1..1_190).map(|seq| mallory.seal(&mut session, vec![big(seq)])).collect();
    let from = victim.sent.len();
    for inner in sent.clone() {
        victim.input(Input::Frame(STRANGER, Frame::Direct { inner }));
    }
    let taken = victim.read().len();
    assert!((1_000..1_189).contains(&taken), "{taken} texts of 57 KB at once");
    let asked = |output: &Output| matches!(output, Output::Send(_, Frame::GetRecords { .. }));
    assert!(!victim.sent[from..].iter().any(asked), "it does not mean that the session is lost");
    // Nor by other ways.
    mallory.say(&mut victim, &mut initial, vec![big(5_000)]);
    mallory.say(&mut victim, &mut fresh, vec![big(5_001)]);
    assert_eq!(victim.read().len(), taken);
    let day = victim.account.day(victim.now);
    let (mailbox, expires) = (mailbox.unwrap(), victim.now.plus(DAY_MS).seconds());
    let address = contact_address(&mailbox, day).unwrap();
    let far = (0..100).map(|_| mallory.seal(&mut session, vec![big(5_002)])).last().unwrap();
    let envelope = seal_round(&mailbox.secret, address, day, expires, &far, &mut mallory.rng).unwrap();
    victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope }));
    victim.run(FAR_AHEAD_MS + SECOND_MS);
    assert_eq!(victim.read().len(), taken);
    victim.now = victim.now.plus(DAY_MS);
    let inner = sent[taken].clone();
    victim.input(Input::Frame(STRANGER, Frame::Direct { inner }));
    assert_eq!(victim.read().len(), taken + 1, "it waited");
}
