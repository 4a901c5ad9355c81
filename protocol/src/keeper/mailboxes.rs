//! Letting owners read their mailboxes: subscribe and get, both signed to this custodian and this
//! connection (SPEC §4.3, §8.3).

use super::custody::day_within;
use super::{Denied, Keeper, Step};
use crate::id::EnvelopeId;
use crate::limits::{IDS_PER_CLAIM_MAX, IDS_PER_FRAME_MAX, SUBSCRIPTIONS_PER_PEER_MAX};
use crate::messenger::io::{PeerFacts, PeerFault};
use crate::time::MINUTE_MS;
use crate::wire::claim::{self, AddressSignature};
use crate::wire::frame::{Claim, Frame, Refusal};

impl Keeper {
    pub(super) fn on_subscribe(
        &mut self,
        step: &mut Step<'_>,
        from: &PeerFacts,
        claim: &Claim,
        live: bool,
    ) -> Result<(), Denied> {
        let (signed, signature) = self.signed(step, from, claim)?;
        claim::verify_subscribe(&signed, &signature).map_err(|_| PeerFault::BadSignature)?;
        if live {
            self.subscribe(from, claim)?;
        }
        let limit = u32::try_from(IDS_PER_FRAME_MAX).unwrap_or(u32::MAX);
        let found = step.store.ids(&claim.address, claim.cursor, limit)?;
        let have = Frame::Have {
            address: claim.address,
            cursor: found.last().map_or(claim.cursor, |(cursor, _)| *cursor),
            more: found.len() == IDS_PER_FRAME_MAX,
            ids: found.into_iter().map(|(_, id)| id).collect(),
            holder: None,
        };
        self.send(from.peer, have);
        Ok(())
    }

    fn subscribe(&mut self, from: &PeerFacts, claim: &Claim) -> Result<(), Denied> {
        let Some(client) = self.peers.get_mut(&from.peer) else { return Ok(()) };
        let full = client.subscriptions.len() >= SUBSCRIPTIONS_PER_PEER_MAX;
        if full && !client.subscriptions.contains(&claim.address) {
            return Err(Denied::Refused(Refusal::TooManySubscriptions, MINUTE_MS));
        }
        client.subscriptions.insert(claim.address);
        self.subscribers.entry(claim.address).or_default().insert(from.peer);
        Ok(())
    }

    pub(super) fn on_get(
        &mut self,
        step: &mut Step<'_>,
        from: &PeerFacts,
        claim: &Claim,
        ids: &[EnvelopeId],
    ) -> Result<(), Denied> {
        // Each once: one envelope named many times would be sent as often.
        if ids.len() > IDS_PER_CLAIM_MAX || !ids.is_sorted_by(|a, b| a < b) {
            return Err(PeerFault::Malformed.into());
        }
        let (signed, signature) = self.signed(step, from, claim)?;
        claim::verify_get(&signed, ids, &signature).map_err(|_| PeerFault::BadSignature)?;
        let mut missing = Vec::new();
        for id in ids {
            match step.store.envelope(&claim.address, id)? {
                Some(envelope) => self.send(from.peer, Frame::Push { envelope }),
                None => missing.push(*id),
            }
        }
        if !missing.is_empty() {
            self.send(from.peer, Frame::Missing { address: claim.address, ids: missing });
        }
        Ok(())
    }

    /// What the claim's signature must be over: our name, and the challenge of this connection.
    fn signed(
        &self,
        step: &Step<'_>,
        from: &PeerFacts,
        claim: &Claim,
    ) -> Result<(claim::Claim, AddressSignature), Denied> {
        if !day_within(step.now, claim.day, 31, 2) {
            return Err(Refusal::WrongDay.into());
        }
        let signature = AddressSignature::parse(&claim.signature).map_err(|_| PeerFault::Malformed)?;
        let signed = claim::Claim {
            custodian: self.config.own_peer,
            challenge: from.our_challenge,
            address: claim.address,
            day: claim.day,
            cursor: claim.cursor,
        };
        Ok((signed, signature))
    }
}
