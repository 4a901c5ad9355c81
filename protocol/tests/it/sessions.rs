//! Several sessions with one contact: which is sent on, and what becomes of what others have sealed
//! (SPEC §5.5).

use murmesh_protocol::control::{MessageState, Request, SendParams};
use murmesh_protocol::id::EnvelopeId;
use murmesh_protocol::limits::CLOCK_DOUBT_MS;
use murmesh_protocol::messenger::io::{Input, Output};
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::session::Session;
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};
use murmesh_protocol::wire::envelope::{Envelope, unmask};
use murmesh_protocol::wire::frame::{CustodyReceipt, Frame};

use crate::honest::{connected, sessions, turn};
use crate::mallory::Mallory;
use crate::victim::{CUSTODIAN, OWN, STRANGER, Victim};
use crate::world::World;

fn session_rows(world: &World, node: usize) -> usize {
    world.nodes[node].private.values().filter(|(table, _)| **table == Table::Sessions).count()
}

fn held(world: &mut World, node: usize) -> usize {
    world.outbox(node).iter().filter(|entry| entry.state == MessageState::Held).count()
}

/// Both begin anew at once, on line. They settle on one session, and a month later have no other.
#[test]
fn two_that_begin_at_once_settle_on_one_session() {
    for seed in 760..764 {
        let mut world = connected(seed, 4);
        [0, 1].into_iter().for_each(|node| world.stop(node));
        world.nodes[0].rolled_back = true;
        world.nodes[1].rolled_back = true;
        [0, 1].into_iter().for_each(|node| world.start(node));
        world.ask(0, World::send_request("p1", "from p0", None));
        world.ask(1, World::send_request("p0", "from p1", None));
        world.run(MINUTE_MS);
        for i in 0..3 {
            world.say(0, "p1", &format!("{i}"));
            world.say(1, "p0", &format!("{i}"));
            world.run(10 * SECOND_MS);
        }
        (0..2).for_each(|node| world.stop(node));
        world.run(33 * DAY_MS);
        (0..2).for_each(|node| world.start(node));
        world.say(0, "p1", "after a month");
        world.say(1, "p0", "after a month");
        world.run(CLOCK_DOUBT_MS + 2 * HOUR_MS);
        assert_eq!((world.texts_from(0, "p1").len(), world.texts_from(1, "p0").len()), (5, 5), "{seed}");
        assert_eq!((session_rows(&world, 0), session_rows(&world, 1)), (1, 1), "{seed}");
    }
}

/// p0 writes more than first messages can carry to p1, who is away: it begins anew, and again. What the full
/// sessions have sealed p1 can open; sealing it on the newest would fill that, and so on for ever.
#[test]
fn what_a_full_session_has_sealed_is_not_sealed_again() {
    let mut world = connected(770, 4);
    (0..2).for_each(|node| world.stop(node));
    world.lose_sessions(0);
    world.start(0);
    let before = sessions(&mut world, 0);
    for i in 0..230 {
        world.ask(0, World::send_request("p1", &format!("{i}"), None));
    }
    world.run(10 * MINUTE_MS);
    assert_eq!((held(&mut world, 0), sessions(&mut world, 0) - before), (230, 3));
    world.run(DAY_MS + HOUR_MS);
    assert_eq!((held(&mut world, 0), sessions(&mut world, 0) - before), (230, 3), "deposited again as it is");
    world.start(1);
    world.run(5 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0").len(), 230);
}

/// But a contact that begins anew may have lost the full ones too.
#[test]
fn what_a_full_session_has_sealed_is_sealed_again_for_who_lost_it() {
    let mut world = connected(780, 4);
    (0..2).for_each(|node| world.stop(node));
    let copy = world.nodes[1].private.clone();
    world.run(DAY_MS + 2 * HOUR_MS);
    turn(&mut world, 1, MINUTE_MS);
    world.lose_sessions(0);
    world.start(0);
    for i in 0..110 {
        world.ask(0, World::send_request("p1", &format!("{i}"), None));
    }
    world.run(10 * MINUTE_MS);
    assert_eq!(held(&mut world, 0), 110);
    world.stop(0);
    world.nodes[1].private = copy;
    world.nodes[1].rolled_back = true;
    world.start(1);
    let back = world.say(1, "p0", "an older copy");
    assert!(world.wait_state(1, &back.id, MessageState::Held, MINUTE_MS));
    world.stop(1);
    turn(&mut world, 0, 20 * MINUTE_MS);
    turn(&mut world, 1, 20 * MINUTE_MS);
    world.start(1);
    assert_eq!(world.texts_from(1, "p0").len(), 110);
}

/// The text that waits for Mallory, in what was sent since: as far as this session can open it.
fn reaches(victim: &Victim, from: usize, mallory: &Mallory, session: &mut Session) -> bool {
    let secret = mallory.mailbox.public().secret;
    victim.sent[from..].iter().any(|output| {
        let inner = match output {
            Output::Send(_, Frame::Direct { inner }) => inner.clone(),
            Output::Send(CUSTODIAN, Frame::Deposit { envelope, .. }) => {
                unmask(&secret, &Envelope::parse(envelope).unwrap())
            }
            _ => return false,
        };
        let opened = session.open(victim.now, &inner);
        opened.is_ok_and(|opened| opened.content.windows(5).any(|part| part == b"waits"))
    })
}

/// Mallory has let the victim's message to it come so far, and begins anew.
fn begun_anew(half_way: impl Fn(&mut Victim, &Session, EnvelopeId)) {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite_for(3);
    let (mut session, mut anew) = (mallory.begin(&victim, &ticket), mallory.begin(&victim, &ticket));
    mallory.say(&mut victim, &mut session, vec![]);
    victim.run(MINUTE_MS);
    let (to, text) = ("mallory".to_owned(), "waits".to_owned());
    victim.ask(Request::Send(SendParams { to, text, client_id: None, expire_ms: None }));
    victim.run(100);
    let deposited = EnvelopeId::of(victim.deposits().last().unwrap());
    assert!(reaches(&victim, 0, &mallory, &mut session));
    half_way(&mut victim, &session, deposited);
    let from = victim.sent.len();
    mallory.say(&mut victim, &mut anew, vec![]);
    let receipt = CustodyReceipt::Plain { until: victim.now.plus(DAY_MS) };
    victim.input(Input::Frame(CUSTODIAN, Frame::Held { envelope: deposited, receipt }));
    victim.run(MINUTE_MS);
    assert!(reaches(&victim, from, &mallory, &mut anew), "what is held cannot be opened");
}

/// Its deposits are on their way: what custodians then have it cannot open.
#[test]
fn a_round_that_ends_for_a_session_of_before_is_followed_by_another() {
    begun_anew(|_, _, _| ());
}

/// It is held, and has been sent over a direct stream as well.
#[test]
fn what_awaits_a_receipt_is_sealed_again_for_who_begins_anew() {
    begun_anew(|victim, session, envelope| {
        let receipt = CustodyReceipt::Plain { until: victim.now.plus(DAY_MS) };
        victim.input(Input::Frame(CUSTODIAN, Frame::Held { envelope, receipt }));
        victim.run(MINUTE_MS);
        let proof = session.direct_proof(&STRANGER, &OWN, &[8; 32], &[9; 32]);
        victim.input(Input::Frame(STRANGER, Frame::DirectProof { proof, want: false }));
        assert!(matches!(victim.sent.last(), Some(Output::Send(STRANGER, Frame::Direct { .. }))));
    });
}

/// p1 was adding p0 when its database was restored, and the invite has been used up by somebody else. It
/// tries by p0's public bundle: p0 may have let it in.
#[test]
fn a_contact_whose_invite_has_ended_is_tried_by_its_public_bundle() {
    let mut world = World::new(795, 3, 4);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.run(2 * SECOND_MS);
    world.stop(0);
    let added = world.add(1, &ticket).unwrap();
    world.stop(1);
    world.start(0);
    world.add(2, &ticket).unwrap();
    world.run(10 * SECOND_MS);
    world.nodes[1].rolled_back = true;
    world.start(1);
    let sent = world.say(1, &added.account, "may I?");
    assert!(world.wait_state(1, &sent.id, MessageState::Held, MINUTE_MS));
}
