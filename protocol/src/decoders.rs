//! Every decoder of bytes that this crate did not make itself, in one list: for the fuzz targets of
//! `simulations/fuzz` and for the tests that replay their corpora.
//!
//! Exists in tests and under cargo-fuzz only. What a decoder allocates is measured while it reads, and its
//! promises are checked after that: what was read, written again, is the same; where one value has one
//! encoding, the same bytes. Machines fed with whole sequences are in `tests/it/sequences.rs`.

use crate::control::{ControlError, Event, Request, Timestamp, without_escapes};
use crate::id::{AccountId, MessageId, PeerId};
use crate::keys::{DeviceKeys, PrekeyPair};
use crate::route::route;
use crate::wire::bundle::BundleIn;
use crate::wire::claim::AddressSignature;
use crate::wire::codec;
use crate::wire::envelope::{Envelope, unmask};
use crate::wire::frame::{Frame, Tombstone};
use crate::wire::manifest::ManifestIn;
use crate::wire::record::RecordIn;
use crate::wire::ticket::Ticket;
use crate::{messenger, session};

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

/// One decoder, or a few that are alike.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// Its name: the fuzz target's, and its corpus's.
    pub name: &'static str,
    /// Reads the bytes, and nothing else; whether they are what they should be.
    pub read: fn(&[u8]) -> bool,
    /// Panics if a promise of the format is broken by these bytes.
    pub check: fn(&[u8]),
    /// How many times its input it may have allocated at one time, beside 64 KiB.
    pub times: u64,
}

impl Decoder {
    /// Most bytes that it may have allocated at one time for an input of `len` bytes.
    #[must_use]
    pub fn allocated_bytes_max(&self, len: usize) -> u64 {
        u64::try_from(len).unwrap_or(u64::MAX).saturating_mul(self.times).saturating_add(64 * 1024)
    }
}

/// How many times their input the decoders of what strangers send may allocate.
pub const TIMES: u64 = 4;

/// All of them.
pub const ALL: &[Decoder] = &[
    Decoder {
        name: "frame",
        read: |bytes| Frame::from_bytes(bytes).is_ok(),
        check: check_frame,
        times: TIMES,
    },
    Decoder { name: "tombstone", read: read_tombstone, check: check_tombstone, times: TIMES },
    Decoder {
        name: "envelope",
        read: |bytes| Envelope::parse(bytes).is_ok(),
        check: check_envelope,
        times: TIMES,
    },
    Decoder {
        name: "record",
        read: |bytes| RecordIn::parse(bytes).is_ok(),
        check: check_record,
        times: TIMES,
    },
    Decoder {
        name: "manifest",
        read: |bytes| ManifestIn::parse(bytes).is_ok(),
        check: check_manifest,
        times: TIMES,
    },
    Decoder {
        name: "bundle",
        read: |bytes| BundleIn::parse(bytes).is_ok(),
        check: check_bundle,
        times: TIMES,
    },
    Decoder { name: "keys", read: read_keys, check: check_keys, times: TIMES },
    Decoder { name: "text", read: read_text, check: check_text, times: TIMES },
    // What a client reads of its own node: an event is buffered whole by serde. What clients ask is read by a
    // reader of the node's own, and measured there.
    Decoder { name: "control", read: read_control, check: check_control, times: 64 },
    messenger::decoders::CONTENT,
    messenger::decoders::ROW,
    session::decoders::RECORD,
    session::decoders::INNER,
];

/// The decoder of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Decoder> {
    ALL.iter().find(|decoder| decoder.name == name)
}

/// As the custody store keeps it.
fn read_tombstone(bytes: &[u8]) -> bool {
    codec::decode::<Tombstone>(bytes).is_ok()
}

fn check_tombstone(bytes: &[u8]) {
    if let Ok(tombstone) = codec::decode::<Tombstone>(bytes) {
        assert_eq!(codec::decode(&codec::encode(&tombstone)), Ok(tombstone));
    }
}

fn check_frame(bytes: &[u8]) {
    let Ok(frame) = Frame::from_bytes(bytes) else { return };
    let written = frame.to_bytes();
    assert!(written.len() <= bytes.len(), "a number takes as few bytes as it needs");
    let _ = route(&frame);
    assert_eq!(Frame::from_bytes(&written), Ok(frame));
}

fn check_envelope(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else { return };
    assert_eq!(envelope.as_bytes(), bytes);
    assert_eq!(unmask(&[7; 32], &envelope).len() + 16, envelope.body.len());
    let _ = (envelope.expires_at(), envelope.id());
}

fn check_record(bytes: &[u8]) {
    let Ok(record) = RecordIn::parse(bytes) else { return };
    let (address, head) = (record.address(), record.head());
    let written = [
        address.0.as_slice(),
        &head.day.0.to_le_bytes(),
        &[head.slot as u8],
        &head.seq.to_le_bytes(),
        &head.expires.0.to_le_bytes(),
    ];
    assert!(bytes.starts_with(&written.concat()));
    if let Ok(record) = record.verify() {
        assert_eq!(record.as_bytes(), bytes);
        let _ = record.open(&[7; 32]);
    }
}

fn check_manifest(bytes: &[u8]) {
    let Ok(manifest) = ManifestIn::parse(bytes) else { return };
    assert_eq!(manifest.written_again(), bytes);
    let _ = manifest.verify(AccountId([7; 32]));
}

fn check_bundle(bytes: &[u8]) {
    let Ok(bundle) = BundleIn::parse(bytes) else { return };
    assert_eq!(bytes.get(33..65), Some(bundle.device().0.as_slice()));
    assert_eq!(bundle.unverified().as_bytes(), bytes);
    let _ = (bundle.unverified().encapsulation_key(), bundle.unverified().hint());
}

/// What is a row of bytes and nothing else: key records, the signature of a claim, a PeerId.
fn read_keys(bytes: &[u8]) -> bool {
    DeviceKeys::from_record(bytes).is_ok()
        | PrekeyPair::from_record(bytes).is_ok()
        | AddressSignature::parse(bytes).is_ok()
        | PeerId::from_multihash(bytes).is_some()
}

fn check_keys(bytes: &[u8]) {
    let device = DeviceKeys::from_record(bytes).map(|keys| keys.to_record().to_vec()).ok();
    let prekeys = PrekeyPair::from_record(bytes).map(|pair| pair.to_record().to_vec()).ok();
    let signature = AddressSignature::parse(bytes).map(|signature| signature.to_bytes().to_vec()).ok();
    let peer = PeerId::from_multihash(bytes).map(|peer| peer.to_multihash());
    for written in [device, prekeys, signature, peer].into_iter().flatten() {
        assert_eq!(written, bytes);
    }
}

/// What a person types or pastes, and what JSON carries as text.
fn read_text(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let _ = without_escapes(text);
    text.parse::<PeerId>().is_ok()
        | text.parse::<AccountId>().is_ok()
        | text.parse::<MessageId>().is_ok()
        | text.parse::<Timestamp>().is_ok()
        | text.parse::<Ticket>().is_ok()
}

/// One value has one text, but for the case of its letters and, in a ticket, white space.
fn check_text(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let shown = without_escapes(text);
    assert!(shown.len() <= text.len() && !shown.contains('\u{1b}'));
    let lower = text.to_ascii_lowercase();
    let _ = text.parse::<PeerId>().map(|peer| assert_eq!(peer.to_string(), text));
    let _ = text.parse::<AccountId>().map(|account| assert_eq!(account.to_string(), lower));
    let _ = text.parse::<MessageId>().map(|message| assert_eq!(message.to_string(), lower));
    let _ = text.parse::<Timestamp>().map(|time| assert_eq!(time.to_string().parse(), Ok(time)));
    let _ = text.parse::<Ticket>().map(|ticket| {
        let typed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let typed = typed.to_ascii_uppercase();
        let code = typed.strip_prefix("MURMESH:").unwrap_or(&typed);
        assert_eq!(ticket.to_string().strip_prefix("MURMESH:"), Some(code));
    });
}

/// What clients ask, and what they are told.
fn read_control(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Request>(bytes).is_ok()
        | serde_json::from_slice::<Event>(bytes).is_ok()
        | serde_json::from_slice::<ControlError>(bytes).is_ok()
}

fn check_control(bytes: &[u8]) {
    fn same_again<T>(bytes: &[u8])
    where
        T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + core::fmt::Debug,
    {
        let Ok(value) = serde_json::from_slice::<T>(bytes) else { return };
        let written =
            serde_json::to_vec(&value).expect("invariant: the types of the control API have a JSON");
        assert_eq!(serde_json::from_slice::<T>(&written).ok(), Some(value));
    }
    same_again::<Request>(bytes);
    same_again::<Event>(bytes);
    same_again::<ControlError>(bytes);
}
