//! Simulations of murmesh. The virtual-time world of many nodes is a later part of the project; what is
//! here runs the real programs: `scripts/` for people, `tests/it` the process lab.
//!
//! Invariant: this crate never links the node; it runs its program.
