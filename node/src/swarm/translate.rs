//! Between libp2p's words and the core's: ids, addresses and their scopes. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use murmesh_protocol::id::PeerId;
use murmesh_protocol::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX};

/// How far an address means something, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This machine.
    Loopback,
    /// A local network.
    Private,
    /// Everywhere; also names that a resolver knows.
    Global,
}

/// The core's PeerId of a libp2p one; none if its key is not Ed25519.
#[must_use]
pub fn peer_in(peer: &libp2p::PeerId) -> Option<PeerId> {
    PeerId::from_multihash(&peer.to_bytes())
}

/// The libp2p PeerId of the core's; none if the key is not a point of the curve.
#[must_use]
pub fn peer_out(peer: &PeerId) -> Option<libp2p::PeerId> {
    libp2p::PeerId::from_bytes(&peer.to_multihash()).ok()
}

/// The scope of an address; none if it cannot be dialed.
#[must_use]
pub fn scope(address: &Multiaddr) -> Option<Scope> {
    if is_name(address) {
        return Some(Scope::Global);
    }
    scope_of_ip(ip(address)?)
}

/// Whether an address begins with a name that must be resolved. Only the operator may give one: it
/// leads wherever its owner likes, for instance here.
#[must_use]
pub fn is_name(address: &Multiaddr) -> bool {
    let first = address.iter().next();
    matches!(first, Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)))
}

fn scope_of_ip(ip: IpAddr) -> Option<Scope> {
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    let scope = match ip {
        IpAddr::V4(ip) if ip.is_loopback() => Scope::Loopback,
        // "This network", link-local (where clouds answer questions about a machine's secrets), and what
        // is not routed: no peer is there.
        IpAddr::V4(ip) if ip.octets()[0] == 0 || ip.octets()[0] >= 240 || ip.is_link_local() => return None,
        IpAddr::V4(ip) if ip.is_private() || is_shared(ip) => Scope::Private,
        IpAddr::V4(_) => Scope::Global,
        IpAddr::V6(ip) if ip.is_loopback() => Scope::Loopback,
        // Useless without the zone, which the other end does not know.
        IpAddr::V6(ip) if ip.is_unicast_link_local() => return None,
        // IPv4 in the old notation.
        IpAddr::V6(ip) if ip.octets().starts_with(&[0; 12]) => return None,
        IpAddr::V6(ip) if ip.is_unique_local() => Scope::Private,
        IpAddr::V6(_) => Scope::Global,
    };
    Some(scope)
}

/// 100.64.0.0/10, behind a carrier's NAT.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && (64..128).contains(&b)
}

/// Whether an address of scope `address` may travel over a connection of scope `link`: an address is
/// told only where it means something (SPEC §6.3).
#[must_use]
pub fn may_travel(address: Scope, link: Scope) -> bool {
    address >= link
}

/// The IP of an address.
#[must_use]
pub fn ip(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| {
        if let Protocol::Ip4(ip) = part {
            Some(IpAddr::V4(ip))
        } else if let Protocol::Ip6(ip) = part {
            Some(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        } else {
            None
        }
    })
}

/// The network prefix that address-based rules count by: /24 or /48; none for loopback and private
/// ranges, which every such rule ignores (SPEC §8.6).
#[must_use]
pub fn prefix(address: &Multiaddr) -> Option<[u8; 6]> {
    if scope(address) != Some(Scope::Global) {
        return None;
    }
    match ip(address)? {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            // No IPv6 prefix in use begins with zeros.
            Some([0, 0, 0, a, b, c])
        }
        IpAddr::V6(ip) => first_six(ip),
    }
}

fn first_six(ip: Ipv6Addr) -> Option<[u8; 6]> {
    ip.octets().first_chunk::<6>().copied()
}

/// An address without its trailing `/p2p`, and the peer named there.
#[must_use]
pub fn split_peer(mut address: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, peer_in(&peer)),
        Some(other) => (address.with(other), None),
        None => (address, None),
    }
}

/// Addresses as text, told over a link of scope `link`: best first, at most `ADDRESSES_MAX`.
#[must_use]
pub fn addresses_out<'a>(addresses: impl IntoIterator<Item = &'a Multiaddr>, link: Scope) -> Vec<String> {
    let mut told: Vec<(Scope, String)> = addresses
        .into_iter()
        .filter_map(|address| Some((scope(address)?, address)))
        .filter(|(scope, _)| may_travel(*scope, link))
        .map(|(scope, address)| (scope, address.to_string()))
        .filter(|(_, text)| text.len() <= ADDRESS_BYTES_MAX)
        .collect();
    told.sort_by_key(|(scope, _)| std::cmp::Reverse(*scope));
    told.dedup();
    told.into_iter().map(|(_, text)| text).take(ADDRESSES_MAX).collect()
}

/// Addresses heard over a link of scope `link`: what may not travel there is dropped, as is a
/// `/p2p` that names somebody else.
#[must_use]
pub fn addresses_in(texts: &[String], peer: PeerId, link: Scope) -> Vec<Multiaddr> {
    texts
        .iter()
        .take(ADDRESSES_MAX)
        .filter(|text| text.len() <= ADDRESS_BYTES_MAX)
        .filter_map(|text| text.parse::<Multiaddr>().ok())
        .map(split_peer)
        .filter(|(_, named)| named.is_none_or(|named| named == peer))
        .map(|(address, _)| address)
        .filter(|address| is_transport(address) && !is_name(address))
        .filter(|address| scope(address).is_some_and(|scope| may_travel(scope, link)))
        .collect()
}

/// Whether an address is of a transport that is spoken here: tcp, or udp with quic-v1, and nothing
/// behind it.
#[must_use]
pub fn is_transport(address: &Multiaddr) -> bool {
    let mut parts = address.iter().skip(1);
    match parts.next() {
        Some(Protocol::Tcp(port)) => port != 0 && parts.next().is_none(),
        Some(Protocol::Udp(port)) => {
            port != 0 && parts.next() == Some(Protocol::QuicV1) && parts.next().is_none()
        }
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_travel_only_where_they_mean_something() {
        let all = ["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip4/8.8.8.8/tcp/1"].map(address);
        let told = |link| addresses_out(&all, link).len();
        assert_eq!([told(Scope::Loopback), told(Scope::Private), told(Scope::Global)], [3, 2, 1]);
        let heard = |link| addresses_in(&all.clone().map(|a| a.to_string()), PeerId([1; 32]), link).len();
        assert_eq!([heard(Scope::Loopback), heard(Scope::Private), heard(Scope::Global)], [3, 2, 1]);
        assert_eq!(scope(&address("/ip6/fe80::1/tcp/1")), None);
        assert_eq!(scope(&address("/ip4/0.0.0.0/tcp/1")), None);
    }

    #[test]
    fn prefixes_are_for_global_addresses_only() {
        assert_eq!(prefix(&address("/ip4/8.8.4.4/tcp/1")), Some([0, 0, 0, 8, 8, 4]));
        assert_eq!(prefix(&address("/ip6/2001:db8:7::1/tcp/1")), Some([0x20, 1, 0x0d, 0xb8, 0, 7]));
        assert_eq!(prefix(&address("/ip4/127.0.0.1/tcp/1")), None);
        assert_eq!(prefix(&address("/ip4/10.0.0.1/tcp/1")), None);
    }

    #[test]
    fn strange_addresses_are_dropped() {
        let texts = [
            "/dns4/example.org/tcp/1",
            "/ip4/1.2.3.4/tcp/0",
            "/ip4/1.2.3.4/tcp/1/ws",
            "/memory/7",
            "nonsense",
            "/ip4/1.2.3.4",
        ];
        let texts = texts.map(str::to_owned);
        assert_eq!(addresses_in(&texts, PeerId([1; 32]), Scope::Loopback), Vec::<Multiaddr>::new());
    }
}
