//! Records: small replaceable values that custodians keep for an address (SPEC §4.2).
//!
//! Custodians see who signed, which slot and how new; the content is sealed under a key that only
//! those who may read it can derive. Which of two records wins and which days are in tolerance is
//! the custodians' rule, not decided here.

use rand::CryptoRng;

use crate::blind::{AddressSigner, verify_address};
use crate::crypto::{NotAuthentic, Secret, hkdf, xopen, xseal};
use crate::id::Address;
use crate::label;
use crate::time::{Day, Time};
use crate::wire::layout::Reader;

/// Most bytes of a whole record.
pub const RECORD_BYTES_MAX: usize = 16 * 1_024;

/// Bytes of a record that are not its content.
pub const RECORD_OVERHEAD: usize = HEAD + 24 + 16 + 1 + 64;

const HEAD: usize = 32 + 4 + 1 + 8 + 8;

/// Signed by the key that is the address itself. Delegates will be kind 1.
const SIGNER_DIRECT: u8 = 0;

/// What a record holds; one record per address, day and slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The account's manifest.
    Manifest = 0,
    /// One device's prekey bundle.
    Bundle = 1,
    /// Where a device can be reached, for contacts.
    Whereabouts = 2,
    /// Everything that the holder of a ticket needs. Its day is 0.
    Invite = 3,
}

impl Slot {
    fn from_byte(byte: u8) -> Option<Slot> {
        [Slot::Manifest, Slot::Bundle, Slot::Whereabouts, Slot::Invite].into_iter().find(|s| *s as u8 == byte)
    }
}

/// Why bytes are not a record, or a record cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Too long or too short.
    #[error("a record of wrong size")]
    Size,
    /// A slot, day or signer kind that this node does not know.
    #[error("not a record of a known kind")]
    Malformed,
    /// Not signed by its address, or not sealed under the key.
    #[error("not an authentic record")]
    NotAuthentic,
}

impl From<NotAuthentic> for RecordError {
    fn from(_: NotAuthentic) -> RecordError {
        RecordError::NotAuthentic
    }
}

/// What custodians read of a record beside its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// What it holds.
    pub slot: Slot,
    /// The day of the address; 0 exactly for invites.
    pub day: Day,
    /// The higher sequence number wins.
    pub seq: u64,
    /// When custodians drop it.
    pub expires: Time,
}

impl RecordHead {
    fn to_bytes(self, address: &Address) -> Vec<u8> {
        [
            address.0.as_slice(),
            &self.day.0.to_le_bytes(),
            &[self.slot as u8],
            &self.seq.to_le_bytes(),
            &self.expires.0.to_le_bytes(),
        ]
        .concat()
    }

    fn check(&self) -> Result<(), RecordError> {
        let invite = self.slot == Slot::Invite;
        if invite == (self.day == Day(0)) { Ok(()) } else { Err(RecordError::Malformed) }
    }
}

/// A record whose signature has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordIn {
    record: Record,
    signature: [u8; 64],
}

/// A record that its address has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    address: Address,
    head: RecordHead,
    bytes: Vec<u8>,
}

impl RecordIn {
    /// Reads a record.
    ///
    /// # Errors
    /// Wrong size, unknown slot or signer kind, or a day that does not fit the slot.
    pub fn parse(bytes: &[u8]) -> Result<RecordIn, RecordError> {
        if bytes.len() < RECORD_OVERHEAD || bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::Size);
        }
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let address = Address(reader.array()?);
            let day = Day(reader.u32()?);
            let slot = Slot::from_byte(reader.u8()?)?;
            let head = RecordHead { slot, day, seq: reader.u64()?, expires: Time(reader.u64()?) };
            reader.all_but(1 + 64)?;
            reader.u8().filter(|kind| *kind == SIGNER_DIRECT)?;
            let signature = reader.array()?;
            Some(RecordIn { record: Record { address, head, bytes: bytes.to_vec() }, signature })
        };
        let record = read().ok_or(RecordError::Malformed)?;
        record.record.head.check()?;
        Ok(record)
    }

    /// The address it claims.
    #[must_use]
    pub fn address(&self) -> Address {
        self.record.address
    }

    /// Its slot, day, sequence number and expiry, as claimed.
    #[must_use]
    pub fn head(&self) -> RecordHead {
        self.record.head
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// The address did not sign these bytes.
    pub fn verify(self) -> Result<Record, RecordError> {
        let signed = self.record.bytes.split_last_chunk::<64>().map_or(&[][..], |(signed, _)| signed);
        let message = [label::RECORD, signed].concat();
        if verify_address(&self.record.address, &message, &self.signature) {
            Ok(self.record)
        } else {
            Err(RecordError::NotAuthentic)
        }
    }
}

impl Record {
    /// The address that signed it.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its slot, day, sequence number and expiry.
    #[must_use]
    pub fn head(&self) -> RecordHead {
        self.head
    }

    /// The bytes to keep and pass on.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content, for who can derive `root_key`: `AK_pk` (manifest, bundle), `secret_g`
    /// (whereabouts) or the token (invite).
    ///
    /// # Errors
    /// Sealed under another key.
    pub fn open(&self, root_key: &[u8]) -> Result<Vec<u8>, RecordError> {
        let mut reader = Reader::new(&self.bytes);
        let mut read = || Some((reader.slice(HEAD)?, reader.array::<24>()?, reader.all_but(1 + 64)?));
        let (head, nonce, sealed) = read().ok_or(RecordError::NotAuthentic)?;
        Ok(xopen(&record_key(root_key, self.head.day), nonce, head, sealed)?)
    }
}

/// Seals and signs a record.
///
/// # Errors
/// Content too long, or a day that does not fit the slot.
pub fn seal_record(
    signer: &dyn AddressSigner,
    head: &RecordHead,
    root_key: &[u8],
    content: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, RecordError> {
    head.check()?;
    if content.len() > RECORD_BYTES_MAX - RECORD_OVERHEAD {
        return Err(RecordError::Size);
    }
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    let mut bytes = head.to_bytes(&signer.address());
    let mut sealed = content.to_vec();
    xseal(&record_key(root_key, head.day), nonce, &bytes, &mut sealed);
    bytes.extend_from_slice(&nonce);
    bytes.append(&mut sealed);
    bytes.push(SIGNER_DIRECT);
    let signature = signer.sign(&[label::RECORD, &bytes].concat());
    bytes.extend_from_slice(&signature);
    Ok(bytes)
}

fn record_key(root_key: &[u8], day: Day) -> Secret {
    hkdf(&[], root_key, &[label::RECORD_KEY, &day.0.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blind::{BlindedSigner, InviteSigner};
    use crate::id::{InviteToken, sha256};
    use crate::keys::{AccountKeys, Entropy};
    use crate::testing::{hex, refuses_bit_flips, rng};

    fn account() -> AccountKeys {
        AccountKeys::derive(&Entropy::from_bytes([7; 32]))
    }

    fn head(slot: Slot, day: u32) -> RecordHead {
        RecordHead { slot, day: Day(day), seq: 5, expires: Time(9_000) }
    }

    fn sealed(content: &[u8]) -> Vec<u8> {
        let signer = BlindedSigner::request(&account(), Day(3));
        seal_record(&signer, &head(Slot::Manifest, 3), &account().id().0, content, &mut rng(1)).unwrap()
    }

    fn verifies(bytes: &[u8]) -> bool {
        RecordIn::parse(bytes).is_ok_and(|record| record.verify().is_ok())
    }

    #[test]
    fn a_record_round_trips_and_is_frozen() {
        let bytes = sealed(b"content");
        assert_eq!(bytes.len(), RECORD_OVERHEAD + 7);
        let record = RecordIn::parse(&bytes).unwrap().verify().unwrap();
        assert_eq!((record.head(), record.as_bytes()), (head(Slot::Manifest, 3), bytes.as_slice()));
        assert_eq!(record.open(&account().id().0).unwrap(), b"content");
        assert_eq!(record.open(&[0; 32]), Err(RecordError::NotAuthentic));
        assert_eq!(
            hex(&sha256(&[&bytes])),
            "760151b6cd8effc96d9c03deab648f84022e22dabe12f68c9e184ebc4117c4e6"
        );
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let bytes = sealed(b"content");
        refuses_bit_flips(&bytes, verifies);
        for len in 0..bytes.len() {
            assert!(!verifies(&bytes[..len]));
        }
        assert!(!verifies(&[bytes.as_slice(), &[0]].concat()));
        assert_eq!(RecordIn::parse(&vec![0; RECORD_BYTES_MAX + 1]), Err(RecordError::Size));
    }

    #[test]
    fn size_limit_below_at_and_above() {
        let most = RECORD_BYTES_MAX - RECORD_OVERHEAD;
        assert!(verifies(&sealed(&vec![0; most - 1])));
        assert!(verifies(&sealed(&vec![0; most])));
        let signer = BlindedSigner::request(&account(), Day(3));
        let over = seal_record(&signer, &head(Slot::Manifest, 3), &[], &vec![0; most + 1], &mut rng(1));
        assert_eq!(over, Err(RecordError::Size));
    }

    #[test]
    fn invites_have_day_zero_and_nothing_else_has() {
        let token = InviteToken([4; 16]);
        let signer = InviteSigner::new(&account().id(), &token);
        let bytes = seal_record(&signer, &head(Slot::Invite, 0), &token.0, b"x", &mut rng(1)).unwrap();
        let record = RecordIn::parse(&bytes).unwrap().verify().unwrap();
        assert_eq!(record.open(&token.0).unwrap(), b"x");
        for wrong in [head(Slot::Invite, 1), head(Slot::Bundle, 0)] {
            assert_eq!(seal_record(&signer, &wrong, &[], b"x", &mut rng(1)), Err(RecordError::Malformed));
        }
    }
}
