//! What is measured here: a session of two people that has been answered both ways, and a custodian with an envelope to
//! admit. All of it from fixed seeds, so that instruction counts say what changed.

use murmesh_protocol::blind::{AddressSigner, BlindedSigner};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper::io::Input;
use murmesh_protocol::keeper::store::MemoryStore;
use murmesh_protocol::keeper::{Config, Keeper};
use murmesh_protocol::keys::{AccountKeys, DeviceKeys, Entropy, PrekeyPair};
use murmesh_protocol::limits::LIFE_MS_MAX;
use murmesh_protocol::messenger::io::PeerFacts;
use murmesh_protocol::session::{LocalDevice, Session, accept, initiate};
use murmesh_protocol::time::{DAY_MS, Day, Time};
use murmesh_protocol::wire::bundle::{Bundle, BundleTimes};
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::{Admission, Frame, Role};
use murmesh_protocol::wire::manifest::certificate;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

/// When everything here happens.
pub const NOW: Time = Time(20_000 * DAY_MS);
/// Bytes of the contents.
pub const CONTENT_BYTES: usize = 1_024;

const SENDER: PeerId = PeerId([3; 32]);

struct Person {
    account: AccountKeys,
    device: DeviceKeys,
    prekeys: PrekeyPair,
}

impl Person {
    fn new(seed: u8) -> Person {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed.into());
        Person {
            account: AccountKeys::derive(&Entropy::from_bytes([seed; 32])),
            device: DeviceKeys::generate(rng),
            prekeys: PrekeyPair::generate(rng),
        }
    }

    fn bundle(&self) -> Bundle {
        let times = BundleTimes { seq: 1, not_before: NOW, not_after: NOW.plus(8 * DAY_MS) };
        Bundle::sign(&self.device, self.account.id(), &self.prekeys, times)
    }

    fn local(&self) -> LocalDevice<'_> {
        LocalDevice {
            device: &self.device,
            account: self.account.id(),
            certificate: certificate(&self.account, self.device.id(), &self.device.dh_public()),
            manifest_version: 1,
            manifest_hash: [1; 32],
        }
    }
}

/// Both ends of a session.
pub struct Both {
    /// Began it; seals.
    pub alice: Session,
    /// Opens.
    pub bob: Session,
    /// Of whatever is sealed.
    pub rng: ChaCha20Rng,
}

impl Both {
    /// Both have sealed and opened: what follows are usual messages.
    ///
    /// # Panics
    /// Never with these seeds.
    #[must_use]
    pub fn new() -> Both {
        let (alice, bob) = (Person::new(1), Person::new(2));
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let began = initiate(NOW, &alice.local(), bob.account.id(), &bob.bundle(), None, &mut rng);
        let mut alice = began.expect("the bundle is good");
        let first = alice.seal(b"hello", &mut rng).expect("there is room").inner;
        let accepted = accept(NOW, &bob.local(), &bob.prekeys, &bob.bundle().id(), &first);
        let mut both = Both { alice, bob: accepted.expect("it is for him").session, rng };
        both.to_and_fro(b"hello");
        both
    }

    /// What alice seals now.
    ///
    /// # Panics
    /// When as much is sealed as without an answer may be.
    pub fn seal(&mut self, content: &[u8]) -> Vec<u8> {
        self.alice.seal(content, &mut self.rng).expect("there is room").inner
    }

    /// Bob opens it.
    ///
    /// # Panics
    /// When it is not what alice sealed.
    pub fn open(&mut self, inner: &[u8]) -> Vec<u8> {
        self.bob.open(NOW, inner).expect("it was sealed for him").content
    }

    /// A message each way: both keys are agreed anew.
    ///
    /// # Panics
    /// Never.
    pub fn to_and_fro(&mut self, content: &[u8]) {
        let answer = self.bob.seal(content, &mut self.rng).expect("there is room").inner;
        self.alice.open(NOW, &answer).expect("it was sealed for her");
        let sealed = self.seal(content);
        self.open(&sealed);
    }
}

impl Default for Both {
    fn default() -> Both {
        Both::new()
    }
}

/// A custodian that is about to get an envelope.
pub struct Admitting {
    keeper: Keeper,
    store: MemoryStore,
    frame: Frame,
}

impl Admitting {
    /// Of a content of [`CONTENT_BYTES`].
    ///
    /// # Panics
    /// Never with these seeds.
    #[must_use]
    pub fn new() -> Admitting {
        let mut both = Both::new();
        let inner = both.seal(&[7; CONTENT_BYTES]);
        let day = Day(20_000);
        let address =
            BlindedSigner::request(&AccountKeys::derive(&Entropy::from_bytes([7; 32])), day).address();
        let expires = NOW.plus(LIFE_MS_MAX / 2).seconds();
        let envelope = seal_round(&[5; 32], address, day, expires, &inner, &mut both.rng).expect("it fits");
        let mut store = MemoryStore::default();
        let config = Config { own_peer: PeerId([1; 32]), held_bytes_max: 1 << 30 };
        let keeper = store.transaction(|tx| Keeper::restore(config, NOW, tx)).expect("in memory");
        let frame = Frame::Deposit { envelope, admission: Admission::None };
        let mut admitting = Admitting { keeper, store, frame };
        let facts = PeerFacts {
            peer: SENDER,
            role: Role::Full,
            keeps: true,
            their_challenge: [8; 32],
            our_challenge: [9; 32],
            prefix: None,
        };
        admitting.input(Input::PeerUp(facts));
        admitting
    }

    /// Admits it.
    ///
    /// # Panics
    /// When it is refused.
    pub fn admit(mut self) -> Admitting {
        self.input(Input::Frame(SENDER, self.frame.clone()));
        assert_eq!(self.keeper.totals().envelopes, 1, "it is kept");
        self
    }

    fn input(&mut self, input: Input) {
        let keeper = &mut self.keeper;
        self.store.transaction(|tx| keeper.handle(NOW, input, tx)).expect("in memory");
    }
}

impl Default for Admitting {
    fn default() -> Admitting {
        Admitting::new()
    }
}
