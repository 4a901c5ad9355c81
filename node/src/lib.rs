//! The node.

pub mod clock;
pub mod config;
pub mod control;
pub mod entropy;
mod files;
pub mod links;
pub mod store;
pub mod swarm;
