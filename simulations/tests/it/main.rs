//! The process lab: real nodes on loopback, driven by the real command line, in one test binary.
//!
//! `cargo test --workspace` builds the programs before it runs this.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that meets the unexpected has failed")]

mod lab;
mod pipeline;
mod request;
mod story;
