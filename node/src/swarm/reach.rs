//! Where this node can be reached, and what follows for its role.
//!
//! Kept simple: a node is reachable once somebody from a global address has dialed it; its global
//! address is then the IP that peers say they see it under, with its own listening ports. Without
//! port mapping a node behind a NAT stays `light`. Loopback-only nodes count as reachable: all their
//! network is this machine. SPEC §8.2.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use murmesh_protocol::control;
use murmesh_protocol::wire::frame::Role;

use super::translate::{self, Scope};
use crate::config::RoleChoice;

/// How long a node must be up before it is `full`: longer gates overload those that are.
pub(super) const PROBATION: Duration = Duration::from_secs(600);
/// Addresses of one listener and in all; a machine with more interfaces shows the first ones.
const LISTEN_MAX: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Reach {
    choice: RoleChoice,
    /// Full at once: loopback-only, or a server.
    at_once: bool,
    since: Instant,
    dialed_from_outside: bool,
    seen_as: Option<IpAddr>,
    /// By listener, in the order of the configuration.
    listen: Vec<(usize, Multiaddr)>,
}

impl Reach {
    /// At start.
    #[must_use]
    pub(super) fn new(choice: RoleChoice, at_once: bool, now: Instant) -> Reach {
        Reach { choice, at_once, since: now, dialed_from_outside: false, seen_as: None, listen: Vec::new() }
    }

    /// The role of this node.
    #[must_use]
    pub(super) fn role(&self, now: Instant) -> Role {
        let proven = self.dialed_from_outside && now.duration_since(self.since) >= PROBATION;
        match self.choice {
            RoleChoice::Full => Role::Full,
            RoleChoice::Light => Role::Light,
            RoleChoice::Auto if self.at_once || proven => Role::Full,
            RoleChoice::Auto => Role::Light,
        }
    }

    /// What can be told of it.
    #[must_use]
    pub(super) fn known(&self) -> control::Reach {
        let mut listen = self.listen().peekable();
        let listens = listen.peek().is_some();
        if listens && listen.all(|address| translate::scope(address) == Some(Scope::Loopback)) {
            control::Reach::Loopback
        } else if self.dialed_from_outside {
            control::Reach::Outside
        } else {
            control::Reach::Unproven
        }
    }

    /// Somebody dialed this node.
    pub(super) fn on_dialed(&mut self, from: &Multiaddr) {
        self.dialed_from_outside |= translate::scope(from) == Some(Scope::Global);
    }

    /// A peer says what it sees this node as; believed of peers at global addresses only.
    pub(super) fn on_observed(&mut self, observed: &Multiaddr) {
        if translate::scope(observed) == Some(Scope::Global) {
            self.seen_as = translate::ip(observed);
        }
    }

    /// A listener is bound.
    pub(super) fn on_listening(&mut self, listener: usize, address: Multiaddr) {
        if self.listen.len() < LISTEN_MAX && !self.listen.iter().any(|(_, known)| *known == address) {
            self.listen.push((listener, address));
            self.listen.sort_by_key(|(listener, _)| *listener);
        }
    }

    /// An interface is gone.
    pub(super) fn on_not_listening(&mut self, address: &Multiaddr) {
        self.listen.retain(|(_, known)| known != address);
    }

    /// Bound addresses in the order of the configuration.
    pub(super) fn listen(&self) -> impl Iterator<Item = &Multiaddr> {
        self.listen.iter().map(|(_, address)| address)
    }

    /// Every address this node may be reached at, global ones first.
    #[must_use]
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        let mapped = self.seen_as.filter(|_| self.dialed_from_outside).into_iter().flat_map(|ip| {
            self.listen().filter_map(move |address| {
                let mut parts = address.iter();
                parts.next()?;
                let first = match ip {
                    IpAddr::V4(ip) => Protocol::Ip4(ip),
                    IpAddr::V6(ip) => Protocol::Ip6(ip),
                };
                Some(std::iter::once(first).chain(parts).collect::<Multiaddr>())
            })
        });
        let mut all: Vec<Multiaddr> = mapped.chain(self.listen().cloned()).collect();
        all.retain(|address| translate::scope(address).is_some());
        all.sort_by_key(|address| std::cmp::Reverse(translate::scope(address)));
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_node_is_full_when_reached_and_up_long_enough() {
        let now = Instant::now();
        let mut reach = Reach::new(RoleChoice::Auto, false, now);
        assert_eq!(reach.role(now + PROBATION), Role::Light);
        reach.on_dialed(&"/ip4/192.168.0.2/tcp/1".parse().unwrap());
        assert_eq!(reach.role(now + PROBATION), Role::Light);
        reach.on_dialed(&"/ip4/8.8.8.8/tcp/1".parse().unwrap());
        assert_eq!(reach.role(now + PROBATION / 2), Role::Light);
        assert_eq!(reach.role(now + PROBATION), Role::Full);
        assert_eq!(Reach::new(RoleChoice::Auto, true, now).role(now), Role::Full);
    }

    #[test]
    fn reach_is_what_was_seen() {
        let mut reach = Reach::new(RoleChoice::Auto, false, Instant::now());
        assert_eq!(reach.known(), control::Reach::Unproven);
        reach.on_listening(0, "/ip4/127.0.0.1/tcp/4001".parse().unwrap());
        assert_eq!(reach.known(), control::Reach::Loopback);
        reach.on_listening(1, "/ip4/192.168.0.2/tcp/4001".parse().unwrap());
        reach.on_dialed(&"/ip4/192.168.0.3/tcp/1".parse().unwrap());
        assert_eq!(reach.known(), control::Reach::Unproven);
        reach.on_dialed(&"/ip4/8.8.8.8/tcp/1".parse().unwrap());
        assert_eq!(reach.known(), control::Reach::Outside);
    }

    #[test]
    fn the_seen_ip_is_joined_with_own_ports() {
        let mut reach = Reach::new(RoleChoice::Auto, false, Instant::now());
        reach.on_listening(0, "/ip4/192.168.0.2/tcp/4001".parse().unwrap());
        reach.on_observed(&"/ip4/8.8.8.8/tcp/55555".parse().unwrap());
        assert_eq!(reach.addresses().len(), 1, "not dialed from outside yet");
        reach.on_dialed(&"/ip4/9.9.9.9/tcp/1".parse().unwrap());
        assert_eq!(reach.addresses().first().unwrap().to_string(), "/ip4/8.8.8.8/tcp/4001");
    }
}
