//! Whom to dial: peers frames wait for, hints of tickets, `--peer` addresses, and those lost.
//!
//! A network that is no larger than `peers_max` is dialed as a whole. Every dial takes a new port:
//! dialing from the listening port makes two nodes that dial each other at once collide.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::messenger::io::Input;
use murmesh_protocol::route::Machine;
use web_time::Instant;

use super::{Link, Runner};
use crate::links::{SessionNumber, ToMessenger};
use crate::swarm::addresses::Standing;
use crate::swarm::peers::{backoff, jitter};
use crate::swarm::translate;

/// How long a frame waits for its peer, and a hint for its answer.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Frames that wait for one peer; at one more all of them are given up, and their maker is told.
const WAITING_FRAMES_MAX: usize = 256;
/// Bytes that wait for all peers; the peer whose frame does not fit is given up like that.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Peers that frames wait for.
const WAITING_PEERS_MAX: usize = 1_024;
/// Hints being dialed.
const HINTS_MAX: usize = 256;
/// Dials begun in one tick.
const DIALS_PER_TICK: usize = 16;
/// Peers dialed at once that one source told of and that were never seen: a list of addresses in a
/// frame must not become a scan. What may be dialed at all is [`Dialable`](crate::swarm::reach::Dialable).
const STRANGERS_PER_SOURCE: usize = 4;
/// Failed dials of a seed's peer after which its address is tried for somebody else.
const SEED_FAILURES: u32 = 3;
/// Failed dials after which a peer leaves the routing table.
const KAD_FAILURES: u32 = 3;

/// What a dial is for.
#[derive(Debug)]
pub(super) enum Dial {
    /// A known peer.
    Peer(PeerId),
    /// A ticket's hint.
    Hint,
    /// A `--peer` without PeerId.
    Seed(usize),
}

/// An address of the configuration.
#[derive(Debug)]
pub(super) struct Seed {
    pub(super) address: Multiaddr,
    /// Known once it was reached.
    pub(super) peer: Option<PeerId>,
    failures: u32,
    next: Instant,
    dialing: bool,
}

impl Seed {
    pub(super) fn new(address: Multiaddr, now: Instant) -> Seed {
        Seed { address, peer: None, failures: 0, next: now, dialing: false }
    }
}

/// A hint on its way to an answer.
#[derive(Debug)]
pub(super) struct Hint {
    text: String,
    connection: Option<ConnectionId>,
    peer: Option<PeerId>,
    deadline: Instant,
}

/// Frames that wait for a peer to come up, or only the wish that it does.
#[derive(Debug)]
pub(super) struct Waiting {
    frames: Vec<Vec<u8>>,
    bytes: usize,
    deadline: Instant,
}

impl Runner {
    pub(super) fn send(
        &mut self,
        to: PeerId,
        session: Option<SessionNumber>,
        mut frame: Vec<u8>,
        from: Machine,
    ) {
        // A machine hears of a session before this loop does: the number alone tells that it is up.
        let up = |link: &&Link| link.hello.is_some() || session == Some(link.number);
        if let Some(link) = self.links.get(&to).filter(up) {
            // Made for a session that is over: its maker is about to be told so.
            if session.is_some_and(|session| session != link.number) {
                return;
            }
            if from == Machine::Messenger
                && let Some(link) = self.links.get_mut(&to)
            {
                link.used = Some(Instant::now());
            }
            // Closed: its end is on the way to the loop, and may have reached the maker already.
            let Err(unsent) = self.push(&to, frame) else { return };
            frame = unsent;
        }
        if from == Machine::Keeper || session.is_some() {
            return;
        }
        if self.wait_for(to, false) {
            self.wait_with(to, frame);
        }
    }

    /// Lets a frame wait for its peer.
    fn wait_with(&mut self, to: PeerId, frame: Vec<u8>) {
        let bytes: usize = self.waiting.values().map(|waiting| waiting.bytes).sum();
        let Some(waiting) = self.waiting.get_mut(&to) else { return };
        if waiting.frames.len() >= WAITING_FRAMES_MAX || bytes + frame.len() > WAITING_BYTES_MAX {
            tracing::debug!(peer = %to, "too much waits for a dial: given up");
            self.waiting.remove(&to);
            return self.tell_messenger(ToMessenger::Input(Input::Unreachable(to)));
        }
        waiting.bytes += frame.len();
        waiting.frames.push(frame);
    }

    pub(super) fn connect(&mut self, peer: PeerId, addresses: &[String]) {
        let now = Instant::now();
        let addresses = addresses
            .iter()
            .filter_map(|text| text.parse::<Multiaddr>().ok())
            .map(|address| translate::split_peer(address).0)
            .filter(translate::is_transport)
            .collect();
        // Where a contact says it is: signed by the contact, not by the peer it names.
        self.peers.learn(peer, addresses, Standing::Told, None, now);
        self.peers.pin(peer, now);
        if !self.is_up(&peer) {
            self.wait_for(peer, true);
        }
    }

    /// Begins to wait for a peer, dialing it if nobody does; says whether it is worth waiting.
    fn wait_for(&mut self, peer: PeerId, with_told: bool) -> bool {
        if peer == self.own {
            return false;
        }
        if self.waiting.contains_key(&peer) {
            return true;
        }
        let dialing = self.links.contains_key(&peer) || self.is_dialing(&peer);
        if self.waiting.len() >= WAITING_PEERS_MAX || !(dialing || self.dial(peer, with_told)) {
            self.tell_messenger(ToMessenger::Input(Input::Unreachable(peer)));
            return false;
        }
        let deadline = Instant::now() + DIAL_TIMEOUT;
        self.waiting.insert(peer, Waiting { frames: Vec::new(), bytes: 0, deadline });
        true
    }

    fn is_dialing(&self, peer: &PeerId) -> bool {
        self.dials.values().any(|dial| matches!(dial, Dial::Peer(dialed) if dialed == peer))
            || self.connections.values().any(|c| c.peer == *peer && c.streamed)
    }

    /// Dials a peer; with addresses that others told of even if better ones are left.
    fn dial(&mut self, peer: PeerId, with_told: bool) -> bool {
        let dialable = self.reach.dialable();
        let known = self.peers.peer(&peer).map(|p| p.addresses.to_dial(with_told, dialable));
        let addresses = known.unwrap_or_default();
        let now = Instant::now();
        let Some(id) = self.libp2p_id(&peer).filter(|_| !addresses.is_empty()) else {
            self.peers.on_dialing(&peer, now, &mut self.rng);
            return false;
        };
        if self.swarm.behaviour().admission.limiter.is_banned(&id, now) {
            self.peers.on_dialing(&peer, now, &mut self.rng);
            return false;
        }
        let options = DialOpts::peer_id(id)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .allocate_new_port()
            .build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => {
                self.dials.insert(connection, Dial::Peer(peer));
                self.peers.on_dialing(&peer, now, &mut self.rng);
                true
            }
            Err(DialError::DialPeerConditionFalse(_)) => true,
            Err(error) => {
                tracing::debug!(%peer, %error, "cannot dial");
                self.peers.on_dialing(&peer, now, &mut self.rng);
                false
            }
        }
    }

    fn dial_address(&mut self, address: Multiaddr) -> Option<ConnectionId> {
        let options = DialOpts::unknown_peer_id().address(address).allocate_new_port().build();
        let connection = options.connection_id();
        self.swarm.dial(options).ok().map(|()| connection)
    }

    pub(super) fn connect_hint(&mut self, text: String) {
        let now = Instant::now();
        let Ok(address) = text.parse::<Multiaddr>() else { return self.hint_failed(text) };
        let (address, named) = translate::split_peer(address);
        if self.hints.len() >= HINTS_MAX || !translate::is_transport(&address) {
            return self.hint_failed(text);
        }
        let deadline = now + DIAL_TIMEOUT;
        // Not where it says it is: it might name the place of somebody else.
        let at_address =
            |peer: &PeerId| self.peers.peer(peer).is_some_and(|p| p.addresses.worked_at(&address));
        let known = named.or_else(|| self.up().into_iter().find(at_address));
        if let Some(peer) = known {
            // The owner added the ticket it stands in.
            self.peers.learn(peer, vec![address], Standing::Typed, None, now);
            self.hints.push(Hint { text, connection: None, peer: Some(peer), deadline });
            if self.is_up(&peer) {
                self.on_wanted_up(peer)
            } else {
                self.connect(peer, &[])
            }
            return;
        }
        match self.dial_address(address) {
            Some(connection) => {
                self.dials.insert(connection, Dial::Hint);
                self.hints.push(Hint { text, connection: Some(connection), peer: None, deadline });
            }
            None => self.hint_failed(text),
        }
    }

    fn hint_failed(&mut self, text: String) {
        self.tell_messenger(ToMessenger::Input(Input::HintFailed(text)));
    }

    /// A dial from here succeeded: whose was it?
    pub(super) fn on_dialed(&mut self, id: ConnectionId, peer: PeerId, remote: &Multiaddr) {
        let now = Instant::now();
        self.peers.learn(peer, vec![remote.clone()], Standing::Worked, None, now);
        match self.dials.remove(&id) {
            Some(Dial::Seed(index)) => {
                if let Some(seed) = self.seeds.get_mut(index) {
                    seed.peer = Some(peer);
                    seed.dialing = false;
                }
            }
            Some(Dial::Hint) => {
                for hint in self.hints.iter_mut().filter(|hint| hint.connection == Some(id)) {
                    hint.peer = Some(peer);
                }
                if self.is_up(&peer) {
                    self.on_wanted_up(peer);
                }
            }
            Some(Dial::Peer(_)) | None => {}
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        id: ConnectionId,
        peer: Option<libp2p::PeerId>,
        error: &DialError,
    ) {
        tracing::debug!(?peer, %error, "dial failed");
        let now = Instant::now();
        match self.dials.remove(&id) {
            Some(Dial::Seed(index)) => {
                if let Some(seed) = self.seeds.get_mut(index) {
                    seed.dialing = false;
                    seed.next = now + jitter(backoff(seed.failures), &mut self.rng);
                }
            }
            Some(Dial::Hint) => {
                let (failed, rest) =
                    std::mem::take(&mut self.hints).into_iter().partition(|hint| hint.connection == Some(id));
                self.hints = rest;
                let failed: Vec<Hint> = failed;
                failed.into_iter().for_each(|hint| self.hint_failed(hint.text));
            }
            Some(Dial::Peer(peer)) => {
                // An address somebody told of, where another peer answered first: the others were not
                // tried to their end.
                let misled = self.on_told_wrong(&peer, error);
                if !(misled && self.dial(peer, false)) {
                    self.on_peer_dial_failed(peer, now);
                }
            }
            // A query of the routing layer.
            None => {}
        }
    }

    /// Says whether an address was forgotten over this error.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only these name addresses")]
    fn on_told_wrong(&mut self, peer: &PeerId, error: &DialError) -> bool {
        match error {
            DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } => {
                self.peers.on_somebody_else(peer, &translate::split_peer(address.clone()).0)
            }
            DialError::Transport(errors) => {
                if let Some(id) = self.libp2p_id(peer) {
                    self.on_addresses_failed(&id, errors);
                }
                false
            }
            _ => false,
        }
    }

    /// Addresses of a peer that did not answer.
    pub(super) fn on_addresses_failed<'a, E: 'a>(
        &mut self,
        peer: &libp2p::PeerId,
        errors: impl IntoIterator<Item = &'a (Multiaddr, E)>,
    ) {
        let Some(peer) = translate::peer_in(peer) else { return };
        for (address, _) in errors {
            self.peers.on_address_failed(&peer, &translate::split_peer(address.clone()).0);
        }
    }

    fn on_peer_dial_failed(&mut self, peer: PeerId, now: Instant) {
        self.peers.on_dial_failed(&peer, now, &mut self.rng);
        if self.peers.peer(&peer).is_some_and(|p| p.failures >= KAD_FAILURES)
            && let Some(id) = self.libp2p_id(&peer)
        {
            self.swarm.behaviour_mut().routing.kad.remove_peer(&id);
        }
        // It may have dialed here meanwhile.
        let coming = self.links.contains_key(&peer) || self.connections.values().any(|c| c.peer == peer);
        if !coming && self.waiting.remove(&peer).is_some() {
            self.tell_messenger(ToMessenger::Input(Input::Unreachable(peer)));
        }
    }

    /// A peer is up: what waited for it goes.
    pub(super) fn on_wanted_up(&mut self, peer: PeerId) {
        for seed in self.seeds.iter_mut().filter(|seed| seed.peer == Some(peer)) {
            seed.failures = 0;
        }
        self.send_waiting(peer);
        let (reached, rest): (Vec<Hint>, Vec<Hint>) =
            std::mem::take(&mut self.hints).into_iter().partition(|hint| hint.peer == Some(peer));
        self.hints = rest;
        for hint in reached {
            self.tell_messenger(ToMessenger::Input(Input::HintReached(hint.text, peer)));
        }
    }

    /// A session that has ended before this loop knew of it takes nothing: what waits waits on.
    fn send_waiting(&mut self, peer: PeerId) {
        let Some(waiting) = self.waiting.remove(&peer) else { return };
        let mut frames = waiting.frames.into_iter();
        while let Some(frame) = frames.next() {
            if let Err(frame) = self.push(&peer, frame) {
                let frames: Vec<Vec<u8>> = std::iter::once(frame).chain(frames).collect();
                let bytes = frames.iter().map(Vec::len).sum();
                self.waiting.insert(peer, Waiting { frames, bytes, deadline: waiting.deadline });
                return;
            }
        }
    }

    pub(super) fn check_waiting(&mut self, now: Instant) {
        let late: Vec<PeerId> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.deadline <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in late {
            self.waiting.remove(&peer);
            self.tell_messenger(ToMessenger::Input(Input::Unreachable(peer)));
        }
        let (late, rest): (Vec<Hint>, Vec<Hint>) =
            std::mem::take(&mut self.hints).into_iter().partition(|hint| hint.deadline <= now);
        self.hints = rest;
        late.into_iter().for_each(|hint| self.hint_failed(hint.text));
    }

    /// Dials configured addresses until each has shown its peer, which is then dialed like others; and
    /// again when that peer is no longer there: somebody else may be.
    pub(super) fn dial_seeds(&mut self, now: Instant) {
        for index in 0..self.seeds.len() {
            let Some(seed) = self.seeds.get(index) else { continue };
            let gone = |peer| {
                let failures = self.peers.peer(&peer).map_or(u32::MAX, |known| known.failures);
                !self.links.contains_key(&peer) && !self.is_dialing(&peer) && failures >= SEED_FAILURES
            };
            if seed.dialing || seed.next > now || !seed.peer.is_none_or(gone) {
                continue;
            }
            let dialed = self.dial_address(seed.address.clone());
            if let Some(connection) = dialed {
                self.dials.insert(connection, Dial::Seed(index));
            }
            if let Some(seed) = self.seeds.get_mut(index) {
                seed.dialing = dialed.is_some();
                seed.failures = seed.failures.saturating_add(1);
                seed.next = now + jitter(backoff(seed.failures), &mut self.rng);
            }
        }
    }

    pub(super) fn dial_due(&mut self, now: Instant) {
        // Right after the start it is not known yet what may be dialed.
        if !self.config.listen.is_empty() && self.reach.listen().next().is_none() {
            return;
        }
        let wanted = peers_wanted(self.config.peers_max, self.peers.known());
        let mut strangers = self.strangers_dialed();
        let due = self.peers.due(now, |peer| self.links.contains_key(peer) || self.is_dialing(peer));
        let mut begun = 0;
        for peer in due {
            let Some(known) = self.peers.peer(&peer) else { continue };
            // Pinned ones come first, and may go over the number wanted, within reason.
            let room = if known.pinned { self.config.peers_max * 2 } else { wanted };
            if begun >= DIALS_PER_TICK || self.links.len() + self.dials.len() >= room {
                break;
            }
            if !known.pinned && !known.addresses.is_proven() {
                let of_source = strangers.entry(known.told_by).or_default();
                if *of_source >= STRANGERS_PER_SOURCE {
                    continue;
                }
                *of_source += 1;
            }
            begun += 1;
            self.dial(peer, false);
        }
    }

    /// Dials under way to peers that were never seen, by who told of them.
    fn strangers_dialed(&self) -> BTreeMap<Option<PeerId>, usize> {
        let mut strangers = BTreeMap::new();
        for dial in self.dials.values() {
            if let Dial::Peer(peer) = dial
                && let Some(known) = self.peers.peer(peer)
                && !known.addresses.is_proven()
            {
                *strangers.entry(known.told_by).or_default() += 1;
            }
        }
        strangers
    }
}

/// Up to how many peers are dialed for company. A network that is no larger than `peers_max` is dialed as a
/// whole. In a larger one room is left for those who dial us: if everybody filled up, every new connection
/// would be one too many at its other end, and be closed there, and both would dial again.
pub(super) fn peers_wanted(peers_max: usize, known: usize) -> usize {
    if known <= peers_max { peers_max } else { (peers_max * 2 / 3).max(1) }
}

/// How many of so many sessions are too many: none up to `peers_max`, above it down to half-way between that
/// and what is dialed, so that the next few who dial are welcome.
pub(super) fn peers_surplus(peers_max: usize, known: usize, sessions: usize) -> usize {
    let left = peers_wanted(peers_max, known).midpoint(peers_max);
    if sessions > peers_max { sessions - left } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_network_larger_than_the_bound_room_is_left_for_those_who_dial() {
        for (known, wanted) in [(0, 50), (50, 50), (51, 33), (10_000, 33)] {
            assert_eq!(peers_wanted(50, known), wanted);
        }
        assert_eq!((peers_wanted(1, 1), peers_wanted(1, 2)), (1, 1));
        for (known, sessions, surplus) in [(80, 50, 0), (80, 51, 10), (80, 90, 49), (50, 51, 1)] {
            assert_eq!(peers_surplus(50, known, sessions), surplus);
        }
    }
}
