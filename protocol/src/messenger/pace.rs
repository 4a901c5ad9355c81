//! How often peers that come and go, and contacts that say something, make everything be looked at again
//! (SPEC §9.1).
//!
//! A peer that reconnects in a loop, or a hundred that come at once, cost what a few do: the next look
//! serves all of them.

use std::collections::BTreeMap;

use super::allowance::Allowance;
use super::timers::{Timer, Timers};
use crate::id::AccountId;
use crate::limits::{
    CONTACT_WAKES_RATE, FULL_MAILBOX_RATE, NEW_CUSTODIAN_RATE, REGIONS_PAUSE_MS, REGIONS_RATE, Rate,
};
use crate::time::Time;

/// What is due already, and what may be done.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    regions: Turn,
    custodians: Turn,
    full: Allowance,
    /// By contact: what waits for it was tried at once, out of its turn.
    wakes: BTreeMap<AccountId, Turn>,
}

/// One thing that is done for all who prompt it until its time.
#[derive(Debug, Default)]
struct Turn {
    allowance: Allowance,
    at: Time,
}

impl Turn {
    fn prompt(&mut self, now: Time, pause_ms: u64, rate: Rate, timer: Timer, timers: &mut Timers) {
        if self.at <= now {
            self.at = self.allowance.reserve(now, rate).max(now.plus(pause_ms));
            timers.set(self.at, timer);
        }
    }
}

impl Pace {
    /// Peers came or went: regions are looked up after a pause.
    pub(crate) fn regions_changed(&mut self, now: Time, timers: &mut Timers) {
        self.regions.prompt(now, REGIONS_PAUSE_MS, REGIONS_RATE, Timer::Regions, timers);
    }

    /// Something of a contact's came, and entries for it wait for their next attempt: whether they may have it
    /// now. If not, they are woken once more when they may.
    pub(crate) fn may_wake(&mut self, now: Time, account: &AccountId, timers: &mut Timers) -> bool {
        let turn = self.wakes.entry(*account).or_default();
        if turn.allowance.take(now, CONTACT_WAKES_RATE) {
            return true;
        }
        if turn.at <= now {
            turn.at = turn.allowance.next(now, CONTACT_WAKES_RATE);
            timers.set(turn.at, Timer::Wake(*account));
        }
        false
    }

    /// Whether the retries that a custodian brings forward are those of full mailboxes, too.
    pub(crate) fn may_try_full(&mut self, now: Time) -> bool {
        self.full.take(now, FULL_MAILBOX_RATE)
    }

    /// A custodian came: what nobody could keep so far has a chance.
    pub(crate) fn custodian_came(&mut self, now: Time, timers: &mut Timers) {
        self.custodians.prompt(now, 1, NEW_CUSTODIAN_RATE, Timer::NewCustodian, timers);
    }
}
