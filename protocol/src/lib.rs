//! The core of murmesh.
pub mod id;
pub mod time;
