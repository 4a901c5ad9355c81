//! What the owner of a mailbox signs to custodians: subscribe, get, tombstone (SPEC §4.3).
//!
//! Subscribing and getting are signed over the custodian's name and its challenge, so that nobody
//! can relay or replay them. A tombstone is transferable on purpose: any custodian can check it and
//! pass it on, and a replay only drops again what its owner dropped.

use crate::blind::{AddressSigner, verify_address};
use crate::id::{Address, EnvelopeId, PeerId};
use crate::label;
use crate::limits::IDS_PER_CLAIM_MAX;
use crate::time::Day;

/// Bytes of an [`AddressSignature`].
pub const ADDRESS_SIGNATURE_BYTES: usize = 65;

/// The claim is not its address's, or not of a known kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an authentic claim")]
pub struct ClaimError;

/// A signature for an address: `kind 1 (0: the address's own key) | sig 64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSignature([u8; 64]);

const SIGNER_DIRECT: u8 = 0;

impl AddressSignature {
    /// The 65 bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ADDRESS_SIGNATURE_BYTES] {
        let mut out = [SIGNER_DIRECT; ADDRESS_SIGNATURE_BYTES];
        out.iter_mut().skip(1).zip(self.0).for_each(|(to, from)| *to = from);
        out
    }

    /// Reads the 65 bytes. Proves nothing yet.
    ///
    /// # Errors
    /// Wrong length or unknown signer kind.
    pub fn parse(bytes: &[u8]) -> Result<AddressSignature, ClaimError> {
        match bytes.split_first() {
            Some((&SIGNER_DIRECT, rest)) => rest.try_into().map(AddressSignature).map_err(|_| ClaimError),
            _ => Err(ClaimError),
        }
    }

    fn check(&self, address: &Address, message: &[u8]) -> Result<(), ClaimError> {
        if verify_address(address, message, &self.0) { Ok(()) } else { Err(ClaimError) }
    }
}

/// What a subscription and a fetch are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The custodian that is asked; the peer at the other end of the stream.
    pub custodian: PeerId,
    /// The challenge that custodian gave on this stream.
    pub challenge: [u8; 32],
    /// The mailbox.
    pub address: Address,
    /// The mailbox's day.
    pub day: Day,
    /// Where the owner wants to go on.
    pub cursor: u64,
}

impl Claim {
    fn message(&self, label: &[u8], ids: &[EnvelopeId]) -> Vec<u8> {
        let mut out = [
            label,
            &self.custodian.0,
            &self.challenge,
            &self.address.0,
            &self.day.0.to_le_bytes(),
            &self.cursor.to_le_bytes(),
        ]
        .concat();
        out.extend(ids.iter().flat_map(|id| id.0));
        out
    }
}

/// Signs a subscription. `claim.address` is the signer's.
#[must_use]
pub fn sign_subscribe(signer: &dyn AddressSigner, claim: &Claim) -> AddressSignature {
    AddressSignature(signer.sign(&claim.message(label::SUBSCRIBE, &[])))
}

/// Checks a subscription.
///
/// # Errors
/// The address did not sign exactly this.
pub fn verify_subscribe(claim: &Claim, signature: &AddressSignature) -> Result<(), ClaimError> {
    signature.check(&claim.address, &claim.message(label::SUBSCRIBE, &[]))
}

/// Signs a fetch of `ids`, in this order.
#[must_use]
pub fn sign_get(signer: &dyn AddressSigner, claim: &Claim, ids: &[EnvelopeId]) -> AddressSignature {
    AddressSignature(signer.sign(&claim.message(label::GET, ids)))
}

/// Checks a fetch.
///
/// # Errors
/// The address did not sign exactly this, or the ids are too many.
pub fn verify_get(claim: &Claim, ids: &[EnvelopeId], signature: &AddressSignature) -> Result<(), ClaimError> {
    if ids.len() > IDS_PER_CLAIM_MAX {
        return Err(ClaimError);
    }
    signature.check(&claim.address, &claim.message(label::GET, ids))
}

/// Signs that `ids` may be dropped, which are sorted and freed of duplicates in place.
#[must_use]
pub fn sign_tombstone(signer: &dyn AddressSigner, day: Day, ids: &mut Vec<EnvelopeId>) -> AddressSignature {
    ids.sort_unstable();
    ids.dedup();
    AddressSignature(signer.sign(&tombstone_message(&signer.address(), day, ids)))
}

/// Checks a tombstone.
///
/// # Errors
/// The address did not sign exactly this; ids unsorted, repeated, none or too many.
pub fn verify_tombstone(
    address: &Address,
    day: Day,
    ids: &[EnvelopeId],
    signature: &AddressSignature,
) -> Result<(), ClaimError> {
    let sorted = ids.is_sorted_by(|a, b| a < b);
    if !sorted || ids.is_empty() || ids.len() > IDS_PER_CLAIM_MAX {
        return Err(ClaimError);
    }
    signature.check(address, &tombstone_message(address, day, ids))
}

fn tombstone_message(address: &Address, day: Day, ids: &[EnvelopeId]) -> Vec<u8> {
    let mut out = [label::TOMBSTONE, &address.0, &day.0.to_le_bytes()].concat();
    out.extend(ids.iter().flat_map(|id| id.0));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blind::BlindedSigner;
    use crate::id::sha256;
    use crate::keys::{AccountKeys, Entropy};
    use crate::testing::{hex, refuses_bit_flips, refuses_other_lengths};

    fn signer(day: u32) -> BlindedSigner {
        BlindedSigner::request(&AccountKeys::derive(&Entropy::from_bytes([7; 32])), Day(day))
    }

    fn claim() -> Claim {
        let address = signer(3).address();
        Claim { custodian: PeerId([1; 32]), challenge: [2; 32], address, day: Day(3), cursor: 4 }
    }

    #[test]
    fn signatures_are_frozen() {
        let ids = [EnvelopeId([8; 32]), EnvelopeId([5; 32])];
        let signatures = [
            sign_subscribe(&signer(3), &claim()).to_bytes(),
            sign_get(&signer(3), &claim(), &ids).to_bytes(),
            sign_tombstone(&signer(3), Day(3), &mut ids.to_vec()).to_bytes(),
        ];
        let text: Vec<String> = signatures.iter().map(|s| hex(&sha256(&[s]))).collect();
        assert_eq!(
            text,
            [
                "83fbf92bf843234423e86b272f474cd6c34090cb68633536a7a9d0b299ea7cfd",
                "5c4b60fbf7b64df68f04eea729984caef01d68384c763b9bb6ce3319d3a632bc",
                "957005aea6428d00680c7a0c005cb682e0b46965f07eb6cc9705f7f8a65a4053"
            ]
        );
    }

    #[test]
    fn every_field_and_the_kind_of_claim_are_bound() {
        let ids = [EnvelopeId([5; 32])];
        let subscribe = sign_subscribe(&signer(3), &claim());
        let get = sign_get(&signer(3), &claim(), &ids);
        assert_eq!(verify_subscribe(&claim(), &subscribe), Ok(()));
        assert_eq!(verify_get(&claim(), &ids, &get), Ok(()));
        let others = [
            Claim { custodian: PeerId([9; 32]), ..claim() },
            Claim { challenge: [9; 32], ..claim() },
            Claim { address: signer(4).address(), ..claim() },
            Claim { day: Day(4), ..claim() },
            Claim { cursor: 5, ..claim() },
        ];
        for other in others {
            assert_eq!(verify_subscribe(&other, &subscribe), Err(ClaimError));
            assert_eq!(verify_get(&other, &ids, &get), Err(ClaimError));
        }
        assert_eq!(verify_get(&claim(), &[], &subscribe), Err(ClaimError));
        assert_eq!(verify_get(&claim(), &[EnvelopeId([6; 32])], &get), Err(ClaimError));
        assert_eq!(verify_subscribe(&claim(), &sign_subscribe(&signer(4), &claim())), Err(ClaimError));
    }

    #[test]
    fn tombstones_are_sorted_and_bound_to_address_and_day() {
        let mut ids = vec![EnvelopeId([8; 32]), EnvelopeId([5; 32]), EnvelopeId([8; 32])];
        let signature = sign_tombstone(&signer(3), Day(3), &mut ids);
        assert_eq!(ids, [EnvelopeId([5; 32]), EnvelopeId([8; 32])]);
        let address = signer(3).address();
        assert_eq!(verify_tombstone(&address, Day(3), &ids, &signature), Ok(()));
        assert_eq!(verify_tombstone(&address, Day(4), &ids, &signature), Err(ClaimError));
        assert_eq!(verify_tombstone(&signer(4).address(), Day(3), &ids, &signature), Err(ClaimError));
        assert_eq!(verify_tombstone(&address, Day(3), &ids[..1], &signature), Err(ClaimError));
        ids.reverse();
        assert_eq!(verify_tombstone(&address, Day(3), &ids, &signature), Err(ClaimError));
        let none = sign_tombstone(&signer(3), Day(3), &mut Vec::new());
        assert_eq!(verify_tombstone(&address, Day(3), &[], &none), Err(ClaimError));
    }

    #[test]
    fn id_limit_below_at_and_above() {
        for (count, fits) in
            [(IDS_PER_CLAIM_MAX - 1, true), (IDS_PER_CLAIM_MAX, true), (IDS_PER_CLAIM_MAX + 1, false)]
        {
            let mut ids: Vec<EnvelopeId> =
                (0..count).map(|i| EnvelopeId(sha256(&[&i.to_le_bytes()]))).collect();
            let tombstone = sign_tombstone(&signer(3), Day(3), &mut ids);
            assert_eq!(verify_tombstone(&signer(3).address(), Day(3), &ids, &tombstone).is_ok(), fits);
            let get = sign_get(&signer(3), &claim(), &ids);
            assert_eq!(verify_get(&claim(), &ids, &get).is_ok(), fits);
        }
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let bytes = sign_subscribe(&signer(3), &claim()).to_bytes();
        let accepts = |bytes: &[u8]| {
            AddressSignature::parse(bytes)
                .is_ok_and(|signature| verify_subscribe(&claim(), &signature).is_ok())
        };
        refuses_bit_flips(&bytes, accepts);
        refuses_other_lengths(&bytes, accepts);
    }
}
