//! Virtual time, one for each thread: a machine's clock is a plain function.

use std::cell::Cell;

use murmesh_protocol::time::{DAY_MS, Time};

/// When every story begins.
pub(super) const START: Time = Time(20_000 * DAY_MS + 1_234_567);

thread_local! {
    static NOW: Cell<Time> = const { Cell::new(START) };
}

pub(in super::super) fn now() -> Time {
    NOW.get()
}

pub(in super::super) fn set(time: Time) {
    NOW.set(time);
}
