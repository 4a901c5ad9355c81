//! Random draws of a campaign: one stream for each purpose, so that one purpose more does not change the
//! others.

use std::time::Duration;

use rand::rngs::ChaCha20Rng;
use rand::{Rng, SeedableRng};

/// A stream of draws.
#[derive(Debug)]
pub(crate) struct Draw(ChaCha20Rng);

impl Draw {
    pub(crate) fn new(seed: u64, round: u32, purpose: u8) -> Draw {
        let mut key = [0; 32];
        let parts = [&seed.to_le_bytes()[..], &round.to_le_bytes(), &[purpose]].concat();
        key.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Draw(ChaCha20Rng::from_seed(key))
    }

    /// From 0 to one below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    /// Between two times.
    pub(crate) fn time(&mut self, from_ms: u64, to_ms: u64) -> Duration {
        let span = to_ms.saturating_sub(from_ms) * 1_000;
        Duration::from_micros(from_ms * 1_000 + self.below(span + 1))
    }

    /// True so often in a hundred.
    pub(crate) fn percent(&mut self, times: u64) -> bool {
        self.below(100) < times
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let at = usize::try_from(self.below(u64::try_from(all.len()).ok()?)).ok()?;
        all.get(at).copied()
    }
}
