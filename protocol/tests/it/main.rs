//! The integration tests of the core, in one binary.

mod canaries;
mod chaos;
mod offline_delivery;
mod purity;
mod session_chaos;
mod session_forgery;
mod session_order;
mod session_secrecy;
mod session_world;
mod two_nodes;
mod world;
