//! The prekey bundle: what somebody needs to begin a session with an offline device (SPEC §4.5).
//!
//! Signed by the device, which a manifest certifies. The signature covers the account, so a device
//! cannot be borrowed into somebody else's manifest.

use ml_kem::ml_kem_768::EncapsulationKey;

use crate::crypto::{is_low_order, verify};
use crate::id::{AccountId, DeviceId, sha256};
use crate::keys::{DeviceKeys, PrekeyPair};
use crate::label;
use crate::time::Time;
use crate::wire::layout::Reader;
use crate::wire::manifest::{CLOCK_GRACE_MS, Manifest};

/// Bytes of a bundle.
pub const BUNDLE_BYTES: usize = 1 + 3 * 32 + 3 * 8 + 32 + KPK_BYTES + 64;

/// Bytes of an ML-KEM-768 encapsulation key.
pub(crate) const KPK_BYTES: usize = 1_184;

const FORMAT: u8 = 1;

/// Why a bundle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not a bundle of a known format.
    #[error("not a bundle of a known format")]
    Malformed,
    /// The manifest does not certify this device with these keys, or is another account's.
    #[error("a bundle of no certified device")]
    NotCertified,
    /// Not signed by the device.
    #[error("not an authentic bundle")]
    NotAuthentic,
    /// Not valid at this time.
    #[error("a bundle of another time")]
    NotCurrent,
    /// A public key that would give away the shared secret, or that is not in its range.
    #[error("a bundle with unusable keys")]
    BadKey,
}

/// What a device decides about a new bundle; the rest comes from its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BundleTimes {
    /// The higher sequence number wins.
    pub seq: u64,
    /// From when it may be used.
    pub not_before: Time,
    /// Until when it may be used.
    pub not_after: Time,
}

/// A bundle whose signature and keys have not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleIn {
    bundle: Bundle,
    signature: [u8; 64],
}

/// A bundle that a certified device has signed and whose keys are usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    account: AccountId,
    device: DeviceId,
    device_dh: [u8; 32],
    times: BundleTimes,
    spk: [u8; 32],
    kpk: Box<[u8; KPK_BYTES]>,
    id: [u8; 32],
    bytes: Vec<u8>,
}

impl BundleIn {
    /// Reads a bundle.
    ///
    /// # Errors
    /// Not a bundle of a known format.
    pub fn parse(bytes: &[u8]) -> Result<BundleIn, BundleError> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            reader.u8().filter(|format| *format == FORMAT)?;
            let (account, device) = (AccountId(reader.array()?), DeviceId(reader.array()?));
            let device_dh = reader.array()?;
            let seq = reader.u64()?;
            let (not_before, not_after) = (Time(reader.u64()?), Time(reader.u64()?));
            let times = BundleTimes { seq, not_before, not_after };
            let (spk, kpk) = (reader.array()?, Box::new(reader.array()?));
            let signature = reader.array()?;
            reader.end()?;
            let (id, bytes) = (sha256(&[bytes]), bytes.to_vec());
            let bundle = Bundle { account, device, device_dh, times, spk, kpk, id, bytes };
            Some(BundleIn { bundle, signature })
        };
        read().ok_or(BundleError::Malformed)
    }

    /// The sequence number it claims.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.bundle.times.seq
    }

    /// The device it claims to be of: which manifest entry to look for.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.bundle.device
    }

    /// Checks everything that makes it usable at `now` for a session with a device of `manifest`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(self, manifest: &Manifest, now: Time) -> Result<Bundle, BundleError> {
        let bundle = self.bundle;
        let certified = manifest.certifies(bundle.device).is_some_and(|entry| entry.dh == bundle.device_dh);
        if manifest.account() != bundle.account || !certified {
            return Err(BundleError::NotCertified);
        }
        let signed = bundle.bytes.split_last_chunk::<64>().map_or(&[][..], |(signed, _)| signed);
        verify(&bundle.device.0, &[label::BUNDLE, signed].concat(), &self.signature)
            .map_err(|_| BundleError::NotAuthentic)?;
        let BundleTimes { not_before, not_after, .. } = bundle.times;
        if now < not_before.minus(CLOCK_GRACE_MS) || now > not_after.plus(CLOCK_GRACE_MS) {
            return Err(BundleError::NotCurrent);
        }
        if is_low_order(&bundle.spk)
            || is_low_order(&bundle.device_dh)
            || bundle.encapsulation_key().is_none()
        {
            return Err(BundleError::BadKey);
        }
        Ok(bundle)
    }
}

#[cfg(any(test, fuzzing))]
impl BundleIn {
    /// What was read, whoever signed it.
    pub(crate) fn unverified(&self) -> &Bundle {
        &self.bundle
    }
}

impl Bundle {
    /// Makes a device's own bundle of `prekeys`.
    #[must_use]
    pub fn sign(device: &DeviceKeys, account: AccountId, prekeys: &PrekeyPair, times: BundleTimes) -> Bundle {
        let (spk, kpk) = (prekeys.spk_public(), Box::new(prekeys.kpk_public()));
        let device_dh = device.dh_public();
        let mut bytes = vec![FORMAT];
        for part in [&account.0, &device.id().0, &device_dh] {
            bytes.extend_from_slice(part);
        }
        for number in [times.seq, times.not_before.0, times.not_after.0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&spk);
        bytes.extend_from_slice(kpk.as_slice());
        let signature = device.sign(&[label::BUNDLE, &bytes].concat());
        bytes.extend_from_slice(&signature);
        let id = sha256(&[&bytes]);
        Bundle { account, device: device.id(), device_dh, times, spk, kpk, id, bytes }
    }

    /// Whose device it is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The device's Diffie-Hellman key `DD_pk`.
    #[must_use]
    pub fn device_dh(&self) -> [u8; 32] {
        self.device_dh
    }

    /// Its sequence number and validity.
    #[must_use]
    pub fn times(&self) -> BundleTimes {
        self.times
    }

    /// SHA-256 of the whole bundle: goes into the handshake of every session begun with it.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// The first 8 bytes of the id: how a first message names the prekey it is for.
    #[must_use]
    pub fn hint(&self) -> [u8; 8] {
        hint_of(&self.id)
    }

    /// The bytes to publish.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn spk(&self) -> &[u8; 32] {
        &self.spk
    }

    /// `None` if a coefficient is out of range, which `verify` refuses.
    pub(crate) fn encapsulation_key(&self) -> Option<EncapsulationKey> {
        EncapsulationKey::new(&(*self.kpk).into()).ok()
    }
}

/// The hint of a bundle id.
#[must_use]
pub fn hint_of(id: &[u8; 32]) -> [u8; 8] {
    id.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{AccountKeys, Entropy};
    use crate::testing::{hex, refuses_bit_flips, refuses_other_lengths, rng};
    use crate::time::DAY_MS;
    use crate::wire::manifest::{ManifestDevice, ManifestFields};

    const NOW: Time = Time(20_000 * DAY_MS);

    fn account(seed: u8) -> AccountKeys {
        AccountKeys::derive(&Entropy::from_bytes([seed; 32]))
    }

    fn device(seed: u64) -> DeviceKeys {
        DeviceKeys::generate(&mut rng(seed))
    }

    fn manifest(owner: u8, devices: &[&DeviceKeys]) -> Manifest {
        let entry = |keys: &&DeviceKeys| ManifestDevice {
            id: keys.id(),
            dh: keys.dh_public(),
            name: vec![],
            added_at: NOW,
        };
        let devices = devices.iter().map(entry).collect();
        let fields =
            ManifestFields { version: 1, previous_hash: [0; 32], devices, revoked: vec![], not_after: NOW };
        Manifest::sign(&account(owner), fields).unwrap()
    }

    fn times() -> BundleTimes {
        BundleTimes { seq: 1, not_before: NOW, not_after: NOW.plus(8 * DAY_MS) }
    }

    fn bundle() -> Bundle {
        Bundle::sign(&device(1), account(7).id(), &PrekeyPair::generate(&mut rng(2)), times())
    }

    fn verify_at(bytes: &[u8], now: Time) -> Result<Bundle, BundleError> {
        BundleIn::parse(bytes)?.verify(&manifest(7, &[&device(1)]), now)
    }

    #[test]
    fn a_bundle_round_trips_and_is_frozen() {
        let bundle = bundle();
        assert_eq!(bundle.as_bytes().len(), BUNDLE_BYTES);
        assert_eq!(verify_at(bundle.as_bytes(), NOW), Ok(bundle.clone()));
        assert_eq!(hex(&bundle.id()), "709c25f533d1e8beab96c3e150afe4d9e16fc9b4e11cb35a1c84948897c3e9cb");
        assert_eq!(bundle.hint(), bundle.id()[..8]);
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let manifest = manifest(7, &[&device(1)]);
        let accepts = |bytes: &[u8]| BundleIn::parse(bytes).is_ok_and(|b| b.verify(&manifest, NOW).is_ok());
        refuses_bit_flips(bundle().as_bytes(), accepts);
        refuses_other_lengths(bundle().as_bytes(), accepts);
    }

    #[test]
    fn validity_has_26_hours_of_grace_on_both_sides() {
        let bytes = bundle().as_bytes().to_vec();
        let (first, last) = (NOW.minus(CLOCK_GRACE_MS), times().not_after.plus(CLOCK_GRACE_MS));
        for (now, fits) in [(first.minus(1), false), (first, true), (last, true), (last.plus(1), false)] {
            let expected = if fits { Ok(bundle()) } else { Err(BundleError::NotCurrent) };
            assert_eq!(verify_at(&bytes, now), expected);
        }
    }

    /// Mallory lists Alice's device in her own manifest, or signs Alice's keys anew.
    #[test]
    fn borrowed_and_re_signed_devices_are_refused() {
        let (alice, mallory) = (device(1), device(9));
        let borrowed = BundleIn::parse(bundle().as_bytes()).unwrap();
        assert_eq!(borrowed.verify(&manifest(8, &[&alice]), NOW), Err(BundleError::NotCertified));

        let re_signed = Bundle::sign(&mallory, account(7).id(), &PrekeyPair::generate(&mut rng(3)), times());
        assert_eq!(verify_at(re_signed.as_bytes(), NOW), Err(BundleError::NotCertified));

        // Alice's id with Mallory's Diffie-Hellman key.
        let record = [&alice.to_record()[..33], &mallory.to_record()[33..]].concat();
        let mixed = DeviceKeys::from_record(&record).unwrap();
        let mixed = Bundle::sign(&mixed, account(7).id(), &PrekeyPair::generate(&mut rng(3)), times());
        assert_eq!(verify_at(mixed.as_bytes(), NOW), Err(BundleError::NotCertified));
    }

    #[test]
    fn low_order_and_malformed_keys_are_refused_although_signed() {
        let with = |at: usize, bytes: &[u8]| {
            let mut fields = bundle().as_bytes()[..BUNDLE_BYTES - 64].to_vec();
            fields[at..at + bytes.len()].copy_from_slice(bytes);
            let signature = device(1).sign(&[label::BUNDLE, &fields].concat());
            verify_at(&[fields, signature.to_vec()].concat(), NOW)
        };
        let spk = 1 + 96 + 24;
        assert_eq!(with(spk, &[0; 32]), Err(BundleError::BadKey));
        // Coefficients above the modulus.
        assert_eq!(with(spk + 32, &[0xff; 3]), Err(BundleError::BadKey));
        assert!(with(spk + 32, &[]).is_ok());
    }
}
