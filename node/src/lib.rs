//! The node of murmesh: libp2p, SQLite and a control socket around the core.
//!
//! [`Node`] starts everything. [`swarm`] carries frames, the driver runs the core's two machines
//! around their [`store`]s, [`control`] serves clients. What is decided about messages is decided in
//! `murmesh-protocol`; here are sockets, disks, clocks and threads.
//!
//! Invariant: nothing leaves a node before the commit of the step that made it (driver).
//! Invariant: nobody waits in a circle ([`links`]).
//! Invariant: every queue is bounded; what happens at the bound is said beside it.

pub mod assembly;
mod backend;
pub mod clock;
pub mod config;
pub mod control;
#[cfg(test)]
mod decoders;
mod driver;
pub mod entropy;
mod files;
pub mod identity;
pub mod links;
pub mod logging;
mod node;
pub mod offline;
mod perform;
pub mod store;
pub mod swarm;
mod weight;

pub use self::files::make_directory as make_data_dir;
pub use self::node::Node;
