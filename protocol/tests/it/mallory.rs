//! A contact that says what it likes: the contents of sessions, written by hand (SPEC §8.5).

use murmesh_protocol::blind::request_address;
use murmesh_protocol::id::{InviteToken, MessageId, PeerId, SessionId, sha256};
use murmesh_protocol::keys::{AccountKeys, DeviceKeys, Entropy, MailboxKeys, MailboxPublic};
use murmesh_protocol::messenger::io::{Input, Output};
use murmesh_protocol::session::{LocalDevice, Session, initiate};
use murmesh_protocol::time::{DAY_MS, Time};
use murmesh_protocol::wire::bundle::BundleIn;
use murmesh_protocol::wire::codec;
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::Frame;
use murmesh_protocol::wire::manifest::{Manifest, ManifestDevice, ManifestFields, ManifestIn, certificate};
use murmesh_protocol::wire::record::{RecordIn, Slot};
use murmesh_protocol::wire::ticket::Ticket;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::victim::{CUSTODIAN, NOW, Victim};

/// Where it says that it lives.
pub(crate) const MALLORY: PeerId = PeerId([66; 32]);

#[derive(Serialize, Deserialize)]
pub(crate) enum Content {
    V1(ContentV1),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ContentV1 {
    knows_you: bool,
    mine: (u64, [u8; 8]),
    pub(crate) yours: (u64, [u8; 8]),
    pub(crate) parts: Vec<Part>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Part {
    Text { id: MessageId, run: u64, seq: u64, at: Time, expires: Time, text: String },
    Receipt { run: u64, up_to: u64, beyond: Vec<(u64, u64)> },
    Introduction(Introduction),
    Whereabouts(Whereabouts),
    AlsoHas(SessionId),
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Introduction {
    manifest: Vec<u8>,
    nickname: String,
    pub(crate) generation: u32,
    pub(crate) base_key: [u8; 32],
    pub(crate) secret: [u8; 32],
    whereabouts: Whereabouts,
}

impl Introduction {
    /// Where its author's mail is deposited.
    pub(crate) fn mailbox(&self) -> MailboxPublic {
        MailboxPublic { generation: self.generation, base_key: self.base_key, secret: self.secret }
    }
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    peer: PeerId,
    addresses: Vec<String>,
    valid_until: Time,
}

#[derive(Serialize, Deserialize)]
enum InviteContent {
    Open { manifest: Vec<u8>, bundle: Vec<u8>, expires: Time },
    Ended,
}

/// An account that keeps to the formats and to nothing else.
pub(crate) struct Mallory {
    /// The node it says it lives in.
    pub(crate) peer: PeerId,
    pub(crate) account: AccountKeys,
    pub(crate) mailbox: MailboxKeys,
    pub(crate) device: DeviceKeys,
    pub(crate) manifest: Manifest,
    pub(crate) nickname: String,
    /// What it says of its own manifest and of the victim's: version, first bytes of the hash.
    pub(crate) mine: (u64, [u8; 8]),
    pub(crate) yours: (u64, [u8; 8]),
    pub(crate) rng: ChaCha20Rng,
}

impl Mallory {
    pub(crate) fn new() -> Mallory {
        Mallory::number(66)
    }

    /// One of several.
    pub(crate) fn number(seed: u8) -> Mallory {
        Mallory::made_up(seed.into(), seed)
    }

    /// One of thousands.
    pub(crate) fn made_up(seed: u64, fill: u8) -> Mallory {
        let mut bytes = [fill; 32];
        if seed != u64::from(fill) {
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
        }
        let entropy = Entropy::from_bytes(bytes);
        let account = AccountKeys::derive(&entropy);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let device = DeviceKeys::generate(&mut rng);
        let manifest = Mallory::manifest_of(&account, &device, 5, Vec::new());
        let mailbox = MailboxKeys::derive(&entropy, 0);
        Mallory {
            peer: PeerId(bytes),
            account,
            mailbox,
            device,
            manifest,
            nickname: "mallory".to_owned(),
            mine: (0, [0; 8]),
            yours: (0, [0; 8]),
            rng,
        }
    }

    pub(crate) fn manifest_of(
        account: &AccountKeys,
        device: &DeviceKeys,
        version: u64,
        name: Vec<u8>,
    ) -> Manifest {
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
    pub(crate) fn begin(&mut self, victim: &Victim, ticket: &Ticket) -> Session {
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
        let local = local_device(&self.account, &self.device, &self.manifest);
        initiate(victim.now, &local, victim.account, &bundle, Some(token), &mut self.rng).unwrap()
    }

    /// A session with the bundle that the victim publishes for everybody, as the custodian has it of today.
    pub(crate) fn begin_as_stranger(&mut self, victim: &Victim) -> Session {
        let address = request_address(&victim.account, victim.account.day(victim.now)).unwrap();
        let found = |slot: Slot| {
            let record = victim.sent.iter().rev().find_map(|output| match output {
                Output::Send(CUSTODIAN, Frame::PutRecord { record }) => {
                    let record = RecordIn::parse(record).unwrap().verify().unwrap();
                    (record.address() == address && record.head().slot == slot).then_some(record)
                }
                _ => None,
            });
            record.unwrap().open(&victim.account.0).unwrap()
        };
        let manifest = ManifestIn::parse(&found(Slot::Manifest)).unwrap().verify(victim.account).unwrap();
        let bundle = BundleIn::parse(&found(Slot::Bundle)).unwrap().verify(&manifest, victim.now).unwrap();
        let local = local_device(&self.account, &self.device, &self.manifest);
        initiate(victim.now, &local, victim.account, &bundle, None, &mut self.rng).unwrap()
    }

    pub(crate) fn introduction(&self) -> Part {
        let mailbox = self.mailbox.public();
        Part::Introduction(Introduction {
            manifest: self.manifest.as_bytes().to_vec(),
            nickname: self.nickname.clone(),
            generation: mailbox.generation,
            base_key: mailbox.base_key,
            secret: mailbox.secret,
            whereabouts: Whereabouts { peer: self.peer, addresses: vec![], valid_until: NOW },
        })
    }

    pub(crate) fn seal(&mut self, session: &mut Session, parts: Vec<Part>) -> Vec<u8> {
        let content = ContentV1 { knows_you: true, mine: self.mine, yours: self.yours, parts };
        session.seal(&codec::encode(&Content::V1(content)), &mut self.rng).unwrap().inner
    }

    /// A first message, sealed and not yet handed over.
    pub(crate) fn first(&mut self, session: &mut Session, parts: Vec<Part>) -> Vec<u8> {
        let introduced = [vec![self.introduction()], parts].concat();
        self.seal(session, introduced)
    }

    /// Says something in a first message, handed over by the custodian.
    pub(crate) fn say(&mut self, victim: &mut Victim, session: &mut Session, parts: Vec<Part>) {
        let inner = self.first(session, parts);
        self.hand_over(victim, &inner);
    }

    /// The custodian hands a first message over, from the request mailbox of that day.
    pub(crate) fn hand_over(&mut self, victim: &mut Victim, inner: &[u8]) {
        let day = victim.account.day(victim.now);
        let address = request_address(&victim.account, day).unwrap();
        let expires = victim.now.plus(DAY_MS).seconds();
        let envelope = seal_round(&victim.account.0, address, day, expires, inner, &mut self.rng).unwrap();
        victim.input(Input::Frame(CUSTODIAN, Frame::Push { envelope }));
    }
}

pub(crate) fn local_device<'a>(
    account: &AccountKeys,
    device: &'a DeviceKeys,
    manifest: &Manifest,
) -> LocalDevice<'a> {
    LocalDevice {
        device,
        account: account.id(),
        certificate: certificate(account, device.id(), &device.dh_public()),
        manifest_version: manifest.version(),
        manifest_hash: manifest.hash(),
    }
}

pub(crate) fn text(seq: u64, at: Time) -> Part {
    let id = MessageId(*sha256(&[&seq.to_le_bytes()]).first_chunk().unwrap());
    Part::Text { id, run: 1, seq, at, expires: NOW.plus(DAY_MS), text: format!("{seq}") }
}
