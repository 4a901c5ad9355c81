//! Connections, their streams and sessions: which one of several is kept.
//!
//! Whoever dials a connection opens its stream. When both ends dial at once there are two streams:
//! the one the smaller PeerId opened wins, on both ends alike. Later, a new stream means that the
//! other end has lost the old one, so the new one wins. The loser's session ends first: the machines
//! get `PeerDown`, then `PeerUp`.

use std::sync::Arc;
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::ping;
use libp2p::swarm::ConnectionId;
use murmesh_protocol::id::PeerId;
use murmesh_protocol::messenger::io::PeerFault;
use murmesh_protocol::wire::frame::{Frame, Hello, Role};
use rand::Rng;
use web_time::Instant;

use super::dialing::peers_surplus;
use super::{Connection, Link, Runner};
use crate::clock;
use crate::links::SessionNumber;
use crate::swarm::queue::{FrameQueue, PushError, QUEUE_BYTES_MAX};
use crate::swarm::session::{End, Session, SessionEvent};
use crate::swarm::streams;
use crate::swarm::translate::{self, Scope};

/// Dials that cross within this time are simultaneous.
const CROSSING: Duration = Duration::from_secs(10);
/// A session that the Messenger sent something on within this time is in use.
const IN_USE: Duration = Duration::from_secs(60);
/// A connection whose stream is not open by then is of no use.
const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

impl Runner {
    pub(super) fn on_connected(
        &mut self,
        peer_id: libp2p::PeerId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let Some(peer) = translate::peer_in(&peer_id) else { return self.close(id) };
        let now = Instant::now();
        let dialed_here = endpoint.is_dialer();
        let remote = translate::split_peer(endpoint.get_remote_address().clone()).0;
        let wanted = dialed_here && self.wants_stream(&peer, now);
        let connection = Connection { peer, remote, dialed_here, since: now, streamed: wanted };
        if dialed_here {
            self.on_dialed(id, peer, &connection.remote);
        } else {
            self.reach.on_dialed(&connection.remote);
        }
        self.connections.insert(id, connection);
        if wanted {
            self.swarm.behaviour_mut().streams.open(peer_id, id);
        } else if dialed_here {
            self.close(id);
        }
    }

    /// Whether a connection dialed from here should get a stream.
    fn wants_stream(&self, peer: &PeerId, now: Instant) -> bool {
        let opening = |c: &Connection| c.peer == *peer && c.dialed_here && c.streamed;
        match self.links.get(peer) {
            None => !self.connections.values().any(opening),
            Some(link) if link.dialed_here => false,
            Some(link) => now.duration_since(link.since) < CROSSING && self.own < *peer,
        }
    }

    pub(super) fn on_disconnected(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        if let Some(link) = self.links.get_mut(&connection.peer) {
            if link.connection == id {
                link.queue.close();
            }
            if link.next.as_ref().is_some_and(|(next, _)| *next == id) {
                link.next = None;
            }
        }
    }

    pub(super) fn on_stream_event(&mut self, event: streams::Event) {
        match event {
            streams::Event::Failed { connection, .. } => self.close(connection),
            streams::Event::Opened { connection, stream, .. } => self.on_stream(connection, stream),
        }
    }

    fn on_stream(&mut self, id: ConnectionId, stream: libp2p::Stream) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.streamed = true;
        let (peer, dialed_here) = (connection.peer, connection.dialed_here);
        let Some(link) = self.links.get_mut(&peer) else { return self.start_session(id, stream) };
        let crossing = link.since.elapsed() < CROSSING && link.dialed_here != dialed_here;
        let wins = if dialed_here { self.own < peer } else { peer < self.own };
        if crossing && !wins {
            drop(stream);
            return self.close(id);
        }
        tracing::debug!(%peer, crossing, "a better stream replaces the session's");
        let displaced = link.next.replace((id, stream));
        link.queue.close();
        if let Some((old, _)) = displaced {
            self.close(old);
        }
    }

    fn start_session(&mut self, id: ConnectionId, stream: libp2p::Stream) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (peer, dialed_here) = (connection.peer, connection.dialed_here);
        // Whoever comes and goes in a loop costs both machines a step each time.
        if !self.peers.on_session(peer, Instant::now()) {
            self.close(id);
            return self.on_fault(peer, PeerFault::Unexpected);
        }
        let Some(connection) = self.connections.get(&id) else { return };
        let scope = translate::scope(&connection.remote).unwrap_or(Scope::Global);
        let prefix = translate::prefix(&connection.remote);
        let mut challenge = [0; 32];
        self.rng.fill_bytes(&mut challenge);
        self.next_session += 1;
        let number = SessionNumber(self.next_session);
        let queue = Arc::new(FrameQueue::new(QUEUE_BYTES_MAX, self.queued.clone()));
        let session = Session {
            peer,
            number,
            hello: self.hello(scope, challenge),
            prefix,
            queue: queue.clone(),
            machines: self.machines.clone(),
            runner: self.session_events.clone(),
        };
        self.sessions.spawn(session.run(stream));
        let link = Link {
            number,
            connection: id,
            dialed_here,
            since: Instant::now(),
            scope,
            challenge,
            queue,
            hello: None,
            asked_us: None,
            asked_them: None,
            used: None,
            next: None,
        };
        self.links.insert(peer, link);
    }

    pub(super) fn on_session_event(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Up(peer, number, hello) => self.on_up(peer, number, hello),
            SessionEvent::Frame(peer, number, frame) => self.on_shell_frame(peer, number, frame),
            SessionEvent::Ended(peer, number, end) => self.on_ended(peer, number, end),
        }
    }

    fn on_up(&mut self, peer: PeerId, number: SessionNumber, hello: Box<Hello>) {
        let now = Instant::now();
        let Some(link) = self.links.get_mut(&peer).filter(|link| link.number == number) else { return };
        let connection = self.connections.get(&link.connection);
        let worked = connection.filter(|c| c.dialed_here).map(|c| c.remote.clone());
        link.hello = Some(hello.clone());
        let addresses = translate::addresses_in(&hello.addresses, peer, link.scope);
        tracing::debug!(%peer, role = ?hello.role, "up");
        self.peers.on_announced(peer, hello.role, hello.keeps, clock::now(), now);
        self.peers.on_up(peer, addresses, worked.clone(), now);
        if let (Some(address), Role::Full, Some(id)) = (worked, hello.role, self.libp2p_id(&peer)) {
            self.swarm.behaviour_mut().routing.kad.add_address(&id, address);
        }
        self.cache_dirty_since.get_or_insert(now);
        self.on_wanted_up(peer);
        self.ask_peers(peer, now);
    }

    fn on_ended(&mut self, peer: PeerId, number: SessionNumber, end: End) {
        let now = Instant::now();
        let Some(link) = self.links.remove(&peer) else { return };
        if link.number != number {
            self.links.insert(peer, link);
            return;
        }
        tracing::debug!(%peer, ?end, "session ended");
        self.close(link.connection);
        if link.hello.is_some() {
            self.peers.on_seen(&peer, clock::now());
        }
        match end {
            End::Malformed => self.on_fault(peer, PeerFault::Malformed),
            End::Version | End::Stalled => self.peers.on_dial_failed(&peer, now, &mut self.rng),
            End::Closed if link.hello.is_none() => self.peers.on_dial_failed(&peer, now, &mut self.rng),
            End::Closed => {
                self.peers.on_lost(&peer, now.duration_since(link.since), now, &mut self.rng);
            }
        }
        if let Some((id, stream)) = link.next {
            self.start_session(id, stream);
        }
    }

    /// A peer did wrong: counted; at the bound it is disconnected and banned for a while.
    pub(super) fn on_fault(&mut self, peer: PeerId, fault: PeerFault) {
        tracing::debug!(%peer, ?fault, "misbehaved");
        let now = Instant::now();
        self.peers.note(peer, now);
        if !self.peers.on_fault(&peer, fault) {
            return;
        }
        tracing::warn!(%peer, "banned for a while");
        let Some(id) = self.libp2p_id(&peer) else { return };
        let behaviour = self.swarm.behaviour_mut();
        behaviour.admission.limiter.ban(id, now);
        behaviour.routing.kad.remove_peer(&id);
        // Not connected is what is wanted.
        let _ = self.swarm.disconnect_peer_id(id);
    }

    /// A connection that does not answer is dead, though writing to it may go well for minutes.
    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        if matches!(event.result, Err(ping::Failure::Timeout | ping::Failure::Other { .. })) {
            tracing::debug!(peer = %event.peer, "does not answer pings");
            self.close(event.connection);
        }
    }

    pub(super) fn close_idle_connections(&mut self, now: Instant) {
        let late = |c: &Connection| !c.streamed && now.duration_since(c.since) > STREAM_TIMEOUT;
        let idle: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, c)| late(c)).map(|(id, _)| *id).collect();
        for id in idle {
            self.close(id);
        }
    }

    /// Above `peers_max`, ends the sessions that are least useful: not pinned, not in use, light, youngest. A
    /// newcomer gets its answer before it is shown the door, and nobody else is shown it instead.
    pub(super) fn prune(&mut self, now: Instant) {
        let surplus = peers_surplus(self.config.peers_max, self.peers.known(), self.links.len());
        if surplus == 0 {
            return;
        }
        let prunable = self
            .links
            .iter()
            .filter(|(peer, _)| {
                !self.peers.peer(peer).is_some_and(|p| p.pinned) && !self.waiting.contains_key(peer)
            })
            .map(|(peer, link)| {
                let full = link.hello.as_ref().is_some_and(|hello| hello.role == Role::Full);
                let in_use = link.used.is_some_and(|at| now.duration_since(at) < IN_USE);
                (Use { in_use, full, since: std::cmp::Reverse(link.since) }, *peer)
            })
            .collect();
        for peer in least_useful(prunable, surplus) {
            if let Some(link) = self.links.get(&peer)
                && now.duration_since(link.since) > CROSSING
            {
                link.queue.close();
            }
        }
    }

    /// Sends a frame of the shell to a peer that is up.
    pub(super) fn send_own(&mut self, peer: &PeerId, frame: &Frame) {
        // Lost with its session, or with one that is over already.
        let _ = self.push(peer, frame.to_bytes());
    }

    /// Queues an encoded frame on a peer's link. At the bound of a queue its session ends; at the bound
    /// of all together, the session with the fullest one. Whoever had frames there is told `PeerDown`.
    ///
    /// # Errors
    /// The frame, if there is no link or its session is ending.
    pub(super) fn push(&mut self, peer: &PeerId, mut frame: Vec<u8>) -> Result<(), Vec<u8>> {
        loop {
            let Some(link) = self.links.get(peer) else { return Err(frame) };
            let Err((error, unsent)) = link.queue.push(frame) else { return Ok(()) };
            frame = unsent;
            match error {
                PushError::Closed => return Err(frame),
                PushError::Full => {
                    tracing::debug!(%peer, "does not read: disconnected");
                    link.queue.close();
                    return Err(frame);
                }
                PushError::Crowded => {
                    let fullest = self.links.iter().max_by_key(|(_, link)| link.queue.bytes());
                    let Some((other, link)) = fullest.filter(|(_, link)| link.queue.bytes() > 0) else {
                        return Err(frame);
                    };
                    tracing::warn!(peer = %other, "too much waits for all peers: the fullest is disconnected");
                    link.queue.close();
                }
            }
        }
    }
}

/// What a session is good for, the least first. The oldest are kept: who comes in numbers is young.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Use {
    in_use: bool,
    full: bool,
    since: std::cmp::Reverse<Instant>,
}

/// The peers whose sessions are given up when so many are too many.
fn least_useful(mut sessions: Vec<(Use, PeerId)>, surplus: usize) -> Vec<PeerId> {
    sessions.sort_unstable();
    sessions.into_iter().take(surplus).map(|(_, peer)| peer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_that_nobody_uses_go_first_and_light_ones_before_full_ones() {
        let start = Instant::now();
        let session = |peer: u8, in_use, full, age: u64| {
            let since = std::cmp::Reverse(start + Duration::from_secs(100 - age));
            (Use { in_use, full, since }, PeerId([peer; 32]))
        };
        let sessions = vec![
            session(1, true, false, 1),
            session(2, false, true, 90),
            session(3, false, true, 10),
            session(4, false, false, 99),
            session(5, true, true, 2),
        ];
        let gone = |surplus| {
            let peers = least_useful(sessions.clone(), surplus);
            peers.iter().map(|peer| peer.0[0]).collect::<Vec<_>>()
        };
        assert!(gone(0).is_empty());
        assert_eq!(gone(5), [4, 3, 2, 1, 5]);
    }
}
