//! Depositing an outbox entry: where to, in rounds, and what comes of the answers (SPEC §8.4).

use super::outbox::{Attempt, Deposit, Owner};
use super::rounds::Round;
use super::rows::{self, Kind, OutboxRow};
use super::sending::backoff;
use super::story::{self, note};
use super::timers::Timer;
use super::{Messenger, Query, Step};
use crate::blind::{contact_address, request_address};
use crate::control::{MessageState, QueuedReason};
use crate::id::{AccountId, Address, EnvelopeId, MessageId, PeerId};
use crate::limits::{INTRODUCTION_MS, LIFE_MS_MAX, REDEPOSIT_DAYS, REPLICAS_GOOD, RETRY_MS_MAX};
use crate::placement::Region;
use crate::store::StoreError;
use crate::time::{DAY_MS, Day, Time};
use crate::wire::envelope::seal_round;
use crate::wire::frame::{Admission, CustodyReceipt, Frame, Refusal};

impl Messenger {
    pub(crate) fn find_mailbox(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<(), StoreError> {
        if !self.ensure_sealed(step, id)? {
            return Ok(());
        }
        let Some(entry) = self.entry(&id) else { return Ok(()) };
        let resealed = entry.row.state == MessageState::Held && !is_kept(&entry.row);
        let due = match entry.next_try {
            _ if resealed => step.now,
            _ if is_kept(&entry.row) && entry.is_text() => redeposit_at(&entry.row),
            next_try => next_try.unwrap_or(step.now),
        };
        if due > step.now {
            // Enough copies of this sealed form are out, or custodians were asked just now: only the direct way
            // was tried in between.
            entry.attempt = Attempt::Idle;
            entry.next_try = Some(due);
            self.timers.set(due, Timer::Entry(id));
            return Ok(());
        }
        let Some((address, _, _)) = self.mailbox_of(step, id) else {
            return self.wait(step, id, QueuedReason::NotConnectedYet);
        };
        let begins = self.outbox.may_begin_round(id);
        if let Some(entry) = self.entry(&id) {
            entry.attempt = if begins { Attempt::Finding } else { Attempt::Waiting };
        }
        if begins {
            self.ask_custodians(Query::Deposit(id, address), address);
        }
        Ok(())
    }

    /// At the end of a step: rounds that ended make room for entries that wait.
    pub(crate) fn begin_waiting_rounds(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        while let Some(id) = self.outbox.next_waiting() {
            self.find_mailbox(step, id)?;
        }
        Ok(())
    }

    /// Address, day and mask of the mailbox that the sealed form goes to.
    fn mailbox_of(&self, step: &Step<'_>, id: MessageId) -> Option<(Address, Day, [u8; 32])> {
        let entry = self.outbox.entries.get(&id)?;
        let first = entry.row.sealed.as_ref()?.first;
        self.mailbox_for(step, &entry.row.to, first)
    }

    /// The mailbox of a contact today: for first messages the request mailbox.
    pub(crate) fn mailbox_for(
        &self,
        step: &Step<'_>,
        account: &AccountId,
        first: bool,
    ) -> Option<(Address, Day, [u8; 32])> {
        let day = account.day(step.now);
        if first {
            return Some((request_address(account, day).ok()?, day, account.0));
        }
        let mailbox = self.contacts.get(account)?.mailbox.as_ref()?.public();
        Some((contact_address(&mailbox, day).ok()?, day, mailbox.secret))
    }

    /// Custodians that count for a contact's mail, and peers that get a copy without counting: the
    /// own Keeper if it is in the region, and for a first message everyone who may be the
    /// contact's own peer or next to it.
    pub(crate) fn split_region(
        &self,
        account: &AccountId,
        first: bool,
        region: &Region,
    ) -> (Vec<PeerId>, Vec<PeerId>) {
        let own = self.config.own_peer;
        let contact = self.contacts.get(account);
        let theirs = contact.and_then(|c| c.whereabouts.as_ref()).map(|w| w.peer);
        // Until the contact has said where it lives, any peer that its ticket named may be its own.
        let adding = self.adding.get(account).filter(|_| first && theirs.is_none());
        let hinted = || adding.into_iter().flat_map(|adding| &adding.reached);
        let is_theirs = |peer: &PeerId| theirs == Some(*peer) || hinted().any(|hinted| hinted == peer);
        let able: Vec<PeerId> =
            region.custodians.iter().copied().filter(|p| *p != own && !is_theirs(p)).collect();
        let mut extra: Vec<PeerId> = region.custodians.iter().copied().filter(|p| *p == own).collect();
        if first {
            let near = theirs.iter().chain(hinted());
            extra.extend(near.filter(|p| self.peers.contains_key(p) && !able.contains(p)));
        }
        (able, extra)
    }

    pub(crate) fn begin_round(
        &mut self,
        step: &mut Step<'_>,
        id: MessageId,
        asked: &Address,
        region: &Region,
    ) -> Result<(), StoreError> {
        let Some((address, day, mask)) = self.mailbox_of(step, id) else {
            return self.wait(step, id, QueuedReason::NotConnectedYet);
        };
        let Some(entry) = self.outbox.entries.get(&id) else { return Ok(()) };
        let Some(sealed) = &entry.row.sealed else { return Ok(()) };
        if !matches!(entry.attempt, Attempt::Finding) {
            return Ok(());
        }
        if *asked != address {
            // It is another day, or it was sealed anew: others keep this one.
            self.ask_custodians(Query::Deposit(id, address), address);
            return Ok(());
        }
        let (to, first) = (entry.row.to, sealed.first);
        let expires = envelope_expires(step.now, entry.row.expires).seconds();
        let made = seal_round(&mask, address, day, expires, &sealed.inner, step.rng);
        let Ok(bytes) = made else { return self.end(step, id, MessageState::Failed, None) };
        let (able, mut extra) = self.split_region(&to, first, region);
        if able.is_empty() {
            // With nobody else it can be taken back yet: a copy of our own Keeper's could not.
            extra.retain(|peer| *peer != self.config.own_peer);
        }
        let envelope = EnvelopeId::of(&bytes);
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        entry.row.left |= !extra.is_empty();
        let held = if is_kept(&entry.row) { Vec::new() } else { entry.row.held_by.clone() };
        let round = Round::new(step.now, &able, &held);
        entry.row.want = u32::try_from(round.standing().want).unwrap_or(u32::MAX);
        entry.row.attempts += 1;
        entry.attempt = Attempt::Depositing(Deposit { round, envelope, bytes: bytes.clone(), full: false });
        rows::save(step.store, &entry.row)?;
        self.outbox.by_envelope.insert(envelope, Owner::Entry(id));
        for peer in extra {
            self.send(peer, deposit(&bytes));
        }
        self.advance_round(step, id)
    }

    pub(crate) fn advance_round(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let Attempt::Depositing(deposited) = &mut entry.attempt else { return Ok(()) };
        let ask = deposited.round.ask(step.now);
        let (over, next) = (deposited.round.is_over(step.now), deposited.round.next_look());
        let bytes = deposited.bytes.clone();
        for peer in &ask {
            note(&mut entry.row, step.now, "deposit", Some(*peer), "sent");
        }
        if !ask.is_empty() {
            entry.row.left = true;
            rows::save(step.store, &entry.row)?;
        }
        for peer in ask {
            self.send(peer, deposit(&bytes));
        }
        if over {
            self.finish_round(step, id)
        } else {
            self.timers.set(next, Timer::Entry(id));
            Ok(())
        }
    }

    fn finish_round(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get(&id) else { return Ok(()) };
        // The contact may have begun anew meanwhile: then it cannot open this one.
        let current = entry.row.sealed.as_ref().is_some_and(|s| self.is_current(step, &entry.row.to, s));
        let asked = self.outbox.entries.get(&id).is_some_and(|entry| self.is_asked(&entry.row.to));
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let Attempt::Depositing(deposited) = core::mem::replace(&mut entry.attempt, Attempt::Idle) else {
            return Ok(());
        };
        let standing = deposited.round.standing();
        self.outbox.by_envelope.remove(&deposited.envelope);
        let hurried = entry.row.kind == Kind::Introduction && !asked;
        entry.row.want = u32::try_from(standing.want).unwrap_or(u32::MAX);
        note(&mut entry.row, step.now, "round", None, story::round(standing));
        if (standing.is_good() || is_kept(&entry.row)) && current {
            let next = after_held(&mut entry.row, step.now, hurried);
            entry.next_try = Some(next);
            self.timers.set(next, Timer::Entry(id));
            return rows::save(step.store, &entry.row);
        }
        let pause = backoff(entry.row.attempts, step);
        entry.next_try = Some(step.now.plus(pause));
        self.timers.set(step.now.plus(pause), Timer::Entry(id));
        rows::save(step.store, &entry.row)?;
        let alone = !self.peers.keys().any(|peer| *peer != self.config.own_peer);
        let reason = match (standing.want, deposited.full) {
            (0, false) if alone => QueuedReason::Offline,
            (0, false) => QueuedReason::NobodyToKeepIt,
            (_, true) => QueuedReason::MailboxFull,
            (_, false) => QueuedReason::TooFewCustodians,
        };
        self.set_reason(step, id, reason)
    }

    pub(crate) fn on_held(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        envelope: EnvelopeId,
        receipt: &CustodyReceipt,
    ) -> Result<(), StoreError> {
        let id = match self.outbox.by_envelope.get(&envelope) {
            None => return Ok(()),
            Some(Owner::Receipt(account)) => return self.on_receipt_held(step, peer, *account),
            Some(Owner::Entry(id)) => *id,
        };
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let Attempt::Depositing(deposited) = &mut entry.attempt else { return Ok(()) };
        if !deposited.round.on_held(&peer) {
            return Ok(());
        }
        let standing = deposited.round.standing();
        entry.row.want = u32::try_from(standing.want).unwrap_or(u32::MAX);
        if !entry.row.held_by.contains(&peer) {
            entry.row.held_by.push(peer);
        }
        let CustodyReceipt::Plain { until } = *receipt;
        // What a custodian says counts from now to the end of what it was asked for.
        let until = until.max(step.now).min(entry.row.expires);
        entry.row.until = Some(entry.row.until.map_or(until, |known| known.min(until)));
        note(&mut entry.row, step.now, "held", Some(peer), "a copy is synced");
        rows::save(step.store, &entry.row)?;
        self.after_answer(step, id)
    }

    /// A round's answer came in: the state may rise, the round may go on or end.
    fn after_answer(&mut self, step: &mut Step<'_>, id: MessageId) -> Result<(), StoreError> {
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let Attempt::Depositing(deposited) = &entry.attempt else { return Ok(()) };
        let good = deposited.round.standing().is_good();
        if good && entry.row.state == MessageState::Queued {
            entry.row.state = MessageState::Held;
            entry.row.reason = None;
            rows::save(step.store, &entry.row)?;
            self.set_message(step, id, |message| message.state = MessageState::Held)?;
        }
        self.tell_state(step, id, None)?;
        self.advance_round(step, id)
    }

    pub(crate) fn on_full(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        envelope: EnvelopeId,
    ) -> Result<(), StoreError> {
        self.on_unable(step, peer, envelope, "full", false)
    }

    pub(crate) fn on_refused(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        envelope: EnvelopeId,
        why: Refusal,
    ) -> Result<(), StoreError> {
        let full = matches!(why, Refusal::MailboxFull | Refusal::Rate);
        self.on_unable(step, peer, envelope, story::refusal(why), full)
    }

    fn on_unable(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        envelope: EnvelopeId,
        why: &str,
        full: bool,
    ) -> Result<(), StoreError> {
        let id = match self.outbox.by_envelope.get(&envelope) {
            None => return Ok(()),
            Some(Owner::Receipt(account)) => return self.on_receipt_unable(step, peer, *account),
            Some(Owner::Entry(id)) => *id,
        };
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(()) };
        let Attempt::Depositing(deposited) = &mut entry.attempt else { return Ok(()) };
        if !deposited.round.is_asked(&peer) {
            return Ok(());
        }
        deposited.round.on_unable(&peer);
        deposited.full |= full;
        note(&mut entry.row, step.now, "deposit", Some(peer), why);
        rows::save(step.store, &entry.row)?;
        self.after_answer(step, id)
    }

    /// A peer is gone: rounds that wait for it do not.
    pub(crate) fn rounds_without(&mut self, step: &mut Step<'_>, peer: &PeerId) -> Result<(), StoreError> {
        let waiting: Vec<EnvelopeId> = self.outbox.by_envelope.keys().copied().collect();
        for envelope in waiting {
            self.on_unable(step, *peer, envelope, "unreachable", false)?;
        }
        Ok(())
    }
}

/// Whether enough copies are out that the contact can open: not of an earlier sealed form.
fn is_kept(row: &OutboxRow) -> bool {
    let good = REPLICAS_GOOD.min(usize::try_from(row.want).unwrap_or(usize::MAX)).max(1);
    row.state == MessageState::Held && row.held_by.len() >= good
}

/// When a held entry is deposited again: copies must outlive custodians that leave.
fn redeposit_at(row: &OutboxRow) -> Time {
    let next = REDEPOSIT_DAYS.get(usize::from(row.redeposits));
    next.map_or(row.expires, |days| row.created.plus(days * DAY_MS))
}

/// When a held entry is deposited again after this round. An introduction is hurried, for somebody waits; but not
/// one to an account that may let it wait for days.
fn after_held(row: &mut OutboxRow, now: Time, hurried: bool) -> Time {
    if hurried {
        let pause = INTRODUCTION_MS.checked_shl(row.redeposits.into()).unwrap_or(RETRY_MS_MAX);
        row.redeposits = row.redeposits.saturating_add(1).min(20);
        return now.plus(pause.min(RETRY_MS_MAX));
    }
    while redeposit_at(row) <= now && redeposit_at(row) < row.expires {
        row.redeposits = row.redeposits.saturating_add(1);
    }
    redeposit_at(row)
}

/// Until when custodians are asked to keep an envelope: the first midnight (UTC) after what it carries has
/// expired, if that is no longer than they keep anything, else the last before. The exact time, in clear,
/// would be one value under the addresses of two days.
pub(crate) fn envelope_expires(now: Time, expires: Time) -> Time {
    let before = expires.minus(expires.0 % DAY_MS);
    let after = if before == expires { expires } else { before.plus(DAY_MS) };
    if after <= now.plus(LIFE_MS_MAX) { after } else { before }
}

fn deposit(bytes: &[u8]) -> Frame {
    Frame::Deposit { envelope: bytes.to_vec(), admission: Admission::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_expires_at_a_midnight_that_custodians_accept() {
        let now = Time(20_000 * DAY_MS + 5);
        let kept_max = now.plus(LIFE_MS_MAX);
        for (expires, midnight) in [
            (now, 20_001),
            (Time(20_001 * DAY_MS), 20_001),
            (Time(20_001 * DAY_MS + 1), 20_002),
            (Time(20_030 * DAY_MS), 20_030),
            (Time(20_030 * DAY_MS + 1), 20_030),
            (kept_max, 20_030),
        ] {
            let at = envelope_expires(now, expires);
            assert_eq!(at, Time(midnight * DAY_MS), "{expires:?}");
            assert!(at <= kept_max);
        }
    }
}
