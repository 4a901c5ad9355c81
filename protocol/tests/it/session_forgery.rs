//! What an attacker changes, replays or borrows is refused, and leaves no trace in the session.
//! (What must hold: 1, 2, 3, 5, 6, 7, 8, 20, 21, 22.)

use murmesh_protocol::session::{FirstHeader, LocalDevice, OpenError, Session, initiate, tag_of};
use rand::Rng as _;

use crate::session_world::{NOW, Person, begun, open, restarted, rng, running};

/// Both ways of opening refuse `inner` alike and change nothing.
fn refused(session: &mut Session, inner: &[u8]) {
    let before = session.to_record();
    assert_eq!(session.open(NOW, inner), Err(OpenError));
    assert_eq!(session.open_first_again(NOW, inner), Err(OpenError));
    let table = session.wide_table();
    assert_eq!(session.open_wide(NOW, inner, &table), Err(OpenError));
    assert_eq!(*session.to_record(), *before);
}

fn refuses_every_flip(session: &mut Session, inner: &[u8]) {
    let before = session.to_record();
    let mut flipped = inner.to_vec();
    for bit in 0..inner.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(open(session, &flipped).is_err(), "bit {bit}");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(*session.to_record(), *before);
    assert!(open(session, inner).is_ok());
}

#[test]
fn every_flip_in_a_later_message_is_refused() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    // A new epoch, then the same epoch, then a skipped one.
    let inners: Vec<Vec<u8>> = (0..4).map(|_| bob.seal(b"attack at dawn", rng).unwrap().inner).collect();
    for at in [0, 1, 3, 2] {
        refuses_every_flip(&mut alice, &inners[at]);
    }
}

#[test]
fn every_flip_in_a_first_message_is_refused() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(3);
    let mut ours = alice.initiate(&bob, None, rng);
    let first = ours.seal(b"hello", rng).unwrap().inner;
    let second = ours.seal(b"again", rng).unwrap().inner;
    let mut flipped = first.clone();
    // Every byte, each in one bit; the hint, the number and the start of each part in every bit.
    for at in 0..first.len() {
        let whole = at < 16 || [56, 1_144, 1_456].iter().any(|start| (*start..start + 16).contains(&at));
        for bit in 0..if whole { 8 } else { 1 } {
            let mask = 1 << ((at + bit) % 8);
            flipped[at] ^= mask;
            assert!(bob.accept(&flipped).is_err(), "byte {at} mask {mask}");
            flipped[at] ^= mask;
        }
    }
    let mut theirs = bob.accept(&first).unwrap().session;
    refuses_every_flip(&mut theirs, &second);
}

#[test]
fn other_lengths_are_refused() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    let inner = bob.seal(b"x", rng).unwrap().inner;
    for len in 0..inner.len() {
        assert!(alice.open(NOW, &inner[..len]).is_err());
    }
    refused(&mut alice, &[inner.as_slice(), &[0]].concat());
    assert!(alice.open(NOW, &inner).is_ok());

    let (carol, dave) = (Person::new(1), Person::new(2));
    let mut session = carol.initiate(&dave, None, rng);
    let first = session.seal(b"x", rng).unwrap().inner;
    for len in (0..first.len()).step_by(7) {
        assert!(dave.accept(&first[..len]).is_err());
    }
    assert!(dave.accept(&[first.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn a_replay_is_not_recognised_also_after_a_restart() {
    let (mut alice, mut bob) = begun(1);
    let rng = &mut rng(2);
    let first = alice.seal(b"first again", rng).unwrap().inner;
    open(&mut bob, &first).unwrap();
    let later: Vec<Vec<u8>> = (0..3).map(|_| bob.seal(b"x", rng).unwrap().inner).collect();
    for at in [0, 2, 1] {
        open(&mut alice, &later[at]).unwrap();
    }
    for _ in 0..2 {
        assert!(!bob.recognises(&FirstHeader::parse(&first).unwrap().replay_key()));
        refused(&mut bob, &first);
        for inner in &later {
            assert!(!alice.recognises(&tag_of(inner).unwrap()));
            refused(&mut alice, inner);
            // Nor is one's own message taken for the peer's.
            refused(&mut bob, inner);
        }
        (alice, bob) = (restarted(&alice), restarted(&bob));
    }
}

#[test]
fn a_first_message_is_for_one_prekey_of_one_device_of_one_account() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(3);
    let mut inner = alice.initiate(&bob, None, rng).seal(b"hello", rng).unwrap().inner;
    assert!(bob.accept(&inner).is_ok());
    // Bob's next prekeys, with the hint put right.
    let next = Person { prekeys: Person::new(9).prekeys, ..Person::new(2) };
    assert!(next.accept(&inner).is_err());
    inner[..8].copy_from_slice(&next.bundle().hint());
    assert!(next.accept(&inner).is_err());
    // The right keys under another bundle id.
    let local = bob.local();
    let id = next.bundle().id();
    assert!(murmesh_protocol::session::accept(NOW, &local, &bob.prekeys, &id, &inner).is_err());
    // The right keys for another account: no identity misbinding.
    inner[..8].copy_from_slice(&bob.bundle().hint());
    let renamed = LocalDevice { account: Person::new(3).id(), ..bob.local() };
    let id = bob.bundle().id();
    assert!(murmesh_protocol::session::accept(NOW, &renamed, &bob.prekeys, &id, &inner).is_err());
    assert!(bob.accept(&inner).is_ok());
}

/// One half of Bob's keys does not read what was sent to him. (That it does not speak for others to
/// him is tested beside the handshake.)
#[test]
fn half_of_the_keys_open_nothing() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(3);
    let inner = alice.initiate(&bob, None, rng).seal(b"hello", rng).unwrap().inner;
    let id = bob.bundle().id();
    let local = bob.local();
    let eve = Person::new(9);
    // Account and device keys, no prekeys.
    assert!(murmesh_protocol::session::accept(NOW, &local, &eve.prekeys, &id, &inner).is_err());
    // Prekeys, no device key.
    let local = LocalDevice { device: &eve.device, ..bob.local() };
    assert!(murmesh_protocol::session::accept(NOW, &local, &bob.prekeys, &id, &inner).is_err());
    // The X25519 prekey and the device key, another ML-KEM key; and the other way round.
    let (ours, theirs) = (bob.prekeys.to_record(), eve.prekeys.to_record());
    for mixed in [[&ours[..33], &theirs[33..]].concat(), [&[1], &theirs[1..33], &ours[33..]].concat()] {
        let mixed = murmesh_protocol::keys::PrekeyPair::from_record(&mixed).unwrap();
        assert!(murmesh_protocol::session::accept(NOW, &bob.local(), &mixed, &id, &inner).is_err());
    }
}

#[test]
fn a_device_speaks_only_for_the_account_that_certifies_it() {
    let (alice, bob, mallory) = (Person::new(1), Person::new(2), Person::new(3));
    let rng = &mut rng(4);
    let mut first = |local: &LocalDevice<'_>| {
        let mut session = initiate(NOW, local, bob.id(), &bob.bundle(), None, rng).unwrap();
        session.seal(b"hello", rng).unwrap().inner
    };
    // Mallory's device under Alice's name, with Alice's certificate or her own.
    let with_hers = LocalDevice { device: &mallory.device, ..alice.local() };
    let with_own = LocalDevice { account: alice.id(), ..mallory.local() };
    for local in [with_hers, with_own] {
        assert!(bob.accept(&first(&local)).is_err());
    }
    // A device certified by Mallory speaks for Mallory, whoever else certified it.
    let borrowed = Person::new(3).with_device_of(&alice);
    let accepted = bob.accept(&first(&borrowed.local())).unwrap();
    assert_eq!(accepted.introduction.account, mallory.id());
    assert_eq!(accepted.session.peer_account(), mallory.id());
}

/// A hundred thousand messages of strangers: one look-up each, no Diffie-Hellman, no change.
#[test]
fn a_flood_of_unknown_tags_is_only_looked_up() {
    let (mut alice, _) = running(1);
    let rng = &mut rng(2);
    let before = alice.to_record();
    let mut inner = vec![0; 454];
    for _ in 0..100_000 {
        rng.fill_bytes(&mut inner);
        assert!(!alice.recognises(&tag_of(&inner).unwrap()));
        assert_eq!(alice.open(NOW, &inner), Err(OpenError));
    }
    assert_eq!(*alice.to_record(), *before);
}

#[test]
fn a_direct_proof_is_bound_to_everything() {
    let (alice, bob) = running(1);
    let (other, _) = running(7);
    let (a, b) = (murmesh_protocol::id::PeerId([1; 32]), murmesh_protocol::id::PeerId([2; 32]));
    let (na, nb) = ([3; 32], [4; 32]);
    let proof = alice.direct_proof(&a, &b, &na, &nb);
    assert!(bob.check_direct_proof(&a, &b, &na, &nb, &proof));
    assert!(!bob.check_direct_proof(&b, &a, &nb, &na, &proof), "reflected");
    assert!(!bob.check_direct_proof(&a, &a, &na, &nb, &proof));
    assert!(!bob.check_direct_proof(&a, &b, &nb, &nb, &proof));
    assert!(!bob.check_direct_proof(&a, &b, &na, &na, &proof));
    assert!(!other.check_direct_proof(&a, &b, &na, &nb, &proof));
}

#[test]
fn hostile_session_records_do_not_panic() {
    let (alice, bob) = running(1);
    for record in [begun(1).0.to_record(), alice.to_record(), bob.to_record()] {
        for len in 0..record.len() {
            assert!(Session::from_record(&record[..len]).is_err());
        }
        assert!(Session::from_record(&[record.as_slice(), &[0]].concat()).is_err());
        let mut flipped = record.to_vec();
        for at in 0..record.len() {
            flipped[at] ^= 0xff;
            let _ = Session::from_record(&flipped);
            flipped[at] ^= 0xff;
        }
    }
}
