//! The names of a directory: as they are seen, as they are safe, and the changes between.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::disk::Lost;
use crate::file::Luck;

/// What a name stands for: the number of a file, or nothing any more.
type Entry = (String, Option<u64>);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    now: BTreeMap<String, u64>,
    safe: BTreeMap<String, u64>,
    /// Each happens as a whole or not at all.
    unsynced: Vec<Vec<Entry>>,
}

impl Directory {
    pub(crate) fn find(&self, name: &str) -> Option<u64> {
        self.now.get(name).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&String, &u64)> {
        self.now.iter()
    }

    pub(crate) fn add(&mut self, name: &str, file: u64) {
        self.change(vec![(name.to_owned(), Some(file))]);
    }

    /// Says whether it was there.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let there = self.now.contains_key(name);
        if there {
            self.change(vec![(name.to_owned(), None)]);
        }
        there
    }

    /// Says whether it was there.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> bool {
        let Some(file) = self.find(from) else { return false };
        self.change(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        true
    }

    pub(crate) fn sync(&mut self) {
        self.unsynced.clear();
        self.safe.clone_from(&self.now);
    }

    /// Whether all that is seen is safe.
    pub(crate) fn is_safe(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// The power fails.
    pub(crate) fn cut(&mut self, luck: Luck, dice: &mut Dice, lost: &mut Lost) {
        for change in std::mem::take(&mut self.unsynced) {
            if dice.chance(luck.kept) {
                apply(&mut self.safe, change);
            } else {
                lost.names += 1;
            }
        }
        self.now.clone_from(&self.safe);
    }

    fn change(&mut self, change: Vec<Entry>) {
        apply(&mut self.now, change.clone());
        self.unsynced.push(change);
    }
}

fn apply(names: &mut BTreeMap<String, u64>, change: Vec<Entry>) {
    for (name, file) in change {
        match file {
            Some(file) => names.insert(name, file),
            None => names.remove(&name),
        };
    }
}
