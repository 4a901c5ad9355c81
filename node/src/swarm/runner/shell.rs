//! The node's own frames and facts: HELLO, peers handed out, who is told of roles and addresses,
//! questions of the control API, the peer cache.

use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::{Multiaddr, identify, mdns};
use murmesh_protocol::control::{PeerReply, PeersReply, Timestamp};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper;
use murmesh_protocol::limits::PEERS_PER_FRAME_MAX;
use murmesh_protocol::messenger::io::{Input, PeerFacts, PeerFault};
use murmesh_protocol::wire::frame::{Frame, Hello, PROTOCOL_VERSION, PeerHint, Role};
use rand::seq::SliceRandom;
use web_time::Instant;

use super::Runner;
use super::dialing::peers_wanted;
use crate::clock;
use crate::links::{Ask, SessionNumber, ToKeeper, ToMessenger};
use crate::swarm::addresses::Standing;
use crate::swarm::peers::Peer;
use crate::swarm::translate::{self, Scope};
use crate::swarm::{NetworkStatus, cache};

/// A peer is asked for peers, and may ask, once in this time.
const ASK_PAUSE: Duration = Duration::from_secs(5);
/// A change is written to the peer cache after this time.
const CACHE_DELAY: Duration = Duration::from_secs(2);
/// Full peers named to the Messenger, for tickets.
const OTHERS_MAX: usize = 8;

impl Runner {
    pub(super) fn hello(&self, link: Scope, challenge: [u8; 32]) -> Hello {
        Hello {
            version: PROTOCOL_VERSION,
            addresses: translate::addresses_out(&self.reach.addresses(), link),
            role: self.reach.role(Instant::now()),
            keeps: self.config.keeps,
            challenge,
            time: clock::now(),
        }
    }

    /// Tells both machines of the node itself, at start and when its role changes; the latter to
    /// connected peers too, in another HELLO.
    pub(super) fn tell_own_role(&mut self) {
        let role = self.reach.role(Instant::now());
        if self.told_role == Some(role) {
            return;
        }
        let changed = self.told_role.replace(role).is_some();
        let [messenger, keeper] = self.own_challenges;
        let facts = PeerFacts {
            peer: self.own,
            role,
            keeps: self.config.keeps,
            their_challenge: keeper,
            our_challenge: messenger,
            prefix: None,
        };
        self.tell_messenger(ToMessenger::Up(facts, SessionNumber(0)));
        let facts = PeerFacts { their_challenge: messenger, our_challenge: keeper, ..facts };
        self.tell_keeper(ToKeeper::Up(facts, SessionNumber(0)));
        let mode = if role == Role::Full { libp2p::kad::Mode::Server } else { libp2p::kad::Mode::Client };
        self.swarm.behaviour_mut().routing.kad.set_mode(Some(mode));
        self.topics.announce_soon();
        if changed {
            self.greet_again();
        }
    }

    fn greet_again(&mut self) {
        for peer in self.up() {
            if let Some(link) = self.links.get(&peer) {
                let hello = Frame::Hello(self.hello(link.scope, link.challenge));
                self.send_own(&peer, &hello);
            }
        }
    }

    pub(super) fn tell_reachable(&mut self) {
        let own: Vec<String> = self.reach.addresses().iter().map(Multiaddr::to_string).collect();
        let full = |link: &super::Link| link.hello.as_ref().is_some_and(|hello| hello.role == Role::Full);
        let others: Vec<String> = self
            .links
            .iter()
            .filter(|(_, link)| full(link))
            .filter_map(|(peer, _)| {
                self.peers.peer(peer)?.addresses.proven().next().map(Multiaddr::to_string)
            })
            .take(OTHERS_MAX)
            .collect();
        let reachable = (own, others);
        if self.told_reachable.as_ref() != Some(&reachable) {
            let before = self.told_reachable.replace(reachable.clone());
            if before.is_some_and(|(own, _)| own != reachable.0) {
                self.topics.announce_soon();
                self.greet_again();
            }
            let (own, others) = reachable;
            self.tell_messenger(ToMessenger::Input(Input::Reachable { own, others }));
        }
    }

    pub(super) fn on_shell_frame(&mut self, peer: PeerId, number: SessionNumber, frame: Frame) {
        let Some(link) = self.links.get_mut(&peer).filter(|link| link.number == number) else { return };
        let now = Instant::now();
        if let Frame::Hello(hello) = frame {
            let scope = link.scope;
            link.hello = Some(Box::new(hello.clone()));
            let addresses = translate::addresses_in(&hello.addresses, peer, scope);
            self.peers.on_announced(peer, hello.role, hello.keeps, clock::now(), now);
            self.peers.on_own_word(peer, addresses, now);
            let seen = keeper::io::Input::NeighbourSeen { peer, role: hello.role, keeps: hello.keeps };
            self.tell_keeper(ToKeeper::Input(seen));
        } else if let Frame::Peers(hints) = frame {
            let scope = link.scope;
            if link.asked_them.take().is_none() {
                return self.on_fault(peer, PeerFault::Unexpected);
            }
            for PeerHint { peer: other, addresses } in hints {
                let addresses = translate::addresses_in(&addresses, other, scope);
                self.peers.learn(other, addresses, Standing::Told, Some(peer), now);
            }
        } else if frame == Frame::AskPeers {
            if link.asked_us.is_some_and(|at| now.duration_since(at) < ASK_PAUSE / 2) {
                return self.on_fault(peer, PeerFault::Unexpected);
            }
            link.asked_us = Some(now);
            let scope = link.scope;
            let answer = Frame::Peers(self.peers_for(peer, scope));
            self.send_own(&peer, &answer);
        }
    }

    /// Peers for somebody: those that are up, in random order, by proven addresses that mean something
    /// there.
    fn peers_for(&mut self, asker: PeerId, scope: Scope) -> Vec<PeerHint> {
        let mut up = self.up();
        up.retain(|peer| *peer != asker);
        up.shuffle(&mut self.rng);
        up.into_iter()
            .filter_map(|peer| {
                let addresses = translate::addresses_out(self.peers.peer(&peer)?.addresses.proven(), scope);
                (!addresses.is_empty()).then_some(PeerHint { peer, addresses })
            })
            .take(PEERS_PER_FRAME_MAX)
            .collect()
    }

    /// Asks a peer that has just come up for others, while there is room for them.
    pub(super) fn ask_peers(&mut self, peer: PeerId, now: Instant) {
        if self.links.len() >= peers_wanted(self.config.peers_max, self.peers.known()) {
            return;
        }
        let Some(link) = self.links.get_mut(&peer) else { return };
        if link.asked_them.is_none_or(|at| now.duration_since(at) >= ASK_PAUSE) {
            link.asked_them = Some(now);
            self.send_own(&peer, &Frame::AskPeers);
        }
    }

    pub(super) fn ask_somebody(&mut self, now: Instant) {
        let mut up = self.up();
        up.shuffle(&mut self.rng);
        if let Some(peer) = up.first() {
            self.ask_peers(*peer, now);
        }
    }

    pub(super) fn on_listening(&mut self, listener: ListenerId, address: Multiaddr) {
        tracing::debug!(%address, "listening");
        let index = self.config.listeners.iter().position(|id| *id == listener).unwrap_or(usize::MAX);
        self.reach.on_listening(index, address);
        self.swarm.behaviour_mut().routing.dialable = self.reach.dialable();
        // A ticket may be asked for as soon as the node answers.
        self.tell_reachable();
    }

    pub(super) fn on_not_listening(&mut self, addresses: &[Multiaddr]) {
        addresses.iter().for_each(|address| self.reach.on_not_listening(address));
        self.swarm.behaviour_mut().routing.dialable = self.reach.dialable();
    }

    pub(super) fn on_identify_event(&mut self, event: &identify::Event) {
        if let identify::Event::Received { connection_id, info, .. } = event
            && let Some(connection) = self.connections.get(connection_id)
        {
            self.reach.on_observed(&info.observed_addr, &connection.remote);
        }
    }

    pub(super) fn on_mdns_event(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else { return };
        let now = Instant::now();
        for (peer, address) in found {
            let Some(peer) = translate::peer_in(&peer) else { continue };
            let (address, _) = translate::split_peer(address);
            if translate::is_transport(&address) && translate::scope(&address).is_some() {
                self.peers.learn(peer, vec![address], Standing::Told, None, now);
            }
        }
    }

    pub(super) fn on_ask(&mut self, ask: Ask) {
        // Who asked and went away is not answered.
        match ask {
            Ask::Status(answer) => drop(answer.send(self.status())),
            Ask::Peers(answer) => drop(answer.send(self.peer_list())),
            Ask::Stop => {}
        }
    }

    fn status(&self) -> NetworkStatus {
        let peer_id = self.swarm.local_peer_id();
        let candidates = self.peers.candidates(clock::now(), |peer| self.is_up(peer));
        let connected = self.up().len();
        let with_address = |(id, peer): &(&PeerId, &Peer)| !peer.addresses.is_empty() && !self.is_up(id);
        NetworkStatus {
            peer_id: peer_id.to_string(),
            listen: self.reach.listen().map(|address| format!("{address}/p2p/{peer_id}")).collect(),
            role: self.reach.role(Instant::now()),
            connected,
            known: connected + self.peers.iter().filter(with_address).count(),
            queued_bytes: self.queued.bytes(),
            custodians_known: candidates.iter().filter(|c| self.may_keep(c)).count(),
            reach: self.reach.known(),
        }
    }

    fn peer_list(&self) -> PeersReply {
        let mut peers: Vec<PeerReply> = self
            .peers
            .iter()
            .map(|(id, peer)| {
                let role = match peer.role {
                    Some(Role::Full) => "full",
                    Some(Role::Light) => "light",
                    None => "unknown",
                };
                PeerReply {
                    peer_id: id.to_string(),
                    addresses: peer.addresses.iter().map(Multiaddr::to_string).collect(),
                    connected: self.is_up(id),
                    role: role.to_owned(),
                    since: (peer.seen.0 > 0).then_some(Timestamp(peer.seen)),
                }
            })
            .collect();
        peers.sort_by_key(|peer| !peer.connected);
        PeersReply { peers }
    }

    /// Written by a task of its own, a little after a change: never in the loop.
    pub(super) fn save_cache_when_due(&mut self, now: Instant) {
        let due = self.cache_dirty_since.is_some_and(|since| now.duration_since(since) >= CACHE_DELAY);
        if due && let Some(path) = self.config.cache.clone() {
            self.cache_dirty_since = None;
            let lines = self.peers.cache(cache::LINES_MAX);
            self.sessions.spawn(async move {
                let written = tokio::task::spawn_blocking(move || cache::save(&path, &lines)).await;
                if let Ok(Err(error)) = written {
                    tracing::warn!(%error, "the peer cache cannot be written");
                }
            });
        }
    }

    pub(super) fn save_cache(&self) {
        if let Some(path) = &self.config.cache
            && let Err(error) = cache::save(path, &self.peers.cache(cache::LINES_MAX))
        {
            tracing::warn!(%error, "the peer cache cannot be written");
        }
    }
}
