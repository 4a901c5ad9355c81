//! Simulations of murmesh. The virtual-time world of many nodes is a later part of the project; what is
//! here runs the real programs: `scripts/` for people, `tests/it` the process lab, and campaigns.
//!
//! - [`programs`], [`client`]: running `murmeshd` and asking it, for every campaign.
//! - [`bench`]: what it costs, beside what the machine can do at all (`scripts/bench.sh`).
//! - [`history`]: what was seen from outside, and the checker that finds what a promise forbids.
//! - [`kill9`]: nodes killed at random moments over a stream of messages (`scripts/kill9.sh`).
//!
//! Invariant: this crate never links the node; it runs its program.

pub mod bench;
pub mod client;
pub mod history;
pub mod kill9;
pub mod programs;
