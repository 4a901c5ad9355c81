//! Real sessions and messages of theirs, for the corpora.

use crate::session::initiate;
use crate::session::tests::{NOW, Person};
use crate::testing::rng;

/// Of both ends: initial, answered, and one with skipped keys.
pub(crate) fn records() -> Vec<Vec<u8>> {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let mut ours = initiate(NOW, &alice.local(), bob.account.id(), &bob.bundle(), None, &mut rng(4)).unwrap();
    let initial = ours.to_record().to_vec();
    let first = ours.seal(b"hello", &mut rng(5)).unwrap();
    let mut theirs = bob.accept(&first.inner).unwrap().session;
    let accepted = theirs.to_record().to_vec();
    let answers = [6, 7, 8].map(|seed| theirs.seal(b"answer", &mut rng(seed)).unwrap().inner);
    let answering = theirs.to_record().to_vec();
    ours.open(NOW, &answers[2]).unwrap();
    let skipping = ours.to_record().to_vec();
    vec![initial, accepted, answering, skipping]
}

/// A first message, a later one, and the three things inside them.
pub(crate) fn inners() -> Vec<Vec<u8>> {
    let (alice, bob) = (Person::new(1), Person::new(2));
    let mut ours = initiate(NOW, &alice.local(), bob.account.id(), &bob.bundle(), None, &mut rng(4)).unwrap();
    let first = ours.seal(b"hello", &mut rng(5)).unwrap().inner;
    let padded = super::content::pad(b"hello", 136).unwrap();
    let epoch = [[9; 32].as_slice(), &7u32.to_le_bytes(), &0u32.to_le_bytes()].concat();
    vec![first, padded, epoch, payload(&alice)]
}

/// What a first message tells of its sender, whose device key is the one that [`super::read_of`] says it has proved.
fn payload(alice: &Person) -> Vec<u8> {
    let id = alice.device.id();
    let certificate = crate::wire::manifest::certificate(&alice.account, id, &super::PROVED);
    [[5; 32].as_slice(), &id.0, &certificate, &alice.account.id().0, &[0; 16], &1u64.to_le_bytes(), &[1; 32]]
        .concat()
}
