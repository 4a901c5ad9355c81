//! What travels and what custodians keep: fixed little-endian layouts, written by hand (SPEC §4).
//!
//! A `FooIn` is bytes with a shape; only its `verify` makes a `Foo`. Nothing here decides what to
//! do with an object.

pub mod bundle;
pub mod claim;
pub mod envelope;
pub(crate) mod layout;
pub mod manifest;
pub mod record;
pub mod ticket;
