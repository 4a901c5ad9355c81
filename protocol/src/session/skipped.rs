//! Keys of messages that have not arrived yet (SPEC §5.4).

use std::collections::BTreeMap;

use crate::crypto::Secret;
use crate::session::limits::{SKIPPED_KEY_AGE_MS_MAX, SKIPPED_KEYS_MAX};
use crate::session::schedule::Tag;
use crate::time::Time;

/// Message keys by tag, in the order they were skipped; at the bound the oldest give way.
#[derive(Default)]
pub(super) struct Skipped {
    keys: BTreeMap<u64, SkippedKey>,
    serial_by_tag: BTreeMap<Tag, u64>,
    next_serial: u64,
}

/// One of them.
pub(super) struct SkippedKey {
    pub(super) tag: Tag,
    pub(super) key: Secret,
    pub(super) at: Time,
}

impl Skipped {
    pub(super) fn get(&self, tag: &Tag) -> Option<&Secret> {
        self.serial_by_tag.get(tag).and_then(|serial| self.keys.get(serial)).map(|skipped| &skipped.key)
    }

    pub(super) fn insert(&mut self, skipped: SkippedKey) {
        self.serial_by_tag.insert(skipped.tag, self.next_serial);
        self.keys.insert(self.next_serial, skipped);
        self.next_serial += 1;
        while self.keys.len() > SKIPPED_KEYS_MAX {
            self.drop_oldest();
        }
    }

    pub(super) fn remove(&mut self, tag: &Tag) {
        if let Some(serial) = self.serial_by_tag.remove(tag) {
            self.keys.remove(&serial);
        }
    }

    /// Drops keys that have waited too long.
    pub(super) fn forget_old(&mut self, now: Time) {
        // Not in the order of their times: the clock may have been set back.
        let Skipped { keys, serial_by_tag, .. } = self;
        keys.retain(|_, skipped| now.since(skipped.at) <= SKIPPED_KEY_AGE_MS_MAX);
        serial_by_tag.retain(|_, serial| keys.contains_key(serial));
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &SkippedKey> {
        self.keys.values()
    }

    fn drop_oldest(&mut self) {
        if let Some((_, oldest)) = self.keys.pop_first() {
            self.serial_by_tag.remove(&oldest.tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::sha256;

    fn tag(i: usize) -> Tag {
        *sha256(&[&i.to_le_bytes()]).first_chunk().unwrap()
    }

    fn skipped(count: usize) -> Skipped {
        let mut skipped = Skipped::default();
        for i in 0..count {
            skipped.insert(SkippedKey { tag: tag(i), key: Secret([0; 32]), at: Time(i as u64) });
        }
        skipped
    }

    #[test]
    fn bound_below_at_and_above() {
        for count in [SKIPPED_KEYS_MAX - 1, SKIPPED_KEYS_MAX] {
            assert_eq!(skipped(count).iter().len(), count);
            assert!(skipped(count).get(&tag(0)).is_some());
        }
        let full = skipped(SKIPPED_KEYS_MAX + 1);
        assert_eq!((full.iter().len(), full.serial_by_tag.len()), (SKIPPED_KEYS_MAX, SKIPPED_KEYS_MAX));
        assert!(full.get(&tag(0)).is_none() && full.get(&tag(1)).is_some());
    }

    #[test]
    fn age_at_and_above() {
        let mut skipped = skipped(3);
        skipped.forget_old(Time(SKIPPED_KEY_AGE_MS_MAX));
        assert_eq!(skipped.iter().len(), 3);
        skipped.forget_old(Time(SKIPPED_KEY_AGE_MS_MAX + 2));
        assert_eq!(skipped.iter().len(), 1);
        assert_eq!(skipped.serial_by_tag.len(), 1);
    }

    /// Story: a key that was skipped while the clock was years ahead kept all that were skipped after it.
    #[test]
    fn age_does_not_depend_on_the_order() {
        let mut skipped = Skipped::default();
        for at in [10 * SKIPPED_KEY_AGE_MS_MAX, 0, 2, 1] {
            let i = usize::try_from(at).unwrap();
            skipped.insert(SkippedKey { tag: tag(i), key: Secret([0; 32]), at: Time(at) });
        }
        skipped.forget_old(Time(SKIPPED_KEY_AGE_MS_MAX + 2));
        assert_eq!((skipped.iter().len(), skipped.serial_by_tag.len()), (2, 2));
        assert!(
            skipped.get(&tag(0)).is_none()
                && skipped.get(&tag(1)).is_none()
                && skipped.get(&tag(2)).is_some()
        );
    }

    #[test]
    fn a_removed_key_is_gone() {
        let mut skipped = skipped(2);
        skipped.remove(&tag(0));
        assert!(skipped.get(&tag(0)).is_none() && skipped.get(&tag(1)).is_some());
    }
}
