//! The addresses of one peer, by who says so: what was proven is out of reach of hearsay.
//!
//! There are two lists. *Proven* are those that were typed or dialed successfully, and what the peer
//! says of itself on its own stream or in a signed announcement. *Told* is what anybody else says:
//! PEERS, answers of the routing layer, mDNS, whereabouts. Each list has its own bound, so a hundred
//! dead addresses from strangers displace one another and never the true one. At the bound the
//! newcomer takes the place of the address with the lowest standing, the most failed dials, heard of
//! longest ago, unless that has a higher standing than the newcomer.
//!
//! Hearsay does not even compete with what is proven: one wrong address that answers faster fails the
//! whole dial ("another peer lives there"). It is dialed when nothing proven is left that has not
//! failed, or when the machine asked for this dial with addresses; few at a time. Pure. SPEC §6.3.

use libp2p::Multiaddr;
use murmesh_protocol::limits::ADDRESSES_MAX;

use super::reach::Dialable;

/// Addresses of a peer in each of the two lists; see the module for what happens at it.
pub(super) const ADDRESSES_PER_LIST_MAX: usize = ADDRESSES_MAX;
/// Told addresses in one dial; the others get their turn when these have failed.
pub(super) const TOLD_PER_DIAL: usize = 3;
/// Proven addresses in one dial that also tries told ones: together as many as libp2p dials at once.
pub(super) const PROVEN_PER_DIAL: usize = 5;

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Anybody.
    Told,
    /// The peer itself, on its own stream or signed.
    Own,
    /// It was dialed from here, and the peer answered.
    Worked,
    /// The operator (`--peer`), or a ticket the owner added: dialed whatever its scope.
    Typed,
}

#[derive(Clone, Debug)]
struct Known {
    address: Multiaddr,
    standing: Standing,
    /// Failed dials in a row.
    failures: u32,
    /// Rises with every word heard of any address of this peer.
    heard: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    known: Vec<Known>,
    heard: u64,
}

impl Addresses {
    /// Takes an address in.
    pub(super) fn add(&mut self, address: Multiaddr, standing: Standing) {
        self.heard += 1;
        let known = Known { address, standing, failures: 0, heard: self.heard };
        if let Some(at) = self.known.iter().position(|old| old.address == known.address) {
            let Some(old) = self.known.get_mut(at) else { return };
            // Hearsay neither lowers nor forgives.
            if standing == Standing::Told {
                old.heard = known.heard;
                return;
            }
            let standing = old.standing.max(standing);
            self.known.remove(at);
            return self.insert(Known { standing, ..known });
        }
        self.insert(known);
    }

    fn insert(&mut self, known: Known) {
        let proven = is_proven(&known);
        let rivals = || self.known.iter().filter(|old| is_proven(old) == proven);
        if rivals().count() >= ADDRESSES_PER_LIST_MAX {
            let lowest =
                rivals().min_by_key(|old| (old.standing, std::cmp::Reverse(old.failures), old.heard));
            let Some(lowest) = lowest.filter(|old| old.standing <= known.standing) else { return };
            let lowest = lowest.address.clone();
            self.known.retain(|old| old.address != lowest);
        }
        self.known.push(known);
    }

    /// The peer's own word replaces its earlier one, and what others said.
    pub(super) fn replace_own(&mut self, own: Vec<Multiaddr>) {
        if own.is_empty() {
            return;
        }
        self.known.retain(|old| old.standing > Standing::Own || own.contains(&old.address));
        own.into_iter().for_each(|address| self.add(address, Standing::Own));
    }

    /// A dial of it failed.
    pub(super) fn on_failed(&mut self, address: &Multiaddr) {
        for known in self.known.iter_mut().filter(|known| known.address == *address) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// Somebody else lives there. Says whether it was hearsay, which is then forgotten.
    pub(super) fn on_somebody_else(&mut self, address: &Multiaddr) -> bool {
        self.on_failed(address);
        let before = self.known.len();
        self.known.retain(|known| is_proven(known) || known.address != *address);
        self.known.len() < before
    }

    /// What to dial now, the most promising first.
    pub(super) fn to_dial(&self, with_told: bool, dialable: Dialable) -> Vec<Multiaddr> {
        let mut known: Vec<&Known> = self
            .known
            .iter()
            .filter(|known| known.standing >= Standing::Worked || dialable.allows(&known.address))
            .collect();
        known.sort_by_key(|known| {
            (known.failures, std::cmp::Reverse(known.standing), std::cmp::Reverse(known.heard))
        });
        let (proven, told): (Vec<&Known>, Vec<&Known>) =
            known.into_iter().partition(|known| is_proven(known));
        let untried = proven.iter().any(|known| known.failures == 0);
        let (proven_max, told_max) = match (with_told, untried) {
            (false, true) => (ADDRESSES_PER_LIST_MAX, 0),
            (true, _) | (false, false) => (PROVEN_PER_DIAL, TOLD_PER_DIAL),
        };
        let chosen = proven.into_iter().take(proven_max).chain(told.into_iter().take(told_max));
        chosen.map(|known| known.address.clone()).collect()
    }

    /// All, proven ones first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Multiaddr> {
        let told = self.known.iter().filter(|known| !is_proven(known));
        self.proven().chain(told.map(|known| &known.address))
    }

    /// What may be told to others and kept for the next start, the one that worked last first.
    pub(super) fn proven(&self) -> impl Iterator<Item = &Multiaddr> {
        let mut proven: Vec<&Known> = self.known.iter().filter(|known| is_proven(known)).collect();
        proven.sort_by_key(|known| (std::cmp::Reverse(known.standing), known.failures, known.heard));
        proven.into_iter().map(|known| &known.address)
    }

    /// The proven ones that were dialed from here.
    pub(super) fn worked(&self) -> impl Iterator<Item = &Multiaddr> {
        self.known.iter().filter(|known| known.standing >= Standing::Worked).map(|known| &known.address)
    }

    /// It was dialed there from here.
    pub(super) fn worked_at(&self, address: &Multiaddr) -> bool {
        self.known.iter().any(|known| known.standing >= Standing::Worked && known.address == *address)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Something is proven.
    pub(super) fn is_proven(&self) -> bool {
        self.known.iter().any(is_proven)
    }
}

fn is_proven(known: &Known) -> bool {
    known.standing > Standing::Told
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Dialable = Dialable { loopback: true, private: true };

    fn address(i: usize) -> Multiaddr {
        format!("/ip4/8.8.8.8/tcp/{}", i + 1).parse().unwrap()
    }

    /// Story: a peer named eight dead addresses for a victim before anybody else could name the true
    /// one, and the victim could never be dialed again.
    #[test]
    fn newer_hearsay_takes_the_place_of_older() {
        let mut addresses = Addresses::default();
        for i in 0..ADDRESSES_PER_LIST_MAX {
            addresses.add(address(i), Standing::Told);
        }
        addresses.add(address(0), Standing::Told);
        addresses.add(address(100), Standing::Told);
        assert_eq!(addresses.iter().count(), ADDRESSES_PER_LIST_MAX);
        let known: Vec<_> = addresses.iter().collect();
        assert!(known.contains(&&address(100)) && known.contains(&&address(0)), "{known:?}");
        assert!(!known.contains(&&address(1)), "heard of longest ago");
    }

    #[test]
    fn hearsay_never_displaces_what_is_proven_and_proven_displaces_the_lowest() {
        let mut addresses = Addresses::default();
        addresses.add(address(0), Standing::Worked);
        for i in 1..ADDRESSES_PER_LIST_MAX {
            addresses.add(address(i), Standing::Own);
        }
        for i in 100..200 {
            addresses.add(address(i), Standing::Told);
        }
        assert_eq!(addresses.proven().count(), ADDRESSES_PER_LIST_MAX);
        assert_eq!(addresses.iter().count(), 2 * ADDRESSES_PER_LIST_MAX);
        assert_eq!(addresses.proven().next(), Some(&address(0)));
        addresses.on_failed(&address(2));
        addresses.add(address(50), Standing::Own);
        let proven: Vec<_> = addresses.proven().collect();
        assert!(proven.contains(&&address(50)) && !proven.contains(&&address(2)), "the one that failed goes");
        for i in 0..ADDRESSES_PER_LIST_MAX {
            addresses.add(address(1_000 + i), Standing::Typed);
        }
        addresses.add(address(60), Standing::Own);
        assert!(addresses.proven().all(|known| *known != address(60)), "typed ones stay");
    }

    #[test]
    fn hearsay_is_dialed_only_when_what_is_proven_has_failed() {
        let mut addresses = Addresses::default();
        (0..5).for_each(|i| addresses.add(address(i), Standing::Told));
        assert_eq!(addresses.to_dial(false, ANY), [4, 3, 2].map(address), "few at a time, newest first");
        [4, 3, 2].iter().for_each(|i| addresses.on_failed(&address(*i)));
        assert_eq!(addresses.to_dial(false, ANY), [1, 0, 4].map(address), "failed ones come last");
        addresses.add(address(9), Standing::Own);
        assert_eq!(addresses.to_dial(false, ANY), [address(9)]);
        assert_eq!(addresses.to_dial(true, ANY), [9, 1, 0, 4].map(address), "asked for with addresses");
        addresses.on_failed(&address(9));
        assert_eq!(addresses.to_dial(false, ANY), [9, 1, 0, 4].map(address));
        addresses.add(address(9), Standing::Told);
        assert_eq!(addresses.to_dial(false, ANY).len(), 4, "hearsay does not forgive a failure");
        addresses.add(address(9), Standing::Worked);
        assert_eq!(addresses.to_dial(false, ANY), [address(9)]);
    }

    #[test]
    fn where_somebody_else_answers_hearsay_is_forgotten() {
        let mut addresses = Addresses::default();
        addresses.add(address(0), Standing::Own);
        addresses.add(address(1), Standing::Told);
        assert!(addresses.on_somebody_else(&address(1)));
        assert!(!addresses.on_somebody_else(&address(0)), "its own word is only lowered");
        assert_eq!(addresses.iter().collect::<Vec<_>>(), [&address(0)]);
    }

    #[test]
    fn its_own_word_replaces_what_it_and_others_said_but_not_what_worked() {
        let mut addresses = Addresses::default();
        addresses.add(address(0), Standing::Worked);
        addresses.add(address(1), Standing::Own);
        addresses.add(address(2), Standing::Told);
        addresses.replace_own(vec![address(3)]);
        assert_eq!(addresses.iter().collect::<Vec<_>>(), [&address(0), &address(3)]);
        addresses.replace_own(vec![]);
        assert_eq!(addresses.iter().count(), 2, "saying nothing takes nothing back");
        assert!(addresses.worked_at(&address(0)) && !addresses.worked_at(&address(3)));
    }

    #[test]
    fn only_what_is_typed_or_worked_is_dialed_whatever_its_scope() {
        let none = Dialable { loopback: false, private: false };
        let local: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        for (standing, dialed) in
            [(Standing::Told, 0), (Standing::Own, 0), (Standing::Worked, 1), (Standing::Typed, 1)]
        {
            let mut addresses = Addresses::default();
            addresses.add(local.clone(), standing);
            assert_eq!(addresses.to_dial(true, none).len(), dialed, "{standing:?}");
        }
    }
}
