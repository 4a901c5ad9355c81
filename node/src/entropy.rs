//! The only place that asks the operating system for randomness.

use rand::SeedableRng;
use rand::rngs::{ChaCha20Rng, SysRng};

/// A generator seeded by the operating system.
///
/// # Panics
/// When the operating system has no randomness to give: nothing safe can be done without.
#[must_use]
pub fn rng() -> ChaCha20Rng {
    ChaCha20Rng::try_from_rng(&mut SysRng).expect("the operating system gives randomness")
}
