//! The command line as people and bots use it: the real binary against a node made of canned answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bot;
mod errors;
mod fake;
mod hostile;
mod listening;
mod newcomer;
mod people;
mod requests;
mod starting;
mod strange;
mod terminal;
mod tools;
