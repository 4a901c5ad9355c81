//! The integration tests of the core, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test that meets the unexpected has failed"
)]

mod attack;
mod canaries;
mod chaos;
mod clocks;
mod collected_days;
mod consumers;
mod correspondent;
mod custody;
mod delivery;
mod far_ahead;
mod flood;
mod honest;
mod hostile;
mod mallory;
mod mechanisms;
mod offline_delivery;
mod paced;
mod past_a_block;
mod promises;
mod purity;
mod requests;
mod second_look;
mod sequences;
mod sequences_replayed;
mod session_chaos;
mod session_forgery;
mod session_order;
mod session_secrecy;
mod session_world;
mod sessions;
mod taking_back;
mod two_nodes;
mod victim;
mod world;
