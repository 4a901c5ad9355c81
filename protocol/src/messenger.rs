//! The Messenger: one account. See [`io`] first.

use std::collections::VecDeque;

use rand::CryptoRng;

use self::io::{Deadline, Input, Output};
use self::store::MessengerStore;
use crate::id::PeerId;
use crate::store::StoreError;
use crate::time::Time;

pub mod io;
pub mod store;

/// What a Messenger is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node it lives in.
    pub own_peer: PeerId,
}

/// Why a Messenger cannot be made from a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// There is no account in this store.
    #[error("no account")]
    NoAccount,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One account.
#[derive(Debug)]
pub struct Messenger {
    outputs: VecDeque<Output>,
}

impl Messenger {
    /// Makes the account of an empty store; an existing one is left alone and is an error.
    pub fn create(
        _name: &str,
        _now: Time,
        _store: &mut dyn MessengerStore,
        _rng: &mut dyn CryptoRng,
    ) -> Result<crate::control::InitReply, crate::control::ControlError> {
        Err(crate::control::ErrorName::Internal.into())
    }

    /// Rebuilds the machine from its store: at start, and after a failed commit.
    pub fn restore(
        _config: Config,
        _now: Time,
        _store: &mut dyn MessengerStore,
        _rng: &mut dyn CryptoRng,
    ) -> Result<Messenger, RestoreError> {
        Err(RestoreError::NoAccount)
    }

    /// One step: decides, inside an open transaction.
    pub fn handle(
        &mut self,
        _now: Time,
        _input: Input,
        _store: &mut dyn MessengerStore,
        _rng: &mut dyn CryptoRng,
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
