//! How often peers that come and go make everything be looked at again (SPEC §9.1).
//!
//! A peer that reconnects in a loop, or a hundred that come at once, cost what a few do: the next look
//! serves all of them.

use super::allowance::Allowance;
use super::timers::{Timer, Timers};
use crate::limits::{NEW_CUSTODIAN_RATE, REGIONS_PAUSE_MS, REGIONS_RATE};
use crate::time::Time;

/// What is due already, and what may be done.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    regions: Allowance,
    regions_at: Time,
    custodians: Allowance,
    custodians_at: Time,
}

impl Pace {
    /// Peers came or went: regions are looked up after a pause.
    pub(crate) fn regions_changed(&mut self, now: Time, timers: &mut Timers) {
        if self.regions_at <= now {
            self.regions_at = self.regions.reserve(now, REGIONS_RATE).max(now.plus(REGIONS_PAUSE_MS));
            timers.set(self.regions_at, Timer::Regions);
        }
    }

    /// A custodian came: what nobody could keep so far has a chance.
    pub(crate) fn custodian_came(&mut self, now: Time, timers: &mut Timers) {
        if self.custodians_at <= now {
            self.custodians_at = self.custodians.reserve(now, NEW_CUSTODIAN_RATE).max(now.plus(1));
            timers.set(self.custodians_at, Timer::NewCustodian);
        }
    }
}
