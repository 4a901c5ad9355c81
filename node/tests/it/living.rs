//! A living node among peers that send, at every protocol it speaks, what nobody should: each is refused in the
//! words of the protocol and scored, and two friends go on talking.

use std::time::Instant;

use futures::AsyncWriteExt;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, StreamProtocol};
use murmesh_node::Node;
use murmesh_node::swarm::streams::PROTOCOL;
use murmesh_protocol::blind::{AddressSigner, BlindedSigner};
use murmesh_protocol::control::MessageState;
use murmesh_protocol::id::{Address, EnvelopeId, PeerId};
use murmesh_protocol::keys::{AccountKeys, Entropy};
use murmesh_protocol::limits::FRAME_BYTES_MAX;
use murmesh_protocol::time::{DAY_MS, Time};
use murmesh_protocol::wire::claim::{self, sign_get, sign_subscribe, sign_tombstone};
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::{
    Admission, Claim, Frame, Hello, PROTOCOL_VERSION, PeerHint, Refusal, Role, Tombstone,
};
use murmesh_protocol::wire::record::{RecordHead, Slot, seal_record};
use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::attacker::{Attacker, hello};
use crate::nodes::{address, friends, send, start, state_of, until};
use crate::stub::PATIENCE;

/// What a node answers to beside frames.
const OTHERS: [StreamProtocol; 6] = [
    StreamProtocol::new("/murmesh/1/kad"),
    StreamProtocol::new("/murmesh/1/gossip/1.1.0"),
    StreamProtocol::new("/murmesh/1/gossip/1.0.0"),
    StreamProtocol::new("/ipfs/id/1.0.0"),
    StreamProtocol::new("/ipfs/id/push/1.0.0"),
    StreamProtocol::new("/ipfs/ping/1.0.0"),
];

/// Two friends; the first is attacked.
struct Friends {
    alice: Node,
    bob: Node,
    peer: libp2p::PeerId,
    address: Multiaddr,
    said: u32,
    _homes: [TempDir; 2],
}

impl Friends {
    async fn new() -> Friends {
        let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (alice, bob) = (start(&homes[0], &[]).await, start(&homes[1], &[]).await);
        friends(&alice, &bob).await;
        let text = address(&alice).await;
        let (address, peer) = text.split_once("/p2p/").unwrap();
        let (address, peer) = (address.parse().unwrap(), peer.parse().unwrap());
        Friends { alice, bob, peer, address, said: 0, _homes: homes }
    }

    /// Bob says something, and Alice has it.
    async fn talk(&mut self) {
        self.said += 1;
        let id = send(&self.bob, "alice", &format!("{}", self.said)).await.unwrap();
        until("delivered", || async { state_of(&self.bob, &id).await == Some(MessageState::Delivered) })
            .await;
    }

    /// A peer that has said HELLO, as it should.
    async fn greeted(&self, keypair: &Keypair) -> Attacker {
        let mut attacker = Attacker::at(keypair, self.peer, &self.address).await.expect("is let in");
        attacker.say(&hello(Role::Light, &[])).await;
        attacker
    }

    /// Whether somebody is let in, at one of so few attempts that their number is no fault.
    async fn is_banned(&self, keypair: &Keypair) -> bool {
        for _ in 0..5 {
            if Attacker::at(keypair, self.peer, &self.address).await.is_none() {
                return true;
            }
        }
        false
    }

    fn port(&self) -> u16 {
        self.address.to_string().rsplit('/').next().unwrap().parse().unwrap()
    }

    /// Nobody but Bob is connected, and he is heard.
    async fn end(mut self) {
        let peers = || async { self.alice.status().await.unwrap().peers.connected };
        until("only the friend is left", || async { peers().await == 1 }).await;
        self.talk().await;
        self.alice.stop().await;
        self.bob.stop().await;
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(3)
}

/// What is nothing in any of the protocols: noise, a length that never comes, one that is too great, half of
/// something, text, nothing.
fn garbage(rng: &mut ChaCha20Rng) -> Vec<Vec<u8>> {
    let mut noise = vec![0; 4_000];
    rng.fill_bytes(&mut noise);
    // A FIND_NODE of Kademlia whose key is longer than the message.
    let find_node = vec![0x08, 0x08, 0x04, 0x52, 0xff, 0xff, 0x03, 1, 2];
    // An RPC of gossip with three thousand subscriptions to nothing.
    let subscriptions = [0x0a, 0x04, 0x08, 0x01, 0x12, 0x00].repeat(3_000);
    let mut gossip = vec![0xd0, 0x8c, 0x01];
    gossip.extend(subscriptions);
    vec![
        noise.clone(),
        [&[0xff, 0xff, 0xff, 0xff, 0x0f], noise.as_slice()].concat(),
        [&[0xff; 10], noise.as_slice()].concat(),
        vec![0x80, 0x20, 1],
        find_node.repeat(50),
        gossip,
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        Vec::new(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_at_every_protocol_stops_nobody() {
    let (mut friends, mut rng) = (Friends::new().await, rng());
    for protocol in OTHERS {
        for bytes in garbage(&mut rng) {
            let mut attacker = friends.greeted(&Keypair::generate_ed25519()).await;
            let mut stream =
                attacker.open(protocol.clone()).await.unwrap_or_else(|e| panic!("{protocol}: {e}"));
            // What of it the node still takes is its own affair.
            let _ = timeout(PATIENCE, stream.write_all(&bytes)).await.expect("is taken or refused");
            let _ = timeout(PATIENCE, stream.close()).await;
        }
        friends.talk().await;
    }
    friends.end().await;
}

/// Below the encryption, and where it begins; connections that are never spoken on.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_and_noise_below_the_encryption_stop_nobody() {
    let (mut friends, mut rng) = (Friends::new().await, rng());
    let port = friends.port();
    let mut noise = vec![0; 4_000];
    rng.fill_bytes(&mut noise);
    let (select, noises) = (b"\x13/multistream/1.0.0\n".as_slice(), b"\x07/noise\n".as_slice());
    let openings = [
        noise.clone(),
        select.to_vec(),
        [select, noises].concat(),
        [select, noises, &[0xff, 0xff], &noise].concat(),
        [select, noises, &[0, 32], &noise[..32], &[0, 0], &noise].concat(),
        [select, &[0xff; 200]].concat(),
        [select, b"\x03ls\n"].concat(),
    ];
    for bytes in &openings {
        for end in [bytes.len(), bytes.len() / 2] {
            let mut raw = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let _ = raw.write_all(&bytes[..end]).await;
        }
    }
    friends.talk().await;
    // More than may be pending at once.
    let mut mute = Vec::new();
    for _ in 0..300 {
        mute.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    friends.talk().await;
    // Whoever is new waits until they have had their time.
    let started = Instant::now();
    let keypair = Keypair::generate_ed25519();
    let newcomer = async {
        loop {
            let arrived = Attacker::at(&keypair, friends.peer, &friends.address).await;
            if let Some(arrived) = arrived {
                break arrived;
            }
        }
    };
    let newcomer = timeout(PATIENCE * 2, newcomer).await.expect("is let in after all");
    eprintln!("a newcomer came in after {} ms", started.elapsed().as_millis());
    drop((newcomer, mute));
    friends.end().await;
}

/// One hostile thing, what is answered (nothing that is heard is anything else), and whether its sender is banned.
struct Case {
    what: &'static str,
    frames: Vec<Vec<u8>>,
    answer: Option<Refusal>,
    banned: bool,
}

fn case(what: &'static str, frames: Vec<Frame>, answer: Option<Refusal>, banned: bool) -> Case {
    Case { what, frames: frames.iter().map(Frame::to_bytes).collect(), answer, banned }
}

fn deposit(envelope: Vec<u8>) -> Vec<Frame> {
    vec![Frame::Deposit { envelope, admission: Admission::None }]
}

/// Frames that decode and are not what they say, or not allowed.
fn refused(custodian: PeerId) -> Vec<Case> {
    let account = AccountKeys::derive(&Entropy::from_bytes([7; 32]));
    let now = Time(
        u64::try_from(
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis(),
        )
        .unwrap(),
    );
    let day = now.utc_day();
    let (signer, mut rng) = (BlindedSigner::request(&account, day), rng());
    let address = signer.address();
    let mut envelope = |day, expires: Time| {
        seal_round(&[1; 32], address, day, expires.seconds(), &[3; 454], &mut rng).unwrap()
    };
    let good = envelope(day, now.plus(DAY_MS));
    let [mut version, mut class] = [good.clone(), good.clone()];
    (version[0], class[41]) = (2, 1);
    // Signed over another connection's challenge: heard there, and said again here.
    let replayed = claim::Claim { custodian, challenge: [9; 32], address, day, cursor: 0 };
    let claim = |signature: claim::AddressSignature| Claim {
        address,
        day,
        cursor: 0,
        signature: signature.to_bytes().to_vec(),
    };
    let subscribe =
        Frame::Subscribe { claim: claim(sign_subscribe(&signer, &replayed)), live: true, digest: vec![] };
    let ids = vec![EnvelopeId([1; 32])];
    let get = Frame::Get { claim: claim(sign_get(&signer, &replayed, &ids)), ids: ids.clone() };
    let signature = sign_tombstone(&signer, day, &mut vec![EnvelopeId([2; 32])]).to_bytes().to_vec();
    let tombstone = Frame::Tombstone(Tombstone { address, day, ids, signature });
    let head = RecordHead { slot: Slot::Manifest, day, seq: 1, expires: now.plus(DAY_MS) };
    let record = seal_record(&signer, &head, &[2; 32], b"x", &mut rng_of(5)).unwrap();
    let mut forged = record.clone();
    forged[60] ^= 1;
    let cut = record[..100].to_vec();
    let stamped = Frame::Deposit { envelope: good.clone(), admission: Admission::Stamp(vec![1]) };
    let put = |record| Frame::PutRecord { record };
    vec![
        case("an envelope of noise", deposit(vec![0xa5; 512]), Some(Refusal::Malformed), true),
        case("an envelope of another version", deposit(version), Some(Refusal::Malformed), true),
        case("an envelope of another class", deposit(class), Some(Refusal::Malformed), true),
        case("half an envelope", deposit(good[..256].to_vec()), Some(Refusal::Malformed), true),
        case(
            "an envelope of another day",
            deposit(envelope(day.offset(9), now)),
            Some(Refusal::WrongDay),
            false,
        ),
        case("an expired envelope", deposit(envelope(day, Time(1_000))), Some(Refusal::BadExpiry), false),
        case("a stamp, which nobody takes yet", vec![stamped], Some(Refusal::Admission), false),
        case("a replayed subscription", vec![subscribe.clone()], Some(Refusal::BadSignature), false),
        case("a replayed fetch", vec![get], Some(Refusal::BadSignature), false),
        case("four replayed subscriptions", vec![subscribe; 4], Some(Refusal::BadSignature), true),
        case("a record that nobody signed so", vec![put(forged)], Some(Refusal::BadSignature), false),
        case("a cut record", vec![put(cut)], None, true),
        case("a tombstone of other ids, again and again", vec![tombstone; 4], None, true),
    ]
}

fn rng_of(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Bytes that are not frames, or none that are allowed.
fn unreadable() -> Vec<Case> {
    let raw = |what, bytes: Vec<u8>, banned| Case { what, frames: vec![bytes], answer: None, banned };
    let peers = vec![PeerHint { peer: PeerId([1; 32]), addresses: vec![] }; 21];
    let missing = Frame::Missing { address: Address([1; 32]), ids: vec![EnvelopeId([1; 32])] }.to_bytes();
    let hello = hello(Role::Light, &[]).to_bytes();
    // As long as a frame may be, and nothing but the claim of a list of 2^62.
    let mut huge = vec![0; FRAME_BYTES_MAX];
    huge[0] = 20;
    huge[1..10].copy_from_slice(&[253, 0, 0, 0, 0, 0, 0, 0, 0x40]);
    vec![
        raw("noise of a known kind", [&[6], [0xa5; 64].as_slice()].concat(), true),
        raw("a frame that is cut", missing[..missing.len() - 1].to_vec(), true),
        raw("a frame with a byte too many", [missing.as_slice(), &[0]].concat(), true),
        raw("a list over its limit", Frame::Peers(peers).to_bytes(), true),
        raw("a list that claims everything", huge, true),
        raw("an empty frame", vec![], true),
        Case { what: "HELLO, replayed", frames: vec![hello; 40], answer: None, banned: true },
        raw("a kind of a newer version", vec![0xf0, 1, 2, 3], false),
        case("what nobody asked for", vec![Frame::Full { envelope: EnvelopeId([1; 32]) }; 3], None, false),
        case("a proof of nothing", vec![Frame::DirectProof { proof: [7; 32], want: false }; 3], None, false),
        case("a sealed message of nobody's", vec![Frame::Direct { inner: vec![7; 454] }; 3], None, false),
        case("kinds that are reserved", vec![Frame::Revoke(vec![1]), Frame::Sync(vec![2; 9])], None, false),
    ]
}

impl Friends {
    /// Sends, hears what is answered, and sees what becomes of the sender.
    async fn suffers(&mut self, case: &Case) {
        let (what, keypair) = (case.what, Keypair::generate_ed25519());
        let mut attacker = self.greeted(&keypair).await;
        for frame in &case.frames {
            let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
            attacker.write(&[length.as_slice(), frame].concat()).await;
        }
        // What comes after it is answered by whoever is still heard.
        attacker.say(&Frame::GetRecords { address: Address([9; 32]) }).await;
        let (mut refusals, mut goes_on) = (0, false);
        while let Some(frame) = attacker.hear().await {
            match frame {
                Frame::Refused { why, .. } => {
                    assert_eq!(Some(why), case.answer, "{what}");
                    refusals += 1;
                }
                Frame::Records { address, .. } => {
                    assert_eq!(address, Address([9; 32]), "{what}");
                    goes_on = true;
                    break;
                }
                _ => {}
            }
        }
        drop(attacker);
        // Who is banned is hung up on, which may overtake the answer.
        assert!(
            case.banned || (goes_on && refusals == usize::from(case.answer.is_some())),
            "{what}: {refusals}"
        );
        assert_eq!(self.is_banned(&keypair).await, case.banned, "{what}: is banned");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_frame_has_its_refusal_and_its_score() {
    let mut friends = Friends::new().await;
    let custodian = murmesh_node::swarm::translate::peer_in(&friends.peer).unwrap();
    for case in refused(custodian).iter().chain(&unreadable()) {
        friends.suffers(case).await;
        friends.talk().await;
    }
    friends.end().await;
}

/// A newer peer is turned away, not banned: it may come back when it speaks as we do.
#[tokio::test(flavor = "multi_thread")]
async fn a_hello_of_another_version_is_turned_away_and_not_banned() {
    let friends = Friends::new().await;
    for version in [0, PROTOCOL_VERSION + 1, u16::MAX] {
        let keypair = Keypair::generate_ed25519();
        let mut attacker = Attacker::at(&keypair, friends.peer, &friends.address).await.expect("is let in");
        let Frame::Hello(said) = hello(Role::Full, &[]) else { panic!("a HELLO") };
        attacker.say(&Frame::Hello(Hello { version, ..said })).await;
        attacker.until_hung_up().await;
        assert!(!friends.is_banned(&keypair).await, "{version}");
    }
    assert_eq!(PROTOCOL.as_ref(), "/murmesh/1/frames", "another one is another protocol");
    friends.end().await;
}
