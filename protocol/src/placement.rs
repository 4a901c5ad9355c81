//! Who is responsible for an address: the region rule (SPEC §8.1).
//!
//! Pure: candidates in, custodians out. Both machines and every node use this one function, so that
//! depositor, recipient and custodians agree. It deliberately knows no prefixes or ages: diversity
//! rules ignore loopback and private ranges and come with the Sybil rules.

use crate::id::{Address, KadKey, PeerId};
use crate::limits::{REGION_EXTRA_MAX, REPLICAS, SMALL_NETWORK_BELOW, SMALL_NETWORK_ENDS};
use crate::wire::frame::Role;

/// A peer that might keep mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The peer.
    pub peer: PeerId,
    /// Its role.
    pub role: Role,
    /// It keeps mail.
    pub keeps: bool,
    /// A stream to it is open.
    pub connected: bool,
}

/// The answer to "who keeps mail for this address": custodians nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Custodians, nearest first: at most `REPLICAS + REGION_EXTRA_MAX`.
    pub custodians: Vec<PeerId>,
    /// Estimated number of custodians in the network.
    pub network_size: u64,
}

/// The small-network rule with its hysteresis: a fact of a node, fed by its count of eligible peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmallNetwork {
    ended: bool,
}

impl SmallNetwork {
    /// Takes the number of other eligible custodians known; says whether the rule is on.
    pub fn update(&mut self, eligible_others: usize) -> bool {
        if eligible_others >= SMALL_NETWORK_ENDS {
            self.ended = true;
        } else if eligible_others < SMALL_NETWORK_BELOW {
            self.ended = false;
        }
        !self.ended
    }
}

/// The custodians of `address` among `candidates` (which may hold the own peer).
///
/// Eligible are full peers that keep mail; with `small` also light ones that are connected. The nearest
/// eight always, then up to sixteen more that lie within 8·2²⁵⁶/N̂ of the address.
#[must_use]
pub fn region(address: &Address, candidates: &[Candidate], network_size: u64, small: bool) -> Region {
    let target = address.kad_key();
    let mut by_distance: Vec<([u8; 32], PeerId)> = candidates
        .iter()
        .filter(|c| c.keeps && (c.role == Role::Full || (small && c.connected)))
        .map(|c| (c.peer.kad_key().distance(&target), c.peer))
        .collect();
    by_distance.sort_unstable();
    by_distance.dedup();
    let radius = radius(network_size);
    let custodians = by_distance
        .into_iter()
        .enumerate()
        .take(REPLICAS + REGION_EXTRA_MAX)
        .take_while(|(rank, (distance, _))| *rank < REPLICAS || *distance <= radius)
        .map(|(_, (_, peer))| peer)
        .collect();
    Region { custodians, network_size }
}

/// 8·2²⁵⁶/N̂ as a distance, saturating: everything is near in a network of eight.
fn radius(network_size: u64) -> [u8; 32] {
    let per_custodian = u64::MAX / network_size.max(1);
    let replicas = u64::try_from(REPLICAS).unwrap_or(u64::MAX);
    let high = per_custodian.saturating_mul(replicas);
    let mut out = [0xff; 32];
    out[..8].copy_from_slice(&high.to_be_bytes());
    out
}

/// Estimates how many custodians there are from the peers known, by density around `own`: the bucket
/// of the k-th shared prefix bit is complete while it is not full. Measured around the own peer and
/// not around the address that is asked for: there an attacker would place his peers.
#[must_use]
pub fn estimate_network_size(own: &KadKey, known: &[KadKey], bucket_full: usize) -> u64 {
    let mut bucket = [0usize; 257];
    for key in known {
        let shared = usize::try_from(own.shared_prefix(key)).unwrap_or(256);
        if let Some(count) = bucket.get_mut(shared) {
            *count += 1;
        }
    }
    // The deepest full bucket bounds what is known completely: everything that shares more bits.
    let complete_from = bucket.iter().rposition(|count| *count >= bucket_full).map_or(0, |bit| bit + 1);
    let inside: usize = bucket.get(complete_from..).unwrap_or_default().iter().sum();
    let scale = 1u64.checked_shl(u32::try_from(complete_from).unwrap_or(63)).unwrap_or(u64::MAX);
    let inside = u64::try_from(inside).unwrap_or(u64::MAX);
    inside.saturating_add(1).saturating_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(i: u16) -> Candidate {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&i.to_be_bytes());
        Candidate { peer: PeerId(key), role: Role::Full, keeps: true, connected: false }
    }

    #[test]
    fn nearest_eight_always_and_more_only_within_the_radius() {
        let address = Address([3; 32]);
        let many: Vec<Candidate> = (0..1000).map(full).collect();
        let found = region(&address, &many, 1000, false).custodians;
        assert!((8..=24).contains(&found.len()), "{}", found.len());
        let all = region(&address, &many[..7], 7, false).custodians;
        assert_eq!(all.len(), 7);
        // A far too large estimate must still give eight.
        assert_eq!(region(&address, &many, u64::MAX, false).custodians.len(), 8);
        // A far too small one is capped.
        assert_eq!(region(&address, &many, 1, false).custodians.len(), 24);
        let target = address.kad_key();
        let distances: Vec<_> = found.iter().map(|p| p.kad_key().distance(&target)).collect();
        assert!(distances.is_sorted());
    }

    #[test]
    fn light_peers_count_only_in_a_small_network_and_when_connected() {
        let address = Address([3; 32]);
        let light = |i, connected| Candidate { role: Role::Light, connected, ..full(i) };
        let candidates = [full(1), light(2, true), light(3, false), Candidate { keeps: false, ..full(4) }];
        assert_eq!(region(&address, &candidates, 4, false).custodians.len(), 1);
        assert_eq!(region(&address, &candidates, 4, true).custodians.len(), 2);
    }

    #[test]
    fn the_small_network_rule_ends_at_twelve_and_returns_below_eight() {
        let mut rule = SmallNetwork::default();
        let states: Vec<bool> = [0, 7, 8, 11, 12, 11, 8, 7].map(|n| rule.update(n)).to_vec();
        assert_eq!(states, [true, true, true, true, false, false, false, true]);
    }

    #[test]
    fn size_estimates_are_within_a_factor_of_two_of_the_truth() {
        for n in [5u16, 40, 400, 4000] {
            let own = full(60_000).peer.kad_key();
            // A real table: at most 20 a bucket.
            let mut kept = std::collections::BTreeMap::<u32, Vec<KadKey>>::new();
            for key in (0..n).map(|i| full(i).peer.kad_key()) {
                let bucket = kept.entry(own.shared_prefix(&key)).or_default();
                if bucket.len() < 20 {
                    bucket.push(key);
                }
            }
            let known: Vec<KadKey> = kept.into_values().flatten().collect();
            let estimate = estimate_network_size(&own, &known, 20);
            let n = u64::from(n);
            assert!(estimate >= n / 2 && estimate <= n * 2 + 1, "{n}: {estimate}");
        }
    }
}
