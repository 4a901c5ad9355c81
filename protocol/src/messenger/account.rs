//! The account of this Messenger: its keys, its device, its manifest (SPEC §2, §8.5).

use rand::CryptoRng;
use zeroize::Zeroize;

use super::RestoreError;
use super::clock::ClockDoubt;
use super::content::{Introduction, ManifestMark, Whereabouts};
use super::rows::{self, ACCOUNT_KEY, AccountRow};
use super::store::MessengerStore;
use crate::control::{ControlError, ErrorName, InitReply};
use crate::id::{AccountId, PeerId};
use crate::keys::{AccountKeys, DeviceKeys, Entropy, MailboxKeys};
use crate::limits::{ADDRESSES_MAX, MANIFEST_MS};
use crate::session::LocalDevice;
use crate::store::StoreError;
use crate::time::{DAY_MS, Time};
use crate::wire::manifest::{Manifest, ManifestDevice, ManifestFields, ManifestIn, certificate};

impl Drop for AccountRow {
    fn drop(&mut self) {
        self.entropy.zeroize();
        self.device.zeroize();
    }
}

/// Everything of the account that is in use.
pub(crate) struct Me {
    pub(crate) account: AccountKeys,
    pub(crate) mailbox: MailboxKeys,
    pub(crate) device: DeviceKeys,
    pub(crate) manifest: Manifest,
    pub(crate) row: AccountRow,
    certificate: [u8; 64],
    /// Own addresses, best first; other full peers' addresses for tickets.
    pub(crate) addresses: Vec<String>,
    pub(crate) other_addresses: Vec<String>,
}

impl core::fmt::Debug for Me {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Me({:?})", self.account.id())
    }
}

impl Me {
    /// Makes the account of an empty store.
    pub(crate) fn create(
        nickname: &str,
        now: Time,
        store: &mut dyn MessengerStore,
        rng: &mut dyn CryptoRng,
    ) -> Result<InitReply, ControlError> {
        let name = super::names::of_person(nickname)?;
        let existing: Option<AccountRow> = rows::load(store, ACCOUNT_KEY).map_err(super::commands::disk)?;
        if let Some(row) = existing {
            let account = AccountKeys::derive(&Entropy::from_bytes(row.entropy)).id();
            return Err(ControlError::with(ErrorName::AlreadyInitialised, account.to_string()));
        }
        let entropy = Entropy::generate(rng);
        let account = AccountKeys::derive(&entropy);
        let device = DeviceKeys::generate(rng);
        let manifest = sign_manifest(&account, &device, now.0 / 1_000, [0; 32], now);
        let row = AccountRow {
            entropy: *entropy.as_bytes(),
            nickname: name.clone(),
            device: device.to_record().to_vec(),
            manifest: manifest.as_bytes().to_vec(),
            created_at: now,
            generation: 0,
            collected: account.id().day(now),
            arrivals: 0,
            events: 0,
            seen: now,
            clock: ClockDoubt::default(),
        };
        rows::save(store, &row).map_err(super::commands::disk)?;
        Ok(InitReply { account: account.id().to_string(), name, created: true })
    }

    pub(crate) fn restore(store: &mut dyn MessengerStore) -> Result<Me, RestoreError> {
        let row: AccountRow = rows::load(store, ACCOUNT_KEY)?.ok_or(RestoreError::NoAccount)?;
        let entropy = Entropy::from_bytes(row.entropy);
        let account = AccountKeys::derive(&entropy);
        let device = DeviceKeys::from_record(&row.device).map_err(|_| StoreError::Corrupt)?;
        let manifest = ManifestIn::parse(&row.manifest)
            .and_then(|manifest| manifest.verify(account.id()))
            .map_err(|_| StoreError::Corrupt)?;
        Ok(Me {
            certificate: certificate(&account, device.id(), &device.dh_public()),
            mailbox: MailboxKeys::derive(&entropy, row.generation),
            account,
            device,
            manifest,
            row,
            addresses: Vec::new(),
            other_addresses: Vec::new(),
        })
    }

    pub(crate) fn id(&self) -> AccountId {
        self.account.id()
    }

    pub(crate) fn save(&self, store: &mut dyn MessengerStore) -> Result<(), StoreError> {
        rows::save(store, &self.row)
    }

    pub(crate) fn local_device(&self) -> LocalDevice<'_> {
        LocalDevice {
            device: &self.device,
            account: self.account.id(),
            certificate: self.certificate,
            manifest_version: self.manifest.version(),
            manifest_hash: self.manifest.hash(),
        }
    }

    /// Signs the manifest anew when half its life is over. Says whether it did.
    pub(crate) fn renew_manifest(
        &mut self,
        now: Time,
        store: &mut dyn MessengerStore,
    ) -> Result<bool, StoreError> {
        if self.manifest.fields().not_after.since(now) > MANIFEST_MS / 2 {
            return Ok(false);
        }
        // By the clock, as the first: what an older copy of the database signs later is another version.
        let version = (self.manifest.version() + 1).max(now.0 / 1_000);
        self.manifest = sign_manifest(&self.account, &self.device, version, self.manifest.hash(), now);
        self.row.manifest = self.manifest.as_bytes().to_vec();
        self.save(store)?;
        Ok(true)
    }

    pub(crate) fn whereabouts(&self, now: Time, own_peer: PeerId) -> Whereabouts {
        let addresses = self.addresses.iter().take(ADDRESSES_MAX).cloned().collect();
        Whereabouts { peer: own_peer, addresses, valid_until: now.plus(2 * DAY_MS) }
    }

    pub(crate) fn introduction(&self, now: Time, own_peer: PeerId) -> Introduction {
        Introduction {
            manifest: self.manifest.as_bytes().to_vec(),
            nickname: self.row.nickname.clone(),
            mailbox: self.mailbox.public().into(),
            whereabouts: self.whereabouts(now, own_peer),
        }
    }

    pub(crate) fn mark(&self) -> ManifestMark {
        mark(&self.manifest)
    }
}

pub(crate) fn mark(manifest: &Manifest) -> ManifestMark {
    let hash = manifest.hash().first_chunk().copied().unwrap_or_default();
    ManifestMark { version: manifest.version(), hash }
}

fn sign_manifest(
    account: &AccountKeys,
    device: &DeviceKeys,
    version: u64,
    previous_hash: [u8; 32],
    now: Time,
) -> Manifest {
    let entry = ManifestDevice { id: device.id(), dh: device.dh_public(), name: Vec::new(), added_at: now };
    let fields = ManifestFields {
        version,
        previous_hash,
        devices: vec![entry],
        revoked: Vec::new(),
        not_after: now.plus(MANIFEST_MS),
    };
    Manifest::sign(account, fields).expect("invariant: one device with fresh keys is a possible manifest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messenger::store::MemoryStore;
    use crate::testing::rng;

    #[test]
    fn a_manifest_that_an_older_copy_signs_is_another_version() {
        let mut store = MemoryStore::default();
        let made = Time(20_000 * DAY_MS);
        store.transaction(|tx| Me::create("alice", made, tx, &mut rng(1))).unwrap();
        let copy = store.clone();
        let version_at = |mut store: MemoryStore, now| {
            store.transaction(|tx| {
                let mut me = Me::restore(tx).unwrap();
                me.renew_manifest(now, tx).map(|renewed| (renewed, me.mark().version))
            })
        };
        let half = made.plus(MANIFEST_MS / 2);
        assert_eq!(version_at(store, half.minus(1)), Ok((false, made.0 / 1_000)));
        let first = version_at(copy.clone(), half).unwrap();
        let again = version_at(copy, half.plus(DAY_MS)).unwrap();
        assert!(first.0 && again.0 && made.0 / 1_000 < first.1 && first.1 < again.1);
    }
}
