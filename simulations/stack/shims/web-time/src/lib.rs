//! `web-time` by tokio's clock: in a paused runtime both of its clocks are virtual. The clock of the wall
//! begins at [`START`] when it is first read.

use std::sync::OnceLock;
pub use std::time::{Duration, SystemTimeError, UNIX_EPOCH};

pub use tokio::time::Instant;

/// What the wall's clock shows first: some night in 2026.
pub const START: Duration = Duration::from_secs(1_780_000_000);

/// The wall's clock; its times are std's.
#[derive(Clone, Copy, Debug)]
pub struct SystemTime;

impl SystemTime {
    /// The beginning of 1970.
    pub const UNIX_EPOCH: std::time::SystemTime = UNIX_EPOCH;

    /// The virtual time of day.
    #[must_use]
    pub fn now() -> std::time::SystemTime {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        UNIX_EPOCH + START + FIRST.get_or_init(Instant::now).elapsed()
    }
}
