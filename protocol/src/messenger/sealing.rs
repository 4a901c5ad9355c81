//! Sealing content for a contact, and getting a session to seal with (SPEC §5.5, §8.4).

use std::collections::BTreeSet;

use super::content::{Content, ContentV1, Part};
use super::io::{Output, PeerFault};
use super::rows::{self, ContactRow, SealedRow, Told};
use super::sessions::Live;
use super::timers::Timer;
use super::{Messenger, Query, Step};
use crate::blind::request_address;
use crate::control::{ContactState, QueuedReason};
use crate::id::{AccountId, Address, PeerId, SessionId};
use crate::limits::{
    BUNDLE_OLDER_MS, FILLED_LOOK_MS, FILLED_SESSIONS_MAX, RECORDS_MS, REPLICAS, RESEAL_MS, WHEREABOUTS_MS,
};
use crate::session::{SealError, initiate};
use crate::store::StoreError;
use crate::wire::bundle::{Bundle, BundleIn};
use crate::wire::frame::Frame;
use crate::wire::manifest::{Manifest, ManifestIn};
use crate::wire::record::{Record, RecordIn, Slot};

/// Sealed bytes and how they travel.
pub(crate) enum Sealing {
    /// Ready.
    Done(SealedRow),
    /// There is no session yet; one is being made.
    Wait(QueuedReason),
    /// It does not fit the largest envelope.
    TooLarge,
}

/// Public records of a contact that have come in so far.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) manifest: Option<Manifest>,
    pub(crate) bundle: Option<BundleIn>,
    bundle_seq: u64,
    asked: Vec<Address>,
}

impl Messenger {
    /// Seals parts for a contact on its preferred session, in this step.
    pub(crate) fn seal_for(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        mut parts: Vec<Part>,
    ) -> Result<Sealing, StoreError> {
        let Some(id) = self.usable_session(step, account)? else {
            return Ok(Sealing::Wait(QueuedReason::NotConnectedYet));
        };
        let own_peer = self.config.own_peer;
        let also = self.also_has(account);
        let (Some(live), Some(contact)) = (self.sessions.get_mut(&id), self.contacts.get_mut(account)) else {
            return Ok(Sealing::Wait(QueuedReason::NotConnectedYet));
        };
        let first = live.session.is_initial();
        let here = self.me.whereabouts(step.now, own_peer);
        let stale = contact
            .told
            .as_ref()
            .is_none_or(|told| told.addresses != here.addresses && step.now.since(told.at) >= WHEREABOUTS_MS);
        if first {
            parts.insert(0, Part::Introduction(self.me.introduction(step.now, own_peer)));
        } else if stale {
            parts.push(Part::Whereabouts(here.clone()));
        }
        if first || stale {
            contact.told = Some(Told { addresses: here.addresses, at: step.now });
            rows::save(step.store, contact)?;
        }
        parts.extend(also.map(Part::AlsoHas));
        let content = ContentV1 {
            knows_you: contact.mailbox.is_some(),
            mine: self.me.mark(),
            yours: contact.manifest_mark,
            parts,
        };
        let sealed = live.session.seal(&Content::V1(content).to_bytes(), step.rng);
        self.sessions.save(step.store, &id)?;
        match sealed {
            Ok(sealed) => {
                Ok(Sealing::Done(SealedRow { session: id, inner: sealed.inner, first, at: step.now }))
            }
            Err(SealError::TooLarge { .. }) => Ok(Sealing::TooLarge),
            Err(_) => {
                self.want_session(step, account);
                Ok(Sealing::Wait(QueuedReason::NotConnectedYet))
            }
        }
    }

    /// Whether a sealed form can still be sent: of the preferred session or one that was filled before it, and
    /// not too old.
    pub(crate) fn is_current(&self, step: &Step<'_>, account: &AccountId, sealed: &SealedRow) -> bool {
        let Some(live) = self.sessions.get(&sealed.session) else { return false };
        let preferred = self.contacts.get(account).and_then(|contact| contact.preferred);
        let in_use = preferred == Some(sealed.session) && sealed.first == live.session.is_initial();
        (in_use || live.filled) && step.now.since(sealed.at) < RESEAL_MS
    }

    fn usable_session(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<Option<SessionId>, StoreError> {
        let Some(contact) = self.contacts.get(account) else { return Ok(None) };
        let live = contact.preferred.and_then(|id| self.sessions.get(&id));
        match live {
            Some(live) if !live.session.is_exhausted(step.now) => Ok(contact.preferred),
            Some(_) | None => {
                if !self.has_filled_enough(step, account) {
                    self.want_session(step, account);
                }
                Ok(None)
            }
        }
    }

    /// Whether as many full sessions as may be have sealed what is still to be sent. One more would end the oldest,
    /// what that has sealed would be sealed anew and fill another, and so on.
    fn has_filled_enough(&mut self, step: &Step<'_>, account: &AccountId) -> bool {
        if self.sessions.filled(account).count() < FILLED_SESSIONS_MAX {
            return false;
        }
        if self.direct.enough_until.get(account).is_some_and(|until| step.now < *until) {
            return true;
        }
        let mut used = BTreeSet::new();
        let (mut at, filled) = (None, |id: &SessionId| self.sessions.get(id).is_some_and(|live| live.filled));
        while let Some(key) = self.outbox.after(account, at) {
            at = Some(key);
            let sealed = self.outbox.entries.get(&key.2).and_then(|entry| entry.row.sealed.as_ref());
            used.extend(
                sealed.filter(|s| self.is_current(step, account, s)).map(|s| s.session).filter(filled),
            );
            if used.len() >= FILLED_SESSIONS_MAX {
                // Thousands ask, and thousands were looked at.
                self.direct.enough_until.insert(*account, step.now.plus(FILLED_LOOK_MS));
                return true;
            }
        }
        false
    }

    /// Starts asking for what a new session needs, if it is not being asked for already. A contact
    /// whose invite record has not come yet gets its session from there; who is no contact, or blocked, none.
    pub(crate) fn want_session(&mut self, step: &Step<'_>, account: &AccountId) {
        let awaits_invite = self.adding.get(account).is_some_and(|adding| !adding.begun);
        let heard = self.open_contact(account).is_some();
        if !heard || awaits_invite || self.direct.wanted.contains_key(account) {
            return;
        }
        self.direct.wanted.insert(*account, Found::default());
        let today = account.day(step.now);
        if let Ok(address) = request_address(account, today) {
            self.ask_custodians(Query::Session(*account), address);
        }
        self.timers.set(step.now.plus(RECORDS_MS), Timer::Session(*account));
    }

    /// Asks the region, the contact's own peer and everybody near for manifest and bundle.
    pub(crate) fn ask_for_bundle(&mut self, step: &Step<'_>, account: &AccountId, custodians: &[PeerId]) {
        let today = account.day(step.now);
        let own_peer = self.config.own_peer;
        let theirs = self.contacts.get(account).and_then(|contact| contact.whereabouts.as_ref());
        let their_peer = theirs.map(|whereabouts| whereabouts.peer);
        let mut peers: Vec<PeerId> =
            custodians.iter().copied().filter(|peer| *peer != own_peer).take(REPLICAS).collect();
        peers.extend(their_peer.filter(|peer| self.peers.contains_key(peer) && !peers.contains(peer)));
        let Some(found) = self.direct.wanted.get_mut(account) else { return };
        let addresses: Vec<Address> = [0, -1, 1]
            .into_iter()
            .filter_map(|day| request_address(account, today.offset(day)).ok())
            .collect();
        found.asked.clone_from(&addresses);
        for peer in peers {
            for address in &addresses {
                self.send(peer, Frame::GetRecords { address: *address });
            }
        }
    }

    /// Takes public records of contacts a session is wanted with. Says whether they were any.
    pub(crate) fn on_public_records(&mut self, peer: PeerId, address: &Address, records: &[Vec<u8>]) -> bool {
        let wanted = self.direct.wanted.iter_mut().find(|(_, found)| found.asked.contains(address));
        let Some((account, found)) = wanted else { return false };
        for bytes in records {
            let record = RecordIn::parse(bytes).ok().and_then(|record| record.verify().ok());
            match record.filter(|record| record.address() == *address) {
                // What is inside is the author's doing: a custodian cannot see it.
                Some(record) => found.take(account, &record).unwrap_or_default(),
                None => self.outputs.push_back(Output::Misbehaved(peer, PeerFault::Malformed)),
            }
        }
        true
    }

    /// Answers have had their time: begin the session with the newest that was found.
    pub(crate) fn on_session_timer(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let Some(found) = self.direct.wanted.remove(&account) else { return Ok(()) };
        let (Some(manifest), Some(bundle)) = (found.manifest, found.bundle) else { return Ok(()) };
        let manifest = self.believed(&account, manifest)?;
        let Ok(bundle) = bundle.verify(&manifest, step.now) else { return Ok(()) };
        let seen = self.contacts.get(&account).map_or(0, |contact| contact.bundle_seq);
        if bundle.times().seq.saturating_add(BUNDLE_OLDER_MS) < seen {
            // A new one is made every day: this one was kept back.
            return Ok(());
        }
        self.begin_session(step, &account, &manifest, &bundle, None)?;
        self.wake(step, &account)
    }

    /// Begins a session and makes it the one to send on.
    pub(crate) fn begin_session(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        manifest: &Manifest,
        bundle: &Bundle,
        token: Option<crate::id::InviteToken>,
    ) -> Result<bool, StoreError> {
        let believed = self.believed(account, manifest.clone())?;
        if believed.certifies(bundle.device()).is_none_or(|device| device.dh != bundle.device_dh()) {
            return Ok(false);
        }
        let local = self.me.local_device();
        let Ok(session) = initiate(step.now, &local, *account, bundle, token, step.rng) else {
            return Ok(false);
        };
        let before = self.contacts.get(account).and_then(|contact| contact.preferred);
        if let Some(live) = before.and_then(|id| self.sessions.get_mut(&id)) {
            live.filled = live.session.is_full();
        }
        let live = Live { session, account: *account, archived_at: None, first: None, filled: false };
        let id = self.sessions.add(step.store, live)?;
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(false) };
        contact.sessions += 1;
        contact.bundle_seq = contact.bundle_seq.max(bundle.times().seq);
        self.send_on(step, account, id)?;
        self.pin(step, account, believed)?;
        Ok(true)
    }

    /// After a rollback of the database nothing may be sent on what it holds.
    pub(crate) fn forget_preferred(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        for contact in self.contacts.values_mut() {
            (contact.preferred, contact.other) = (None, None);
            // Numbers given out after the copy was made are unknown here: count anew, in a new run.
            (contact.run, contact.sent) = (step.rng.next_u64(), 0);
            rows::save(step.store, contact)?;
            self.sessions.distrust(step.store, &contact.account)?;
        }
        Ok(())
    }

    /// The contact, if messages may go to it.
    pub(crate) fn open_contact(&self, account: &AccountId) -> Option<&ContactRow> {
        self.contacts.get(account).filter(|contact| contact.state != ContactState::Blocked)
    }
}

impl Found {
    /// Takes one record; none if it is not what its address must hold.
    fn take(&mut self, account: &AccountId, record: &Record) -> Option<()> {
        let content = record.open(&account.0).ok()?;
        match record.head().slot {
            Slot::Manifest => {
                let manifest = ManifestIn::parse(&content).ok()?.verify(*account).ok()?;
                if self.manifest.as_ref().is_none_or(|known| known.version() < manifest.version()) {
                    self.manifest = Some(manifest);
                }
            }
            Slot::Bundle => {
                let bundle = BundleIn::parse(&content).ok()?;
                if self.bundle.is_none() || record.head().seq > self.bundle_seq {
                    self.bundle_seq = record.head().seq;
                    self.bundle = Some(bundle);
                }
            }
            Slot::Whereabouts | Slot::Invite => return None,
        }
        Some(())
    }
}
