//! Addresses: keys blinded to a day, so that who does not know the base key cannot link two days.
//!
//! The arithmetic is that of Tor's v3 onion services. Two things differ: the factor is hashed from
//! our own label, and the nonce prefix depends on the factor. Tor's does not; there, signing one
//! message for two days would repeat the nonce under two keys whose ratio is public, which gives
//! away the base key. SPEC §3.3.

use core::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha512};

use crate::crypto::{hkdf, verify};
use crate::id::{AccountId, Address, InviteToken, sha256};
use crate::keys::{AccountKeys, MailboxKeys, MailboxPublic};
use crate::label;
use crate::time::Day;

/// The bytes are not a usable Ed25519 public key: off the curve, of low or mixed order, or not in
/// canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a usable public key")]
pub struct BadKey;

/// Who can sign for an address.
pub trait AddressSigner {
    /// The address, which is the public key of this signer.
    fn address(&self) -> Address;

    /// An Ed25519 signature under the address. `message` begins with its own label (SPEC §1.2).
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// Whether `signature` is the address's own on `message`, by the strict rules.
#[must_use]
pub fn verify_address(address: &Address, message: &[u8], signature: &[u8; 64]) -> bool {
    verify(&address.0, message, signature).is_ok()
}

/// The address of `public_key` on `day`; `extra` is known to those meant to compute it (SPEC §3.3).
///
/// # Errors
/// The key is not usable.
pub fn blind_public(public_key: &[u8; 32], day: Day, extra: &[u8]) -> Result<Address, BadKey> {
    multiply(public_key, factor(public_key, day, extra)).map(|point| Address(point.compress().0))
}

/// Signs for one address: the private side of [`blind_public`].
pub struct BlindedSigner {
    key: ExpandedSecretKey,
    public: VerifyingKey,
}

impl BlindedSigner {
    /// For the account's public things on `day`: [`request_address`].
    #[must_use]
    pub fn request(account: &AccountKeys, day: Day) -> BlindedSigner {
        BlindedSigner::new(account.seed(), &account.id().0, day, &[])
    }

    /// For the contact mailbox on `day`: [`contact_address`].
    #[must_use]
    pub fn contact(mailbox: &MailboxKeys, day: Day) -> BlindedSigner {
        BlindedSigner::new(mailbox.seed(), &mailbox.public().base_key, day, mailbox.secret())
    }

    /// For the whereabouts record on `day`: [`whereabouts_address`].
    #[must_use]
    pub fn whereabouts(mailbox: &MailboxKeys, day: Day) -> BlindedSigner {
        let extra = whereabouts_extra(mailbox.secret());
        BlindedSigner::new(mailbox.seed(), &mailbox.public().base_key, day, &extra)
    }

    fn new(seed: &[u8; 32], public_key: &[u8; 32], day: Day, extra: &[u8]) -> BlindedSigner {
        let factor = factor(public_key, day, extra);
        let base = ExpandedSecretKey::from(seed);
        let mut prefix = Sha512::new();
        for part in [label::BLIND_NONCE, &base.hash_prefix, &factor] {
            prefix.update(part);
        }
        let wide: [u8; 64] = prefix.finalize().into();
        let mut key =
            ExpandedSecretKey { scalar: multiply_scalar(&base.scalar, factor), hash_prefix: [0; 32] };
        key.hash_prefix.iter_mut().zip(wide).for_each(|(to, from)| *to = from);
        BlindedSigner { public: VerifyingKey::from(&key), key }
    }
}

impl AddressSigner for BlindedSigner {
    fn address(&self) -> Address {
        Address(self.public.to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.key, message, &self.public).to_bytes()
    }
}

impl fmt::Debug for BlindedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlindedSigner({:?})", self.address())
    }
}

/// Signs for an invite record: whoever knows account and token can, which lets them suppress the
/// record but not forge what is signed inside it (SPEC §3.3).
pub struct InviteSigner {
    key: SigningKey,
}

impl InviteSigner {
    /// The signer of `token`'s record.
    #[must_use]
    pub fn new(account: &AccountId, token: &InviteToken) -> InviteSigner {
        let seed = hkdf(&[], &[account.0.as_slice(), &token.0].concat(), &[label::INVITE_SEED]);
        InviteSigner { key: SigningKey::from_bytes(&seed.0) }
    }
}

impl AddressSigner for InviteSigner {
    fn address(&self) -> Address {
        Address(self.key.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for InviteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InviteSigner({:?})", self.address())
    }
}

/// Where an account's public records and its request mailbox are on its `day`.
///
/// # Errors
/// The account id is not a usable key.
pub fn request_address(account: &AccountId, day: Day) -> Result<Address, BadKey> {
    blind_public(&account.0, day, &[])
}

/// Where a contact deposits mail on the owner's `day`.
///
/// # Errors
/// The base key is not a usable key.
pub fn contact_address(mailbox: &MailboxPublic, day: Day) -> Result<Address, BadKey> {
    blind_public(&mailbox.base_key, day, &mailbox.secret)
}

/// Where a contact finds the whereabouts record on the owner's `day`.
///
/// # Errors
/// The base key is not a usable key.
pub fn whereabouts_address(mailbox: &MailboxPublic, day: Day) -> Result<Address, BadKey> {
    blind_public(&mailbox.base_key, day, &whereabouts_extra(&mailbox.secret))
}

/// Where an invite's record is, on every day until it expires.
#[must_use]
pub fn invite_address(account: &AccountId, token: &InviteToken) -> Address {
    InviteSigner::new(account, token).address()
}

fn whereabouts_extra(secret: &[u8; 32]) -> Vec<u8> {
    [secret.as_slice(), label::WHERE].concat()
}

/// The clamped integer that the base key is multiplied by.
fn factor(public_key: &[u8; 32], day: Day, extra: &[u8]) -> [u8; 32] {
    clamp_integer(sha256(&[label::BLIND, public_key, &day.0.to_le_bytes(), extra]))
}

/// `factor · A`. The factor is a multiple of eight, so no part of low order survives; a key that
/// has one is refused all the same, so that no two ids share addresses.
fn multiply(public_key: &[u8; 32], factor: [u8; 32]) -> Result<EdwardsPoint, BadKey> {
    let compressed = CompressedEdwardsY(*public_key);
    let base = compressed.decompress().ok_or(BadKey)?;
    if base.compress() != compressed || base.is_small_order() || !base.is_torsion_free() {
        return Err(BadKey);
    }
    Ok(base.mul_clamped(factor))
}

/// `factor · a`, modulo the order of the group.
fn multiply_scalar(base: &Scalar, factor: [u8; 32]) -> Scalar {
    base * Scalar::from_bytes_mod_order(factor)
}

#[cfg(test)]
mod tests;
