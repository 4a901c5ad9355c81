//! Time as the core knows it: a number it is handed, never a clock it reads.
//!
//! Every duration in the core is a `u64` of milliseconds whose name ends in `_MS`.

use serde::{Deserialize, Serialize};

/// One second in milliseconds.
pub const SECOND_MS: u64 = 1_000;
/// One minute in milliseconds.
pub const MINUTE_MS: u64 = 60 * SECOND_MS;
/// One hour in milliseconds.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// One day in milliseconds.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// Milliseconds since the Unix epoch, by the clock of the node that hands it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// The end of time: no deadline is later.
    pub const MAX: Time = Time(u64::MAX);

    /// This time plus `ms`, saturating.
    #[must_use]
    pub fn plus(self, ms: u64) -> Time {
        Time(self.0.saturating_add(ms))
    }

    /// This time minus `ms`, saturating at the epoch.
    #[must_use]
    pub fn minus(self, ms: u64) -> Time {
        Time(self.0.saturating_sub(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the epoch, saturating at `u32::MAX` (the year 2106): the unit of the
    /// 4-byte `expires` field of an envelope (SPEC §4.1).
    #[must_use]
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0 / SECOND_MS).unwrap_or(u32::MAX)
    }

    /// The time of a 4-byte seconds field.
    #[must_use]
    pub fn from_seconds(seconds: u32) -> Time {
        Time(u64::from(seconds) * SECOND_MS)
    }

    /// The UTC day number: what custodians, who know no account's offset, go by (SPEC §3.2).
    #[must_use]
    pub fn utc_day(self) -> Day {
        Day(u32::try_from(self.0 / DAY_MS).unwrap_or(u32::MAX))
    }
}

/// A day number: of UTC (custodians) or of an account (its own offset, `AccountId::day`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Day(pub u32);

impl Day {
    /// This day plus or minus a number of days, saturating.
    #[must_use]
    pub fn offset(self, days: i32) -> Day {
        Day(self.0.saturating_add_signed(days))
    }
}
