//! The integration tests of the core, in one binary.

mod offline_delivery;
#[cfg(test)]
mod session_chaos;
#[cfg(test)]
mod session_world;
mod two_nodes;
mod world;
