//! The Messenger: one account. See [`io`] first.
//!
//! Invariant: a message is `queued` for a client only after the step that wrote it has committed, and
//! `delivered` only on a receipt from inside the session.
//! Invariant: session state is written in the step that sealed or opened with it; ciphertext leaves
//! after that commit.
//! Invariant: a text is in the store once, as its message row; the outbox refers to it.
//! Invariant: everything a peer can grow here has a bound in [`limits`](crate::limits).
//!
//! The concerns own their state and do not call one another's insides; this file joins them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::CryptoRng;

use self::account::Me;
use self::adding::Adding;
use self::collecting::Collecting;
use self::direct::Direct;
use self::io::{Deadline, Input, Output, PeerFacts, PeerFault, QueryId};
use self::outbox::{Entry, Outbox};
use self::pace::Pace;
use self::preferring::BegunAnew;
use self::publishing::Publishing;
use self::queries::Query;
use self::quota::Quota;
use self::receipts::Owed;
use self::receiving::FirstMessages;
use self::requests::Requests;
use self::rows::ContactRow;
use self::sessions::Sessions;
use self::store::MessengerStore;
use self::timers::{Timer, Timers};
use crate::control::{AcceptRequests, ControlError, InitReply};
use crate::id::{AccountId, Address, MessageId, PeerId};
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::frame::{Frame, Subject};

mod account;
mod adding;
mod allowance;
mod clock;
mod collecting;
mod commands;
mod consumers;
mod contacts;
mod content;
mod daily;
#[cfg(any(test, fuzzing))]
pub(crate) mod decoders;
mod depositing;
mod direct;
mod events;
mod far_ahead;
mod invites;
pub mod io;
mod mailboxes;
mod names;
mod outbox;
mod pace;
mod pinning;
mod preferring;
mod publishing;
mod queries;
mod quota;
mod reading;
mod receipts;
mod receiving;
mod removing;
mod requests;
mod rounds;
mod rows;
mod sealing;
mod sending;
mod sessions;
pub mod store;
mod story;
mod timers;
mod unopened;
mod withdrawing;

/// What a Messenger is told once.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The node it lives in.
    pub own_peer: PeerId,
    /// The generation file says that this database is an older copy: every session starts anew
    /// before it sends (SPEC §5.5).
    pub rolled_back: bool,
    /// Who may become a contact without having been added here.
    pub accept_requests: AcceptRequests,
}

/// Why a Messenger cannot be made from a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There is no account in this store.
    #[error("no account")]
    NoAccount,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One account.
#[derive(Debug)]
pub struct Messenger {
    config: Config,
    me: Me,
    contacts: BTreeMap<AccountId, ContactRow>,
    sessions: Sessions,
    outbox: Outbox,
    peers: BTreeMap<PeerId, PeerFacts>,
    direct: Direct,
    collecting: Collecting,
    publishing: Publishing,
    adding: BTreeMap<AccountId, Adding>,
    owed: Owed,
    /// Contacts whose receipts this step has to see to at its end.
    unflushed: BTreeSet<AccountId>,
    first_messages: FirstMessages,
    requests: Requests,
    begun_anew: BegunAnew,
    quota: Quota,
    /// Contacts whose last message told of a manifest, theirs or ours, that is not the one known here.
    contradicting: BTreeSet<AccountId>,
    /// Whereabouts records that were asked for: when, and at which address.
    whereabouts_asked: BTreeMap<AccountId, (Time, Address)>,
    queries: BTreeMap<QueryId, Query>,
    next_query: u64,
    /// When the last step was.
    latest: Time,
    timers: Timers,
    pace: Pace,
    outputs: VecDeque<Output>,
}

/// One step: the arguments every concern needs.
pub(crate) struct Step<'a> {
    now: Time,
    store: &'a mut dyn MessengerStore,
    rng: &'a mut dyn CryptoRng,
}

impl Messenger {
    /// Makes the account of an empty store; an existing one is left alone and is an error.
    ///
    /// # Errors
    /// A bad name, an existing account, or the store's.
    pub fn create(
        name: &str,
        now: Time,
        store: &mut dyn MessengerStore,
        rng: &mut dyn CryptoRng,
    ) -> Result<InitReply, ControlError> {
        Me::create(name, now, store, rng)
    }

    /// The account of a store, without starting anything: for `id show` of a stopped node.
    ///
    /// # Errors
    /// No account, or the store's.
    pub fn identity(store: &mut dyn MessengerStore) -> Result<crate::control::IdReply, RestoreError> {
        let me = Me::restore(store)?;
        Ok(crate::control::IdReply { account: me.id().to_string(), name: me.row.nickname.clone() })
    }

    /// Rebuilds the machine from its store: at start, and after a failed commit. Peers, own
    /// addresses and deadlines begin anew.
    ///
    /// # Errors
    /// No account, or the store's.
    pub fn restore(
        config: Config,
        now: Time,
        store: &mut dyn MessengerStore,
        rng: &mut dyn CryptoRng,
    ) -> Result<Messenger, RestoreError> {
        let me = Me::restore(store)?;
        // The first step finds what the clock did while this was off.
        let latest = me.row.seen.min(now);
        let contacts = rows::scan::<ContactRow>(store)?.into_iter().map(|c| (c.account, c)).collect();
        let mut messenger = Messenger {
            config,
            me,
            contacts,
            sessions: Sessions::restore(store)?,
            outbox: Outbox::restore(store)?,
            peers: BTreeMap::new(),
            direct: Direct::default(),
            collecting: Collecting::default(),
            publishing: Publishing::default(),
            adding: BTreeMap::new(),
            owed: Owed::default(),
            unflushed: BTreeSet::new(),
            first_messages: FirstMessages::default(),
            requests: Requests::restore(store)?,
            begun_anew: BegunAnew::default(),
            quota: Quota::default(),
            contradicting: BTreeSet::new(),
            whereabouts_asked: BTreeMap::new(),
            queries: BTreeMap::new(),
            next_query: 0,
            latest,
            timers: Timers::default(),
            pace: Pace::default(),
            outputs: VecDeque::new(),
        };
        messenger.start(&mut Step { now, store, rng })?;
        Ok(messenger)
    }

    fn start(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        if self.config.rolled_back {
            self.forget_preferred(step)?;
            // Once: what is made from here on is made after the rollback.
            self.config.rolled_back = false;
        }
        self.start_adding(step);
        self.start_receipts(step);
        self.start_outbox(step);
        self.timers.set(step.now, Timer::Day);
        Ok(())
    }

    /// One step: decides, inside an open transaction. After an error the transaction must be rolled
    /// back and the machine restored.
    ///
    /// # Errors
    /// The store's.
    pub fn handle(
        &mut self,
        now: Time,
        input: Input,
        store: &mut dyn MessengerStore,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StoreError> {
        self.handle_unsettled(now, input, store, rng)?;
        self.settle(now, store, rng)
    }

    /// One of several steps in one transaction, which [`settle`](Messenger::settle) ends: what nobody could see before
    /// the commit anyway is done once for all of them.
    ///
    /// # Errors
    /// The store's.
    pub fn handle_unsettled(
        &mut self,
        now: Time,
        input: Input,
        store: &mut dyn MessengerStore,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StoreError> {
        let mut step = Step { now, store, rng };
        self.check_clock(&mut step)?;
        match input {
            Input::Command(id, request) => self.on_command(&mut step, id, request)?,
            Input::PeerUp(facts) => self.on_peer_up(&mut step, facts)?,
            Input::PeerDown(peer) => self.on_peer_down(&mut step, peer)?,
            Input::Frame(peer, frame) => self.on_frame(&mut step, peer, frame)?,
            Input::Unreachable(peer) => self.on_unreachable(&mut step, peer)?,
            Input::HintReached(hint, peer) => self.on_hint_reached(&hint, peer),
            // The timer asks again; other hints and the region may answer meanwhile.
            Input::HintFailed(_) => {}
            Input::Custodians(query, region) => self.on_custodians(&mut step, query, region)?,
            Input::Reachable { own, others } => self.on_reachable(&mut step, own, others)?,
            Input::Deadline => self.on_deadline(&mut step)?,
        }
        self.finish(&mut step)
    }

    /// A clock that was set back by more than a minute leaves every deadline in the future: everything
    /// that is in memory begins anew, as after a restart.
    fn check_clock(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let set_back = step.now.plus(crate::time::MINUTE_MS) < self.latest;
        let doubtful = self.me.row.clock.on_step(self.latest, step.now);
        self.latest = step.now;
        self.me.row.seen = step.now;
        if doubtful || set_back {
            self.me.save(step.store)?;
        }
        if !set_back {
            return Ok(());
        }
        let waiting: Vec<AccountId> = self.adding.keys().copied().collect();
        waiting.iter().for_each(|account| self.answer_client(account));
        let outputs = core::mem::take(&mut self.outputs);
        let peers: Vec<PeerFacts> = self.peers.values().copied().collect();
        let (own, others) =
            (core::mem::take(&mut self.me.addresses), core::mem::take(&mut self.me.other_addresses));
        // Questions that are under way keep their numbers: late answers must not meet new ones.
        let next_query = self.next_query;
        let anew = Messenger::restore(self.config, step.now, step.store, step.rng);
        *self = anew.map_err(|error| match error {
            RestoreError::NoAccount => StoreError::Corrupt,
            RestoreError::Store(error) => error,
        })?;
        self.next_query += next_query;
        self.outputs.extend(outputs);
        self.on_reachable(step, own, others)?;
        peers.into_iter().try_for_each(|facts| self.on_peer_up(step, facts))
    }

    /// Hands out what is to be done after the commit.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle` with [`Input::Deadline`].
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Deadline> {
        self.timers.next()
    }

    /// What a step leaves to its end: what can be opened now, rounds that others made room for.
    fn finish(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        self.open_the_unopened(step)?;
        self.begin_waiting_rounds(step)
    }

    /// What steps leave to the end of their transaction: one receipt for each contact that is online, one tombstone for what
    /// was opened of each mailbox.
    ///
    /// # Errors
    /// The store's.
    pub fn settle(
        &mut self,
        now: Time,
        store: &mut dyn MessengerStore,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), StoreError> {
        self.flush_receipts(&mut Step { now, store, rng })?;
        self.flush_tombstones();
        Ok(())
    }

    fn on_peer_up(&mut self, step: &mut Step<'_>, facts: PeerFacts) -> Result<(), StoreError> {
        if self.peers.contains_key(&facts.peer) {
            self.on_peer_down(step, facts.peer)?;
        }
        self.peers.insert(facts.peer, facts);
        self.prove_directly(step, &facts.peer);
        if facts.keeps || facts.peer == self.config.own_peer {
            self.pace.regions_changed(step.now, &mut self.timers);
            self.pace.custodian_came(step.now, &mut self.timers);
        }
        Ok(())
    }

    fn on_peer_down(&mut self, step: &mut Step<'_>, peer: PeerId) -> Result<(), StoreError> {
        if self.peers.remove(&peer).is_none() {
            return Ok(());
        }
        self.collecting.on_peer_down(&peer);
        self.publishing.on_peer_down(&peer);
        self.pace.regions_changed(step.now, &mut self.timers);
        self.rounds_without(step, &peer)?;
        self.on_direct_down(step, &peer)
    }

    fn on_unreachable(&mut self, step: &mut Step<'_>, peer: PeerId) -> Result<(), StoreError> {
        self.collecting.on_peer_down(&peer);
        self.publishing.on_peer_down(&peer);
        self.rounds_without(step, &peer)?;
        self.on_dial_failed(step, &peer)
    }

    fn on_frame(&mut self, step: &mut Step<'_>, peer: PeerId, frame: Frame) -> Result<(), StoreError> {
        if !self.peers.contains_key(&peer) {
            return Ok(());
        }
        match frame {
            Frame::Held { envelope, receipt } => self.on_held(step, peer, envelope, &receipt),
            Frame::Full { envelope } | Frame::Closer { envelope, .. } => self.on_full(step, peer, envelope),
            Frame::Refused { subject: Subject::Envelope(envelope), why, .. } => {
                self.on_refused(step, peer, envelope, why)
            }
            Frame::Refused { subject: Subject::Record(address, slot), .. } => {
                self.publishing.on_record_refused(step.now, &peer, address, slot);
                Ok(())
            }
            Frame::Refused { subject: Subject::Mailbox(_), .. } => Ok(()),
            Frame::Have { address, ids, cursor, more, holder } => {
                self.on_have(step, peer, address, ids, cursor, more, holder);
                Ok(())
            }
            Frame::Push { envelope } => self.on_push(step, peer, &envelope),
            Frame::Missing { ids, .. } => {
                self.on_missing(step, peer, &ids);
                Ok(())
            }
            Frame::RecordHeld { address, slot, seq } => {
                self.publishing.on_record_held(peer, address, slot, seq);
                Ok(())
            }
            Frame::Records { address, records } => self.on_records(step, peer, address, &records),
            Frame::DirectProof { proof, want } => self.on_direct_proof(step, peer, &proof, want),
            Frame::Direct { inner } => self.on_direct(step, peer, &inner),
            Frame::Hello(_)
            | Frame::Deposit { .. }
            | Frame::Subscribe { .. }
            | Frame::Get { .. }
            | Frame::Tombstone(_)
            | Frame::Revoke(_)
            | Frame::Forward(_)
            | Frame::Sync(_)
            | Frame::Admitted { .. }
            | Frame::PutRecord { .. }
            | Frame::GetRecords { .. }
            | Frame::AskPeers
            | Frame::Peers(_) => {
                self.outputs.push_back(Output::Misbehaved(peer, PeerFault::Unexpected));
                Ok(())
            }
        }
    }

    fn on_deadline(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        while let Some(timer) = self.timers.pop(step.now) {
            match timer {
                Timer::Entry(id) => self.on_entry_timer(step, id)?,
                Timer::Receipt(account) => self.on_receipt_timer(step, account)?,
                Timer::Wake(account) => self.wake(step, &account)?,
                Timer::DirectAgain(account) => self.send_again_directly(step, &account)?,
                Timer::Adding(account) => self.on_adding_timer(step, account)?,
                Timer::Session(account) => self.on_session_timer(step, account)?,
                Timer::Body(id) => self.on_body_timer(step, id),
                Timer::FarAhead => self.begin_far_ahead(step)?,
                Timer::FarAheadOn => self.open_far_ahead(step)?,
                Timer::NewCustodian => self.retry_for_new_custodian(step),
                Timer::Regions => self.look_up_regions(step),
                Timer::Poll => self.poll_mailboxes(step)?,
                Timer::Publish => self.publish(step)?,
                Timer::Day => self.on_day(step)?,
            }
        }
        Ok(())
    }

    fn send(&mut self, peer: PeerId, frame: Frame) {
        self.outputs.push_back(Output::Send(peer, frame));
    }

    fn entry(&mut self, id: &MessageId) -> Option<&mut Entry> {
        self.outbox.entries.get_mut(id)
    }
}
