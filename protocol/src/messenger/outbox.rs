//! The outbox: what has no receipt yet, and where each attempt stands (SPEC §8.4).
//!
//! A row lives until its receipt, its expiry or its final refusal. The attempt is in memory only:
//! after a restart every row starts again. Attempts are made in [`sending`](super::sending).

use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::rounds::Round;
use super::rows::{self, Kind, OutboxRow, Record};
use super::store::MessengerStore;
use crate::control::{Custodians, MessageState, OutboxEntry};
use crate::id::{AccountId, EnvelopeId, MessageId};
use crate::limits::{DIRECT_AGAIN_MS, DIRECT_AGAIN_MS_MAX, DIRECT_RECEIPT_MS, DIRECT_WINDOW, ROUNDS_MAX};
use crate::store::StoreError;
use crate::time::Time;

/// Everything that waits for a receipt.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) entries: BTreeMap<MessageId, Entry>,
    by_contact: BTreeMap<AccountId, Line>,
    /// Whose envelope a custodian's answer is about.
    pub(crate) by_envelope: BTreeMap<EnvelopeId, Owner>,
    /// Entries that look for custodians or deposit; some may have ended.
    rounds: BTreeSet<MessageId>,
    /// Entries that wait for one of those to end, in order; some may have found another way.
    waiting: VecDeque<MessageId>,
}

/// One contact's entries.
#[derive(Debug, Default)]
struct Line {
    order: BTreeSet<Key>,
    /// On their way over the direct stream.
    direct: BTreeSet<MessageId>,
    again: Again,
    /// When a receipt last covered some of them.
    progressed_at: Option<Time>,
}

/// One of those is sent again when no receipt comes.
#[derive(Debug, Default)]
struct Again {
    /// How often it was since the last receipt.
    times: u32,
    /// When the next is looked for, if one is.
    at: Option<Time>,
}

/// An entry's place in its contact's line: the order they were written in, introductions first.
pub(crate) type Key = (u64, Time, MessageId);

/// Whom an envelope was deposited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// An outbox entry.
    Entry(MessageId),
    /// A receipt to a contact.
    Receipt(AccountId),
}

/// A row and its attempt.
pub(crate) struct Entry {
    pub(crate) row: OutboxRow,
    pub(crate) attempt: Attempt,
    /// When it was last sent over the direct stream that is open now.
    pub(crate) direct_at: Option<Time>,
    /// When it is tried again; none = on the next event.
    pub(crate) next_try: Option<Time>,
}

impl core::fmt::Debug for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Entry({:?}, {:?})", self.row.id, self.attempt)
    }
}

/// What is being tried.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// Nothing: waits for `next_try` or an event.
    Idle,
    /// The contact is being dialed; by then the mailbox is used.
    Dialing(Time),
    /// Sent directly, or waits for room on the direct stream; without a receipt by then the mailbox is
    /// used too.
    AwaitingReceipt(Time),
    /// Too many others look for custodians just now ([`ROUNDS_MAX`]).
    Waiting,
    /// The region of the mailbox is being looked up.
    Finding,
    /// Deposits are under way.
    Depositing(Deposit),
}

/// Deposits under way.
#[derive(Debug)]
pub(crate) struct Deposit {
    pub(crate) round: Round,
    pub(crate) envelope: EnvelopeId,
    pub(crate) bytes: Vec<u8>,
    /// A custodian said that the mailbox is full.
    pub(crate) full: bool,
}

impl Entry {
    pub(crate) fn new(row: OutboxRow) -> Entry {
        Entry { row, attempt: Attempt::Idle, direct_at: None, next_try: None }
    }

    fn key(&self) -> Key {
        (self.row.position(), self.row.created, self.row.id)
    }

    pub(crate) fn custodians(&self) -> Custodians {
        custodians(&self.row)
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.row.kind, Kind::Text(_))
    }

    /// It is on the direct stream, and neither its patience nor its life is over.
    fn waits_for_receipt(&self, now: Time) -> bool {
        let patient = matches!(self.attempt, Attempt::AwaitingReceipt(until) if until > now);
        patient && self.direct_at.is_some() && self.row.expires > now
    }

    /// Ends whatever is being tried; gives the envelope that answers may still name.
    pub(crate) fn stop(&mut self) -> Option<EnvelopeId> {
        match core::mem::replace(&mut self.attempt, Attempt::Idle) {
            Attempt::Depositing(deposit) => Some(deposit.envelope),
            Attempt::Idle
            | Attempt::Dialing(_)
            | Attempt::AwaitingReceipt(_)
            | Attempt::Waiting
            | Attempt::Finding => None,
        }
    }

    pub(crate) fn reply(&self, name: &str) -> OutboxEntry {
        OutboxEntry {
            id: self.row.id.to_string(),
            to: name.to_owned(),
            state: self.row.state,
            custodians: self.custodians(),
            attempts: self.row.attempts,
            next_try: self.next_try.map(Into::into),
            reason: if self.row.state == MessageState::Queued { self.row.reason } else { None },
        }
    }
}

/// The copies of a row, as clients are told.
pub(crate) fn custodians(row: &OutboxRow) -> Custodians {
    Custodians {
        held: u32::try_from(row.held_by.len()).unwrap_or(u32::MAX),
        want: row.want,
        until: row.until.map(Into::into),
    }
}

impl Outbox {
    pub(crate) fn restore(store: &mut dyn MessengerStore) -> Result<Outbox, StoreError> {
        let rows = rows::scan::<OutboxRow>(store)?;
        let mut outbox = Outbox::default();
        rows.into_iter().for_each(|row| outbox.insert(Entry::new(row)));
        Ok(outbox)
    }

    pub(crate) fn insert(&mut self, entry: Entry) {
        self.by_contact.entry(entry.row.to).or_default().order.insert(entry.key());
        self.entries.insert(entry.row.id, entry);
    }

    /// Ids of all of a contact's entries, in order.
    pub(crate) fn of(&self, account: &AccountId) -> Vec<MessageId> {
        let line = self.by_contact.get(account);
        line.into_iter().flat_map(|line| &line.order).map(|(_, _, id)| *id).collect()
    }

    /// The next of a contact's entries, to walk along them while they change.
    pub(crate) fn after(&self, account: &AccountId, key: Option<Key>) -> Option<Key> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_contact.get(account)?.order.range((from, Bound::Unbounded)).next().copied()
    }

    /// The same without those that wait for nothing but their receipt: a full window of them comes before the first
    /// that a receipt has made room for.
    pub(crate) fn next_to_wake(&self, account: &AccountId, key: Option<Key>, now: Time) -> Option<Key> {
        let from = key.map_or(Bound::Unbounded, Bound::Excluded);
        let mut line = self.by_contact.get(account)?.order.range((from, Bound::Unbounded));
        let waits = |id| self.entries.get(id).is_some_and(|entry| entry.waits_for_receipt(now));
        line.find(|(_, _, id)| !waits(id)).copied()
    }

    /// Makes room for one more round, or puts the entry at the end of those that wait for it.
    pub(crate) fn may_begin_round(&mut self, id: MessageId) -> bool {
        if !self.has_room() {
            self.waiting.push_back(id);
            return false;
        }
        self.rounds.insert(id);
        true
    }

    fn has_room(&mut self) -> bool {
        if self.rounds.len() < ROUNDS_MAX {
            return true;
        }
        let Outbox { entries, rounds, .. } = self;
        rounds.retain(|id| {
            let attempt = entries.get(id).map(|entry| &entry.attempt);
            attempt.is_some_and(|attempt| matches!(attempt, Attempt::Finding | Attempt::Depositing(_)))
        });
        rounds.len() < ROUNDS_MAX
    }

    /// The next entry that waits for a round and may have one now.
    pub(crate) fn next_waiting(&mut self) -> Option<MessageId> {
        if self.waiting.is_empty() || !self.has_room() {
            return None;
        }
        let Outbox { entries, waiting, .. } = self;
        core::iter::from_fn(|| waiting.pop_front())
            .find(|id| entries.get(id).is_some_and(|entry| matches!(entry.attempt, Attempt::Waiting)))
    }

    /// Notes that an entry is on its way over the contact's direct stream, or is not any more.
    pub(crate) fn set_direct(&mut self, id: &MessageId, at: Option<Time>) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.direct_at = at;
        let Some(line) = self.by_contact.get_mut(&entry.row.to) else { return };
        if at.is_some() {
            line.direct.insert(*id)
        } else {
            line.direct.remove(id)
        };
    }

    /// A message goes over a contact's direct stream: when to look whether its receipt has come, unless
    /// that is looked for before.
    pub(crate) fn look_again_at(&mut self, account: &AccountId, now: Time) -> Option<Time> {
        let again = &mut self.by_contact.get_mut(account)?.again;
        let at = now.plus(DIRECT_AGAIN_MS);
        let news = again.at.is_none_or(|known| known > at);
        news.then(|| *again.at.insert(at))
    }

    /// The message that has been on a contact's direct stream for the longest, if that is too long, and
    /// when to look for the next.
    pub(crate) fn overdue(&mut self, account: &AccountId, now: Time) -> Option<(Option<MessageId>, Time)> {
        let Outbox { entries, by_contact, .. } = self;
        let Line { direct, again, .. } = by_contact.get_mut(account)?;
        again.at.take_if(|at| *at <= now)?;
        let sent = direct.iter().filter_map(|id| Some((entries.get(id)?.direct_at?, *id)));
        let (sent_at, id) = sent.min()?;
        let patience = (DIRECT_AGAIN_MS << again.times).min(DIRECT_AGAIN_MS_MAX);
        let due = sent_at.plus(DIRECT_AGAIN_MS) <= now;
        let next = if due { now.plus(patience) } else { sent_at.plus(DIRECT_AGAIN_MS) };
        again.times = again.times.saturating_add(u32::from(due)).min(16);
        again.at = Some(next);
        Some((due.then_some(id), next))
    }

    /// A receipt of the contact's covered something.
    pub(crate) fn progressed(&mut self, account: &AccountId, now: Time) {
        if let Some(line) = self.by_contact.get_mut(account) {
            line.progressed_at = Some(now);
        }
    }

    /// Until when an entry that waits for room on a direct stream has patience: receipts come in.
    pub(crate) fn patient_until(&self, entry: &Entry) -> Option<Time> {
        let line = self.by_contact.get(&entry.row.to).filter(|_| entry.direct_at.is_none())?;
        Some(line.progressed_at?.plus(DIRECT_RECEIPT_MS))
    }

    /// As many messages are on their way over a contact's direct stream as may be.
    pub(crate) fn window_is_full(&self, account: &AccountId) -> bool {
        self.by_contact.get(account).is_some_and(|line| line.direct.len() >= DIRECT_WINDOW)
    }

    /// Removes an entry and its row.
    pub(crate) fn remove(
        &mut self,
        store: &mut dyn MessengerStore,
        id: &MessageId,
    ) -> Result<Option<Entry>, StoreError> {
        let Some(mut entry) = self.entries.remove(id) else { return Ok(None) };
        if let Some(line) = self.by_contact.get_mut(&entry.row.to) {
            line.order.remove(&entry.key());
            if line.direct.remove(id) {
                line.again.times = 0;
            }
            if line.order.is_empty() {
                self.by_contact.remove(&entry.row.to);
            }
        }
        entry.stop().map(|envelope| self.by_envelope.remove(&envelope));
        rows::remove::<OutboxRow>(store, &entry.row.key())?;
        Ok(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messenger::content::Place;
    use crate::messenger::store::MemoryStore;
    use crate::messenger::story::Story;

    const TO: AccountId = AccountId([1; 32]);

    fn sent(outbox: &mut Outbox, i: u8, at: Time) -> MessageId {
        let id = MessageId([i; 16]);
        let row = OutboxRow {
            id,
            to: TO,
            kind: Kind::Text(Place { run: 1, seq: u64::from(i) }),
            created: at,
            expires: Time::MAX,
            state: MessageState::Queued,
            reason: None,
            held_by: Vec::new(),
            want: 0,
            until: None,
            attempts: 0,
            redeposits: 0,
            sealed: None,
            left: false,
            story: Story::default(),
        };
        outbox.insert(Entry::new(row));
        outbox.set_direct(&id, Some(at));
        id
    }

    #[test]
    fn without_a_receipt_one_message_is_overdue_ever_more_rarely() {
        let (mut outbox, mut now) = (Outbox::default(), Time(1_000));
        let first = sent(&mut outbox, 9, now);
        assert_eq!(outbox.look_again_at(&TO, now), Some(now.plus(DIRECT_AGAIN_MS)));
        let second = sent(&mut outbox, 3, now.plus(1));
        assert_eq!(outbox.look_again_at(&TO, now.plus(1)), None, "one look is due before");
        assert_eq!(outbox.overdue(&TO, now.plus(DIRECT_AGAIN_MS - 1)), None);
        let mut ids = Vec::new();
        now = now.plus(DIRECT_AGAIN_MS);
        for times in 0..30 {
            let (id, next) = outbox.overdue(&TO, now).unwrap();
            let pause = DIRECT_AGAIN_MS.saturating_mul(1 << times).min(DIRECT_AGAIN_MS_MAX);
            assert_eq!((id.is_some(), next), (true, now.plus(pause)));
            ids.extend(id);
            outbox.set_direct(&id.unwrap(), Some(now));
            now = next;
        }
        assert_eq!(ids[..3], [first, second, first], "each has its turn");
        // A receipt for one: the other has its time again.
        let mut store = MemoryStore::default();
        store.transaction(|tx| outbox.remove(tx, &first)).unwrap();
        outbox.set_direct(&second, Some(now));
        assert_eq!(outbox.overdue(&TO, now), Some((None, now.plus(DIRECT_AGAIN_MS))), "just sent");
        now = now.plus(DIRECT_AGAIN_MS);
        assert_eq!(outbox.overdue(&TO, now), Some((Some(second), now.plus(DIRECT_AGAIN_MS))));
        // The stream is gone: there is nothing to look for, and a new one is looked at in time.
        outbox.set_direct(&second, None);
        assert_eq!(outbox.overdue(&TO, now.plus(DIRECT_AGAIN_MS)), None);
        assert_eq!(outbox.look_again_at(&TO, now), Some(now.plus(DIRECT_AGAIN_MS)));
    }
}
