//! What is derived from a finished Noise message, and how a chain steps (SPEC §5.3).

use std::ops::RangeInclusive;

use crate::crypto::{HmacKey, Secret, hkdf};
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
    let chain = HmacKey::new(&chain.0);
    (chain.of(&[&[1]]), chain.of(&[&[2]]))
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
        self.tags(n..=n).next().unwrap_or_default()
    }

    /// Of several messages: cheaper than one by one.
    pub(super) fn tags(&self, numbers: RangeInclusive<u32>) -> impl Iterator<Item = Tag> {
        let keyed = match self {
            TagSource::First(ephemeral) => Err(*ephemeral),
            TagSource::Keyed(key) => Ok(HmacKey::new(&key.0)),
        };
        numbers.map(move |n| {
            let full = match &keyed {
                Err(ephemeral) => sha256(&[label::FIRST_NAME, ephemeral, &n.to_le_bytes()]),
                Ok(key) => key.of(&[&n.to_le_bytes()]).0,
            };
            full.first_chunk().copied().unwrap_or_default()
        })
    }
}
