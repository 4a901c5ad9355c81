//! Getting an outbox entry to its contact: directly if it can be reached, else by its mailbox
//! ([`depositing`](super::depositing)), and again until the receipt (SPEC §8.4).

use super::content::{Part, Text};
use super::io::Output;
use super::outbox::{Attempt, Entry};
use super::rows::{self, Kind, MessageRow, OutboxRow, SealedRow};
use super::sealing::Sealing;
use super::story::{self, note};
use super::timers::Timer;
use super::{Messenger, Step};
use crate::control::{EventBody, MessageState, Path, QueuedReason};
use crate::id::{AccountId, MessageId, PeerId};
use crate::limits::{
    DIRECT_HEAD_START_MS, DIRECT_RECEIPT_MS, NEW_CUSTODIAN_SPREAD_MS, RETRY_MS_MAX, RETRY_MS_MIN,
};
use crate::store::StoreError;
use crate::wire::frame::Frame;

impl Messenger {
    pub(crate) fn start_outbox(&mut self, step: &mut Step<'_>) {
        for id in self.outbox.entries.keys() {
            self.timers.set(step.now, Timer::Entry(*id));
        }
    }

    /// Puts a row into the outbox and begins at once.
    pub(crate) fn enqueue(&mut self, step: &mut Step<'_>, row: OutboxRow) -> Result<(), StoreError> {
        let id = row.id;
        let mut entry = Entry::new(row);
        note(&mut entry.row, step.now, "queued", None, "synced to disk");
        rows::save(step.store, &entry.row)?;
        self.timers.set(entry.row.expires, Timer::Entry(id));
        self.outbox.insert(entry);
        self.advance(step, id)
    }

    /// Something changed for a contact: look at its entries, in order. Those that wait for their next attempt
    /// have it now, but not as often as the contact likes.
    pub(crate) fn wake(&mut self, step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
        let (mut at, mut allowed) = (None, None);
        while let Some(key) = self.outbox.next_to_wake(account, at, step.now) {
            at = Some(key);
            if self.is_online(account) && self.outbox.window_is_full(account) {
                // The others' turn comes with the next receipt: an outbox of thousands is not walked for each.
                break;
            }
            let (_, _, id) = key;
            if self.has_backed_off(step, &id) {
                if self.may_go_directly(account, &id) {
                    self.begin(step, id)?;
                    continue;
                }
                let may_wake = || self.pace.may_wake(step.now, account, &mut self.timers);
                if *allowed.get_or_insert_with(may_wake)
                    && let Some(entry) = self.entry(&id)
                {
                    entry.next_try = None;
                }
            }
            self.advance(step, id)?;
        }
        Ok(())
    }

    /// An entry that nobody keeps yet and that waits for its next attempt.
    fn has_backed_off(&self, step: &Step<'_>, id: &MessageId) -> bool {
        self.outbox.entries.get(id).is_some_and(|entry| {
            let waits = matches!(entry.attempt, Attempt::Idle) && entry.row.state == MessageState::Queued;
            waits && entry.next_try.is_some_and(|at| at > step.now)
        })
    }

    /// It has not been sent on the direct stream that is open: that costs nobody else anything.
    fn may_go_directly(&self, account: &AccountId, id: &MessageId) -> bool {
        let unsent = self.outbox.entries.get(id).is_some_and(|entry| entry.direct_at.is_none());
        unsent && self.direct_way(account).is_some()
    }

    /// A new custodian is there: what nobody could keep so far has a chance, within a second but not
    /// all at once.
    pub(crate) fn retry_for_new_custodian(&mut self, step: &mut Step<'_>) {
        let soon = step.now.plus(NEW_CUSTODIAN_SPREAD_MS);
        let full_too = self.pace.may_try_full(step.now);
        for entry in self.outbox.entries.values_mut() {
            let waits = entry.row.state == MessageState::Queued
                && matches!(entry.attempt, Attempt::Idle)
                && entry.next_try.is_some_and(|at| at > soon);
            if waits && (full_too || entry.row.reason != Some(QueuedReason::MailboxFull)) {
                let at = step.now.plus(step.rng.next_u64() % NEW_CUSTODIAN_SPREAD_MS);
                entry.next_try = Some(at);
                self.timers.set(at, Timer::Entry(entry.row.id));
            }
        }
    }

    pub(crate) fn on_entry_timer(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<(), StoreError> {
        self.advance(step, id)
    }

    /// Does for an entry what is due.
    fn advance(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get(&id) else { return Ok(()) };
        if step.now >= entry.row.expires {
            let ends = self.me.row.clock.ends(entry.row.expires);
            if step.now >= ends {
                return self.end(step, id, MessageState::Expired, None);
            }
            self.timers.set(ends, Timer::Entry(id));
            return Ok(());
        }
        let to = entry.row.to;
        let online = self.is_online(&to);
        if online && self.waits_in_line(step, &id) {
            return Ok(());
        }
        let Some(entry) = self.entry(&id) else { return Ok(()) };
        match &entry.attempt {
            Attempt::Idle if entry.next_try.is_some_and(|at| at > step.now) => Ok(()),
            Attempt::Idle => self.begin(step, id),
            Attempt::Dialing(until) | Attempt::AwaitingReceipt(until) if *until <= step.now => {
                note(&mut entry.row, step.now, "direct", None, "no answer yet: the mailbox too");
                rows::save(step.store, &entry.row)?;
                self.find_mailbox(step, id)
            }
            Attempt::Dialing(_) if online => self.begin(step, id),
            // It waits for room on the direct stream: there may be some now.
            Attempt::AwaitingReceipt(_) if online && entry.direct_at.is_none() => self.begin(step, id),
            Attempt::Depositing(_) => self.advance_round(step, id),
            Attempt::Dialing(_) | Attempt::AwaitingReceipt(_) | Attempt::Waiting | Attempt::Finding => Ok(()),
        }
    }

    /// Waits for room on the direct stream: a receipt makes some, and wakes the contact's entries. Sealed only
    /// then, on what the session is by then: the contact's answers renew it meanwhile.
    fn stand_in_line(&mut self, step: &Step<'_>, id: MessageId) {
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return };
        if matches!(entry.attempt, Attempt::Idle | Attempt::Dialing(_)) {
            let until = step.now.plus(DIRECT_RECEIPT_MS);
            entry.attempt = Attempt::AwaitingReceipt(until);
            self.timers.set(until, Timer::Entry(id));
        }
    }

    /// Its patience is over, but receipts for those before it come in over the direct stream: its turn comes
    /// sooner than custodians could help.
    fn waits_in_line(&mut self, step: &Step<'_>, id: &MessageId) -> bool {
        let Some(entry) = self.outbox.entries.get(id) else { return false };
        let Attempt::AwaitingReceipt(until) = entry.attempt else { return false };
        let Some(patience) = self.outbox.patient_until(entry) else { return false };
        if until > step.now || patience <= step.now || !self.outbox.window_is_full(&entry.row.to) {
            return false;
        }
        if let Some(entry) = self.outbox.entries.get_mut(id) {
            entry.attempt = Attempt::AwaitingReceipt(patience);
        }
        self.timers.set(patience, Timer::Entry(*id));
        true
    }

    fn begin(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<(), StoreError> {
        let Some(to) = self.outbox.entries.get(&id).map(|entry| entry.row.to) else { return Ok(()) };
        if self.outbox.window_is_full(&to) && self.may_go_directly(&to, &id) {
            self.stand_in_line(step, id);
            return Ok(());
        }
        if !self.ensure_sealed(step, id)? {
            return Ok(());
        }
        let first = self.entry(&id).and_then(|e| e.row.sealed.as_ref()).is_some_and(|s| s.first);
        if !first && self.is_online(&to) {
            return self.send_directly(step, id, &to);
        }
        if !first && let Some((peer, addresses)) = self.worth_dialing(step, &to) {
            let until = step.now.plus(DIRECT_HEAD_START_MS);
            if let Some(entry) = self.outbox.entries.get_mut(&id) {
                entry.attempt = Attempt::Dialing(until);
                note(&mut entry.row, step.now, "dial", Some(peer), "began");
                rows::save(step.store, &entry.row)?;
            }
            self.timers.set(until, Timer::Entry(id));
            if self.peers.contains_key(&peer) {
                self.prove_directly(step, &peer);
            } else {
                self.outputs.push_back(Output::Connect(peer, addresses));
            }
            return Ok(());
        }
        self.find_mailbox(step, id)
    }

    /// Whether to try the direct way first: an address is known, and no dial failed just now.
    fn worth_dialing(&self, step: &Step<'_>, to: &AccountId) -> Option<(PeerId, Vec<String>)> {
        let whereabouts = self.contacts.get(to)?.whereabouts.as_ref()?;
        let paused = self.direct.dial_is_paused(to, step.now);
        (!paused).then(|| (whereabouts.peer, whereabouts.addresses.clone()))
    }

    /// Makes sure that the entry has a sealed form that can be sent.
    pub(crate) fn ensure_sealed(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<bool, StoreError> {
        let Some(entry) = self.outbox.entries.get(&id) else { return Ok(false) };
        let to = entry.row.to;
        if self.open_contact(&to).is_none() {
            return Ok(false);
        }
        if entry.row.sealed.as_ref().is_some_and(|sealed| self.is_current(step, &to, sealed)) {
            return Ok(true);
        }
        let mut parts = match entry.row.kind {
            Kind::Introduction => self.introducing(step, &to)?,
            Kind::Withdrawn(place) => {
                let (at, expires) = (entry.row.created, entry.row.expires);
                vec![Part::Text(Text { id, place, at, expires, text: String::new() })]
            }
            Kind::Text(place) => {
                let key = rows::message_key(&to, true, &id);
                let Some(message) = rows::load::<MessageRow>(step.store, &key)? else { return Ok(false) };
                let MessageRow { at, expires, text, .. } = message;
                vec![Part::Text(Text { id, place, at, expires, text })]
            }
        };
        let initial = self.contacts.get(&to).and_then(|c| c.preferred).and_then(|s| self.sessions.get(&s));
        let introduces_itself = initial.is_some_and(|live| live.session.is_initial());
        if introduces_itself {
            parts.retain(|part| !matches!(part, Part::Introduction(_)));
        }
        match self.seal_for(step, &to, parts)? {
            Sealing::Done(sealed) => self.on_sealed(step, id, sealed).map(|()| true),
            Sealing::Wait(reason) => self.wait(step, id, reason).map(|()| false),
            Sealing::TooLarge => self.end(step, id, MessageState::Failed, None).map(|()| false),
        }
    }

    fn on_sealed(&mut self, step: &mut Step<'_>, id: MessageId, sealed: SealedRow) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let again = entry.row.sealed.is_some();
        entry.row.sealed = Some(sealed);
        entry.row.held_by.clear();
        entry.row.until = None;
        let result = if again { "sealed again" } else { "sealed" };
        note(&mut entry.row, step.now, "sealed", None, result);
        rows::save(step.store, &entry.row)?;
        if again {
            // What is under way is what it was before: copies of that do not count.
            let envelope = entry.stop();
            envelope.map(|envelope| self.outbox.by_envelope.remove(&envelope));
            self.timers.set(step.now, Timer::Entry(id));
        }
        Ok(())
    }

    pub(crate) fn wait(
        &mut self,
        step: &mut Step<'_>,
        id: MessageId,
        reason: QueuedReason,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        entry.attempt = Attempt::Idle;
        entry.row.attempts += 1;
        let pause = backoff(entry.row.attempts, step);
        entry.next_try = Some(step.now.plus(pause));
        self.timers.set(step.now.plus(pause), Timer::Entry(id));
        note(&mut entry.row, step.now, "wait", None, story::waiting(reason));
        self.set_reason(step, id, reason)
    }

    pub(crate) fn set_reason(
        &mut self,
        step: &mut Step<'_>,
        id: MessageId,
        reason: QueuedReason,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let news = entry.row.reason != Some(reason) && entry.row.state == MessageState::Queued;
        entry.row.reason = Some(reason);
        rows::save(step.store, &entry.row)?;
        if news { self.tell_state(step, id, None) } else { Ok(()) }
    }

    fn send_directly(
        &mut self,
        step: &mut Step<'_>,
        id: MessageId,
        to: &AccountId,
    ) -> Result<(), StoreError> {
        let until = step.now.plus(DIRECT_RECEIPT_MS);
        let Some(peer) = self.direct.peer_of(to) else { return Ok(()) };
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let Some(sealed) = &entry.row.sealed else { return Ok(()) };
        let frame = Frame::Direct { inner: sealed.inner.clone() };
        if !matches!(entry.attempt, Attempt::Depositing(_) | Attempt::Finding) {
            entry.attempt = Attempt::AwaitingReceipt(until);
        }
        entry.row.left = true;
        note(&mut entry.row, step.now, "direct", Some(peer), "sent");
        rows::save(step.store, &entry.row)?;
        self.outbox.set_direct(&id, Some(step.now));
        if let Some(at) = self.outbox.look_again_at(to, step.now) {
            self.timers.set(at, Timer::DirectAgain(*to));
        }
        self.timers.set(until, Timer::Entry(id));
        self.send(peer, frame);
        Ok(())
    }

    /// No receipt came for what went directly, and what custodians hold is not sent again for a day: one
    /// message is, and its receipt says what of all is there.
    pub(crate) fn send_again_directly(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        let Some((overdue, next)) = self.outbox.overdue(account, step.now) else { return Ok(()) };
        self.timers.set(next, Timer::DirectAgain(*account));
        let (Some(id), Some(peer)) = (overdue, self.direct.peer_of(account)) else { return Ok(()) };
        if !self.ensure_sealed(step, id)? {
            return Ok(());
        }
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let Some(sealed) = entry.row.sealed.as_ref().filter(|sealed| !sealed.first) else { return Ok(()) };
        let frame = Frame::Direct { inner: sealed.inner.clone() };
        entry.row.left = true;
        note(&mut entry.row, step.now, "direct", Some(peer), "sent again: no receipt came");
        rows::save(step.store, &entry.row)?;
        self.outbox.set_direct(&id, Some(step.now));
        self.send(peer, frame);
        Ok(())
    }

    /// The contact's device is proven to be behind a stream: everything goes there at once.
    pub(crate) fn send_all_directly(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        let mut at = None;
        while let Some(key) = self.outbox.after(account, at).filter(|_| !self.outbox.window_is_full(account))
        {
            at = Some(key);
            let (_, _, id) = key;
            let sent = self.entry(&id).is_some_and(|entry| entry.direct_at.is_some());
            if !sent && self.ensure_sealed(step, id)? {
                let first = self.entry(&id).and_then(|e| e.row.sealed.as_ref()).is_some_and(|s| s.first);
                if !first {
                    self.send_directly(step, id, account)?;
                }
            }
        }
        Ok(())
    }

    /// The direct stream is gone: what was on it has to find another way.
    pub(crate) fn lost_direct_way(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        for id in self.outbox.of(account) {
            self.outbox.set_direct(&id, None);
            let Some(entry) = self.entry(&id) else { continue };
            if matches!(entry.attempt, Attempt::AwaitingReceipt(_)) {
                entry.attempt = Attempt::Idle;
                self.advance(step, id)?;
            }
        }
        Ok(())
    }

    /// A dial of a contact's peer failed: its mailbox, now.
    pub(crate) fn lost_dial(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        peer: &PeerId,
    ) -> Result<(), StoreError> {
        for id in self.outbox.of(account) {
            if let Some(entry) = self.outbox.entries.get_mut(&id)
                && matches!(entry.attempt, Attempt::Dialing(_))
            {
                note(&mut entry.row, step.now, "dial", Some(*peer), "no answer");
                rows::save(step.store, &entry.row)?;
                self.find_mailbox(step, id)?;
            }
        }
        Ok(())
    }

    /// An entry has come to its end: its row goes, the message keeps the state.
    pub(crate) fn end(
        &mut self,
        step: &mut Step<'_>,
        id: MessageId,
        state: MessageState,
        path: Option<Path>,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        entry.row.state = state;
        entry.row.reason = None;
        let (word, result) = story::ending(state, path);
        note(&mut entry.row, step.now, word, None, result);
        let story = core::mem::take(&mut entry.row.story);
        self.set_message(step, id, |message| {
            message.state = state;
            message.path = path;
            message.story = story;
        })?;
        self.tell_state(step, id, path)?;
        let gone = self.outbox.entries.get(&id).map(|entry| (entry.row.kind, entry.row.to));
        self.outbox.remove(step.store, &id)?;
        match gone {
            Some((Kind::Introduction, to)) if state == MessageState::Expired => {
                self.on_request_over(step, &to)
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(crate) fn set_message(
        &mut self,
        step: &mut Step<'_>,
        id: MessageId,
        change: impl FnOnce(&mut MessageRow),
    ) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get(&id).filter(|entry| entry.is_text()) else { return Ok(()) };
        let key = rows::message_key(&entry.row.to, true, &id);
        let Some(mut message) = rows::load::<MessageRow>(step.store, &key)? else { return Ok(()) };
        change(&mut message);
        rows::save(step.store, &message)
    }

    pub(crate) fn tell_state(
        &mut self,
        step: &mut Step<'_>,
        id: MessageId,
        path: Option<Path>,
    ) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get(&id).filter(|entry| entry.is_text()) else { return Ok(()) };
        let contact = self.contacts.get(&entry.row.to);
        let queued = entry.row.state == MessageState::Queued;
        let body = EventBody::MessageState {
            id: id.to_string(),
            to: contact.map_or_else(|| entry.row.to.to_string(), |c| c.name.clone()),
            state: entry.row.state,
            custodians: entry.custodians(),
            reason: entry.row.reason.filter(|_| queued),
            path,
            after_ms: step.now.since(entry.row.created),
            seen_at: contact.and_then(|c| c.seen_at).map(Into::into),
        };
        self.tell(step, body)
    }
}

/// Exponential with full jitter: after a partition heals, retries must not come together.
pub(crate) fn backoff(attempts: u32, step: &mut Step<'_>) -> u64 {
    let ceiling = RETRY_MS_MIN.checked_shl(attempts.min(20)).unwrap_or(RETRY_MS_MAX).min(RETRY_MS_MAX);
    RETRY_MS_MIN / 2 + step.rng.next_u64() % ceiling
}
