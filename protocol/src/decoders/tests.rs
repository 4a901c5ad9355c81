//! The corpora replayed, and what holds for every decoder: no panic, bounded memory, bounded time.

use std::path::PathBuf;

use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
use bech32::{Bech32m, Fe32, Hrp};
use proptest::prelude::*;

use super::{ALL, Decoder, named, samples};
use crate::id::{AccountId, IdError, MessageId};
use crate::keys::{DeviceKeys, KeyRecordError};
use crate::session::{Session, SessionError};
use crate::wire::bundle::{BundleError, BundleIn};
use crate::wire::claim::{AddressSignature, ClaimError};
use crate::wire::envelope::{Envelope, EnvelopeError};
use crate::wire::frame::{Frame, FrameError};
use crate::wire::manifest::{ManifestError, ManifestIn};
use crate::wire::ticket::{Hint, Ticket, TicketError};

/// Reads, under the bound of memory; then checks the promises.
fn checked(decoder: &Decoder, bytes: &[u8]) -> bool {
    let mut taken = false;
    let allocated = allocation_counter::measure(|| taken = (decoder.read)(bytes)).bytes_max;
    let most = decoder.allocated_bytes_max(bytes.len());
    let (name, len) = (decoder.name, bytes.len());
    assert!(
        allocated <= most,
        "{name} allocated {allocated} bytes for {len}, {most} are allowed: {bytes:02x?}"
    );
    (decoder.check)(bytes);
    taken
}

fn corpus(decoder: &Decoder) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../simulations/fuzz/corpus", decoder.name].iter().collect()
}

#[expect(clippy::disallowed_methods, reason = "a corpus is files")]
fn files(decoder: &Decoder) -> Vec<Vec<u8>> {
    let directory = std::fs::read_dir(corpus(decoder)).unwrap();
    let mut paths: Vec<PathBuf> = directory.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Makes the samples of all corpora anew: after a change of a format.
#[test]
#[ignore = "writes into the tree; run by hand"]
#[expect(clippy::disallowed_methods, reason = "a corpus is files")]
fn write_samples() {
    for decoder in ALL {
        std::fs::create_dir_all(corpus(decoder)).unwrap();
        for (i, sample) in samples::of(decoder).iter().enumerate() {
            std::fs::write(corpus(decoder).join(format!("sample-{i:02}")), sample).unwrap();
        }
    }
}

/// Story: a request of one word, repeated, is no event; serde keeps all of it before it says so.
#[test]
fn a_line_that_is_all_fields_stays_bounded() {
    for part in ["\"thod\":\"node.status\",", "\"a\":0,", "\"a\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"]
    {
        for start in ["{", "{\"cursor\":\"1\",\"data\":{", "{\"params\":{"] {
            let text = format!("{start}{}", part.repeat(60_000 / part.len()));
            assert!(!checked(named("control").unwrap(), text.as_bytes()), "{part}");
        }
    }
}

#[test]
fn every_corpus_holds_what_is_written_today_and_it_is_taken() {
    for decoder in ALL {
        let files = files(decoder);
        for (i, sample) in samples::of(decoder).iter().enumerate() {
            assert!(checked(decoder, sample), "{} {i} is not taken", decoder.name);
            assert!(files.contains(sample), "{} {i} is not in its corpus: run write_samples", decoder.name);
        }
    }
}

/// Every file of every corpus, cut, lengthened and with bits flipped.
#[test]
fn the_corpora_are_replayed() {
    let mut read = 0;
    for decoder in ALL {
        for file in files(decoder) {
            checked(decoder, &file);
            for cut in spread(file.len(), 64) {
                checked(decoder, &file[..cut]);
            }
            let mut changed = [file.as_slice(), &[0]].concat();
            checked(decoder, &changed);
            for bit in spread(file.len() * 8, 256) {
                changed[bit / 8] ^= 1 << (bit % 8);
                checked(decoder, &changed[..file.len()]);
                changed[bit / 8] ^= 1 << (bit % 8);
            }
            read += 1;
        }
    }
    assert!(read >= 200, "{read} files");
}

/// About `count` numbers below `end`, as far apart as possible; the last one is among them.
fn spread(end: usize, count: usize) -> impl Iterator<Item = usize> {
    let step = end.div_ceil(count).max(1);
    (0..end).rev().step_by(step)
}

/// A record's sealed part and a padded frame have no length of their own: their seal ends them.
#[test]
fn one_byte_too_many_is_refused() {
    for decoder in ALL.iter().filter(|decoder| !["record", "inner"].contains(&decoder.name)) {
        for sample in samples::of(decoder) {
            let longer = [sample.as_slice(), &[0]].concat();
            assert!(!checked(decoder, &longer), "{}: {sample:02x?}", decoder.name);
        }
    }
}

#[test]
fn another_version_is_a_typed_refusal() {
    let first = |decoder: &str, byte: u8| {
        let mut sample = samples::of(named(decoder).unwrap()).remove(0);
        sample[0] = byte;
        sample
    };
    for version in [0, 2, 255] {
        assert_eq!(Envelope::parse(&first("envelope", version)), Err(EnvelopeError::Malformed));
        assert_eq!(ManifestIn::parse(&first("manifest", version)), Err(ManifestError::Malformed));
        assert_eq!(BundleIn::parse(&first("bundle", version)), Err(BundleError::Malformed));
        let session = Session::from_record(&first("session", version));
        assert_eq!(session.map(|_| ()).unwrap_err(), SessionError::Record);
        assert_eq!(DeviceKeys::from_record(&first("keys", version)).unwrap_err(), KeyRecordError);
    }
    for variant in [1, 2, 250] {
        assert!(!(named("content").unwrap().read)(&first("content", variant)), "no such content");
    }
    for kind in 24..=255 {
        assert_eq!(Frame::from_bytes(&first("frame", kind)), Err(FrameError::Unknown(kind)));
    }
    let mut signature = samples::of(named("keys").unwrap()).remove(3);
    signature[0] = 1;
    assert_eq!(AddressSignature::parse(&signature), Err(ClaimError));
}

/// Story: the bits that fill the last character up were not looked at, and a sign was taken for a digit: one
/// account had sixteen texts, and a message id more.
#[test]
fn one_value_has_one_text() {
    let text = named("text").unwrap();
    let account = samples::account().id();
    let mut digits: Vec<Fe32> = account.0.iter().copied().bytes_to_fes().collect();
    let last = digits.last_mut().unwrap();
    *last = Fe32::try_from(last.to_u8() | 1).unwrap();
    let padded: String =
        digits.into_iter().with_checksum::<Bech32m>(&Hrp::parse("mur").unwrap()).chars().collect();
    assert_eq!(padded.parse::<AccountId>(), Err(IdError::Account));
    assert!(!checked(text, padded.as_bytes()));

    let hint = Hint { ip: core::net::Ipv4Addr::LOCALHOST.into(), port: 1, quic: false };
    let ticket = Ticket { account, token: None, hints: vec![hint] };
    let mut digits: Vec<Fe32> = ticket.to_bytes().into_iter().bytes_to_fes().collect();
    let last = digits.last_mut().unwrap();
    *last = Fe32::try_from(last.to_u8() | 1).unwrap();
    let padded: String =
        digits.into_iter().with_checksum::<Bech32m>(&Hrp::parse("mt").unwrap()).chars().collect();
    assert_eq!(padded.parse::<Ticket>(), Err(TicketError::Malformed));
    assert!(!checked(text, padded.as_bytes()));

    let signed = format!("+a{}", "0".repeat(30));
    assert_eq!(signed.parse::<MessageId>(), Err(IdError::Message));
}

/// Wherever a length may stand, one that claims as many elements as there are bytes, each as small as can be.
#[test]
fn much_of_little_stays_little() {
    const MANY: u16 = 60_000;
    let claim = [&[251], MANY.to_le_bytes().as_slice(), vec![0; MANY.into()].as_slice()].concat();
    for name in ["frame", "tombstone", "content", "row"] {
        let decoder = named(name).unwrap();
        for sample in samples::of(decoder) {
            for at in 0..sample.len().min(300) {
                checked(decoder, &[&sample[..at], &claim, &sample[at + 1..]].concat());
            }
        }
    }
}

/// What a hostile peer does to a valid value.
#[derive(Clone, Debug)]
enum Edit {
    Set(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    /// The bytes between two places once more, or many times.
    Repeat(usize, usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    // Numbers of bincode's that claim more than there is: 2^16, 2^32, 2^62.
    let claims = [vec![251, 0, 255], vec![252, 0, 0, 0, 1], vec![253, 0, 0, 0, 0, 0, 0, 0, 64]];
    let at = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 20));
    let inserted = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..40),
        prop::sample::select(claims.to_vec()),
        (any::<u8>(), 1_000usize..70_000).prop_map(|(byte, len)| vec![byte; len]),
    ];
    prop_oneof![
        4 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        1 => at.clone().prop_map(Edit::Cut),
        2 => (at.clone(), inserted).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        1 => (at.clone(), at, 1usize..200).prop_map(|(from, to, times)| Edit::Repeat(from, to, times)),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for edit in edits {
        let at = |place: &usize| place % (bytes.len() + 1);
        match edit {
            Edit::Set(place, byte) => {
                let at = at(place);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Edit::Cut(place) => bytes.truncate(at(place)),
            Edit::Insert(place, inserted) => {
                let at = at(place);
                bytes.splice(at..at, inserted.iter().copied());
            }
            Edit::Repeat(from, to, times) => {
                let (from, to) = (at(from).min(at(to)), at(from).max(at(to)));
                let again = bytes[from..to].repeat((*times).min(100_000 / (to - from).max(1)));
                bytes.splice(from..from, again);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(which in 0..ALL.len(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        checked(&ALL[which], &bytes);
    }

    #[test]
    fn valid_values_that_somebody_has_changed(
        which in 0..ALL.len(),
        sample in any::<prop::sample::Index>(),
        edits in prop::collection::vec(edit(), 1..4),
    ) {
        let samples = samples::of(&ALL[which]);
        checked(&ALL[which], &edited(sample.get(&samples).clone(), &edits));
    }
}
