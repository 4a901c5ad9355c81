//! The day's work, and what follows from this node's addresses.

use super::rows::{self, ClientIdRow, InviteRow, PrekeyRow, Record};
use super::store::Table;
use super::timers::Timer;
use super::{Messenger, Step};
use crate::limits::{GRACE_MS, OPENED_TAG_MS, POLL_MS};
use crate::store::StoreError;
use crate::time::{DAY_MS, HOUR_MS};

impl Messenger {
    /// At start, then every hour: everything that a new day asks for is done by the first hour of it.
    pub(crate) fn on_day(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        self.forget(step)?;
        self.me.renew_manifest(step.now, step.store)?;
        self.load_records(step)?;
        self.make_records(step)?;
        self.count_collected(step)?;
        self.open_mailboxes(step)?;
        self.timers.set(step.now.plus(POLL_MS), Timer::Poll);
        self.timers.set(step.now.plus(HOUR_MS), Timer::Day);
        Ok(())
    }

    /// Deletes on schedule: prekeys, invites, opened tags, client ids, requests, archived sessions.
    fn forget(&mut self, step: &mut Step<'_>) -> Result<(), StoreError> {
        // What a clock that was set wrong deletes does not come back when it is set right.
        let now = self.me.row.clock.at_least(step.now);
        for row in rows::scan::<PrekeyRow>(step.store)? {
            if row.keep_until.plus(GRACE_MS) < now {
                rows::remove::<PrekeyRow>(step.store, &row.key())?;
            }
        }
        for row in rows::scan::<InviteRow>(step.store)? {
            if row.expires.plus(GRACE_MS + 2 * DAY_MS) < now {
                rows::remove::<InviteRow>(step.store, &row.key())?;
            }
        }
        let oldest = now.minus(OPENED_TAG_MS).utc_day();
        step.store.prune(Table::Opened, &[], u64::from(oldest.0))?;
        step.store.prune(ClientIdRow::TABLE, &[], u64::from(oldest.0))?;
        self.forget_requests(step, now)?;
        let doubtful = self.doubtful_sessions();
        self.sessions.forget_old(step.store, now, &doubtful)
    }

    /// This node's addresses, or those of peers that a ticket can name, have changed.
    pub(crate) fn on_reachable(
        &mut self,
        step: &mut Step<'_>,
        own: Vec<String>,
        others: Vec<String>,
    ) -> Result<(), StoreError> {
        self.me.other_addresses = others;
        if self.me.addresses != own {
            self.me.addresses = own;
            self.make_whereabouts(step)?;
        }
        Ok(())
    }
}
