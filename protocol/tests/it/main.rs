//! The integration tests of the core, in one binary.

mod session_chaos;
mod session_world;
