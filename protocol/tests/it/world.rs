//! A small world in virtual time: several nodes, each with a Messenger and a Keeper, on a network that
//! loses, repeats and reorders frames, with crashes between any two steps and clocks that differ.
//!
//! Nothing of the cores is modelled: stores are the memory stores, cryptography is real. The shell is:
//! connections are opened when both ends are up, and `FindCustodians` is answered by the region rule
//! over everybody known.

use std::collections::{BTreeMap, BTreeSet};

use murmesh_protocol::control::{AcceptRequests, ControlError, Event, EventBody, MessageState, Reply};
use murmesh_protocol::id::{Address, PeerId, sha256};
use murmesh_protocol::keeper::{self, Keeper};
use murmesh_protocol::messenger::io::{Input, Output, PeerFacts, RequestId};
use murmesh_protocol::messenger::{self, Messenger};
use murmesh_protocol::placement::{Candidate, region};
use murmesh_protocol::route::{Machine, route};
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::{DAY_MS, Day, Time};
use murmesh_protocol::wire::frame::{Frame, Role};
use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};

mod asking;
mod meddling;

/// Midnight is 50 s away for some account in most runs: the days must not matter.
pub(crate) const START: Time = Time(20_000 * DAY_MS + 1_234_567);

/// What the network and the machines do to the nodes, in per mille.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) loss: u32,
    pub(crate) duplication: u32,
    /// A node crashes after a step: the commit stands, its outputs are lost.
    pub(crate) crash: u32,
}

pub(crate) struct Node {
    pub(crate) peer: PeerId,
    messenger: Option<Messenger>,
    keeper: Option<Keeper>,
    pub(crate) private: messenger::store::MemoryStore,
    pub(crate) custody: keeper::store::MemoryStore,
    rng: ChaCha20Rng,
    /// Its clock minus the world's.
    skew_ms: i64,
    pub(crate) replies: BTreeMap<u64, Result<Reply, ControlError>>,
    pub(crate) events: Vec<Event>,
    /// The newest state that its events told of each message.
    states: BTreeMap<String, MessageState>,
    account: bool,
    /// Counts its lives: what was meant for an earlier one is dropped.
    life: u64,
    pub(crate) misbehaved: u64,
    /// Mailboxes it asked custodians for, with their days.
    claimed: BTreeMap<Address, Day>,
    pub(crate) far_ahead_passes: u64,
    /// The Keeper's next sweep that is scheduled.
    sweep: Time,
    /// Its database is an older copy: told to the Messenger at the next start.
    pub(crate) rolled_back: bool,
    /// The peer it says it lives at, from the next start on, when it lies.
    pub(crate) poses_as: Option<PeerId>,
    /// Who may ask it, from the next start on.
    pub(crate) accepts: AcceptRequests,
    /// Questions it asked the routing layer.
    pub(crate) lookups: u64,
    /// Stands still until then; what comes in waits, in order.
    pub(crate) paused_until: Time,
}

/// What is under way.
enum What {
    Frame { from: usize, to: usize, lives: (u64, u64), frame: Frame },
    Messenger { to: usize, life: u64, input: Input },
    Deadline { node: usize, life: u64 },
    Start { node: usize },
}

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) now: Time,
    queue: BTreeMap<(Time, u64), What>,
    next: u64,
    links: BTreeMap<(usize, usize), [u8; 32]>,
    pub(crate) cut: BTreeSet<(usize, usize)>,
    pub(crate) faults: Faults,
    rng: ChaCha20Rng,
    requests: u64,
    /// Every byte string that went over a link: what a recording custodian sees.
    pub(crate) recorded: Vec<Vec<u8>>,
    pub(crate) record: bool,
    crashed: Vec<usize>,
    /// Sealed messages that the first sends to the second directly are lost.
    pub(crate) mute: Option<(usize, usize)>,
}

impl World {
    /// `accounts` nodes with accounts named p0, p1, … and `custodians` without; all up.
    pub(crate) fn new(seed: u64, accounts: usize, custodians: usize) -> World {
        World::with_clocks(seed, accounts, custodians, |_| 0)
    }

    /// The same, each node's clock apart from the world's by what `skew_ms` says.
    pub(crate) fn with_clocks(
        seed: u64,
        accounts: usize,
        custodians: usize,
        skew_ms: impl Fn(usize) -> i64,
    ) -> World {
        let mut world = World {
            nodes: Vec::new(),
            now: START,
            queue: BTreeMap::new(),
            next: 0,
            links: BTreeMap::new(),
            cut: BTreeSet::new(),
            faults: Faults::default(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            requests: 0,
            recorded: Vec::new(),
            record: false,
            crashed: Vec::new(),
            mute: None,
        };
        for i in 0..accounts + custodians {
            let mut rng = ChaCha20Rng::seed_from_u64(seed ^ ((i as u64 + 1) << 32));
            let mut private = messenger::store::MemoryStore::default();
            if i < accounts {
                let (name, now) = (format!("p{i}"), Time(START.0.saturating_add_signed(skew_ms(i))));
                private.transaction(|tx| Messenger::create(&name, now, tx, &mut rng)).unwrap();
            }
            world.nodes.push(Node {
                peer: PeerId(sha256(&[&seed.to_le_bytes(), &i.to_le_bytes()])),
                messenger: None,
                keeper: None,
                private,
                custody: keeper::store::MemoryStore::default(),
                rng,
                skew_ms: skew_ms(i),
                replies: BTreeMap::new(),
                events: Vec::new(),
                states: BTreeMap::new(),
                account: i < accounts,
                life: 0,
                misbehaved: 0,
                claimed: BTreeMap::new(),
                far_ahead_passes: 0,
                sweep: Time(0),
                rolled_back: false,
                poses_as: None,
                accepts: AcceptRequests::default(),
                lookups: 0,
                paused_until: Time(0),
            });
        }
        for i in 0..accounts + custodians {
            world.start(i);
        }
        world
    }

    fn push(&mut self, after_ms: u64, what: What) {
        self.next += 1;
        self.queue.insert((self.now.plus(after_ms), self.next), what);
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.rng.next_u32() % 1_000 < per_mille
    }

    fn local(&self, node: usize) -> Time {
        Time(self.now.0.saturating_add_signed(self.nodes[node].skew_ms))
    }

    pub(crate) fn is_up(&self, node: usize) -> bool {
        self.nodes[node].keeper.is_some()
    }

    /// Starts a node from what is on its disk, and connects it to everybody who is up.
    pub(crate) fn start(&mut self, i: usize) {
        assert!(!self.is_up(i));
        let now = self.local(i);
        let node = &mut self.nodes[i];
        node.life += 1;
        let config = keeper::Config { own_peer: node.peer, held_bytes_max: 64 << 20 };
        node.keeper = Some(node.custody.transaction(|tx| Keeper::restore(config, now, tx)).unwrap());
        if node.account {
            let config = messenger::Config {
                own_peer: node.poses_as.unwrap_or(node.peer),
                rolled_back: std::mem::take(&mut node.rolled_back),
                accept_requests: node.accepts,
            };
            let (private, rng) = (&mut node.private, &mut node.rng);
            node.messenger =
                Some(private.transaction(|tx| Messenger::restore(config, now, tx, rng)).unwrap());
        }
        let own = PeerFacts {
            peer: node.peer,
            role: Role::Full,
            keeps: true,
            their_challenge: [7; 32],
            our_challenge: [7; 32],
            prefix: None,
        };
        self.keeper_step(i, keeper::io::Input::PeerUp(own));
        self.messenger_step(i, Input::PeerUp(own));
        self.messenger_step(i, Input::Reachable { own: vec![address(i)], others: Vec::new() });
        for j in 0..self.nodes.len() {
            if j != i && self.is_up(j) {
                self.connect(i, j);
            }
        }
    }

    /// Stops a node: nothing it has not committed survives.
    pub(crate) fn stop(&mut self, i: usize) {
        self.nodes[i].messenger = None;
        self.nodes[i].keeper = None;
        self.nodes[i].life += 1;
        for j in 0..self.nodes.len() {
            self.disconnect(i, j);
        }
    }

    fn connect(&mut self, i: usize, j: usize) -> bool {
        let pair = (i.min(j), i.max(j));
        if !self.is_up(i) || !self.is_up(j) || self.cut.contains(&pair) {
            return false;
        }
        if self.links.contains_key(&pair) {
            return true;
        }
        let mut challenge = [0; 32];
        self.rng.fill_bytes(&mut challenge);
        self.links.insert(pair, challenge);
        for (a, b) in [(i, j), (j, i)] {
            // Each side's challenge: the link's, turned by who issued it.
            let issued = |by: usize| sha256(&[&challenge, &by.to_le_bytes()]);
            let facts = PeerFacts {
                peer: self.nodes[b].peer,
                role: Role::Full,
                keeps: true,
                their_challenge: issued(b),
                our_challenge: issued(a),
                prefix: None,
            };
            self.keeper_step(a, keeper::io::Input::PeerUp(facts));
            self.messenger_step(a, Input::PeerUp(facts));
        }
        true
    }

    fn disconnect(&mut self, i: usize, j: usize) {
        if self.links.remove(&(i.min(j), i.max(j))).is_none() {
            return;
        }
        for (a, b) in [(i, j), (j, i)] {
            let peer = self.nodes[b].peer;
            if self.is_up(a) {
                self.keeper_step(a, keeper::io::Input::PeerDown(peer));
                self.messenger_step(a, Input::PeerDown(peer));
            }
        }
    }

    fn messenger_step(&mut self, i: usize, input: Input) {
        let now = self.local(i);
        let crash = self.faults.crash;
        let crash = self.chance(crash);
        let Node { messenger, private, rng, .. } = &mut self.nodes[i];
        let Some(machine) = messenger else { return };
        let done: Result<(), StoreError> = private.transaction(|tx| machine.handle(now, input, tx, rng));
        done.unwrap();
        if crash {
            self.crashed.push(i);
            return;
        }
        let mut outputs = Vec::new();
        while let Some(output) = machine.poll_output() {
            outputs.push(output);
        }
        let deadline = machine.poll_deadline();
        for output in outputs {
            self.perform(i, output);
        }
        if let Some(deadline) = deadline {
            self.schedule(i, deadline.at);
        }
    }

    fn keeper_step(&mut self, i: usize, input: keeper::io::Input) {
        let now = self.local(i);
        let crash = self.faults.crash;
        let crash = self.chance(crash);
        let Node { keeper, custody, sweep, .. } = &mut self.nodes[i];
        let Some(machine) = keeper else { return };
        let done: Result<(), StoreError> = custody.transaction(|tx| machine.handle(now, input, tx));
        done.unwrap();
        if crash {
            self.crashed.push(i);
            return;
        }
        let mut outputs = Vec::new();
        while let Some(output) = machine.poll_output() {
            outputs.push(output);
        }
        if let Some(deadline) = machine.poll_deadline().filter(|deadline| deadline.at != *sweep) {
            *sweep = deadline.at;
            self.schedule(i, deadline.at);
        }
        for output in outputs {
            match output {
                keeper::io::Output::Send(peer, frame) => self.send(i, peer, frame),
                keeper::io::Output::Misbehaved(..) => self.nodes[i].misbehaved += 1,
            }
        }
    }

    fn schedule(&mut self, node: usize, at_local: Time) {
        let at = Time(at_local.0.saturating_add_signed(-self.nodes[node].skew_ms));
        let life = self.nodes[node].life;
        self.push(at.since(self.now), What::Deadline { node, life });
    }

    fn perform(&mut self, i: usize, output: Output) {
        let life = self.nodes[i].life;
        match output {
            Output::Send(peer, frame) => self.send(i, peer, frame),
            Output::Connect(peer, _) => self.dial(i, peer),
            Output::ConnectHint(hint) => {
                let target = (0..self.nodes.len()).find(|j| address(*j) == hint);
                let reached = target.is_some_and(|j| j == i || self.connect(i, j));
                let input = match target.filter(|_| reached) {
                    Some(j) => Input::HintReached(hint, self.nodes[j].peer),
                    None => Input::HintFailed(hint),
                };
                self.push(20, What::Messenger { to: i, life, input });
            }
            Output::FindCustodians(query, address) => {
                self.nodes[i].lookups += 1;
                let candidates: Vec<Candidate> = self
                    .nodes
                    .iter()
                    .map(|node| Candidate { peer: node.peer, role: Role::Full, keeps: true, connected: true })
                    .collect();
                let size = u64::try_from(candidates.len()).unwrap();
                let found = region(&address, &candidates, size, true);
                self.push(1, What::Messenger { to: i, life, input: Input::Custodians(query, found) });
            }
            Output::Reply(RequestId(id), result) => {
                self.nodes[i].replies.insert(id, result);
            }
            Output::Event(event) => {
                if let EventBody::MessageState { id, state, .. } = &event.body {
                    self.nodes[i].states.insert(id.clone(), *state);
                }
                self.nodes[i].events.push(event);
            }
            Output::Misbehaved(..) => self.nodes[i].misbehaved += 1,
        }
    }

    fn node_of(&self, peer: &PeerId) -> Option<usize> {
        self.nodes.iter().position(|node| node.peer == *peer)
    }

    fn dial(&mut self, i: usize, peer: PeerId) {
        let reached = self.node_of(&peer).is_some_and(|j| self.connect(i, j));
        if !reached {
            let life = self.nodes[i].life;
            self.push(50, What::Messenger { to: i, life, input: Input::Unreachable(peer) });
        }
    }

    fn send(&mut self, i: usize, peer: PeerId, frame: Frame) {
        let Some(j) = self.node_of(&peer) else { return };
        if let Frame::Subscribe { claim, .. } = &frame {
            self.nodes[i].claimed.insert(claim.address, claim.day);
        }
        let linked = i == j || self.links.contains_key(&(i.min(j), i.max(j)));
        if !linked && !self.connect(i, j) {
            return self.dial(i, peer);
        }
        if self.mute == Some((i, j)) && matches!(frame, Frame::Direct { .. }) {
            return;
        }
        if self.record && i != j {
            self.recorded.push(frame.to_bytes());
        }
        let Faults { loss, duplication, .. } = self.faults;
        let lives = (self.nodes[i].life, self.nodes[j].life);
        let copies = if i == j { 1 } else { 1 + usize::from(self.chance(duplication)) };
        for _ in 0..copies {
            if i != j && self.chance(loss) {
                continue;
            }
            let delay = if i == j { 0 } else { 5 + u64::from(self.rng.next_u32() % 60) };
            self.push(delay, What::Frame { from: i, to: j, lives, frame: frame.clone() });
        }
    }

    fn do_one(&mut self, what: What) {
        let (What::Frame { to: node, .. }
        | What::Messenger { to: node, .. }
        | What::Deadline { node, .. }
        | What::Start { node }) = &what;
        let paused = self.nodes[*node].paused_until.since(self.now);
        if paused > 0 {
            return self.push(paused, what);
        }
        match what {
            What::Frame { from, to, lives, frame } => {
                if lives != (self.nodes[from].life, self.nodes[to].life) {
                    return;
                }
                // Every frame crosses the codec, as on a real stream.
                let frame = Frame::from_bytes(&frame.to_bytes()).unwrap();
                let peer = self.nodes[from].peer;
                match route(&frame) {
                    Machine::Messenger => self.messenger_step(to, Input::Frame(peer, frame)),
                    Machine::Keeper => self.keeper_step(to, keeper::io::Input::Frame(peer, frame)),
                    Machine::Shell => {}
                }
            }
            What::Messenger { to, life, input } => {
                if self.nodes[to].life == life {
                    self.messenger_step(to, input);
                }
            }
            What::Deadline { node, life } => {
                let due = self.nodes[node].life == life
                    && self.nodes[node].messenger.as_ref().is_some_and(|machine| {
                        machine.poll_deadline().is_some_and(|deadline| deadline.at <= self.local(node))
                    });
                if due {
                    let reason = self.nodes[node].messenger.as_ref().and_then(|m| m.poll_deadline());
                    let searched =
                        reason.is_some_and(|d| d.reason == "collecting: try what could not be opened");
                    self.nodes[node].far_ahead_passes += u64::from(searched);
                    self.messenger_step(node, Input::Deadline);
                }
                let now = self.local(node);
                let keeper = self.nodes[node].keeper.as_ref().filter(|_| self.nodes[node].life == life);
                if keeper.and_then(|k| k.poll_deadline()).is_some_and(|deadline| deadline.at <= now) {
                    self.keeper_step(node, keeper::io::Input::Deadline);
                }
            }
            What::Start { node } => {
                if !self.is_up(node) {
                    self.start(node);
                }
            }
        }
        for node in std::mem::take(&mut self.crashed) {
            if self.is_up(node) {
                self.stop(node);
                self.push(500, What::Start { node });
            }
        }
    }

    /// Runs for a while.
    pub(crate) fn run(&mut self, ms: u64) {
        self.run_until(ms, |_| false);
    }

    /// Runs until a condition holds; says whether it did within the time.
    pub(crate) fn run_until(&mut self, ms: u64, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now.plus(ms);
        loop {
            if done(self) {
                return true;
            }
            match self.queue.first_key_value().map(|((at, _), _)| *at).filter(|at| *at <= end) {
                None => {
                    self.now = end;
                    return done(self);
                }
                Some(at) => {
                    self.now = self.now.max(at);
                    if let Some((_, what)) = self.queue.pop_first() {
                        self.do_one(what);
                    }
                }
            }
        }
    }
}

fn address(node: usize) -> String {
    format!("/ip4/127.0.0.1/tcp/{}", 1_000 + node)
}
