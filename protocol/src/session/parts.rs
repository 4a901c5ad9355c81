//! The two shapes of an inner message, taken apart (SPEC §5.2, §5.4).

use crate::crypto::{NotAuthentic, Secret, open};
use crate::id::SessionId;
use crate::session::limits::INITIAL_MESSAGES_MAX;
use crate::session::noise::{EPHEMERAL, MAC};
use crate::session::schedule::{Tag, TagSource};
use crate::wire::layout::Reader;

/// Bytes of the Noise N message to the device key: no payload.
pub(super) const DEVICE_MESSAGE: usize = EPHEMERAL + MAC;
/// Bytes of an ML-KEM-768 ciphertext.
pub(super) const KEM_CIPHERTEXT: usize = 1_088;
/// Bytes of what the first message tells of its sender.
pub(super) const FIRST_PAYLOAD: usize = 32 + 32 + 64 + 32 + 16 + 8 + 32;
/// Bytes of the Xpsk0 message.
pub(super) const FIRST_NOISE: usize = EPHEMERAL + 32 + MAC + FIRST_PAYLOAD + MAC;
/// Bytes of a first message before its nonce: the same in all first messages of a handshake.
pub(super) const FIRST_PREFIX: usize = 8 + DEVICE_MESSAGE + KEM_CIPHERTEXT + FIRST_NOISE;
/// Bytes of a first message that are not its frame.
pub(super) const FIRST_OVERHEAD: usize = FIRST_PREFIX + NONCE + 4 + MAC;

/// Bytes of what an epoch's Noise message carries: next key, count, KEM round.
pub(super) const LATER_PAYLOAD: usize = 32 + 4 + 4;
/// Bytes of a later message's header: KEM round, Npsk0 message.
pub(super) const LATER_HEADER: usize = 4 + EPHEMERAL + LATER_PAYLOAD + MAC;
/// Bytes of a later message that are not its frame.
pub(super) const LATER_OVERHEAD: usize = 16 + LATER_HEADER + NONCE + MAC;

pub(super) const NONCE: usize = 12;

/// What a message is found and opened by.
pub(super) struct Parts<'a> {
    pub(super) tag: Tag,
    /// Of a later message, still masked.
    pub(super) header: Option<[u8; LATER_HEADER]>,
    pub(super) nonce: [u8; NONCE],
    pub(super) ad: Vec<u8>,
    pub(super) sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn later(inner: &'a [u8], session: &SessionId) -> Option<Parts<'a>> {
        let mut reader = Reader::new(inner);
        let (tag, header) = (reader.array()?, reader.array()?);
        let (nonce, sealed) = (reader.array()?, reader.all_but(0)?);
        Some(Parts { tag, header: Some(header), nonce, ad: later_ad(&tag, &header, session), sealed })
    }

    pub(super) fn first(inner: &'a [u8], session: &SessionId) -> Option<Parts<'a>> {
        let tag = FirstHeader::parse(inner)?.replay_key();
        let mut reader = Reader::new(inner);
        let prefix = reader.slice(FIRST_PREFIX)?;
        let (nonce, n) = (reader.array()?, reader.u32()?);
        Some(Parts { tag, header: None, nonce, ad: first_ad(prefix, n, session), sealed: reader.all_but(0)? })
    }

    pub(super) fn open(&self, key: &Secret) -> Result<Vec<u8>, NotAuthentic> {
        let frame = open(key, self.nonce, &self.ad, self.sealed)?;
        super::content::unpad(frame).ok_or(NotAuthentic)
    }
}

/// The tag is part of it although it was found by it: a body cannot be moved to another tag.
pub(super) fn later_ad(tag: &Tag, header: &[u8; LATER_HEADER], session: &SessionId) -> Vec<u8> {
    [tag.as_slice(), header, &session.0].concat()
}

pub(super) fn first_ad(prefix: &[u8], n: u32, session: &SessionId) -> Vec<u8> {
    [prefix, &n.to_le_bytes(), &session.0].concat()
}

/// What can be read of a first message without any key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstHeader {
    /// Names the prekey it is for: the first bytes of its bundle's id.
    pub hint: [u8; 8],
    /// The handshake's ephemeral key: the same one again belongs to the same session or is a replay.
    pub ephemeral: [u8; 32],
    /// Which message of the handshake it is.
    pub n: u32,
}

impl FirstHeader {
    /// Reads the header of what is meant to be a first message.
    #[must_use]
    pub fn parse(inner: &[u8]) -> Option<FirstHeader> {
        let mut reader = Reader::new(inner);
        let hint = reader.array()?;
        reader.slice(DEVICE_MESSAGE + KEM_CIPHERTEXT)?;
        let ephemeral = reader.array()?;
        reader.slice(FIRST_NOISE - EPHEMERAL + NONCE)?;
        let n = reader.u32().filter(|n| *n < INITIAL_MESSAGES_MAX)?;
        (reader.len() >= MAC).then_some(FirstHeader { hint, ephemeral, n })
    }

    /// What to remember of a first message to know a repetition.
    #[must_use]
    pub fn replay_key(&self) -> [u8; 16] {
        TagSource::First(self.ephemeral).tag(self.n)
    }
}

/// The tag of what is meant to be a later message: its replay key.
#[must_use]
pub fn tag_of(inner: &[u8]) -> Option<[u8; 16]> {
    if inner.len() < LATER_OVERHEAD { None } else { inner.first_chunk().copied() }
}

/// The X message's ephemeral key in a first message's prefix.
pub(super) fn ephemeral_of(prefix: &[u8]) -> [u8; 32] {
    let mut reader = Reader::new(prefix);
    let mut read = || {
        reader.slice(8 + DEVICE_MESSAGE + KEM_CIPHERTEXT)?;
        reader.array()
    };
    read().unwrap_or_default()
}
