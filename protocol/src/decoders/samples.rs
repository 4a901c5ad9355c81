//! Real encoded values: the first files of every corpus. Made from seeds, so that they can be made again.

use core::net::Ipv4Addr;

use super::Decoder;
use crate::blind::{AddressSigner, BlindedSigner};
use crate::control::{ControlError, ErrorName, NoParams, Request, SendParams, Timestamp};
use crate::id::{Address, DeviceId, EnvelopeId, InviteToken, MessageId, PeerId};
use crate::keys::{AccountKeys, DeviceKeys, Entropy, PrekeyPair};
use crate::messenger::decoders::samples as of_messenger;
use crate::session::decoders::samples as of_session;
use crate::testing::rng;
use crate::time::{DAY_MS, Day, Time};
use crate::wire::bundle::{Bundle, BundleTimes};
use crate::wire::claim::{self, sign_tombstone};
use crate::wire::codec;
use crate::wire::envelope::seal_round;
use crate::wire::frame::{
    Admission, Claim, CustodyReceipt, Frame, Hello, PROTOCOL_VERSION, PeerHint, Refusal, Role, Subject,
    Tombstone,
};
use crate::wire::manifest::{Manifest, ManifestDevice, ManifestFields};
use crate::wire::record::{RecordHead, Slot, seal_record};
use crate::wire::ticket::{Hint, Ticket};

pub(crate) const NOW: Time = Time(20_000 * DAY_MS);

/// The samples of a decoder.
pub(super) fn of(decoder: &Decoder) -> Vec<Vec<u8>> {
    match decoder.name {
        "frame" => frames(),
        "tombstone" => vec![codec::encode(&tombstone())],
        "envelope" => [512, 2_048].map(envelope).to_vec(),
        "record" => [Slot::Manifest, Slot::Bundle, Slot::Whereabouts].map(record).to_vec(),
        "manifest" => vec![manifest(0), manifest(2)],
        "bundle" => vec![bundle()],
        "keys" => keys(),
        "text" => texts(),
        "control" => control(),
        "content" => of_messenger::contents(),
        "row" => of_messenger::rows(),
        "session" => of_session::records(),
        "inner" => of_session::inners(),
        other => unreachable!("{other} has no samples"),
    }
}

pub(crate) fn account() -> AccountKeys {
    AccountKeys::derive(&Entropy::from_bytes([7; 32]))
}

fn envelope(size: usize) -> Vec<u8> {
    let inner = vec![3; size - 58];
    seal_round(&[1; 32], Address([2; 32]), Day(20_000), 1_800_000_000, &inner, &mut rng(1)).unwrap()
}

fn record(slot: Slot) -> Vec<u8> {
    let signer = BlindedSigner::request(&account(), Day(3));
    let head = RecordHead { slot, day: Day(3), seq: 5, expires: NOW };
    seal_record(&signer, &head, &account().id().0, b"content", &mut rng(1)).unwrap()
}

pub(crate) fn manifest(revoked: u8) -> Vec<u8> {
    let device = |seed| {
        let keys = DeviceKeys::generate(&mut rng(seed));
        ManifestDevice { id: keys.id(), dh: keys.dh_public(), name: vec![1, 2], added_at: NOW }
    };
    let fields = ManifestFields {
        version: 2,
        previous_hash: [9; 32],
        devices: vec![device(1), device(2)],
        revoked: (0..revoked).map(|i| (DeviceId([i; 32]), NOW)).collect(),
        not_after: NOW,
    };
    Manifest::sign(&account(), fields).unwrap().as_bytes().to_vec()
}

pub(crate) fn bundle() -> Vec<u8> {
    let times = BundleTimes { seq: 1, not_before: NOW, not_after: NOW.plus(8 * DAY_MS) };
    let (device, prekeys) = (DeviceKeys::generate(&mut rng(1)), PrekeyPair::generate(&mut rng(2)));
    Bundle::sign(&device, account().id(), &prekeys, times).as_bytes().to_vec()
}

fn keys() -> Vec<Vec<u8>> {
    vec![
        DeviceKeys::generate(&mut rng(1)).to_record().to_vec(),
        PrekeyPair::generate(&mut rng(2)).to_record().to_vec(),
        PeerId([9; 32]).to_multihash(),
        signed_claim().signature,
    ]
}

fn signed_claim() -> Claim {
    let signer = BlindedSigner::request(&account(), Day(3));
    let (address, day) = (signer.address(), Day(3));
    let claim = claim::Claim { custodian: PeerId([1; 32]), challenge: [2; 32], address, day, cursor: 300 };
    let signature = claim::sign_subscribe(&signer, &claim).to_bytes().to_vec();
    Claim { address, day, cursor: 300, signature }
}

fn tombstone() -> Tombstone {
    let signer = BlindedSigner::request(&account(), Day(3));
    let mut ids = vec![EnvelopeId([8; 32]), EnvelopeId([5; 32])];
    let signature = sign_tombstone(&signer, Day(3), &mut ids).to_bytes().to_vec();
    Tombstone { address: signer.address(), day: Day(3), ids, signature }
}

/// One of every kind, in the order of their numbers.
fn frames() -> Vec<Vec<u8>> {
    let (address, envelope_id, ids) = (Address([1; 32]), EnvelopeId([2; 32]), vec![EnvelopeId([3; 32]); 3]);
    let addresses = vec!["/ip4/127.0.0.1/tcp/4001".to_owned(), "/ip6/::1/udp/4001/quic-v1".to_owned()];
    let peers = vec![PeerHint { peer: PeerId([4; 32]), addresses: addresses.clone() }; 2];
    let (version, role, keeps) = (PROTOCOL_VERSION, Role::Full, true);
    let frames = [
        Frame::Hello(Hello { version, addresses, role, keeps, challenge: [5; 32], time: NOW }),
        Frame::Deposit { envelope: envelope(512), admission: Admission::None },
        Frame::Held { envelope: envelope_id, receipt: CustodyReceipt::Plain { until: NOW } },
        Frame::Full { envelope: envelope_id },
        Frame::Closer { envelope: envelope_id, peers: peers.clone() },
        Frame::Refused { subject: Subject::Record(address, 1), why: Refusal::Rate, retry_after_ms: 9_000 },
        Frame::Subscribe { claim: signed_claim(), live: true, digest: vec![] },
        Frame::Have { address, ids: ids.clone(), cursor: 70_000, more: true, holder: Some(PeerId([6; 32])) },
        Frame::Get { claim: signed_claim(), ids: ids.clone() },
        Frame::Push { envelope: envelope(512) },
        Frame::Tombstone(tombstone()),
        Frame::Revoke(vec![1]),
        Frame::Forward(vec![1, 2]),
        Frame::Sync(vec![]),
        Frame::Admitted { address, ids: ids.clone() },
        Frame::PutRecord { record: record(Slot::Manifest) },
        Frame::RecordHeld { address, slot: 1, seq: u64::MAX },
        Frame::GetRecords { address },
        Frame::Records { address, records: vec![record(Slot::Manifest), record(Slot::Bundle)] },
        Frame::AskPeers,
        Frame::Peers(peers),
        Frame::DirectProof { proof: [7; 32], want: true },
        Frame::Direct { inner: vec![8; 454] },
        Frame::Missing { address, ids },
    ];
    frames.iter().map(Frame::to_bytes).collect()
}

fn texts() -> Vec<Vec<u8>> {
    let hint = |quic| Hint { ip: Ipv4Addr::new(203, 0, 113, 9).into(), port: 4_001, quic };
    let token = Some(InviteToken([9; 16]));
    let ticket = Ticket { account: account().id(), token, hints: vec![hint(false), hint(true)] };
    let bare = Ticket { token: None, hints: Vec::new(), ..ticket.clone() };
    let texts = [
        PeerId([9; 32]).to_string(),
        account().id().to_string(),
        MessageId([0xab; 16]).to_string(),
        Timestamp(NOW.plus(123)).to_string(),
        ticket.to_string(),
        format!("  {}\n", bare.to_string().to_lowercase()),
    ];
    texts.map(String::into_bytes).to_vec()
}

fn control() -> Vec<Vec<u8>> {
    let send = SendParams {
        to: "bob".to_owned(),
        text: "hello \u{e9} \"quoted\"".to_owned(),
        client_id: Some("1".to_owned()),
        expire_ms: Some(1_000),
    };
    let requests =
        [Request::Send(send), Request::Status(NoParams {})].map(|r| serde_json::to_vec(&r).unwrap());
    let error = ControlError::with(ErrorName::NoSuchContact, "bob");
    let mut all = requests.to_vec();
    all.push(serde_json::to_vec(&error).unwrap());
    all.extend(of_messenger::events());
    all.push(br#"{"method":"message.read","params":{"since":"2026-11-24T03:22:25Z","peek":true}}"#.to_vec());
    all.push(br#"{"params":{"since":"9","types":["message.state"]},"method":"events.subscribe"}"#.to_vec());
    all
}
