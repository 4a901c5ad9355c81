//! Nodes and the wire between them, in virtual time. The network is kind here: streams keep their order
//! and lose only what was under way when an end lost its power. What is tested is the disk.

use std::collections::{BTreeMap, BTreeSet};

use murmesh_crash_vfs::{Disk, Lost};
use murmesh_protocol::control::{ControlError, MessageReply, NoParams, ReadParams, Reply, Request};
use murmesh_protocol::id::{PeerId, sha256};
use murmesh_protocol::keeper;
use murmesh_protocol::messenger::io::{Input, PeerFacts};
use murmesh_protocol::placement::{Candidate, region};
use murmesh_protocol::route::{Machine, route};
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::frame::{Frame, Role};
use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};

use super::clock;
use super::ledger::Ledger;
use super::node::{Node, Told};
use crate::links::{Command, SessionNumber, ToKeeper, ToMessenger};

/// A node, with power or without.
pub(super) struct Site {
    pub(super) peer: PeerId,
    pub(super) disk: Disk,
    pub(super) node: Option<Node>,
    pub(super) ledger: Ledger,
    /// Frames it sent.
    pub(super) frames: u64,
    account: bool,
    /// Counts its starts: what was meant for an earlier life is dropped.
    life: u64,
    /// When it is woken next.
    wakes: Time,
}

struct Link {
    session: SessionNumber,
    /// When the last frame each way arrives.
    last: [Time; 2],
}

/// What is under way.
enum What {
    Frame { from: usize, to: usize, session: SessionNumber, frame: Vec<u8> },
    Input { to: usize, life: u64, input: Input },
    Wake { node: usize },
    Start { node: usize },
}

pub(super) struct World {
    pub(super) sites: Vec<Site>,
    queue: BTreeMap<(Time, u64), What>,
    next: u64,
    links: BTreeMap<(usize, usize), Link>,
    pub(super) rng: ChaCha20Rng,
    pub(super) cuts: u64,
    pub(super) lost: Lost,
    /// Per cent of starts in which the power fails again.
    pub(super) start_cuts: u32,
}

impl World {
    /// `accounts` nodes that will have accounts, and so many that only keep; all without power.
    pub(super) fn new(seed: u64, accounts: usize, custodians: usize) -> World {
        clock::set(clock::START);
        let site = |i: usize| Site {
            peer: PeerId(sha256(&[&seed.to_le_bytes(), &i.to_le_bytes()])),
            disk: Disk::new(),
            node: None,
            ledger: Ledger::default(),
            frames: 0,
            account: i < accounts,
            life: 0,
            wakes: Time(0),
        };
        World {
            sites: (0..accounts + custodians).map(site).collect(),
            queue: BTreeMap::new(),
            next: 0,
            links: BTreeMap::new(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            cuts: 0,
            lost: Lost::default(),
            start_cuts: 0,
        }
    }

    /// The same nodes on copies of their disks, without power, at the time it is.
    pub(super) fn copy(&self, seed: u64) -> World {
        let site = |site: &Site| Site {
            peer: site.peer,
            disk: site.disk.copy(),
            node: None,
            ledger: site.ledger.clone(),
            frames: 0,
            account: site.account,
            life: site.life,
            wakes: Time(0),
        };
        World {
            sites: self.sites.iter().map(site).collect(),
            queue: BTreeMap::new(),
            next: self.next,
            links: BTreeMap::new(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            cuts: 0,
            lost: Lost::default(),
            start_cuts: 0,
        }
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound
    }

    fn push(&mut self, at: Time, what: What) {
        self.next += 1;
        self.queue.insert((at, self.next), what);
    }

    fn push_after(&mut self, ms: u64, what: What) {
        self.push(clock::now().plus(ms), what);
    }

    pub(super) fn is_up(&self, i: usize) -> bool {
        self.sites[i].node.is_some()
    }

    /// Every node is up and both its machines run.
    pub(super) fn is_whole(&self) -> bool {
        self.sites.iter().all(|site| site.node.as_ref().is_some_and(Node::is_whole))
    }

    pub(super) fn start_after(&mut self, i: usize, ms: u64) {
        self.push_after(ms, What::Start { node: i });
    }

    /// Gives a node its power back, looks whether its disk has what it should, and connects it.
    pub(super) fn start(&mut self, i: usize) {
        if self.is_up(i) {
            return;
        }
        let (fate, seed) = (self.rng.next_u64(), self.rng.next_u64());
        let cut_again = (self.below(100) < self.start_cuts).then(|| u64::from(1 + self.below(150)));
        let Site { disk, ledger, peer, account, .. } = &self.sites[i];
        self.lost += disk.start(fate);
        ledger.check_disk(disk);
        if let Some(calls) = cut_again {
            disk.cut_after(calls);
        }
        let started = Node::start(disk, *peer, *account, seed);
        let is_on = disk.is_on();
        let site = &mut self.sites[i];
        site.life += 1;
        site.wakes = Time::MAX;
        match started {
            Ok(node) => site.node = Some(node),
            Err(error) => assert!(!is_on, "node {i} does not open by itself: {error}"),
        }
        if !is_on {
            return self.on_cut(i);
        }
        let own = self.facts(i, i);
        self.up(i, own, SessionNumber(0));
        let others = Vec::new();
        self.tell(i, ToMessenger::Input(Input::Reachable { own: vec![address(i)], others }));
        self.settle(i);
        self.check_shown(i);
        for j in 0..self.sites.len() {
            self.connect(i, j);
        }
    }

    /// What an account shows has everything its clients and contacts were told.
    pub(super) fn check_shown(&mut self, i: usize) {
        if self.sites[i].ledger.account.is_none() {
            return;
        }
        let told_delivered: BTreeSet<String> = (0..self.sites.len())
            .filter(|j| *j != i)
            .flat_map(|j| self.sites[j].ledger.delivered.clone())
            .collect();
        if let Some(Ok(Reply::Id(id))) = self.ask(i, Request::IdShow(NoParams {})) {
            assert_eq!(Some(&id.account), self.sites[i].ledger.account.as_ref());
        }
        if let Some(shown) = self.read(i) {
            self.sites[i].ledger.check_messages(&shown, &told_delivered);
        }
        if let Some(Ok(Reply::Contacts(reply))) = self.ask(i, Request::Contacts(NoParams {})) {
            assert!(!self.sites[i].ledger.contact || reply.contacts.len() == 1, "a contact is lost");
        }
    }

    /// All messages of an account in reading order; none if its power fails meanwhile.
    pub(super) fn read(&mut self, i: usize) -> Option<Vec<MessageReply>> {
        let params = ReadParams { who: None, unread: false, since: None, limit: Some(1_000_000), peek: true };
        match self.ask(i, Request::Read(params))? {
            Ok(Reply::Read(read)) => Some(read.messages),
            other => panic!("node {i} cannot read: {other:?}"),
        }
    }

    /// Asks and takes the answer, if it comes in the same turn.
    pub(super) fn ask(&mut self, i: usize, request: Request) -> Option<Result<Reply, ControlError>> {
        let mut asked = self.sites[i].node.as_ref()?.ask(request);
        self.settle(i);
        let answer = asked.try_recv().ok()?;
        // What was answered before the power failed is told; a failure after it is not.
        (self.is_up(i) || answer.is_ok()).then_some(answer)
    }

    fn tell(&self, i: usize, message: ToMessenger) {
        if let Some(node) = &self.sites[i].node {
            node.to_messenger(message);
        }
    }

    fn up(&self, i: usize, facts: PeerFacts, session: SessionNumber) {
        if let Some(node) = &self.sites[i].node {
            node.to_keeper(ToKeeper::Up(facts, session));
            node.to_messenger(ToMessenger::Up(facts, session));
        }
    }

    /// What `a` knows of `b`. Each side's challenge is of both and of both lives.
    fn facts(&self, a: usize, b: usize) -> PeerFacts {
        let lives = [self.sites[a.min(b)].life.to_le_bytes(), self.sites[a.max(b)].life.to_le_bytes()];
        let issued = |by: usize, to: usize| {
            sha256(&[&lives[0], &lives[1], &self.sites[by].peer.0, &self.sites[to].peer.0])
        };
        PeerFacts {
            peer: self.sites[b].peer,
            role: Role::Full,
            keeps: true,
            their_challenge: issued(b, a),
            our_challenge: issued(a, b),
            prefix: None,
        }
    }

    fn connect(&mut self, i: usize, j: usize) -> bool {
        if i == j || !self.is_up(i) || !self.is_up(j) {
            return i == j;
        }
        let pair = (i.min(j), i.max(j));
        if self.links.contains_key(&pair) {
            return true;
        }
        self.next += 1;
        let session = SessionNumber(self.next);
        self.links.insert(pair, Link { session, last: [clock::now(); 2] });
        for (a, b) in [(i, j), (j, i)] {
            self.up(a, self.facts(a, b), session);
            self.settle(a);
        }
        true
    }

    /// Runs a node until nothing is ready, then does what it wants done.
    fn settle(&mut self, i: usize) {
        if let Some(node) = &mut self.sites[i].node {
            node.settle();
            self.after(i);
        }
    }

    fn after(&mut self, i: usize) {
        let site = &mut self.sites[i];
        let Some(node) = &mut site.node else { return };
        let Told { commands, events } = node.take_told();
        events.iter().for_each(|event| site.ledger.on_event(event));
        for command in &commands {
            if let Command::Send { frame, .. } = command {
                site.frames += 1;
                site.ledger.on_frame(&Frame::from_bytes(frame).unwrap());
            }
        }
        let wakes = node.wakes();
        if wakes < site.wakes || site.wakes <= clock::now() {
            site.wakes = wakes;
            self.push(wakes, What::Wake { node: i });
        }
        // Frames that were on their way when the power failed may have left or not.
        let left = self.sites[i].disk.is_on() || self.below(2) == 0;
        for command in commands.into_iter().filter(|_| left) {
            self.perform(i, command);
        }
        if !self.sites[i].disk.is_on() {
            self.on_cut(i);
        }
    }

    fn perform(&mut self, i: usize, command: Command) {
        let life = self.sites[i].life;
        match command {
            Command::Send { to, session, frame, from } => self.send(i, to, session, frame, from),
            Command::Connect(peer, _) => {
                if !self.node_of(&peer).is_some_and(|j| self.connect(i, j)) {
                    self.push_after(50, What::Input { to: i, life, input: Input::Unreachable(peer) });
                }
            }
            Command::ConnectHint(hint) => {
                let target = (0..self.sites.len()).find(|j| address(*j) == hint);
                let input = match target.filter(|j| self.connect(i, *j)) {
                    Some(j) => Input::HintReached(hint, self.sites[j].peer),
                    None => Input::HintFailed(hint),
                };
                self.push_after(20, What::Input { to: i, life, input });
            }
            Command::FindCustodians(query, address) => {
                let candidate = |site: &Site| Candidate {
                    peer: site.peer,
                    role: Role::Full,
                    keeps: true,
                    connected: true,
                };
                let candidates: Vec<Candidate> = self.sites.iter().map(candidate).collect();
                let size = u64::try_from(candidates.len()).unwrap();
                let input = Input::Custodians(query, region(&address, &candidates, size, true));
                self.push_after(1, What::Input { to: i, life, input });
            }
            Command::Misbehaved(peer, fault) => panic!("node {i} blames {peer}: {fault:?}"),
        }
    }

    fn node_of(&self, peer: &PeerId) -> Option<usize> {
        self.sites.iter().position(|site| site.peer == *peer)
    }

    fn send(&mut self, i: usize, to: PeerId, meant: Option<SessionNumber>, frame: Vec<u8>, from: Machine) {
        let Some(j) = self.node_of(&to) else { return };
        let pair = (i.min(j), i.max(j));
        if !self.links.contains_key(&pair) && (from == Machine::Keeper || !self.connect(i, j)) {
            let life = self.sites[i].life;
            return self.push_after(50, What::Input { to: i, life, input: Input::Unreachable(to) });
        }
        let delay = 5 + 10 * u64::from(self.below(6));
        let Some(link) = self.links.get_mut(&pair) else { return };
        if meant.is_some_and(|meant| meant != link.session) {
            return;
        }
        let (session, last) = (link.session, &mut link.last[usize::from(i > j)]);
        *last = clock::now().plus(delay).max(*last);
        let at = *last;
        self.push(at, What::Frame { from: i, to: j, session, frame });
    }

    /// Cuts a node's power, if it has any.
    pub(super) fn cut(&mut self, i: usize) {
        self.sites[i].disk.cut();
        if self.is_up(i) {
            self.on_cut(i);
        }
    }

    fn on_cut(&mut self, i: usize) {
        self.cuts += 1;
        self.sites[i].node = None;
        let peer = self.sites[i].peer;
        for j in 0..self.sites.len() {
            if self.links.remove(&(i.min(j), i.max(j))).is_some()
                && let Some(node) = &self.sites[j].node
            {
                node.to_keeper(ToKeeper::Input(keeper::io::Input::PeerDown(peer)));
                node.to_messenger(ToMessenger::Input(Input::PeerDown(peer)));
                self.push_after(1, What::Wake { node: j });
            }
        }
        let pause = [0, 40, 500, 3_000, 20_000][usize::try_from(self.below(5)).unwrap()];
        self.start_after(i, pause);
    }

    /// Hands in one thing; says which node has something to do.
    fn arrive(&mut self, what: What) -> Option<usize> {
        match what {
            What::Frame { from, to, session, frame } => {
                if self.links.get(&(from.min(to), from.max(to)))?.session != session {
                    return None;
                }
                let (peer, frame) = (self.sites[from].peer, Frame::from_bytes(&frame).unwrap());
                let node = self.sites[to].node.as_ref()?;
                match route(&frame) {
                    Machine::Messenger => node.to_messenger(ToMessenger::Input(Input::Frame(peer, frame))),
                    Machine::Keeper => {
                        node.to_keeper(ToKeeper::Input(keeper::io::Input::Frame(peer, frame)));
                    }
                    Machine::Shell => {}
                }
                Some(to)
            }
            What::Input { to, life, input } => {
                let site = &self.sites[to];
                let node = site.node.as_ref().filter(|_| site.life == life)?;
                node.to_messenger(ToMessenger::Input(input));
                Some(to)
            }
            What::Wake { node } => Some(node),
            What::Start { node } => {
                self.start(node);
                None
            }
        }
    }

    /// Runs until a condition holds; says whether it did within the time. What arrives at the same time
    /// is one batch of its machine.
    pub(super) fn run_until(&mut self, ms: u64, done: impl Fn(&World) -> bool) -> bool {
        let end = clock::now().plus(ms);
        loop {
            if done(self) {
                return true;
            }
            let Some(at) = self.queue.first_key_value().map(|((at, _), _)| *at).filter(|at| *at <= end)
            else {
                clock::set(end);
                return done(self);
            };
            clock::set(clock::now().max(at));
            let mut ready = BTreeSet::new();
            while let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= clock::now()) {
                let what = first.remove();
                ready.extend(self.arrive(what));
            }
            for i in ready {
                self.settle(i);
            }
        }
    }

    pub(super) fn run(&mut self, ms: u64) {
        self.run_until(ms, |_| false);
    }
}

pub(super) fn address(node: usize) -> String {
    format!("/ip4/127.0.0.1/tcp/{}", 1_000 + node)
}
