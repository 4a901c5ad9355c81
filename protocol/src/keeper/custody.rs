//! Admitting and dropping envelopes (SPEC §8.3). Reading them is [`mailboxes`](super::mailboxes).

use std::collections::BTreeSet;

use super::io::Output;
use super::store::tombstone_bytes;
use super::{Denied, Keeper, Step};
use crate::id::{Address, EnvelopeId};
use crate::limits::{
    GRACE_MS, IDS_PER_CLAIM_MAX, LIFE_MS_MAX, MAILBOX_BYTES_MAX, MAILBOX_ENVELOPES_MAX,
    MAILBOX_TOMBSTONES_MAX, REGION_EXTRA_MAX, REPLICAS,
};
use crate::messenger::io::{PeerFacts, PeerFault};
use crate::time::{DAY_MS, Day, HOUR_MS, Time};
use crate::wire::claim::{AddressSignature, verify_tombstone};
use crate::wire::envelope::Envelope;
use crate::wire::frame::{Admission, CustodyReceipt, Frame, Refusal, Tombstone};

/// Whether custodians take something of `day` by their own UTC day: they know no account's offset
/// (SPEC §3.2).
pub(super) fn day_within(now: Time, day: Day, back: i32, ahead: i32) -> bool {
    let today = now.utc_day();
    (today.offset(-back)..=today.offset(ahead)).contains(&day)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl Keeper {
    pub(super) fn on_deposit(
        &mut self,
        step: &mut Step<'_>,
        from: &PeerFacts,
        bytes: &[u8],
        admission: &Admission,
    ) -> Result<(), Denied> {
        let envelope = Envelope::parse(bytes).map_err(|_| PeerFault::Malformed)?;
        let (address, id, expires) = (envelope.address, envelope.id(), envelope.expires_at());
        if self.config.held_bytes_max == 0 {
            return Err(Refusal::NotACustodian.into());
        }
        if *admission != Admission::None {
            return Err(Refusal::Admission.into());
        }
        if !day_within(step.now, envelope.day, 1, 2) {
            return Err(Refusal::WrongDay.into());
        }
        let latest = step.now.plus(LIFE_MS_MAX + GRACE_MS);
        if expires.plus(GRACE_MS) < step.now || expires > latest {
            return Err(Refusal::BadExpiry.into());
        }
        if step.store.tombstone(&address, &id)?.is_some() {
            return Err(Refusal::Tombstoned.into());
        }
        if !step.store.has_envelope(&address, &id)? {
            self.rates.charge(step.now, from.prefix, length(bytes))?;
            let usage = step.store.usage(&address)?;
            let fits = usage.envelopes < MAILBOX_ENVELOPES_MAX
                && usage.bytes.saturating_add(length(bytes)) <= MAILBOX_BYTES_MAX;
            if !fits {
                return Err(Denied::Refused(Refusal::MailboxFull, DAY_MS));
            }
            if self.totals.bytes.saturating_add(length(bytes)) > self.config.held_bytes_max {
                self.send(from.peer, Frame::Full { envelope: id });
                return Ok(());
            }
            step.store.put_envelope(&address, &id, expires.plus(GRACE_MS), bytes)?;
            self.totals.envelopes += 1;
            self.totals.bytes += length(bytes);
            self.tell_admitted(from, &address, id, bytes);
        }
        let receipt = CustodyReceipt::Plain { until: expires };
        self.send(from.peer, Frame::Held { envelope: id, receipt });
        Ok(())
    }

    /// Pushes a new envelope to its live subscribers, and its id to the region members known.
    fn tell_admitted(&mut self, from: &PeerFacts, address: &Address, id: EnvelopeId, bytes: &[u8]) {
        for subscriber in self.subscribers.get(address).into_iter().flatten() {
            let push = Frame::Push { envelope: bytes.to_vec() };
            self.outputs.push_back(Output::Send(*subscriber, push));
        }
        let region = self.neighbours.region(&self.config.own_peer, address);
        for peer in region.into_iter().take(REPLICAS + REGION_EXTRA_MAX) {
            let connected = self.peers.contains_key(&peer);
            if connected && peer != from.peer && peer != self.config.own_peer {
                self.send(peer, Frame::Admitted { address: *address, ids: vec![id] });
            }
        }
    }

    /// What is held goes in any case. That it is gone is remembered like everything that a peer can make us
    /// keep: by its rate, and while there is room. Forgetting costs the owner one more tombstone at the most.
    pub(super) fn on_tombstone(
        &mut self,
        step: &mut Step<'_>,
        from: &PeerFacts,
        tombstone: &Tombstone,
    ) -> Result<(), Denied> {
        let Tombstone { address, day, ids, signature } = tombstone;
        if ids.len() > IDS_PER_CLAIM_MAX {
            return Err(PeerFault::Malformed.into());
        }
        if !day_within(step.now, *day, 31, 2) {
            return Err(Refusal::WrongDay.into());
        }
        let signature = AddressSignature::parse(signature).map_err(|_| PeerFault::Malformed)?;
        verify_tombstone(address, *day, ids, &signature).map_err(|_| PeerFault::BadSignature)?;
        let mut news = false;
        for id in ids {
            news |= step.store.tombstone(address, id)?.is_none();
            if let Some(bytes) = step.store.envelope(address, id)? {
                step.store.remove_envelope(address, id)?;
                self.totals.envelopes = self.totals.envelopes.saturating_sub(1);
                self.totals.bytes = self.totals.bytes.saturating_sub(length(&bytes));
            }
        }
        if !news {
            return Ok(());
        }
        let size = tombstone_bytes(tombstone);
        self.rates.charge(step.now, from.prefix, size)?;
        if self.totals.bytes.saturating_add(size) > self.config.held_bytes_max {
            return Err(Denied::Refused(Refusal::Disk, HOUR_MS));
        }
        let expires = step.now.plus(LIFE_MS_MAX + GRACE_MS);
        step.store.put_tombstone(tombstone, expires, MAILBOX_TOMBSTONES_MAX)?;
        // Others may have gone for it.
        self.totals = step.store.totals()?;
        Ok(())
    }

    /// A neighbour has new ids. What the owner has deleted is told back; live subscribers are told
    /// where the ids are, so that a few written and a few subscribed copies need not meet.
    pub(super) fn on_admitted(
        &mut self,
        step: &mut Step<'_>,
        from: &PeerFacts,
        address: &Address,
        ids: &[EnvelopeId],
    ) -> Result<(), Denied> {
        if !from.keeps {
            return Err(PeerFault::Unexpected.into());
        }
        let (mut news, mut told) = (Vec::new(), BTreeSet::new());
        for id in ids {
            if let Some(tombstone) = step.store.tombstone(address, id)? {
                // One tombstone names many ids: it is told once.
                if told.insert(tombstone.signature.clone()) {
                    self.send(from.peer, Frame::Tombstone(tombstone));
                }
            } else if !step.store.has_envelope(address, id)? {
                news.push(*id);
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        for subscriber in self.subscribers.get(address).cloned().unwrap_or_default() {
            let have = Frame::Have {
                address: *address,
                ids: news.clone(),
                cursor: 0,
                more: false,
                holder: Some(from.peer),
            };
            self.send(subscriber, have);
        }
        Ok(())
    }
}
