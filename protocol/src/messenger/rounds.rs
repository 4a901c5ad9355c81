//! A round of deposits: one envelope, several custodians at once (SPEC §8.4).
//!
//! Decides whom to ask next and what has been reached. Knows nothing of messages, stores or frames.

use std::collections::{BTreeSet, VecDeque};

use crate::id::PeerId;
use crate::limits::{
    DEPOSIT_HEDGE_MS, DEPOSIT_ROUND_MS, DEPOSITS_HEDGED, DEPOSITS_PARALLEL, REPLICAS, REPLICAS_GOOD,
};
use crate::time::Time;

/// One round.
#[derive(Debug)]
pub(crate) struct Round {
    /// Who can count: custodians other than the sender and the recipient's own peers.
    able: BTreeSet<PeerId>,
    waiting: VecDeque<PeerId>,
    asked: BTreeSet<PeerId>,
    /// Custodians with a copy, from earlier rounds too.
    held: BTreeSet<PeerId>,
    next_hedge: Time,
    ends: Time,
}

/// Where a round stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) held: usize,
    pub(crate) want: usize,
    pub(crate) good: usize,
}

impl Standing {
    pub(crate) fn is_good(&self) -> bool {
        self.good > 0 && self.held >= self.good
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.held >= self.want
    }
}

impl Round {
    /// `able`: custodians that count, nearest first; `held`: those that have a copy already.
    pub(crate) fn new(now: Time, able: &[PeerId], held: &[PeerId]) -> Round {
        let held: BTreeSet<PeerId> = held.iter().copied().collect();
        Round {
            able: able.iter().copied().chain(held.iter().copied()).collect(),
            waiting: able.iter().filter(|peer| !held.contains(peer)).copied().collect(),
            asked: BTreeSet::new(),
            held,
            next_hedge: now.plus(DEPOSIT_HEDGE_MS),
            ends: now.plus(DEPOSIT_ROUND_MS),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        let want = self.able.len().min(REPLICAS);
        Standing { held: self.held.len(), want, good: want.min(REPLICAS_GOOD) }
    }

    /// Whom to ask now: as many as are missing, and more when answers are late.
    pub(crate) fn ask(&mut self, now: Time) -> Vec<PeerId> {
        let standing = self.standing();
        let missing = standing.want.saturating_sub(standing.held);
        let mut room = missing.min(DEPOSITS_PARALLEL).saturating_sub(self.asked.len());
        if now >= self.next_hedge {
            self.next_hedge = now.plus(DEPOSIT_HEDGE_MS);
            if !standing.is_good() {
                room += DEPOSITS_HEDGED;
            }
        }
        let ask: Vec<PeerId> = (0..room).map_while(|_| self.waiting.pop_front()).collect();
        self.asked.extend(ask.iter().copied());
        ask
    }

    /// A custodian has a synced copy. Says whether that is news that counts.
    pub(crate) fn on_held(&mut self, peer: &PeerId) -> bool {
        self.asked.remove(peer) && self.able.contains(peer) && self.held.insert(*peer)
    }

    /// A custodian refuses, is full or cannot be reached: it is not one that is able to keep.
    pub(crate) fn on_unable(&mut self, peer: &PeerId) {
        self.asked.remove(peer);
        self.waiting.retain(|waiting| waiting != peer);
        if !self.held.contains(peer) {
            self.able.remove(peer);
        }
    }

    pub(crate) fn is_asked(&self, peer: &PeerId) -> bool {
        self.asked.contains(peer)
    }

    /// Nobody is left to wait for, or it has taken too long.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        let nobody_left = self.asked.is_empty() && self.waiting.is_empty();
        self.standing().is_complete() || nobody_left || now >= self.ends
    }

    /// When to look again.
    pub(crate) fn next_look(&self) -> Time {
        self.next_hedge.min(self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(n: u8) -> Vec<PeerId> {
        (0..n).map(|i| PeerId([i; 32])).collect()
    }

    #[test]
    fn eight_at_once_two_more_when_late_and_no_more_once_good() {
        let mut round = Round::new(Time(0), &peers(12), &[]);
        assert_eq!(round.ask(Time(0)).len(), 8);
        assert_eq!(round.ask(Time(699)).len(), 0);
        assert_eq!(round.ask(Time(700)).len(), 2);
        for peer in peers(4) {
            assert!(round.on_held(&peer));
            assert!(!round.on_held(&peer), "twice is no news");
        }
        assert!(round.standing().is_good() && !round.standing().is_complete());
        assert_eq!(round.ask(Time(1_400)).len(), 0);
        assert!(!round.is_over(Time(1_400)) && round.is_over(Time(DEPOSIT_ROUND_MS)));
    }

    #[test]
    fn who_cannot_keep_is_replaced_and_then_no_longer_wanted() {
        let mut round = Round::new(Time(0), &peers(9), &[]);
        assert_eq!(round.ask(Time(0)).len(), 8);
        round.on_unable(&PeerId([0; 32]));
        assert_eq!(round.ask(Time(1)), [PeerId([8; 32])]);
        for i in 1..=5 {
            round.on_unable(&PeerId([i; 32]));
        }
        assert_eq!(round.standing(), Standing { held: 0, want: 3, good: 3 });
        for i in 6..=8 {
            assert!(!round.standing().is_good());
            round.on_held(&PeerId([i; 32]));
        }
        assert!(round.standing().is_good() && round.is_over(Time(1)));
    }

    #[test]
    fn nobody_able_is_never_good() {
        let mut round = Round::new(Time(0), &[], &[]);
        assert!(round.ask(Time(0)).is_empty());
        assert!(!round.standing().is_good() && round.is_over(Time(0)));
    }
}
