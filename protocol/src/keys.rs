//! The private keys of an account and of a device.
//!
//! Only derivation, generation and the record form that reaches (sealed) disk. What is signed with
//! them is decided in [`crate::wire`], what is agreed with them in [`crate::session`]. SPEC §2.

mod account;
mod device;

pub use account::{AccountKeys, Entropy, MailboxKeys, MailboxPublic};
pub use device::{DeviceKeys, PrekeyPair};

/// The bytes are not a key record of a known version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key record")]
pub struct KeyRecordError;
