//! The manifest: which devices are an account's, signed by the account (SPEC §4.4).
//!
//! Which of two manifests to believe, and pinning (version, hash), are the directory's rule.

use crate::crypto::{is_low_order, verify};
use crate::id::{AccountId, DeviceId, sha256};
use crate::keys::AccountKeys;
use crate::label;
use crate::time::Time;
use crate::wire::layout::Reader;

/// Most devices of an account.
pub const DEVICES_MAX: usize = 8;
/// Most revoked devices that a manifest lists; the oldest fall out.
pub const REVOKED_MAX: usize = 32;
/// Most bytes of a device's (encrypted) name.
pub const DEVICE_NAME_BYTES_MAX: usize = 64;
/// How far clocks may differ: added to every expiry, and to every `not_before` downwards.
pub use crate::limits::GRACE_MS as CLOCK_GRACE_MS;

const FORMAT: u8 = 1;
/// Signed by the account key itself. Delegates will be kind 1.
const SIGNER_DIRECT: u8 = 0;

/// Why bytes are not this account's manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not a manifest of a known format.
    #[error("not a manifest of a known format")]
    Malformed,
    /// A device is listed twice, is also revoked, has an unusable key, or there are too many.
    #[error("a manifest with impossible devices")]
    Devices,
    /// Not signed by the account.
    #[error("not an authentic manifest")]
    NotAuthentic,
}

/// One certified device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestDevice {
    /// `DS_pk`.
    pub id: DeviceId,
    /// `DD_pk`.
    pub dh: [u8; 32],
    /// The device's name, encrypted for the account's own devices.
    pub name: Vec<u8>,
    /// When it was added.
    pub added_at: Time,
}

/// The fields of a manifest, before or after signing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFields {
    /// Raised with every change; after a restore at least the Unix seconds.
    pub version: u64,
    /// Hash of the manifest before this one; zero for the first and after a restore.
    pub previous_hash: [u8; 32],
    /// The certified devices.
    pub devices: Vec<ManifestDevice>,
    /// Devices that once were certified, and when they ceased to be.
    pub revoked: Vec<(DeviceId, Time)>,
    /// When the manifest must have been renewed.
    pub not_after: Time,
}

impl ManifestFields {
    fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.previous_hash);
        out.push(u8::try_from(self.devices.len()).map_err(|_| ManifestError::Devices)?);
        for device in &self.devices {
            out.extend_from_slice(&device.id.0);
            out.extend_from_slice(&device.dh);
            out.push(u8::try_from(device.name.len()).map_err(|_| ManifestError::Devices)?);
            out.extend_from_slice(&device.name);
            out.extend_from_slice(&device.added_at.0.to_le_bytes());
        }
        out.push(u8::try_from(self.revoked.len()).map_err(|_| ManifestError::Devices)?);
        for (device, at) in &self.revoked {
            out.extend_from_slice(&device.0);
            out.extend_from_slice(&at.0.to_le_bytes());
        }
        out.extend_from_slice(&self.not_after.0.to_le_bytes());
        out.push(SIGNER_DIRECT);
        Ok(out)
    }

    fn read(reader: &mut Reader<'_>) -> Option<ManifestFields> {
        reader.u8().filter(|format| *format == FORMAT)?;
        let (version, previous_hash) = (reader.u64()?, reader.array()?);
        let mut devices = Vec::new();
        for _ in 0..reader.u8().filter(|count| usize::from(*count) <= DEVICES_MAX)? {
            let (id, dh) = (DeviceId(reader.array()?), reader.array()?);
            let name_len = reader.u8().map(usize::from).filter(|len| *len <= DEVICE_NAME_BYTES_MAX)?;
            let name = reader.slice(name_len)?.to_vec();
            devices.push(ManifestDevice { id, dh, name, added_at: Time(reader.u64()?) });
        }
        let mut revoked = Vec::new();
        for _ in 0..reader.u8().filter(|count| usize::from(*count) <= REVOKED_MAX)? {
            revoked.push((DeviceId(reader.array()?), Time(reader.u64()?)));
        }
        let not_after = Time(reader.u64()?);
        reader.u8().filter(|kind| *kind == SIGNER_DIRECT)?;
        Some(ManifestFields { version, previous_hash, devices, revoked, not_after })
    }

    fn check(&self) -> Result<(), ManifestError> {
        let names_fit = self.devices.iter().all(|device| device.name.len() <= DEVICE_NAME_BYTES_MAX);
        let keys_work = self.devices.iter().all(|device| !is_low_order(&device.dh));
        let mut ids: Vec<&DeviceId> = self.devices.iter().map(|device| &device.id).collect();
        ids.extend(self.revoked.iter().map(|(device, _)| device));
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        let counts_fit = self.devices.len() <= DEVICES_MAX && self.revoked.len() <= REVOKED_MAX;
        if names_fit && keys_work && counts_fit && ids.len() == count {
            Ok(())
        } else {
            Err(ManifestError::Devices)
        }
    }
}

/// A manifest whose signature has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestIn {
    fields: ManifestFields,
    bytes: Vec<u8>,
    signature: [u8; 64],
}

impl ManifestIn {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Not a manifest of a known format, or one with impossible devices.
    pub fn parse(bytes: &[u8]) -> Result<ManifestIn, ManifestError> {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let fields = ManifestFields::read(&mut reader)?;
            let signature = reader.array()?;
            reader.end()?;
            Some(ManifestIn { fields, bytes: bytes.to_vec(), signature })
        };
        let manifest = read().ok_or(ManifestError::Malformed)?;
        manifest.fields.check()?;
        Ok(manifest)
    }

    /// Checks that `account` signed it.
    ///
    /// # Errors
    /// It did not.
    pub fn verify(self, account: AccountId) -> Result<Manifest, ManifestError> {
        let signed = self.bytes.split_last_chunk::<64>().map_or(&[][..], |(signed, _)| signed);
        let message = message(&account, signed);
        verify(&account.0, &message, &self.signature).map_err(|_| ManifestError::NotAuthentic)?;
        Ok(Manifest { account, hash: sha256(&[&message]), fields: self.fields, bytes: self.bytes })
    }
}

#[cfg(any(test, fuzzing))]
impl ManifestIn {
    /// What it was read from, made from what was read.
    pub(crate) fn written_again(&self) -> Vec<u8> {
        let fields = self.fields.to_bytes().expect("invariant: counts that were read fit a byte");
        [fields, self.signature.to_vec()].concat()
    }
}

/// A manifest that its account has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    account: AccountId,
    hash: [u8; 32],
    fields: ManifestFields,
    bytes: Vec<u8>,
}

impl Manifest {
    /// Signs a manifest.
    ///
    /// # Errors
    /// Impossible devices.
    pub fn sign(account: &AccountKeys, fields: ManifestFields) -> Result<Manifest, ManifestError> {
        fields.check()?;
        let mut bytes = fields.to_bytes()?;
        let message = message(&account.id(), &bytes);
        bytes.extend_from_slice(&account.sign(&message));
        Ok(Manifest { account: account.id(), hash: sha256(&[&message]), fields, bytes })
    }

    /// Whose manifest it is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// What it says.
    #[must_use]
    pub fn fields(&self) -> &ManifestFields {
        &self.fields
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.fields.version
    }

    /// The hash that is pinned and compared inside sessions: over what is signed, not the signature.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// The bytes to publish.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entry of `device`, if it is certified.
    #[must_use]
    pub fn certifies(&self, device: DeviceId) -> Option<&ManifestDevice> {
        self.fields.devices.iter().find(|entry| entry.id == device)
    }

    /// Whether `device` once was certified and no longer is.
    #[must_use]
    pub fn revokes(&self, device: DeviceId) -> bool {
        self.fields.revoked.iter().any(|(revoked, _)| *revoked == device)
    }

    /// Whether it need not have been renewed yet, with the grace that clocks get.
    #[must_use]
    pub fn is_current(&self, now: Time) -> bool {
        now <= self.fields.not_after.plus(CLOCK_GRACE_MS)
    }
}

fn message(account: &AccountId, fields: &[u8]) -> Vec<u8> {
    [label::MANIFEST, &account.0, fields].concat()
}

/// The account's signature on one device's keys, as it travels in a first message.
#[must_use]
pub fn certificate(account: &AccountKeys, device: DeviceId, dh: &[u8; 32]) -> [u8; 64] {
    account.sign(&certificate_message(&account.id(), device, dh))
}

/// Whether `account` certified these keys of `device`.
#[must_use]
pub fn verify_certificate(
    account: AccountId,
    device: DeviceId,
    dh: &[u8; 32],
    certificate: &[u8; 64],
) -> bool {
    verify(&account.0, &certificate_message(&account, device, dh), certificate).is_ok()
}

fn certificate_message(account: &AccountId, device: DeviceId, dh: &[u8; 32]) -> Vec<u8> {
    [label::CERTIFICATE, &account.0, &device.0, dh].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{DeviceKeys, Entropy};
    use crate::testing::{hex, refuses_bit_flips, refuses_other_lengths, rng};

    fn account(seed: u8) -> AccountKeys {
        AccountKeys::derive(&Entropy::from_bytes([seed; 32]))
    }

    fn device(seed: u64) -> ManifestDevice {
        let keys = DeviceKeys::generate(&mut rng(seed));
        ManifestDevice { id: keys.id(), dh: keys.dh_public(), name: vec![1, 2, 3], added_at: Time(5) }
    }

    fn fields() -> ManifestFields {
        ManifestFields {
            version: 2,
            previous_hash: [9; 32],
            devices: vec![device(1), device(2)],
            revoked: vec![(DeviceId([4; 32]), Time(6))],
            not_after: Time(1_000),
        }
    }

    fn verifies(bytes: &[u8]) -> bool {
        ManifestIn::parse(bytes).is_ok_and(|manifest| manifest.verify(account(7).id()).is_ok())
    }

    #[test]
    fn a_manifest_round_trips_and_is_frozen() {
        let manifest = Manifest::sign(&account(7), fields()).unwrap();
        let again = ManifestIn::parse(manifest.as_bytes()).unwrap().verify(account(7).id()).unwrap();
        assert_eq!(again, manifest);
        assert_eq!(again.certifies(device(1).id), Some(&device(1)));
        assert_eq!(again.certifies(device(3).id), None);
        assert!(again.revokes(DeviceId([4; 32])) && !again.revokes(device(1).id));
        assert!(again.is_current(Time(1_000 + CLOCK_GRACE_MS)));
        assert!(!again.is_current(Time(1_001 + CLOCK_GRACE_MS)));
        assert_eq!(
            hex(&sha256(&[manifest.as_bytes()])),
            "b1de6a8081f20dac2f82b0c5e118b3db4277722d8266ce1c4728622a04359aae"
        );
        assert_eq!(hex(&manifest.hash()), "b38dc3ff6ae7135abb97d92d8087c147dd180e14b6f9c1b8fa7130d68eda503d");
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let manifest = Manifest::sign(&account(7), fields()).unwrap();
        refuses_bit_flips(manifest.as_bytes(), verifies);
        refuses_other_lengths(manifest.as_bytes(), verifies);
    }

    #[test]
    fn only_the_account_itself_can_sign() {
        let manifest = Manifest::sign(&account(8), fields()).unwrap();
        let parsed = ManifestIn::parse(manifest.as_bytes()).unwrap();
        assert_eq!(parsed.verify(account(7).id()), Err(ManifestError::NotAuthentic));
    }

    #[test]
    fn impossible_devices_are_refused() {
        let repeated = ManifestFields { devices: vec![device(1), device(1)], ..fields() };
        let revoked = ManifestFields { revoked: vec![(device(1).id, Time(0))], ..fields() };
        let low_order = ManifestDevice { dh: [0; 32], ..device(3) };
        let low_order = ManifestFields { devices: vec![low_order], ..fields() };
        let long_name = ManifestDevice { name: vec![0; DEVICE_NAME_BYTES_MAX + 1], ..device(3) };
        let long_name = ManifestFields { devices: vec![long_name], ..fields() };
        for bad in [repeated, revoked, low_order, long_name] {
            assert_eq!(Manifest::sign(&account(7), bad.clone()), Err(ManifestError::Devices));
            let unsigned = [bad.to_bytes().unwrap(), vec![0; 64]].concat();
            assert!(ManifestIn::parse(&unsigned).is_err());
        }
    }

    #[test]
    fn limits_below_at_and_above() {
        let devices = |count: usize| (0..count as u64).map(device).collect();
        let revoked =
            |count: usize| (0..count).map(|i| (DeviceId(sha256(&[&i.to_le_bytes()])), Time(1))).collect();
        for (count, fits) in [(DEVICES_MAX - 1, true), (DEVICES_MAX, true), (DEVICES_MAX + 1, false)] {
            let fields = ManifestFields { devices: devices(count), ..fields() };
            assert_eq!(Manifest::sign(&account(7), fields).is_ok(), fits);
        }
        for (count, fits) in [(REVOKED_MAX - 1, true), (REVOKED_MAX, true), (REVOKED_MAX + 1, false)] {
            let fields = ManifestFields { revoked: revoked(count), ..fields() };
            assert_eq!(Manifest::sign(&account(7), fields).is_ok(), fits);
        }
    }

    #[test]
    fn a_certificate_binds_account_device_and_key() {
        let (id, dh) = (device(1).id, device(1).dh);
        let signature = certificate(&account(7), id, &dh);
        assert!(verify_certificate(account(7).id(), id, &dh, &signature));
        assert!(!verify_certificate(account(8).id(), id, &dh, &signature));
        assert!(!verify_certificate(account(7).id(), device(2).id, &dh, &signature));
        assert!(!verify_certificate(account(7).id(), id, &device(2).dh, &signature));
        refuses_bit_flips(&signature, |bytes| {
            verify_certificate(account(7).id(), id, &dh, bytes.try_into().unwrap())
        });
    }
}
