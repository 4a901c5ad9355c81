//! A right to do something at a peer's prompting, used up by doing it and given back with time
//! (SPEC §9.1): what others can make us do has a price per hour, whatever they send.

use crate::limits::Rate;
use crate::time::Time;

/// How much of a [`Rate`] is left: when it will be whole again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    whole_at: Time,
}

impl Allowance {
    /// When the next one is allowed: `now`, or later if the burst is used up.
    pub(crate) fn next(&self, now: Time, rate: Rate) -> Time {
        let after = self.whole_at.max(now).plus(rate.refill_ms);
        after.minus(rate.burst * rate.refill_ms).max(now)
    }

    /// Uses one if it is allowed now.
    pub(crate) fn take(&mut self, now: Time, rate: Rate) -> bool {
        let allowed = self.next(now, rate) <= now;
        if allowed {
            self.reserve(now, rate);
        }
        allowed
    }

    /// Uses the next one, and says when it may be done.
    pub(crate) fn reserve(&mut self, now: Time, rate: Rate) -> Time {
        let at = self.next(now, rate);
        self.whole_at = self.whole_at.max(now).plus(rate.refill_ms);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill_ms: 10 };

    #[test]
    fn a_burst_then_one_at_a_time() {
        let mut allowance = Allowance::default();
        let now = Time(1_000);
        assert_eq!(
            (0..5).map(|_| allowance.take(now, RATE)).collect::<Vec<_>>(),
            [true, true, true, false, false]
        );
        assert_eq!(allowance.next(now, RATE), Time(1_010));
        assert!(!allowance.take(Time(1_009), RATE));
        assert!(allowance.take(Time(1_010), RATE));
        assert!(!allowance.take(Time(1_010), RATE));
    }

    #[test]
    fn what_is_reserved_comes_later_and_a_pause_makes_it_whole() {
        let mut allowance = Allowance::default();
        let at: Vec<u64> = (0..5).map(|_| allowance.reserve(Time(1_000), RATE).0).collect();
        assert_eq!(at, [1_000, 1_000, 1_000, 1_010, 1_020]);
        assert_eq!(allowance.reserve(Time(9_000), RATE), Time(9_000));
    }
}
