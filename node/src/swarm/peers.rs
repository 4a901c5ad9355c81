//! The table of known peers: [addresses](super::addresses), roles, when to dial them again, what they
//! did wrong.
//!
//! Pure: `now` is an argument. What survives a restart is [`cache`](PeerTable::cache)d. SPEC §6.3.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::Multiaddr;
use murmesh_protocol::id::{KadKey, PeerId};
use murmesh_protocol::messenger::io::PeerFault;
use murmesh_protocol::placement::Candidate;
use murmesh_protocol::time::{DAY_MS, MINUTE_MS, Time};
use murmesh_protocol::wire::frame::Role;
use rand::Rng;
use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::addresses::{Addresses, Standing};

/// Peers known at once; the least useful one is forgotten.
pub(super) const PEERS_KNOWN_MAX: usize = 4_096;
/// Peers pinned at once; the pin that was asked for longest ago is taken back.
pub(super) const PINNED_MAX: usize = 1_024;
/// First pause before a lost peer is dialed again, at most; doubled, with full jitter.
pub(super) const REDIAL_MIN: Duration = Duration::from_millis(800);
/// Longest pause.
pub(super) const REDIAL_MAX: Duration = Duration::from_secs(3600);
/// Sessions of one peer within [`SESSIONS_WINDOW`]; each one above counts as a fault and is not begun.
pub(super) const SESSIONS_MAX: u32 = 30;
/// See [`SESSIONS_MAX`].
const SESSIONS_WINDOW: Duration = Duration::from_secs(60);
/// A session that lasted so long was worth having.
const LASTING: Duration = Duration::from_secs(60);
/// A peer that was not seen for so long, and cannot be dialed, is forgotten.
const FORGET_MS: u64 = 14 * DAY_MS;
/// Failed dials after which a peer that was never seen is forgotten.
const FORGET_FAILURES: u32 = 8;
/// A peer not seen for so long is nobody's custodian.
const CUSTODIAN_SEEN_MS: u64 = 30 * MINUTE_MS;
/// Nor is one that failed so many dials in a row.
const CUSTODIAN_FAILURES: u32 = 4;
/// Faults at which a peer is disconnected and banned.
pub(super) const FAULTS_MAX: u32 = 20;

/// What is known of a peer.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Where it may be.
    pub addresses: Addresses,
    /// Who told of it first; none for the routing layer and the local network.
    pub told_by: Option<PeerId>,
    /// Its role, from its HELLO or its announcement.
    pub role: Option<Role>,
    /// It keeps mail.
    pub keeps: bool,
    /// Asked for by name: dialed whatever the number of connections, never pruned.
    pub pinned: bool,
    /// Failed dials in a row.
    pub failures: u32,
    /// Not dialed before.
    pub next_dial: Instant,
    /// When it was last known to be up; the epoch if never.
    pub seen: Time,
    /// When it was pinned.
    pinned_at: Option<Instant>,
    faults: u32,
    /// Since when sessions are counted, and how many there were.
    sessions: (Instant, u32),
    /// Sessions in a row that did not last.
    short_sessions: u32,
    /// Time of its last announcement: older ones are replays.
    spoke: Time,
}

/// A line of the peer cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cached {
    /// PeerId.
    pub peer: String,
    /// Addresses that were proven.
    pub addresses: Vec<String>,
    /// Those of them that were dialed successfully.
    #[serde(default)]
    pub worked: Vec<String>,
    /// It was a full peer.
    pub full: bool,
    /// It kept mail.
    pub keeps: bool,
    /// When it was last seen.
    pub seen: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PeerTable {
    own: PeerId,
    peers: BTreeMap<PeerId, Peer>,
}

impl PeerTable {
    /// An empty table of the node `own`.
    #[must_use]
    pub(super) fn new(own: PeerId) -> PeerTable {
        PeerTable { own, peers: BTreeMap::new() }
    }

    /// Number of peers with a known address.
    #[must_use]
    pub(super) fn known(&self) -> usize {
        self.peers.values().filter(|peer| !peer.addresses.is_empty()).count()
    }

    /// One peer.
    #[must_use]
    pub(super) fn peer(&self, id: &PeerId) -> Option<&Peer> {
        self.peers.get(id)
    }

    /// All peers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.peers.iter()
    }

    /// Adds addresses of a peer, the best first; `by` is who told of them.
    pub(super) fn learn(
        &mut self,
        id: PeerId,
        addresses: Vec<Multiaddr>,
        standing: Standing,
        by: Option<PeerId>,
        now: Instant,
    ) {
        let known = self.peers.contains_key(&id);
        if let Some(peer) = self.entry(id, now) {
            peer.told_by = if known { peer.told_by } else { by };
            // The one heard last is dialed first.
            addresses.into_iter().rev().for_each(|address| peer.addresses.add(address, standing));
        }
    }

    /// An entry for a peer of which nothing is known, so that its faults can be counted.
    pub(super) fn note(&mut self, id: PeerId, now: Instant) {
        self.entry(id, now);
    }

    /// A dial of an address failed.
    pub(super) fn on_address_failed(&mut self, id: &PeerId, address: &Multiaddr) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.addresses.on_failed(address);
        }
    }

    /// Somebody else answers there; says whether that was hearsay, now forgotten.
    pub(super) fn on_somebody_else(&mut self, id: &PeerId, address: &Multiaddr) -> bool {
        self.peers.get_mut(id).is_some_and(|peer| peer.addresses.on_somebody_else(address))
    }

    /// What a peer says of itself replaces what others said.
    pub(super) fn on_announced(&mut self, id: PeerId, role: Role, keeps: bool, seen: Time, now: Instant) {
        if let Some(peer) = self.entry(id, now) {
            peer.role = Some(role);
            peer.keeps = keeps;
            peer.seen = peer.seen.max(seen);
        }
    }

    /// The peer says on its own stream, or signed, where it is.
    pub(super) fn on_own_word(&mut self, id: PeerId, own: Vec<Multiaddr>, now: Instant) {
        if let Some(peer) = self.entry(id, now) {
            peer.addresses.replace_own(own);
        }
    }

    /// A session is up: what the peer says of itself, and the address that worked.
    pub(super) fn on_up(&mut self, id: PeerId, own: Vec<Multiaddr>, worked: Option<Multiaddr>, now: Instant) {
        if let Some(peer) = self.entry(id, now) {
            peer.failures = 0;
            peer.addresses.replace_own(own);
            worked.into_iter().for_each(|address| peer.addresses.add(address, Standing::Worked));
        }
    }

    /// The peer is up at this moment.
    pub(super) fn on_seen(&mut self, id: &PeerId, at: Time) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.seen = peer.seen.max(at);
        }
    }

    /// An announcement of a peer, by its clock; false if a later one was heard already.
    pub(super) fn on_spoke(&mut self, id: &PeerId, time: Time) -> bool {
        let Some(peer) = self.peers.get_mut(id) else { return true };
        let news = time > peer.spoke;
        peer.spoke = peer.spoke.max(time);
        news
    }

    /// A session that was up is over: dial again soon, or later if its sessions never last.
    pub(super) fn on_lost(&mut self, id: &PeerId, lasted: Duration, now: Instant, rng: &mut impl Rng) {
        if let Some(peer) = self.peers.get_mut(id) {
            let pause = backoff(peer.short_sessions);
            peer.short_sessions = if lasted < LASTING { peer.short_sessions.saturating_add(1) } else { 0 };
            peer.next_dial = now + jitter(pause, rng);
        }
    }

    /// A dial begins. It counts as failed until the peer is up: one that is refused after its
    /// connection was made must back off like any other.
    pub(super) fn on_dialing(&mut self, id: &PeerId, now: Instant, rng: &mut impl Rng) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.failures = peer.failures.saturating_add(1);
            peer.next_dial = now + jitter(backoff(peer.failures), rng);
        }
    }

    /// A dial failed: the pause begins now.
    pub(super) fn on_dial_failed(&mut self, id: &PeerId, now: Instant, rng: &mut impl Rng) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.next_dial = now + jitter(backoff(peer.failures), rng);
        }
    }

    /// Dial this peer at once, whatever its failures, and keep it.
    pub(super) fn pin(&mut self, id: PeerId, now: Instant) {
        let pinned = self.peers.iter().filter(|(other, peer)| peer.pinned && **other != id);
        if pinned.clone().count() >= PINNED_MAX
            && let Some(oldest) = pinned.min_by_key(|(_, peer)| peer.pinned_at).map(|(other, _)| *other)
            && let Some(peer) = self.peers.get_mut(&oldest)
        {
            peer.pinned = false;
        }
        if let Some(peer) = self.entry(id, now) {
            peer.pinned = true;
            peer.pinned_at = Some(now);
            peer.next_dial = now;
        }
    }

    /// A session begins; false if there were too many lately.
    pub(super) fn on_session(&mut self, id: PeerId, now: Instant) -> bool {
        let Some(peer) = self.entry(id, now) else { return true };
        let (since, sessions) = &mut peer.sessions;
        if now.duration_since(*since) >= SESSIONS_WINDOW {
            (*since, *sessions) = (now, 0);
        }
        *sessions += 1;
        *sessions <= SESSIONS_MAX
    }

    /// Counts a fault; says whether the peer has reached the bound, and starts anew if so.
    pub(super) fn on_fault(&mut self, id: &PeerId, fault: PeerFault) -> bool {
        let Some(peer) = self.peers.get_mut(id) else { return false };
        peer.faults += match fault {
            PeerFault::Malformed => FAULTS_MAX,
            PeerFault::BadSignature => FAULTS_MAX / 4,
            PeerFault::Unexpected => 1,
        };
        let reached = peer.faults >= FAULTS_MAX;
        if reached {
            peer.faults = 0;
        }
        reached
    }

    /// Not connected peers to dial now, best first.
    #[must_use]
    pub(super) fn due(&self, now: Instant, busy: impl Fn(&PeerId) -> bool) -> Vec<PeerId> {
        let own = self.own.kad_key();
        let mut due: Vec<_> = self
            .peers
            .iter()
            .filter(|(id, peer)| peer.next_dial <= now && !peer.addresses.is_empty() && !busy(id))
            .map(|(id, peer)| (!peer.pinned, peer.failures, id.kad_key().distance(&own), *id))
            .collect();
        due.sort_unstable();
        due.into_iter().map(|(_, _, _, id)| id).collect()
    }

    /// Peers that may keep mail, by what was heard of them lately.
    #[must_use]
    pub(super) fn candidates(&self, at: Time, connected: impl Fn(&PeerId) -> bool) -> Vec<Candidate> {
        let fresh =
            |peer: &Peer| at.since(peer.seen) <= CUSTODIAN_SEEN_MS && peer.failures < CUSTODIAN_FAILURES;
        self.peers
            .iter()
            .filter_map(|(id, peer)| {
                let connected = connected(id);
                (connected || fresh(peer)).then_some(())?;
                Some(Candidate { peer: *id, role: peer.role?, keeps: peer.keeps, connected })
            })
            .collect()
    }

    /// Keys of full peers, for the estimate of the network's size.
    #[must_use]
    pub(super) fn full_keys(&self) -> Vec<KadKey> {
        self.peers
            .iter()
            .filter(|(_, p)| p.role == Some(Role::Full) && p.keeps)
            .map(|(id, _)| id.kad_key())
            .collect()
    }

    /// Forgets peers that are long gone.
    pub(super) fn forget(&mut self, at: Time, connected: impl Fn(&PeerId) -> bool) {
        self.peers.retain(|id, peer| {
            let gone = peer.failures >= FORGET_FAILURES && at.since(peer.seen) > FORGET_MS;
            peer.pinned || connected(id) || !gone
        });
    }

    /// The peers worth dialing after a restart, those seen last first.
    #[must_use]
    pub(super) fn cache(&self, max: usize) -> Vec<Cached> {
        let mut seen: Vec<_> =
            self.peers.iter().filter(|(_, p)| p.seen > Time(0) && p.addresses.is_proven()).collect();
        seen.sort_by_key(|(_, peer)| std::cmp::Reverse(peer.seen));
        seen.into_iter()
            .take(max)
            .map(|(id, peer)| Cached {
                peer: id.to_string(),
                addresses: peer.addresses.proven().map(Multiaddr::to_string).collect(),
                worked: peer.addresses.worked().map(Multiaddr::to_string).collect(),
                full: peer.role == Some(Role::Full),
                keeps: peer.keeps,
                seen: peer.seen.0,
            })
            .collect()
    }

    /// Takes a cache in; lines that cannot be read are skipped.
    pub(super) fn load(&mut self, cached: Vec<Cached>, now: Instant) {
        for line in cached {
            let Ok(id) = line.peer.parse::<PeerId>() else { continue };
            let read = |texts: &[String]| texts.iter().filter_map(|text| text.parse().ok()).collect();
            self.learn(id, read(&line.addresses), Standing::Own, None, now);
            self.learn(id, read(&line.worked), Standing::Worked, None, now);
            let role = if line.full { Role::Full } else { Role::Light };
            self.on_announced(id, role, line.keeps, Time(line.seen), now);
        }
    }

    /// The entry of a peer; none for oneself, or when the table is full of better ones.
    fn entry(&mut self, id: PeerId, now: Instant) -> Option<&mut Peer> {
        if id == self.own {
            return None;
        }
        if self.peers.len() >= PEERS_KNOWN_MAX && !self.peers.contains_key(&id) {
            let worst = self
                .peers
                .iter()
                .filter(|(_, peer)| !peer.pinned)
                .max_by_key(|(_, peer)| {
                    (!peer.addresses.is_proven(), peer.failures, std::cmp::Reverse(peer.seen))
                })
                .map(|(id, _)| *id)?;
            self.peers.remove(&worst);
        }
        Some(self.peers.entry(id).or_insert_with(|| Peer {
            addresses: Addresses::default(),
            told_by: None,
            role: None,
            keeps: false,
            pinned: false,
            failures: 0,
            next_dial: now,
            seen: Time(0),
            pinned_at: None,
            faults: 0,
            sessions: (now, 0),
            short_sessions: 0,
            spoke: Time(0),
        }))
    }
}

/// The longest pause after so many failures.
pub(super) fn backoff(failures: u32) -> Duration {
    REDIAL_MIN.saturating_mul(1 << failures.min(16)).min(REDIAL_MAX)
}

/// Anything up to `most`, so that peers that were lost together do not return together.
pub(super) fn jitter(most: Duration, rng: &mut impl Rng) -> Duration {
    most.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
