//! A second hostile review: every test here fails as long as what it shows is possible. Those that are
//! ignored still fail: each is work to do, and loses its `ignore` with its mending.

use std::collections::{BTreeMap, BTreeSet};

use murmesh_protocol::blind::{AddressSigner, BlindedSigner, request_address};
use murmesh_protocol::control::{
    AddParams, ContactReply, InviteParams, MessageReply, MessageState, NoParams, ReadParams, Reply, Request,
    SendParams,
};
use murmesh_protocol::id::{AccountId, Address, EnvelopeId, InviteToken, MessageId, PeerId, sha256};
use murmesh_protocol::keeper::store::KeeperStore;
use murmesh_protocol::keeper::{self, Keeper};
use murmesh_protocol::keys::{AccountKeys, DeviceKeys, Entropy, MailboxKeys};
use murmesh_protocol::messenger::io::{Input, Output, PeerFacts, RequestId};
use murmesh_protocol::messenger::store::{MemoryStore, Table};
use murmesh_protocol::messenger::{Config, Messenger};
use murmesh_protocol::placement::Region;
use murmesh_protocol::session::{LocalDevice, Session, initiate};
use murmesh_protocol::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Time};
use murmesh_protocol::wire::bundle::BundleIn;
use murmesh_protocol::wire::envelope::{Envelope, seal_round, unmask};
use murmesh_protocol::wire::frame::{CustodyReceipt, Frame, Refusal, Role, Subject, Tombstone};
use murmesh_protocol::wire::manifest::{Manifest, ManifestDevice, ManifestFields, ManifestIn, certificate};
use murmesh_protocol::wire::record::{RecordIn, Slot};
use murmesh_protocol::wire::ticket::Ticket;
use murmesh_protocol::wire::{claim, codec};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::world::World;

// A contact that says what it likes: the contents of sessions, written by hand (SPEC §8.5).

#[derive(Serialize, Deserialize)]
enum Content {
    V1(ContentV1),
}

#[derive(Serialize, Deserialize)]
struct ContentV1 {
    knows_you: bool,
    mine: (u64, [u8; 8]),
    yours: (u64, [u8; 8]),
    parts: Vec<Part>,
}

#[derive(Clone, Serialize, Deserialize)]
enum Part {
    Text { id: MessageId, run: u64, seq: u64, at: Time, expires: Time, text: String },
    Receipt { run: u64, up_to: u64, beyond: Vec<(u64, u64)> },
    Introduction(Introduction),
    Whereabouts(Whereabouts),
}

#[derive(Clone, Serialize, Deserialize)]
struct Introduction {
    manifest: Vec<u8>,
    nickname: String,
    generation: u32,
    base_key: [u8; 32],
    secret: [u8; 32],
    whereabouts: Whereabouts,
}

#[derive(Clone, Serialize, Deserialize)]
struct Whereabouts {
    peer: PeerId,
    addresses: Vec<String>,
    valid_until: Time,
}

#[derive(Serialize, Deserialize)]
enum InviteContent {
    Open { manifest: Vec<u8>, bundle: Vec<u8>, expires: Time },
    Ended,
}

const NOW: Time = Time(20_000 * DAY_MS + DAY_MS / 2);
const OWN: PeerId = PeerId([1; 32]);
const CUSTODIAN: PeerId = PeerId([3; 32]);

fn facts(peer: PeerId) -> PeerFacts {
    let (their_challenge, our_challenge) = ([8; 32], [9; 32]);
    PeerFacts { peer, role: Role::Full, keeps: true, their_challenge, our_challenge, prefix: None }
}

/// A Messenger whose only custodian is in our hands, and what it sent.
struct Victim {
    messenger: Messenger,
    store: MemoryStore,
    rng: ChaCha20Rng,
    now: Time,
    account: AccountId,
    sent: Vec<Output>,
    requests: u64,
    /// The custodian answers every deposit so.
    refuses: Option<Refusal>,
}

impl Victim {
    fn new() -> Victim {
        let (mut store, mut rng) = (MemoryStore::default(), ChaCha20Rng::seed_from_u64(1));
        let made = store.transaction(|tx| Messenger::create("victim", NOW, tx, &mut rng)).unwrap();
        let account: AccountId = made.account.parse().unwrap();
        let config = Config { own_peer: OWN, rolled_back: false };
        let messenger = store.transaction(|tx| Messenger::restore(config, NOW, tx, &mut rng)).unwrap();
        let (sent, requests) = (Vec::new(), 0);
        let mut victim = Victim { messenger, store, rng, now: NOW, account, sent, requests, refuses: None };
        victim.input(Input::PeerUp(facts(CUSTODIAN)));
        victim.run(SECOND_MS);
        victim
    }

    fn input(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Victim { messenger, rng, now, .. } = self;
            self.store.transaction(|tx| messenger.handle(*now, input, tx, rng)).unwrap();
            while let Some(output) = self.messenger.poll_output() {
                match &output {
                    Output::FindCustodians(query, _) => inputs.push(Input::Custodians(
                        *query,
                        Region { custodians: vec![CUSTODIAN], network_size: 2 },
                    )),
                    Output::Send(CUSTODIAN, Frame::Deposit { envelope, .. }) => {
                        if let Some(why) = self.refuses {
                            let subject = Subject::Envelope(EnvelopeId::of(envelope));
                            let frame = Frame::Refused { subject, why, retry_after_ms: 0 };
                            inputs.push(Input::Frame(CUSTODIAN, frame));
                        }
                    }
                    Output::Connect(peer, _) => inputs.push(Input::Unreachable(*peer)),
                    _ => {}
                }
                self.sent.push(output);
            }
        }
    }

    fn run(&mut self, ms: u64) {
        let ends = self.now.plus(ms);
        while let Some(deadline) = self.messenger.poll_deadline().filter(|d| d.at <= ends) {
            self.now = self.now.max(deadline.at);
            self.input(Input::Deadline);
        }
        self.now = ends;
    }

    fn ask(&mut self, request: Request) -> Reply {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.input(Input::Command(id, request));
        let found = self.sent.iter().position(|o| matches!(o, Output::Reply(told, _) if *told == id));
        match self.sent.remove(found.unwrap()) {
            Output::Reply(_, reply) => reply.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn invite(&mut self) -> Ticket {
        let params = InviteParams { uses: None, expires_ms: None, no_address: false };
        let ticket = match self.ask(Request::Invite(params)) {
            Reply::Invite(invite) => invite.ticket.parse().unwrap(),
            other => panic!("{other:?}"),
        };
        self.run(SECOND_MS);
        ticket
    }

    fn contact(&mut self) -> ContactReply {
        match self.ask(Request::Contacts(NoParams {})) {
            Reply::Contacts(list) => list.contacts[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    fn read(&mut self) -> Vec<MessageReply> {
        let params = ReadParams { who: None, unread: false, since: None, limit: Some(10_000), peek: true };
        match self.ask(Request::Read(params)) {
            Reply::Read(read) => read.messages,
            other => panic!("{other:?}"),
        }
    }

    fn deposits(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.sent.iter().filter_map(|output| match output {
            Output::Send(CUSTODIAN, Frame::Deposit { envelope, .. }) => Some(envelope),
            _ => None,
        })
    }
}

/// An account that keeps to the formats and to nothing else.
struct Mallory {
    account: AccountKeys,
    mailbox: MailboxKeys,
    device: DeviceKeys,
    manifest: Manifest,
    nickname: String,
    rng: ChaCha20Rng,
}

impl Mallory {
    fn new() -> Mallory {
        let entropy = Entropy::from_bytes([66; 32]);
        let account = AccountKeys::derive(&entropy);
        let mut rng = ChaCha20Rng::seed_from_u64(66);
        let device = DeviceKeys::generate(&mut rng);
        let manifest = Mallory::manifest_of(&account, &device, 5, Vec::new());
        let mailbox = MailboxKeys::derive(&entropy, 0);
        Mallory { account, mailbox, device, manifest, nickname: "mallory".to_owned(), rng }
    }

    fn manifest_of(account: &AccountKeys, device: &DeviceKeys, version: u64, name: Vec<u8>) -> Manifest {
        let entry = ManifestDevice { id: device.id(), dh: device.dh_public(), name, added_at: NOW };
        let fields = ManifestFields {
            version,
            previous_hash: [0; 32],
            devices: vec![entry],
            revoked: Vec::new(),
            not_after: NOW.plus(90 * DAY_MS),
        };
        Manifest::sign(account, fields).unwrap()
    }

    /// A session with the bundle of an invite, as its record was put to the custodian.
    fn begin(&mut self, victim: &Victim, ticket: &Ticket) -> Session {
        let token: InviteToken = ticket.token.unwrap();
        let record = victim.sent.iter().rev().find_map(|output| match output {
            Output::Send(CUSTODIAN, Frame::PutRecord { record }) => {
                let record = RecordIn::parse(record).unwrap().verify().unwrap();
                (record.head().slot == Slot::Invite).then(|| record.open(&token.0).ok()).flatten()
            }
            _ => None,
        });
        let Ok(InviteContent::Open { manifest, bundle, .. }) = codec::decode(&record.unwrap()) else {
            panic!("not open")
        };
        let manifest = ManifestIn::parse(&manifest).unwrap().verify(victim.account).unwrap();
        let bundle = BundleIn::parse(&bundle).unwrap().verify(&manifest, victim.now).unwrap();
        let local = LocalDevice {
            device: &self.device,
            account: self.account.id(),
            certificate: certificate(&self.account, self.device.id(), &self.device.dh_public()),
            manifest_version: self.manifest.version(),
            manifest_hash: self.manifest.hash(),
        };
        initiate(victim.now, &local, victim.account, &bundle, Some(token), &mut self.rng).unwrap()
    }

    fn introduction(&self) -> Part {
        let mailbox = self.mailbox.public();
        Part::Introduction(Introduction {
            manifest: self.manifest.as_bytes().to_vec(),
            nickname: self.nickname.clone(),
            generation: mailbox.generation,
            base_key: mailbox.base_key,
            secret: mailbox.secret,
            whereabouts: Whereabouts { peer: PeerId([66; 32]), addresses: vec![], valid_until: NOW },
        })
    }

    /// Says something in a first message, handed over by the custodian.
    fn say(&mut self, victim: &mut Victim, session: &mut Session, parts: Vec<Part>) {
        let mut all = vec![self.introduction()];
        all.extend(parts);
        let content = ContentV1 { knows_you: true, mine: (0, [0; 8]), yours: (0, [0; 8]), parts: all };
        let inner = session.seal(&codec::encode(&Content::V1(content)), &mut self.rng).unwrap().inner;
        let day = victim.account.day(victim.now);
        let address = request_address(&victim.account, day).unwrap();
        let expires = victim.now.plus(DAY_MS).seconds();
        let envelope = seal_round(&victim.account.0, address, day, expires, &inner, &mut self.rng).unwrap();
        victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope }));
    }
}

fn text(seq: u64, at: Time) -> Part {
    let id = MessageId(*sha256(&[&seq.to_le_bytes()]).first_chunk().unwrap());
    Part::Text { id, run: 1, seq, at, expires: NOW.plus(DAY_MS), text: format!("{seq}") }
}

/// A contact dates one message in the year 10000. The event is written to disk as JSON, and can never be
/// read again: `listen --since` and every client that comes back get a damaged database, until 10,000
/// more events have gone by. The same by any custodian's `HELD` (below).
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_contact_cannot_make_the_kept_events_unreadable() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![text(1, Time(253_402_300_800_000))]);
    assert_eq!(victim.read().len(), 1);
    let events = victim.store.transaction(|tx| Messenger::events_after(tx, 0, 1_000));
    assert!(events.is_ok(), "{events:?}");
}

/// A custodian (anybody who runs one) says of one deposit that it is kept until the end of time.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_custodian_cannot_make_the_kept_events_unreadable() {
    let mut world = connected(601, 4);
    world.stop(1);
    world.record = true;
    world.say(0, "p1", "hello");
    world.run(100);
    let envelope = world.recorded.iter().find_map(|bytes| match Frame::from_bytes(bytes) {
        Ok(Frame::Deposit { envelope, .. }) => Some(EnvelopeId::of(&envelope)),
        _ => None,
    });
    let (envelope, receipt) = (envelope.unwrap(), CustodyReceipt::Plain { until: Time::MAX });
    for custodian in 2..6 {
        world.frame(0, world.nodes[custodian].peer, Frame::Held { envelope, receipt: receipt.clone() });
    }
    let events = world.nodes[0].private.transaction(|tx| Messenger::events_after(tx, 0, 1_000));
    assert!(events.is_ok(), "{events:?}");
}

/// names: "a later one must not move a name to somebody else". A nickname that is none in between, and
/// the contact has another name whenever it likes: what was "mallory" is "bank".
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_contact_does_not_choose_its_name_twice() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![]);
    assert_eq!(victim.contact().name, "mallory");
    for nickname in ["", "bank"] {
        mallory.nickname = nickname.to_owned();
        mallory.say(&mut victim, &mut session, vec![]);
    }
    assert_eq!(victim.contact().name, "mallory");
}

/// session.md 19 and the pin of manifests. The account has revoked its stolen device: version 6 lists
/// another one, and the victim has it pinned. The thief begins a session with version 5: it is let in, and
/// everything is sent to it from then on.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_device_that_the_pinned_manifest_does_not_list_is_not_heard() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let (stolen, old) = (std::mem::replace(&mut mallory.device, DeviceKeys::generate(&mut mallory.rng)), {
        mallory.manifest.clone()
    });
    mallory.manifest = Mallory::manifest_of(&mallory.account, &mallory.device, 6, Vec::new());
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![text(1, NOW)]);
    assert_eq!((victim.read().len(), victim.contact().sessions), (1, 1));
    (mallory.device, mallory.manifest) = (stolen, old);
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![text(2, NOW)]);
    assert_eq!((victim.read().len(), victim.contact().sessions), (1, 1), "the revoked device was heard");
}

/// "Contacts pin (version, hash)." Another manifest of the same version is taken in its place, without a
/// word: two that contradict one another are what equivocation looks like.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn another_manifest_of_the_pinned_version_is_not_taken_silently() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![]);
    mallory.manifest = Mallory::manifest_of(&mallory.account, &mallory.device, 5, vec![1]);
    mallory.say(&mut victim, &mut session, vec![]);
    let pinned = victim.store.values().filter(|(table, value)| {
        let ours = mallory.manifest.as_bytes();
        **table == Table::Contacts && value.windows(ours.len()).any(|part| part == ours)
    });
    let replaced = pinned.count() > 0;
    let healthy = match victim.ask(Request::Status(NoParams {})) {
        Reply::Status(status) => status.health.ok,
        other => panic!("{other:?}"),
    };
    assert!(!(replaced && healthy), "the pin was moved and nobody told");
}

/// A contact whose mailbox is full (it fills it itself) lets mail to it wait at the victim. Each message of
/// it, 2 KiB, undoes the back-off of all of them: thirty deposits of what may be 64 KiB each, every time.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_contact_does_not_undo_the_back_off_with_every_message() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    mallory.say(&mut victim, &mut session, vec![]);
    victim.refuses = Some(Refusal::MailboxFull);
    for i in 0..30 {
        let (to, text) = ("mallory".to_owned(), format!("waits {i}"));
        victim.ask(Request::Send(SendParams { to, text, client_id: None, expire_ms: None }));
    }
    victim.run(10 * MINUTE_MS);
    let before = victim.deposits().count();
    for _ in 0..40 {
        let receipt = Part::Receipt { run: 9, up_to: 0, beyond: vec![] };
        mallory.say(&mut victim, &mut session, vec![receipt]);
        victim.run(100);
    }
    let made = victim.deposits().count() - before;
    assert!(made <= 300, "{made} deposits within four seconds for 40 messages of one contact");
}

/// A custodian (the only one) lets every second message of an honest author through. From the 1,025th gap
/// on, the recipient says in its receipts that it has what it never got: "delivered", and the author's
/// outbox drops it. Promised: never "delivered" without the message.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_receipt_names_nothing_that_did_not_arrive() {
    let (mut victim, mut mallory) = (Victim::new(), Mallory::new());
    let ticket = victim.invite();
    let mut session = mallory.begin(&victim, &ticket);
    let odd: Vec<u64> = (1..=1_030).map(|i| 2 * i).collect();
    for some in odd.chunks(400) {
        mallory.say(&mut victim, &mut session, some.iter().map(|seq| text(*seq, NOW)).collect());
        victim.now = victim.now.plus(MINUTE_MS);
    }
    victim.run(10 * MINUTE_MS);
    let secret = mallory.mailbox.public().secret;
    let mut said = BTreeSet::new();
    for bytes in victim.deposits() {
        let envelope = Envelope::parse(bytes).unwrap();
        let Ok(opened) = session.open(victim.now, &unmask(&secret, &envelope)) else { continue };
        let Ok(Content::V1(content)) = codec::decode(&opened.content) else { panic!("not a content") };
        for part in content.parts {
            if let Part::Receipt { up_to, beyond, .. } = part {
                said.extend((1..=up_to).chain(beyond.iter().flat_map(|(a, b)| *a..=*b)));
            }
        }
    }
    assert!(!said.is_empty());
    let lies: Vec<&u64> = said.iter().filter(|seq| *seq % 2 == 1).collect();
    assert!(lies.is_empty(), "acknowledged and never arrived: {lies:?}");
}

/// keeper: "everything a peer can grow here has a bound". Addresses cost nothing and a tombstone for one is
/// always taken: it counts towards no quota and no rate, and is kept for 31 days. 200 bytes sent (per id
/// of 64: 4 KiB kept by the node), as fast as the line goes.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn strangers_do_not_fill_a_keeper_with_tombstones() {
    const HELD_MAX: u64 = 16 * 1_024;
    let mut store = keeper::store::MemoryStore::default();
    let config = keeper::Config { own_peer: OWN, held_bytes_max: HELD_MAX };
    let mut keeper = store.transaction(|tx| Keeper::restore(config, NOW, tx)).unwrap();
    store.transaction(|tx| keeper.handle(NOW, keeper::io::Input::PeerUp(facts(CUSTODIAN)), tx)).unwrap();
    let (day, id) = (NOW.utc_day(), EnvelopeId([5; 32]));
    let mut made = Vec::new();
    for i in 0..300u32 {
        let seed = sha256(&[&i.to_le_bytes()]);
        let signer = BlindedSigner::request(&AccountKeys::derive(&Entropy::from_bytes(seed)), day);
        let (address, mut ids) = (signer.address(), vec![id]);
        let signature = claim::sign_tombstone(&signer, day, &mut ids).to_bytes().to_vec();
        let frame = Frame::Tombstone(Tombstone { address, day, ids, signature });
        let input = keeper::io::Input::Frame(CUSTODIAN, frame);
        store.transaction(|tx| keeper.handle(NOW, input, tx)).unwrap();
        made.push(address);
    }
    let kept = made.iter().filter_map(|address| store.tombstone(address, &id).unwrap());
    let bytes: u64 = kept.map(|tombstone| Frame::Tombstone(tombstone).to_bytes().len() as u64).sum();
    assert!(bytes <= HELD_MAX, "{bytes} bytes kept by who is told to keep {HELD_MAX}");
}

// The rest needs no hostile contact: honest nodes, and what time, disks and custodians do to them.

fn connected(seed: u64, custodians: usize) -> World {
    let mut world = World::new(seed, 2, custodians);
    world.run(SECOND_MS);
    world.introduce(0, 1);
    world.run(5 * SECOND_MS);
    world
}

fn sessions(world: &mut World, node: usize) -> u32 {
    match world.call(node, Request::Contacts(NoParams {})) {
        Ok(Reply::Contacts(list)) => list.contacts[0].sessions,
        other => panic!("{other:?}"),
    }
}

/// Up for a while, alone with the custodians.
fn turn(world: &mut World, node: usize, ms: u64) {
    world.start(node);
    world.run(ms);
    world.stop(node);
}

/// session.md 14, "one live session". Both begin anew at once; p0's first message lies at a custodian that
/// comes back only after p1 has heard p0's answer on its own session. From then on each sends on a
/// session that the other has archived, and 31 days later deleted: nothing that they write is
/// readable any more, and no direct stream can be proven. Nobody is told.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn two_that_began_at_once_do_not_part_after_a_month() {
    for seed in 610..613 {
        let mut world = connected(seed, 4);
        world.stop(0);
        world.stop(1);
        (3..6).for_each(|custodian| world.stop(custodian));
        world.nodes[0].rolled_back = true;
        world.nodes[1].rolled_back = true;
        world.start(0);
        let sent = world.say(0, "p1", "from p0");
        assert!(world.wait_state(0, &sent.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(0);
        world.stop(2);
        (3..6).for_each(|custodian| world.start(custodian));
        world.start(1);
        let sent = world.say(1, "p0", "from p1");
        assert!(world.wait_state(1, &sent.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(1);
        turn(&mut world, 0, 5 * MINUTE_MS);
        turn(&mut world, 1, 5 * MINUTE_MS);
        world.start(2);
        turn(&mut world, 1, 5 * MINUTE_MS);
        turn(&mut world, 0, 5 * MINUTE_MS);
        world.run(32 * DAY_MS);
        for (from, to) in [(0, 1), (1, 0)] {
            world.start(from);
            let sent = world.say(from, ["p1", "p0"][from], "after a month");
            assert!(world.wait_state(from, &sent.id, MessageState::Held, 60 * SECOND_MS));
            world.stop(from);
            turn(&mut world, to, 5 * MINUTE_MS);
        }
        for node in [0, 1] {
            world.start(node);
            let got = world.texts_from(node, ["p1", "p0"][node]);
            assert!(got.contains(&"after a month".to_owned()), "seed {seed}: p{node} has {got:?}");
            world.stop(node);
        }
    }
}

/// session.md 3. Opened tags are remembered for 31 days and archived sessions kept for 31 days, but the
/// private prekeys for 40. In between, who knows p0's account and recorded p1's very first message hands
/// it to p0 again: it begins a session, the one in use is archived, and p0 sends on one that p1 has
/// deleted.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_first_message_of_a_month_ago_begins_no_session() {
    let mut world = World::new(620, 2, 4);
    world.run(SECOND_MS);
    let account = world.account(0);
    world.record = true;
    world.introduce(0, 1);
    world.record = false;
    let today = account.day(world.now);
    let requests: Vec<Address> =
        (-1..=1).map(|ahead| request_address(&account, today.offset(ahead)).unwrap()).collect();
    let first = world.recorded.iter().find_map(|bytes| match Frame::from_bytes(bytes) {
        Ok(Frame::Deposit { envelope, .. }) => {
            let envelope = Envelope::parse(&envelope).unwrap();
            requests.contains(&envelope.address).then(|| unmask(&account.0, &envelope))
        }
        _ => None,
    });
    // p1 begins anew: its first session is archived on both sides.
    world.stop(1);
    world.nodes[1].rolled_back = true;
    world.start(1);
    let sent = world.say(1, "p0", "anew");
    assert!(world.wait_state(1, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
    world.run(5 * MINUTE_MS);
    (0..6).for_each(|node| world.stop(node));
    world.run(32 * DAY_MS + 6 * HOUR_MS);
    (2..6).for_each(|node| world.start(node));
    world.start(0);
    world.run(MINUTE_MS);
    let before = sessions(&mut world, 0);
    let day = account.day(world.now);
    let (address, expires) = (request_address(&account, day).unwrap(), world.now.plus(DAY_MS).seconds());
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let envelope = seal_round(&account.0, address, day, expires, &first.unwrap(), &mut rng).unwrap();
    world.frame(0, world.nodes[5].peer, Frame::Push { envelope });
    world.run(MINUTE_MS);
    assert_eq!(sessions(&mut world, 0), before, "a replay began a session");
}

/// p1, alone with a message of p0's for which it owes a receipt: nobody is there to keep it.
fn owing(seed: u64) -> World {
    let mut world = connected(seed, 3);
    world.stop(1);
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.start(1);
    let got =
        |world: &World| world.nodes[1].events.iter().any(|event| format!("{event:?}").contains("hello"));
    assert!(world.run_until(20 * SECOND_MS, got));
    (2..5).for_each(|custodian| world.stop(custodian));
    world
}

/// A laptop gets a message and loses its network before the receipt is out. "At most one a minute": the
/// looks of rounds that are over seal the next receipt at once, and each of these leaves more looks.
#[test]
fn a_receipt_that_cannot_be_sent_is_made_once_a_minute() {
    let mut world = owing(630);
    world.run(MINUTE_MS);
    let before = world.nodes[1].lookups;
    world.run(5 * MINUTE_MS);
    let asked = world.nodes[1].lookups - before;
    assert!(asked <= 60, "{asked} questions in five minutes for one receipt");
}

/// And what that ends in: each is sealed one step further on in the chain, so after half an hour without
/// a network nothing that p1 writes can be opened ("skips 2,048, one more refused"), by mailbox or
/// directly, and after five hours the session has come to its end, at 65,536.
#[test]
fn half_an_hour_without_a_network_does_not_use_up_a_session() {
    let mut world = owing(631);
    world.run(30 * MINUTE_MS);
    (2..5).for_each(|custodian| world.start(custodian));
    let sent = world.say(1, "p0", "on line again");
    assert!(world.wait_state(1, &sent.id, MessageState::Held, MINUTE_MS));
    world.stop(1);
    turn(&mut world, 0, 2 * MINUTE_MS);
    world.start(0);
    let by_mailbox = world.texts_from(0, "p1").len();
    world.start(1);
    world.run(MINUTE_MS);
    let both_on_line = world.texts_from(0, "p1").len();
    assert_eq!((by_mailbox, both_on_line), (1, 1));
}

/// session.md 23, mailbox.md 4: "re-seals after a reset". What is `held` is not: p1 loses its sessions on
/// the eighth day and says so by a new first message, but p0 deposits again only on day 14, when the message
/// has expired. They are never on line together.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn held_mail_is_sealed_and_deposited_again_when_the_contact_begins_anew() {
    let mut world = connected(640, 4);
    world.stop(1);
    let sent = world.say(0, "p1", "important");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.run(7 * DAY_MS + 6 * HOUR_MS);
    turn(&mut world, 0, 10 * MINUTE_MS);
    world.lose_sessions(1);
    // Its disk is what custodians still have: nothing, as far as it can read.
    world.start(1);
    let back = world.say(1, "p0", "I lost everything");
    assert!(world.wait_state(1, &back.id, MessageState::Held, MINUTE_MS));
    world.stop(1);
    for _ in 0..6 {
        turn(&mut world, 0, 20 * MINUTE_MS);
        world.run(12 * HOUR_MS);
        turn(&mut world, 1, 20 * MINUTE_MS);
        world.run(12 * HOUR_MS);
    }
    world.start(1);
    assert_eq!(world.texts_from(1, "p0"), ["important"]);
    assert_eq!(world.state(1, &back.id), Some(MessageState::Delivered));
}

/// A receipt that finds no session to be sealed on is forgotten until something else comes: after a
/// rollback p1 opens what waits for it, begins anew, and p0 is not told.
#[test]
fn a_receipt_that_waits_for_a_session_is_sent_when_there_is_one() {
    let mut world = connected(650, 4);
    world.stop(1);
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.nodes[1].rolled_back = true;
    turn(&mut world, 1, HOUR_MS);
    world.start(0);
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 10 * MINUTE_MS));
}

/// p1 has added p0, who let it in, so the invite is used up. p1's database is restored from a copy before
/// it hears so: it asks for the invite again, is told that it has ended, and deletes the contact and
/// the conversation, while p0 has it and writes.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_rollback_while_a_contact_is_being_added_does_not_delete_it() {
    let mut world = World::new(660, 2, 4);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.run(2 * SECOND_MS);
    world.stop(0);
    let added = world.add(1, &ticket).unwrap();
    let sent = world.say(1, &added.account, "hello");
    assert!(world.wait_state(1, &sent.id, MessageState::Held, 30 * SECOND_MS));
    world.stop(1);
    turn(&mut world, 0, MINUTE_MS);
    world.nodes[1].rolled_back = true;
    world.start(1);
    world.run(MINUTE_MS);
    let contacts = match world.call(1, Request::Contacts(NoParams {})) {
        Ok(Reply::Contacts(list)) => list.contacts.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(contacts, 1, "the contact is gone, and what was written to it");
}

/// A ticket had ended, so the contact and its messages are deleted; a new ticket of the same account works.
/// The client, which never got an answer to its send, sends it again: the Messenger takes its own
/// deletion for a damaged database and its step fails, every time.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_client_id_of_a_deleted_conversation_is_not_a_damaged_database() {
    let mut world = World::new(670, 3, 4);
    world.run(SECOND_MS);
    let ticket = world.invite(0);
    world.add(2, &ticket).unwrap();
    world.run(20 * SECOND_MS);
    let account = world.account(0).to_string();
    let again = || World::send_request(&account, "hello", Some("once".to_owned()));
    world.ask(1, Request::Add(AddParams { ticket, name: None }));
    world.ask(1, again());
    world.run(20 * SECOND_MS);
    let ticket = world.invite(0);
    world.add(1, &ticket).unwrap();
    world.run(20 * SECOND_MS);
    world.ask(1, again());
    world.run(20 * SECOND_MS);
    assert_eq!(world.texts_from(0, "p1"), ["hello"]);
}

/// p1's clock was 20 days ahead for two hours. The days it missed count as collected for the next 20
/// days: what lies in the mailbox of one of them is not looked for.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_clock_that_was_ahead_does_not_skip_days_to_collect() {
    let mut world = connected(680, 4);
    world.set_clock(1, i64::try_from(20 * DAY_MS).unwrap());
    world.run(2 * HOUR_MS);
    world.set_clock(1, 0);
    world.run(MINUTE_MS);
    world.stop(1);
    let sent = world.say(0, "p1", "while you are away");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.run(3 * DAY_MS + 12 * HOUR_MS);
    world.start(1);
    world.run(5 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0"), ["while you are away"]);
}

/// p1 comes back after days and for two hours meets one peer only, who keeps nothing for it (a stranger
/// can see to that). The missed days count as collected, and their mailboxes are closed.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn missed_days_are_collected_from_those_who_keep_them() {
    let mut world = connected(690, 5);
    world.stop(6);
    world.stop(1);
    let sent = world.say(0, "p1", "while you are away");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.stop(0);
    world.run(3 * DAY_MS + 12 * HOUR_MS);
    (2..6).for_each(|custodian| world.stop(custodian));
    world.start(6);
    world.start(1);
    world.run(2 * HOUR_MS + 30 * MINUTE_MS);
    (2..6).for_each(|custodian| world.start(custodian));
    world.run(30 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0"), ["while you are away"]);
}

/// Addresses are blinded so that two days cannot be linked, and a later deposit "looks new". The envelope's
/// `expires`, in clear and to the second, is that of the message: custodians see one value under
/// yesterday's address and under today's.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_later_deposit_does_not_link_two_days() {
    let mut world = connected(700, 4);
    world.stop(1);
    world.record = true;
    let sent = world.say(0, "p1", "hello");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 10 * SECOND_MS));
    world.run(DAY_MS + HOUR_MS);
    let mut addresses: BTreeMap<Time, BTreeSet<Address>> = BTreeMap::new();
    for bytes in &world.recorded {
        if let Ok(Frame::Deposit { envelope, .. }) = Frame::from_bytes(bytes) {
            let envelope = Envelope::parse(&envelope).unwrap();
            addresses.entry(envelope.expires_at()).or_default().insert(envelope.address);
        }
    }
    let second = Time(1_000);
    let linked = addresses.iter().filter(|(at, seen)| at.0 % HOUR_MS >= second.0 && seen.len() > 1);
    assert_eq!(linked.count(), 0, "{addresses:?}");
}

/// What others can make a Messenger do has a price; this has none. Five frames of junk on a contact's
/// stream, and it asks custodians 24 times, makes a KEM and a handshake and seals its outbox anew; 1.5 s
/// later again.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_contact_does_not_make_a_new_session_every_other_second() {
    let mut world = connected(710, 4);
    let before = sessions(&mut world, 0);
    let peer = world.nodes[1].peer;
    for i in 0..150u32 {
        for j in 0..5u32 {
            let inner = sha256(&[&i.to_le_bytes(), &j.to_le_bytes()]).repeat(8);
            world.frame(0, peer, Frame::Direct { inner });
        }
        world.run(2 * SECOND_MS);
    }
    let made = sessions(&mut world, 0) - before;
    assert!(made <= 10, "{made} sessions in five minutes");
}

/// 2,060 messages that expire before p1 is back, and then one that does not: it is held by every custodian
/// and p1 cannot find it, because it is 2,060 ahead. Sealed again after 7 days it is farther still.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_message_after_many_that_expired_is_found() {
    let mut world = connected(720, 1);
    (1..3).for_each(|node| world.stop(node));
    for i in 0..2_060 {
        let (to, text, expire_ms) = ("p1".to_owned(), format!("{i}"), Some(MINUTE_MS));
        world.ask(0, Request::Send(SendParams { to, text, client_id: None, expire_ms }));
    }
    world.run(3 * MINUTE_MS);
    assert!(world.outbox(0).is_empty());
    world.stop(0);
    world.run(2 * DAY_MS);
    world.start(2);
    world.start(0);
    let sent = world.say(0, "p1", "the last");
    assert!(world.wait_state(0, &sent.id, MessageState::Held, 60 * SECOND_MS));
    world.stop(0);
    world.start(1);
    world.run(5 * MINUTE_MS);
    assert_eq!(world.texts_from(1, "p0"), ["the last"]);
}

/// p0 began a session with a prekey that p1 does not have any more (its database is an older copy). p1
/// begins anew, and p0, whose own session has the smaller id (one in two), keeps sending on its own, which
/// nobody can open, for nine days.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_session_that_the_contact_cannot_have_is_not_preferred() {
    for seed in 730..734 {
        let mut world = connected(seed, 4);
        world.stop(1);
        world.stop(0);
        let copy = world.nodes[1].private.clone();
        world.run(DAY_MS + 2 * HOUR_MS);
        turn(&mut world, 1, MINUTE_MS);
        world.lose_sessions(0);
        world.start(0);
        let sent = world.say(0, "p1", "hello");
        assert!(world.wait_state(0, &sent.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(0);
        world.nodes[1].private = copy;
        world.nodes[1].rolled_back = true;
        world.start(1);
        let back = world.say(1, "p0", "an older copy");
        assert!(world.wait_state(1, &back.id, MessageState::Held, 60 * SECOND_MS));
        world.stop(1);
        for _ in 0..4 {
            turn(&mut world, 0, 20 * MINUTE_MS);
            world.run(12 * HOUR_MS);
            turn(&mut world, 1, 20 * MINUTE_MS);
            world.run(6 * HOUR_MS);
        }
        world.start(1);
        assert!(world.texts_from(1, "p0").contains(&"hello".to_owned()), "seed {seed}");
    }
}

/// A node was started on an older copy, began anew, and went on. Each time its clock is set back while it
/// runs it takes itself for an older copy again: every session and the run of its numbers begin anew.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn a_rollback_is_one_rollback() {
    let mut world = connected(740, 4);
    world.stop(0);
    world.nodes[0].rolled_back = true;
    world.start(0);
    let sent = world.say(0, "p1", "anew");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
    let before = sessions(&mut world, 0);
    world.set_clock(0, -i64::try_from(5 * MINUTE_MS).unwrap());
    world.run(10 * SECOND_MS);
    let sent = world.say(0, "p1", "and again?");
    assert!(world.wait_state(0, &sent.id, MessageState::Delivered, 120 * SECOND_MS));
    assert_eq!(sessions(&mut world, 0), before);
}

/// session.md, Keys: an invite's private prekeys are "kept until the last use". They are kept for a month
/// after: who takes the disk then reads the first message, and everything up to the first answer.
#[test]
#[ignore = "shows a fault that is not mended yet"]
fn the_prekeys_of_an_invite_that_is_used_up_are_deleted() {
    let mut world = connected(750, 4);
    world.run(2 * HOUR_MS);
    let prekeys = world.nodes[0].private.values().filter(|(table, _)| **table == Table::Prekeys).count();
    assert_eq!(prekeys, 1, "the public one, and no other");
}
