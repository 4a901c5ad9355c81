//! Which of several sessions with a contact to send on (SPEC §5.5).
//!
//! A session is certainly the contact's while it begins it, and while it sends on it knowing of the other.
//! Nothing else tells whether it still has one: it may have lost its disk since.

use std::collections::{BTreeMap, BTreeSet};

use super::allowance::Allowance;
use super::outbox::Attempt;
use super::rows;
use super::timers::Timer;
use super::{Messenger, Step};
use crate::control::MessageState;
use crate::id::{AccountId, SessionId};
use crate::limits::BEGUN_ANEW_RATE;
use crate::store::StoreError;
use crate::time::Time;

/// Contacts that began anew, and how much was done for it.
#[derive(Debug, Default)]
pub(crate) struct BegunAnew {
    by_contact: BTreeMap<AccountId, Allowance>,
}

impl BegunAnew {
    pub(crate) fn forget(&mut self, account: &AccountId) {
        self.by_contact.remove(account);
    }

    /// When what is held for a contact that began anew may be sealed again.
    fn when(&mut self, now: Time, account: &AccountId) -> Time {
        let allowance = self.by_contact.entry(*account).or_default();
        if allowance.take(now, BEGUN_ANEW_RATE) { now } else { allowance.next(now, BEGUN_ANEW_RATE) }
    }
}

impl Messenger {
    /// A contact began a session: it has that one, whatever became of the others. Those it may have lost, and
    /// with them what was sealed for it.
    pub(crate) fn on_begun_anew(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        new: SessionId,
    ) -> Result<(), StoreError> {
        self.send_on(step, account, new)?;
        self.sessions.distrust(step.store, account)?;
        let at = self.begun_anew.when(step.now, account);
        for id in self.outbox.of(account) {
            let Some(entry) = self.outbox.entries.get_mut(&id) else { continue };
            let held = entry.row.state == MessageState::Held && matches!(entry.attempt, Attempt::Idle);
            if held && entry.next_try.is_none_or(|due| due > at) {
                entry.next_try = Some(at);
                self.timers.set(at, Timer::Entry(id));
            }
        }
        Ok(())
    }

    /// Sends on another session from here on; the one before it is archived, and named.
    pub(crate) fn send_on(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        id: SessionId,
    ) -> Result<(), StoreError> {
        let Some(contact) = self.contacts.get_mut(account) else { return Ok(()) };
        contact.other = contact.preferred.replace(id).or(contact.other);
        rows::save(step.store, contact)?;
        self.sessions.use_again(step.store, &id)?;
        self.sessions.archive_others(step.store, account, &id, step.now)
    }

    /// A message came `on` a session, of somebody who also has another one. If that is the one sent on here,
    /// both ends have both: each takes the smaller.
    pub(crate) fn on_also_has(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        on: SessionId,
        also: SessionId,
    ) -> Result<(), StoreError> {
        let preferred = self.contacts.get(account).and_then(|contact| contact.preferred);
        if preferred == Some(also) && on < also { self.send_on(step, account, on) } else { Ok(()) }
    }

    /// The session that a contact is told we have too.
    pub(crate) fn also_has(&self, account: &AccountId) -> Option<SessionId> {
        let other = self.contacts.get(account)?.other?;
        self.sessions.get(&other).map(|_| other)
    }

    /// Sessions that contacts may still send on although they are archived here: nothing has come back yet on
    /// the ones that took their place.
    pub(crate) fn doubtful_sessions(&self) -> BTreeSet<SessionId> {
        let answered = |id: &SessionId| self.sessions.get(id).is_some_and(|live| live.session.is_answered());
        let unsettled =
            self.contacts.values().filter(|contact| !contact.preferred.is_some_and(|id| answered(&id)));
        unsettled.filter_map(|contact| contact.other).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_anew_too_often_is_served_later() {
        let (mut begun, account) = (BegunAnew::default(), AccountId([1; 32]));
        let at: Vec<u64> = (0..6).map(|_| begun.when(Time(1_000), &account).0).collect();
        let later = 1_000 + BEGUN_ANEW_RATE.refill_ms;
        assert_eq!(at, [1_000, 1_000, 1_000, 1_000, later, later]);
        assert_eq!(begun.when(Time(1_000), &AccountId([2; 32])), Time(1_000), "another contact");
    }
}
