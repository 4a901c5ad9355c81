//! The network as libp2p sees it from one host: addresses `/ip4/…/tcp/…`, so that every rule about addresses
//! is the one that ships.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures::channel::mpsc;
use futures::future::{BoxFuture, Ready, ready};
use futures::{FutureExt, StreamExt};
use libp2p::Multiaddr;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use murmesh_node::swarm::Carried;

use super::{End, Found, Net};

type Upgrade = Ready<Result<Carried, Error>>;

/// See the module.
pub(crate) struct HostTransport {
    net: Net,
    host: Ipv4Addr,
    listeners: Vec<Listener>,
    events: VecDeque<TransportEvent<Upgrade, Error>>,
    waker: Option<Waker>,
}

struct Listener {
    id: ListenerId,
    at: SocketAddrV4,
    dialed: mpsc::Receiver<(End, SocketAddrV4)>,
}

impl HostTransport {
    pub(crate) fn new(net: &Net, host: Ipv4Addr) -> HostTransport {
        let (listeners, events) = (Vec::new(), VecDeque::new());
        HostTransport { net: net.clone(), host, listeners, events, waker: None }
    }

    fn tell(&mut self, event: TransportEvent<Upgrade, Error>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Transport for HostTransport {
    type Output = Carried;
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = BoxFuture<'static, Result<Carried, Error>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        let at = endpoint(&address).filter(|at| *at.ip() == self.host);
        let at = at.ok_or(TransportError::MultiaddrNotSupported(address))?;
        let dialed =
            self.net.listen(at).ok_or_else(|| TransportError::Other(Error::from(ErrorKind::AddrInUse)))?;
        self.listeners.push(Listener { id, at, dialed });
        self.tell(TransportEvent::NewAddress { listener_id: id, listen_addr: multiaddr(at) });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(index) = self.listeners.iter().position(|listener| listener.id == id) else { return false };
        self.net.close_port(self.listeners.remove(index).at);
        self.tell(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        true
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let Some(to) = endpoint(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let (net, host) = (self.net.clone(), self.host);
        let dial = async move {
            match net.dial(host, to).await {
                Ok(end) => Ok(Box::pin(end) as Carried),
                Err(Found::Refused) => Err(Error::from(ErrorKind::ConnectionRefused)),
                Err(Found::Silence) => std::future::pending().await,
            }
        };
        Ok(dial.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, Error>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        for listener in &mut self.listeners {
            if let Poll::Ready(Some((end, from))) = listener.dialed.poll_next_unpin(context) {
                return Poll::Ready(TransportEvent::Incoming {
                    listener_id: listener.id,
                    upgrade: ready(Ok(Box::pin(end) as Carried)),
                    local_addr: multiaddr(listener.at),
                    send_back_addr: multiaddr(from),
                });
            }
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for HostTransport {
    fn drop(&mut self) {
        self.listeners.iter().for_each(|listener| self.net.close_port(listener.at));
    }
}

/// The address of an endpoint.
pub(crate) fn multiaddr(at: SocketAddrV4) -> Multiaddr {
    Multiaddr::empty().with(Protocol::Ip4(*at.ip())).with(Protocol::Tcp(at.port()))
}

fn endpoint(address: &Multiaddr) -> Option<SocketAddrV4> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?, parts.next()) {
        (Protocol::Ip4(ip), Protocol::Tcp(port), None | Some(Protocol::P2p(_))) => {
            Some(SocketAddrV4::new(ip, port))
        }
        _ => None,
    }
}
