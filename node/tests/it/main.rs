//! Integration tests of the node: real sockets on loopback, ports chosen by the system.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a helper of a test fails like a test, and says what it measured"
)]

mod attacker;
mod bounds;
mod daemon;
mod damaged;
mod dialing;
mod flood;
mod hostile;
mod living;
mod network;
mod nodes;
mod process;
mod stores;
mod stub;
mod surroundings;
