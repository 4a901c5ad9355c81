//! The peer's current sending chain as we follow it (SPEC §5.4).

use std::collections::VecDeque;

use crate::crypto::{NotAuthentic, Secret};
use crate::session::limits::{INITIAL_MESSAGES_MAX, SKIP_MAX, TAGS_AHEAD};
use crate::session::schedule::{Tag, TagSource, step};

/// A receiving chain at message `n`, with the tags of the messages it expects.
pub(super) struct ReceiveChain {
    pub(super) epoch: u32,
    pub(super) key: Secret,
    pub(super) n: u32,
    pub(super) tags: TagSource,
    /// Of message `n` and those behind it, in order.
    window: VecDeque<Tag>,
}

/// A chain moved forward, not committed.
pub(super) struct Moved {
    /// The keys passed over, in order.
    pub(super) skipped: Vec<(Tag, Secret)>,
    /// The chain key at the new position.
    pub(super) key: Secret,
}

impl ReceiveChain {
    pub(super) fn new(epoch: u32, key: Secret, n: u32, tags: TagSource) -> ReceiveChain {
        let mut chain = ReceiveChain { epoch, key, n, tags, window: VecDeque::new() };
        chain.fill_window();
        chain
    }

    /// The position of an expected message.
    pub(super) fn expects(&self, tag: &Tag) -> Option<u32> {
        let ahead = self.window.iter().position(|expected| expected == tag)?;
        self.n.checked_add(u32::try_from(ahead).ok()?)
    }

    /// The chain as it would be when message `n` is next, keeping the keys passed over.
    pub(super) fn moved_to(&self, n: u32) -> Result<Moved, NotAuthentic> {
        let ahead = n.checked_sub(self.n).ok_or(NotAuthentic)?;
        if ahead > SKIP_MAX {
            return Err(NotAuthentic);
        }
        let (mut key, mut skipped) = (self.key.clone(), Vec::new());
        for number in self.n..n {
            let (message_key, next) = step(&key);
            skipped.push((self.tags.tag(number), message_key));
            key = next;
        }
        Ok(Moved { skipped, key })
    }

    /// Takes over a move and forgets the tags it passed.
    pub(super) fn commit(&mut self, key: Secret, n: u32) {
        let passed = usize::try_from(n.saturating_sub(self.n)).unwrap_or(usize::MAX);
        self.window.drain(..passed.min(self.window.len()));
        self.key = key;
        self.n = n;
        self.fill_window();
    }

    /// The tags a wide table adds to the window: as far as one message may skip.
    pub(super) fn far_tags(&self) -> impl Iterator<Item = (Tag, u32)> {
        let numbers = self.n..=self.end(SKIP_MAX);
        self.tags.tags(numbers.clone()).zip(numbers)
    }

    fn window_end(&self) -> u32 {
        match self.tags {
            // Their number is in the clear and bounded, so all of them are expected at once.
            TagSource::First(_) => INITIAL_MESSAGES_MAX,
            TagSource::Keyed(_) => self.end(TAGS_AHEAD),
        }
    }

    fn end(&self, ahead: u32) -> u32 {
        self.n.saturating_add(ahead)
    }

    fn fill_window(&mut self) {
        let known = u32::try_from(self.window.len()).unwrap_or(u32::MAX);
        let (next, end) = (self.n.saturating_add(known), self.window_end());
        if next < end {
            self.window.extend(self.tags.tags(next..=end - 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_below_at_and_above() {
        let chain = ReceiveChain::new(1, Secret([1; 32]), 5, TagSource::Keyed(Secret([2; 32])));
        for (ahead, moves) in
            [(SKIP_MAX - 1, true), (SKIP_MAX, true), (SKIP_MAX + 1, false), (u32::MAX - 5, false)]
        {
            let moved = chain.moved_to(5 + ahead);
            assert_eq!(moved.ok().map(|moved| moved.skipped.len()), moves.then_some(ahead as usize));
        }
        assert!(chain.moved_to(4).is_err(), "never backwards");
    }
}
