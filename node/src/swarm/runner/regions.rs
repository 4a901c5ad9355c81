//! Who keeps mail for an address, and the region topics in which custodians agree on that.
//!
//! The rule itself is `placement::region`; here is only what it is fed with: peers known from HELLO,
//! from region topics and, in a network larger than the peers a node knows, from a look-up. Topics
//! are named by the first bits of their members' place in the key space; the number of bits is chosen
//! so that a topic has about 64 to 128 members. SPEC §8.1.

use std::collections::BTreeSet;
use std::time::Duration;

use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance};
use libp2p::{Multiaddr, kad};
use murmesh_protocol::id::{Address, KadKey, PeerId};
use murmesh_protocol::keeper;
use murmesh_protocol::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX};
use murmesh_protocol::messenger::io::{Input, QueryId};
use murmesh_protocol::placement::{Candidate, Region, estimate_network_size, region};
use murmesh_protocol::time::{HOUR_MS, Time};
use murmesh_protocol::wire::codec;
use murmesh_protocol::wire::frame::Role;
use rand::Rng;
use serde::{Deserialize, Serialize};
use web_time::Instant;

use super::Runner;
use crate::clock;
use crate::links::{ToKeeper, ToMessenger};
use crate::swarm::addresses::Standing;
use crate::swarm::behaviour::KAD_BUCKET;
use crate::swarm::translate::{self, Scope};

/// Look-ups under way; above it an answer is what is known here.
const QUESTIONS_MAX: usize = 64;
/// A look-up that takes longer is answered by what is known here.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between announcements, less up to a fifth.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(600);
/// Pause after an announcement that nobody was there to hear.
const ANNOUNCE_RETRY: Duration = Duration::from_secs(5);
/// Members of a topic, at least, before it is split.
const TOPIC_MEMBERS_MIN: u64 = 64;
/// Clocks may be so far apart.
const CLOCK_SKEW_MS: u64 = 26 * HOUR_MS;

/// A look-up under way.
#[derive(Debug)]
pub(super) struct Question {
    query: QueryId,
    address: Address,
    deadline: Instant,
    found: BTreeSet<PeerId>,
}

/// What a custodian says of itself in its region's topics. Signed by gossipsub with its node key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Announcement {
    peer: PeerId,
    role: Role,
    keeps: bool,
    #[serde(deserialize_with = "codec::at_most::<_, _, ADDRESSES_MAX>")]
    addresses: Vec<String>,
    up_since: Time,
    time: Time,
    leaving: bool,
}

/// The topics this node is in, and when it speaks there again.
#[derive(Debug)]
pub(super) struct Topics {
    joined: BTreeSet<String>,
    next: Instant,
    /// The last announcement was heard by nobody.
    unheard: bool,
    /// Time of the last announcement: the next one is later, or it would look like a replay.
    spoke: Time,
}

impl Topics {
    pub(super) fn new(now: Instant) -> Topics {
        Topics { joined: BTreeSet::new(), next: now, unheard: false, spoke: Time(0) }
    }

    pub(super) fn announce_soon(&mut self) {
        self.next = Instant::now();
    }
}

impl Runner {
    pub(super) fn find_custodians(&mut self, query: QueryId, address: Address) {
        let known_is_all = self.peers.known() < self.config.peers_max;
        if known_is_all || self.questions.len() >= QUESTIONS_MAX {
            return self.answer(query, &address, &BTreeSet::new());
        }
        let id = self.swarm.behaviour_mut().routing.kad.get_closest_peers(address.0.to_vec());
        let deadline = Instant::now() + QUESTION_TIMEOUT;
        self.questions.insert(id, Question { query, address, deadline, found: BTreeSet::new() });
    }

    fn answer(&mut self, query: QueryId, address: &Address, found: &BTreeSet<PeerId>) {
        let mut candidates = self.peers.candidates(clock::now(), |peer| self.is_up(peer));
        let known: BTreeSet<PeerId> = candidates.iter().map(|c| c.peer).collect();
        // Who answers look-ups is a Kademlia server, so a full peer.
        candidates.extend(found.difference(&known).filter(|peer| **peer != self.own).map(|peer| Candidate {
            peer: *peer,
            role: Role::Full,
            keeps: true,
            connected: false,
        }));
        let others = candidates.iter().filter(|c| c.keeps && c.role == Role::Full).count();
        self.small_now = self.small.update(others);
        candidates.push(Candidate {
            peer: self.own,
            role: self.reach.role(Instant::now()),
            keeps: self.config.keeps,
            connected: true,
        });
        let region: Region = region(address, &candidates, self.network_size(), self.small_now);
        self.tell_messenger(ToMessenger::Input(Input::Custodians(query, region)));
    }

    /// Whether a candidate counts as a custodian at this moment.
    pub(super) fn may_keep(&self, candidate: &Candidate) -> bool {
        candidate.keeps && (candidate.role == Role::Full || (self.small_now && candidate.connected))
    }

    fn network_size(&self) -> u64 {
        estimate_network_size(&self.own.kad_key(), &self.peers.full_keys(), KAD_BUCKET)
    }

    pub(super) fn on_kad_event(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result, step, .. } = event else { return };
        let kad::QueryResult::GetClosestPeers(result) = result else { return };
        let peers = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let now = Instant::now();
        let mut found = BTreeSet::new();
        for info in peers {
            let Some(peer) = translate::peer_in(&info.peer_id) else { continue };
            found.insert(peer);
            let addresses: Vec<String> = info.addrs.iter().map(Multiaddr::to_string).collect();
            let addresses = translate::addresses_in(&addresses, peer, self.own_scope());
            self.peers.learn(peer, addresses, Standing::Told, None, now);
        }
        let Some(question) = self.questions.get_mut(&id) else { return };
        question.found.extend(found);
        if step.last
            && let Some(question) = self.questions.remove(&id)
        {
            self.answer(question.query, &question.address, &question.found);
        }
    }

    pub(super) fn check_questions(&mut self, now: Instant) {
        let late: Vec<kad::QueryId> = self
            .questions
            .iter()
            .filter(|(_, question)| question.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(question) = self.questions.remove(&id) {
                self.answer(question.query, &question.address, &question.found);
            }
        }
    }

    /// The widest scope this node has an address of: what it may tell everyone in its topics.
    fn own_scope(&self) -> Scope {
        let addresses = self.reach.addresses();
        addresses.iter().filter_map(translate::scope).max().unwrap_or(Scope::Loopback)
    }

    pub(super) fn announce_when_due(&mut self, now: Instant) {
        if now < self.topics.next {
            return;
        }
        let early = self.rng.next_u32() % 120;
        self.topics.next = now + ANNOUNCE_EVERY - Duration::from_secs(u64::from(early));
        let wanted = if self.config.keeps { self.wanted_topics() } else { BTreeSet::new() };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        for name in self.topics.joined.difference(&wanted) {
            gossip.unsubscribe(&IdentTopic::new(name));
        }
        for name in wanted.difference(&self.topics.joined) {
            if let Err(error) = gossip.subscribe(&IdentTopic::new(name)) {
                tracing::warn!(%error, "a region topic cannot be joined");
            }
        }
        self.topics.joined = wanted;
        self.topics.unheard = !self.announce(false);
        if self.topics.unheard {
            self.topics.next = now + ANNOUNCE_RETRY;
        }
    }

    /// Topics of prefix lengths L and L−1.
    fn wanted_topics(&self) -> BTreeSet<String> {
        let length = (self.network_size() / TOPIC_MEMBERS_MIN).checked_ilog2().unwrap_or(0);
        let key = self.own.kad_key();
        [length, length.saturating_sub(1)].iter().map(|bits| topic(&key, *bits)).collect()
    }

    /// Speaks in every joined topic; says whether somebody was there to hear it in each.
    fn announce(&mut self, leaving: bool) -> bool {
        let scope = self.own_scope();
        self.topics.spoke = clock::now().max(self.topics.spoke.plus(1));
        let announcement = Announcement {
            peer: self.own,
            role: self.reach.role(Instant::now()),
            keeps: self.config.keeps,
            addresses: translate::addresses_out(&self.reach.addresses(), scope),
            up_since: self.started,
            time: self.topics.spoke,
            leaving,
        };
        let bytes = codec::encode(&announcement);
        let mut heard = true;
        for name in &self.topics.joined {
            let topic = IdentTopic::new(name);
            heard &= self.swarm.behaviour_mut().gossip.publish(topic, bytes.clone()).is_ok();
        }
        heard
    }

    pub(super) fn say_goodbye(&mut self) {
        self.announce(true);
    }

    pub(super) fn on_gossip_event(&mut self, event: gossipsub::Event) {
        if matches!(event, gossipsub::Event::Subscribed { .. }) && self.topics.unheard {
            // Somebody to hear it. Only then: a newcomer must not make everybody speak.
            return self.topics.announce_soon();
        }
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else { return };
        let acceptance = self.on_announcement(&message);
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(&message_id, &propagation_source, acceptance);
    }

    fn on_announcement(&mut self, message: &gossipsub::Message) -> MessageAcceptance {
        let Ok(said) = codec::decode::<Announcement>(&message.data) else { return MessageAcceptance::Reject };
        let author = message.source.as_ref().and_then(translate::peer_in);
        let bounded = said.addresses.iter().all(|address| address.len() <= ADDRESS_BYTES_MAX);
        let key = said.peer.kad_key();
        let place = message.topic.as_str().rsplit('/').next().and_then(|bits| bits.len().try_into().ok());
        let fits = place.is_some_and(|bits| topic(&key, bits) == message.topic.as_str());
        if author != Some(said.peer) || !bounded || !fits {
            return MessageAcceptance::Reject;
        }
        let (now, at) = (Instant::now(), clock::now());
        let skew = at.since(said.time).max(said.time.since(at));
        if skew > CLOCK_SKEW_MS || !self.peers.on_spoke(&said.peer, said.time) {
            return MessageAcceptance::Ignore;
        }
        if said.leaving {
            self.tell_keeper(ToKeeper::Input(keeper::io::Input::NeighbourGone(said.peer)));
            return MessageAcceptance::Accept;
        }
        let addresses = translate::addresses_in(&said.addresses, said.peer, self.own_scope());
        self.peers.on_own_word(said.peer, addresses, now);
        self.peers.on_announced(said.peer, said.role, said.keeps, at, now);
        self.peers.on_spoke(&said.peer, said.time);
        let seen = keeper::io::Input::NeighbourSeen { peer: said.peer, role: said.role, keeps: said.keeps };
        self.tell_keeper(ToKeeper::Input(seen));
        MessageAcceptance::Accept
    }
}

/// Reads an announcement, for the list of decoders.
#[cfg(test)]
pub(crate) fn reads_announcement(bytes: &[u8]) -> bool {
    codec::decode::<Announcement>(bytes).is_ok()
}

/// What a custodian says, as others hear it.
#[cfg(test)]
pub(crate) fn announcement() -> Vec<u8> {
    codec::encode(&Announcement {
        peer: PeerId([4; 32]),
        role: Role::Full,
        keeps: true,
        addresses: vec!["/ip4/127.0.0.1/tcp/4001".to_owned()],
        up_since: Time(1),
        time: Time(2_000_000),
        leaving: false,
    })
}

/// The topic of the custodians whose place begins with the first `bits` of `key`.
fn topic(key: &KadKey, bits: u32) -> String {
    let digits: String = (0..bits.min(64))
        .map(|bit| {
            let byte = usize::try_from(bit / 8).ok().and_then(|index| key.0.get(index)).copied().unwrap_or(0);
            if byte & (0x80 >> (bit % 8)) == 0 { '0' } else { '1' }
        })
        .collect();
    format!("/murmesh/1/region/{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_named_by_the_first_bits() {
        let mut key = KadKey([0; 32]);
        key.0[0] = 0b1010_0000;
        assert_eq!(topic(&key, 0), "/murmesh/1/region/");
        assert_eq!(topic(&key, 3), "/murmesh/1/region/101");
        assert_eq!(topic(&key, 9), "/murmesh/1/region/101000000");
    }
}
