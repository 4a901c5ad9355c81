//! How a machine is, and for how long what failed is left alone.

use std::time::Duration;

use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::Time;

/// See the module. Times are when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Everything runs.
    Well,
    /// A deadline failed alone, and would again at once: deadlines wait.
    Resting(Time),
    /// The disk failed a message alone: only what somebody waits for is tried.
    Refused(Time, StoreError),
    /// The machine could not be rebuilt: nothing runs.
    Broken(Time, StoreError),
}

impl Health {
    /// Whether it is the disk that fails.
    pub(super) fn is_disk(self) -> bool {
        matches!(self, Health::Refused(..) | Health::Broken(..))
    }

    /// How much of a pause is left; none if all is well. A clock that was set back ends it.
    pub(super) fn pause_left(self, now: Time, pause: Duration) -> Option<Duration> {
        let (Health::Resting(since) | Health::Refused(since, _) | Health::Broken(since, _)) = self else {
            return None;
        };
        let passed = if now < since { pause } else { Duration::from_millis(now.since(since)) };
        Some(pause.saturating_sub(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_with_its_time_or_when_the_clock_is_set_back() {
        let pause = Duration::from_millis(100);
        let rests = Health::Resting(Time(1_000));
        let left = |now| rests.pause_left(Time(now), pause).map(|left| left.as_millis());
        let lefts = [left(1_000), left(1_001), left(1_099), left(1_100), left(5_000), left(999)];
        assert_eq!(lefts, [Some(100), Some(99), Some(1), Some(0), Some(0), Some(0)]);
        assert_eq!(Health::Well.pause_left(Time(0), pause), None);
    }
}
