//! The only place that reads the clock the core goes by.

use murmesh_protocol::time::Time;
use web_time::{SystemTime, UNIX_EPOCH};

/// The time of this machine's clock; the epoch if it is set before that.
#[must_use]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
