//! Two people and their devices, for the tests of sessions.

use murmesh_protocol::id::{AccountId, InviteToken};
use murmesh_protocol::keys::{AccountKeys, DeviceKeys, Entropy, PrekeyPair};
use murmesh_protocol::session::{
    Accepted, FirstHeader, LocalDevice, OpenError, Opened, Session, accept, initiate,
};
use murmesh_protocol::time::{DAY_MS, Time};
use murmesh_protocol::wire::bundle::{Bundle, BundleIn, BundleTimes};
use murmesh_protocol::wire::manifest::{Manifest, ManifestDevice, ManifestFields, certificate};

pub(crate) const NOW: Time = Time(20_000 * DAY_MS);

pub(crate) type Rng = chacha20::ChaCha20Rng;

pub(crate) fn rng(seed: u64) -> Rng {
    rand::SeedableRng::seed_from_u64(seed)
}

/// An account with one device and one prekey pair.
pub(crate) struct Person {
    pub(crate) account: AccountKeys,
    pub(crate) device: DeviceKeys,
    pub(crate) prekeys: PrekeyPair,
}

impl Person {
    pub(crate) fn new(seed: u8) -> Person {
        let rng = &mut rng(seed.into());
        Person {
            account: AccountKeys::derive(&Entropy::from_bytes([seed; 32])),
            device: DeviceKeys::generate(rng),
            prekeys: PrekeyPair::generate(rng),
        }
    }

    /// The same person with the device keys of another.
    pub(crate) fn with_device_of(self, other: &Person) -> Person {
        let device = DeviceKeys::from_record(&other.device.to_record()).unwrap();
        Person { device, ..self }
    }

    pub(crate) fn id(&self) -> AccountId {
        self.account.id()
    }

    pub(crate) fn local(&self) -> LocalDevice<'_> {
        LocalDevice {
            device: &self.device,
            account: self.id(),
            certificate: certificate(&self.account, self.device.id(), &self.device.dh_public()),
            manifest_version: 1,
            manifest_hash: self.manifest().hash(),
        }
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let device = ManifestDevice {
            id: self.device.id(),
            dh: self.device.dh_public(),
            name: Vec::new(),
            added_at: NOW,
        };
        let fields = ManifestFields {
            version: 1,
            previous_hash: [0; 32],
            devices: vec![device],
            revoked: Vec::new(),
            not_after: NOW.plus(90 * DAY_MS),
        };
        Manifest::sign(&self.account, fields).unwrap()
    }

    /// The bundle as others get it: verified.
    pub(crate) fn bundle(&self) -> Bundle {
        let times = BundleTimes { seq: 1, not_before: NOW, not_after: NOW.plus(8 * DAY_MS) };
        let bundle = Bundle::sign(&self.device, self.id(), &self.prekeys, times);
        BundleIn::parse(bundle.as_bytes()).unwrap().verify(&self.manifest(), NOW).unwrap()
    }

    pub(crate) fn initiate(&self, peer: &Person, token: Option<InviteToken>, rng: &mut Rng) -> Session {
        initiate(NOW, &self.local(), peer.id(), &peer.bundle(), token, rng).unwrap()
    }

    pub(crate) fn accept(&self, inner: &[u8]) -> Result<Accepted, OpenError> {
        accept(NOW, &self.local(), &self.prekeys, &self.bundle().id(), inner)
    }
}

/// Alice (1) has begun a session with Bob (2) and said "hello".
pub(crate) fn begun(seed: u64) -> (Session, Session) {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let rng = &mut rng(seed);
    let mut ours = alice.initiate(&bob, None, rng);
    let first = ours.seal(b"hello", rng).unwrap();
    let theirs = bob.accept(&first.inner).unwrap().session;
    (ours, theirs)
}

/// Both have answered: the latest epoch is Alice's second.
pub(crate) fn running(seed: u64) -> (Session, Session) {
    let (mut alice, mut bob) = begun(seed);
    let rng = &mut rng(seed + 1_000);
    deliver(&mut bob, &mut alice, b"hi", rng);
    deliver(&mut alice, &mut bob, b"how are you?", rng);
    (alice, bob)
}

/// Seals on one side and opens on the other.
pub(crate) fn deliver(from: &mut Session, to: &mut Session, content: &[u8], rng: &mut Rng) {
    let inner = from.seal(content, rng).unwrap().inner;
    assert_eq!(open(to, &inner).unwrap().content, content);
}

/// Opens whichever kind of message it is, as a recipient with a session would.
pub(crate) fn open(session: &mut Session, inner: &[u8]) -> Result<Opened, OpenError> {
    match session.open(NOW, inner) {
        Err(OpenError) if FirstHeader::parse(inner).is_some() => session.open_first_again(NOW, inner),
        result => result,
    }
}

/// The session after a restart.
pub(crate) fn restarted(session: &Session) -> Session {
    let record = session.to_record();
    let again = Session::from_record(&record).unwrap();
    assert_eq!(*again.to_record(), *record);
    again
}
