//! What peers exchange: frames between nodes and the objects inside them.
//!
//! Frames are bincode behind a kind byte ([`codec`] is the only user of bincode). Everything that is
//! signed or authenticated has a hand-written little-endian layout of its own file, read by a cursor
//! that cannot run past the end; trailing bytes are refused everywhere. SPEC §4, §6, §7.

pub mod bundle;
pub mod claim;
pub mod codec;
pub mod envelope;
pub mod frame;
pub(crate) mod layout;
pub mod manifest;
pub mod record;
pub mod ticket;
