//! What waits to be written to one peer: bounded by bytes, because frames differ a thousandfold.
//!
//! The runner pushes without waiting; the session's writer takes everything there is at once. A queue
//! that is full ends its session: the peer does not read, and nothing may be lost silently.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes that may wait for one peer: a whole answer to the largest GET fits.
pub(super) const QUEUE_BYTES_MAX: usize = 48 * 1024 * 1024;
/// What a frame counts for besides its length.
const FRAME_OVERHEAD: usize = 64;

/// The queue is full or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PushError {
    /// Too much is waiting.
    #[error("too much is waiting")]
    Full,
    /// The session has ended or is ending.
    #[error("closed")]
    Closed,
}

/// See the module.
#[derive(Debug)]
pub(super) struct FrameQueue {
    state: Mutex<State>,
    changed: Notify,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
}

impl FrameQueue {
    /// An empty queue.
    #[must_use]
    pub(super) fn new(bytes_max: usize) -> FrameQueue {
        FrameQueue { state: Mutex::default(), changed: Notify::new(), bytes_max }
    }

    /// Adds an encoded frame.
    ///
    /// # Errors
    /// When there is no room or the queue is closed: the frame comes back.
    pub(super) fn push_back(&self, frame: Vec<u8>) -> Result<(), (PushError, Vec<u8>)> {
        let mut state = self.state();
        if state.closed {
            return Err((PushError::Closed, frame));
        }
        let size = frame.len() + FRAME_OVERHEAD;
        if state.bytes + size > self.bytes_max {
            return Err((PushError::Full, frame));
        }
        state.bytes += size;
        state.frames.push_back(frame);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The same for a frame that may be lost with its session.
    ///
    /// # Errors
    /// When there is no room or the queue is closed.
    pub(super) fn push(&self, frame: Vec<u8>) -> Result<(), PushError> {
        self.push_back(frame).map_err(|(error, _)| error)
    }

    /// Ends the session that reads this queue, after what waits is written.
    pub(super) fn finish(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Ends the session that reads this queue; what waits is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.frames.clear();
        state.bytes = 0;
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for frames and takes all of them; none when the queue is closed. Has one caller at a
    /// time; cancelled, it loses nothing.
    pub(super) async fn take(&self) -> Option<VecDeque<Vec<u8>>> {
        loop {
            {
                let mut state = self.state();
                if !state.frames.is_empty() {
                    state.bytes = 0;
                    return Some(std::mem::take(&mut state.frames));
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// A thread that panicked in here left a consistent state: nothing in here can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_more_than_the_bound_is_refused() {
        let queue = FrameQueue::new(2 * (10 + FRAME_OVERHEAD));
        assert_eq!(queue.push(vec![0; 10]), Ok(()));
        assert_eq!(queue.push(vec![0; 11]), Err(PushError::Full));
        assert_eq!(queue.push(vec![0; 10]), Ok(()));
        assert_eq!(queue.push(vec![]), Err(PushError::Full));
        queue.close();
        assert_eq!(queue.push(vec![]), Err(PushError::Closed));
    }
}
