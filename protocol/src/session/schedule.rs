//! What is derived from a finished Noise message, and how a chain steps (SPEC §5.3).

use crate::crypto::{Secret, hkdf, hmac};
use crate::id::sha256;
use crate::label;
use crate::session::noise::Split;

/// The name of a message in its session: what the receiver finds it by.
pub(super) type Tag = [u8; 16];

/// The keys of one epoch, and those that find and hide the messages of the epoch after it.
pub(super) struct EpochKeys {
    pub(super) chain: Secret,
    pub(super) root: Secret,
    pub(super) next: NextKeys,
}

/// Finds and hides the messages of the epoch after the latest.
pub(super) struct NextKeys {
    pub(super) tag: Secret,
    pub(super) header: Secret,
}

impl EpochKeys {
    pub(super) fn derive(split: &Split) -> EpochKeys {
        let from_k2 = |label| hkdf(&split.hash, &split.k2.0, &[label]);
        EpochKeys {
            chain: hkdf(&split.hash, &split.k1.0, &[label::CHAIN]),
            root: from_k2(label::ROOT),
            next: NextKeys { tag: from_k2(label::TAG_KEY), header: from_k2(label::HEADER_KEY) },
        }
    }
}

/// The key of direct proofs: from epoch 0, for the session's life.
pub(super) fn direct_key(split: &Split) -> Secret {
    hkdf(&split.hash, &split.k2.0, &[label::DIRECT_KEY])
}

/// One step of a chain: the message key and the next chain key.
pub(super) fn step(chain: &Secret) -> (Secret, Secret) {
    (hmac(&chain.0, &[&[1]]), hmac(&chain.0, &[&[2]]))
}

/// Where the tags of a chain come from.
pub(super) enum TagSource {
    /// Epoch 0: the ephemeral key of the first message, since no secret is shared before it.
    First([u8; 32]),
    /// A later epoch: a key that the epoch before agreed on.
    Keyed(Secret),
}

impl TagSource {
    pub(super) fn tag(&self, n: u32) -> Tag {
        let full = match self {
            TagSource::First(ephemeral) => sha256(&[label::FIRST_NAME, ephemeral, &n.to_le_bytes()]),
            TagSource::Keyed(key) => hmac(&key.0, &[&n.to_le_bytes()]).0,
        };
        full.first_chunk().copied().unwrap_or_default()
    }
}
