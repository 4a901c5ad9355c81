//! Sessions: the ratcheted secret between two devices (SPEC §5).
//!
//! Pure: a session is a value, changed by [`Session::seal`] and [`Session::open`] and written to
//! disk by its owner. It knows no store, no network and no clock. Every asymmetric step is a Noise
//! message made by snow; what is our own is one HMAC chain, HKDF labels and a table of skipped keys.
//!
//! Epochs alternate: the initiator's are even, the responder's odd, and who sends begins a new one
//! exactly when the latest is the peer's. Messages within an epoch may be lost or reordered freely.
//!
//! Invariant: a failed call leaves the session byte-identical.
//! Invariant: no Diffie-Hellman is computed for a tag that is not recognised.
//! Invariant: the caller commits the changed session before the sealed bytes leave; the chain key
//! that made them is then gone, and no stored state can repeat it.

mod chain;
mod content;
#[cfg(any(test, fuzzing))]
pub(crate) mod decoders;
mod handshake;
pub mod limits;
mod noise;
mod parts;
mod ratchet;
mod record;
mod resolver;
mod schedule;
mod skipped;

use core::fmt;
use std::collections::BTreeMap;

use subtle::ConstantTimeEq;

use crate::crypto::{Secret, hmac};
use crate::id::{AccountId, DeviceId, PeerId, SessionId};
use crate::label;
use crate::time::Time;

pub use handshake::{Accepted, Introduction, LocalDevice, accept, initiate};
pub use parts::{FirstHeader, tag_of};
pub use ratchet::WideTable;

use chain::ReceiveChain;
use limits::{BUNDLE_GRACE_MS, EPOCH_MESSAGES_MAX, INITIAL_MESSAGES_MAX, NEXT_EPOCH_TAGS_AHEAD};
use parts::{LATER_HEADER, LATER_OVERHEAD};
use schedule::{NextKeys, Tag, TagSource};
use skipped::Skipped;

/// Why a session cannot begin or be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The bundle is another account's.
    #[error("the bundle is another account's")]
    OtherAccount,
    /// The bundle may no longer be used.
    #[error("the bundle has expired")]
    Expired,
    /// A key in the bundle is unusable.
    #[error("the bundle has unusable keys")]
    BadKey,
    /// The record is not of a known version.
    #[error("not a session record of a known version")]
    Record,
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The content does not fit the largest envelope.
    #[error("content of more than {max} bytes")]
    TooLarge {
        /// The most that fits.
        max: usize,
    },
    /// This session may not send more before the peer answers: begin anew.
    #[error("the session may send no more before an answer")]
    Exhausted,
}

/// The message was not opened. Says nothing more: an unknown tag, a forged body and a wrong key
/// must look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be opened")]
pub struct OpenError;

/// A sealed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Fills an envelope of one size class exactly.
    pub inner: Vec<u8>,
    /// What the recipient remembers to know a repetition.
    pub replay_key: [u8; 16],
}

/// An opened message.
#[derive(PartialEq, Eq)]
pub struct Opened {
    /// What the peer sealed.
    pub content: Vec<u8>,
    /// Remember it with the content: the same key again is a repetition.
    pub replay_key: [u8; 16],
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({} bytes)", self.content.len())
    }
}

/// The ratcheted secret between this device and one other.
pub struct Session {
    id: SessionId,
    peer_account: AccountId,
    peer_device: DeviceId,
    created_at: Time,
    /// Set for the initiator.
    bundle_not_after: Option<Time>,
    direct_key: Secret,
    /// Of the latest epoch.
    root: Secret,
    /// For the epoch after the latest.
    next: NextKeys,
    turn: Turn,
    /// The peer's latest epoch; none before its first message.
    receiving: Option<ReceiveChain>,
    skipped: Skipped,
    /// Tags of the peer's next epoch: filled while the latest epoch is ours.
    next_window: BTreeMap<Tag, u32>,
}

/// Whose the latest epoch is.
enum Turn {
    /// Ours: we send on in it.
    Ours(SendEpoch),
    /// The peer's: sending begins an epoch to this key.
    Theirs {
        peer_next: [u8; 32],
        /// How many messages our epoch before it had.
        sent_before: u32,
    },
}

/// Our sending epoch.
struct SendEpoch {
    epoch: u32,
    chain: Secret,
    n: u32,
    /// The private half of the key that the peer's next epoch is made to.
    next_private: Secret,
    opening: Opening,
}

/// What every message of a sending epoch begins with.
enum Opening {
    /// Epoch 0: the handshake of the first message.
    First(Vec<u8>),
    /// A later epoch: its Noise message and the keys that find and hide it.
    Later { keys: NextKeys, header: [u8; LATER_HEADER] },
}

impl Session {
    /// The handshake hash of the first message.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The account at the other end.
    #[must_use]
    pub fn peer_account(&self) -> AccountId {
        self.peer_account
    }

    /// The device at the other end. Devices are named within their account.
    #[must_use]
    pub fn peer_device(&self) -> DeviceId {
        self.peer_device
    }

    /// When this side began it.
    #[must_use]
    pub fn created_at(&self) -> Time {
        self.created_at
    }

    /// Until when the bundle it was begun with may be used; `None` for the responder.
    #[must_use]
    pub fn bundle_not_after(&self) -> Option<Time> {
        self.bundle_not_after
    }

    /// Whether this side began it and nothing has come back: what it seals are first messages, for
    /// the request mailbox.
    #[must_use]
    pub fn is_initial(&self) -> bool {
        matches!(&self.turn, Turn::Ours(SendEpoch { opening: Opening::First(_), .. }))
    }

    /// Whether the peer has answered what this side sent on it: it has the session, and uses it.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.receiving.as_ref().is_some_and(|chain| chain.epoch >= 1)
    }

    /// Whether it can seal no more before the peer answers.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let limit = if self.is_initial() { INITIAL_MESSAGES_MAX } else { EPOCH_MESSAGES_MAX };
        matches!(&self.turn, Turn::Ours(sending) if sending.n >= limit)
    }

    /// Whether it must be given up for a new one before it sends more.
    #[must_use]
    pub fn is_exhausted(&self, now: Time) -> bool {
        let ended = self.bundle_not_after.is_some_and(|end| now > end.plus(BUNDLE_GRACE_MS));
        self.is_full() || (self.is_initial() && ended)
    }

    /// The most bytes that [`Session::seal`] accepts at this moment.
    #[must_use]
    pub fn content_max(&self) -> usize {
        let overhead = if self.is_initial() { parts::FIRST_OVERHEAD } else { LATER_OVERHEAD };
        content::content_max(overhead)
    }

    /// The proof that `prover` is at this session's other end, fresh by both nonces (SPEC §5.3).
    #[must_use]
    pub fn direct_proof(
        &self,
        prover: &PeerId,
        verifier: &PeerId,
        prover_nonce: &[u8; 32],
        verifier_nonce: &[u8; 32],
    ) -> [u8; 32] {
        let parts = [label::DIRECT_PROOF, &prover.0, &verifier.0, prover_nonce, verifier_nonce];
        hmac(&self.direct_key.0, &parts).0
    }

    /// Checks a [`Session::direct_proof`], in constant time.
    #[must_use]
    pub fn check_direct_proof(
        &self,
        prover: &PeerId,
        verifier: &PeerId,
        prover_nonce: &[u8; 32],
        verifier_nonce: &[u8; 32],
        proof: &[u8; 32],
    ) -> bool {
        self.direct_proof(prover, verifier, prover_nonce, verifier_nonce).ct_eq(proof).into()
    }

    /// Drops skipped keys whose messages will not come any more.
    pub fn forget_old(&mut self, now: Time) {
        self.skipped.forget_old(now);
    }

    fn fill_next_window(&mut self) {
        self.next_window = match &self.turn {
            Turn::Ours(_) => {
                let tags = TagSource::Keyed(self.next.tag.clone());
                (0..NEXT_EPOCH_TAGS_AHEAD).map(|n| (tags.tag(n), n)).collect()
            }
            Turn::Theirs { .. } => BTreeMap::new(),
        };
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?} with {:?} of {:?})", self.id, self.peer_device, self.peer_account)
    }
}

#[cfg(test)]
mod tests;
