//! What travels inside a session: versioned parts behind the session's own framing (SPEC §5.6).
//!
//! Authenticated by the session, so bincode is safe here.

use serde::{Deserialize, Serialize};

use crate::id::{MessageId, PeerId, SessionId};
use crate::keys::MailboxPublic;
use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, NAME_BYTES_MAX, PARTS_MAX, RECEIPT_RANGES_MAX, TEXT_BYTES_MAX,
};
use crate::time::Time;
use crate::wire::codec::{self, DecodeError};

/// The content of one sealed message. The order of the variants is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Content {
    V1(ContentV1),
}

/// Version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ContentV1 {
    /// The sender has the recipient's introduction on its disk: it need not be told again.
    pub(crate) knows_you: bool,
    /// The sender's manifest.
    pub(crate) mine: ManifestMark,
    /// The recipient's manifest as the sender last saw it.
    pub(crate) yours: ManifestMark,
    /// What is said.
    #[serde(deserialize_with = "codec::at_most::<_, _, PARTS_MAX>")]
    pub(crate) parts: Vec<Part>,
}

/// Version and hash prefix of a manifest: custodians that show different people different manifests
/// are noticed at the next message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestMark {
    pub(crate) version: u64,
    pub(crate) hash: [u8; 8],
}

impl ContentV1 {
    /// Whether what the sender says of both accounts' manifests fits what is known here: `theirs` as it is
    /// pinned, `ours` as it is. An older version is no contradiction: it may have been long on its way.
    pub(crate) fn fits(&self, theirs: &ManifestMark, ours: &ManifestMark) -> bool {
        let contradicts = |told: &ManifestMark, known: &ManifestMark| {
            told.version != 0 && told.version == known.version && told.hash != known.hash
        };
        // Nobody but us can have made a newer one of ours.
        !contradicts(&self.mine, theirs)
            && !contradicts(&self.yours, ours)
            && self.yours.version <= ours.version
    }
}

/// One thing said. The order of the variants is the format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// A text.
    Text(Text),
    /// What has reached the sender's disk.
    Receipt(Receipt),
    /// Who I am: in the first message each way.
    Introduction(Introduction),
    /// Where my device is, on change.
    Whereabouts(Whereabouts),
    /// Another session that the sender has with the recipient.
    AlsoHas(SessionId),
}

/// A message of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) id: MessageId,
    pub(crate) place: Place,
    pub(crate) at: Time,
    pub(crate) expires: Time,
    pub(crate) text: String,
}

/// Where a message stands among its author's to one contact: the run is new whenever they are counted anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) run: u64,
    /// From 1.
    pub(crate) seq: u64,
}

/// Cumulative: everything of a run up to a number, and ranges beyond it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) run: u64,
    pub(crate) up_to: u64,
    /// Ascending, apart from each other, each from > `up_to` + 1.
    #[serde(deserialize_with = "codec::at_most::<_, _, RECEIPT_RANGES_MAX>")]
    pub(crate) beyond: Vec<(u64, u64)>,
}

impl Receipt {
    /// Whether a message is acknowledged.
    pub(crate) fn covers(&self, place: &Place) -> bool {
        let listed = || self.beyond.iter().any(|(from, to)| (*from..=*to).contains(&place.seq));
        place.run == self.run && (place.seq <= self.up_to || listed())
    }

    /// The highest number that it acknowledges.
    pub(crate) fn last(&self) -> u64 {
        self.beyond.iter().map(|(_, to)| *to).fold(self.up_to, u64::max)
    }
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Introduction {
    /// The account's manifest (SPEC §4.4).
    pub(crate) manifest: Vec<u8>,
    pub(crate) nickname: String,
    pub(crate) mailbox: MailboxTold,
    pub(crate) whereabouts: Whereabouts,
}

/// A mailbox generation as it is told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxTold {
    pub(crate) generation: u32,
    pub(crate) base_key: [u8; 32],
    pub(crate) secret: [u8; 32],
}

impl core::fmt::Debug for MailboxTold {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "MailboxTold(generation {})", self.generation)
    }
}

impl From<MailboxPublic> for MailboxTold {
    fn from(public: MailboxPublic) -> MailboxTold {
        MailboxTold { generation: public.generation, base_key: public.base_key, secret: public.secret }
    }
}

impl MailboxTold {
    pub(crate) fn public(&self) -> MailboxPublic {
        MailboxPublic { generation: self.generation, base_key: self.base_key, secret: self.secret }
    }
}

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whereabouts {
    pub(crate) peer: PeerId,
    #[serde(deserialize_with = "codec::at_most::<_, _, ADDRESSES_MAX>")]
    pub(crate) addresses: Vec<String>,
    pub(crate) valid_until: Time,
}

impl Content {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a content and checks its parts against their limits.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<ContentV1, DecodeError> {
        let Content::V1(content) = codec::decode(bytes)?;
        if content.parts.iter().all(Part::within_limits) { Ok(content) } else { Err(DecodeError::Malformed) }
    }
}

impl Part {
    fn within_limits(&self) -> bool {
        match self {
            Part::Text(text) => text.text.len() <= TEXT_BYTES_MAX && text.place.seq >= 1,
            Part::Receipt(receipt) => receipt.beyond.iter().all(|(a, b)| a <= b),
            Part::Introduction(introduction) => {
                introduction.nickname.len() <= NAME_BYTES_MAX && introduction.whereabouts.within_limits()
            }
            Part::Whereabouts(whereabouts) => whereabouts.within_limits(),
            Part::AlsoHas(_) => true,
        }
    }
}

impl Whereabouts {
    pub(crate) fn within_limits(&self) -> bool {
        self.addresses.iter().all(|a| a.len() <= ADDRESS_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_covers_its_run_only() {
        let receipt = Receipt { run: 7, up_to: 3, beyond: vec![(5, 6), (9, 9)] };
        let covered: Vec<u64> = (1..=10).filter(|seq| receipt.covers(&Place { run: 7, seq: *seq })).collect();
        assert_eq!(covered, [1, 2, 3, 5, 6, 9]);
        assert!(!receipt.covers(&Place { run: 8, seq: 1 }));
    }

    #[test]
    fn marks_that_contradict_what_is_known_are_noticed() {
        let mark = |version, fill| ManifestMark { version, hash: [fill; 8] };
        let fits = |mine, yours| {
            let content = ContentV1 { knows_you: true, mine, yours, parts: vec![] };
            content.fits(&mark(5, 5), &mark(7, 7))
        };
        assert!(fits(mark(5, 5), mark(7, 7)));
        assert!(fits(mark(4, 4), mark(6, 6)), "older ones were long on their way");
        assert!(fits(mark(6, 6), ManifestMark::default()), "they renewed theirs, and never saw ours");
        assert!(!fits(mark(5, 6), mark(7, 7)), "another one of theirs of the same version");
        assert!(!fits(mark(5, 5), mark(7, 8)), "another one of ours of the same version");
        assert!(!fits(mark(5, 5), mark(8, 8)), "one of ours that we never made");
    }

    #[test]
    fn parts_below_at_and_above_their_number() {
        let mark = ManifestMark::default();
        for (count, taken) in [(PARTS_MAX - 1, true), (PARTS_MAX, true), (PARTS_MAX + 1, false)] {
            let parts = vec![Part::Receipt(Receipt::default()); count];
            let content = Content::V1(ContentV1 { knows_you: true, mine: mark, yours: mark, parts });
            assert_eq!(Content::from_bytes(&content.to_bytes()).is_ok(), taken);
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let _ = Content::from_bytes(&bytes);
        }
    }
}
