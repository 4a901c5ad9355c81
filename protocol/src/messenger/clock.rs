//! What is not believed of the clock (SPEC §8.4): it may have been set wrong, and what has ended cannot begin
//! again. How late it is in truth is not known here.

use serde::{Deserialize, Serialize};

use crate::limits::{CLOCK_DOUBT_MS, CLOCK_JUMP_MS};
use crate::time::Time;

/// The last jump ahead: a machine that slept or was off, or a clock that was set. It is on disk, so that an end
/// and a start do not make the clock right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ClockDoubt {
    from: Time,
    to: Time,
}

impl ClockDoubt {
    /// The time of a step and of the one before it. Says whether anything about the doubt is new.
    pub(crate) fn on_step(&mut self, before: Time, now: Time) -> bool {
        let known = *self;
        if now < self.to {
            // Set back, all the way or a part of it.
            let jumps = now.since(self.from) > CLOCK_JUMP_MS;
            *self = if jumps { ClockDoubt { to: now, ..*self } } else { ClockDoubt::default() };
        }
        let in_doubt = now.since(self.to) < CLOCK_DOUBT_MS;
        let jumped = now.since(before);
        // A nap, or an end and a start, while a longer jump is in doubt does not make that one certain.
        if jumped > CLOCK_JUMP_MS && !(in_doubt && self.to.since(self.from) >= jumped) {
            *self = ClockDoubt { from: before, to: now };
        }
        *self != known
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

    #[test]
    fn a_nap_does_not_end_the_doubt_of_a_longer_jump() {
        let (before, jumped) = (Time(1 << 40), Time(1 << 40).plus(400 * CLOCK_DOUBT_MS));
        let mut doubt = ClockDoubt::default();
        assert!(doubt.on_step(before, jumped));
        let (slept, woke) = (jumped.plus(1), jumped.plus(2 * CLOCK_JUMP_MS));
        assert!(!doubt.on_step(slept, woke));
        assert_eq!(doubt.ends(before.plus(1)), jumped.plus(CLOCK_DOUBT_MS), "neither later nor at once");
        let next = jumped.plus(CLOCK_DOUBT_MS);
        assert!(doubt.on_step(woke, next));
        assert_eq!(doubt.ends(before.plus(1)), before.plus(1));
    }

    #[test]
    fn a_clock_that_is_set_back_is_not_doubted_for_the_years_it_was_ahead() {
        let (before, jumped) = (Time(1 << 40), Time(1 << 40).plus(400 * CLOCK_DOUBT_MS));
        let mut doubt = ClockDoubt::default();
        doubt.on_step(before, jumped);
        // Half the way: still a jump.
        let half = before.plus(200 * CLOCK_DOUBT_MS);
        assert!(doubt.on_step(jumped, half));
        assert_eq!(doubt.ends(before.plus(1)), half.plus(CLOCK_DOUBT_MS));
        assert_eq!(doubt.at_least(half), before);
        assert!(doubt.on_step(half, before.plus(1)));
        assert_eq!(doubt, ClockDoubt::default());
    }
}
