//! The Keeper: custody for others. See [`io`] first.

use std::collections::VecDeque;

use self::io::{Input, Output};
use self::store::KeeperStore;
use crate::id::PeerId;
use crate::messenger::io::Deadline;
use crate::store::StoreError;
use crate::time::Time;

pub mod io;
pub mod store;

/// What a Keeper is told once.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The node it lives in.
    pub own_peer: PeerId,
    /// Most bytes it keeps for others; 0 = it keeps nothing but its owner's own records.
    pub held_bytes_max: u64,
}

/// Custody for others.
#[derive(Debug)]
pub struct Keeper {
    outputs: VecDeque<Output>,
}

impl Keeper {
    /// Rebuilds the machine from its store: at start, and after a failed commit.
    pub fn restore(_config: Config, _now: Time, _store: &mut dyn KeeperStore) -> Result<Keeper, StoreError> {
        Ok(Keeper { outputs: VecDeque::new() })
    }

    /// One step: decides, inside an open transaction.
    pub fn handle(
        &mut self,
        _now: Time,
        _input: Input,
        _store: &mut dyn KeeperStore,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    /// Hands out what is to be done after the commit.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle` with [`Input::Deadline`].
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Deadline> {
        None
    }
}
