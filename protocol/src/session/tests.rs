//! A first exchange, as an example of use. The attacks are in `tests/it/session_*.rs`.

use super::*;
use crate::keys::{AccountKeys, DeviceKeys, Entropy, PrekeyPair};
use crate::testing::rng;
use crate::time::DAY_MS;
use crate::wire::bundle::{Bundle, BundleTimes};
use crate::wire::manifest::certificate;

const NOW: Time = Time(20_000 * DAY_MS);

struct Person {
    account: AccountKeys,
    device: DeviceKeys,
}

impl Person {
    fn new(seed: u8) -> Person {
        Person {
            account: AccountKeys::derive(&Entropy::from_bytes([seed; 32])),
            device: DeviceKeys::generate(&mut rng(seed.into())),
        }
    }

    fn local(&self) -> LocalDevice<'_> {
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
    let prekeys = PrekeyPair::generate(&mut rng(3));
    let times = BundleTimes { seq: 1, not_before: NOW, not_after: NOW.plus(8 * DAY_MS) };
    let bundle = Bundle::sign(&bob.device, bob.account.id(), &prekeys, times);

    let mut ours = initiate(NOW, &alice.local(), bob.account.id(), &bundle, None, &mut rng(4)).unwrap();
    let first = ours.seal(b"hello", &mut rng(5)).unwrap();
    assert_eq!(first.inner.len(), 2_048 - 58);
    let header = FirstHeader::parse(&first.inner).unwrap();
    assert_eq!((header.hint, header.n, header.replay_key()), (bundle.hint(), 0, first.replay_key));

    let accepted = accept(NOW, &bob.local(), &prekeys, &bundle.id(), &first.inner).unwrap();
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
