//! What snow computes with: dalek, RustCrypto, and an ephemeral key drawn beforehand (SPEC §5.1).
//!
//! snow asks its resolver for a generator it can own, which the injected one is not. Every pattern
//! here is one message with one ephemeral key, so its 32 bytes are drawn first and handed over once.

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Tag};
use sha2::{Digest, Sha256};
use snow::Error;
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::crypto::Secret;

/// Resolves `25519_ChaChaPoly_SHA256` and nothing else.
pub(super) struct Resolver {
    /// The private ephemeral key of a writer; a reader needs none.
    pub(super) ephemeral: Option<Secret>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(OneKey { key: self.ephemeral.clone() }))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::default()) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::new(NoiseHash::default()) as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::ChaChaPoly)
            .then(|| Box::new(NoiseCipher { key: Secret([0; 32]) }) as Box<dyn Cipher>)
    }
}

/// A generator that gives one key and then fails.
struct OneKey {
    key: Option<Secret>,
}

impl Random for OneKey {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        let key = self.key.take().ok_or(Error::Rng)?;
        if dest.len() != key.0.len() {
            return Err(Error::Rng);
        }
        dest.copy_from_slice(&key.0);
        Ok(())
    }
}

struct X25519 {
    private: StaticSecret,
    private_bytes: Secret,
    public: PublicKey,
}

impl Default for X25519 {
    fn default() -> X25519 {
        X25519 {
            private: StaticSecret::from([0; 32]),
            private_bytes: Secret([0; 32]),
            public: PublicKey::from([0; 32]),
        }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        let mut bytes = Secret([0; 32]);
        bytes.0.iter_mut().zip(privkey).for_each(|(to, from)| *to = *from);
        self.private = StaticSecret::from(bytes.0);
        self.public = PublicKey::from(&self.private);
        self.private_bytes = bytes;
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), Error> {
        let mut bytes = Secret([0; 32]);
        rng.try_fill_bytes(&mut bytes.0)?;
        self.set(&bytes.0);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn privkey(&self) -> &[u8] {
        &self.private_bytes.0
    }

    /// Also refuses what the parsers of keys should already have: a shared secret of zero.
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let public: [u8; 32] = *pubkey.first_chunk().ok_or(Error::Dh)?;
        let shared = self.private.diffie_hellman(&public.into());
        if !shared.was_contributory() {
            return Err(Error::Dh);
        }
        out.iter_mut().zip(shared.as_bytes()).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

#[derive(Default)]
struct NoiseHash {
    hash: Sha256,
}

impl Hash for NoiseHash {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.hash = Sha256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.hash.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        let hash = self.hash.finalize_reset();
        out.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    }
}

struct NoiseCipher {
    key: Secret,
}

fn noise_nonce(counter: u64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = counter.to_le_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}

impl Cipher for NoiseCipher {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.key = Secret(*key);
    }

    fn encrypt(&self, nonce: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let (body, rest) = out.split_at_mut(plaintext.len());
        body.copy_from_slice(plaintext);
        let tag = ChaCha20Poly1305::new(&self.key.0.into())
            .encrypt_inout_detached(&noise_nonce(nonce).into(), authtext, body.into())
            .expect("a Noise message is far below 256 GiB");
        rest.iter_mut().zip(tag).for_each(|(to, from)| *to = from);
        plaintext.len() + tag.len()
    }

    fn decrypt(
        &self,
        nonce: u64,
        authtext: &[u8],
        ciphertext: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        let (sealed, tag) = ciphertext.split_last_chunk::<16>().ok_or(Error::Decrypt)?;
        let body = out.get_mut(..sealed.len()).ok_or(Error::Decrypt)?;
        body.copy_from_slice(sealed);
        ChaCha20Poly1305::new(&self.key.0.into())
            .decrypt_inout_detached(&noise_nonce(nonce).into(), authtext, body.into(), &Tag::from(*tag))
            .map_err(|_| Error::Decrypt)?;
        Ok(sealed.len())
    }
}
