//! The sessions in use, by contact and by what their next messages look like (SPEC §5.5).
//!
//! Which session to *send* on is the contact row's `preferred`; every session kept here can receive.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{self, SessionRow};
use super::store::MessengerStore;
use crate::id::{AccountId, DeviceId, SessionId};
use crate::limits::{ARCHIVED_SESSIONS_MAX, OPENED_TAG_MS};
use crate::session::Session;
use crate::store::StoreError;
use crate::time::Time;

/// One session.
pub(crate) struct Live {
    pub(crate) session: Session,
    pub(crate) account: AccountId,
    pub(crate) archived_at: Option<Time>,
    /// Hint and ephemeral of the first message it was accepted from.
    pub(crate) first: Option<([u8; 8], [u8; 32])>,
    /// Left because it was full: what it sealed is still sent.
    pub(crate) filled: bool,
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    by_id: BTreeMap<SessionId, Live>,
}

impl core::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Sessions({})", self.by_id.len())
    }
}

impl Sessions {
    pub(crate) fn restore(store: &mut dyn MessengerStore) -> Result<Sessions, StoreError> {
        let mut by_id = BTreeMap::new();
        for row in rows::scan::<SessionRow>(store)? {
            let session = Session::from_record(&row.session).map_err(|_| StoreError::Corrupt)?;
            let SessionRow { account, archived_at, first, filled, .. } = row;
            let live = Live { session, account, archived_at, first, filled };
            by_id.insert(row.id, live);
        }
        Ok(Sessions { by_id })
    }

    pub(crate) fn get(&self, id: &SessionId) -> Option<&Live> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &SessionId) -> Option<&mut Live> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&SessionId, &Live)> {
        self.by_id.iter()
    }

    pub(crate) fn of(&self, account: &AccountId) -> impl Iterator<Item = (&SessionId, &Live)> {
        self.by_id.iter().filter(move |(_, live)| live.account == *account)
    }

    /// A contact's that were left because they were full.
    pub(crate) fn filled(&self, account: &AccountId) -> impl Iterator<Item = &SessionId> {
        self.of(account).filter(|(_, live)| live.filled).map(|(id, _)| id)
    }

    /// The session that this tag belongs to.
    pub(crate) fn by_tag(&self, tag: &[u8; 16]) -> Option<SessionId> {
        self.by_id.iter().find(|(_, live)| live.session.recognises(tag)).map(|(id, _)| *id)
    }

    /// The session that was accepted from this first message.
    pub(crate) fn by_first(&self, hint: &[u8; 8], ephemeral: &[u8; 32]) -> Option<SessionId> {
        let first = Some((*hint, *ephemeral));
        self.by_id.iter().find(|(_, live)| live.first == first).map(|(id, _)| *id)
    }

    /// Adds a session and writes it.
    pub(crate) fn add(
        &mut self,
        store: &mut dyn MessengerStore,
        live: Live,
    ) -> Result<SessionId, StoreError> {
        let id = live.session.id();
        self.by_id.insert(id, live);
        self.save(store, &id)?;
        Ok(id)
    }

    /// Writes a session: must be part of the step that changed it.
    pub(crate) fn save(&self, store: &mut dyn MessengerStore, id: &SessionId) -> Result<(), StoreError> {
        let Some(live) = self.by_id.get(id) else { return Ok(()) };
        let row = SessionRow {
            id: *id,
            account: live.account,
            archived_at: live.archived_at,
            first: live.first,
            filled: live.filled,
            session: live.session.to_record().to_vec(),
        };
        rows::save(store, &row)
    }

    /// Archives every session of a contact except `keep`: they still receive for 31 d.
    pub(crate) fn archive_others(
        &mut self,
        store: &mut dyn MessengerStore,
        account: &AccountId,
        keep: &SessionId,
        now: Time,
    ) -> Result<(), StoreError> {
        let others: Vec<SessionId> = self
            .of(account)
            .filter(|(id, live)| *id != keep && live.archived_at.is_none())
            .map(|(id, _)| *id)
            .collect();
        for id in others {
            if let Some(live) = self.by_id.get_mut(&id) {
                live.archived_at = Some(now);
            }
            self.save(store, &id)?;
        }
        self.drop_surplus(store, account)
    }

    /// Something was opened with it: writes it, and keeps an archived one for as long again.
    pub(crate) fn save_opened(
        &mut self,
        store: &mut dyn MessengerStore,
        id: &SessionId,
        now: Time,
    ) -> Result<(), StoreError> {
        if let Some(live) = self.by_id.get_mut(id) {
            live.archived_at = live.archived_at.map(|_| now);
        }
        self.save(store, id)
    }

    /// An archived session is sent on again.
    pub(crate) fn use_again(
        &mut self,
        store: &mut dyn MessengerStore,
        id: &SessionId,
    ) -> Result<(), StoreError> {
        if let Some(live) = self.by_id.get_mut(id) {
            live.archived_at = None;
        }
        self.save(store, id)
    }

    /// The contact may have lost them: what a contact's sessions have sealed is not sent any more.
    pub(crate) fn distrust(
        &mut self,
        store: &mut dyn MessengerStore,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        let filled: Vec<SessionId> = self.filled(account).copied().collect();
        for id in filled {
            if let Some(live) = self.by_id.get_mut(&id) {
                live.filled = false;
            }
            self.save(store, &id)?;
        }
        Ok(())
    }

    fn drop_surplus(
        &mut self,
        store: &mut dyn MessengerStore,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        let mut archived: Vec<(Time, SessionId)> =
            self.of(account).filter_map(|(id, live)| Some((live.archived_at?, *id))).collect();
        archived.sort_unstable();
        let surplus = archived.len().saturating_sub(ARCHIVED_SESSIONS_MAX);
        for (_, id) in archived.into_iter().take(surplus) {
            self.remove(store, &id)?;
        }
        Ok(())
    }

    /// Deletes a contact's sessions with devices that it lists no more; says which they were.
    pub(crate) fn drop_unlisted(
        &mut self,
        store: &mut dyn MessengerStore,
        account: &AccountId,
        listed: impl Fn(&DeviceId) -> bool,
    ) -> Result<Vec<SessionId>, StoreError> {
        let unlisted: Vec<SessionId> = self
            .of(account)
            .filter(|(_, live)| !listed(&live.session.peer_device()))
            .map(|(id, _)| *id)
            .collect();
        for id in &unlisted {
            self.remove(store, id)?;
        }
        Ok(unlisted)
    }

    fn remove(&mut self, store: &mut dyn MessengerStore, id: &SessionId) -> Result<(), StoreError> {
        self.by_id.remove(id);
        rows::remove::<SessionRow>(store, &id.0)?;
        Ok(())
    }

    /// Deletes what is past its time: archived sessions after 31 d but for those that contacts may still send
    /// on, old skipped keys of the others.
    pub(crate) fn forget_old(
        &mut self,
        store: &mut dyn MessengerStore,
        now: Time,
        doubtful: &BTreeSet<SessionId>,
    ) -> Result<(), StoreError> {
        let old: Vec<SessionId> = self
            .by_id
            .iter()
            .filter(|(_, live)| live.archived_at.is_some_and(|at| now.since(at) > OPENED_TAG_MS))
            .filter(|(id, _)| !doubtful.contains(id))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            self.remove(store, &id)?;
        }
        let ids: Vec<SessionId> = self.by_id.keys().copied().collect();
        for id in ids {
            if let Some(live) = self.by_id.get_mut(&id) {
                live.session.forget_old(now);
            }
            self.save(store, &id)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{AccountKeys, DeviceKeys, Entropy, PrekeyPair};
    use crate::messenger::store::MemoryStore;
    use crate::session::{LocalDevice, initiate};
    use crate::testing::rng;
    use crate::time::DAY_MS;
    use crate::wire::bundle::{Bundle, BundleTimes};
    use crate::wire::manifest::certificate;

    fn archived(now: Time) -> Live {
        let (account, rng) = (AccountKeys::derive(&Entropy::from_bytes([1; 32])), &mut rng(1));
        let device = DeviceKeys::generate(rng);
        let times = BundleTimes { seq: 1, not_before: now, not_after: now.plus(DAY_MS) };
        let bundle = Bundle::sign(&device, account.id(), &PrekeyPair::generate(rng), times);
        let local = LocalDevice {
            certificate: certificate(&account, device.id(), &device.dh_public()),
            device: &device,
            account: account.id(),
            manifest_version: 1,
            manifest_hash: [0; 32],
        };
        let session = initiate(now, &local, account.id(), &bundle, None, rng).unwrap();
        Live { session, account: account.id(), archived_at: Some(now), first: None, filled: false }
    }

    #[test]
    fn an_archived_session_goes_a_month_after_it_last_opened_something() {
        let now = Time(20_000 * DAY_MS);
        MemoryStore::default()
            .transaction(|tx| {
                let mut sessions = Sessions::default();
                let id = sessions.add(tx, archived(now))?;
                let later = now.plus(OPENED_TAG_MS);
                sessions.forget_old(tx, later, &BTreeSet::new())?;
                sessions.save_opened(tx, &id, later)?;
                sessions.forget_old(tx, later.plus(OPENED_TAG_MS), &BTreeSet::new())?;
                assert!(sessions.get(&id).is_some());
                sessions.forget_old(tx, later.plus(OPENED_TAG_MS + 1), &BTreeSet::from([id]))?;
                assert!(sessions.get(&id).is_some(), "the contact may send on it");
                sessions.forget_old(tx, later.plus(OPENED_TAG_MS + 1), &BTreeSet::new())?;
                assert!(sessions.get(&id).is_none());
                Ok::<(), StoreError>(())
            })
            .unwrap();
    }
}
