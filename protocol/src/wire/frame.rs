//! Frames of a peer stream: one kind byte, then the payload (SPEC §6).
//!
//! A frame proves nothing: envelopes, records and claims inside are verified by the machine that
//! takes it. Kinds keep their numbers for ever; a kind this version does not know is skipped, so
//! that a newer peer can say more.

use serde::{Deserialize, Serialize};

use super::codec::{self, DecodeError};
use crate::id::{Address, EnvelopeId, PeerId};
use crate::limits::{
    ADDRESS_BYTES_MAX, ADDRESSES_MAX, FRAME_BYTES_MAX, IDS_PER_FRAME_MAX, PEERS_PER_FRAME_MAX,
    RECORDS_PER_FRAME_MAX,
};
use crate::time::{Day, Time};

/// Version of the peer protocol in a [`Hello`].
pub const PROTOCOL_VERSION: u16 = 1;

/// What a peer can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Reachable and up long enough: Kademlia server and custodian.
    Full,
    /// Everything else.
    Light,
}

/// Opens every stream, both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u16,
    /// Addresses the receiver may use and tell others: loopback to loopback, private to private.
    #[serde(deserialize_with = "codec::at_most::<_, _, ADDRESSES_MAX>")]
    pub addresses: Vec<String>,
    /// Role of the sender.
    pub role: Role,
    /// It keeps mail: its `held_bytes_max` is not zero.
    pub keeps: bool,
    /// What the receiver signs claims with on this connection, and proves direct streams with.
    pub challenge: [u8; 32],
    /// The sender's clock.
    pub time: Time,
}

/// A peer and where to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerHint {
    /// The peer.
    pub peer: PeerId,
    /// Its addresses.
    #[serde(deserialize_with = "codec::at_most::<_, _, ADDRESSES_MAX>")]
    pub addresses: Vec<String>,
}

/// What lets a deposit in (SPEC §8.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admission {
    /// Nothing: within the quotas of a mailbox.
    None,
    /// A capability of the recipient (later).
    Capability(Vec<u8>),
    /// A stamp (later).
    Stamp(Vec<u8>),
}

/// A custodian's word that a copy is synced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustodyReceipt {
    /// Kept until; unsigned. Signed receipts will be the next kind.
    Plain {
        /// Until when the copy is kept.
        until: Time,
    },
}

/// Why a custodian refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not an envelope, record or claim. The sender is at fault.
    Malformed,
    /// The signature does not fit.
    BadSignature,
    /// The day is outside what custodians take by their own clock.
    WrongDay,
    /// Already expired, or the life is longer than allowed.
    BadExpiry,
    /// The mailbox's quota is used up.
    MailboxFull,
    /// The owner has deleted this envelope.
    Tombstoned,
    /// Too many bytes from this network prefix this hour.
    Rate,
    /// A newer record is held.
    Older,
    /// Too many subscriptions on this connection.
    TooManySubscriptions,
    /// This peer keeps no mail.
    NotACustodian,
    /// An admission of a kind this custodian does not take.
    Admission,
    /// Its disk failed; nothing was kept.
    Disk,
}

impl Refusal {
    /// Whether asking the same custodian again later can help.
    #[must_use]
    pub fn again_helps(self) -> bool {
        match self {
            Refusal::MailboxFull | Refusal::Rate | Refusal::TooManySubscriptions | Refusal::Disk => true,
            Refusal::Malformed
            | Refusal::BadSignature
            | Refusal::WrongDay
            | Refusal::BadExpiry
            | Refusal::Tombstoned
            | Refusal::Older
            | Refusal::NotACustodian
            | Refusal::Admission => false,
        }
    }
}

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// An envelope.
    Envelope(EnvelopeId),
    /// A record: its address and slot.
    Record(Address, u8),
    /// A mailbox.
    Mailbox(Address),
}

/// A claim to a mailbox: the signature of its address key over label, custodian, challenge, address,
/// day, cursor and ids (SPEC §4.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The mailbox.
    pub address: Address,
    /// Its day.
    pub day: Day,
    /// Position in this custodian's list after which ids are wanted.
    pub cursor: u64,
    /// Who signed and the signature: 65 bytes (SPEC §4.3).
    pub signature: Vec<u8>,
}

/// One frame. The order of the variants is the wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// 0: opens the stream.
    Hello(Hello),
    /// 1: keep this envelope.
    Deposit {
        /// The envelope's bytes (SPEC §4.1).
        envelope: Vec<u8>,
        /// What lets it in.
        admission: Admission,
    },
    /// 2: a copy is synced.
    Held {
        /// The envelope.
        envelope: EnvelopeId,
        /// The custodian's word.
        receipt: CustodyReceipt,
    },
    /// 3: no room; go on to the next nearest.
    Full {
        /// The envelope.
        envelope: EnvelopeId,
    },
    /// 4: these peers are nearer.
    Closer {
        /// The envelope.
        envelope: EnvelopeId,
        /// Nearer peers.
        #[serde(deserialize_with = "codec::at_most::<_, _, PEERS_PER_FRAME_MAX>")]
        peers: Vec<PeerHint>,
    },
    /// 5: refused.
    Refused {
        /// What.
        subject: Subject,
        /// Why.
        why: Refusal,
        /// When asking again may help, in milliseconds from now; 0 = never.
        retry_after_ms: u64,
    },
    /// 6: tell me the ids of this mailbox, and what arrives from now on if `live`.
    Subscribe {
        /// The right to it.
        claim: Claim,
        /// Also push what arrives later on this connection.
        live: bool,
        /// Digest of the tombstones the owner knows of; reserved, empty.
        digest: Vec<u8>,
    },
    /// 7: ids in a mailbox.
    Have {
        /// The mailbox.
        address: Address,
        /// Ids after the cursor of the request, oldest first.
        #[serde(deserialize_with = "codec::at_most::<_, _, IDS_PER_FRAME_MAX>")]
        ids: Vec<EnvelopeId>,
        /// Position after the last id.
        cursor: u64,
        /// There are more after `cursor`.
        more: bool,
        /// Who holds them, if not the sender (from an ADMITTED).
        holder: Option<PeerId>,
    },
    /// 8: hand these over.
    Get {
        /// The right to them.
        claim: Claim,
        /// Which.
        #[serde(deserialize_with = "codec::at_most::<_, _, IDS_PER_FRAME_MAX>")]
        ids: Vec<EnvelopeId>,
    },
    /// 9: an envelope, asked for or live.
    Push {
        /// The envelope's bytes.
        envelope: Vec<u8>,
    },
    /// 10: the owner's word that these may be dropped; anybody may pass it on.
    Tombstone(Tombstone),
    /// 11: reserved: a capability is withdrawn.
    Revoke(Vec<u8>),
    /// 12: reserved: a frame passed on for somebody else.
    Forward(Vec<u8>),
    /// 13: reserved: reconciliation between custodians.
    Sync(Vec<u8>),
    /// 14: between custodians: these ids are here now.
    Admitted {
        /// The mailbox.
        address: Address,
        /// The ids.
        #[serde(deserialize_with = "codec::at_most::<_, _, IDS_PER_FRAME_MAX>")]
        ids: Vec<EnvelopeId>,
    },
    /// 15: keep this record.
    PutRecord {
        /// The record's bytes (SPEC §4.2).
        record: Vec<u8>,
    },
    /// 16: the record is synced.
    RecordHeld {
        /// Its address.
        address: Address,
        /// Its slot.
        slot: u8,
        /// Its sequence number.
        seq: u64,
    },
    /// 17: which records are at this address?
    GetRecords {
        /// The address.
        address: Address,
    },
    /// 18: the records at an address; none is an answer too.
    Records {
        /// The address.
        address: Address,
        /// Their bytes.
        #[serde(deserialize_with = "codec::at_most::<_, _, RECORDS_PER_FRAME_MAX>")]
        records: Vec<Vec<u8>>,
    },
    /// 19: hand me some peers.
    AskPeers,
    /// 20: some peers.
    Peers(#[serde(deserialize_with = "codec::at_most::<_, _, PEERS_PER_FRAME_MAX>")] Vec<PeerHint>),
    /// 21: the device behind this peer is one of your contacts' (SPEC §6.4).
    DirectProof {
        /// HMAC under the session's direct key over both PeerIds and both challenges.
        proof: [u8; 32],
        /// Prove yourself in return: set until the other side has.
        want: bool,
    },
    /// 22: a sealed message on a proven direct stream.
    Direct {
        /// The sealed inner (SPEC §5), as it would be in an envelope.
        inner: Vec<u8>,
    },
    /// 23: ids of a GET that are not here.
    Missing {
        /// The mailbox.
        address: Address,
        /// The ids.
        #[serde(deserialize_with = "codec::at_most::<_, _, IDS_PER_FRAME_MAX>")]
        ids: Vec<EnvelopeId>,
    },
}

/// First kind number that this version does not know.
const KIND_UNKNOWN: u8 = 24;

/// The owner's transferable word that envelopes may be dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The mailbox.
    pub address: Address,
    /// Its day.
    pub day: Day,
    /// The envelopes, sorted.
    #[serde(deserialize_with = "codec::at_most::<_, _, IDS_PER_FRAME_MAX>")]
    pub ids: Vec<EnvelopeId>,
    /// Who signed and the signature: 65 bytes (SPEC §4.3).
    pub signature: Vec<u8>,
}

/// The bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Of a kind this version does not know: skip it.
    #[error("unknown frame kind {0}")]
    Unknown(u8),
    /// Not a frame: the peer is at fault.
    #[error("malformed frame")]
    Malformed,
    /// Too long, or a list in it is.
    #[error("frame over a limit")]
    TooLong,
}

impl From<DecodeError> for FrameError {
    fn from(error: DecodeError) -> FrameError {
        match error {
            DecodeError::Malformed => FrameError::Malformed,
            DecodeError::TooLong => FrameError::TooLong,
        }
    }
}

impl Frame {
    /// The bytes on the stream, without the length prefix.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads one frame and checks every list in it against its limit.
    pub fn from_bytes(bytes: &[u8]) -> Result<Frame, FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong);
        }
        match bytes.first() {
            None => return Err(FrameError::Malformed),
            Some(kind) if *kind >= KIND_UNKNOWN => return Err(FrameError::Unknown(*kind)),
            Some(_) => {}
        }
        let frame: Frame = codec::decode(bytes)?;
        if frame.within_limits() { Ok(frame) } else { Err(FrameError::TooLong) }
    }

    /// What the lists' own limits leave open: how long their texts are.
    fn within_limits(&self) -> bool {
        let fit = |addresses: &[String]| addresses.iter().all(|address| address.len() <= ADDRESS_BYTES_MAX);
        match self {
            Frame::Hello(hello) => fit(&hello.addresses),
            Frame::Closer { peers, .. } | Frame::Peers(peers) => {
                peers.iter().all(|peer| fit(&peer.addresses))
            }
            Frame::Have { .. }
            | Frame::Get { .. }
            | Frame::Admitted { .. }
            | Frame::Missing { .. }
            | Frame::Tombstone(_)
            | Frame::Records { .. }
            | Frame::Deposit { .. }
            | Frame::Held { .. }
            | Frame::Full { .. }
            | Frame::Refused { .. }
            | Frame::Subscribe { .. }
            | Frame::Push { .. }
            | Frame::Revoke(_)
            | Frame::Forward(_)
            | Frame::Sync(_)
            | Frame::PutRecord { .. }
            | Frame::RecordHeld { .. }
            | Frame::GetRecords { .. }
            | Frame::AskPeers
            | Frame::DirectProof { .. }
            | Frame::Direct { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_their_numbers() {
        let address = Address([1; 32]);
        for (kind, frame) in [
            (5, Frame::Refused { subject: Subject::Mailbox(address), why: Refusal::Rate, retry_after_ms: 9 }),
            (14, Frame::Admitted { address, ids: vec![] }),
            (19, Frame::AskPeers),
            (23, Frame::Missing { address, ids: vec![EnvelopeId([2; 32])] }),
        ] {
            let bytes = frame.to_bytes();
            assert_eq!(bytes.first(), Some(&kind));
            assert_eq!(Frame::from_bytes(&bytes), Ok(frame));
        }
        assert_eq!(Frame::from_bytes(&[KIND_UNKNOWN, 1, 2]), Err(FrameError::Unknown(KIND_UNKNOWN)));
    }

    #[test]
    fn lists_are_refused_one_above_their_limit() {
        let frame =
            |n| Frame::Admitted { address: Address([0; 32]), ids: vec![EnvelopeId([0; 32]); n] }.to_bytes();
        assert!(Frame::from_bytes(&frame(IDS_PER_FRAME_MAX)).is_ok());
        assert_eq!(Frame::from_bytes(&frame(IDS_PER_FRAME_MAX + 1)), Err(FrameError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = Frame::from_bytes(&bytes);
        }
    }
}
