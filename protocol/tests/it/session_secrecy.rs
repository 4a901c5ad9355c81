//! What a thief of the disk, or a cloned disk, gives away. (What must hold: 10, 11, 12, 16.)

use std::collections::BTreeSet;

use murmesh_protocol::id::Address;
use murmesh_protocol::session::{SealError, Session};
use murmesh_protocol::time::Day;
use murmesh_protocol::wire::envelope::{Envelope, SIZE_CLASSES, seal_round, unmask};

use crate::session_world::{NOW, Person, Rng, deliver, open, restarted, rng, running};

#[test]
fn a_snapshot_opens_nothing_earlier() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    let mut past = Vec::new();
    for _ in 0..4 {
        let inners = [(); 4].map(|()| bob.seal(b"secret", rng).unwrap().inner);
        // Two of them are passed over, and their keys kept until they come.
        for at in [0, 3, 1, 2] {
            open(&mut alice, &inners[at]).unwrap();
        }
        past.extend(inners);
        core::mem::swap(&mut alice, &mut bob);
    }
    for thief in [&alice, &bob] {
        let mut thief = restarted(thief);
        let table = thief.wide_table();
        for inner in &past {
            assert!(open(&mut thief, inner).is_err() && thief.open_wide(NOW, inner, &table).is_err());
        }
    }
}

/// Whoever copied both disks reads on until each side has begun one epoch, and nothing after it.
#[test]
fn a_snapshot_opens_nothing_after_a_flip_each_way() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    let (mut as_alice, mut as_bob) = (restarted(&alice), restarted(&bob));
    let flip_bob = bob.seal(b"readable", rng).unwrap().inner;
    open(&mut alice, &flip_bob).unwrap();
    assert!(open(&mut as_alice, &flip_bob).is_ok(), "the thief can still read this");
    let flip_alice = alice.seal(b"secret", rng).unwrap().inner;
    open(&mut bob, &flip_alice).unwrap();
    let mut later = vec![flip_alice];
    for _ in 0..3 {
        let inner = bob.seal(b"secret", rng).unwrap().inner;
        open(&mut alice, &inner).unwrap();
        later.push(inner);
        core::mem::swap(&mut alice, &mut bob);
    }
    // The thief's Bob has begun an epoch too, as it must to read on; but not the one of the true Bob.
    as_bob.seal(b"guess", rng).unwrap();
    for thief in [&mut as_alice, &mut as_bob] {
        let table = thief.wide_table();
        for inner in &later {
            assert!(open(thief, inner).is_err() && thief.open_wide(NOW, inner, &table).is_err());
        }
    }
}

fn nonce_of(session: &Session, inner: &[u8]) -> [u8; 12] {
    let at = if session.is_initial() { 1_456 } else { 16 + 92 };
    inner[at..at + 12].try_into().unwrap()
}

/// A restored or cloned database seals under the same key again, but never under the same nonce.
#[test]
fn a_clone_never_repeats_key_and_nonce() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let initial = alice.initiate(&bob, None, &mut rng(3));
    let (same_epoch, new_epoch) = running(1);
    for session in [initial, same_epoch, new_epoch] {
        let mut nonces = BTreeSet::new();
        for clone in 0..50 {
            let mut session = restarted(&session);
            let rng = &mut rng(100 + clone);
            for n in 0..3 {
                let inner = session.seal(b"x", rng).unwrap().inner;
                assert!(nonces.insert(nonce_of(&session, &inner)), "clone {clone}, message {n}");
            }
        }
    }
}

#[test]
fn bodies_share_nothing_and_have_six_sizes() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(3);
    let mut initial = alice.initiate(&bob, None, rng);
    let (mut ours, mut theirs) = running(1);
    let mut inners: Vec<Vec<u8>> = Vec::new();
    for len in [0, 1, 100, 313, 314, 900, 3_000, 10_000] {
        // Twice the same content, each deposited in two rounds.
        for session in [&mut initial, &mut ours, &mut theirs] {
            inners.push(session.seal(&vec![7; len], rng).unwrap().inner);
            inners.push(session.seal(&vec![7; len], rng).unwrap().inner);
        }
    }
    let mut seen = BTreeSet::new();
    for inner in inners.iter().chain(&inners) {
        let envelope = seal_round(&[5; 32], Address([6; 32]), Day(1), 2, inner, rng).unwrap();
        assert!(SIZE_CLASSES.contains(&envelope.len()));
        let envelope = Envelope::parse(&envelope).unwrap();
        assert_eq!(unmask(&[5; 32], &envelope), *inner);
        for window in envelope.body.windows(8) {
            assert!(seen.insert(<[u8; 8]>::try_from(window).unwrap()));
        }
    }
}

/// Without the mask, too, later messages of one session show nothing in common.
#[test]
fn later_inners_share_nothing() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        let inner = bob.seal(b"the same", rng).unwrap().inner;
        open(&mut alice, &inner).unwrap();
        for window in inner.windows(8) {
            assert!(seen.insert(<[u8; 8]>::try_from(window).unwrap()));
        }
    }
}

#[test]
fn content_size_below_at_and_above() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(3);
    let initial = alice.initiate(&bob, None, rng);
    let (running, _) = running(1);
    for mut session in [initial, running] {
        let max = session.content_max();
        for len in [max - 1, max] {
            assert_eq!(session.seal(&vec![0; len], rng).unwrap().inner.len(), 65_536 - 58);
        }
        let before = session.to_record();
        assert_eq!(session.seal(&vec![0; max + 1], rng), Err(SealError::TooLarge { max }));
        assert_eq!(*session.to_record(), *before);
    }
}

/// Everything follows from the generator: the same seed, the same bytes.
#[test]
fn a_run_is_a_function_of_its_seed() {
    let run = |seed: u64| {
        let (mut alice, mut bob) = running(seed);
        let rng: &mut Rng = &mut rng(seed);
        deliver(&mut bob, &mut alice, b"x", rng);
        [alice.to_record().to_vec(), bob.to_record().to_vec(), alice.seal(b"y", rng).unwrap().inner].concat()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
