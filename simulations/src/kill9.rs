//! `kill -9` at random moments: two people who write to each other without end, and nodes that keep mail
//! for them, all real processes on loopback. What was acknowledged and shown is recorded here, outside of
//! them; at the end of a round everything is up again, the outboxes empty themselves, every node is killed
//! once more, and what both people then have is held against the record ([`crate::history`]).
//!
//! A round has directories of its own, and its schedule is drawn from the campaign's seed and the round's
//! number. The schedule of the machine's own threads is not: the same seed kills the same nodes at about the
//! same moments, not at the same instruction.
//!
//! `kill -9` leaves the page cache alone: nothing here tells whether a commit was synced. That is the crash
//! VFS's campaign.

use std::time::Duration;

pub use self::plan::{Target, plan};
pub use self::round::{Round, RoundError, run_round};
pub use self::tally::{Setting, Tally};

mod draw;
mod follower;
mod lab;
mod plan;
mod round;
mod seat;
mod talker;
mod tally;

/// Nodes that keep mail and belong to nobody.
pub const CUSTODIANS: usize = 5;
/// Kills of one round; a campaign of more has several rounds.
pub const ROUND_KILLS_MAX: u32 = 250;

/// Longest that a node may take to answer after its start: beyond it, it does not come back by itself.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// Longest that mail may take when everything is up again: twice what the design says, for machines that are
/// busy.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(20);
/// Longest that both outboxes may take to empty themselves when everything is up again.
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);
