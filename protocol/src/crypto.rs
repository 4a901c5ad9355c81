//! The symmetric primitives and strict signature check that everything else is made of.
//!
//! Thin wrappers that fix sizes, zeroise what they return and cannot fail except where the input
//! is not authentic. Which key is used for what is decided by the callers. SPEC §1.3.

use core::fmt;

use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, XChaCha20Poly1305};
use ed25519_dalek::{Signature, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use rand::CryptoRng;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes: wiped on drop, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret(pub(crate) [u8; 32]);

impl Secret {
    /// Fresh random bytes.
    pub(crate) fn random(rng: &mut dyn CryptoRng) -> Secret {
        let mut secret = Secret([0; 32]);
        rng.fill_bytes(&mut secret.0);
        secret
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The bytes are not what their maker sealed or signed. Says nothing more, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// 32 bytes of HKDF-SHA256.
pub(crate) fn hkdf(salt: &[u8], ikm: &[u8], info: &[&[u8]]) -> Secret {
    let mut out = Secret([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), ikm)
        .expand_multi_info(info, &mut out.0)
        .expect("32 bytes are within the limit of HKDF-SHA256");
    out
}

/// HMAC-SHA256 of the concatenation of `parts`.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Secret {
    HmacKey::new(key).of(parts)
}

/// A key of HMAC-SHA256 made ready: for several values by one key, each at half the price. Not for keeping.
pub(crate) struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    pub(crate) fn new(key: &[u8; 32]) -> HmacKey {
        HmacKey(<Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// Of the concatenation of `parts`.
    pub(crate) fn of(&self, parts: &[&[u8]]) -> Secret {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        Secret(mac.finalize().into_bytes().into())
    }
}

/// XORs `data` with the ChaCha20 key stream.
pub(crate) fn chacha20_xor(key: &Secret, nonce: [u8; 12], data: &mut [u8]) {
    chacha20::ChaCha20::new(&key.0.into(), &nonce.into()).apply_keystream(data);
}

/// ChaCha20-Poly1305, in place; appends the 16-byte tag.
pub(crate) fn seal(key: &Secret, nonce: [u8; 12], ad: &[u8], data: &mut Vec<u8>) {
    ChaCha20Poly1305::new(&key.0.into())
        .encrypt_in_place(&nonce.into(), ad, data)
        .expect("nothing here comes near 256 GiB");
}

/// Opens what [`seal`] made.
pub(crate) fn open(key: &Secret, nonce: [u8; 12], ad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
    let mut data = sealed.to_vec();
    ChaCha20Poly1305::new(&key.0.into())
        .decrypt_in_place(&nonce.into(), ad, &mut data)
        .map_err(|_| NotAuthentic)?;
    Ok(data)
}

/// XChaCha20-Poly1305, in place; appends the 16-byte tag.
pub(crate) fn xseal(key: &Secret, nonce: [u8; 24], ad: &[u8], data: &mut Vec<u8>) {
    XChaCha20Poly1305::new(&key.0.into())
        .encrypt_in_place(&nonce.into(), ad, data)
        .expect("nothing here comes near 256 GiB");
}

/// Opens what [`xseal`] made.
pub(crate) fn xopen(
    key: &Secret,
    nonce: [u8; 24],
    ad: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>, NotAuthentic> {
    let mut data = sealed.to_vec();
    XChaCha20Poly1305::new(&key.0.into())
        .decrypt_in_place(&nonce.into(), ad, &mut data)
        .map_err(|_| NotAuthentic)?;
    Ok(data)
}

/// The strict Ed25519 check: canonical scalar, no small-order key or nonce point.
pub(crate) fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), NotAuthentic> {
    let key = VerifyingKey::from_bytes(public).map_err(|_| NotAuthentic)?;
    key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| NotAuthentic)
}

/// Whether an X25519 public key is one of the low-order points, in any encoding: a Diffie-Hellman
/// with it yields zero whatever the private key, and snow does not refuse that (SPEC §5.1).
pub(crate) fn is_low_order(public: &[u8; 32]) -> bool {
    let mut canonical = *public;
    // X25519 ignores the top bit.
    if let Some(last) = canonical.last_mut() {
        *last &= 0x7f;
    }
    LOW_ORDER.contains(&canonical)
}

const fn edge(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut out = [middle; 32];
    out[0] = first;
    out[31] = last;
    out
}

/// 0, 1, p−1, p, p+1, and the two of order eight.
const LOW_ORDER: [[u8; 32]; 7] = [
    edge(0, 0, 0),
    edge(1, 0, 0),
    edge(0xec, 0xff, 0x7f),
    edge(0xed, 0xff, 0x7f),
    edge(0xee, 0xff, 0x7f),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    use curve25519_dalek::scalar::Scalar;
    use ed25519_dalek::{Signer, Verifier};
    use sha2::{Digest, Sha512};

    use super::*;

    #[test]
    fn the_low_order_list_is_what_diffie_hellman_maps_to_zero() {
        for mut point in LOW_ORDER {
            for top in [0, 0x80] {
                point[31] |= top;
                assert!(is_low_order(&point));
                let secret = x25519_dalek::StaticSecret::from([0x55; 32]);
                assert!(!secret.diffie_hellman(&point.into()).was_contributory());
            }
        }
        assert!(!is_low_order(&x25519_dalek::x25519([1; 32], x25519_dalek::X25519_BASEPOINT_BYTES)));
        assert!(!is_low_order(&edge(9, 0, 0)));
    }

    /// A message and what satisfies the equation of RFC 8032 for it, with the neutral point in place of a
    /// nonce. For a key of order two every second message has one.
    fn signed_without_nonce(key: [u8; 32], secret: Scalar) -> ([u8; 1], [u8; 64]) {
        let signed = |message: [u8; 1]| {
            let hash = Sha512::new().chain_update(NEUTRAL).chain_update(key).chain_update(message);
            let scalar = Scalar::from_bytes_mod_order_wide(&hash.finalize().into()) * secret;
            (message, [NEUTRAL, scalar.to_bytes()].concat().try_into().unwrap())
        };
        let verifying = VerifyingKey::from_bytes(&key).unwrap();
        let satisfies = |(message, signature): &([u8; 1], [u8; 64])| {
            verifying.verify(message, &Signature::from_bytes(signature)).is_ok()
        };
        (0..32).map(|i| signed([i])).find(satisfies).expect("every second message")
    }

    /// SPEC §1.3: signatures are verified strictly. A key of small order has signed everything for everybody,
    /// in any of its encodings; a nonce point of small order and a scalar that is not reduced make other
    /// signatures of one message.
    #[test]
    fn a_signature_with_a_small_order_or_non_canonical_part_is_refused() {
        // p + 1 is 1 once more; p - 1 is of order two.
        for key in [NEUTRAL, edge(0xee, 0xff, 0x7f), edge(0xec, 0xff, 0x7f)] {
            let (message, forged) = signed_without_nonce(key, Scalar::ZERO);
            assert_eq!(verify(&key, &message, &forged), Err(NotAuthentic), "a key of small order");
        }
        let secret = Scalar::from(12_345u64);
        let key = (ED25519_BASEPOINT_POINT * secret).compress().0;
        let (message, signature) = signed_without_nonce(key, secret);
        assert_eq!(verify(&key, &message, &signature), Err(NotAuthentic), "a nonce point of small order");
        let honest = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let (key, mut signed) = (honest.verifying_key().to_bytes(), honest.sign(b"m").to_bytes());
        assert_eq!(verify(&key, b"m", &signed), Ok(()));
        let mut carry = 0;
        for (byte, order) in signed[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(order) + carry;
            (*byte, carry) = ((sum & 0xff) as u8, sum >> 8);
        }
        assert_eq!(verify(&key, b"m", &signed), Err(NotAuthentic), "a scalar that is too large");
    }

    /// y = 1.
    const NEUTRAL: [u8; 32] = edge(1, 0, 0);

    /// Of the group: 2²⁵² + 27742317777372353535851937790883648493.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Secret([7; 32])), "Secret(…)");
    }
}
