//! Loss, reordering and the bounds of both. (What must hold: 4.)

use murmesh_protocol::session::limits::{
    EPOCH_MESSAGES_MAX, INITIAL_MESSAGES_MAX, NEXT_EPOCH_TAGS_AHEAD, SKIPPED_KEY_AGE_MS_MAX, TAGS_AHEAD,
};
use murmesh_protocol::session::{SealError, Session, tag_of};
use murmesh_protocol::time::HOUR_MS;

use crate::session_world::{NOW, Person, Rng, begun, deliver, open, restarted, rng, running};

fn sealed(session: &mut Session, count: u32, rng: &mut Rng) -> Vec<Vec<u8>> {
    (0..count).map(|n| session.seal(&n.to_le_bytes(), rng).unwrap().inner).collect()
}

#[test]
fn the_windows_below_at_and_above() {
    let (mut alice, mut bob) = running(1);
    let inners = sealed(&mut bob, 2 * TAGS_AHEAD, &mut rng(2));
    let known = |alice: &Session, n: u32| alice.recognises(&tag_of(&inners[n as usize]).unwrap());
    // Before anything of the epoch has come, a smaller window.
    assert!(known(&alice, NEXT_EPOCH_TAGS_AHEAD - 2) && known(&alice, NEXT_EPOCH_TAGS_AHEAD - 1));
    assert!(!known(&alice, NEXT_EPOCH_TAGS_AHEAD));
    open(&mut alice, &inners[0]).unwrap();
    assert!(known(&alice, TAGS_AHEAD - 1) && known(&alice, TAGS_AHEAD) && !known(&alice, TAGS_AHEAD + 1));
    open(&mut alice, &inners[TAGS_AHEAD as usize]).unwrap();
    assert!((1..TAGS_AHEAD).all(|n| known(&alice, n)), "skipped");
    assert!(!known(&alice, TAGS_AHEAD));
    assert!(known(&alice, 2 * TAGS_AHEAD - 1));
}

/// All messages of an epoch but the last are lost, or late: it is found, and so are they. One more could not
/// be found, and is not sealed: below, at and above. (That no more is skipped is tested in `chain.rs`.)
#[test]
fn the_last_of_an_epoch_overtakes_all_others() {
    for heard in [0, 1] {
        let (mut alice, mut bob) = running(1);
        let rng = &mut rng(2);
        (0..heard).for_each(|_| deliver(&mut bob, &mut alice, b"epoch", rng));
        let mut inners = sealed(&mut bob, EPOCH_MESSAGES_MAX - heard - 1, rng);
        assert!(!bob.is_exhausted(NOW));
        let last = bob.seal(b"last", rng).unwrap().inner;
        assert!(bob.is_exhausted(NOW) && bob.is_full());
        let before = bob.to_record();
        assert_eq!(bob.seal(b"more", rng), Err(SealError::Exhausted));
        assert_eq!(*bob.to_record(), *before);
        assert!(open(&mut alice, &last).is_err(), "beyond the window");
        let table = alice.wide_table();
        assert_eq!(alice.open_wide(NOW, &last, &table).unwrap().content, b"last");
        for (n, inner) in inners.iter().enumerate().rev() {
            assert_eq!(open(&mut alice, inner).unwrap().content, (n as u32).to_le_bytes());
        }
        inners.push(last);
        assert!(inners.iter().all(|inner| open(&mut alice, inner).is_err()), "once");
        // The answer makes room.
        deliver(&mut alice, &mut bob, b"hi", rng);
        assert!(!bob.is_exhausted(NOW));
    }
}

/// All but the last of an epoch's messages are late: the first of the next epoch still opens, and
/// so do they, from the keys that its count told to keep.
#[test]
fn a_whole_epoch_arrives_after_the_next() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    deliver(&mut bob, &mut alice, b"epoch", rng);
    let late = sealed(&mut bob, 200, rng);
    deliver(&mut alice, &mut bob, b"answer", rng);
    deliver(&mut bob, &mut alice, b"next epoch", rng);
    for inner in late.iter().rev() {
        open(&mut alice, inner).unwrap();
    }
}

#[test]
fn a_first_message_of_the_next_epoch_far_ahead_opens_by_the_wide_table() {
    let (mut alice, mut bob) = running(1);
    let inners = sealed(&mut bob, 100, &mut rng(2));
    let table = alice.wide_table();
    assert!(open(&mut alice, &inners[99]).is_err());
    alice.open_wide(NOW, &inners[99], &table).unwrap();
    // The table is now of the past, and still right.
    alice.open_wide(NOW, &inners[50], &table).unwrap();
    assert!(alice.open_wide(NOW, &inners[50], &table).is_err());
    open(&mut alice, &inners[0]).unwrap();
}

#[test]
fn every_message_of_an_epoch_is_lost() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    sealed(&mut bob, 30, rng);
    // Alice does not know of that epoch and goes on in hers; Bob answers in it.
    for _ in 0..3 {
        deliver(&mut alice, &mut bob, b"are you there?", rng);
    }
    let inner = bob.seal(b"yes", rng).unwrap().inner;
    let table = alice.wide_table();
    assert_eq!(alice.open_wide(NOW, &inner, &table).unwrap().content, b"yes");
    deliver(&mut alice, &mut bob, b"good", rng);
}

/// A crash on either side before its commit: the step is done again, and nothing is lost or doubled.
#[test]
fn a_crash_before_the_commit_loses_nothing() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    for round in 0..6 {
        let before = restarted(&bob);
        // Sealed, not committed: so it never left.
        bob.seal(b"lost in the crash", rng).unwrap();
        bob = before;
        let inner = bob.seal(b"sealed again", rng).unwrap().inner;
        let before = restarted(&alice);
        let first = open(&mut alice, &inner).unwrap();
        alice = before;
        assert_eq!(open(&mut alice, &inner).unwrap(), first);
        assert!(open(&mut alice, &inner).is_err(), "round {round}");
        if round % 2 == 1 {
            core::mem::swap(&mut alice, &mut bob);
        }
    }
}

#[test]
fn both_send_at_once() {
    let (mut alice, mut bob) = running(1);
    let rng = &mut rng(2);
    for _ in 0..10 {
        let (a, b) = (sealed(&mut alice, 3, rng), sealed(&mut bob, 3, rng));
        for (to_bob, to_alice) in a.iter().zip(&b) {
            open(&mut bob, to_bob).unwrap();
            open(&mut alice, to_alice).unwrap();
        }
    }
}

#[test]
fn first_messages_below_at_and_above_their_number() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(3);
    let mut ours = alice.initiate(&bob, None, rng);
    let inners = sealed(&mut ours, INITIAL_MESSAGES_MAX - 1, rng);
    assert!(!ours.is_exhausted(NOW));
    let last = ours.seal(b"last", rng).unwrap().inner;
    assert!(ours.is_exhausted(NOW));
    let before = ours.to_record();
    assert_eq!(ours.seal(b"more", rng), Err(SealError::Exhausted));
    assert_eq!(*ours.to_record(), *before);
    // The last one arrives first, the others afterwards in reverse.
    let mut theirs = bob.accept(&last).unwrap().session;
    for inner in inners.iter().rev() {
        theirs.open_first_again(NOW, inner).unwrap();
    }
    // The answer ends the initial state.
    deliver(&mut theirs, &mut ours, b"hi", rng);
    assert!(!ours.is_initial() && !ours.is_exhausted(NOW));
    deliver(&mut ours, &mut theirs, b"hi", rng);
}

#[test]
fn an_initial_session_ends_with_its_bundle() {
    let (ours, theirs) = (Person::new(1).initiate(&Person::new(2), None, &mut rng(1)), begun(1).1);
    let end = ours.bundle_not_after().unwrap().plus(26 * HOUR_MS);
    assert!(!ours.is_exhausted(end) && ours.is_exhausted(end.plus(1)));
    assert!(!theirs.is_exhausted(end.plus(1)));
}

#[test]
fn skipped_keys_are_forgotten_with_age() {
    let (mut alice, mut bob) = running(1);
    let inners = sealed(&mut bob, 3, &mut rng(2));
    open(&mut alice, &inners[2]).unwrap();
    alice.forget_old(NOW.plus(SKIPPED_KEY_AGE_MS_MAX));
    open(&mut alice, &inners[0]).unwrap();
    alice.forget_old(NOW.plus(SKIPPED_KEY_AGE_MS_MAX + 1));
    assert!(open(&mut alice, &inners[1]).is_err());
}
