//! The custodians this one knows, and who of them shares a region with it (SPEC §8.3).

use std::collections::BTreeMap;

use crate::id::{Address, PeerId};
use crate::limits::NEIGHBOURS_MAX;
use crate::messenger::io::PeerFacts;
use crate::placement::{Candidate, SmallNetwork, estimate_network_size, region};
use crate::wire::frame::Role;

/// Peers of libp2p's Kademlia in one bucket.
const BUCKET: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Neighbours {
    known: BTreeMap<PeerId, Candidate>,
    small: SmallNetwork,
}

impl Neighbours {
    pub(super) fn up(&mut self, facts: &PeerFacts) {
        self.insert(Candidate { peer: facts.peer, role: facts.role, keeps: facts.keeps, connected: true });
    }

    pub(super) fn down(&mut self, peer: &PeerId) {
        if let Some(candidate) = self.known.get_mut(peer) {
            candidate.connected = false;
        }
    }

    pub(super) fn seen(&mut self, peer: PeerId, role: Role, keeps: bool) {
        let connected = self.known.get(&peer).is_some_and(|known| known.connected);
        self.insert(Candidate { peer, role, keeps, connected });
    }

    pub(super) fn gone(&mut self, peer: &PeerId) {
        self.known.remove(peer);
    }

    /// The region of an address, as far as this custodian knows.
    pub(super) fn region(&mut self, own: &PeerId, address: &Address) -> Vec<PeerId> {
        let candidates: Vec<Candidate> = self.known.values().copied().collect();
        let eligible: Vec<_> =
            candidates.iter().filter(|c| c.keeps && c.role == Role::Full).map(|c| c.peer.kad_key()).collect();
        let small = self.small.update(eligible.len());
        let size = estimate_network_size(&own.kad_key(), &eligible, BUCKET);
        region(address, &candidates, size, small).custodians
    }

    /// At the bound one that is not connected goes first: what is known of it can be learnt again.
    fn insert(&mut self, candidate: Candidate) {
        if !self.known.contains_key(&candidate.peer) && self.known.len() >= NEIGHBOURS_MAX {
            let spare = self.known.values().find(|c| !c.connected).map(|c| c.peer);
            match spare {
                Some(peer) => self.known.remove(&peer),
                None => return,
            };
        }
        self.known.insert(candidate.peer, candidate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::sha256;

    #[test]
    fn at_the_bound_connected_neighbours_stay() {
        let mut neighbours = Neighbours::default();
        let peer = |i: usize| PeerId(sha256(&[&i.to_le_bytes()]));
        let facts = |i| PeerFacts {
            peer: peer(i),
            role: Role::Full,
            keeps: true,
            their_challenge: [0; 32],
            our_challenge: [0; 32],
            prefix: None,
        };
        neighbours.up(&facts(0));
        for i in 1..=NEIGHBOURS_MAX {
            neighbours.seen(peer(i), Role::Full, true);
        }
        assert_eq!(neighbours.known.len(), NEIGHBOURS_MAX);
        assert!(neighbours.known.contains_key(&peer(0)));
        assert!(neighbours.known.contains_key(&peer(NEIGHBOURS_MAX)), "the newest is let in");
    }
}
