//! A Messenger with two contacts: one does what the program says, the other is honest and is heard in the end.

use std::sync::OnceLock;

use murmesh_protocol::control::{MessageParams, NoParams, ReadParams, Request, SendParams};
use murmesh_protocol::id::{Address, EnvelopeId, PeerId};
use murmesh_protocol::keys::MailboxPublic;
use murmesh_protocol::messenger::io::{Input, Output, QueryId, RequestId};
use murmesh_protocol::messenger::store::MemoryStore;
use murmesh_protocol::placement::Region;
use murmesh_protocol::route::{Machine, route};
use murmesh_protocol::session::Session;
use murmesh_protocol::time::{DAY_MS, SECOND_MS, Time};
use murmesh_protocol::wire::envelope::{Envelope, seal_round};
use murmesh_protocol::wire::frame::Frame;

use super::{Program, frame_of};
use crate::correspondent::Correspondent;
use crate::mallory::{MALLORY, Mallory, Part, text};
use crate::victim::{CUSTODIAN, STRANGER, Victim, facts};

/// The honest contact.
const HONEST: u8 = 67;
/// What one input may make the machine say: a restart with two contacts asks and publishes some dozens.
const OUTPUTS_MAX: usize = 512;
/// What one step may put on disk.
const STEP_BYTES_MAX: usize = 512 * 1024;

/// An account with its two contacts, made once.
pub(crate) struct Snapshot {
    pub(crate) store: MemoryStore,
    pub(crate) now: Time,
    contacts: [(u8, Vec<u8>, MailboxPublic); 2],
    /// What the hostile contact and the custodian know of the account: its own records, and mailboxes.
    records: Vec<Vec<u8>>,
    mailboxes: Vec<Address>,
}

pub(crate) fn snapshot() -> &'static Snapshot {
    static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();
    SNAPSHOT.get_or_init(|| {
        let mut victim = Victim::new();
        let contacts = [66, HONEST].map(|seed| {
            let mut contact = Correspondent::connected(Mallory::number(seed), &mut victim);
            let said = text(1, victim.now);
            contact.say(&mut victim, vec![said]);
            contact.hear(&victim);
            let record = contact.session.to_record().to_vec();
            (seed, record, contact.mailbox().clone())
        });
        victim.run(SECOND_MS);
        let records = victim.sent.iter().filter_map(|output| match output {
            Output::Send(_, Frame::PutRecord { record }) => Some(record.clone()),
            _ => None,
        });
        let mailboxes = victim.claimed.iter().copied().collect();
        Snapshot { records: records.collect(), mailboxes, store: victim.store, now: victim.now, contacts }
    })
}

/// The world of one program.
struct Play {
    victim: Victim,
    hostile: Correspondent,
    honest: Correspondent,
    /// Valid frames that were made: to be sent, changed, and sent again.
    pool: Vec<Vec<u8>>,
    texts: u64,
}

impl Play {
    fn new() -> Play {
        let Snapshot { store, now, contacts, records, .. } = snapshot();
        let mut victim = Victim::resumed(store.clone(), *now);
        let [hostile, honest] = contacts.each_ref().map(|(seed, record, mailbox)| {
            let session = Session::from_record(record).unwrap();
            Correspondent::resumed(Mallory::number(*seed), session, mailbox.clone())
        });
        for contact in [&hostile, &honest] {
            victim.input(Input::PeerUp(facts(contact.mallory.peer, false)));
            contact.prove(&mut victim);
        }
        let pool = records.iter().map(|record| Frame::PutRecord { record: record.clone() }.to_bytes());
        Play { pool: pool.take(4).collect(), victim, hostile, honest, texts: 100 }
    }

    fn input(&mut self, input: Input) {
        let before = self.victim.sent.len();
        self.victim.input(input);
        assert!(self.victim.sent.len() - before <= OUTPUTS_MAX, "{}", self.victim.sent.len() - before);
    }

    /// A frame as the shell hands it over: only what is the Messenger's gets there.
    fn hear(&mut self, from: PeerId, bytes: &[u8]) {
        if let Some(frame) = frame_of(bytes).filter(|frame| route(frame) == Machine::Messenger) {
            self.input(Input::Frame(from, frame));
        }
    }

    fn step(&mut self, step: u8, program: &mut Program<'_>) {
        let from = [MALLORY, CUSTODIAN, STRANGER][program.below(3)];
        match step % 14 {
            0 => self.write(),
            1 => self.seal(program.bytes().to_vec()),
            2 => {
                let bytes = self.pooled(program);
                self.hear(from, &bytes);
            }
            3 => {
                let bytes = self.pooled(program);
                self.hear(from, &program.changed(bytes));
            }
            4 => self.hear(from, program.bytes()),
            5 => self.victim.run(u64::from(program.byte()) * SECOND_MS),
            6 => self.input(Input::PeerDown(from)),
            7 => {
                self.input(Input::PeerUp(facts(from, program.byte().is_multiple_of(2))));
                self.hostile.prove(&mut self.victim);
            }
            8 => self.ask(program),
            9 => self.victim.restart(program.byte().is_multiple_of(4)),
            10 => self.envelope(program),
            11 => self.listed(from, program),
            12 => self.records(from, program),
            _ => self.network(program),
        }
    }

    fn pooled(&self, program: &mut Program<'_>) -> Vec<u8> {
        self.pool.get(program.below(self.pool.len())).cloned().unwrap_or_default()
    }

    /// A text that is as it should be, not yet sent.
    fn write(&mut self) {
        self.texts += 1;
        let parts = vec![text(self.texts, self.victim.now)];
        let inner = self.hostile.seal(parts);
        self.pool.push(Frame::Direct { inner }.to_bytes());
    }

    /// A content that may be anything, sealed as it should be.
    fn seal(&mut self, content: Vec<u8>) {
        let rng = &mut self.hostile.mallory.rng;
        if let Ok(sealed) = self.hostile.session.seal(&content, rng) {
            self.pool.push(Frame::Direct { inner: sealed.inner }.to_bytes());
        }
    }

    fn mailbox(&self, program: &mut Program<'_>) -> Address {
        let known = &snapshot().mailboxes;
        known.get(program.below(known.len())).copied().unwrap_or(Address([1; 32]))
    }

    /// What a custodian hands over: an envelope of what was sealed, or of noise.
    fn envelope(&mut self, program: &mut Program<'_>) {
        let inner = match frame_of(&self.pooled(program)) {
            Some(Frame::Direct { inner }) => inner,
            _ => vec![program.byte(); 454],
        };
        if program.byte().is_multiple_of(4) {
            let (address, day) = (self.mailbox(program), self.victim.account.day(self.victim.now));
            let expires = self.victim.now.plus(DAY_MS).seconds();
            let rng = &mut self.hostile.mallory.rng;
            let envelope = seal_round(&[5; 32], address, day, expires, &inner, rng).unwrap();
            self.input(Input::Frame(CUSTODIAN, Frame::Push { envelope: program.changed(envelope) }));
        } else {
            self.hostile.hand_over(&mut self.victim, &inner);
        }
    }

    /// What custodians say of mailboxes and of deposits, true or not.
    fn listed(&mut self, from: PeerId, program: &mut Program<'_>) {
        let address = self.mailbox(program);
        let ids: Vec<EnvelopeId> =
            (0..program.byte()).map(|i| EnvelopeId([i ^ program.byte(); 32])).take(64).collect();
        let deposited =
            self.victim.deposits().last().and_then(|bytes| Envelope::parse(bytes).ok().map(|e| e.id()));
        let envelope = deposited.unwrap_or(EnvelopeId([1; 32]));
        let holder = (program.byte().is_multiple_of(2)).then_some(STRANGER);
        let frame = match program.byte() % 4 {
            0 => Frame::Have { address, ids, cursor: u64::from(program.byte()), more: true, holder },
            1 => Frame::Missing { address, ids },
            2 => Frame::Full { envelope },
            _ => Frame::Closer { envelope, peers: vec![] },
        };
        self.input(Input::Frame(from, frame));
    }

    /// Records as answers: one's own, changed or not.
    fn records(&mut self, from: PeerId, program: &mut Program<'_>) {
        let known = &snapshot().records;
        let record = known.get(program.below(known.len())).cloned().unwrap_or_default();
        let record = if program.byte().is_multiple_of(2) { record } else { program.changed(record) };
        let address = self.mailbox(program);
        self.input(Input::Frame(from, Frame::Records { address, records: vec![record] }));
    }

    /// What the routing layer says.
    fn network(&mut self, program: &mut Program<'_>) {
        let peers = vec![CUSTODIAN, STRANGER, PeerId([program.byte(); 32])];
        let text = String::from_utf8_lossy(program.bytes()).into_owned();
        self.input(match program.byte() % 4 {
            0 => Input::Custodians(
                QueryId(u64::from(program.byte())),
                Region { custodians: peers, network_size: u64::from(program.byte()) },
            ),
            1 => Input::Reachable { own: vec![text.clone()], others: vec![text] },
            2 => Input::HintReached(text, STRANGER),
            _ => Input::Unreachable(MALLORY),
        });
    }

    fn ask(&mut self, program: &mut Program<'_>) {
        let text = String::from_utf8_lossy(program.bytes()).into_owned();
        let request = match program.byte() % 8 {
            0 => {
                Request::Send(SendParams { to: "mallory".to_owned(), text, client_id: None, expire_ms: None })
            }
            1 => Request::Why(MessageParams { id: text }),
            2 => Request::Outbox(NoParams {}),
            3 => Request::Contacts(NoParams {}),
            4 => serde_json::from_str(&text).unwrap_or(Request::Status(NoParams {})),
            _ => Request::Read(ReadParams {
                who: None,
                unread: true,
                since: None,
                limit: Some(9),
                peek: false,
            }),
        };
        self.input(Input::Command(RequestId(1 << 40), request));
    }

    fn disk_bytes(&self) -> usize {
        self.victim.store.values().map(|(_, value)| value.len()).sum()
    }

    /// After all of it the honest contact says something, and it is read.
    fn end(mut self) {
        let peer = self.honest.mallory.peer;
        self.victim.input(Input::PeerDown(peer));
        self.victim.input(Input::PeerUp(facts(peer, false)));
        self.honest.prove(&mut self.victim);
        let Part::Text { run, seq, at, expires, .. } = text(2, self.victim.now) else { return };
        let said = murmesh_protocol::id::MessageId([77; 16]);
        let part = Part::Text { id: said, run, seq, at, expires, text: "still here".to_owned() };
        self.honest.say(&mut self.victim, vec![part]);
        assert!(self.victim.read().iter().any(|message| message.text == "still here"));
    }
}

/// Runs a program.
pub(crate) fn run(bytes: &[u8]) {
    let mut program = Program::new(bytes);
    let mut play = Play::new();
    let (at_first, mut steps) = (play.disk_bytes(), 0);
    while let Some(step) = program.step() {
        play.step(step, &mut program);
        steps += 1;
    }
    assert!(play.disk_bytes() <= at_first + steps * STEP_BYTES_MAX);
    play.end();
}
