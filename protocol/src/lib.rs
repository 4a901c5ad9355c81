//! The core of murmesh.
pub mod control;
pub mod id;
pub mod time;
