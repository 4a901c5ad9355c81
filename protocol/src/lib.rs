//! The core of murmesh.
pub mod control;
pub mod id;
pub mod keeper;
pub mod limits;
pub mod messenger;
pub mod placement;
pub mod route;
pub mod store;
pub mod time;
pub mod wire;
