//! What peers exchange: frames between nodes and the objects inside them.
//!
//! Frames are bincode behind a kind byte ([`codec`] is the only user of bincode). Everything that is
//! signed or authenticated has a hand-written layout of its own file. SPEC §4, §6.

pub mod codec;
pub mod frame;
