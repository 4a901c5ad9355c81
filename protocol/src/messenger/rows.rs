//! The rows of the private store: what of an account is on disk (SPEC §9.2).
//!
//! Each row type names its table, group, position and key in one place. The store seals the bytes; a
//! row that does not decode is a damaged database, never skipped.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::clock::ClockDoubt;
use super::content::{MailboxTold, ManifestMark, Place, Whereabouts};
use super::store::{From, MessengerStore, Row, Stored, Table};
use super::story::Story;
use crate::control::{ContactState, Event, MessageState, Path, QueuedReason};
use crate::id::{AccountId, InviteToken, MessageId, PeerId, SessionId};
use crate::limits::{ADDRESSES_MAX, RECEIVED_RANGES_MAX, RUNS_PER_CONTACT_MAX, SESSIONS_PER_PREKEY_MAX};
use crate::store::StoreError;
use crate::time::{Day, Time};
use crate::wire::codec;
use crate::wire::ticket::TICKET_HINTS_MAX;

/// A typed row.
pub(crate) trait Record: Serialize + DeserializeOwned {
    const TABLE: Table;
    fn group(&self) -> Vec<u8> {
        Vec::new()
    }
    fn position(&self) -> u64 {
        0
    }
    fn key(&self) -> Vec<u8>;
}

pub(crate) fn save<R: Record>(store: &mut dyn MessengerStore, row: &R) -> Result<(), StoreError> {
    let (group, key, value) = (row.group(), row.key(), codec::encode(row));
    store.put(Row { table: R::TABLE, group: &group, position: row.position(), key: &key, value: &value })
}

pub(crate) fn load<R: Record>(store: &mut dyn MessengerStore, key: &[u8]) -> Result<Option<R>, StoreError> {
    store.get(R::TABLE, key)?.map(decode).transpose()
}

pub(crate) fn remove<R: Record>(store: &mut dyn MessengerStore, key: &[u8]) -> Result<bool, StoreError> {
    store.delete(R::TABLE, key)
}

pub(crate) fn scan<R: Record>(store: &mut dyn MessengerStore) -> Result<Vec<R>, StoreError> {
    store.scan(R::TABLE)?.into_iter().map(decode).collect()
}

pub(crate) fn list<R: Record>(
    store: &mut dyn MessengerStore,
    group: &[u8],
    from: From,
    limit: u32,
) -> Result<Vec<R>, StoreError> {
    store.list(R::TABLE, group, from, limit)?.into_iter().map(decode).collect()
}

fn decode<R: Record>(stored: Stored) -> Result<R, StoreError> {
    codec::decode(&stored.value).map_err(|_| StoreError::Corrupt)
}

/// The account itself.
#[derive(Serialize, Deserialize)]
pub(crate) struct AccountRow {
    pub(crate) entropy: [u8; 32],
    pub(crate) nickname: String,
    pub(crate) device: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) created_at: Time,
    /// Mailbox generation in use.
    pub(crate) generation: u32,
    /// The last own day whose mailboxes were surely collected.
    pub(crate) collected: Day,
    /// Numbers handed out: messages (arrival order), events.
    pub(crate) arrivals: u64,
    pub(crate) events: u64,
    /// When the last step was that saved this, at most [`crate::limits::POLL_MS`] before the last of all.
    pub(crate) seen: Time,
    pub(crate) clock: ClockDoubt,
}

impl Record for AccountRow {
    const TABLE: Table = Table::Account;
    fn key(&self) -> Vec<u8> {
        ACCOUNT_KEY.to_vec()
    }
}

/// Key of the one account row.
pub(crate) const ACCOUNT_KEY: &[u8] = b"account";

/// The private half of a published bundle.
#[derive(Serialize, Deserialize)]
pub(crate) struct PrekeyRow {
    pub(crate) hint: [u8; 8],
    pub(crate) bundle_id: [u8; 32],
    pub(crate) bundle: Vec<u8>,
    pub(crate) pair: Vec<u8>,
    pub(crate) made_at: Time,
    pub(crate) keep_until: Time,
    /// Made for an invite, not published in the account's public record.
    pub(crate) invite: bool,
    /// Ephemeral keys of the handshakes that began a session with it: none of them begins another.
    #[serde(deserialize_with = "codec::at_most::<_, _, SESSIONS_PER_PREKEY_MAX>")]
    pub(crate) begun: Vec<[u8; 32]>,
}

impl PrekeyRow {
    /// Whether a first message with this ephemeral key may begin a session.
    pub(crate) fn may_begin(&self, ephemeral: &[u8; 32]) -> bool {
        self.begun.len() < SESSIONS_PER_PREKEY_MAX && !self.begun.contains(ephemeral)
    }
}

impl Record for PrekeyRow {
    const TABLE: Table = Table::Prekeys;
    fn key(&self) -> Vec<u8> {
        self.hint.to_vec()
    }
}

/// An invite of ours.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct InviteRow {
    pub(crate) token: InviteToken,
    pub(crate) expires: Time,
    pub(crate) uses_left: u32,
    pub(crate) hint: [u8; 8],
}

impl Record for InviteRow {
    const TABLE: Table = Table::Invites;
    fn key(&self) -> Vec<u8> {
        self.token.0.to_vec()
    }
}

/// A contact.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ContactRow {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    /// The name was chosen here (`--as`, rename), not taken from the nickname.
    pub(crate) named: bool,
    pub(crate) nickname: Option<String>,
    pub(crate) state: ContactState,
    pub(crate) added_at: Time,
    pub(crate) seen_at: Option<Time>,
    /// What was added by: kept until connected.
    pub(crate) ticket: Option<TicketRow>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) manifest_mark: ManifestMark,
    pub(crate) bundle_seq: u64,
    pub(crate) mailbox: Option<MailboxTold>,
    pub(crate) whereabouts: Option<Whereabouts>,
    /// What they were last told of our whereabouts, and when.
    pub(crate) told: Option<Told>,
    /// The session to send on.
    pub(crate) preferred: Option<SessionId>,
    /// The one before it, which the contact may use still: it is told that we have it (SPEC §5.5).
    pub(crate) other: Option<SessionId>,
    pub(crate) sessions: u32,
    /// Run of our message numbers to them: another one whenever they are counted anew.
    pub(crate) run: u64,
    /// Number of our last message to them.
    pub(crate) sent: u64,
    /// What has arrived of theirs, by run.
    #[serde(deserialize_with = "codec::at_most::<_, _, RUNS_PER_CONTACT_MAX>")]
    pub(crate) received: Vec<ReceivedRun>,
    pub(crate) receipt_owed: bool,
    /// Messages of theirs that no `read` has shown.
    pub(crate) unread: u64,
}

impl core::fmt::Debug for ContactRow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ContactRow({:?}, {:?})", self.account, self.state)
    }
}

/// What somebody was told of our whereabouts.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    #[serde(deserialize_with = "codec::at_most::<_, _, ADDRESSES_MAX>")]
    pub(crate) addresses: Vec<String>,
    pub(crate) at: Time,
}

/// The ticket a contact was added by.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TicketRow {
    pub(crate) token: InviteToken,
    #[serde(deserialize_with = "codec::at_most::<_, _, TICKET_HINTS_MAX>")]
    pub(crate) hints: Vec<String>,
}

/// Numbers of one author's run that have arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceivedRun {
    pub(crate) run: u64,
    /// All up to this one.
    pub(crate) up_to: u64,
    /// Ranges beyond it, ascending, not touching.
    #[serde(deserialize_with = "codec::at_most::<_, _, RECEIVED_RANGES_MAX>")]
    pub(crate) beyond: Vec<(u64, u64)>,
}

impl Record for ContactRow {
    const TABLE: Table = Table::Contacts;
    fn position(&self) -> u64 {
        self.added_at.0
    }
    fn key(&self) -> Vec<u8> {
        self.account.0.to_vec()
    }
}

/// A session.
#[derive(Serialize, Deserialize)]
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) account: AccountId,
    /// Superseded, or last opened something, then; kept 31 d to open what is still on its way.
    pub(crate) archived_at: Option<Time>,
    /// Hint and ephemeral of the first message it was accepted from.
    pub(crate) first: Option<([u8; 8], [u8; 32])>,
    /// Left because it was full, not because the contact may have lost it: what it sealed is still sent.
    pub(crate) filled: bool,
    pub(crate) session: Vec<u8>,
}

impl Record for SessionRow {
    const TABLE: Table = Table::Sessions;
    fn key(&self) -> Vec<u8> {
        self.id.0.to_vec()
    }
}

/// A sealed message that was opened: its copies are duplicates.
#[derive(Serialize, Deserialize)]
pub(crate) struct OpenedRow {
    pub(crate) replay_key: [u8; 16],
    pub(crate) account: AccountId,
    pub(crate) day: Day,
}

impl Record for OpenedRow {
    const TABLE: Table = Table::Opened;
    fn position(&self) -> u64 {
        u64::from(self.day.0)
    }
    fn key(&self) -> Vec<u8> {
        self.replay_key.to_vec()
    }
}

/// What waits for a receipt.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct OutboxRow {
    pub(crate) id: MessageId,
    pub(crate) to: AccountId,
    pub(crate) kind: Kind,
    pub(crate) created: Time,
    pub(crate) expires: Time,
    pub(crate) state: MessageState,
    pub(crate) reason: Option<QueuedReason>,
    /// Custodians with a synced copy of the current sealed form.
    pub(crate) held_by: Vec<PeerId>,
    pub(crate) want: u32,
    pub(crate) until: Option<Time>,
    pub(crate) attempts: u32,
    /// How many of the later deposits were made.
    pub(crate) redeposits: u8,
    pub(crate) sealed: Option<SealedRow>,
    /// It was given to somebody: it cannot be taken back.
    pub(crate) left: bool,
    /// What has been tried.
    pub(crate) story: Story,
}

/// What an outbox row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A text; its content is the message row.
    Text(Place),
    /// Who we are; not shown to people.
    Introduction,
    /// The place of a text that was taken back before it left.
    Withdrawn(Place),
}

/// The current sealed form of an outbox row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SealedRow {
    pub(crate) session: SessionId,
    pub(crate) inner: Vec<u8>,
    /// A first message: goes to the request mailbox, never direct.
    pub(crate) first: bool,
    pub(crate) at: Time,
}

impl Record for OutboxRow {
    const TABLE: Table = Table::Outbox;
    fn position(&self) -> u64 {
        match self.kind {
            Kind::Text(place) | Kind::Withdrawn(place) => place.seq,
            Kind::Introduction => 0,
        }
    }
    fn key(&self) -> Vec<u8> {
        [self.id.time_bytes().as_slice(), &self.id.0].concat()
    }
}

/// A message of a conversation, sent or received.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct MessageRow {
    pub(crate) id: MessageId,
    pub(crate) contact: AccountId,
    /// Sent by us.
    pub(crate) own: bool,
    pub(crate) place: Place,
    /// Order of arrival at (or sending from) this node.
    pub(crate) arrival: u64,
    pub(crate) at: Time,
    pub(crate) received_at: Option<Time>,
    pub(crate) expires: Time,
    pub(crate) text: String,
    /// State of an own message; `Delivered` for others.
    pub(crate) state: MessageState,
    pub(crate) path: Option<Path>,
    pub(crate) kept_by: Option<PeerId>,
    pub(crate) unread: bool,
    /// Of an own message that is not in the outbox any more.
    pub(crate) story: Story,
}

/// Key of a message row: ids of different authors cannot collide on purpose.
pub(crate) fn message_key(contact: &AccountId, own: bool, id: &MessageId) -> Vec<u8> {
    [id.time_bytes().as_slice(), &contact.0, &[u8::from(own)], &id.0].concat()
}

impl Record for MessageRow {
    const TABLE: Table = Table::Messages;
    fn group(&self) -> Vec<u8> {
        self.contact.0.to_vec()
    }
    fn position(&self) -> u64 {
        self.arrival
    }
    fn key(&self) -> Vec<u8> {
        message_key(&self.contact, self.own, &self.id)
    }
}

/// A `client_id` that was used.
#[derive(Serialize, Deserialize)]
pub(crate) struct ClientIdRow {
    pub(crate) client_id: String,
    pub(crate) id: MessageId,
    pub(crate) contact: AccountId,
    /// Hash of the text: the same key for another text is an error, not a lost message.
    pub(crate) text: [u8; 32],
    pub(crate) day: Day,
}

impl Record for ClientIdRow {
    const TABLE: Table = Table::ClientIds;
    fn position(&self) -> u64 {
        u64::from(self.day.0)
    }
    fn key(&self) -> Vec<u8> {
        self.client_id.clone().into_bytes()
    }
}

/// An event for `listen --since`. JSON inside: it is what clients are shown.
#[derive(Serialize, Deserialize)]
pub(crate) struct EventRow {
    pub(crate) cursor: u64,
    pub(crate) json: String,
}

impl EventRow {
    pub(crate) fn event(&self) -> Result<Event, StoreError> {
        serde_json::from_str(&self.json).map_err(|_| StoreError::Corrupt)
    }
}

impl Record for EventRow {
    const TABLE: Table = Table::Events;
    fn position(&self) -> u64 {
        self.cursor
    }
    fn key(&self) -> Vec<u8> {
        self.cursor.to_be_bytes().to_vec()
    }
}

/// A named consumer of events.
#[derive(Serialize, Deserialize)]
pub(crate) struct ConsumerRow {
    pub(crate) name: String,
    /// Everything up to it is acknowledged.
    pub(crate) cursor: u64,
}

impl Record for ConsumerRow {
    const TABLE: Table = Table::Consumers;
    fn key(&self) -> Vec<u8> {
        self.name.clone().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::sha256;
    use crate::messenger::store::MemoryStore;
    use crate::wire::bundle::BUNDLE_BYTES;

    fn read_back<R: Record>(row: &R) -> Result<Vec<R>, StoreError> {
        let mut store = MemoryStore::default();
        store.transaction(|tx| save(tx, row))?;
        store.transaction(|tx| scan(tx))
    }

    /// Story: 128 KiB was the most that a decode took, whoever had written the bytes. Of a prekey with which
    /// strangers had begun 4,053 sessions (40 hours at the rate they are let in), and of a contact that had left gaps in
    /// eight runs, rows were written that nobody could read again: the account was damaged for good.
    #[test]
    fn rows_are_read_back_at_their_bounds() {
        let ephemeral = |i: usize| sha256(&[&i.to_le_bytes()]);
        let prekey = PrekeyRow {
            hint: [0; 8],
            bundle_id: [0; 32],
            bundle: vec![0; BUNDLE_BYTES],
            pair: vec![0; 97],
            made_at: Time(0),
            keep_until: Time(0),
            invite: false,
            begun: (0..SESSIONS_PER_PREKEY_MAX).map(ephemeral).collect(),
        };
        assert_eq!(read_back(&prekey).map(|rows| rows.len()), Ok(1));
        let far = |i: usize| u64::MAX - 2 * u64::try_from(i).unwrap();
        let run = |run: usize| ReceivedRun {
            run: far(run),
            up_to: 0,
            beyond: (0..RECEIVED_RANGES_MAX).rev().map(|i| (far(i), far(i))).collect(),
        };
        let mut contact = crate::messenger::decoders::samples::contact();
        contact.received = (0..RUNS_PER_CONTACT_MAX).map(run).collect();
        assert_eq!(read_back(&contact).map(|rows| rows.len()), Ok(1));
    }

    #[test]
    fn a_handshake_begins_one_session_and_a_prekey_so_many() {
        let ephemeral = |i: usize| sha256(&[&i.to_le_bytes()]);
        let mut prekey = PrekeyRow {
            hint: [0; 8],
            bundle_id: [0; 32],
            bundle: Vec::new(),
            pair: Vec::new(),
            made_at: Time(0),
            keep_until: Time(0),
            invite: false,
            begun: (0..SESSIONS_PER_PREKEY_MAX - 1).map(ephemeral).collect(),
        };
        assert!(!prekey.may_begin(&ephemeral(0)), "it has");
        assert!(prekey.may_begin(&ephemeral(SESSIONS_PER_PREKEY_MAX)));
        prekey.begun.push(ephemeral(SESSIONS_PER_PREKEY_MAX));
        assert!(!prekey.may_begin(&ephemeral(SESSIONS_PER_PREKEY_MAX + 1)), "so many have");
    }
}
