//! A first exchange, as an example of use. The attacks are in `tests/it/session_*.rs`.

use super::*;
use crate::keys::{AccountKeys, DeviceKeys, Entropy, PrekeyPair};
use crate::testing::rng;
use crate::time::DAY_MS;
use crate::wire::bundle::{Bundle, BundleTimes};
use crate::wire::manifest::certificate;

pub(super) const NOW: Time = Time(20_000 * DAY_MS);

pub(super) struct Person {
    pub(super) account: AccountKeys,
    pub(super) device: DeviceKeys,
    pub(super) prekeys: PrekeyPair,
}

impl Person {
    pub(super) fn new(seed: u8) -> Person {
        let rng = &mut rng(seed.into());
        Person {
            account: AccountKeys::derive(&Entropy::from_bytes([seed; 32])),
            device: DeviceKeys::generate(rng),
            prekeys: PrekeyPair::generate(rng),
        }
    }

    pub(super) fn bundle(&self) -> Bundle {
        let times = BundleTimes { seq: 1, not_before: NOW, not_after: NOW.plus(8 * DAY_MS) };
        Bundle::sign(&self.device, self.account.id(), &self.prekeys, times)
    }

    pub(super) fn accept(&self, inner: &[u8]) -> Result<Accepted, OpenError> {
        accept(NOW, &self.local(), &self.prekeys, &self.bundle().id(), inner)
    }

    pub(super) fn local(&self) -> LocalDevice<'_> {
        let certificate = certificate(&self.account, self.device.id(), &self.device.dh_public());
        LocalDevice {
            device: &self.device,
            account: self.account.id(),
            certificate,
            manifest_version: 1,
            manifest_hash: [1; 32],
        }
    }
}

#[test]
fn a_first_exchange() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let bundle = bob.bundle();

    let mut ours = initiate(NOW, &alice.local(), bob.account.id(), &bundle, None, &mut rng(4)).unwrap();
    let first = ours.seal(b"hello", &mut rng(5)).unwrap();
    assert_eq!(first.inner.len(), 2_048 - 58);
    let header = FirstHeader::parse(&first.inner).unwrap();
    assert_eq!((header.hint, header.n, header.replay_key()), (bundle.hint(), 0, first.replay_key));

    let accepted = bob.accept(&first.inner).unwrap();
    let (mut theirs, opened) = (accepted.session, accepted.opened);
    assert_eq!(accepted.introduction.account, alice.account.id());
    assert_eq!((opened.content.as_slice(), opened.replay_key), (b"hello".as_slice(), first.replay_key));
    assert_eq!((theirs.id(), theirs.peer_device()), (ours.id(), alice.device.id()));

    assert!(ours.is_initial() && !theirs.is_initial());
    let answer = theirs.seal(b"hi", &mut rng(6)).unwrap();
    assert_eq!(answer.inner.len(), 512 - 58);
    assert_eq!(tag_of(&answer.inner), Some(answer.replay_key));
    assert!(ours.recognises(&answer.replay_key));
    assert_eq!(ours.open(NOW, &answer.inner).unwrap().content, b"hi");
    assert!(!ours.is_initial() && !ours.recognises(&answer.replay_key));
    let later = ours.seal(b"how are you?", &mut rng(7)).unwrap();
    assert_eq!(theirs.open(NOW, &later.inner).unwrap().content, b"how are you?");
}

fn pair() -> (Session, Session) {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(4);
    let mut ours = initiate(NOW, &alice.local(), bob.account.id(), &bob.bundle(), None, rng).unwrap();
    let first = ours.seal(b"hello", rng).unwrap().inner;
    (ours, bob.accept(&first).unwrap().session)
}

/// A session's every secret but the key of direct proofs, which lives as long as it.
fn secrets(session: &Session) -> Vec<[u8; 32]> {
    let mut out = vec![session.root.0, session.next.tag.0, session.next.header.0];
    if let Turn::Ours(sending) = &session.turn {
        out.extend([sending.chain.0, sending.next_private.0]);
        if let Opening::Later { keys, .. } = &sending.opening {
            out.extend([keys.tag.0, keys.header.0]);
        }
    }
    if let Some(chain) = &session.receiving {
        out.push(chain.key.0);
        if let TagSource::Keyed(key) = &chain.tags {
            out.push(key.0);
        }
    }
    out
}

/// Whoever takes the disk finds no key of a state more than three epochs old: the tag key of the
/// epoch being received was agreed two epochs before it, everything else goes sooner.
#[test]
fn a_snapshot_holds_no_earlier_secret() {
    let (mut alice, mut bob) = pair();
    let rng = &mut rng(5);
    let mut past: Vec<[Vec<[u8; 32]>; 2]> = Vec::new();
    for round in 0..8 {
        for _ in 0..3 {
            let inner = bob.seal(b"x", rng).unwrap().inner;
            alice.open(NOW, &inner).unwrap();
            past.push([secrets(&alice), secrets(&bob)]);
        }
        core::mem::swap(&mut alice, &mut bob);
        past.iter_mut().for_each(|sides| sides.reverse());
        let old = past.len().saturating_sub(9);
        for (side, session) in [&alice, &bob].into_iter().enumerate() {
            let record = session.to_record();
            let now: std::collections::BTreeSet<&[u8]> = record.windows(32).collect();
            let mut gone = past.iter().take(old).flat_map(|sides| &sides[side]);
            assert!(gone.all(|secret| !now.contains(secret.as_slice())), "round {round}");
        }
    }
}

/// Within an epoch, a chain key is gone once it has stepped, on both sides.
#[test]
fn a_snapshot_holds_no_stepped_chain_key() {
    let (mut alice, mut bob) = pair();
    let rng = &mut rng(5);
    let mut stepped = Vec::new();
    for _ in 0..5 {
        let inner = bob.seal(b"x", rng).unwrap().inner;
        alice.open(NOW, &inner).unwrap();
        let records = [alice.to_record(), bob.to_record()];
        for old in &stepped {
            assert!(records.iter().all(|record| record.windows(32).all(|window| window != old)));
        }
        let Turn::Ours(sending) = &bob.turn else { unreachable!() };
        assert_eq!(alice.receiving.as_ref().unwrap().key.0, sending.chain.0);
        stepped.push(sending.chain.0);
    }
}

/// The thief has both disks and reads what still can be read. After one epoch of each side, none of
/// the private keys it has opens the next one.
#[test]
fn no_stolen_key_opens_what_follows_a_flip_each_way() {
    let (mut alice, mut bob) = pair();
    let rng = &mut rng(5);
    for _ in 0..2 {
        let inner = bob.seal(b"x", rng).unwrap().inner;
        alice.open(NOW, &inner).unwrap();
        core::mem::swap(&mut alice, &mut bob);
    }
    let stolen = [secrets(&alice), secrets(&bob)].concat();
    let mut thief = Session::from_record(&alice.to_record()).unwrap();
    let flip_bob = bob.seal(b"still readable", rng).unwrap().inner;
    alice.open(NOW, &flip_bob).unwrap();
    thief.open(NOW, &flip_bob).unwrap();
    let flip_alice = alice.seal(b"secret", rng).unwrap().inner;
    // The thief knows root, tag and header key of this epoch; it lacks the private key.
    let header = parts::Parts::later(&flip_alice, &thief.id).unwrap().header.unwrap();
    let keys = [stolen, secrets(&thief)].concat();
    assert!(keys.iter().all(|key| thief.read_epoch(&Secret(*key), 4, header, 0).is_err()));
    let Turn::Ours(sending) = &bob.turn else { unreachable!() };
    assert!(thief.read_epoch(&sending.next_private, 4, header, 0).is_ok());
    // Nor is that key enough without the root, which has all epochs before in it.
    thief.root = Secret([0; 32]);
    assert!(thief.read_epoch(&sending.next_private, 4, header, 0).is_err());
}

/// Bob's first answer, with a payload of the test's choosing behind his next key.
fn crafted_answer(bob: &mut Session, next_public: [u8; 32], sent_before: u32) -> Vec<u8> {
    let Turn::Theirs { peer_next, .. } = bob.turn else { unreachable!() };
    let payload = [next_public.as_slice(), &sent_before.to_le_bytes(), &[0; 4]].concat();
    let prologue = [b"murmesh/1 N ".as_slice(), &bob.id.0, &1u32.to_le_bytes(), &[0; 4]].concat();
    let setup = noise::Setup { pattern: noise::Pattern::Npsk0, prologue: &prologue, psk: Some(&bob.root) };
    let (message, split) = noise::write(&setup, None, &peer_next, &payload, &mut rng(6)).unwrap();
    let header = [[0; 4].as_slice(), &message].concat().try_into().unwrap();
    let keys = NextKeys { tag: bob.next.tag.clone(), header: bob.next.header.clone() };
    let mut sending = SendEpoch {
        epoch: 1,
        chain: schedule::EpochKeys::derive(&split).chain,
        n: 0,
        next_private: Secret([1; 32]),
        opening: Opening::Later { keys, header },
    };
    sending.seal(&bob.id, content::pad(b"x", LATER_OVERHEAD).unwrap(), &mut rng(7)).inner
}

/// The peer is authentic but malicious: it announces a key that makes every answer public.
#[test]
fn a_low_order_next_key_is_refused() {
    let (mut alice, mut bob) = pair();
    let before = alice.to_record();
    let bad = crafted_answer(&mut bob, [0; 32], 0);
    assert!(alice.open(NOW, &bad).is_err());
    assert_eq!(*alice.to_record(), *before);
    let good = crafted_answer(&mut bob, handshake::public_of(&Secret([1; 32])), 0);
    assert_eq!(alice.open(NOW, &good).unwrap().content, b"x");
}

/// The peer is authentic but malicious: it claims to have sent four billion messages before.
#[test]
fn a_boundless_count_costs_one_chain_of_skips() {
    let (mut alice, mut bob) = pair();
    let chain = ReceiveChain::new(0, Secret([3; 32]), 7, TagSource::Keyed(Secret([4; 32])));
    alice.receiving = Some(chain);
    let inner = crafted_answer(&mut bob, handshake::public_of(&Secret([1; 32])), u32::MAX);
    assert_eq!(alice.open(NOW, &inner).unwrap().content, b"x");
    assert_eq!(alice.skipped.iter().len(), limits::SKIP_MAX as usize);
}

/// Two first messages and two later ones, whole: SPEC Appendix A. Never edit one.
#[test]
fn messages_are_frozen() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(4);
    let token = Some(crate::id::InviteToken([9; 16]));
    let mut ours = initiate(NOW, &alice.local(), bob.account.id(), &bob.bundle(), token, rng).unwrap();
    let first = [ours.seal(b"one", rng).unwrap().inner, ours.seal(b"two", rng).unwrap().inner];
    let accepted = bob.accept(&first[1]).unwrap();
    assert_eq!(accepted.introduction.token, token);
    let mut theirs = accepted.session;
    let later = [theirs.seal(b"three", rng).unwrap().inner, theirs.seal(b"four", rng).unwrap().inner];
    let all = [first, later].concat();
    let text: Vec<String> =
        all.iter().map(|inner| crate::testing::hex(&crate::id::sha256(&[inner]))).collect();
    assert_eq!(
        text,
        [
            "5a3ec78ab652aef60e9797383c6e704495627f94de3196565d36498713613621",
            "bfd089b98aa570ef95b457d01267ea34c02e8e8eb9eb6607b842927003709a20",
            "f2c54df7a80ab69c7ca043ce37bdc559b03e7e25b52d0db498c32a536ea6cbf6",
            "2d0100da4c49368f1543786d77a49443eeb58809aa70dd5f1a782fd4bced5511"
        ]
    );
    let record = crate::testing::hex(&crate::id::sha256(&[theirs.to_record().as_slice()]));
    assert_eq!(record, "3a384909df3ba95577e3e455c1a6ce998e0cbf1c0911eefaf714165b7f22410a");
}
