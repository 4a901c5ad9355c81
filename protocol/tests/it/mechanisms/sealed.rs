//! What a session opens and what it is bound to (SPEC §5.2, §5.4, §5.7).

use murmesh_protocol::session::limits::SKIP_MAX;
use murmesh_protocol::session::{OpenError, Session};

use crate::session_world::{NOW, begun, deliver, open, restarted, rng, running};

/// SPEC §5.4, §5.7: a wide table holds as far as one message may skip, also in the peer's next epoch when
/// all before it are lost.
#[test]
fn the_first_of_the_next_epoch_may_be_as_far_ahead_as_a_message_may_skip() {
    let (alice, mut bob) = running(1);
    let rng = &mut rng(2);
    // As many as are sealed without an answer.
    let inners: Vec<_> = (0..SKIP_MAX + 2).map_while(|_| bob.seal(b"far", rng).ok()).collect();
    for (skipped, opens) in [(SKIP_MAX - 1, true), (SKIP_MAX, true), (SKIP_MAX + 1, false)] {
        let (mut alice, table) = (restarted(&alice), alice.wide_table());
        let Some(sealed) = inners.get(skipped as usize) else { continue };
        assert_eq!(alice.open_wide(NOW, &sealed.inner, &table).is_ok(), opens, "{skipped} skipped");
    }
    assert!(inners.len() as u32 >= SKIP_MAX);
}

/// The same keys under the id of another session, as a record that was tampered with would have them.
fn renamed(session: &Session) -> Session {
    let mut record = session.to_record();
    record[1] ^= 1;
    let other = Session::from_record(&record).unwrap();
    assert_ne!(other.id(), session.id());
    other
}

/// SPEC §5.2, §5.4: what is sealed is bound to the id of its session, so to the handshake that began it and
/// all that this authenticates: the keys alone do not open it.
#[test]
fn a_message_opens_in_its_own_session_only() {
    let rng = &mut rng(3);
    let (mut alice, mut bob) = begun(1);
    let first = alice.seal(b"first again", rng).unwrap().inner;
    assert_eq!(renamed(&bob).open_first_again(NOW, &first), Err(OpenError));
    assert!(bob.open_first_again(NOW, &first).is_ok());
    let (mut alice, mut bob) = running(1);
    deliver(&mut bob, &mut alice, b"a new epoch", rng);
    // A current one, and one that was skipped.
    let inners = [(); 2].map(|()| bob.seal(b"later", rng).unwrap().inner);
    for inner in inners.iter().rev() {
        assert_eq!(renamed(&alice).open(NOW, inner), Err(OpenError));
        assert!(alice.open(NOW, inner).is_ok());
    }
}

/// SPEC §5.4: tag, header and body are of one message. Those of another, of this session or of another
/// one, are refused, and the session is as before.
#[test]
fn parts_of_two_messages_make_none() {
    const HEADER: std::ops::Range<usize> = 16..16 + 92;
    let rng = &mut rng(4);
    let (mut alice, mut bob) = running(1);
    let (mut carol, mut dave) = running(7);
    deliver(&mut bob, &mut alice, b"a new epoch", rng);
    deliver(&mut dave, &mut carol, b"a new epoch", rng);
    let ours = [(); 2].map(|()| bob.seal(b"ours", rng).unwrap().inner);
    let theirs = dave.seal(b"theirs", rng).unwrap().inner;
    let before = alice.to_record();
    for other in [&ours[1], &theirs] {
        let header = [&ours[0][..16], &other[HEADER], &ours[0][HEADER.end..]].concat();
        let body = [&ours[0][..HEADER.end], &other[HEADER.end..]].concat();
        for mixed in [header, body] {
            assert!(open(&mut alice, &mixed).is_err());
        }
    }
    assert_eq!(*alice.to_record(), *before);
    assert!(ours.iter().all(|inner| open(&mut alice, inner).is_ok()));
}
