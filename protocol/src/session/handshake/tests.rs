//! Forged first messages, made with more than an attacker has.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};

use super::*;
use crate::crypto::seal;
use crate::session::content;
use crate::session::parts::{FIRST_OVERHEAD, first_ad};
use crate::session::resolver::Resolver;
use crate::session::schedule::step;
use crate::session::tests::{NOW, Person};
use crate::testing::rng;

/// Computes "Alice's" part of a Diffie-Hellman from the other side: with the stolen prekey.
struct ThiefDh {
    honest: Box<dyn Dh>,
    alice_public: [u8; 32],
    stolen: [u8; 32],
    as_alice: bool,
}

impl Dh for ThiefDh {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, _: &[u8]) {
        self.as_alice = true;
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        self.honest.generate(rng)
    }

    fn pubkey(&self) -> &[u8] {
        if self.as_alice { &self.alice_public } else { self.honest.pubkey() }
    }

    fn privkey(&self) -> &[u8] {
        &[]
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        if !self.as_alice {
            return self.honest.dh(public, out);
        }
        out[..32].copy_from_slice(&x25519_dalek::x25519(self.stolen, self.alice_public));
        Ok(())
    }
}

struct ThiefResolver {
    honest: Resolver,
    alice_public: [u8; 32],
    stolen: [u8; 32],
}

impl CryptoResolver for ThiefResolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.honest.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(ThiefDh {
            honest: self.honest.resolve_dh(choice)?,
            alice_public: self.alice_public,
            stolen: self.stolen,
            as_alice: false,
        }))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        self.honest.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        self.honest.resolve_cipher(choice)
    }
}

/// Eve has Bob's prekeys and Alice's certificate, but neither device key. The X message she makes
/// is perfect; without [`bind`] Bob would believe that Alice wrote its content.
#[test]
fn a_stolen_prekey_does_not_speak_for_others() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let bundle = bob.bundle();
    let (ciphertext, shared) = bundle.encapsulation_key().unwrap().encapsulate_with_rng(&mut rng(3));
    let binding =
        Binding { account: bundle.account(), bundle: bundle.id(), kem_ciphertext: ciphertext.into() };
    let setup = binding.device_setup();
    let (device_message, device_split) =
        noise::write(&setup, None, &bundle.device_dh(), &[], &mut rng(4)).unwrap();
    let psk = first_psk(&device_split, &Secret(shared.into()));
    let prologue = binding.first_prologue(&device_message);
    let resolver = ThiefResolver {
        honest: Resolver { ephemeral: Some(Secret([5; 32])) },
        alice_public: alice.device.dh_public(),
        stolen: *bob.prekeys.spk_private(),
    };
    let params = "Noise_Xpsk0_25519_ChaChaPoly_SHA256".parse().unwrap();
    let mut state = snow::Builder::with_resolver(params, Box::new(resolver))
        .prologue(&prologue)
        .and_then(|builder| builder.psk(0, &psk.0))
        .and_then(|builder| builder.local_private_key(&[0; 32]))
        .and_then(|builder| builder.remote_public_key(bundle.spk()))
        .and_then(snow::Builder::build_initiator)
        .unwrap();
    let payload = write_payload(&alice.local(), None, &public_of(&Secret([6; 32])));
    let mut message = vec![0; FIRST_NOISE];
    assert_eq!(state.write_message(&payload, &mut message).unwrap(), FIRST_NOISE);
    let split = noise::split(state).unwrap();

    let prefix = [bundle.hint().as_slice(), &device_message, &binding.kem_ciphertext, &message].concat();
    let forge = |split: &Split| first_inner(&prefix, split, b"send Eve money");
    // The X message alone convinces Bob's Noise.
    let inner = forge(&split);
    assert!(read_first(&bob.local(), &bob.prekeys, &bundle.id(), &inner).is_ok());
    assert_eq!(bob.accept(&inner).unwrap_err(), OpenError);
    // With one device key more she would be Alice, or Bob talking to himself.
    let bound = bind(&split, bob.device.dh_private(), &alice.device.dh_public()).unwrap();
    assert_eq!(bob.accept(&forge(&bound)).unwrap().introduction.account, alice.account.id());
}

/// Alice's first message to Bob with a right key for every ciphertext, where one part of what its X message
/// is bound to is another than what is sent or meant.
#[derive(Clone, Copy, Debug)]
enum Unlike {
    Nothing,
    Account,
    Bundle,
    KemCiphertext,
    DeviceMessage,
}

fn bound_to(unlike: Unlike, alice: &Person, bob: &Person) -> Vec<u8> {
    let bundle = bob.bundle();
    let (ciphertext, shared) = bundle.encapsulation_key().unwrap().encapsulate_with_rng(&mut rng(3));
    let ciphertext: [u8; KEM_CIPHERTEXT] = ciphertext.into();
    let mut binding = Binding { account: bundle.account(), bundle: bundle.id(), kem_ciphertext: ciphertext };
    let (device_message, device_split) =
        noise::write(&binding.device_setup(), None, &bundle.device_dh(), &[], &mut rng(4)).unwrap();
    let psk = first_psk(&device_split, &Secret(shared.into()));
    let mut bound_message = device_message.clone();
    match unlike {
        Unlike::Nothing => {}
        Unlike::Account => binding.account.0[0] ^= 1,
        Unlike::Bundle => binding.bundle[0] ^= 1,
        Unlike::KemCiphertext => binding.kem_ciphertext[0] ^= 1,
        Unlike::DeviceMessage => bound_message[0] ^= 1,
    }
    let prologue = binding.first_prologue(&bound_message);
    let setup = Setup { pattern: Pattern::Xpsk0, prologue: &prologue, psk: Some(&psk) };
    let own = alice.device.dh_private();
    let payload = write_payload(&alice.local(), None, &public_of(&Secret([6; 32])));
    let (message, split) = noise::write(&setup, Some(own), bundle.spk(), &payload, &mut rng(5)).unwrap();
    let split = bind(&split, own, &bundle.device_dh()).unwrap();
    let prefix = [bundle.hint().as_slice(), &device_message, &ciphertext, &message].concat();
    first_inner(&prefix, &split, b"hello")
}

/// A first message with this prefix, number 0.
fn first_inner(prefix: &[u8], split: &Split, content: &[u8]) -> Vec<u8> {
    let mut frame = content::pad(content, FIRST_OVERHEAD).unwrap();
    let (message_key, _) = step(&EpochKeys::derive(split).chain);
    seal(&message_key, [0; 12], &first_ad(prefix, 0, &SessionId(split.hash)), &mut frame);
    [prefix, &[0; 12], &[0; 4], &frame].concat()
}

/// SPEC §5.2: the prologue of X binds the recipient's account, bundle, KEM ciphertext and N message. Here
/// every key is right, so nothing but the prologue refuses: a ciphertext that was made for somebody else, or
/// is another one with the same secret, means nothing.
#[test]
fn a_first_message_is_bound_to_account_bundle_ciphertext_and_device_message() {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let accepted = bob.accept(&bound_to(Unlike::Nothing, &alice, &bob)).unwrap();
    assert_eq!(accepted.opened.content, b"hello");
    for unlike in [Unlike::Account, Unlike::Bundle, Unlike::KemCiphertext, Unlike::DeviceMessage] {
        let inner = bound_to(unlike, &alice, &bob);
        assert_eq!(bob.accept(&inner).unwrap_err(), OpenError, "{unlike:?}");
    }
}

#[test]
fn an_introduction_with_a_low_order_or_foreign_key_is_refused() {
    let (alice, mallory) = (Person::new(1), Person::new(3));
    let read = |local: &LocalDevice<'_>, next, remote| {
        let payload = write_payload(local, None, &next);
        let split = Split { hash: [0; 32], k1: Secret([0; 32]), k2: Secret([0; 32]) };
        read_payload(&noise::Read { payload, remote, split })
    };
    let next = public_of(&Secret([6; 32]));
    let dh = Some(alice.device.dh_public());
    assert!(read(&alice.local(), next, dh).is_some());
    assert!(read(&alice.local(), [0; 32], dh).is_none());
    assert!(read(&alice.local(), next, Some([0; 32])).is_none());
    assert!(read(&alice.local(), next, None).is_none());
    // Alice's certificate, Mallory's key: and the other way round.
    assert!(read(&alice.local(), next, Some(mallory.device.dh_public())).is_none());
    let stolen = LocalDevice { certificate: alice.local().certificate, ..mallory.local() };
    assert!(read(&stolen, next, Some(mallory.device.dh_public())).is_none());
}

#[test]
fn bundles_of_others_and_of_the_past_begin_nothing() {
    let (alice, bob, eve) = (Person::new(1), Person::new(2), Person::new(3));
    let begin = |now, account| {
        initiate(now, &alice.local(), account, &bob.bundle(), None, &mut rng(4)).map(|session| session.id())
    };
    assert_eq!(begin(NOW, eve.account.id()), Err(SessionError::OtherAccount));
    let last = bob.bundle().times().not_after.plus(BUNDLE_GRACE_MS);
    assert!(begin(last, bob.account.id()).is_ok());
    assert_eq!(begin(last.plus(1), bob.account.id()), Err(SessionError::Expired));
}
