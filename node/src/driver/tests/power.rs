//! Virtual time for turns of the loop.

pub(super) mod clock;
