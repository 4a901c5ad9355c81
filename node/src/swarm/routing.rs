//! Kademlia, kept from dialing where a stranger's answer leads: addresses it learned in a look-up
//! are held against the same rule as all that others name ([`Dialable`]).

use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::kad::{self, store::MemoryStore};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::reach::Dialable;

type Kad = kad::Behaviour<MemoryStore>;

/// See the module.
pub(super) struct Behaviour {
    /// What does the work.
    pub kad: Kad,
    /// What may be dialed; the runner keeps it up to date.
    pub dialable: Dialable,
}

impl Behaviour {
    /// Nothing but global addresses is dialed until the runner says otherwise.
    pub(super) fn new(kad: Kad) -> Behaviour {
        Behaviour { kad, dialable: Dialable::default() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <Kad as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = kad::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let mut found = self.kad.handle_pending_outbound_connection(id, peer, addresses, role)?;
        found.retain(|address| self.dialable.allows(address));
        Ok(found)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_outbound_connection(id, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.kad.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<kad::Event, THandlerInEvent<Self>>> {
        self.kad.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Story: an answer of the routing layer names 127.0.0.1:22 or a cloud's metadata address as the
    /// place of a peer, and the look-up dials it.
    #[test]
    fn a_lookup_dials_only_what_may_be_dialed() {
        let (own, other) = (PeerId::random(), PeerId::random());
        let mut routing = Behaviour::new(Kad::new(own, MemoryStore::new(own)));
        for address in ["/ip4/127.0.0.1/tcp/22", "/ip4/169.254.169.254/tcp/80", "/ip4/8.8.8.8/tcp/1"] {
            routing.kad.add_address(&other, address.parse().unwrap());
        }
        let id = ConnectionId::new_unchecked(1);
        let dialed = |routing: &mut Behaviour| {
            routing.handle_pending_outbound_connection(id, Some(other), &[], Endpoint::Dialer).unwrap()
        };
        let found = dialed(&mut routing);
        assert!(found.len() == 1 && found[0].to_string().starts_with("/ip4/8.8.8.8/tcp/1"), "{found:?}");
        routing.dialable.loopback = true;
        assert_eq!(dialed(&mut routing).len(), 2);
    }
}
