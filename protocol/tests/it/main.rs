//! The integration tests of the core, in one binary.

#[cfg(test)]
mod session_chaos;
#[cfg(test)]
mod session_world;
