//! How rows of `private.db` are sealed and found, and how the data key itself is kept.
//!
//! A random data key gives three subkeys: one seals values, one hashes keys, one hashes groups. The
//! data key lies in the database, wrapped by Argon2id of a passphrase, or by a key file beside it.
//! What a reader of the file still sees: how many rows each table has, their sizes and positions.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20::{R20, hchacha};
use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a nonce in front of every sealed value.
const NONCE: usize = 24;
/// Bytes of a tag behind it.
const TAG: usize = 16;
/// Argon2id for new wraps: 64 MiB, 3 passes, 1 lane. Older ones keep what is stored beside their salt.
const KDF: Kdf = Kdf { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
/// A stored memory parameter above this is damage, not a choice: 1 GiB.
const KDF_MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Likewise passes and lanes: a start must not take for ever.
const KDF_PASSES_MAX: u32 = 64;
/// See [`KDF_PASSES_MAX`].
const KDF_LANES_MAX: u32 = 16;

/// A 32-byte secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Secret(pub(super) [u8; 32]);

impl Secret {
    pub(super) fn random(rng: &mut dyn CryptoRng) -> Secret {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Secret(bytes)
    }
}

/// The value does not open: damaged, moved from another row, or sealed under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsealed;

/// Parameters of Argon2id, stored beside the salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kdf {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

impl Kdf {
    pub(super) fn for_new() -> Kdf {
        KDF
    }

    /// Derives the key that wraps the data key.
    pub(super) fn derive(self, passphrase: &[u8], salt: &[u8]) -> Result<Secret, Unsealed> {
        if self.memory_kib > KDF_MEMORY_KIB_MAX || self.passes > KDF_PASSES_MAX || self.lanes > KDF_LANES_MAX
        {
            return Err(Unsealed);
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| Unsealed)?;
        let mut key = Secret([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, salt, &mut key.0)
            .map_err(|_| Unsealed)?;
        Ok(key)
    }
}

/// Seals `value` so that it opens only with the same `context`: XChaCha20-Poly1305, the nonce before it.
pub(super) fn seal(
    key: &Secret,
    context: &[u8],
    value: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, Unsealed> {
    let mut nonce = [0; NONCE];
    rng.fill_bytes(&mut nonce);
    let (cipher, rest) = cipher(key, &nonce)?;
    let mut sealed = Vec::with_capacity(NONCE + value.len() + TAG);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(value);
    let text = sealed.get_mut(NONCE..).ok_or(Unsealed)?;
    let tag = cipher.seal_in_place_separate_tag(rest, Aad::from(context), text).map_err(|_| Unsealed)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

/// Opens what [`seal`] made.
pub(super) fn open(key: &Secret, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(Unsealed)?;
    let (cipher, rest) = cipher(key, nonce)?;
    let mut text = sealed.to_vec();
    let length = cipher.open_in_place(rest, Aad::from(context), &mut text).map_err(|_| Unsealed)?.len();
    text.truncate(length);
    Ok(text)
}

/// XChaCha20-Poly1305 is ChaCha20-Poly1305 with a key of the first 16 bytes of its nonce. ring's is several times as fast
/// as others for a few hundred bytes. It does not wipe that key, which opens the one row beside it.
fn cipher(key: &Secret, nonce: &[u8; NONCE]) -> Result<(LessSafeKey, Nonce), Unsealed> {
    let (prefix, rest) = nonce.split_first_chunk::<16>().ok_or(Unsealed)?;
    let subkey = Zeroizing::new(hchacha::<R20>((&key.0).into(), prefix.into()).0);
    let mut nonce = [0; NONCE_LEN];
    nonce.iter_mut().skip(4).zip(rest).for_each(|(to, from)| *to = *from);
    let key = UnboundKey::new(&CHACHA20_POLY1305, &*subkey).map_err(|_| Unsealed)?;
    Ok((LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce)))
}

/// The subkeys of an open database.
pub(super) struct Keys {
    values: Secret,
    keys: Secret,
    places: Secret,
    groups: Secret,
}

impl Keys {
    pub(super) fn of(data_key: &Secret) -> Keys {
        let subkey = |label: &[u8]| Secret(mac(data_key, &[b"murmesh/1 private ", label]));
        Keys {
            values: subkey(b"values"),
            keys: subkey(b"keys"),
            places: subkey(b"places"),
            groups: subkey(b"groups"),
        }
    }

    /// What a row is found by instead of its key. Rows whose keys have `near` in common lie side by side, in a
    /// place that says nothing about it.
    pub(super) fn key(&self, table: u8, near: &[u8], key: &[u8]) -> [u8; 16] {
        let own = first_half(mac(&self.keys, &[&[table], key]));
        if near.is_empty() {
            return own;
        }
        let [a, b, c, d, ..] = mac(&self.places, &[&[table], near]);
        let [_, _, _, _, rest @ ..] = own;
        let mut found_by = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        found_by.iter_mut().skip(4).zip(rest).for_each(|(to, from)| *to = from);
        found_by
    }

    /// What its group is found by.
    pub(super) fn group(&self, table: u8, group: &[u8]) -> [u8; 16] {
        first_half(mac(&self.groups, &[&[table], group]))
    }

    pub(super) fn seal(
        &self,
        place: &[u8],
        value: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>, Unsealed> {
        seal(&self.values, place, value, rng)
    }

    pub(super) fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        open(&self.values, place, sealed)
    }
}

fn mac(key: &Secret, parts: &[&[u8]]) -> [u8; 32] {
    // HMAC fills a short key up with zeros; doing so here takes a key of the block's size, which fits.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key.0).for_each(|(to, from)| *to = from);
    let mut mac = Hmac::<Sha256>::new(&(*block).into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn first_half(whole: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(whole.first_chunk::<16>().unwrap_or(&[0; 16]));
    half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy;

    #[test]
    fn a_value_opens_in_its_own_place_only() {
        let mut rng = entropy::rng();
        let key = Secret::random(&mut rng);
        let mut sealed = seal(&key, b"here", b"value", &mut rng).unwrap();
        assert_eq!(open(&key, b"here", &sealed).as_deref(), Ok(b"value".as_slice()));
        assert_eq!(open(&key, b"there", &sealed), Err(Unsealed));
        assert_eq!(open(&Secret::random(&mut rng), b"here", &sealed), Err(Unsealed));
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(open(&key, b"here", &sealed), Err(Unsealed));
        assert_eq!(open(&key, b"here", &[]), Err(Unsealed));
    }

    /// The other implementation, and what databases hold that were written before.
    #[test]
    fn rows_are_sealed_as_rfc_and_draft_say() {
        use chacha20poly1305::aead::{Aead, Payload};
        use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
        let (mut rng, key) = (entropy::rng(), Secret([7; 32]));
        let other = XChaCha20Poly1305::new(&key.0.into());
        for bytes in [0, 1, 15, 16, 17, 63, 64, 65, 1_000, 70_000] {
            let value = vec![9; bytes];
            let sealed = seal(&key, b"place", &value, &mut rng).unwrap();
            let (nonce, rest) = sealed.split_first_chunk::<NONCE>().unwrap();
            let nonce = XNonce::from(*nonce);
            let theirs = other.encrypt(&nonce, Payload { msg: &value, aad: b"place" }).unwrap();
            assert_eq!(theirs, rest, "{bytes}");
            assert_eq!(open(&key, b"place", &sealed), Ok(value));
        }
    }

    #[test]
    fn stored_parameters_below_at_and_above_their_bounds() {
        let lanes_memory = 8 * (KDF_LANES_MAX + 1);
        let base = Kdf { memory_kib: lanes_memory, passes: 1, lanes: 1 };
        let derives = |kdf: Kdf| kdf.derive(b"passphrase", &[7; 16]).is_ok();
        for (more, derived) in [(0, true), (1, false)] {
            assert_eq!(derives(Kdf { passes: KDF_PASSES_MAX + more, ..base }), derived);
            assert_eq!(derives(Kdf { lanes: KDF_LANES_MAX + more, ..base }), derived);
        }
        assert!(
            !derives(Kdf { memory_kib: KDF_MEMORY_KIB_MAX + 1, ..base }),
            "as much as that is not even tried"
        );
    }
}
