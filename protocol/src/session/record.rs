//! The form of a session that reaches (sealed) disk (SPEC §5.8).
//!
//! Byte-stable: equal sessions have equal records, which is how tests see that a failed call
//! changed nothing. Windows of tags are not in it: they are computed.

use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::id::{AccountId, DeviceId, SessionId};
use crate::session::chain::ReceiveChain;
use crate::session::limits::SKIPPED_KEYS_MAX;
use crate::session::parts::FIRST_PREFIX;
use crate::session::schedule::{NextKeys, TagSource};
use crate::session::skipped::{Skipped, SkippedKey};
use crate::session::{Opening, SendEpoch, Session, SessionError, Turn};
use crate::time::Time;
use crate::wire::layout::Reader;

const VERSION: u8 = 1;

impl Session {
    /// The session as bytes. Secret: seal them.
    #[must_use]
    pub fn to_record(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.record_bytes_max()));
        out.push(VERSION);
        for part in [&self.id.0, &self.peer_account.0, &self.peer_device.0] {
            out.extend_from_slice(part);
        }
        out.extend_from_slice(&self.created_at.0.to_le_bytes());
        out.push(u8::from(self.bundle_not_after.is_some()));
        out.extend_from_slice(&self.bundle_not_after.unwrap_or_default().0.to_le_bytes());
        for secret in [&self.direct_key, &self.root, &self.next.tag, &self.next.header] {
            out.extend_from_slice(&secret.0);
        }
        self.turn.write(&mut out);
        match &self.receiving {
            None => out.push(0),
            Some(chain) => chain.write(&mut out),
        }
        let count = u32::try_from(self.skipped.iter().len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for skipped in self.skipped.iter() {
            out.extend_from_slice(&skipped.tag);
            out.extend_from_slice(&skipped.key.0);
            out.extend_from_slice(&skipped.at.0.to_le_bytes());
        }
        out
    }

    /// Enough that the vector never moves and leaves no copy behind.
    fn record_bytes_max(&self) -> usize {
        FIRST_PREFIX + 1_024 + self.skipped.iter().len() * (16 + 32 + 8)
    }

    /// Reads [`Session::to_record`].
    ///
    /// # Errors
    /// Not a record of a known version.
    pub fn from_record(record: &[u8]) -> Result<Session, SessionError> {
        let mut reader = Reader::new(record);
        let mut session = read(&mut reader).ok_or(SessionError::Record)?;
        reader.end().ok_or(SessionError::Record)?;
        session.fill_next_window();
        Ok(session)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Session> {
    reader.u8().filter(|version| *version == VERSION)?;
    let id = SessionId(reader.array()?);
    let (peer_account, peer_device) = (AccountId(reader.array()?), DeviceId(reader.array()?));
    let created_at = Time(reader.u64()?);
    let bundle_not_after = match (reader.u8()?, Time(reader.u64()?)) {
        (0, Time(0)) => None,
        (1, time) => Some(time),
        _ => return None,
    };
    let (direct_key, root) = (secret(reader)?, secret(reader)?);
    let next = NextKeys { tag: secret(reader)?, header: secret(reader)? };
    let turn = Turn::read(reader)?;
    let receiving = ReceiveChain::read(reader)?;
    // The peer's turn can only have come with its chain.
    if matches!(turn, Turn::Theirs { .. }) && receiving.is_none() {
        return None;
    }
    let mut skipped = Skipped::default();
    let count = usize::try_from(reader.u32()?).ok().filter(|count| *count <= SKIPPED_KEYS_MAX)?;
    for _ in 0..count {
        skipped.insert(SkippedKey { tag: reader.array()?, key: secret(reader)?, at: Time(reader.u64()?) });
    }
    Some(Session {
        id,
        peer_account,
        peer_device,
        created_at,
        bundle_not_after,
        direct_key,
        root,
        next,
        turn,
        receiving,
        skipped,
        next_window: Default::default(),
    })
}

fn secret(reader: &mut Reader<'_>) -> Option<Secret> {
    reader.array().map(Secret)
}

impl Turn {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Turn::Ours(sending) => {
                out.push(0);
                out.extend_from_slice(&sending.epoch.to_le_bytes());
                out.extend_from_slice(&sending.chain.0);
                out.extend_from_slice(&sending.n.to_le_bytes());
                out.extend_from_slice(&sending.next_private.0);
                sending.opening.write(out);
            }
            Turn::Theirs { peer_next, sent_before } => {
                out.push(1);
                out.extend_from_slice(peer_next);
                out.extend_from_slice(&sent_before.to_le_bytes());
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Turn> {
        match reader.u8()? {
            0 => {
                let epoch = reader.u32()?;
                let (chain, n, next_private) = (secret(reader)?, reader.u32()?, secret(reader)?);
                let opening = Opening::read(reader)?;
                Some(Turn::Ours(SendEpoch { epoch, chain, n, next_private, opening }))
            }
            1 => Some(Turn::Theirs { peer_next: reader.array()?, sent_before: reader.u32()? }),
            _ => None,
        }
    }
}

impl Opening {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Opening::First(prefix) => {
                out.push(0);
                out.extend_from_slice(prefix);
            }
            Opening::Later { keys, header } => {
                out.push(1);
                out.extend_from_slice(&keys.tag.0);
                out.extend_from_slice(&keys.header.0);
                out.extend_from_slice(header);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Opening> {
        match reader.u8()? {
            0 => Some(Opening::First(reader.slice(FIRST_PREFIX)?.to_vec())),
            1 => {
                let keys = NextKeys { tag: secret(reader)?, header: secret(reader)? };
                Some(Opening::Later { keys, header: reader.array()? })
            }
            _ => None,
        }
    }
}

impl ReceiveChain {
    fn write(&self, out: &mut Vec<u8>) {
        let (kind, source) = match &self.tags {
            TagSource::First(ephemeral) => (1, ephemeral),
            TagSource::Keyed(key) => (2, &key.0),
        };
        out.push(kind);
        out.extend_from_slice(source);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.key.0);
        out.extend_from_slice(&self.n.to_le_bytes());
    }

    #[expect(clippy::option_option, reason = "the outer is failure, the inner is what was read")]
    fn read(reader: &mut Reader<'_>) -> Option<Option<ReceiveChain>> {
        let tags = match reader.u8()? {
            0 => return Some(None),
            1 => TagSource::First(reader.array()?),
            2 => TagSource::Keyed(secret(reader)?),
            _ => return None,
        };
        let (epoch, key, n) = (reader.u32()?, secret(reader)?, reader.u32()?);
        Some(Some(ReceiveChain::new(epoch, key, n, tags)))
    }
}
