//! Direct streams to contacts: which peer is proven to be whose device (SPEC §6.4).
//!
//! A proof is an HMAC under the session's direct key over both PeerIds and both challenges of the
//! connection: it is worth nothing on another connection, and says nothing to anybody else.

use std::collections::BTreeMap;

use super::allowance::Allowance;
use super::io::PeerFacts;
use super::rows::{self, ContactRow};
use super::sealing::Found;
use super::sessions::Live;
use super::unopened::{Sealed, Way};
use super::{Messenger, Step};
use crate::control::ContactState;
use crate::id::{AccountId, PeerId, SessionId};
use crate::limits::{
    DIAL_PAUSE_MS, PROOF_SEARCHES_RATE, PROOFS_PER_PEER_MAX, PROOFS_RATE, PROVERS_PER_PEER_MAX,
    SESSION_RESETS_RATE, UNDECRYPTABLE_MAX,
};
use crate::session;
use crate::store::StoreError;
use crate::time::{DAY_MS, Time};
use crate::wire::frame::Frame;

/// Direct streams and what is asked for sessions.
#[derive(Default)]
pub(crate) struct Direct {
    proven: BTreeMap<PeerId, AccountId>,
    tried: BTreeMap<PeerId, u32>,
    /// Proofs of others that were tried on all sessions.
    searches: Allowance,
    /// Proofs sent on open streams.
    proofs: BTreeMap<PeerId, Allowance>,
    /// Contacts that were not reached where they are said to be.
    dial_failed_at: BTreeMap<AccountId, Time>,
    /// Undecryptable messages on a contact's proven stream.
    undecryptable: BTreeMap<AccountId, Vec<Time>>,
    /// Sessions begun anew because of those.
    resets: BTreeMap<AccountId, Allowance>,
    /// Contacts with as many full sessions as may wait for them, and until when that need not be looked at again.
    pub(crate) enough_until: BTreeMap<AccountId, Time>,
    /// Contacts a new session is being made with, and what was found so far.
    pub(crate) wanted: BTreeMap<AccountId, Found>,
}

impl core::fmt::Debug for Direct {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Direct({} proven)", self.proven.len())
    }
}

impl Direct {
    pub(crate) fn peer_of(&self, account: &AccountId) -> Option<PeerId> {
        self.proven.iter().find(|(_, proven)| *proven == account).map(|(peer, _)| *peer)
    }

    /// A dial of this contact failed just now.
    pub(crate) fn dial_is_paused(&self, account: &AccountId, now: Time) -> bool {
        self.dial_failed_at.get(account).is_some_and(|at| now.since(*at) < DIAL_PAUSE_MS)
    }

    /// No stream is a contact's any more, and nothing is asked for it.
    pub(crate) fn forget(&mut self, account: &AccountId) {
        self.proven.retain(|_, proven| proven != account);
        self.dial_failed_at.remove(account);
        self.undecryptable.remove(account);
        self.resets.remove(account);
        self.enough_until.remove(account);
        self.wanted.remove(account);
    }

    /// Something is known that makes another dial worth while.
    pub(crate) fn dial_again(&mut self, account: &AccountId) {
        self.dial_failed_at.remove(account);
    }
}

impl Messenger {
    /// Whether a contact's device is proven to be behind an open stream.
    pub(crate) fn is_online(&self, account: &AccountId) -> bool {
        self.direct.peer_of(account).is_some()
    }

    /// The contact's stream, if what is sealed now may go there: of a session that was just begun it hears by
    /// its mailbox.
    pub(crate) fn direct_way(&self, account: &AccountId) -> Option<PeerId> {
        let preferred = self.contacts.get(account)?.preferred?;
        let known = self.sessions.get(&preferred).is_some_and(|live| !live.session.is_initial());
        self.direct.peer_of(account).filter(|_| known)
    }

    /// Proves our device to a peer that is said to be a contact's. Several may say so, and only one of
    /// them is right: whoever was seen last is the most likely.
    pub(crate) fn prove_directly(&mut self, step: &Step<'_>, peer: &PeerId) {
        let Some(facts) = self.peers.get(peer).copied() else { return };
        let mut theirs: Vec<(Option<Time>, SessionId)> = self
            .said_to_be_at(peer)
            .filter_map(|contact| Some((contact.seen_at, contact.preferred?)))
            // With a session that only we have yet the proof could not be checked.
            .filter(|(_, id)| self.sessions.get(id).is_some_and(|live| !live.session.is_initial()))
            .collect();
        theirs.sort_unstable();
        if theirs.is_empty() || !self.direct.proofs.entry(*peer).or_default().take(step.now, PROOFS_RATE) {
            return;
        }
        for (_, id) in theirs.into_iter().rev().take(PROVERS_PER_PEER_MAX) {
            self.prove_with(&facts, id);
        }
    }

    fn said_to_be_at(&self, peer: &PeerId) -> impl Iterator<Item = &ContactRow> {
        self.contacts.values().filter(move |contact| {
            contact.state != ContactState::Blocked
                && contact.whereabouts.as_ref().is_some_and(|whereabouts| whereabouts.peer == *peer)
        })
    }

    fn prove_with(&mut self, facts: &PeerFacts, session: SessionId) {
        let (peer, Some(live)) = (&facts.peer, self.sessions.get(&session)) else { return };
        let proof = live.session.direct_proof(
            &self.config.own_peer,
            peer,
            &facts.our_challenge,
            &facts.their_challenge,
        );
        let want = !self.direct.proven.contains_key(peer);
        self.send(*peer, Frame::DirectProof { proof, want });
    }

    pub(crate) fn on_direct_proof(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        proof: &[u8; 32],
        want: bool,
    ) -> Result<(), StoreError> {
        let Some(facts) = self.peers.get(&peer).copied() else { return Ok(()) };
        if let Some(account) = self.direct.proven.get(&peer).copied() {
            if want {
                // It could not check what we said before: say it again, and what went with it.
                self.prove_directly(step, &peer);
                self.repeat_receipt(step, &account)?;
            }
            return Ok(());
        }
        let tried = self.direct.tried.entry(peer).or_default();
        *tried += 1;
        if *tried > PROOFS_PER_PEER_MAX {
            // Not a fault: somebody may have told it that its contact lives here.
            return Ok(());
        }
        let Some((account, session)) = self.whose_proof(step.now, &facts, proof) else { return Ok(()) };
        self.direct.proven.insert(peer, account);
        self.direct.dial_again(&account);
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.seen_at = Some(step.now);
            rows::save(step.store, contact)?;
        }
        if want {
            // They have this session, even if we began it and nothing has come back on it yet.
            self.prove_with(&facts, session);
        }
        self.send_all_directly(step, &account)?;
        self.wake(step, &account)
    }

    /// Whose session a proof is made with: first of those who are said to live there, then of all. That costs a
    /// hash for each session, so strangers cannot have it as often as they like.
    fn whose_proof(
        &mut self,
        now: Time,
        facts: &PeerFacts,
        proof: &[u8; 32],
    ) -> Option<(AccountId, SessionId)> {
        let (own, prover) = (&self.config.own_peer, &facts.peer);
        let proves = |(_, live): &(&SessionId, &Live)| {
            let (theirs, ours) = (&facts.their_challenge, &facts.our_challenge);
            live.session.check_direct_proof(prover, own, theirs, ours, proof)
        };
        let mut said: Vec<(Option<Time>, &AccountId)> =
            self.said_to_be_at(prover).map(|contact| (contact.seen_at, &contact.account)).collect();
        said.sort_unstable();
        let likely = said.into_iter().rev().take(PROVERS_PER_PEER_MAX);
        let found = likely.flat_map(|(_, account)| self.sessions.of(account)).find(proves);
        if let Some((id, live)) = found {
            return Some((live.account, *id));
        }
        if !self.direct.searches.take(now, PROOF_SEARCHES_RATE) {
            return None;
        }
        let blocked = |account| self.contacts.get(account).is_none_or(|c| c.state == ContactState::Blocked);
        let found = self.sessions.all().filter(|(_, live)| !blocked(&live.account)).find(proves);
        found.map(|(id, live)| (live.account, *id))
    }

    /// A sealed message on a stream.
    pub(crate) fn on_direct(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        inner: &[u8],
    ) -> Result<(), StoreError> {
        let Some(account) = self.direct.proven.get(&peer).copied() else {
            // They take us for proven: ask for their proof, if they can be a contact's device at all.
            self.prove_directly(step, &peer);
            return Ok(());
        };
        let session = session::tag_of(inner).and_then(|tag| self.sessions.by_tag(&tag));
        let owner = session.and_then(|id| self.sessions.get(&id)).map(|live| live.account);
        if owner.is_some_and(|owner| owner != account) {
            // Somebody else's message, passed on: its own way will bring it.
            return Ok(());
        }
        let sealed = Sealed { way: Way::Direct(account), inner: inner.to_vec(), tried: false };
        self.on_sealed_direct(step, account, sealed)
    }

    /// Something on a contact's stream cannot be opened: too often, and the session is lost on our side.
    pub(crate) fn on_undecryptable(&mut self, step: &Step<'_>, account: &AccountId) {
        let failures = self.direct.undecryptable.entry(*account).or_default();
        failures.retain(|at| step.now.since(*at) < DAY_MS);
        failures.push(step.now);
        if failures.len() < UNDECRYPTABLE_MAX {
            return;
        }
        failures.clear();
        let resets = self.direct.resets.entry(*account).or_default();
        if resets.take(step.now, SESSION_RESETS_RATE) {
            self.want_session(step, account);
        }
    }

    /// A contact has fewer devices than before: whoever has proved to be one of them does so again.
    pub(crate) fn forget_proofs(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        self.direct.proven.retain(|_, proven| proven != account);
        self.lost_direct_way(step, account)
    }

    pub(crate) fn on_direct_down(&mut self, step: &mut Step<'_>, peer: &PeerId) -> Result<(), StoreError> {
        self.direct.tried.remove(peer);
        self.direct.proofs.remove(peer);
        let Some(account) = self.direct.proven.remove(peer) else { return Ok(()) };
        if let Some(contact) = self.contacts.get_mut(&account) {
            contact.seen_at = Some(step.now);
            rows::save(step.store, contact)?;
        }
        self.lost_direct_way(step, &account)
    }

    pub(crate) fn on_dial_failed(&mut self, step: &mut Step<'_>, peer: &PeerId) -> Result<(), StoreError> {
        let theirs: Vec<AccountId> = self.said_to_be_at(peer).map(|contact| contact.account).collect();
        for account in theirs {
            self.direct.dial_failed_at.insert(account, step.now);
            self.want_whereabouts(step, &account);
            self.lost_dial(step, &account, peer)?;
        }
        Ok(())
    }
}
