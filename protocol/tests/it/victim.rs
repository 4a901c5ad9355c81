//! One Messenger alone, and everybody it knows in the hands of the test.

use std::collections::BTreeSet;

use murmesh_protocol::control::{
    AcceptRequests, ContactReply, InviteParams, MessageReply, NoParams, ReadParams, Reply, Request,
};
use murmesh_protocol::id::{AccountId, Address, EnvelopeId, PeerId};
use murmesh_protocol::messenger::io::{Input, Output, PeerFacts, RequestId};
use murmesh_protocol::messenger::store::{MemoryStore, Table};
use murmesh_protocol::messenger::{Config, Messenger};
use murmesh_protocol::placement::Region;
use murmesh_protocol::time::{DAY_MS, SECOND_MS, Time};
use murmesh_protocol::wire::frame::{CustodyReceipt, Frame, Refusal, Role, Subject};
use murmesh_protocol::wire::ticket::Ticket;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

pub(crate) const NOW: Time = Time(20_000 * DAY_MS + DAY_MS / 2);
pub(crate) const OWN: PeerId = PeerId([1; 32]);
pub(crate) const STRANGER: PeerId = PeerId([2; 32]);
pub(crate) const CUSTODIAN: PeerId = PeerId([3; 32]);

pub(crate) fn facts(peer: PeerId, keeps: bool) -> PeerFacts {
    PeerFacts {
        peer,
        role: if keeps { Role::Full } else { Role::Light },
        keeps,
        their_challenge: [8; 32],
        our_challenge: [9; 32],
        prefix: None,
    }
}

/// A Messenger whose only custodian is in our hands, and what it sent.
pub(crate) struct Victim {
    pub(crate) messenger: Messenger,
    pub(crate) store: MemoryStore,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) now: Time,
    pub(crate) account: AccountId,
    pub(crate) sent: Vec<Output>,
    requests: u64,
    /// Mailboxes as a custodian of their region sees them.
    pub(crate) claimed: BTreeSet<Address>,
    /// The custodian answers every deposit so.
    pub(crate) refuses: Option<Refusal>,
    /// The custodian says of every deposit that it is synced.
    pub(crate) holds: bool,
    /// Region questions are not answered.
    pub(crate) withholds: bool,
    /// Who may ask it, from the next start on.
    pub(crate) accepts: AcceptRequests,
}

impl Victim {
    pub(crate) fn new() -> Victim {
        Victim::accepting(AcceptRequests::default())
    }

    /// One that these may ask.
    pub(crate) fn accepting(accepts: AcceptRequests) -> Victim {
        let (mut store, mut rng) = (MemoryStore::default(), ChaCha20Rng::seed_from_u64(1));
        store.transaction(|tx| Messenger::create("victim", NOW, tx, &mut rng)).unwrap();
        Victim::restored(store, rng, NOW, accepts)
    }

    /// Of an account that is on disk.
    pub(crate) fn resumed(store: MemoryStore, now: Time) -> Victim {
        Victim::restored(store, ChaCha20Rng::seed_from_u64(2), now, AcceptRequests::default())
    }

    fn restored(mut store: MemoryStore, mut rng: ChaCha20Rng, now: Time, accepts: AcceptRequests) -> Victim {
        let config = Config { own_peer: OWN, rolled_back: false, accept_requests: accepts };
        let messenger = store.transaction(|tx| Messenger::restore(config, now, tx, &mut rng)).unwrap();
        let told = store.transaction(|tx| Messenger::identity(tx)).unwrap();
        let account = told.account.parse().unwrap();
        let (sent, requests, claimed) = (Vec::new(), 0, BTreeSet::new());
        let (refuses, holds, withholds) = (None, false, false);
        let mut victim = Victim {
            messenger,
            store,
            rng,
            now,
            account,
            sent,
            requests,
            claimed,
            refuses,
            holds,
            withholds,
            accepts,
        };
        victim.meet();
        victim
    }

    fn meet(&mut self) {
        self.input(Input::PeerUp(facts(CUSTODIAN, true)));
        self.input(Input::PeerUp(facts(STRANGER, false)));
        self.run(SECOND_MS);
    }

    /// Starts anew from what is on disk; an older copy of it begins its sessions anew (SPEC §9.2).
    pub(crate) fn restart(&mut self, rolled_back: bool) {
        let Victim { store, rng, now, accepts, .. } = self;
        let config = Config { own_peer: OWN, rolled_back, accept_requests: *accepts };
        self.messenger = store.transaction(|tx| Messenger::restore(config, *now, tx, rng)).unwrap();
        self.meet();
    }

    /// The machine it lives in is suspended: nothing is done until then, and what is due afterwards.
    pub(crate) fn sleep(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.run(SECOND_MS);
    }

    /// How many rows of a table are on its disk.
    pub(crate) fn rows(&self, table: Table) -> usize {
        self.store.values().filter(|(of, _)| **of == table).count()
    }

    /// One input; region questions are answered with the one custodian, dials fail.
    pub(crate) fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Victim { messenger, rng, now, .. } = self;
            self.store.transaction(|tx| messenger.handle(*now, input, tx, rng)).unwrap();
            while let Some(output) = self.messenger.poll_output() {
                match &output {
                    Output::FindCustodians(query, _) if !self.withholds => inputs.push(Input::Custodians(
                        *query,
                        Region { custodians: vec![CUSTODIAN], network_size: 2 },
                    )),
                    Output::Send(CUSTODIAN, Frame::Deposit { envelope, .. }) => {
                        if let Some(why) = self.refuses {
                            let subject = Subject::Envelope(EnvelopeId::of(envelope));
                            let frame = Frame::Refused { subject, why, retry_after_ms: 0 };
                            inputs.push(Input::Frame(CUSTODIAN, frame));
                        } else if self.holds {
                            let receipt = CustodyReceipt::Plain { until: self.now.plus(30 * DAY_MS) };
                            let frame = Frame::Held { envelope: EnvelopeId::of(envelope), receipt };
                            inputs.push(Input::Frame(CUSTODIAN, frame));
                        }
                    }
                    Output::Send(CUSTODIAN, Frame::Subscribe { claim, .. }) => {
                        self.claimed.insert(claim.address);
                    }
                    Output::Connect(peer, _) => inputs.push(Input::Unreachable(*peer)),
                    _ => {}
                }
                self.sent.push(output);
            }
        }
    }

    /// One input, and what comes of it.
    pub(crate) fn outputs(&mut self, input: Input) -> Vec<Output> {
        let from = self.sent.len();
        self.input(input);
        self.sent.split_off(from)
    }

    pub(crate) fn run(&mut self, ms: u64) {
        let ends = self.now.plus(ms);
        while let Some(deadline) = self.messenger.poll_deadline().filter(|d| d.at <= ends) {
            self.now = self.now.max(deadline.at);
            self.input(Input::Deadline);
        }
        self.now = ends;
    }

    pub(crate) fn ask(&mut self, request: Request) -> Reply {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.input(Input::Command(id, request));
        let found = self.sent.iter().position(|o| matches!(o, Output::Reply(told, _) if *told == id));
        match self.sent.remove(found.unwrap()) {
            Output::Reply(_, reply) => reply.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn invite(&mut self) -> Ticket {
        self.invite_for(1)
    }

    /// An invite that may be used so often: until its last use its bundle begins sessions.
    pub(crate) fn invite_for(&mut self, uses: u32) -> Ticket {
        let params = InviteParams { uses: Some(uses), expires_ms: None, no_address: false };
        let ticket = match self.ask(Request::Invite(params)) {
            Reply::Invite(invite) => invite.ticket.parse().unwrap(),
            other => panic!("{other:?}"),
        };
        self.run(SECOND_MS);
        ticket
    }

    pub(crate) fn contact(&mut self) -> ContactReply {
        match self.ask(Request::Contacts(NoParams {})) {
            Reply::Contacts(list) => list.contacts[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn read(&mut self) -> Vec<MessageReply> {
        let params = ReadParams { who: None, unread: false, since: None, limit: Some(10_000), peek: true };
        match self.ask(Request::Read(params)) {
            Reply::Read(read) => read.messages,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn deposits(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.sent.iter().filter_map(|output| match output {
            Output::Send(CUSTODIAN, Frame::Deposit { envelope, .. }) => Some(envelope),
            _ => None,
        })
    }
}
