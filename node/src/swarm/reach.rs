//! Where this node can be reached, and what follows for its role.
//!
//! Kept simple: a node is reachable once somebody from a global address has dialed it; its global
//! address is then the IP that peers say they see it under, with its own listening ports. Without
//! port mapping a node behind a NAT stays `light`. Loopback-only nodes count as reachable: all their
//! network is this machine. SPEC §8.2.
//!
//! What this node may be made to dial follows from where it is, see [`Dialable`].

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use murmesh_protocol::control;
use murmesh_protocol::wire::frame::Role;
use web_time::Instant;

use super::translate::{self, Scope};
use crate::config::RoleChoice;

/// How long a node must be up before it is `full`: longer gates overload those that are.
pub(super) const PROBATION: Duration = Duration::from_secs(600);
/// Addresses of one listener and in all; a machine with more interfaces shows the first ones.
const LISTEN_MAX: usize = 64;
/// Prefixes that say what this node is seen as; the one heard longest ago goes.
const VOICES_MAX: usize = 64;

/// Scopes that are dialed when somebody else names the address.
///
/// Whoever can make a node dial has a scanner inside its machine or its network, so an address must be
/// of a scope that the node itself is in:
/// - global: always (a node behind a NAT has no global address of its own);
/// - private: while a listener is bound to a private address, so never on a server in a data centre;
/// - loopback: only when `node.listen` names a loopback address, or when the machine has no other (no
///   network: all its peers are on it). A node that listens on everything is bound to loopback too, but
///   nobody asked it to have neighbours there: those of its own machine are found at a private address,
///   are typed, or dial by themselves;
/// - link-local, unspecified, multicast, broadcast, names: never ([`translate::scope`], and names are
///   not taken from others at all: they lead wherever their owner likes).
///
/// Exempt is what the operator typed (`--peer`), what stands in a ticket that the owner added, and what
/// was dialed before: the peer proved there that it is itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Dialable {
    /// This machine.
    pub loopback: bool,
    /// The local network.
    pub private: bool,
}

impl Dialable {
    /// Whether an address may be dialed because somebody else names it.
    #[must_use]
    pub(super) fn allows(self, address: &Multiaddr) -> bool {
        !translate::is_name(address)
            && translate::scope(address).is_some_and(|scope| match scope {
                Scope::Loopback => self.loopback,
                Scope::Private => self.private,
                Scope::Global => true,
            })
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Reach {
    choice: RoleChoice,
    /// Full at once: loopback-only, or a server.
    at_once: bool,
    since: Instant,
    dialed_from_outside: bool,
    /// What peers see this node as, by their network prefix.
    seen_as: VecDeque<([u8; 6], IpAddr)>,
    /// `node.listen` names a loopback address.
    names_loopback: bool,
    /// By listener, in the order of the configuration.
    listen: Vec<(usize, Multiaddr)>,
}

impl Reach {
    /// At start.
    #[must_use]
    pub(super) fn new(choice: RoleChoice, at_once: bool, named: &[Multiaddr], now: Instant) -> Reach {
        Reach {
            choice,
            at_once,
            since: now,
            dialed_from_outside: false,
            seen_as: VecDeque::new(),
            names_loopback: named.iter().any(|address| translate::scope(address) == Some(Scope::Loopback)),
            listen: Vec::new(),
        }
    }

    /// What may be dialed because others name it.
    #[must_use]
    pub(super) fn dialable(&self) -> Dialable {
        let bound = |scope| move |address: &Multiaddr| translate::scope(address) == Some(scope);
        let nothing_else = !self.listen.is_empty() && self.listen().all(bound(Scope::Loopback));
        let private = self.listen().any(bound(Scope::Private));
        Dialable { loopback: self.names_loopback || nothing_else, private }
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

    /// Somebody dialed this node. A neighbour on this machine comes from an address of its own, which shows
    /// nothing.
    pub(super) fn on_dialed(&mut self, from: &Multiaddr) {
        let own = self.listen().any(|bound| translate::ip(bound) == translate::ip(from));
        self.dialed_from_outside |= !own && translate::scope(from) == Some(Scope::Global);
    }

    /// A peer at `from` says what it sees this node as. Only peers at global addresses are heard, one
    /// voice a network prefix, and most voices win: a single liar must not make this node name a
    /// stranger's address as its own.
    pub(super) fn on_observed(&mut self, observed: &Multiaddr, from: &Multiaddr) {
        let Some(voice) = translate::prefix(from) else { return };
        if translate::scope(observed) != Some(Scope::Global) {
            return;
        }
        if let Some(ip) = translate::ip(observed) {
            self.seen_as.retain(|(other, _)| *other != voice);
            self.seen_as.push_back((voice, ip));
            if self.seen_as.len() > VOICES_MAX {
                self.seen_as.pop_front();
            }
        }
    }

    /// What most voices say; of equals, what is said longest.
    fn seen_as(&self) -> Option<IpAddr> {
        let mut votes: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (_, ip) in &self.seen_as {
            *votes.entry(*ip).or_default() += 1;
        }
        let most = votes.values().max()?;
        self.seen_as.iter().map(|(_, ip)| *ip).find(|ip| votes.get(ip) == Some(most))
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
        let mapped = self.seen_as().filter(|_| self.dialed_from_outside).into_iter().flat_map(|ip| {
            self.listen().filter_map(move |address| {
                let mut parts = address.iter();
                // Ports differ by family: the other one's leads nowhere.
                let first = match (ip, parts.next()?) {
                    (IpAddr::V4(ip), Protocol::Ip4(_)) => Protocol::Ip4(ip),
                    (IpAddr::V6(ip), Protocol::Ip6(_)) => Protocol::Ip6(ip),
                    _ => return None,
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
        let mut reach = Reach::new(RoleChoice::Auto, false, &[], now);
        assert_eq!(reach.role(now + PROBATION), Role::Light);
        reach.on_dialed(&"/ip4/192.168.0.2/tcp/1".parse().unwrap());
        assert_eq!(reach.role(now + PROBATION), Role::Light);
        reach.on_dialed(&"/ip4/8.8.8.8/tcp/1".parse().unwrap());
        let ten_minutes = Duration::from_secs(600);
        assert_eq!(reach.role(now + ten_minutes - Duration::from_millis(1)), Role::Light);
        assert_eq!(reach.role(now + ten_minutes), Role::Full);
        assert_eq!(Reach::new(RoleChoice::Auto, true, &[], now).role(now), Role::Full);
    }

    #[test]
    fn reach_is_what_was_seen() {
        let mut reach = Reach::new(RoleChoice::Auto, false, &[], Instant::now());
        assert_eq!(reach.known(), control::Reach::Unproven);
        reach.on_listening(0, "/ip4/127.0.0.1/tcp/4001".parse().unwrap());
        assert_eq!(reach.known(), control::Reach::Loopback);
        reach.on_listening(1, "/ip4/192.168.0.2/tcp/4001".parse().unwrap());
        reach.on_dialed(&"/ip4/192.168.0.3/tcp/1".parse().unwrap());
        assert_eq!(reach.known(), control::Reach::Unproven);
        reach.on_listening(2, "/ip4/9.9.9.9/tcp/4001".parse().unwrap());
        reach.on_dialed(&"/ip4/9.9.9.9/tcp/1".parse().unwrap());
        assert_eq!(reach.known(), control::Reach::Unproven, "from this machine");
        reach.on_dialed(&"/ip4/8.8.8.8/tcp/1".parse().unwrap());
        assert_eq!(reach.known(), control::Reach::Outside);
    }

    #[test]
    fn the_seen_ip_is_joined_with_own_ports() {
        let mut reach = Reach::new(RoleChoice::Auto, false, &[], Instant::now());
        reach.on_listening(0, "/ip4/192.168.0.2/tcp/4001".parse().unwrap());
        reach.on_listening(1, "/ip6/fd00::2/tcp/4002".parse().unwrap());
        let from = |ip: &str| format!("/ip4/{ip}/tcp/1").parse::<Multiaddr>().unwrap();
        reach.on_observed(&from("8.8.8.8"), &from("9.9.9.9"));
        reach.on_observed(&from("6.6.6.6"), &from("10.0.0.1"));
        assert_eq!(reach.addresses().len(), 2, "not dialed from outside yet");
        reach.on_dialed(&"/ip4/9.9.9.9/tcp/1".parse().unwrap());
        assert_eq!(reach.addresses().first().unwrap().to_string(), "/ip4/8.8.8.8/tcp/4001");
        assert_eq!(reach.addresses().len(), 3, "not with the port of the other family");
    }

    /// Story: one peer said "I see you as 6.6.6.6", and this node named a stranger's address as its own to
    /// everybody, who then dialed the stranger.
    #[test]
    fn most_voices_win_and_a_prefix_has_one() {
        let mut reach = Reach::new(RoleChoice::Auto, false, &[], Instant::now());
        let from = |ip: &str| format!("/ip4/{ip}/tcp/1").parse::<Multiaddr>().unwrap();
        reach.on_observed(&from("8.8.8.8"), &from("1.1.1.1"));
        for host in 1..100 {
            reach.on_observed(&from("6.6.6.6"), &from(&format!("2.2.2.{host}")));
        }
        assert_eq!(reach.seen_as(), Some("8.8.8.8".parse().unwrap()), "of equals the older");
        reach.on_observed(&from("8.8.8.8"), &from("3.3.3.3"));
        reach.on_observed(&from("6.6.6.6"), &from("4.4.4.4"));
        reach.on_observed(&from("8.8.8.8"), &from("5.5.5.5"));
        assert_eq!(reach.seen_as(), Some("8.8.8.8".parse().unwrap()));
        for net in 0..VOICES_MAX {
            reach.on_observed(&from("6.6.6.6"), &from(&format!("7.7.{net}.1")));
        }
        assert_eq!(reach.seen_as.len(), VOICES_MAX);
        assert_eq!(reach.seen_as(), Some("6.6.6.6".parse().unwrap()));
    }

    #[test]
    fn a_node_is_made_to_dial_only_where_it_is_itself() {
        let dialed = |named: &[&str], bound: &[&str]| {
            let named: Vec<Multiaddr> = named.iter().map(|address| address.parse().unwrap()).collect();
            let mut reach = Reach::new(RoleChoice::Auto, false, &named, Instant::now());
            for address in bound {
                reach.on_listening(0, address.parse().unwrap());
            }
            let addresses = ["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.0.9/tcp/1", "/ip4/8.8.8.8/tcp/1"];
            addresses.map(|address| reach.dialable().allows(&address.parse().unwrap()))
        };
        let (loopback, wildcard) = ("/ip4/127.0.0.1/tcp/4", "/ip4/0.0.0.0/tcp/4");
        let (home, server) = ("/ip4/192.168.0.2/tcp/4", "/ip4/9.9.9.9/tcp/4");
        assert_eq!(dialed(&[loopback], &[loopback]), [true, false, true]);
        assert_eq!(dialed(&[wildcard], &[loopback, home]), [false, true, true]);
        assert_eq!(dialed(&[wildcard], &[loopback, server]), [false, false, true]);
        assert_eq!(dialed(&[wildcard], &[loopback]), [true, false, true], "a machine without a network");
        assert_eq!(dialed(&[wildcard], &[]), [false, false, true], "not bound yet");
        assert_eq!(dialed(&[wildcard, loopback], &[loopback, server]), [true, false, true]);
        let any = Dialable { loopback: true, private: true };
        for never in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip4/0.1.2.3/tcp/1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/255.255.255.255/tcp/1",
            "/ip4/169.254.169.254/tcp/80",
            "/ip6/::/tcp/1",
            "/ip6/::127.0.0.1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/ff02::1/tcp/1",
            "/dns4/localhost/tcp/22",
            "/dns/internal/tcp/80",
        ] {
            assert!(!any.allows(&never.parse().unwrap()), "{never}");
        }
        let none = Dialable::default();
        assert!(!none.allows(&"/ip6/::ffff:127.0.0.1/tcp/1".parse().unwrap()), "mapped is no way around");
        assert!(!none.allows(&"/ip6/fd00::1/tcp/1".parse().unwrap()));
    }
}
