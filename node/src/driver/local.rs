//! Frames for the other machine of this node that wait for its queue.

use std::collections::VecDeque;

use tokio::sync::mpsc;

/// Messages that wait; above it the oldest are dropped and asked for again by their time-outs.
pub(super) const LOCAL_MAX: usize = 8_192;
/// Bytes that wait, by the same rule.
pub(super) const LOCAL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Local<T> {
    waiting: VecDeque<(usize, T)>,
    bytes: usize,
    to: mpsc::Sender<T>,
}

impl<T> Local<T> {
    pub(super) fn new(to: mpsc::Sender<T>) -> Local<T> {
        Local { waiting: VecDeque::new(), bytes: 0, to }
    }

    /// Adds a message that holds so many bytes; says how many older ones were dropped for it.
    pub(super) fn push(&mut self, message: T, bytes: usize) -> usize {
        self.waiting.push_back((bytes, message));
        self.bytes = self.bytes.saturating_add(bytes);
        let mut dropped = 0;
        while self.waiting.len() > LOCAL_MAX || (self.bytes > LOCAL_BYTES_MAX && self.waiting.len() > 1) {
            self.pop();
            dropped += 1;
        }
        dropped
    }

    /// Waits until the first message is handed over; for ever if there is none. Cancelled between, it
    /// is still the first.
    pub(super) async fn hand_over(&mut self) {
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        match self.to.clone().reserve_owned().await {
            Ok(permit) => {
                if let Some(message) = self.pop() {
                    permit.send(message);
                }
            }
            // Its thread has ended: the node is stopping.
            Err(_) => {
                self.waiting.clear();
                self.bytes = 0;
            }
        }
    }

    fn pop(&mut self) -> Option<T> {
        let (bytes, message) = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn above_either_bound_the_oldest_goes_and_room_returns() {
        let (to, mut handed) = mpsc::channel(1);
        let mut local = Local::new(to);
        for i in 0..LOCAL_MAX {
            assert_eq!(local.push(i, 1), 0);
        }
        assert_eq!(local.push(LOCAL_MAX, 1), 1);
        local.hand_over().await;
        assert_eq!(handed.recv().await, Some(1));
        let (to, mut handed) = mpsc::channel(1);
        let mut local = Local::new(to);
        assert_eq!(local.push(0, LOCAL_BYTES_MAX / 2) + local.push(1, LOCAL_BYTES_MAX / 2), 0);
        local.hand_over().await;
        assert_eq!(handed.recv().await, Some(0));
        assert_eq!(local.push(2, LOCAL_BYTES_MAX / 2), 0, "what was handed over counts no more");
        assert_eq!(local.push(3, 1), 1);
        local.hand_over().await;
        assert_eq!(handed.recv().await, Some(2));
    }
}
