//! Which manifest of a contact is believed, and what follows when a newer one is (SPEC §8.5).
//!
//! Pinned is the newest that was told or found. An older one is no fault: it may have been long on its way,
//! or come from an older copy of a database. It just decides nothing.

use super::account::mark;
use super::{Messenger, Step, rows};
use crate::id::{AccountId, DeviceId};
use crate::store::StoreError;
use crate::wire::manifest::{Manifest, ManifestIn};

impl Messenger {
    /// The manifest that says which devices are a contact's: `told` if it is newer than the pinned one, else
    /// the pinned one. Another one of the same version shows in the node's health.
    pub(crate) fn believed(&mut self, account: &AccountId, told: Manifest) -> Result<Manifest, StoreError> {
        let pinned = self.contacts.get(account).filter(|contact| !contact.manifest.is_empty());
        let Some(pinned) = pinned else { return Ok(told) };
        let (known, mark) = (pinned.manifest_mark, mark(&told));
        if mark.version > known.version {
            return Ok(told);
        }
        if mark.version == known.version && mark != known {
            self.contradicting.insert(*account);
        }
        let pinned = ManifestIn::parse(&pinned.manifest).and_then(|manifest| manifest.verify(*account));
        pinned.map_err(|_| StoreError::Corrupt)
    }

    /// Pins a manifest if it is newer: devices that it does not list are neither heard nor written to.
    pub(crate) fn pin(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        told: Manifest,
    ) -> Result<(), StoreError> {
        let manifest = self.believed(account, told)?;
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        let mark = mark(&manifest);
        if !contact.manifest.is_empty() && contact.manifest_mark == mark {
            return Ok(());
        }
        contact.manifest = manifest.as_bytes().to_vec();
        contact.manifest_mark = mark;
        let listed = |device: &DeviceId| manifest.certifies(*device).is_some();
        let dropped = self.sessions.drop_unlisted(step.store, account, listed)?;
        contact.preferred = contact.preferred.filter(|id| !dropped.contains(id));
        contact.other = contact.other.filter(|id| !dropped.contains(id));
        rows::save(step.store, contact)?;
        if dropped.is_empty() { Ok(()) } else { self.forget_proofs(step, account) }
    }
}
