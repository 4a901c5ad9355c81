//! The behaviour that carries frame streams: one on each connection, opened by whoever dialed it.
//!
//! It negotiates and hands streams over; it neither reads nor writes them (that is
//! [`session`](super::session)) and does not choose between connections (that is
//! [`runner`](super::runner)). SPEC §6.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};

/// Protocol name of frame streams.
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/murmesh/1/frames");

/// What became of a connection's stream.
#[derive(Debug)]
pub enum Event {
    /// It is open.
    Opened {
        /// The other end.
        peer: PeerId,
        /// Its connection.
        connection: ConnectionId,
        /// The stream.
        stream: Stream,
    },
    /// It could not be opened: the other end does not speak the protocol, or too slowly.
    Failed {
        /// The other end.
        peer: PeerId,
        /// Its connection.
        connection: ConnectionId,
    },
}

/// See the module.
#[derive(Default)]
pub struct Behaviour {
    /// At most a few for each connection.
    queue: VecDeque<ToSwarm<Event, Open>>,
    waker: Option<Waker>,
}

impl Behaviour {
    /// Opens the stream of a connection that was dialed from here.
    pub fn open(&mut self, peer_id: PeerId, connection: ConnectionId) {
        self.push(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event: Open });
    }

    fn push(&mut self, event: ToSwarm<Event, Open>) {
        self.queue.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(Endpoint::Listener))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(Endpoint::Dialer))
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let event = match event {
            Some(stream) => Event::Opened { peer, connection, stream },
            None => Event::Failed { peer, connection },
        };
        self.push(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        if let Some(event) = self.queue.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Asks a handler to open its stream.
#[derive(Clone, Copy, Debug)]
pub struct Open;

/// One connection's side of [`Behaviour`].
#[derive(Debug)]
pub struct Handler {
    side: Endpoint,
    wanted: bool,
    taken: bool,
    out: Option<Option<Stream>>,
}

impl Handler {
    fn new(side: Endpoint) -> Handler {
        Handler { side, wanted: false, taken: false, out: None }
    }

    /// The first stream is the connection's; what else is opened is dropped, which resets it.
    fn take(&mut self, stream: Stream) {
        if !std::mem::replace(&mut self.taken, true) {
            self.out = Some(Some(stream));
        }
    }
}

type ToRunner = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, (), Option<Stream>>;

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Option<Stream>;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    /// The runner closes what it does not want.
    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToRunner> {
        if let Some(out) = self.out.take() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(out));
        }
        if std::mem::take(&mut self.wanted) {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, Open: Open) {
        self.wanted = true;
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign, non-exhaustive")]
    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. })
                if self.side == Endpoint::Listener =>
            {
                self.take(stream);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream, ..
            }) => {
                self.take(stream);
            }
            ConnectionEvent::DialUpgradeError(_) => self.out = Some(None),
            _ => {}
        }
    }
}
