//! Sealing and opening: the steps of the ratchet (SPEC §5.4).
//!
//! Each step computes what the session would become, and takes it over only when nothing can fail
//! any more.

use std::collections::BTreeMap;

use rand::CryptoRng;

use crate::crypto::{NotAuthentic, Secret, chacha20_xor, is_low_order, seal};
use crate::id::SessionId;
use crate::label;
use crate::session::chain::{Moved, ReceiveChain};
use crate::session::handshake::public_of;
use crate::session::limits::SKIP_MAX;
use crate::session::noise::{self, Pattern, Setup};
use crate::session::parts::{
    FIRST_OVERHEAD, FirstHeader, LATER_HEADER, LATER_OVERHEAD, NONCE, Parts, first_ad, later_ad,
};
use crate::session::schedule::{EpochKeys, NextKeys, Tag, TagSource, step};
use crate::session::skipped::SkippedKey;
use crate::session::{OpenError, Opened, Opening, SealError, Sealed, SendEpoch, Session, Turn, content};
use crate::time::Time;
use crate::wire::layout::Reader;

/// KEM rounds are not made yet: the field is in the bytes, and is zero.
const KEM_ROUND: u32 = 0;

/// Where a message belongs.
#[derive(Clone, Copy)]
enum Place {
    /// Its key was skipped and kept.
    Skipped,
    /// In the peer's current epoch.
    Current(u32),
    /// In the peer's next epoch.
    Next(u32),
}

/// The tags as far ahead as one message may skip: made once for a collection in which the windows
/// recognised nothing more, because it costs thousands of hashes.
pub struct WideTable {
    places: BTreeMap<Tag, (u32, u32)>,
}

impl Session {
    /// Seals `content`, filled up to a size class. The session has changed: commit it before the
    /// bytes leave.
    ///
    /// # Errors
    /// Content too large, or too many messages without an answer; the session is unchanged.
    pub fn seal(&mut self, content: &[u8], rng: &mut dyn CryptoRng) -> Result<Sealed, SealError> {
        let initial = self.is_initial();
        let overhead = if initial { FIRST_OVERHEAD } else { LATER_OVERHEAD };
        let max = content::content_max(overhead);
        let frame = content::pad(content, overhead).ok_or(SealError::TooLarge { max })?;
        if let Turn::Theirs { peer_next, sent_before } = &self.turn {
            let (peer_next, sent_before) = (*peer_next, *sent_before);
            // Cannot fail with a key that was checked when it came.
            self.begin_epoch(&peer_next, sent_before, rng).map_err(|NotAuthentic| SealError::Exhausted)?;
        }
        if self.is_full() {
            return Err(SealError::Exhausted);
        }
        let Turn::Ours(sending) = &mut self.turn else { return Err(SealError::Exhausted) };
        Ok(sending.seal(&self.id, frame, rng))
    }

    fn begin_epoch(
        &mut self,
        peer_next: &[u8; 32],
        sent_before: u32,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), NotAuthentic> {
        let latest = self.receiving.as_ref().map_or(0, |chain| chain.epoch);
        let epoch = latest.checked_add(1).ok_or(NotAuthentic)?;
        let next_private = Secret::random(rng);
        let mut payload = public_of(&next_private).to_vec();
        payload.extend_from_slice(&sent_before.to_le_bytes());
        payload.extend_from_slice(&KEM_ROUND.to_le_bytes());
        let prologue = prologue(&self.id, epoch);
        let setup = Setup { pattern: Pattern::Npsk0, prologue: &prologue, psk: Some(&self.root) };
        let (message, split) = noise::write(&setup, None, peer_next, &payload, rng)?;
        let header = [&KEM_ROUND.to_le_bytes(), message.as_slice()].concat();
        let header = header.try_into().map_err(|_| NotAuthentic)?;

        let keys = EpochKeys::derive(&split);
        self.root = keys.root;
        let opening = Opening::Later { keys: core::mem::replace(&mut self.next, keys.next), header };
        self.turn = Turn::Ours(SendEpoch { epoch, chain: keys.chain, n: 0, next_private, opening });
        self.fill_next_window();
        Ok(())
    }

    /// Whether [`Session::open`] would try a message with this tag. Only looks up what is computed.
    #[must_use]
    pub fn recognises(&self, tag: &[u8; 16]) -> bool {
        self.place(tag).is_some()
    }

    fn place(&self, tag: &Tag) -> Option<Place> {
        if self.skipped.get(tag).is_some() {
            return Some(Place::Skipped);
        }
        let current = self.receiving.as_ref().and_then(|chain| chain.expects(tag)).map(Place::Current);
        current.or_else(|| self.next_window.get(tag).copied().map(Place::Next))
    }

    /// Opens a later message.
    ///
    /// # Errors
    /// It cannot be opened; the session is unchanged.
    pub fn open(&mut self, now: Time, inner: &[u8]) -> Result<Opened, OpenError> {
        let parts = Parts::later(inner, &self.id).ok_or(OpenError)?;
        let place = self.place(&parts.tag).ok_or(OpenError)?;
        self.open_at(now, &parts, place).map_err(|NotAuthentic| OpenError)
    }

    /// Opens a further message of the first message's handshake: what [`super::accept`] did for the
    /// one that arrived first.
    ///
    /// # Errors
    /// It cannot be opened; the session is unchanged.
    pub fn open_first_again(&mut self, now: Time, inner: &[u8]) -> Result<Opened, OpenError> {
        let parts = Parts::first(inner, &self.id).ok_or(OpenError)?;
        let place = self.place(&parts.tag).ok_or(OpenError)?;
        self.open_at(now, &parts, place).map_err(|NotAuthentic| OpenError)
    }

    /// The tags far ahead, for [`Session::open_wide`].
    #[must_use]
    pub fn wide_table(&self) -> WideTable {
        let mut places = BTreeMap::new();
        if let Some(chain) = &self.receiving {
            places.extend(chain.far_tags().map(|(tag, n)| (tag, (chain.epoch, n))));
        }
        if let Turn::Ours(sending) = &self.turn {
            let (tags, epoch) = (TagSource::Keyed(self.next.tag.clone()), sending.epoch.saturating_add(1));
            places.extend(tags.tags(0..=SKIP_MAX).zip(0..).map(|(tag, n)| (tag, (epoch, n))));
        }
        WideTable { places }
    }

    /// Opens a later message that [`Session::recognises`] does not know but `table` does. The table
    /// may be older than the session.
    ///
    /// # Errors
    /// It cannot be opened; the session is unchanged.
    pub fn open_wide(&mut self, now: Time, inner: &[u8], table: &WideTable) -> Result<Opened, OpenError> {
        let parts = Parts::later(inner, &self.id).ok_or(OpenError)?;
        let far = || {
            let (epoch, n) = table.places.get(&parts.tag).copied()?;
            match (&self.receiving, &self.turn) {
                (Some(chain), _) if chain.epoch == epoch => Some(Place::Current(n)),
                (_, Turn::Ours(sending)) if sending.epoch.checked_add(1) == Some(epoch) => {
                    Some(Place::Next(n))
                }
                _ => None,
            }
        };
        let place = self.place(&parts.tag).or_else(far).ok_or(OpenError)?;
        self.open_at(now, &parts, place).map_err(|NotAuthentic| OpenError)
    }

    fn open_at(&mut self, now: Time, parts: &Parts<'_>, place: Place) -> Result<Opened, NotAuthentic> {
        let content = match place {
            Place::Skipped => {
                let content = parts.open(self.skipped.get(&parts.tag).ok_or(NotAuthentic)?)?;
                self.skipped.remove(&parts.tag);
                content
            }
            Place::Current(n) => {
                let chain = self.receiving.as_mut().ok_or(NotAuthentic)?;
                let moved = chain.moved_to(n)?;
                let (content, key) = open_moved(parts, &moved)?;
                chain.commit(key, n.checked_add(1).ok_or(NotAuthentic)?);
                self.keep(now, moved.skipped);
                content
            }
            Place::Next(n) => self.open_next_epoch(now, parts, n)?,
        };
        Ok(Opened { content, replay_key: parts.tag })
    }

    fn open_next_epoch(&mut self, now: Time, parts: &Parts<'_>, n: u32) -> Result<Vec<u8>, NotAuthentic> {
        let Turn::Ours(sending) = &self.turn else { return Err(NotAuthentic) };
        let header = parts.header.ok_or(NotAuthentic)?;
        let epoch = sending.epoch.checked_add(1).ok_or(NotAuthentic)?;
        let read = self.read_epoch(&sending.next_private, epoch, header, n)?;
        let (peer_next, sent_before) = read_payload(&read.payload).ok_or(NotAuthentic)?;
        let keys = EpochKeys::derive(&read.split);
        let tags = TagSource::Keyed(self.next.tag.clone());
        let mut chain = ReceiveChain::new(epoch, keys.chain, 0, tags);
        let moved = chain.moved_to(n)?;
        let (content, key) = open_moved(parts, &moved)?;
        // Authentic, so the count is the peer's own; it still costs at most one chain's skips.
        let rest = match &self.receiving {
            Some(old) => old.moved_to(sent_before.clamp(old.n, old.n.saturating_add(SKIP_MAX)))?.skipped,
            None => Vec::new(),
        };
        let sent = sending.n;

        chain.commit(key, n.checked_add(1).ok_or(NotAuthentic)?);
        self.receiving = Some(chain);
        self.root = keys.root;
        self.next = keys.next;
        self.turn = Turn::Theirs { peer_next, sent_before: sent };
        self.fill_next_window();
        self.keep(now, rest);
        self.keep(now, moved.skipped);
        Ok(content)
    }

    pub(super) fn read_epoch(
        &self,
        own: &Secret,
        epoch: u32,
        mut header: [u8; LATER_HEADER],
        n: u32,
    ) -> Result<noise::Read, NotAuthentic> {
        chacha20_xor(&self.next.header, header_nonce(n), &mut header);
        let (round, message) = header.split_first_chunk().ok_or(NotAuthentic)?;
        if u32::from_le_bytes(*round) != KEM_ROUND {
            return Err(NotAuthentic);
        }
        let prologue = prologue(&self.id, epoch);
        let setup = Setup { pattern: Pattern::Npsk0, prologue: &prologue, psk: Some(&self.root) };
        noise::read(&setup, &own.0, message)
    }

    fn keep(&mut self, now: Time, skipped: Vec<(Tag, Secret)>) {
        for (tag, key) in skipped {
            self.skipped.insert(SkippedKey { tag, key, at: now });
        }
    }
}

impl SendEpoch {
    /// Steps the chain and seals one frame. What it returns fills a size class.
    pub(super) fn seal(
        &mut self,
        session: &SessionId,
        mut frame: Vec<u8>,
        rng: &mut dyn CryptoRng,
    ) -> Sealed {
        let n = self.n;
        let (message_key, next) = step(&self.chain);
        // Random, although the key is used once: a restored or cloned store repeats the key.
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let mut inner = Vec::with_capacity(frame.len() + FIRST_OVERHEAD);
        let (ad, replay_key) = match &self.opening {
            Opening::First(prefix) => {
                inner.extend_from_slice(prefix);
                inner.extend_from_slice(&nonce);
                inner.extend_from_slice(&n.to_le_bytes());
                (first_ad(prefix, n, session), first_name(prefix, n))
            }
            Opening::Later { keys, header } => {
                let (tag, header) = keys.cover(n, *header);
                inner.extend_from_slice(&tag);
                inner.extend_from_slice(&header);
                inner.extend_from_slice(&nonce);
                (later_ad(&tag, &header, session), tag)
            }
        };
        seal(&message_key, nonce, &ad, &mut frame);
        inner.append(&mut frame);
        self.chain = next;
        self.n += 1;
        Sealed { inner, replay_key }
    }
}

impl NextKeys {
    /// The tag of message `n` and its masked header.
    fn cover(&self, n: u32, mut header: [u8; LATER_HEADER]) -> (Tag, [u8; LATER_HEADER]) {
        chacha20_xor(&self.header, header_nonce(n), &mut header);
        (TagSource::Keyed(self.tag.clone()).tag(n), header)
    }
}

fn first_name(prefix: &[u8], n: u32) -> Tag {
    let ephemeral = super::parts::ephemeral_of(prefix);
    FirstHeader { hint: [0; 8], ephemeral, n }.replay_key()
}

fn open_moved(parts: &Parts<'_>, moved: &Moved) -> Result<(Vec<u8>, Secret), NotAuthentic> {
    let (message_key, next) = step(&moved.key);
    Ok((parts.open(&message_key)?, next))
}

pub(super) fn read_payload(payload: &[u8]) -> Option<([u8; 32], u32)> {
    let mut reader = Reader::new(payload);
    let peer_next = reader.array()?;
    let sent_before = reader.u32()?;
    reader.u32().filter(|round| *round == KEM_ROUND)?;
    reader.end()?;
    (!is_low_order(&peer_next)).then_some((peer_next, sent_before))
}

fn prologue(session: &SessionId, epoch: u32) -> Vec<u8> {
    [label::PROLOGUE_EPOCH, &session.0, &epoch.to_le_bytes(), &KEM_ROUND.to_le_bytes()].concat()
}

fn header_nonce(n: u32) -> [u8; NONCE] {
    let [a, b, c, d] = n.to_le_bytes();
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]
}
