//! The core of murmesh.
pub mod blind;
pub mod control;
mod crypto;
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
