//! What waits to be written to one peer, and to all of them: bounded by bytes, because frames differ a
//! thousandfold.
//!
//! The runner pushes without waiting; the session's writer takes what there is, a little at a time, so
//! that what it holds itself is little. A queue that is full ends its session: the peer does not read,
//! and nothing may be lost silently. When all together hold too much, the runner ends the session with
//! the fullest queue ([`FrameQueue::bytes`]): who reads loses nothing because others do not.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes that may wait for one peer: a whole answer to the largest GET fits.
pub(super) const QUEUE_BYTES_MAX: usize = 48 * 1024 * 1024;
/// Bytes that may wait for all peers together.
pub(crate) const QUEUED_BYTES_MAX: usize = 192 * 1024 * 1024;
/// Bytes a writer takes at once, and one frame.
const TAKE_BYTES: usize = 256 * 1024;
/// What a frame counts for besides its length.
const FRAME_OVERHEAD: usize = 64;

/// The queue is full or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PushError {
    /// Too much is waiting for this peer.
    #[error("too much is waiting")]
    Full,
    /// Too much is waiting for all peers together.
    #[error("too much is waiting for all peers")]
    Crowded,
    /// The session has ended or is ending.
    #[error("closed")]
    Closed,
}

/// What all queues of a node hold together.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// Nothing is held.
    #[must_use]
    pub(super) fn new(bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget { bytes: AtomicUsize::new(0), bytes_max })
    }

    /// What is held.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    fn take(&self, size: usize) -> bool {
        let more = |held: usize| held.checked_add(size).filter(|held| *held <= self.bytes_max);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, size: usize) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct FrameQueue {
    state: Mutex<State>,
    changed: Notify,
    aborted: Notify,
    bytes_max: usize,
    budget: Arc<Budget>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
    /// Closed without writing what waits.
    aborted: bool,
}

impl FrameQueue {
    /// An empty queue.
    #[must_use]
    pub(super) fn new(bytes_max: usize, budget: Arc<Budget>) -> FrameQueue {
        FrameQueue {
            state: Mutex::default(),
            changed: Notify::new(),
            aborted: Notify::new(),
            bytes_max,
            budget,
        }
    }

    /// Adds an encoded frame.
    ///
    /// # Errors
    /// When there is no room or the queue is closed: the frame comes back.
    pub(super) fn push(&self, frame: Vec<u8>) -> Result<(), (PushError, Vec<u8>)> {
        let mut state = self.state();
        if state.closed {
            return Err((PushError::Closed, frame));
        }
        let size = size(&frame);
        if state.bytes + size > self.bytes_max {
            return Err((PushError::Full, frame));
        }
        if !self.budget.take(size) {
            return Err((PushError::Crowded, frame));
        }
        state.bytes += size;
        state.frames.push_back(frame);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// What waits here.
    #[must_use]
    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Ends the session that reads this queue, after what waits is written.
    pub(super) fn finish(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Ends the session that reads this queue, even in the middle of a frame that the other end does not
    /// take; what waits is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.aborted = true;
        state.frames.clear();
        self.budget.give_back(std::mem::take(&mut state.bytes));
        drop(state);
        self.changed.notify_one();
        self.aborted.notify_waiters();
    }

    /// Waits until the queue is [`close`](FrameQueue::close)d.
    pub(super) async fn aborted(&self) {
        loop {
            // Made before the look: what is told between the two is not missed.
            let told = self.aborted.notified();
            if self.state().aborted {
                return;
            }
            told.await;
        }
    }

    /// Waits for frames and takes some; none when the queue is closed. Has one caller at a time;
    /// cancelled, it loses nothing.
    pub(super) async fn take(&self) -> Option<Vec<Vec<u8>>> {
        loop {
            {
                let mut state = self.state();
                let (mut taken, mut bytes) = (Vec::new(), 0);
                while bytes < TAKE_BYTES
                    && let Some(frame) = state.frames.pop_front()
                {
                    bytes += size(&frame);
                    taken.push(frame);
                }
                state.bytes -= bytes;
                self.budget.give_back(bytes);
                if !taken.is_empty() {
                    return Some(taken);
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

impl Drop for FrameQueue {
    fn drop(&mut self) {
        self.close();
    }
}

fn size(frame: &[u8]) -> usize {
    frame.len() + FRAME_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(queue: &FrameQueue, frame: Vec<u8>) -> Option<PushError> {
        queue.push(frame).err().map(|(error, _)| error)
    }

    #[test]
    fn one_frame_more_than_the_bound_is_refused() {
        let queue = FrameQueue::new(2 * size(&[0; 10]), Budget::new(usize::MAX));
        assert_eq!(refused(&queue, vec![0; 10]), None);
        assert_eq!(refused(&queue, vec![0; 11]), Some(PushError::Full));
        assert_eq!(refused(&queue, vec![0; 10]), None);
        assert_eq!(refused(&queue, vec![]), Some(PushError::Full));
        queue.close();
        assert_eq!(refused(&queue, vec![]), Some(PushError::Closed));
    }

    #[tokio::test]
    async fn all_queues_share_one_bound_and_give_back_what_is_taken_closed_or_dropped() {
        let budget = Budget::new(3 * size(&[]));
        let queue = || FrameQueue::new(usize::MAX, budget.clone());
        let (a, b, c) = (queue(), queue(), queue());
        for queue in [&a, &b, &c] {
            assert_eq!(refused(queue, vec![]), None);
        }
        assert_eq!(refused(&a, vec![]), Some(PushError::Crowded));
        assert_eq!((a.bytes(), budget.bytes()), (size(&[]), 3 * size(&[])));
        a.close();
        assert_eq!(b.take().await.map(|frames| frames.len()), Some(1));
        drop(c);
        assert_eq!(budget.bytes(), 0);
        for _ in 0..3 {
            assert_eq!(refused(&b, vec![]), None);
        }
        assert_eq!(refused(&b, vec![]), Some(PushError::Crowded));
    }

    #[tokio::test]
    async fn a_writer_takes_a_little_at_a_time_in_order() {
        let queue = FrameQueue::new(usize::MAX, Budget::new(usize::MAX));
        for i in 0..10 {
            queue.push(vec![i; TAKE_BYTES / 4]).unwrap();
        }
        let mut taken = Vec::new();
        while taken.len() < 10 {
            let some = queue.take().await.unwrap();
            assert!(some.len() <= 4);
            taken.extend(some.iter().map(|frame| frame[0]));
        }
        assert_eq!(taken, (0..10).collect::<Vec<_>>());
        assert_eq!(queue.bytes(), 0);
    }
}
