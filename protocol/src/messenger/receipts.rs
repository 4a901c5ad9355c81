//! Receipts: telling a contact what is on this disk, and hearing it (SPEC §8.4).
//!
//! Cumulative by run, so a lost one is made good by the next. Over a direct stream at the end of the
//! transaction; by mailbox gathered, and at most one a minute. What is owed is in the contact's row.

use std::collections::BTreeMap;

use super::allowance::Allowance;
use super::content::{Part, Receipt};
use super::depositing::envelope_expires;
use super::outbox::Owner;
use super::rounds::Round;
use super::rows::{self, Kind, ReceivedRun, SealedRow};
use super::sealing::Sealing;
use super::timers::Timer;
use super::{Messenger, Query, Step};
use crate::control::{MessageState, Path};
use crate::id::{AccountId, Address, EnvelopeId, MessageId, PeerId};
use crate::limits::{
    LIFE_MS, MAILBOX_RECEIPT_MS, RECEIPT_GATHER_MS, RECEIPT_RANGES_MAX, RECEIVED_RANGES_MAX,
    REPEATED_RECEIPTS_RATE,
};
use crate::placement::Region;
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::envelope::seal_round;
use crate::wire::frame::{Admission, Frame};

/// Receipts owed by mailbox.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    by_contact: BTreeMap<AccountId, State>,
    /// Receipts repeated to contacts because they asked.
    repeated: BTreeMap<AccountId, Allowance>,
}

#[derive(Debug, Default)]
struct State {
    /// When the last one was deposited.
    sent_at: Option<Time>,
    /// When the next is due, if one is: the timer of a round that is over must not begin another.
    due_at: Option<Time>,
    /// The sealed receipt and what it says: while both are current it is deposited again as it is. Each seal
    /// is a step of the chain, and without a network there is one a minute.
    sealed: Option<(SealedRow, Vec<Part>)>,
    /// The region of the mailbox is being looked up.
    finding: bool,
    round: Option<(EnvelopeId, Vec<u8>, Round)>,
}

impl Owed {
    fn sealed(&self, account: &AccountId) -> Option<&(SealedRow, Vec<Part>)> {
        self.by_contact.get(account)?.sealed.as_ref()
    }
}

impl ReceivedRun {
    /// Takes a number; says whether it is new.
    pub(crate) fn insert(&mut self, seq: u64) -> bool {
        if self.has(seq) {
            return false;
        }
        self.beyond.push((seq, seq));
        self.beyond.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for (from, to) in core::mem::take(&mut self.beyond) {
            match merged.last_mut() {
                _ if from <= self.up_to.saturating_add(1) => self.up_to = self.up_to.max(to),
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                Some(_) | None => merged.push((from, to)),
            }
        }
        // So many gaps: the newest is not acknowledged until it comes again. Never what is not here.
        merged.truncate(RECEIVED_RANGES_MAX);
        self.beyond = merged;
        true
    }

    fn has(&self, seq: u64) -> bool {
        seq <= self.up_to || self.beyond.iter().any(|(from, to)| (*from..=*to).contains(&seq))
    }

    /// How many are missing right before a number: between it and the next lower one that is here.
    pub(crate) fn missing_before(&self, seq: u64) -> u64 {
        let before = seq.saturating_sub(1);
        let covers = |(from, to): &(u64, u64)| if *from <= before { Some((*to).min(before)) } else { None };
        let here = self.beyond.iter().filter_map(covers).max().unwrap_or(0).max(self.up_to);
        before.saturating_sub(here)
    }

    fn receipt(&self) -> Receipt {
        // Half of them the newest: what expired with its author leaves gaps for good, and behind many of those
        // nothing would be acknowledged any more.
        let (oldest, newest) = (RECEIPT_RANGES_MAX.div_ceil(2), RECEIPT_RANGES_MAX / 2);
        let left_out = oldest..self.beyond.len().saturating_sub(newest).max(oldest);
        let kept = self.beyond.iter().enumerate().filter(|(i, _)| !left_out.contains(i));
        let beyond = kept.map(|(_, range)| *range).collect();
        Receipt { run: self.run, up_to: self.up_to, beyond }
    }
}

impl Messenger {
    /// After a restart: what is still owed.
    pub(crate) fn start_receipts(&mut self, step: &Step<'_>) {
        let owed: Vec<AccountId> =
            self.contacts.values().filter(|c| c.receipt_owed).map(|c| c.account).collect();
        for account in owed {
            self.schedule_receipt(step, account);
        }
    }

    /// None are owed to a contact any more.
    pub(crate) fn stop_receipts(&mut self, account: &AccountId) {
        self.owed.repeated.remove(account);
        self.unflushed.remove(account);
        let round = self.owed.by_contact.remove(account).and_then(|state| state.round);
        round.map(|(envelope, _, _)| self.outbox.by_envelope.remove(&envelope));
    }

    /// Something of a contact's reached the disk (again).
    pub(crate) fn owe_receipt(&mut self, step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        if !contact.receipt_owed {
            contact.receipt_owed = true;
            rows::save(step.store, contact)?;
        }
        self.unflushed.insert(*account);
        Ok(())
    }

    /// A contact shows that it has not got our receipt. However often it does, it gets a few a second.
    pub(crate) fn repeat_receipt(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        if self.owed.repeated.entry(*account).or_default().take(step.now, REPEATED_RECEIPTS_RATE) {
            return self.owe_receipt(step, account);
        }
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        if !contact.receipt_owed {
            contact.receipt_owed = true;
            rows::save(step.store, contact)?;
        }
        self.schedule_receipt(step, *account);
        Ok(())
    }

    /// At the end of a transaction: over a direct stream at once, else later by mailbox.
    pub(crate) fn flush_receipts(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        for account in core::mem::take(&mut self.unflushed) {
            match self.direct_way(&account) {
                Some(peer) => self.send_receipt(step, &account, peer)?,
                None => self.schedule_receipt(step, account),
            }
        }
        Ok(())
    }

    fn receipt_parts(&self, account: &AccountId) -> Vec<Part> {
        let runs = self.contacts.get(account).map(|contact| contact.received.as_slice()).unwrap_or_default();
        // All of them: of any there may be messages on their way, and their author sends until they are named.
        runs.iter().rev().map(|run| Part::Receipt(run.receipt())).collect()
    }

    fn send_receipt(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        peer: PeerId,
    ) -> Result<(), StoreError> {
        let parts = self.receipt_parts(account);
        if let Sealing::Done(sealed) = self.seal_for(step, account, parts)?
            && !sealed.first
        {
            self.send(peer, Frame::Direct { inner: sealed.inner });
            return self.paid(step, account);
        }
        // Its session is used up: another is being made.
        self.receipt_later(step, *account);
        Ok(())
    }

    fn paid(&mut self, step: &mut Step<'_>, account: &AccountId) -> Result<(), StoreError> {
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        contact.receipt_owed = false;
        rows::save(step.store, contact)
    }

    fn schedule_receipt(&mut self, step: &Step<'_>, account: AccountId) {
        let state = self.owed.by_contact.entry(account).or_default();
        if state.due_at.is_some() || state.finding || state.round.is_some() {
            return;
        }
        let gathered = step.now.plus(RECEIPT_GATHER_MS);
        let spaced = state.sent_at.map_or(gathered, |at| at.plus(MAILBOX_RECEIPT_MS));
        let at = gathered.max(spaced);
        state.due_at = Some(at);
        self.timers.set(at, Timer::Receipt(account));
    }

    pub(crate) fn on_receipt_timer(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
    ) -> Result<(), StoreError> {
        let Some(state) = self.owed.by_contact.get_mut(&account) else { return Ok(()) };
        if state.round.is_some() {
            return self.advance_receipt(step, account);
        }
        if state.due_at.is_none_or(|at| at > step.now) {
            return Ok(());
        }
        state.due_at = None;
        if !self.contacts.get(&account).is_some_and(|contact| contact.receipt_owed) {
            return Ok(());
        }
        if let Some(peer) = self.direct_way(&account) {
            return self.send_receipt(step, &account, peer);
        }
        let parts = self.receipt_parts(&account);
        let sealed = match self.owed.sealed(&account) {
            Some((sealed, said)) if *said == parts && self.is_current(step, &account, sealed) => sealed.first,
            Some(_) | None => match self.seal_for(step, &account, parts.clone())? {
                Sealing::Done(sealed) => {
                    let first = sealed.first;
                    if let Some(state) = self.owed.by_contact.get_mut(&account) {
                        state.sealed = Some((sealed, parts));
                    }
                    first
                }
                Sealing::Wait(_) | Sealing::TooLarge => {
                    self.receipt_later(step, account);
                    return Ok(());
                }
            },
        };
        let Some((address, _, _)) = self.mailbox_for(step, &account, sealed) else {
            self.receipt_later(step, account);
            return Ok(());
        };
        if let Some(state) = self.owed.by_contact.get_mut(&account) {
            state.finding = true;
        }
        self.ask_custodians(Query::Receipt(account, address), address);
        Ok(())
    }

    /// It could not be deposited: in a minute again.
    fn receipt_later(&mut self, step: &Step<'_>, account: AccountId) {
        if let Some(state) = self.owed.by_contact.get_mut(&account) {
            state.sent_at = Some(step.now);
        }
        self.schedule_receipt(step, account);
    }

    pub(crate) fn deposit_receipt(
        &mut self,
        step: &mut Step<'_>,
        account: AccountId,
        asked: &Address,
        region: &Region,
    ) -> Result<(), StoreError> {
        let Some(state) = self.owed.by_contact.get_mut(&account) else { return Ok(()) };
        state.finding = false;
        let Some((sealed, _)) = state.sealed.clone() else { return Ok(()) };
        let first = sealed.first;
        let Some((address, day, mask)) = self.mailbox_for(step, &account, first) else {
            self.receipt_later(step, account);
            return Ok(());
        };
        if *asked != address {
            if let Some(state) = self.owed.by_contact.get_mut(&account) {
                state.finding = true;
            }
            self.ask_custodians(Query::Receipt(account, address), address);
            return Ok(());
        }
        let expires = envelope_expires(step.now, step.now.plus(LIFE_MS)).seconds();
        let Ok(bytes) = seal_round(&mask, address, day, expires, &sealed.inner, step.rng) else {
            self.receipt_later(step, account);
            return Ok(());
        };
        let (able, extra) = self.split_region(&account, first, region);
        let envelope = EnvelopeId::of(&bytes);
        for peer in extra {
            self.send(peer, Frame::Deposit { envelope: bytes.clone(), admission: Admission::None });
        }
        let round = Round::new(step.now, &able, &[]);
        self.outbox.by_envelope.insert(envelope, Owner::Receipt(account));
        if let Some(state) = self.owed.by_contact.get_mut(&account) {
            state.round = Some((envelope, bytes, round));
        }
        self.advance_receipt(step, account)
    }

    fn advance_receipt(&mut self, step: &mut Step<'_>, account: AccountId) -> Result<(), StoreError> {
        let Some(state) = self.owed.by_contact.get_mut(&account) else { return Ok(()) };
        let Some((envelope, bytes, round)) = &mut state.round else { return Ok(()) };
        let (ask, envelope) = (round.ask(step.now), *envelope);
        let frame = Frame::Deposit { envelope: bytes.clone(), admission: Admission::None };
        let (over, next) = (round.is_over(step.now), round.next_look());
        let good = round.standing().is_good();
        for peer in ask {
            self.outputs.push_back(super::Output::Send(peer, frame.clone()));
        }
        if !over {
            self.timers.set(next, Timer::Receipt(account));
            return Ok(());
        }
        self.outbox.by_envelope.remove(&envelope);
        let Some(state) = self.owed.by_contact.get_mut(&account) else { return Ok(()) };
        state.round = None;
        state.sent_at = Some(step.now);
        if good {
            state.sealed = None;
            return self.paid(step, &account);
        }
        self.schedule_receipt(step, account);
        Ok(())
    }

    pub(crate) fn on_receipt_held(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        account: AccountId,
    ) -> Result<(), StoreError> {
        if let Some((_, _, round)) = self.owed.by_contact.get_mut(&account).and_then(|s| s.round.as_mut()) {
            round.on_held(&peer);
        }
        self.advance_receipt(step, account)
    }

    pub(crate) fn on_receipt_unable(
        &mut self,
        step: &mut Step<'_>,
        peer: PeerId,
        account: AccountId,
    ) -> Result<(), StoreError> {
        if let Some((_, _, round)) = self.owed.by_contact.get_mut(&account).and_then(|s| s.round.as_mut())
            && round.is_asked(&peer)
        {
            round.on_unable(&peer);
            return self.advance_receipt(step, account);
        }
        Ok(())
    }

    /// A contact's receipt: what it covers is delivered.
    pub(crate) fn on_receipt(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        receipt: &Receipt,
        path: Path,
    ) -> Result<(), StoreError> {
        let covered = self.outbox_where(account, receipt.last(), |kind| match kind {
            Kind::Text(place) | Kind::Withdrawn(place) => receipt.covers(&place),
            Kind::Introduction => false,
        });
        if !covered.is_empty() {
            self.outbox.progressed(account, step.now);
            self.direct.enough_until.remove(account);
        }
        for id in covered {
            // A receipt that comes by mailbox may be for a message that went directly.
            let direct = self.entry(&id).is_some_and(|entry| entry.direct_at.is_some());
            let path = if direct { Path::Direct } else { path };
            self.end(step, id, MessageState::Delivered, Some(path))?;
        }
        Ok(())
    }

    /// The contact knows who we are: the introduction has arrived.
    pub(crate) fn on_introduced(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
    ) -> Result<(), StoreError> {
        for id in self.outbox_where(account, 0, |kind| kind == Kind::Introduction) {
            self.outbox.remove(step.store, &id)?;
        }
        Ok(())
    }

    /// A contact's entries up to a number, as far as they are meant.
    fn outbox_where(&self, account: &AccountId, last: u64, which: impl Fn(Kind) -> bool) -> Vec<MessageId> {
        let mut key = None;
        let theirs = core::iter::from_fn(|| {
            key = self.outbox.after(account, key);
            key
        });
        let ids = theirs.take_while(|(position, _, _)| *position <= last).map(|(_, _, id)| id);
        ids.filter(|id| self.outbox.entries.get(id).is_some_and(|entry| which(entry.row.kind))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_merge_and_name_what_is_missing() {
        let mut run = ReceivedRun { run: 7, ..ReceivedRun::default() };
        for (seq, missing) in [(1, 0), (4, 2), (6, 1), (4, 2), (5, 0), (6, 0), (2, 0)] {
            run.insert(seq);
            assert_eq!(run.missing_before(seq), missing, "{seq}");
        }
        assert_eq!((run.up_to, run.beyond.clone()), (2, vec![(4, 6)]));
        assert!(!run.insert(5), "here already");
        assert_eq!(run.missing_before(4), 1);
        assert!(run.insert(3));
        assert_eq!((run.up_to, run.beyond.clone()), (6, vec![]));
        assert!(run.insert(u64::MAX));
        assert_eq!(run.missing_before(u64::MAX), u64::MAX - 7);
    }

    #[test]
    fn ranges_are_bounded_and_the_newest_is_forgotten() {
        let mut run = ReceivedRun::default();
        let odd = |i: usize| 2 * u64::try_from(i).unwrap() + 3;
        (0..RECEIVED_RANGES_MAX - 1).for_each(|i| assert!(run.insert(odd(i))));
        assert_eq!((run.up_to, run.beyond.len()), (0, RECEIVED_RANGES_MAX - 1));
        assert!(run.insert(odd(RECEIVED_RANGES_MAX - 1)));
        assert_eq!((run.up_to, run.beyond.len()), (0, RECEIVED_RANGES_MAX));
        assert!(run.insert(odd(RECEIVED_RANGES_MAX)));
        assert_eq!((run.up_to, run.beyond.len()), (0, RECEIVED_RANGES_MAX));
        assert!(!run.has(odd(RECEIVED_RANGES_MAX)) && run.has(odd(RECEIVED_RANGES_MAX - 1)));
        // Where one was filled there is room: it is taken when it comes again.
        assert!(run.insert(4) && run.insert(odd(RECEIVED_RANGES_MAX)) && run.has(odd(RECEIVED_RANGES_MAX)));
    }

    #[test]
    fn a_receipt_names_the_oldest_and_the_newest_ranges() {
        let mut run = ReceivedRun::default();
        for count in [RECEIPT_RANGES_MAX - 1, RECEIPT_RANGES_MAX, RECEIPT_RANGES_MAX + 1, 100] {
            let seq = |i: usize| 2 * u64::try_from(i).unwrap() + 2;
            (0..count).for_each(|i| {
                run.insert(seq(i));
            });
            let receipt = run.receipt();
            assert_eq!(receipt.beyond.len(), count.min(RECEIPT_RANGES_MAX));
            let named = |i: usize| receipt.beyond.contains(&(seq(i), seq(i)));
            assert!(named(0) && named(count - 1), "{count}");
            assert_eq!(named(RECEIPT_RANGES_MAX / 2), count <= RECEIPT_RANGES_MAX, "{count}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_order_arrives_at_the_same_run(mut seqs in proptest::collection::vec(1u64..40, 1..60)) {
            let (mut one, mut other) = (ReceivedRun::default(), ReceivedRun::default());
            seqs.iter().for_each(|seq| { one.insert(*seq); });
            seqs.sort_unstable();
            seqs.iter().for_each(|seq| { other.insert(*seq); });
            proptest::prop_assert_eq!(&one, &other);
            let covered = (1..40).filter(|seq| one.receipt().covers(&super::super::content::Place { run: 0, seq: *seq }));
            seqs.dedup();
            proptest::prop_assert_eq!(covered.collect::<Vec<_>>(), seqs);
        }
    }
}
