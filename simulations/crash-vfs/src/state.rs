//! What a disk holds and what is planned for it; every call of it goes through [`State::enter`].

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::directory::Directory;
use crate::disk::{Call, Fault, FaultKind, Lost};
use crate::file::{File, Luck};

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The power is off, or was since the file was opened.
    Off,
    /// EIO.
    Io,
    /// ENOSPC.
    Full,
    /// There is no such name.
    Missing,
}

/// How a call that has begun goes on.
enum Verdict {
    Go,
    /// It is done, and then the power is off.
    Last,
    /// It is done in part.
    Short,
}

/// A file and who has locked it how far (SQLite's levels).
#[derive(Debug, Default)]
struct Inode {
    file: File,
    locks: BTreeMap<u64, i32>,
}

/// A fault and the number of the call it begins at.
#[derive(Clone, Copy, Debug)]
struct Planned {
    at: u64,
    fault: Fault,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    on: bool,
    /// Counts cuts: what was opened before one is useless.
    life: u64,
    calls: u64,
    cut_at: Option<u64>,
    planned: Option<Planned>,
    struck: Vec<Call>,
    next: u64,
    files: BTreeMap<u64, Inode>,
    names: Directory,
    /// For what a failed sync loses.
    dice: Dice,
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Open {
    file: u64,
    handle: u64,
    life: u64,
    /// Its first sync makes the directory safe too.
    sync_directory: bool,
    pub(crate) delete_on_close: Option<String>,
}

impl State {
    pub(crate) fn new() -> State {
        State {
            on: true,
            life: 0,
            calls: 0,
            cut_at: None,
            planned: None,
            struck: Vec::new(),
            next: 0,
            files: BTreeMap::new(),
            names: Directory::default(),
            dice: Dice::new(0),
        }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) fn cut_at(&mut self, call: Option<u64>) {
        self.cut_at = call;
    }

    pub(crate) fn cut(&mut self) {
        self.on = false;
    }

    pub(crate) fn plan(&mut self, fault: Option<Fault>) {
        self.planned = fault.map(|fault| Planned { at: self.calls.saturating_add(fault.after), fault });
        self.struck.clear();
    }

    pub(crate) fn struck(&self) -> &[Call] {
        &self.struck
    }

    /// The power returns: decides what of the unsynced is left.
    pub(crate) fn start(&mut self, seed: u64) -> Lost {
        let mut dice = Dice::new(seed);
        let luck = Luck::draw(&mut dice);
        let mut lost = Lost::default();
        let unsynced = self.files.values().any(|inode| !inode.file.is_safe()) || !self.names.is_safe();
        lost.cuts_with_unsynced = u64::from(unsynced);
        self.names.cut(luck, &mut dice, &mut lost);
        for inode in self.files.values_mut() {
            inode.file.cut(luck, &mut dice, &mut lost);
            inode.locks.clear();
        }
        let named: Vec<u64> = self.names.names().map(|(_, file)| *file).collect();
        self.files.retain(|file, _| named.contains(file));
        self.on = true;
        self.life += 1;
        self.cut_at = None;
        self.planned = None;
        self.dice = dice;
        lost
    }

    /// The same files on a disk of their own, as they are read now and all of it safe.
    pub(crate) fn copy(&self) -> State {
        let mut copy = State::new();
        copy.next = self.next;
        for (name, file) in self.names.names() {
            let Some(inode) = self.files.get(file) else { continue };
            let mut file_copy = File::default();
            file_copy.write(0, inode.file.bytes());
            file_copy.sync();
            copy.files.insert(*file, Inode { file: file_copy, locks: BTreeMap::new() });
            copy.names.add(name, *file);
        }
        copy.names.sync();
        copy
    }

    /// Inverts one bit of a file, safely written.
    pub(crate) fn flip(&mut self, name: &str, bit: usize) {
        let Some(inode) = self.names.find(name).and_then(|file| self.files.get_mut(&file)) else { return };
        let Some(byte) = inode.file.bytes().get(bit / 8).copied() else { return };
        inode.file.write(bit / 8, &[byte ^ (1 << (bit % 8))]);
        inode.file.sync();
    }

    fn enter(&mut self, call: Call) -> Result<Verdict, Failure> {
        if !self.on {
            return Err(Failure::Off);
        }
        self.calls += 1;
        if self.cut_at.is_some_and(|at| at <= self.calls) {
            self.on = false;
            return Ok(Verdict::Last);
        }
        let Some(Planned { at, fault }) = self.planned else { return Ok(Verdict::Go) };
        let due = if fault.lasting { self.calls >= at } else { self.calls == at };
        if !due || !fault.kind.strikes(call) {
            return Ok(Verdict::Go);
        }
        self.struck.push(call);
        match fault.kind {
            FaultKind::Io => Err(Failure::Io),
            FaultKind::Full => Err(Failure::Full),
            FaultKind::Short => Ok(Verdict::Short),
        }
    }

    /// A call that changes nothing, or something that is lost when the power fails in it.
    fn pass(&mut self, call: Call) -> Result<(), Failure> {
        match self.enter(call)? {
            Verdict::Go | Verdict::Short => Ok(()),
            Verdict::Last => Err(Failure::Off),
        }
    }

    /// A call that may have happened when the power fails in it; what it did is as unsynced as before.
    fn change(&mut self, call: Call, change: impl FnOnce(&mut State)) -> Result<(), Failure> {
        let verdict = self.enter(call)?;
        change(self);
        match verdict {
            Verdict::Go | Verdict::Short => Ok(()),
            Verdict::Last => Err(Failure::Off),
        }
    }

    pub(crate) fn open(
        &mut self,
        name: Option<&str>,
        create: bool,
        exclusive: bool,
        sync_directory: bool,
    ) -> Result<Open, Failure> {
        let found = name.and_then(|name| self.names.find(name));
        if found.is_none() && !create {
            self.pass(Call::Find)?;
            return Err(Failure::Missing);
        }
        if found.is_some() && exclusive {
            return Err(Failure::Io);
        }
        self.next += 2;
        let (handle, made) = (self.next, self.next + 1);
        let file = found.unwrap_or(made);
        self.change(if found.is_some() { Call::Open } else { Call::Create }, |state| {
            if found.is_none() {
                state.files.insert(made, Inode::default());
                if let Some(name) = name {
                    state.names.add(name, made);
                }
            }
        })?;
        Ok(Open { file, handle, life: self.life, sync_directory, delete_on_close: None })
    }

    pub(crate) fn close(&mut self, open: &Open) {
        if open.life == self.life
            && let Some(inode) = self.files.get_mut(&open.file)
        {
            inode.locks.remove(&open.handle);
        }
    }

    fn inode(&mut self, open: &Open) -> Result<&mut Inode, Failure> {
        if open.life != self.life {
            return Err(Failure::Off);
        }
        self.files.get_mut(&open.file).ok_or(Failure::Io)
    }

    /// Says how many bytes there were.
    pub(crate) fn read(&mut self, open: &Open, into: &mut [u8], at: usize) -> Result<usize, Failure> {
        self.inode(open)?;
        self.pass(Call::Read)?;
        let bytes = self.inode(open)?.file.bytes().get(at..).unwrap_or_default();
        let there = bytes.len().min(into.len());
        into[..there].copy_from_slice(&bytes[..there]);
        into[there..].fill(0);
        Ok(there)
    }

    pub(crate) fn write(&mut self, open: &Open, bytes: &[u8], at: usize) -> Result<(), Failure> {
        self.inode(open)?;
        let verdict = self.enter(Call::Write)?;
        let file = &mut self.inode(open)?.file;
        match verdict {
            Verdict::Go => {
                file.write(at, bytes);
                Ok(())
            }
            Verdict::Last => {
                file.write(at, bytes);
                Err(Failure::Off)
            }
            Verdict::Short => {
                file.write(at, &bytes[..bytes.len() / 2]);
                Err(Failure::Full)
            }
        }
    }

    pub(crate) fn truncate(&mut self, open: &Open, length: usize) -> Result<(), Failure> {
        self.inode(open)?;
        let file = open.file;
        self.change(Call::Truncate, |state| {
            if let Some(inode) = state.files.get_mut(&file) {
                inode.file.set_length(length);
            }
        })
    }

    pub(crate) fn sync(&mut self, open: &mut Open) -> Result<(), Failure> {
        self.inode(open)?;
        if let Err(failure) = self.pass(Call::Sync) {
            let mut dice = self.dice.clone();
            if failure == Failure::Io {
                self.inode(open)?.file.fail_sync(&mut dice);
                self.dice = dice;
            }
            return Err(failure);
        }
        self.inode(open)?.file.sync();
        if std::mem::take(&mut open.sync_directory) {
            // Once, and its failure is nobody's concern: as SQLite does it on Unix.
            match self.sync_directory() {
                Err(Failure::Off) => return Err(Failure::Off),
                Ok(()) | Err(Failure::Io | Failure::Full | Failure::Missing) => {}
            }
        }
        Ok(())
    }

    pub(crate) fn length(&mut self, open: &Open) -> Result<usize, Failure> {
        self.inode(open)?;
        self.pass(Call::Size)?;
        Ok(self.inode(open)?.file.bytes().len())
    }

    /// None if there is no such name.
    pub(crate) fn find(&mut self, name: &str) -> Result<Option<usize>, Failure> {
        self.pass(Call::Find)?;
        let file = self.names.find(name).and_then(|file| self.files.get(&file));
        Ok(file.map(|inode| inode.file.bytes().len()))
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Failure> {
        if self.names.find(name).is_none() {
            self.pass(Call::Remove)?;
            return Err(Failure::Missing);
        }
        self.change(Call::Remove, |state| {
            state.names.remove(name);
        })
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        if self.names.find(from).is_none() {
            return Err(Failure::Missing);
        }
        self.change(Call::Rename, |state| {
            state.names.rename(from, to);
        })
    }

    pub(crate) fn sync_directory(&mut self) -> Result<(), Failure> {
        self.pass(Call::SyncDirectory)?;
        self.names.sync();
        Ok(())
    }

    /// Locks as far as `level`; says whether nobody is in the way.
    pub(crate) fn lock(&mut self, open: &Open, level: i32) -> Result<bool, Failure> {
        const SHARED: i32 = 1;
        const RESERVED: i32 = 2;
        const PENDING: i32 = 3;
        let handle = open.handle;
        let locks = &mut self.inode(open)?.locks;
        let others = locks.iter().filter(|(other, _)| **other != handle).map(|(_, level)| *level).max();
        let in_the_way = others.is_some_and(|others| match level {
            SHARED => others >= PENDING,
            RESERVED => others >= RESERVED,
            _ => others >= SHARED,
        });
        if !in_the_way {
            let own = locks.entry(handle).or_default();
            *own = level.max(*own);
        }
        Ok(!in_the_way)
    }

    pub(crate) fn unlock(&mut self, open: &Open, level: i32) {
        let handle = open.handle;
        if let Ok(inode) = self.inode(open) {
            if level == 0 {
                inode.locks.remove(&handle);
            } else {
                inode.locks.insert(handle, level);
            }
        }
    }

    pub(crate) fn is_reserved(&mut self, open: &Open) -> bool {
        self.inode(open).is_ok_and(|inode| inode.locks.values().any(|level| *level >= 2))
    }
}
