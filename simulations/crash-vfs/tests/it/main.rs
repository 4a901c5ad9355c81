//! The disk itself: it loses what was not synced, all of it and nothing else, and fails where it is told.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails like a test")]

mod database;
mod files;
