//! The shell around `murmesh-protocol`.
pub mod control;
