//! Addresses of nodes as people type them: enough of a look to refuse what cannot be one before a node is
//! asked, started or stopped for it. What only looks unusual is left to the node, which knows them all.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address to listen on: an IP address of this machine, a transport, a port.
pub(crate) fn parse_listen(text: &str) -> Result<String, String> {
    if text.starts_with("/dns") {
        return Err("a node listens on an IP address: /ip4/0.0.0.0/tcp/4001".to_owned());
    }
    parse_peer(text)
}

/// An address to dial: that of a listener, or a name in place of the IP address.
pub(crate) fn parse_peer(text: &str) -> Result<String, String> {
    let parts = text.strip_prefix('/').map(|rest| rest.split('/').collect::<Vec<_>>());
    let parts = parts.ok_or("an address begins like /ip4/192.0.2.7/tcp/4001")?;
    if parts.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
        return Err("between two slashes something is missing, or is a space".to_owned());
    }
    match parts.as_slice() {
        [.., "p2p"] => Err("the id behind /p2p is missing".to_owned()),
        ["ip4", ip, rest @ ..] => parsed::<Ipv4Addr>(ip, "an IPv4 address")
            .and_then(|_| check_transport(rest, &format!("/ip4/{ip}"))),
        ["ip6", ip, rest @ ..] => parsed::<Ipv6Addr>(ip, "an IPv6 address")
            .and_then(|_| check_transport(rest, &format!("/ip6/{ip}"))),
        [kind @ ("dns" | "dns4" | "dns6"), name, rest @ ..] => {
            check_transport(rest, &format!("/{kind}/{name}"))
        }
        ["tcp" | "udp", ..] => Err("the host is missing: /ip4/192.0.2.7/tcp/4001".to_owned()),
        ["ip" | "ipv4" | "ipv6", ..] => Err("it is written ip4 or ip6: /ip4/192.0.2.7/tcp/4001".to_owned()),
        // Others need no port: /memory/7, /dnsaddr/example.org.
        [_, _, ..] => Ok(()),
        _ => Err("an address is like /ip4/192.0.2.7/tcp/4001".to_owned()),
    }?;
    Ok(text.to_owned())
}

/// What stands behind `host`.
fn check_transport(parts: &[&str], host: &str) -> Result<(), String> {
    match parts {
        [] | ["tcp" | "udp"] | ["p2p", ..] => {
            Err(format!("the port is missing: {host}/tcp/4001 or {host}/udp/4001/quic-v1"))
        }
        ["tcp", port, ..] => parsed::<u16>(port, "a port").map(drop),
        ["udp", port] => {
            parsed::<u16>(port, "a port")?;
            Err(format!("a udp port is for QUIC: {host}/udp/{port}/quic-v1"))
        }
        ["udp", port, ..] => parsed::<u16>(port, "a port").map(drop),
        _ => Ok(()),
    }
}

fn parsed<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_error| format!("{text} is not {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_an_address_is_refused_and_the_unusual_is_not() {
        for good in [
            "/ip4/0.0.0.0/tcp/0",
            "/ip6/::/udp/0/quic-v1",
            "/ip4/192.0.2.7/tcp/65535/p2p/12D3KooWFake",
            "/ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3KooWFake",
            "/ip4/192.0.2.7/tcp/443/tls/ws",
            "/ip6zone/eth0/ip6/fe80::1/tcp/1",
            "/ip4/192.0.2.7/sctp/1",
            "/memory/7",
        ] {
            assert_eq!(parse_peer(good).as_deref(), Ok(good));
            assert_eq!(parse_listen(good).as_deref(), Ok(good));
        }
        for name in ["/dns/example.org/tcp/1", "/dns4/a.b/udp/1/quic-v1", "/dns6/a/tcp/1", "/dnsaddr/a.b"] {
            assert_eq!(parse_peer(name).as_deref(), Ok(name));
            assert!(parse_listen(name).is_err(), "{name}");
        }
        for bad in [
            "",
            "foo",
            "/",
            "/ip4",
            "1.2.3.4:4001",
            "/ip4/1.2.3.4",
            "/ip4/1.2.3.4/",
            "/ip4/1.2.3/tcp/1",
            "/ip4/::1/tcp/1",
            "/ip6/1.2.3.4/tcp/1",
            "/ip4/1.2.3.4/tcp",
            "/ip4/1.2.3.4/tcp/x",
            "/ip4/1.2.3.4/tcp/65536",
            "/ip4/1.2.3.4/tcp/1/",
            "/ip4/1.2.3.4/udp/1",
            "/ip4/1.2.3.4/p2p/12D3KooWFake",
            "/ip4/1.2.3.4/tcp/1/p2p",
            "/tcp/4001",
            "/ipv4/1.2.3.4/tcp/1",
            "/ip4//tcp/1",
            "/dns/example.org",
            "/dns4/example.org/udp",
            " /ip4/1.2.3.4/tcp/1",
            "/ip4/1.2.3.4/tcp/1 ",
        ] {
            assert!(parse_peer(bad).is_err(), "{bad}");
            assert!(parse_listen(bad).is_err(), "{bad}");
        }
    }
}
