//! The core of murmesh: every rule about messages, sessions, mailboxes, quotas and retries.
//!
//! Two machines under one roof, each with its own boundary, store and transaction:
//! - [`messenger::Messenger`]: one account. Its contacts, sessions, outbox, inbox. Boundary:
//!   [`messenger::io`].
//! - [`keeper::Keeper`]: custody for others. Envelopes, records, tombstones. Boundary: [`keeper::io`].
//!
//! [`route::route`] says which frame is whose; [`placement`] who is responsible for an address;
//! [`session`] is the ratchet on Noise, pure; [`wire`] the formats; [`control`] the API of clients;
//! [`limits`] every bound. The formats are specified in `SPEC.md`, whose sections the code cites.
//!
//! A machine takes an input inside one open store transaction; after its commit the shell performs
//! the outputs. The node (`murmeshd`) and the simulator are such shells.
//!
//! Invariant: nothing here reads a clock, opens a socket or file, starts a thread, waits, or draws
//! randomness of its own: `now`, `store` and `rng` are arguments. `clippy.toml` bans the calls,
//! `tests/it/purity.rs` the dependencies.
//! Invariant: no iteration order varies by run: no `HashMap`.
//! Invariant: bytes from the network never panic: every decoder is total, every list bounded.
//! Invariant: no code of the Keeper can reach a key of the Messenger, nor the other way round.
//! Invariant: bincode is used in [`wire::codec`] only, and for nothing that is signed.

pub mod blind;
pub mod control;
mod crypto;
#[cfg(any(test, fuzzing))]
pub mod decoders;
pub mod id;
pub mod keeper;
pub mod keys;
mod label;
pub mod limits;
pub mod messenger;
pub mod placement;
pub mod route;
pub mod session;
pub mod store;
#[cfg(test)]
mod testing;
pub mod time;
pub mod wire;
