//! What the threads of a round share: directories, the record, who is up, and the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::plan::Target;
use crate::history::{Entry, Recorder};

/// Something went wrong that no history shows: a node that ended by itself, or did not come back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub(crate) String);

/// See the module.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) root: PathBuf,
    pub(crate) murmeshd: PathBuf,
    pub(crate) recorder: Recorder,
    board: Mutex<Board>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Board {
    up: BTreeMap<Target, bool>,
    fault: Option<Fault>,
    /// Nobody begins a new message.
    quiet: bool,
    /// All threads end.
    ended: bool,
}

impl Lab {
    pub(crate) fn new(root: PathBuf, murmeshd: PathBuf, recorder: Recorder) -> Lab {
        Lab { root, murmeshd, recorder, board: Mutex::default(), changed: Condvar::new() }
    }

    pub(crate) fn directory(&self, target: Target) -> PathBuf {
        self.root.join(target.to_string())
    }

    pub(crate) fn log(&self, target: Target) -> PathBuf {
        self.root.join(format!("{target}.log"))
    }

    /// A node answers; `took` is how long a restart lasted.
    pub(crate) fn is_up(&self, target: Target, took: Option<Duration>) {
        if let Some(took) = took {
            let after_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.recorder.record(Entry::Up { node: target.to_string(), after_ms });
        }
        let mut board = self.board();
        board.up.insert(target, true);
        drop(board);
        self.changed.notify_all();
    }

    /// A node is about to be killed.
    pub(crate) fn is_down(&self, target: Target) {
        self.board().up.insert(target, false);
    }

    /// Waits until all of these are up.
    pub(crate) fn wait_until_up(&self, targets: &[Target], patience: Duration) -> Result<(), Fault> {
        let deadline = Instant::now() + patience;
        let mut board = self.board();
        loop {
            if let Some(fault) = &board.fault {
                return Err(fault.clone());
            }
            let down = targets.iter().find(|target| board.up.get(target) != Some(&true));
            let Some(down) = down else { return Ok(()) };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault(format!("{down} does not come back")));
            }
            board = self.changed.wait_timeout(board, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits, but not beyond the end.
    pub(crate) fn rest(&self, time: Duration) {
        let deadline = Instant::now() + time;
        let mut board = self.board();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || board.ended {
                return;
            }
            board = self.changed.wait_timeout(board, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first fault is the one that counts.
    pub(crate) fn fail(&self, fault: Fault) {
        self.board().fault.get_or_insert(fault);
        self.changed.notify_all();
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.board().fault.clone()
    }

    pub(crate) fn be_quiet(&self) {
        self.board().quiet = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.board().quiet
    }

    pub(crate) fn end(&self) {
        self.board().ended = true;
        self.changed.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.board().ended
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
