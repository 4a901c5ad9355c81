//! Who may connect: limits by IP and prefix, temporary bans of peers.
//!
//! libp2p's connection limits are global and first-come; these keep one address from taking all of
//! them. Every address-based rule ignores loopback and private ranges (SPEC §8.6); bans are of peers,
//! never of addresses, so that nobody shuts out a whole machine or household.

use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure, NetworkBehaviour, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use web_time::Instant;

use super::translate;

/// Inbound connections, pending or open, of one /24 or /48.
pub const INBOUND_PER_PREFIX_MAX: usize = 32;
/// Inbound connections of one prefix within [`RATE_WINDOW`].
pub const DIALS_PER_PREFIX_MAX: u32 = 120;
/// See [`DIALS_PER_PREFIX_MAX`].
pub const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Prefixes counted at once; idle ones are forgotten first, and at the bound strangers wait.
pub const PREFIXES_MAX: usize = 4_096;
/// Peers banned at once; the ban that ends first goes.
pub const BANS_MAX: usize = 1_024;
/// Length of a first ban; doubled with every further one.
pub const BAN_MIN: Duration = Duration::from_secs(60);
/// Longest ban.
pub const BAN_MAX: Duration = Duration::from_secs(3600);

type Prefix = [u8; 6];

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many connections from there.
    #[error("too many connections from this prefix")]
    Prefix,
    /// Too many dials from there in a short time.
    #[error("too many dials from this prefix")]
    Rate,
    /// The peer misbehaved.
    #[error("banned")]
    Banned,
}

#[derive(Debug)]
struct Count {
    open: usize,
    dials: u32,
    window: Instant,
}

/// The rules, without libp2p.
#[derive(Debug, Default)]
pub struct Limiter {
    prefixes: BTreeMap<Prefix, Count>,
    connections: BTreeMap<ConnectionId, Prefix>,
    bans: BTreeMap<PeerId, Ban>,
}

#[derive(Debug)]
struct Ban {
    until: Instant,
    length: Duration,
}

impl Limiter {
    /// An inbound connection begins.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn on_dialed(&mut self, id: ConnectionId, from: &Multiaddr, now: Instant) -> Result<(), Refused> {
        let Some(prefix) = translate::prefix(from) else { return Ok(()) };
        if self.prefixes.len() >= PREFIXES_MAX && !self.prefixes.contains_key(&prefix) {
            self.prefixes.retain(|_, c| c.open > 0 || now.duration_since(c.window) < RATE_WINDOW);
            if self.prefixes.len() >= PREFIXES_MAX {
                return Err(Refused::Rate);
            }
        }
        let count = self.prefixes.entry(prefix).or_insert(Count { open: 0, dials: 0, window: now });
        if now.duration_since(count.window) >= RATE_WINDOW {
            count.window = now;
            count.dials = 0;
        }
        count.dials = count.dials.saturating_add(1);
        if count.dials > DIALS_PER_PREFIX_MAX {
            return Err(Refused::Rate);
        }
        if count.open >= INBOUND_PER_PREFIX_MAX {
            return Err(Refused::Prefix);
        }
        count.open += 1;
        self.connections.insert(id, prefix);
        Ok(())
    }

    /// A connection is over.
    pub fn on_closed(&mut self, id: ConnectionId) {
        let Some(prefix) = self.connections.remove(&id) else { return };
        if let Some(count) = self.prefixes.get_mut(&prefix) {
            count.open = count.open.saturating_sub(1);
        }
    }

    /// Bans a peer; longer each time it is banned again within [`BAN_MAX`] of the last ban's end.
    pub fn ban(&mut self, peer: PeerId, now: Instant) {
        self.bans.retain(|_, ban| now < ban.until + BAN_MAX);
        let length = self.bans.get(&peer).map_or(BAN_MIN, |ban| (ban.length * 2).min(BAN_MAX));
        if self.bans.len() >= BANS_MAX
            && let Some(first) = self.bans.iter().min_by_key(|(_, ban)| ban.until).map(|(peer, _)| *peer)
        {
            self.bans.remove(&first);
        }
        self.bans.insert(peer, Ban { until: now + length, length });
    }

    /// Whether a peer is banned.
    #[must_use]
    pub fn is_banned(&self, peer: &PeerId, now: Instant) -> bool {
        self.bans.get(peer).is_some_and(|ban| now < ban.until)
    }
}

/// The behaviour around [`Limiter`]. Comes first: behaviours are asked in field order.
#[derive(Debug, Default)]
pub struct Behaviour {
    /// The rules.
    pub limiter: Limiter,
}

impl Behaviour {
    fn check_ban(&self, peer: &PeerId) -> Result<THandler<Self>, ConnectionDenied> {
        if self.limiter.is_banned(peer, Instant::now()) {
            return Err(ConnectionDenied::new(Refused::Banned));
        }
        Ok(dummy::ConnectionHandler)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = std::convert::Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.limiter.on_dialed(id, remote, Instant::now()).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_ban(&peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check_ban(&peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
        | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) = event
        {
            self.limiter.on_closed(connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(i: usize) -> ConnectionId {
        ConnectionId::new_unchecked(i)
    }

    #[test]
    fn one_prefix_gets_its_share_and_no_more() {
        let mut limiter = Limiter::default();
        let (now, there) = (Instant::now(), "/ip4/8.8.8.8/tcp/1".parse().unwrap());
        for i in 0..INBOUND_PER_PREFIX_MAX {
            assert_eq!(limiter.on_dialed(id(i), &there, now), Ok(()));
        }
        let beside = "/ip4/8.8.8.9/tcp/1".parse().unwrap();
        assert_eq!(limiter.on_dialed(id(100), &beside, now), Err(Refused::Prefix));
        limiter.on_closed(id(0));
        assert_eq!(limiter.on_dialed(id(101), &beside, now), Ok(()));
        let elsewhere = "/ip4/9.9.9.9/tcp/1".parse().unwrap();
        assert_eq!(limiter.on_dialed(id(102), &elsewhere, now), Ok(()));
    }

    #[test]
    fn dials_are_counted_even_when_they_end_at_once() {
        let mut limiter = Limiter::default();
        let (now, there) = (Instant::now(), "/ip4/8.8.8.8/tcp/1".parse().unwrap());
        for i in 0..DIALS_PER_PREFIX_MAX {
            assert_eq!(limiter.on_dialed(id(i as usize), &there, now), Ok(()));
            limiter.on_closed(id(i as usize));
        }
        assert_eq!(limiter.on_dialed(id(7), &there, now), Err(Refused::Rate));
        assert_eq!(limiter.on_dialed(id(7), &there, now + RATE_WINDOW), Ok(()));
    }

    #[test]
    fn loopback_and_private_addresses_are_never_limited() {
        let mut limiter = Limiter::default();
        for from in ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/10.0.0.1/tcp/1"] {
            let from = from.parse().unwrap();
            for i in 0..1_000 {
                assert_eq!(limiter.on_dialed(id(i), &from, Instant::now()), Ok(()));
            }
        }
    }

    #[test]
    fn bans_end_and_grow() {
        let (mut limiter, peer, now) = (Limiter::default(), PeerId::random(), Instant::now());
        limiter.ban(peer, now);
        assert!(limiter.is_banned(&peer, now + BAN_MIN / 2));
        assert!(!limiter.is_banned(&peer, now + BAN_MIN));
        limiter.ban(peer, now + BAN_MIN);
        assert!(limiter.is_banned(&peer, now + BAN_MIN * 2));
    }
}
