//! What is not believed of the clock (SPEC §8.4): it may have been set wrong, and what has ended cannot begin
//! again. How late it is in truth is not known here.

use crate::limits::{CLOCK_DOUBT_MS, CLOCK_JUMP_MS};
use crate::time::Time;

/// The last jump ahead: a machine that slept, or a clock that was set.
#[derive(Debug, Default)]
pub(crate) struct ClockDoubt {
    from: Time,
    to: Time,
}

impl ClockDoubt {
    /// The time of a step and of the one before it.
    pub(crate) fn on_step(&mut self, before: Time, now: Time) {
        if now.since(before) > CLOCK_JUMP_MS {
            *self = ClockDoubt { from: before, to: now };
        }
    }

    /// From when on something that ends at `end` has ended: what the clock jumped over ends later, so that there
    /// is time to set it back.
    pub(crate) fn ends(&self, end: Time) -> Time {
        if self.from < end && end <= self.to { self.to.plus(CLOCK_DOUBT_MS) } else { end }
    }

    /// How late it is at least: as long as a jump is in doubt, the time before it and what has passed since.
    /// What is deleted by its age is deleted by this.
    pub(crate) fn at_least(&self, now: Time) -> Time {
        let since = now.since(self.to);
        if now >= self.to && since < CLOCK_DOUBT_MS { self.from.plus(since) } else { now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clock_jumped_over_ends_later() {
        let mut doubt = ClockDoubt::default();
        let (before, jumped) = (Time(1 << 40), Time(1 << 40).plus(CLOCK_JUMP_MS + 1));
        doubt.on_step(before, jumped.minus(1));
        assert_eq!(doubt.ends(jumped.minus(1)), jumped.minus(1), "an ordinary pause");
        doubt.on_step(before, jumped);
        assert_eq!(doubt.ends(before), before);
        assert_eq!(doubt.ends(before.plus(1)), jumped.plus(CLOCK_DOUBT_MS));
        assert_eq!(doubt.ends(jumped), jumped.plus(CLOCK_DOUBT_MS));
        assert_eq!(doubt.ends(jumped.plus(1)), jumped.plus(1));
        assert_eq!(doubt.at_least(jumped.minus(1)), jumped.minus(1), "before it");
        assert_eq!(doubt.at_least(jumped), before);
        let last = jumped.plus(CLOCK_DOUBT_MS - 1);
        assert_eq!(doubt.at_least(last), before.plus(CLOCK_DOUBT_MS - 1));
        assert_eq!(doubt.at_least(last.plus(1)), last.plus(1));
        // At the next jump what was in doubt has had its time.
        let (slept, woke) = (jumped.plus(1), jumped.plus(2 * CLOCK_JUMP_MS));
        doubt.on_step(slept, woke);
        assert_eq!(doubt.ends(jumped), jumped);
    }
}
