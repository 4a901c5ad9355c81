//! The Keeper: custody for others. See [`io`] first.
//!
//! Invariant: a Keeper has no key that opens what it keeps, and no state in common with a Messenger:
//! it keeps what falls in its region, its owner's mail included, unknowingly (SPEC §8.3).
//! Invariant: `HELD` and `RECORD_HELD` are outputs of the step that wrote the copy, so they leave
//! after its commit.
//! Invariant: everything a peer can grow here has a bound in [`limits`](crate::limits).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use self::admission::Rates;
use self::io::{Input, Output};
use self::neighbours::Neighbours;
use self::store::{KeeperStore, Totals};
use crate::id::{Address, EnvelopeId, PeerId};
use crate::limits::EXPIRY_SWEEP_MS;
use crate::messenger::io::{Deadline, PeerFacts, PeerFault};
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::frame::{Frame, Refusal, Subject};
use crate::wire::record::RecordIn;

mod admission;
mod custody;
pub mod io;
mod mailboxes;
mod neighbours;
mod records;
pub mod store;

/// What a Keeper is told once.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The node it lives in.
    pub own_peer: PeerId,
    /// Most bytes it keeps for others; 0 = it keeps nothing but its owner's own records.
    pub held_bytes_max: u64,
}

/// Custody for others.
#[derive(Debug)]
pub struct Keeper {
    config: Config,
    peers: BTreeMap<PeerId, Client>,
    subscribers: BTreeMap<Address, BTreeSet<PeerId>>,
    neighbours: Neighbours,
    rates: Rates,
    next_sweep: Time,
    totals: Totals,
    outputs: VecDeque<Output>,
}

/// A connected peer.
#[derive(Debug)]
struct Client {
    facts: PeerFacts,
    subscriptions: BTreeSet<Address>,
}

/// One step: the arguments every concern needs.
struct Step<'a> {
    now: Time,
    store: &'a mut dyn KeeperStore,
}

/// Why a frame was not done.
enum Denied {
    /// The sender is at fault.
    Fault(PeerFault),
    /// Refused by a rule, said so in an answer.
    Refused(Refusal, u64),
    /// Our disk failed: the step is rolled back.
    Store(StoreError),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Denied {
        Denied::Store(error)
    }
}

impl From<Refusal> for Denied {
    fn from(why: Refusal) -> Denied {
        Denied::Refused(why, 0)
    }
}

impl From<PeerFault> for Denied {
    fn from(fault: PeerFault) -> Denied {
        Denied::Fault(fault)
    }
}

impl Keeper {
    /// Rebuilds the machine from its store: at start, and after a failed commit. Peers are told again.
    ///
    /// # Errors
    /// The store's.
    pub fn restore(config: Config, now: Time, store: &mut dyn KeeperStore) -> Result<Keeper, StoreError> {
        store.expire(now)?;
        Ok(Keeper {
            config,
            peers: BTreeMap::new(),
            subscribers: BTreeMap::new(),
            neighbours: Neighbours::default(),
            rates: Rates::default(),
            next_sweep: now.plus(EXPIRY_SWEEP_MS),
            totals: store.totals()?,
            outputs: VecDeque::new(),
        })
    }

    /// One step, inside an open transaction. After an error the transaction must be rolled back and
    /// the machine restored.
    ///
    /// # Errors
    /// The store's.
    pub fn handle(&mut self, now: Time, input: Input, store: &mut dyn KeeperStore) -> Result<(), StoreError> {
        let mut step = Step { now, store };
        // A clock that was set back must not put the sweep off.
        self.next_sweep = self.next_sweep.min(now.plus(EXPIRY_SWEEP_MS));
        match input {
            Input::PeerUp(facts) => self.on_peer_up(facts),
            Input::PeerDown(peer) => self.on_peer_down(&peer),
            Input::Frame(peer, frame) => return self.on_frame(&mut step, peer, frame),
            Input::NeighbourSeen { peer, role, keeps } => self.neighbours.seen(peer, role, keeps),
            Input::NeighbourGone(peer) => self.neighbours.gone(&peer),
            Input::Deadline => return self.on_deadline(&mut step),
        }
        Ok(())
    }

    /// Hands out what is to be done after the commit.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle` with [`Input::Deadline`].
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Deadline> {
        Some(Deadline { at: self.next_sweep, reason: "custody: drop what has expired" })
    }

    /// What custody uses in all, as of the last step.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn on_peer_up(&mut self, facts: PeerFacts) {
        self.on_peer_down(&facts.peer);
        self.neighbours.up(&facts);
        self.peers.insert(facts.peer, Client { facts, subscriptions: BTreeSet::new() });
    }

    fn on_peer_down(&mut self, peer: &PeerId) {
        self.neighbours.down(peer);
        let Some(client) = self.peers.remove(peer) else { return };
        for address in client.subscriptions {
            if let Some(subscribers) = self.subscribers.get_mut(&address) {
                subscribers.remove(peer);
                if subscribers.is_empty() {
                    self.subscribers.remove(&address);
                }
            }
        }
    }

    fn on_deadline(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        if step.now >= self.next_sweep {
            step.store.expire(step.now)?;
            self.totals = step.store.totals()?;
            self.next_sweep = step.now.plus(EXPIRY_SWEEP_MS);
        }
        Ok(())
    }

    fn on_frame(&mut self, step: &mut Step<'_>, peer: PeerId, frame: Frame) -> Result<(), StoreError> {
        let Some(client) = self.peers.get(&peer) else { return Ok(()) };
        let facts = client.facts;
        let subject = subject(&frame);
        let done = match frame {
            Frame::Deposit { envelope, admission } => self.on_deposit(step, &facts, &envelope, &admission),
            Frame::Subscribe { claim, live, digest: _ } => self.on_subscribe(step, &facts, &claim, live),
            Frame::Get { claim, ids } => self.on_get(step, &facts, &claim, &ids),
            Frame::Tombstone(tombstone) => self.on_tombstone(step, &facts, &tombstone),
            Frame::Admitted { address, ids } => self.on_admitted(step, &facts, &address, &ids),
            Frame::PutRecord { record } => self.on_put_record(step, &facts, &record),
            Frame::GetRecords { address } => self.on_get_records(step, peer, address),
            // Reserved kinds are skipped, like kinds of a newer version.
            Frame::Revoke(_) | Frame::Forward(_) | Frame::Sync(_) => Ok(()),
            Frame::Hello(_)
            | Frame::Held { .. }
            | Frame::Full { .. }
            | Frame::Closer { .. }
            | Frame::Refused { .. }
            | Frame::Have { .. }
            | Frame::Push { .. }
            | Frame::RecordHeld { .. }
            | Frame::Records { .. }
            | Frame::AskPeers
            | Frame::Peers(_)
            | Frame::DirectProof { .. }
            | Frame::Direct { .. }
            | Frame::Missing { .. } => Err(Denied::Fault(PeerFault::Unexpected)),
        };
        match done {
            Ok(()) => Ok(()),
            Err(Denied::Store(error)) => Err(error),
            Err(Denied::Fault(fault)) => {
                if let Some(subject) = subject {
                    let why = match fault {
                        PeerFault::BadSignature => Refusal::BadSignature,
                        PeerFault::Malformed | PeerFault::Unexpected => Refusal::Malformed,
                    };
                    self.send(peer, Frame::Refused { subject, why, retry_after_ms: 0 });
                }
                self.outputs.push_back(Output::Misbehaved(peer, fault));
                Ok(())
            }
            Err(Denied::Refused(why, retry_after_ms)) => {
                if let Some(subject) = subject {
                    self.send(peer, Frame::Refused { subject, why, retry_after_ms });
                }
                Ok(())
            }
        }
    }

    fn send(&mut self, peer: PeerId, frame: Frame) {
        self.outputs.push_back(Output::Send(peer, frame));
    }
}

/// What a refusal of this frame would be about; none if nobody waits for an answer.
fn subject(frame: &Frame) -> Option<Subject> {
    if let Frame::Deposit { envelope, .. } = frame {
        return Some(Subject::Envelope(EnvelopeId::of(envelope)));
    }
    if let Frame::Subscribe { claim, .. } | Frame::Get { claim, .. } = frame {
        return Some(Subject::Mailbox(claim.address));
    }
    let Frame::PutRecord { record } = frame else { return None };
    let record = RecordIn::parse(record).ok()?;
    Some(Subject::Record(record.address(), record.head().slot as u8))
}
