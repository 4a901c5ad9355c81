//! Names of things on the wire: accounts, devices, peers, addresses, envelopes, messages.
//!
//! Plain newtypes over bytes. They prove nothing: a type that carries proof is made by a `verify`.
//! SPEC §2.

use core::fmt;
use core::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::{DAY_MS, Day, Time};

/// SHA-256 of the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "("))?;
                hex(self.0.get(..4).unwrap_or_default(), f)?;
                f.write_str("…)")
            }
        }
    };
}

bytes_id!(
    /// A person's long-term identity: the Ed25519 public key `AK_pk` (SPEC §2.1).
    AccountId, 32);
bytes_id!(
    /// One installation of an account: its Ed25519 signing key `DS_pk` (SPEC §2.1).
    DeviceId, 32);
bytes_id!(
    /// A libp2p node: the Ed25519 public key inside its PeerId. Never an account (SPEC §2.2).
    PeerId, 32);
bytes_id!(
    /// A blinded address at which custodians keep envelopes or records; itself an Ed25519 public
    /// key, so that its owner can sign for it (SPEC §3).
    Address, 32);
bytes_id!(
    /// SHA-256 of a whole envelope (SPEC §4.1).
    EnvelopeId, 32);
bytes_id!(
    /// A message: 11 random bytes chosen by its sender and when it was made, in 5; the same through re-seals
    /// (SPEC §5.6).
    MessageId, 16);
bytes_id!(
    /// A session: the Noise handshake hash of its first message (SPEC §5.3).
    SessionId, 32);
bytes_id!(
    /// The secret in a ticket that makes its holder a contact without asking (SPEC §7).
    InviteToken, 16);

/// A point of the XOR metric: SHA-256 of the bytes Kademlia looks up (SPEC §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KadKey(pub [u8; 32]);

impl KadKey {
    /// XOR distance, most significant byte first, so that it compares as a number.
    #[must_use]
    pub fn distance(&self, other: &KadKey) -> [u8; 32] {
        let mut out = self.0;
        for (a, b) in out.iter_mut().zip(other.0) {
            *a ^= b;
        }
        out
    }

    /// Number of leading bits shared with `other`: 256 for equal keys.
    #[must_use]
    pub fn shared_prefix(&self, other: &KadKey) -> u32 {
        let mut bits = 0;
        for byte in self.distance(other) {
            bits += byte.leading_zeros();
            if byte != 0 {
                break;
            }
        }
        bits
    }
}

impl Address {
    /// Where this address lies in the key space.
    #[must_use]
    pub fn kad_key(&self) -> KadKey {
        KadKey(sha256(&[&self.0]))
    }
}

/// Multihash and protobuf framing of an Ed25519 key in a libp2p PeerId.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl PeerId {
    /// The 38 bytes of the libp2p PeerId.
    #[must_use]
    pub fn to_multihash(&self) -> Vec<u8> {
        [PEER_ID_PREFIX.as_slice(), &self.0].concat()
    }

    /// The peer behind a libp2p PeerId, if it is an Ed25519 one: others cannot be peers here.
    #[must_use]
    pub fn from_multihash(bytes: &[u8]) -> Option<PeerId> {
        bytes.strip_prefix(&PEER_ID_PREFIX)?.try_into().ok().map(PeerId)
    }

    /// Where this peer lies in the key space: the same point libp2p's Kademlia computes.
    #[must_use]
    pub fn kad_key(&self) -> KadKey {
        KadKey(sha256(&[&self.to_multihash()]))
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_multihash()).into_string())
    }
}

/// The text is not the id it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a libp2p Ed25519 PeerId in base58.
    #[error("not a peer id")]
    PeerId,
    /// Not `mur1…` with a valid checksum.
    #[error("not an account address")]
    Account,
    /// Not 32 hexadecimal digits.
    #[error("not a message id")]
    Message,
}

impl FromStr for PeerId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<PeerId, IdError> {
        let bytes = bs58::decode(text).into_vec().map_err(|_| IdError::PeerId)?;
        PeerId::from_multihash(&bytes).ok_or(IdError::PeerId)
    }
}

impl AccountId {
    /// The account's own day at `now`: offset by its key, so that mailboxes do not all move at one
    /// midnight (SPEC §3.1).
    #[must_use]
    pub fn day(&self, now: Time) -> Day {
        let [a, b, c, d, ..] = sha256(&[&self.0]);
        let offset_seconds = u64::from(u32::from_le_bytes([a, b, c, d])) % (DAY_MS / 1_000);
        now.plus(offset_seconds * 1_000).utc_day()
    }
}

const ACCOUNT_HRP: bech32::Hrp = bech32::Hrp::parse_unchecked("mur");

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = bech32::encode::<bech32::Bech32m>(ACCOUNT_HRP, &self.0).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl FromStr for AccountId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<AccountId, IdError> {
        // Not `bech32::decode`: that takes the older checksum too, so one account had two texts.
        let checked = CheckedHrpstring::new::<bech32::Bech32m>(text).map_err(|_| IdError::Account)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let account = AccountId(bytes.try_into().map_err(|_| IdError::Account)?);
        // Nor are the bits that fill the last character up looked at by anybody else.
        if account.to_string() == text.to_ascii_lowercase() { Ok(account) } else { Err(IdError::Account) }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl MessageId {
    /// Random bytes and a time, in units of 128 ms: so that a store can lay messages of the same time side by
    /// side. Nobody takes it for the truth.
    #[must_use]
    pub fn new(random: [u8; 11], now: Time) -> MessageId {
        let [_, _, _, time @ ..] = (now.0 >> 7).to_be_bytes();
        let mut id = [0; 16];
        let bytes = random.into_iter().chain(time);
        id.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        MessageId(id)
    }

    /// The time in it.
    #[must_use]
    pub fn time_bytes(&self) -> [u8; 5] {
        let [.., a, b, c, d, e] = self.0;
        [a, b, c, d, e]
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<MessageId, IdError> {
        let mut out = [0; 16];
        // A sign would be taken for a digit.
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(IdError::Message);
        }
        for (i, byte) in out.iter_mut().enumerate() {
            let digits = text.get(2 * i..2 * i + 2).ok_or(IdError::Message)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| IdError::Message)?;
        }
        Ok(MessageId(out))
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl EnvelopeId {
    /// The id of an envelope's bytes.
    #[must_use]
    pub fn of(envelope: &[u8]) -> EnvelopeId {
        EnvelopeId(sha256(&[envelope]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip_and_refuse_a_changed_character() {
        let account = AccountId([7; 32]);
        let text = account.to_string();
        assert!(text.starts_with("mur1"));
        assert_eq!(text.parse(), Ok(account));
        let changed = format!("{}q", text.get(..text.len() - 1).unwrap());
        assert_eq!(changed.parse::<AccountId>(), Err(IdError::Account));
        let older = bech32::encode::<bech32::Bech32>(ACCOUNT_HRP, &[7; 32]).unwrap();
        assert_eq!(older.parse::<AccountId>(), Err(IdError::Account), "one text an account");
        let peer = PeerId([9; 32]);
        assert!(peer.to_string().starts_with("12D3KooW"));
        assert_eq!(peer.to_string().parse(), Ok(peer));
        let message = MessageId::new([0xab; 11], Time(0x0102_0304_0506 << 7));
        assert_eq!(message.time_bytes(), [2, 3, 4, 5, 6]);
        assert_eq!(message.to_string().parse(), Ok(message));
        assert_eq!("zz".parse::<MessageId>(), Err(IdError::Message));
    }

    #[test]
    fn days_of_accounts_differ_by_their_offset() {
        let noon = Time(20_000 * DAY_MS + DAY_MS / 2);
        let days: std::collections::BTreeSet<Day> = (0..64).map(|i| AccountId([i; 32]).day(noon)).collect();
        assert_eq!(days.into_iter().collect::<Vec<_>>(), vec![Day(20_000), Day(20_001)]);
    }
}
