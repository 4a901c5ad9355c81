//! The envelope: what custodians hold of a message (SPEC §4.1).
//!
//! Bytes of one of six sizes, an address, a day and a time to drop it. The body is masked afresh
//! for every round of deposits, so that two rounds of one message look unrelated. Nothing is
//! authenticated here: the session does that for the inner bytes.

use rand::CryptoRng;

use crate::crypto::{chacha20_xor, hkdf};
use crate::id::{Address, EnvelopeId};
use crate::label;
use crate::time::{Day, Time};
use crate::wire::layout::Reader;

/// Bytes of a whole envelope, by size class.
pub const SIZE_CLASSES: [usize; 6] = [512, 1_024, 2_048, 4_096, 16_384, 65_536];

/// Bytes of an envelope that are not its inner: header 42, salt 16.
pub const ENVELOPE_OVERHEAD: usize = 58;

const VERSION: u8 = 1;
const SALT: usize = 16;

/// The bytes are not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Too short, or of a version this node does not know.
    #[error("not an envelope of a known version")]
    Malformed,
    /// The length is no size class, or not the one the header names.
    #[error("an envelope of no size class")]
    Size,
}

/// An envelope, as a view of its bytes. It proves nothing about who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The mailbox.
    pub address: Address,
    /// The mailbox's day, by its account's reckoning.
    pub day: Day,
    /// When custodians may drop it, in Unix seconds.
    pub expires: u32,
    /// Salt and masked inner.
    pub body: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads an envelope.
    ///
    /// # Errors
    /// Unknown version, or a length that is not the named size class.
    pub fn parse(bytes: &'a [u8]) -> Result<Envelope<'a>, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let version = reader.u8()?;
            let address = Address(reader.array()?);
            let (day, expires) = (Day(reader.u32()?), reader.u32()?);
            let class = reader.u8()?;
            let body = reader.all_but(0)?;
            (version == VERSION)
                .then_some((Envelope { address, day, expires, body, whole: bytes }, usize::from(class)))
        };
        let (envelope, class) = read().ok_or(EnvelopeError::Malformed)?;
        match SIZE_CLASSES.get(class) {
            Some(size) if *size == bytes.len() => Ok(envelope),
            _ => Err(EnvelopeError::Size),
        }
    }

    /// The name of these exact bytes.
    #[must_use]
    pub fn id(&self) -> EnvelopeId {
        EnvelopeId::of(self.whole)
    }

    /// `expires` as a time.
    #[must_use]
    pub fn expires_at(&self) -> Time {
        Time::from_seconds(self.expires)
    }

    /// The bytes this is a view of.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.whole
    }
}

/// Wraps `inner` for one round of deposits: every copy of the round is these same bytes.
/// `mask_key` is the `secret_g` of a contact mailbox or the `AK_pk` of a request mailbox.
///
/// # Errors
/// `inner` does not fill a size class exactly.
pub fn seal_round(
    mask_key: &[u8; 32],
    address: Address,
    day: Day,
    expires: u32,
    inner: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, EnvelopeError> {
    let size = inner.len().checked_add(ENVELOPE_OVERHEAD).ok_or(EnvelopeError::Size)?;
    let class = SIZE_CLASSES.iter().position(|class| *class == size).ok_or(EnvelopeError::Size)?;
    let class = u8::try_from(class).map_err(|_| EnvelopeError::Size)?;
    let mut salt = [0; SALT];
    rng.fill_bytes(&mut salt);
    let mut out = Vec::with_capacity(size);
    out.push(VERSION);
    out.extend_from_slice(&address.0);
    out.extend_from_slice(&day.0.to_le_bytes());
    out.extend_from_slice(&expires.to_le_bytes());
    out.push(class);
    out.extend_from_slice(&salt);
    let mut masked = inner.to_vec();
    mask(mask_key, &address, &salt, &mut masked);
    out.append(&mut masked);
    Ok(out)
}

/// The inner of an envelope deposited under `mask_key`. Under another key it is noise.
#[must_use]
pub fn unmask(mask_key: &[u8; 32], envelope: &Envelope<'_>) -> Vec<u8> {
    let Some((salt, masked)) = envelope.body.split_first_chunk::<SALT>() else { return Vec::new() };
    let mut inner = masked.to_vec();
    mask(mask_key, &envelope.address, salt, &mut inner);
    inner
}

/// The key is fresh with the salt, so the nonce may be constant.
fn mask(mask_key: &[u8; 32], address: &Address, salt: &[u8; SALT], data: &mut [u8]) {
    chacha20_xor(&hkdf(&[], mask_key, &[label::MASK, &address.0, salt]), [0; 12], data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::sha256;
    use crate::testing::{hex, refuses_other_lengths, rng};

    fn sealed(len: usize, seed: u64) -> Vec<u8> {
        seal_round(&[1; 32], Address([2; 32]), Day(20_000), 1_800_000_000, &vec![3; len - 58], &mut rng(seed))
            .unwrap()
    }

    #[test]
    fn a_frozen_envelope() {
        assert_eq!(
            hex(&sha256(&[&sealed(512, 1)])),
            "493830f5910b8fe99a096724bf3d58e8be1cf98c58271092e66bb978559e586d"
        );
        assert_eq!(
            hex(&sealed(512, 1)[..42]),
            "010202020202020202020202020202020202020202020202020202020202020202204e000000d2496b00"
        );
    }

    #[test]
    fn every_class_round_trips_and_other_lengths_are_refused() {
        for size in SIZE_CLASSES {
            let bytes = sealed(size, 1);
            assert_eq!(bytes.len(), size);
            let envelope = Envelope::parse(&bytes).unwrap();
            assert_eq!((envelope.address, envelope.day), (Address([2; 32]), Day(20_000)));
            assert_eq!((envelope.expires, envelope.id()), (1_800_000_000, EnvelopeId::of(&bytes)));
            assert_eq!(unmask(&[1; 32], &envelope), vec![3; size - 58]);
            assert_ne!(unmask(&[2; 32], &envelope), vec![3; size - 58]);
        }
        refuses_other_lengths(&sealed(1_024, 1), |bytes| Envelope::parse(bytes).is_ok());
        let odd = seal_round(&[1; 32], Address([2; 32]), Day(1), 1, &[0; 455], &mut rng(1));
        assert_eq!(odd, Err(EnvelopeError::Size));
    }

    #[test]
    fn other_versions_and_classes_are_refused() {
        let mut bytes = sealed(512, 1);
        bytes[0] = 2;
        assert_eq!(Envelope::parse(&bytes), Err(EnvelopeError::Malformed));
        (bytes[0], bytes[41]) = (1, 1);
        assert_eq!(Envelope::parse(&bytes), Err(EnvelopeError::Size));
        bytes[41] = 200;
        assert_eq!(Envelope::parse(&bytes), Err(EnvelopeError::Size));
    }

    #[test]
    fn rounds_of_one_inner_share_nothing_after_the_header() {
        let (a, b) = (sealed(2_048, 1), sealed(2_048, 2));
        assert_eq!(a[..42], b[..42]);
        let windows: std::collections::BTreeSet<&[u8]> = a[42..].windows(8).collect();
        assert!(b[42..].windows(8).all(|window| !windows.contains(window)));
    }
}
