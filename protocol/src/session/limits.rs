//! Every bound of a session, with what happens at it (SPEC §5.7).

use crate::time::DAY_MS;

/// First messages of one handshake; then sealing is refused and a new handshake is due.
pub const INITIAL_MESSAGES_MAX: u32 = 100;

/// Tags computed ahead of the current receiving chain; one farther ahead is not recognised, except
/// through a [`super::WideTable`].
pub const TAGS_AHEAD: u32 = 64;

/// Tags computed ahead of the peer's next epoch.
pub const NEXT_EPOCH_TAGS_AHEAD: u32 = 16;

/// Messages that one message may skip in its chain; one that skips more is refused before any work.
pub const SKIP_MAX: u32 = 2_048;

/// Skipped keys kept for a session; the oldest give way.
pub const SKIPPED_KEYS_MAX: usize = 2_048;

/// How long a skipped key is kept.
pub const SKIPPED_KEY_AGE_MS_MAX: u64 = 31 * DAY_MS;

/// Messages in one epoch; then sealing is refused and a new handshake is due. One more could not be
/// found any more if all before it were lost.
pub const EPOCH_MESSAGES_MAX: u32 = SKIP_MAX;

/// How far past its `not_after` a bundle still begins sessions: clocks differ.
pub use crate::limits::GRACE_MS as BUNDLE_GRACE_MS;
