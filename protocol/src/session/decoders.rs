//! The decoders of sessions, for [`crate::decoders`].

use core::convert::Infallible;

use crate::crypto::Secret;
use crate::decoders::{Decoder, TIMES};
use crate::id::SessionId;
use crate::session::noise::{Read, Split};
use crate::session::parts::Parts;
use crate::session::{FirstHeader, Session, content, handshake, ratchet, tag_of};
use crate::time::Time;

#[cfg(test)]
pub(crate) mod samples;

/// A session as it lies on disk.
pub(crate) const RECORD: Decoder = Decoder {
    name: "session",
    read: |bytes| Session::from_record(bytes).is_ok(),
    check: check_record,
    times: TIMES,
};

/// A sealed message, and what is inside one: padding, payloads of the handshakes.
pub(crate) const INNER: Decoder =
    Decoder { name: "inner", read: read_inner, check: check_inner, times: TIMES };

/// Whatever can be read must also go on.
fn check_record(bytes: &[u8]) {
    let Ok(mut session) = Session::from_record(bytes) else { return };
    assert_eq!(session.to_record().as_slice(), bytes, "one session, one record");
    let _ =
        (session.is_full(), session.is_answered(), session.content_max(), session.is_exhausted(Time::MAX));
    if let Ok(sealed) = session.seal(b"x", &mut Unfresh) {
        let _ = session.open(Time(1), &sealed.inner);
        let _ = session.open_first_again(Time(1), &sealed.inner);
    }
    session.forget_old(Time::MAX);
    let again = session.to_record();
    assert!(Session::from_record(&again).is_ok_and(|session| session.to_record() == again));
}

fn read_inner(bytes: &[u8]) -> bool {
    FirstHeader::parse(bytes).is_some()
        | content::unpad(bytes.to_vec()).is_some()
        | handshake::read_payload(&read_of(bytes)).is_some()
        | ratchet::read_payload(bytes).is_some()
}

fn check_inner(bytes: &[u8]) {
    let id = SessionId([3; 32]);
    let first = Parts::first(bytes, &id);
    let replay_key = FirstHeader::parse(bytes).map(|header| header.replay_key());
    assert_eq!(replay_key, first.as_ref().map(|parts| parts.tag));
    let later = Parts::later(bytes, &id);
    let named = later.as_ref().map(|parts| parts.tag);
    assert!(tag_of(bytes).is_none_or(|tag| named == Some(tag)));
    for parts in [first, later].into_iter().flatten() {
        assert!(parts.open(&Secret([7; 32])).is_err(), "nobody sealed it");
    }
    assert!(content::unpad(bytes.to_vec()).is_none_or(|content| content.len() + 5 <= bytes.len()));
}

/// The device key that the sender of a first message is taken to have proved.
const PROVED: [u8; 32] = [9; 32];

fn read_of(payload: &[u8]) -> Read {
    let split = Split { hash: [1; 32], k1: Secret([2; 32]), k2: Secret([3; 32]) };
    Read { payload: payload.to_vec(), remote: Some(PROVED), split }
}

/// A generator whose bytes are all the same: what is sealed here goes nowhere.
struct Unfresh;

impl rand::TryRng for Unfresh {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(7)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(7)
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        dest.fill(7);
        Ok(())
    }
}

impl rand::TryCryptoRng for Unfresh {}
