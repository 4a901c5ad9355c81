//! Looking for what no session knows far ahead in the sessions, behind messages that are lost (SPEC §8.4.6).
//!
//! One table of far tags a contact and search. A table is thousands of hashes, so a search is done in parts: a few contacts a
//! step. What is looked for waits in [`unopened`](super::unopened) meanwhile, and is opened there if what it waits for comes. A
//! search is not on disk: after a restart custodians list, and contacts send, what they were not told is here.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

use super::receiving::Outcome;
use super::timers::Timer;
use super::unopened::{Sealed, Way};
use super::{Messenger, Step};
use crate::id::{AccountId, SessionId};
use crate::limits::{FAR_AHEAD_CONTACTS, FAR_AHEAD_PAUSE_MS};
use crate::store::StoreError;

impl Messenger {
    /// A search is due: begins it, unless one is under way.
    pub(crate) fn begin_far_ahead(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        if self.collecting.unopened.begin_search(step.now) { self.open_far_ahead(step) } else { Ok(()) }
    }

    /// The search goes on with the next contacts.
    pub(crate) fn open_far_ahead(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        let Some((from, mut sought)) = self.collecting.unopened.take_sought() else { return Ok(()) };
        let contacts = self.next_searched(from, &sought);
        for (account, id) in &contacts {
            self.open_far_ahead_in(step, account, id, &mut sought)?;
        }
        let is_last = contacts.len() < FAR_AHEAD_CONTACTS || sought.is_empty();
        if let Some((last, _)) = contacts.last().filter(|_| !is_last) {
            self.collecting.unopened.put_back(sought, Some(Bound::Excluded(*last)));
            self.timers.set(step.now.plus(FAR_AHEAD_PAUSE_MS), Timer::FarAheadOn);
            return Ok(());
        }
        let (by_mailbox, direct): (VecDeque<Sealed>, VecDeque<Sealed>) =
            sought.into_iter().partition(|sealed| matches!(sealed.way, Way::Mailbox { .. }));
        self.collecting.unopened.put_back(by_mailbox, None);
        for sealed in direct {
            if let Way::Direct(account) = sealed.way {
                self.on_undecryptable(step, &account);
            }
        }
        if self.collecting.unopened.search_waits(step.now) {
            self.timers.set(step.now.plus(FAR_AHEAD_PAUSE_MS), Timer::FarAhead);
        }
        Ok(())
    }

    /// The next contacts that something of this may be from, with the sessions they send on.
    fn next_searched(
        &self,
        from: Bound<AccountId>,
        sought: &VecDeque<Sealed>,
    ) -> Vec<(AccountId, SessionId)> {
        let anybodys = sought.iter().any(|sealed| matches!(sealed.way, Way::Mailbox { .. }));
        let direct: BTreeSet<AccountId> = sought.iter().filter_map(|sealed| sealed.way.sent_by()).collect();
        let contacts = self.contacts.range((from, Bound::Unbounded));
        // Not one table for every contact because of what one has sent.
        let possible = contacts.filter(|(account, _)| anybodys || direct.contains(account));
        let searched = possible.filter_map(|(account, contact)| Some((*account, contact.preferred?)));
        searched.take(FAR_AHEAD_CONTACTS).collect()
    }

    /// Opens what is far ahead in one session; what is not stays sought.
    fn open_far_ahead_in(
        &mut self,
        step: &mut Step<'_>,
        account: &AccountId,
        id: &SessionId,
        sought: &mut VecDeque<Sealed>,
    ) -> Result<(), StoreError> {
        let may_be_its = |sealed: &Sealed| sealed.way.sent_by().is_none_or(|from| from == *account);
        let Some(live) = self.sessions.get(id).filter(|_| sought.iter().any(may_be_its)) else {
            return Ok(());
        };
        let table = live.session.wide_table();
        for sealed in core::mem::take(sought) {
            if !may_be_its(&sealed)
                || self.on_far_ahead(step, *id, &sealed.inner, &table, sealed.way.kept_by())?
                    != Outcome::Opened
            {
                sought.push_back(sealed);
            } else if let Way::Mailbox { address, id, .. } = sealed.way {
                self.drop_collected(address, id);
            }
        }
        Ok(())
    }
}
