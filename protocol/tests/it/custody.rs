//! The Keeper alone: what it admits, refuses, shows and drops; each bound one below, at and above.

use murmesh_protocol::blind::{AddressSigner, BlindedSigner};
use murmesh_protocol::id::{Address, EnvelopeId, PeerId};
use murmesh_protocol::keeper::io::{Input, Output};
use murmesh_protocol::keeper::store::{KeeperStore, MemoryStore, tombstone_bytes};
use murmesh_protocol::keeper::{Config, Keeper};
use murmesh_protocol::keys::{AccountKeys, Entropy};
use murmesh_protocol::limits::{
    DEPOSIT_BYTES_PER_PREFIX_HOUR_MAX, GRACE_MS, IDS_PER_CLAIM_MAX, LIFE_MS_MAX, MAILBOX_ENVELOPES_MAX,
    SUBSCRIPTIONS_PER_PEER_MAX,
};
use murmesh_protocol::messenger::io::{PeerFacts, PeerFault};
use murmesh_protocol::time::{DAY_MS, Day, Time};
use murmesh_protocol::wire::claim;
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::{Admission, Claim, Frame, Refusal, Role, Subject, Tombstone};
use murmesh_protocol::wire::record::{RecordHead, Slot, seal_record};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

const NOW: Time = Time(20_000 * DAY_MS + DAY_MS / 2);
const KEEPER: PeerId = PeerId([1; 32]);
const OWNER: PeerId = PeerId([2; 32]);
const SENDER: PeerId = PeerId([3; 32]);
const CHALLENGE: [u8; 32] = [9; 32];

struct Bench {
    keeper: Keeper,
    store: MemoryStore,
    rng: ChaCha20Rng,
    now: Time,
}

fn facts(peer: PeerId) -> PeerFacts {
    PeerFacts {
        peer,
        role: Role::Full,
        keeps: true,
        their_challenge: [8; 32],
        our_challenge: CHALLENGE,
        prefix: None,
    }
}

fn signer(day: Day) -> BlindedSigner {
    BlindedSigner::request(&AccountKeys::derive(&Entropy::from_bytes([7; 32])), day)
}

impl Bench {
    fn new(held_bytes_max: u64) -> Bench {
        let mut store = MemoryStore::default();
        let config = Config { own_peer: KEEPER, held_bytes_max };
        let keeper = store.transaction(|tx| Keeper::restore(config, NOW, tx)).unwrap();
        let mut bench = Bench { keeper, store, rng: ChaCha20Rng::seed_from_u64(1), now: NOW };
        for peer in [OWNER, SENDER] {
            bench.input(Input::PeerUp(facts(peer)));
        }
        bench
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        let (keeper, now) = (&mut self.keeper, self.now);
        self.store.transaction(|tx| keeper.handle(now, input, tx)).unwrap();
        std::iter::from_fn(|| self.keeper.poll_output()).collect()
    }

    /// What the keeper says to `peer`.
    fn ask(&mut self, peer: PeerId, frame: Frame) -> Vec<Frame> {
        let outputs = self.input(Input::Frame(peer, frame));
        let to_peer = |output| match output {
            Output::Send(to, frame) if to == peer => Some(frame),
            _ => None,
        };
        outputs.into_iter().filter_map(to_peer).collect()
    }

    fn envelope(&mut self, day: Day, expires: Time, bytes: usize) -> Vec<u8> {
        let inner = vec![0; bytes];
        let address = signer(day).address();
        seal_round(&[5; 32], address, day, expires.seconds(), &inner, &mut self.rng).unwrap()
    }

    fn small(&mut self) -> Vec<u8> {
        self.envelope(NOW.utc_day(), NOW.plus(DAY_MS), 512 - 58)
    }

    fn deposit(&mut self, envelope: &[u8]) -> Frame {
        let frame = Frame::Deposit { envelope: envelope.to_vec(), admission: Admission::None };
        self.ask(SENDER, frame).pop().unwrap()
    }

    fn refusal(&mut self, envelope: &[u8]) -> Option<Refusal> {
        match self.deposit(envelope) {
            Frame::Refused { subject: Subject::Envelope(id), why, .. } => {
                assert_eq!(id, EnvelopeId::of(envelope));
                Some(why)
            }
            Frame::Held { .. } => None,
            other => panic!("{other:?}"),
        }
    }

    fn subscribe(&mut self, day: Day, cursor: u64, live: bool, challenge: [u8; 32]) -> Vec<Frame> {
        let (signer, address) = (signer(day), signer(day).address());
        let signed = claim::Claim { custodian: KEEPER, challenge, address, day, cursor };
        let signature = claim::sign_subscribe(&signer, &signed).to_bytes().to_vec();
        let claim = Claim { address, day, cursor, signature };
        self.ask(OWNER, Frame::Subscribe { claim, live, digest: vec![] })
    }

    fn get(&mut self, day: Day, ids: &[EnvelopeId]) -> Vec<Frame> {
        let (signer, address) = (signer(day), signer(day).address());
        let signed = claim::Claim { custodian: KEEPER, challenge: CHALLENGE, address, day, cursor: 0 };
        let signature = claim::sign_get(&signer, &signed, ids).to_bytes().to_vec();
        let claim = Claim { address, day, cursor: 0, signature };
        self.ask(OWNER, Frame::Get { claim, ids: ids.to_vec() })
    }
}

fn tombstone(ids: &[EnvelopeId]) -> Tombstone {
    let (day, mut ids) = (NOW.utc_day(), ids.to_vec());
    let signature = claim::sign_tombstone(&signer(day), day, &mut ids).to_bytes().to_vec();
    Tombstone { address: signer(day).address(), day, ids, signature }
}

fn ids_of(frames: &[Frame]) -> Vec<EnvelopeId> {
    match frames {
        [Frame::Have { ids, .. }] => ids.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deposit_is_held_listed_fetched_and_dropped_for_good() {
    let mut bench = Bench::new(1 << 20);
    let envelope = bench.small();
    let id = EnvelopeId::of(&envelope);
    assert!(matches!(bench.deposit(&envelope), Frame::Held { envelope, .. } if envelope == id));
    assert_eq!(bench.refusal(&envelope), None, "again: held again, kept once");
    assert_eq!(bench.keeper.totals().envelopes, 1);
    let today = NOW.utc_day();
    let found = ids_of(&bench.subscribe(today, 0, false, CHALLENGE));
    assert_eq!(found, [id]);
    assert_eq!(bench.get(today, &[id]), [Frame::Push { envelope: envelope.clone() }]);
    bench.ask(SENDER, Frame::Tombstone(tombstone(&[id])));
    assert_eq!(bench.keeper.totals().envelopes, 0);
    assert_eq!(bench.keeper.totals().bytes, tombstone_bytes(&tombstone(&[id])));
    assert_eq!(bench.refusal(&envelope), Some(Refusal::Tombstoned), "deleted is never resurrected");
    let address = signer(today).address();
    assert_eq!(bench.get(today, &[id]), [Frame::Missing { address, ids: vec![id] }]);
    // A neighbour that still has it is told.
    let told = bench.ask(SENDER, Frame::Admitted { address, ids: vec![id] });
    assert_eq!(told, [Frame::Tombstone(tombstone(&[id]))]);
}

#[test]
fn live_subscribers_are_pushed_to_and_told_of_what_neighbours_have() {
    let mut bench = Bench::new(1 << 20);
    let today = NOW.utc_day();
    bench.subscribe(today, 0, true, CHALLENGE);
    let envelope = bench.small();
    let outputs = bench.input(Input::Frame(
        SENDER,
        Frame::Deposit { envelope: envelope.clone(), admission: Admission::None },
    ));
    assert!(outputs.contains(&Output::Send(OWNER, Frame::Push { envelope })));
    let (address, elsewhere) = (signer(today).address(), EnvelopeId([4; 32]));
    let outputs = bench.input(Input::Frame(SENDER, Frame::Admitted { address, ids: vec![elsewhere] }));
    let have = Frame::Have { address, ids: vec![elsewhere], cursor: 0, more: false, holder: Some(SENDER) };
    assert_eq!(outputs, [Output::Send(OWNER, have)]);
    bench.input(Input::PeerDown(OWNER));
    let envelope = bench.small();
    let outputs = bench.input(Input::Frame(SENDER, Frame::Deposit { envelope, admission: Admission::None }));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Send(peer, _) if *peer == OWNER)));
}

#[test]
fn claims_of_others_and_replayed_challenges_are_refused() {
    let mut bench = Bench::new(1 << 20);
    let today = NOW.utc_day();
    let refused = bench.subscribe(today, 0, false, [0; 32]);
    assert!(matches!(refused[..], [Frame::Refused { why: Refusal::BadSignature, .. }]));
    let (address, other) = (signer(today).address(), signer(today.offset(1)));
    let signed = claim::Claim { custodian: KEEPER, challenge: CHALLENGE, address, day: today, cursor: 0 };
    let signature = claim::sign_subscribe(&other, &signed).to_bytes().to_vec();
    let claim = Claim { address, day: today, cursor: 0, signature };
    let outputs = bench.input(Input::Frame(OWNER, Frame::Subscribe { claim, live: true, digest: vec![] }));
    assert!(outputs.contains(&Output::Misbehaved(OWNER, PeerFault::BadSignature)));
}

#[test]
fn days_and_lives_outside_the_tolerance_are_refused() {
    let mut bench = Bench::new(1 << 20);
    let today = NOW.utc_day();
    for (offset, fits) in [(-2, false), (-1, true), (0, true), (2, true), (3, false)] {
        let envelope = bench.envelope(today.offset(offset), NOW.plus(DAY_MS), 512 - 58);
        let expected = if fits { None } else { Some(Refusal::WrongDay) };
        assert_eq!(bench.refusal(&envelope), expected, "deposit at day {offset}");
    }
    for (offset, fits) in [(-32, false), (-31, true), (2, true), (3, false)] {
        let frames = bench.subscribe(today.offset(offset), 0, false, CHALLENGE);
        assert_eq!(matches!(frames[..], [Frame::Have { .. }]), fits, "collecting at day {offset}");
    }
    let longest = LIFE_MS_MAX + GRACE_MS;
    for (expires, fits) in [
        (NOW.minus(GRACE_MS + 1_000), false),
        (NOW.minus(GRACE_MS), true),
        (NOW.plus(longest), true),
        (NOW.plus(longest + 1_000), false),
    ] {
        let envelope = bench.envelope(today, expires, 512 - 58);
        let expected = if fits { None } else { Some(Refusal::BadExpiry) };
        assert_eq!(bench.refusal(&envelope), expected);
    }
}

#[test]
fn a_mailbox_takes_its_quota_and_not_one_more() {
    let mut bench = Bench::new(64 << 20);
    for i in 0..MAILBOX_ENVELOPES_MAX {
        let envelope = bench.small();
        assert_eq!(bench.refusal(&envelope), None, "envelope {i}");
    }
    let envelope = bench.small();
    assert_eq!(bench.refusal(&envelope), Some(Refusal::MailboxFull));
    let elsewhere = bench.envelope(NOW.utc_day().offset(1), NOW.plus(DAY_MS), 512 - 58);
    assert_eq!(bench.refusal(&elsewhere), None, "another mailbox is not touched");
    // By bytes: 4 MiB of 64 KiB envelopes is 64.
    let mut bench = Bench::new(64 << 20);
    let results: Vec<_> = (0..65)
        .map(|_| {
            let envelope = bench.envelope(NOW.utc_day(), NOW.plus(DAY_MS), 65_536 - 58);
            bench.refusal(&envelope)
        })
        .collect();
    assert!(results[..64].iter().all(Option::is_none));
    assert_eq!(results[64], Some(Refusal::MailboxFull));
}

#[test]
fn a_full_custodian_says_so_and_a_light_one_keeps_nothing() {
    let mut bench = Bench::new(1_024);
    let envelopes: Vec<Vec<u8>> = (0..3).map(|_| bench.small()).collect();
    assert_eq!(bench.refusal(&envelopes[0]), None);
    assert_eq!(bench.refusal(&envelopes[1]), None);
    assert!(matches!(bench.deposit(&envelopes[2]), Frame::Full { .. }));
    let mut light = Bench::new(0);
    assert_eq!(light.refusal(&envelopes[0]), Some(Refusal::NotACustodian));
}

#[test]
fn what_has_expired_is_dropped_and_never_served() {
    let mut bench = Bench::new(1 << 20);
    let envelope = bench.small();
    assert_eq!(bench.refusal(&envelope), None);
    bench.now = NOW.plus(DAY_MS + GRACE_MS + 1_000);
    bench.input(Input::Deadline);
    assert_eq!(bench.keeper.totals().envelopes, 0);
    assert_eq!(ids_of(&bench.subscribe(NOW.utc_day(), 0, false, CHALLENGE)), []);
}

#[test]
fn subscriptions_and_ids_are_bounded() {
    let mut bench = Bench::new(1 << 20);
    let today = NOW.utc_day();
    let account = |i: usize| AccountKeys::derive(&Entropy::from_bytes([u8::try_from(i).unwrap(); 32]));
    let mut subscribe = |i: usize| {
        let signer = BlindedSigner::request(&account(i), today);
        let address = signer.address();
        let signed = claim::Claim { custodian: KEEPER, challenge: CHALLENGE, address, day: today, cursor: 0 };
        let signature = claim::sign_subscribe(&signer, &signed).to_bytes().to_vec();
        let claim = Claim { address, day: today, cursor: 0, signature };
        bench.ask(OWNER, Frame::Subscribe { claim, live: true, digest: vec![] })
    };
    for i in 0..SUBSCRIPTIONS_PER_PEER_MAX {
        assert!(matches!(subscribe(i)[..], [Frame::Have { .. }]));
    }
    let refused = subscribe(SUBSCRIPTIONS_PER_PEER_MAX);
    assert!(matches!(refused[..], [Frame::Refused { why: Refusal::TooManySubscriptions, .. }]));
    assert!(matches!(subscribe(0)[..], [Frame::Have { .. }]), "a known one may ask again");
    let ids = |n: usize| (0..n).map(|i| EnvelopeId([u8::try_from(i).unwrap(); 32])).collect::<Vec<_>>();
    assert!(matches!(bench.get(today, &ids(IDS_PER_CLAIM_MAX))[..], [Frame::Missing { .. }]));
    let refused = bench.get(today, &ids(IDS_PER_CLAIM_MAX + 1));
    assert!(matches!(refused[..], [Frame::Refused { why: Refusal::Malformed, .. }]));
}

#[test]
fn of_two_records_the_higher_sequence_number_wins() {
    let mut bench = Bench::new(1 << 20);
    let today = NOW.utc_day();
    let address: Address = signer(today).address();
    let mut record = |seq: u64, content: &[u8]| {
        let head = RecordHead { slot: Slot::Manifest, day: today, seq, expires: NOW.plus(DAY_MS) };
        seal_record(&signer(today), &head, &[1; 32], content, &mut bench.rng).unwrap()
    };
    let (old, new, future) = (record(5, b"old"), record(6, b"new"), record(NOW.0 + GRACE_MS + 1, b"far"));
    let mut forged = new.clone();
    *forged.last_mut().unwrap() ^= 1;
    let put = |bench: &mut Bench, record: &[u8]| {
        bench.ask(SENDER, Frame::PutRecord { record: record.to_vec() }).pop().unwrap()
    };
    let held = |seq| Frame::RecordHeld { address, slot: 0, seq };
    let refused = |why| Frame::Refused { subject: Subject::Record(address, 0), why, retry_after_ms: 0 };
    assert_eq!(put(&mut bench, &old), held(5));
    assert_eq!(put(&mut bench, &forged), refused(Refusal::BadSignature));
    assert_eq!(put(&mut bench, &new), held(6));
    assert_eq!(put(&mut bench, &old), refused(Refusal::Older));
    assert_eq!(put(&mut bench, &future), refused(Refusal::BadExpiry));
    let found = bench.ask(SENDER, Frame::GetRecords { address });
    assert_eq!(found, [Frame::Records { address, records: vec![new] }]);
    for (offset, fits) in [(-2, false), (-1, true), (9, true), (10, false)] {
        let day = today.offset(offset);
        let head = RecordHead { slot: Slot::Bundle, day, seq: 1, expires: NOW.plus(DAY_MS) };
        let record = seal_record(&signer(day), &head, &[1; 32], b"x", &mut bench.rng).unwrap();
        assert_eq!(matches!(put(&mut bench, &record), Frame::RecordHeld { .. }), fits, "day {offset}");
    }
}

#[test]
fn frames_of_the_messenger_are_a_fault() {
    let mut bench = Bench::new(1 << 20);
    let outputs = bench.input(Input::Frame(SENDER, Frame::DirectProof { proof: [0; 32], want: true }));
    assert_eq!(outputs, [Output::Misbehaved(SENDER, PeerFault::Unexpected)]);
    let garbage = Frame::Deposit { envelope: vec![1, 2, 3], admission: Admission::None };
    let outputs = bench.input(Input::Frame(SENDER, garbage));
    assert!(outputs.contains(&Output::Misbehaved(SENDER, PeerFault::Malformed)));
    let envelope = bench.small();
    let stamped = Frame::Deposit { envelope, admission: Admission::Stamp(vec![1]) };
    assert!(matches!(bench.ask(SENDER, stamped)[..], [Frame::Refused { why: Refusal::Admission, .. }]));
}

#[test]
fn a_tombstone_or_a_get_that_the_owner_did_not_sign_does_nothing() {
    let mut bench = Bench::new(1 << 20);
    let envelope = bench.small();
    let (id, today) = (EnvelopeId::of(&envelope), NOW.utc_day());
    assert_eq!(bench.refusal(&envelope), None);
    let mut forged = tombstone(&[id]);
    *forged.signature.last_mut().unwrap() ^= 1;
    let outputs = bench.input(Input::Frame(SENDER, Frame::Tombstone(forged)));
    assert_eq!(outputs, [Output::Misbehaved(SENDER, PeerFault::BadSignature)]);
    assert_eq!(bench.keeper.totals().envelopes, 1, "it is still kept");
    // Signed by the owner, but for other ids than those that are asked for.
    let (signer, address) = (signer(today), signer(today).address());
    let signed = claim::Claim { custodian: KEEPER, challenge: CHALLENGE, address, day: today, cursor: 0 };
    let signature = claim::sign_get(&signer, &signed, &[EnvelopeId([4; 32])]).to_bytes().to_vec();
    let claim = Claim { address, day: today, cursor: 0, signature };
    let frames = bench.ask(SENDER, Frame::Get { claim, ids: vec![id] });
    assert!(matches!(frames[..], [Frame::Refused { why: Refusal::BadSignature, .. }]), "{frames:?}");
}

/// A new record of an address takes the place of the old one, in the quota too.
#[test]
fn a_record_that_replaces_another_needs_no_more_room() {
    let today = NOW.utc_day();
    let record = |bench: &mut Bench, seq: u64, content: &[u8]| {
        let head = RecordHead { slot: Slot::Manifest, day: today, seq, expires: NOW.plus(DAY_MS) };
        seal_record(&signer(today), &head, &[1; 32], content, &mut bench.rng).unwrap()
    };
    let size = u64::try_from(record(&mut Bench::new(0), 5, b"x").len()).unwrap();
    for (room, fits) in [(size - 1, false), (size, true)] {
        let mut bench = Bench::new(room);
        for (seq, content, fits) in
            [(5, b"x".as_slice(), fits), (6, b"y", fits), (7, b"z", fits), (8, b"zz", false)]
        {
            let record = record(&mut bench, seq, content);
            let answer = bench.ask(SENDER, Frame::PutRecord { record }).pop().unwrap();
            assert_eq!(matches!(answer, Frame::RecordHeld { .. }), fits, "{seq}: {answer:?}");
        }
        assert_eq!(bench.keeper.totals().bytes, if fits { size } else { 0 });
    }
}

#[test]
fn a_tombstone_is_remembered_while_there_is_room_and_drops_what_is_held_in_any_case() {
    let unknown = tombstone(&[EnvelopeId([4; 32]), EnvelopeId([5; 32])]);
    let size = tombstone_bytes(&unknown);
    let remembered = |bench: &mut Bench, tombstone: &Tombstone| {
        bench.ask(SENDER, Frame::Tombstone(tombstone.clone()));
        bench.store.tombstone(&tombstone.address, &tombstone.ids[0]).unwrap().is_some()
    };
    for (room, fits) in [(size - 1, false), (size, true), (size + 1, true)] {
        let mut bench = Bench::new(room);
        assert_eq!(remembered(&mut bench, &unknown), fits, "{room} bytes");
        assert_eq!(bench.keeper.totals().bytes, if fits { size } else { 0 });
        remembered(&mut bench, &unknown);
        assert_eq!(bench.keeper.totals().bytes, if fits { size } else { 0 }, "again: nothing new");
    }
    let mut bench = Bench::new(1 << 20);
    let mut spender = facts(SENDER);
    spender.prefix = Some([1; 6]);
    bench.input(Input::PeerUp(spender));
    let envelopes: Vec<Vec<u8>> = (0..2).map(|_| bench.small()).collect();
    envelopes.iter().for_each(|envelope| assert_eq!(bench.refusal(envelope), None));
    let held: Vec<Tombstone> = envelopes.iter().map(|bytes| tombstone(&[EnvelopeId::of(bytes)])).collect();
    assert!(remembered(&mut bench, &held[0]));
    let mut spent = 2 * 512 + tombstone_bytes(&held[0]);
    // The rest of the hour goes into records of one slot.
    for seq in 1.. {
        let head = RecordHead { slot: Slot::Manifest, day: NOW.utc_day(), seq, expires: NOW.plus(DAY_MS) };
        let record = seal_record(&signer(head.day), &head, &[1; 32], &[0; 16_000], &mut bench.rng).unwrap();
        spent += u64::try_from(record.len()).unwrap();
        let answer = bench.ask(SENDER, Frame::PutRecord { record }).pop().unwrap();
        if !matches!(answer, Frame::RecordHeld { .. }) {
            break;
        }
    }
    assert!(spent > DEPOSIT_BYTES_PER_PREFIX_HOUR_MAX);
    // What is left is less than a record, and may hold some tombstones yet.
    let many = |i: u8| {
        tombstone(&(0..64).map(|j| EnvelopeId([i, j].repeat(16).try_into().unwrap())).collect::<Vec<_>>())
    };
    let kept = (0..4).filter(|i| remembered(&mut bench, &many(*i))).count();
    assert!(kept < 4, "a rate for them too");
    assert!(!remembered(&mut bench, &many(9)));
    bench.ask(SENDER, Frame::Tombstone(held[1].clone()));
    assert_eq!(bench.keeper.totals().envelopes, 0, "what is held goes");
}
