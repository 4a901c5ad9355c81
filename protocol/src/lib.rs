//! The core of murmesh.
pub mod blind;
mod crypto;
pub mod id;
pub mod keys;
mod label;
pub mod session;
pub mod time;
pub mod wire;

#[cfg(test)]
mod testing;
