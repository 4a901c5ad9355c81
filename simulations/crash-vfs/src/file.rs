//! The bytes of a file: as they are read, as they are safe, and the changes between.

use crate::dice::Dice;
use crate::disk::Lost;

/// What a disk writes as a whole, if anything.
const SECTOR: usize = 512;

/// Something not yet synced.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// How kind a cut is to what was not synced, in per cent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Luck {
    /// Of a sector, a length or a name to survive.
    pub(crate) kept: usize,
    /// Of a sector to survive in part.
    pub(crate) torn: usize,
}

impl Luck {
    /// All lost, all kept, or a mixture.
    pub(crate) fn draw(dice: &mut Dice) -> Luck {
        match dice.below(8) {
            0 => Luck { kept: 0, torn: 0 },
            1 => Luck { kept: 100, torn: 0 },
            2 | 3 => Luck { kept: 90, torn: 5 },
            4 => Luck { kept: 10, torn: 10 },
            _ => Luck { kept: 50, torn: 15 },
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct File {
    now: Vec<u8>,
    safe: Vec<u8>,
    unsynced: Vec<Change>,
}

impl File {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.now
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        put(&mut self.now, at, bytes);
        self.unsynced.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(crate) fn set_length(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.unsynced.push(Change::Length(length));
    }

    pub(crate) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write { at, bytes } => put(&mut self.safe, at, &bytes),
                Change::Length(length) => self.safe.resize(length, 0),
            }
        }
    }

    /// The sync failed: about half of what it should have made safe never will be, and nobody is told
    /// again.
    pub(crate) fn fail_sync(&mut self, dice: &mut Dice) {
        self.unsynced.retain(|_| dice.chance(50));
    }

    /// Whether all that is read is safe.
    pub(crate) fn is_safe(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// The power fails.
    pub(crate) fn cut(&mut self, luck: Luck, dice: &mut Dice, lost: &mut Lost) {
        let mut left = std::mem::take(&mut self.safe);
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write { at, bytes } => write_torn(&mut left, at, &bytes, luck, dice, lost),
                Change::Length(length) if dice.chance(luck.kept) => left.resize(length, 0),
                Change::Length(_) => lost.lengths += 1,
            }
        }
        self.now = left.clone();
        self.safe = left;
    }
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

fn write_torn(left: &mut Vec<u8>, at: usize, bytes: &[u8], luck: Luck, dice: &mut Dice, lost: &mut Lost) {
    let mut from = 0;
    while from < bytes.len() {
        let start = at + from;
        let to = bytes.len().min(from + SECTOR - start % SECTOR);
        let sector = &bytes[from..to];
        from = to;
        let fate = dice.below(100);
        if fate < luck.kept {
            put(left, start, sector);
        } else if fate < luck.kept + luck.torn && sector.len() > 1 {
            lost.torn += 1;
            put(left, start, &sector[..1 + dice.below(sector.len() - 1)]);
        } else {
            lost.sectors += 1;
            // The new length may be there without its bytes: zeros, or what the disk held before.
            if start + sector.len() > left.len() && dice.chance(luck.kept / 2) {
                let filler = if dice.chance(50) { 0 } else { 0xa5 };
                left.resize(start + sector.len(), filler);
            }
        }
    }
}
