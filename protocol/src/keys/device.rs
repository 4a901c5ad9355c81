//! What never leaves one device: its signing and Diffie-Hellman keys, and its prekeys (SPEC §2.1).

use core::fmt;

use ed25519_dalek::{Signer, SigningKey};
use ml_kem::kem::KeyExport;
use ml_kem::ml_kem_768::DecapsulationKey;
use rand::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::id::DeviceId;
use crate::keys::KeyRecordError;
use crate::wire::layout::Reader;

/// A device's own keys: `DS` signs bundles, `DD` authenticates sessions. Random, never the libp2p key.
pub struct DeviceKeys {
    signing: SigningKey,
    dh: StaticSecret,
}

impl DeviceKeys {
    /// A new device's keys.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> DeviceKeys {
        let signing = SigningKey::from_bytes(&Secret::random(rng).0);
        DeviceKeys { signing, dh: StaticSecret::from(Secret::random(rng).0) }
    }

    /// `DS_pk`, the name of the device.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        DeviceId(self.signing.verifying_key().to_bytes())
    }

    /// `DD_pk`.
    #[must_use]
    pub fn dh_public(&self) -> [u8; 32] {
        PublicKey::from(&self.dh).to_bytes()
    }

    /// Signs under `DS`. `message` begins with its own label (SPEC §1.2).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    pub(crate) fn dh_private(&self) -> &[u8; 32] {
        self.dh.as_bytes()
    }

    /// The form that reaches (sealed) disk: `0x01 | DS seed 32 | DD 32`.
    #[must_use]
    pub fn to_record(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&[RECORD_VERSION], self.signing.as_bytes().as_slice(), self.dh.as_bytes()].concat())
    }

    /// Reads [`DeviceKeys::to_record`].
    ///
    /// # Errors
    /// Wrong length or version.
    pub fn from_record(record: &[u8]) -> Result<DeviceKeys, KeyRecordError> {
        let [seed, dh] = read_record(record)?;
        Ok(DeviceKeys { signing: SigningKey::from_bytes(&seed.0), dh: StaticSecret::from(dh.0) })
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKeys({:?})", self.id())
    }
}

/// The private half of one prekey bundle: `SPK` (X25519) and `KPK` (ML-KEM-768, kept as its seed).
pub struct PrekeyPair {
    spk: StaticSecret,
    kpk_seed: [Secret; 2],
}

impl PrekeyPair {
    /// A new pair.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng) -> PrekeyPair {
        let spk = StaticSecret::from(Secret::random(rng).0);
        PrekeyPair { spk, kpk_seed: [Secret::random(rng), Secret::random(rng)] }
    }

    /// The X25519 public prekey.
    #[must_use]
    pub fn spk_public(&self) -> [u8; 32] {
        PublicKey::from(&self.spk).to_bytes()
    }

    /// The ML-KEM-768 encapsulation key.
    #[must_use]
    pub fn kpk_public(&self) -> [u8; 1184] {
        self.decapsulation_key().encapsulation_key().to_bytes().into()
    }

    pub(crate) fn spk_private(&self) -> &[u8; 32] {
        self.spk.as_bytes()
    }

    pub(crate) fn decapsulation_key(&self) -> DecapsulationKey {
        let [d, z] = &self.kpk_seed;
        let mut seed = Zeroizing::new([0; 64]);
        for (to, from) in seed.iter_mut().zip(d.0.iter().chain(&z.0)) {
            *to = *from;
        }
        DecapsulationKey::from_seed((*seed).into())
    }

    /// The form that reaches (sealed) disk: `0x01 | SPK 32 | KPK seed 64`.
    #[must_use]
    pub fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let [d, z] = &self.kpk_seed;
        Zeroizing::new([&[RECORD_VERSION], self.spk.as_bytes().as_slice(), &d.0, &z.0].concat())
    }

    /// Reads [`PrekeyPair::to_record`].
    ///
    /// # Errors
    /// Wrong length or version.
    pub fn from_record(record: &[u8]) -> Result<PrekeyPair, KeyRecordError> {
        let [spk, d, z] = read_record(record)?;
        Ok(PrekeyPair { spk: StaticSecret::from(spk.0), kpk_seed: [d, z] })
    }
}

impl fmt::Debug for PrekeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrekeyPair(…)")
    }
}

const RECORD_VERSION: u8 = 1;

fn read_record<const N: usize>(record: &[u8]) -> Result<[Secret; N], KeyRecordError> {
    let mut reader = Reader::new(record);
    let mut out = [const { Secret([0; 32]) }; N];
    let read = || -> Option<()> {
        reader.u8().filter(|version| *version == RECORD_VERSION)?;
        for secret in &mut out {
            secret.0 = reader.array()?;
        }
        reader.end()
    };
    let mut read = read;
    read().ok_or(KeyRecordError)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;

    #[test]
    fn records_round_trip_and_refuse_every_other_length_and_version() {
        let device = DeviceKeys::generate(&mut rng(1));
        let record = device.to_record();
        let again = DeviceKeys::from_record(&record).unwrap();
        assert_eq!((again.id(), again.dh_public()), (device.id(), device.dh_public()));

        let prekeys = PrekeyPair::generate(&mut rng(2));
        let prekeys_record = prekeys.to_record();
        let again = PrekeyPair::from_record(&prekeys_record).unwrap();
        assert_eq!((again.spk_public(), again.kpk_public()), (prekeys.spk_public(), prekeys.kpk_public()));

        for bad in [&record[..record.len() - 1], &[record.as_slice(), &[0]].concat(), &[], &[2; 65]] {
            assert!(DeviceKeys::from_record(bad).is_err());
            assert!(PrekeyPair::from_record(bad).is_err());
        }
    }

    #[test]
    fn generation_follows_the_generator() {
        assert_eq!(
            *DeviceKeys::generate(&mut rng(1)).to_record(),
            *DeviceKeys::generate(&mut rng(1)).to_record()
        );
        assert_ne!(
            *PrekeyPair::generate(&mut rng(1)).to_record(),
            *PrekeyPair::generate(&mut rng(2)).to_record()
        );
    }
}
