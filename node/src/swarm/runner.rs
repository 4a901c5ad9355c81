//! The task that owns the swarm: the only loop of the network, whose arms are one call each.
//!
//! It decides nothing about messages and waits for nobody: sessions do the reading and writing,
//! machines the deciding. What it holds for others is bounded. Order of the arms: control, local
//! work, what sessions say, then new remote work.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, Swarm, kad};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::placement::SmallNetwork;
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::frame::{Hello, Role};
use rand::Rng;
use rand::rngs::ChaCha20Rng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use web_time::Instant;

use self::dialing::{Dial, Hint, Seed, Waiting};
use self::regions::{Question, Topics};
use super::addresses::Standing;
use super::behaviour::{NodeBehaviour, NodeEvent};
use super::peers::PeerTable;
use super::queue::{Budget, FrameQueue};
use super::reach::Reach;
use super::session::SessionEvent;
use super::translate::Scope;
use super::{NetworkConfig, cache, translate};
use crate::links::{Ask, Command, Machines, SessionNumber, ToKeeper, ToMessenger};
use crate::{clock, entropy};

mod dialing;
mod regions;
mod sessions;
mod shell;

#[cfg(test)]
pub(crate) use self::regions::{announcement, reads_announcement};

/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(200);
/// How often the slow duties are due.
const SLOW: Duration = Duration::from_secs(60);
/// How long a stop waits for sessions to flush.
const STOP_TIMEOUT: Duration = Duration::from_millis(800);
/// How long connections are polled for a good-bye to leave.
const GOODBYE: Duration = Duration::from_millis(100);
/// Answers that wait for a machine; the oldest is dropped, and the machine asks again.
const BACKLOG_MAX: usize = 16_384;
/// What sessions may have said and is not heard yet.
const SESSION_EVENTS: usize = 1_024;

/// See the module.
pub(super) struct Runner {
    own: PeerId,
    config: NetworkConfig,
    swarm: Swarm<NodeBehaviour>,
    machines: Machines,
    rng: ChaCha20Rng,
    peers: PeerTable,
    reach: Reach,
    connections: BTreeMap<ConnectionId, Connection>,
    links: BTreeMap<PeerId, Link>,
    /// What waits in the queues of all links.
    queued: Arc<Budget>,
    next_session: u64,
    dials: BTreeMap<ConnectionId, Dial>,
    seeds: Vec<Seed>,
    hints: Vec<Hint>,
    waiting: BTreeMap<PeerId, Waiting>,
    questions: HashMap<kad::QueryId, Question>,
    topics: Topics,
    small: SmallNetwork,
    /// What `small` said last.
    small_now: bool,
    told_role: Option<Role>,
    told_reachable: Option<(Vec<String>, Vec<String>)>,
    own_challenges: [[u8; 32]; 2],
    to_messenger: VecDeque<ToMessenger>,
    to_keeper: VecDeque<ToKeeper>,
    sessions: JoinSet<()>,
    session_events: mpsc::Sender<SessionEvent>,
    next_slow: Instant,
    cache_dirty_since: Option<Instant>,
    started: Time,
}

/// An open connection.
#[derive(Debug)]
struct Connection {
    peer: PeerId,
    remote: Multiaddr,
    dialed_here: bool,
    since: Instant,
    /// Its stream was opened, or is being opened.
    streamed: bool,
}

/// The session with a peer, from its first HELLO to its end.
struct Link {
    number: SessionNumber,
    connection: ConnectionId,
    dialed_here: bool,
    since: Instant,
    scope: Scope,
    challenge: [u8; 32],
    queue: Arc<FrameQueue>,
    /// The other end's HELLO, once it is in: only then is the peer up.
    hello: Option<Box<Hello>>,
    asked_us: Option<Instant>,
    asked_them: Option<Instant>,
    /// When the Messenger last sent something here: what others make the Keeper answer does not count.
    used: Option<Instant>,
    /// A better stream, which starts when this session has ended.
    next: Option<(ConnectionId, libp2p::Stream)>,
}

/// What the arms of the loop bring.
enum Step {
    Ask(Option<Ask>),
    Commands(Option<Vec<Command>>),
    Session(SessionEvent),
    Swarm(Box<SwarmEvent<NodeEvent>>),
    Tick,
    Nothing,
}

impl Runner {
    /// A runner that has not begun, and what its sessions will say.
    pub(super) fn new(
        own: PeerId,
        config: NetworkConfig,
        swarm: Swarm<NodeBehaviour>,
        machines: Machines,
    ) -> (Runner, mpsc::Receiver<SessionEvent>) {
        let now = Instant::now();
        let mut rng = entropy::rng();
        let mut own_challenges = [[0; 32]; 2];
        own_challenges.iter_mut().for_each(|challenge| rng.fill_bytes(challenge));
        let mut peers = PeerTable::new(own);
        if let Some(path) = &config.cache {
            peers.load(cache::load(path), now);
        }
        let mut seeds = Vec::new();
        for address in &config.peers {
            match translate::split_peer(address.clone()) {
                (address, Some(peer)) => {
                    peers.learn(peer, vec![address], Standing::Typed, None, now);
                    peers.pin(peer, now);
                }
                (address, None) => seeds.push(Seed::new(address, now)),
            }
        }
        let (session_events, heard) = mpsc::channel(SESSION_EVENTS);
        let reach = Reach::new(config.role, config.full_at_once, &config.listen, now);
        let queued = Budget::new(config.queued_bytes_max);
        let runner = Runner {
            own,
            config,
            swarm,
            machines,
            rng,
            peers,
            reach,
            connections: BTreeMap::new(),
            links: BTreeMap::new(),
            queued,
            next_session: 0,
            dials: BTreeMap::new(),
            seeds,
            hints: Vec::new(),
            waiting: BTreeMap::new(),
            questions: HashMap::new(),
            topics: Topics::new(now),
            small: SmallNetwork::default(),
            small_now: true,
            told_role: None,
            told_reachable: None,
            own_challenges,
            to_messenger: VecDeque::new(),
            to_keeper: VecDeque::new(),
            sessions: JoinSet::new(),
            session_events,
            next_slow: now + SLOW,
            cache_dirty_since: None,
            started: clock::now(),
        };
        (runner, heard)
    }

    /// Runs until it is told to stop, or until all that could ask it are gone.
    pub(super) async fn run(
        mut self,
        mut asks: mpsc::Receiver<Ask>,
        mut commands: mpsc::Receiver<Vec<Command>>,
        mut session_events: mpsc::Receiver<SessionEvent>,
    ) {
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.tell_own_role();
        loop {
            let step = tokio::select! {
                biased;
                ask = asks.recv() => Step::Ask(ask),
                _ = ticker.tick() => Step::Tick,
                batch = commands.recv() => Step::Commands(batch),
                Some(event) = session_events.recv() => Step::Session(event),
                Ok(permit) = self.machines.messenger.reserve(), if !self.to_messenger.is_empty() => {
                    if let Some(message) = self.to_messenger.pop_front() { permit.send(message); }
                    Step::Nothing
                }
                Ok(permit) = self.machines.keeper.reserve(), if !self.to_keeper.is_empty() => {
                    if let Some(message) = self.to_keeper.pop_front() { permit.send(message); }
                    Step::Nothing
                }
                Some(_) = self.sessions.join_next(), if !self.sessions.is_empty() => Step::Nothing,
                event = self.swarm.select_next_some() => Step::Swarm(Box::new(event)),
            };
            match step {
                Step::Ask(None | Some(Ask::Stop)) | Step::Commands(None) => break,
                Step::Ask(Some(ask)) => self.on_ask(ask),
                Step::Commands(Some(batch)) => batch.into_iter().for_each(|c| self.on_command(c)),
                Step::Session(event) => self.on_session_event(event),
                Step::Swarm(event) => self.on_swarm_event(*event),
                Step::Tick => self.on_tick(),
                Step::Nothing => {}
            }
        }
        // Boxed: the swarm is large, and is moved once more.
        Box::pin(self.stop(session_events)).await;
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "foreign, non-exhaustive")]
    fn on_swarm_event(&mut self, event: SwarmEvent<NodeEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                concurrent_dial_errors,
                ..
            } => {
                self.on_addresses_failed(&peer_id, concurrent_dial_errors.iter().flatten());
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => self.on_disconnected(connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, peer_id, error } => {
                self.on_dial_failed(connection_id, peer_id, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_not_listening(&[address]),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::warn!(?addresses, ?reason, "a listener closed");
                self.on_not_listening(&addresses);
            }
            SwarmEvent::IncomingConnectionError { error, .. } => tracing::debug!(%error, "refused a dialer"),
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: NodeEvent) {
        match event {
            NodeEvent::Streams(event) => self.on_stream_event(event),
            NodeEvent::Kad(event) => self.on_kad_event(*event),
            NodeEvent::Gossip(event) => self.on_gossip_event(*event),
            NodeEvent::Identify(event) => self.on_identify_event(&event),
            NodeEvent::Mdns(event) => self.on_mdns_event(event),
            NodeEvent::Ping(event) => self.on_ping(&event),
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Send { to, session, frame, from } => self.send(to, session, frame, from),
            Command::Connect(peer, addresses) => self.connect(peer, &addresses),
            Command::ConnectHint(address) => self.connect_hint(address),
            Command::FindCustodians(query, address) => self.find_custodians(query, address),
            Command::Misbehaved(peer, fault) => self.on_fault(peer, fault),
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.close_idle_connections(now);
        self.check_waiting(now);
        self.check_questions(now);
        self.dial_seeds(now);
        self.dial_due(now);
        self.prune(now);
        self.tell_own_role();
        self.tell_reachable();
        self.announce_when_due(now);
        if now >= self.next_slow {
            self.next_slow = now + SLOW;
            self.on_slow(now);
        }
        self.save_cache_when_due(now);
    }

    fn on_slow(&mut self, now: Instant) {
        let at = clock::now();
        for peer in self.up() {
            self.peers.on_seen(&peer, at);
        }
        let links = &self.links;
        self.peers.forget(at, |peer| links.contains_key(peer));
        self.ask_somebody(now);
        self.cache_dirty_since.get_or_insert(now);
    }

    async fn stop(mut self, mut session_events: mpsc::Receiver<SessionEvent>) {
        self.say_goodbye();
        // It leaves while connections are polled, and must arrive before the sessions' ends, on which
        // the others hang up.
        let goodbye = async { while self.swarm.next().await.is_some() {} };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        self.save_cache();
        for link in self.links.values() {
            link.queue.finish();
        }
        let flush = async {
            loop {
                tokio::select! {
                    done = self.sessions.join_next() => if done.is_none() { break },
                    Some(_) = session_events.recv() => {}
                    _ = self.swarm.select_next_some() => {}
                }
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, flush).await.is_err() {
            tracing::debug!("some sessions did not flush in time");
        }
        self.sessions.shutdown().await;
    }

    /// Peers whose HELLO is in.
    fn up(&self) -> Vec<PeerId> {
        self.links.iter().filter(|(_, link)| link.hello.is_some()).map(|(peer, _)| *peer).collect()
    }

    fn is_up(&self, peer: &PeerId) -> bool {
        self.links.get(peer).is_some_and(|link| link.hello.is_some())
    }

    /// At once if there is room and nothing waits: whoever is answered after this finds it told.
    fn tell_messenger(&mut self, message: ToMessenger) {
        let message = if self.to_messenger.is_empty() {
            match self.machines.messenger.try_send(message) {
                Ok(()) => return,
                Err(refused) => refused.into_inner(),
            }
        } else {
            message
        };
        if self.to_messenger.len() >= BACKLOG_MAX {
            tracing::warn!("the messenger is too slow: an answer of the network is dropped");
            self.to_messenger.pop_front();
        }
        self.to_messenger.push_back(message);
    }

    fn tell_keeper(&mut self, message: ToKeeper) {
        if self.to_keeper.len() >= BACKLOG_MAX {
            tracing::warn!("the keeper is too slow: news of the network is dropped");
            self.to_keeper.pop_front();
        }
        self.to_keeper.push_back(message);
    }

    fn close(&mut self, connection: ConnectionId) {
        self.swarm.close_connection(connection);
    }

    fn libp2p_id(&self, peer: &PeerId) -> Option<libp2p::PeerId> {
        translate::peer_out(peer)
    }
}
