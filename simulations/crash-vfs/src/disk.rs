//! The handle of a disk: making it, its power and faults, and the calls of everything but SQLite.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::state::{Failure, State};
use crate::vfs;

/// A call of the disk that can fail, or in which the power can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// An existing file is opened.
    Open,
    /// A file is made.
    Create,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// A file is cut or lengthened.
    Truncate,
    /// A file is synced.
    Sync,
    /// An open file is asked for its length.
    Size,
    /// A name is looked up.
    Find,
    /// A name is removed.
    Remove,
    /// A name is changed.
    Rename,
    /// The directory is synced.
    SyncDirectory,
}

/// In which way a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// EIO.
    Io,
    /// ENOSPC, and nothing is done.
    Full,
    /// ENOSPC in the middle of a write.
    Short,
}

impl FaultKind {
    /// Whether a call can fail in this way at all; another one just works.
    pub(crate) fn strikes(self, call: Call) -> bool {
        match self {
            FaultKind::Io => true,
            FaultKind::Full => matches!(call, Call::Create | Call::Write | Call::Sync | Call::Rename),
            FaultKind::Short => call == Call::Write,
        }
    }
}

/// A fault that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How.
    pub kind: FaultKind,
    /// After so many calls from now: 1 is the next one.
    pub after: u64,
    /// It stays, for every call that can fail so, until it is taken away.
    pub lasting: bool,
}

/// What a cut took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// 1 if anything at all was unsynced.
    pub cuts_with_unsynced: u64,
    /// Sectors of writes that never happened.
    pub sectors: u64,
    /// Sectors that were written in part.
    pub torn: u64,
    /// Truncations that never happened.
    pub lengths: u64,
    /// Names that were not made, removed or changed.
    pub names: u64,
}

impl std::ops::AddAssign for Lost {
    fn add_assign(&mut self, other: Lost) {
        self.cuts_with_unsynced += other.cuts_with_unsynced;
        self.sectors += other.sectors;
        self.torn += other.torn;
        self.lengths += other.lengths;
        self.names += other.names;
    }
}

/// A disk with one directory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct Disk {
    number: u64,
    state: Arc<Mutex<State>>,
}

/// The disks there are, by the number in their paths. Number 0 has SQLite's nameless files.
static DISKS: Mutex<BTreeMap<u64, Weak<Mutex<State>>>> = Mutex::new(BTreeMap::new());

/// The directory of every disk is under it.
const ROOT: &str = "/crash-disk-";

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Disk {
    fn default() -> Disk {
        Disk::new()
    }
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Disk {
        Disk::of(State::new())
    }

    fn of(state: State) -> Disk {
        vfs::register();
        let state = Arc::new(Mutex::new(state));
        let mut disks = guard(&DISKS);
        disks.retain(|_, disk| disk.strong_count() > 0);
        let number = (1..=u64::MAX).find(|number| !disks.contains_key(number)).unwrap_or(u64::MAX);
        disks.insert(number, Arc::downgrade(&state));
        Disk { number, state }
    }

    /// The disk a path is on, and the name on it.
    pub(crate) fn of_path(path: &str) -> Option<(Disk, &str)> {
        let (number, name) = path.strip_prefix(ROOT)?.split_once('/')?;
        let number = number.parse().ok()?;
        let state = guard(&DISKS).get(&number)?.upgrade()?;
        Some((Disk { number, state }, name))
    }

    /// Its directory: paths in it are names on this disk, for SQLite (VFS [`VFS`](crate::VFS)) and here.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        PathBuf::from(format!("{ROOT}{}", self.number))
    }

    /// Another disk with the same files, as they are read now and all of it safe.
    #[must_use]
    pub fn copy(&self) -> Disk {
        let copy = self.state().copy();
        Disk::of(copy)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        guard(&self.state)
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls()
    }

    /// The power fails in the call after so many: 1 is the next one.
    pub fn cut_after(&self, calls: u64) {
        let mut state = self.state();
        let at = state.calls().saturating_add(calls);
        state.cut_at(Some(at));
    }

    /// The power fails.
    pub fn cut(&self) {
        self.state().cut();
    }

    /// Whether there is power.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.state().is_on()
    }

    /// Cuts the power if there is any, and gives it back: what is left of the unsynced is decided by
    /// `seed`. Everything that was open is useless. No cut or fault is planned any more.
    pub fn start(&self, seed: u64) -> Lost {
        self.state().start(seed)
    }

    /// Plans a fault in place of the planned one.
    pub fn fail(&self, fault: Fault) {
        self.state().plan(Some(fault));
    }

    /// Takes the planned fault away; says which calls it struck.
    pub fn heal(&self) -> Vec<Call> {
        let mut state = self.state();
        let struck = state.struck().to_vec();
        state.plan(None);
        struck
    }

    /// Inverts one bit of a file.
    pub fn flip(&self, path: &Path, bit: usize) {
        if let Ok(name) = self.name(path) {
            self.state().flip(name, bit);
        }
    }

    /// The content of a file.
    ///
    /// # Errors
    /// As of a real disk.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let name = self.name(path)?;
        let mut state = self.state();
        let open = state.open(Some(name), false, false, false).map_err(error)?;
        let length = state.length(&open).map_err(error)?;
        let mut bytes = vec![0; length];
        state.read(&open, &mut bytes, 0).map_err(error)?;
        Ok(bytes)
    }

    /// Makes a file or empties it, and writes it; nothing of it is safe yet.
    ///
    /// # Errors
    /// As of a real disk.
    pub fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let name = self.name(path)?;
        let mut state = self.state();
        let open = state.open(Some(name), true, false, false).map_err(error)?;
        state.truncate(&open, 0).map_err(error)?;
        state.write(&open, content, 0).map_err(error)
    }

    /// Makes the content of a file safe.
    ///
    /// # Errors
    /// As of a real disk.
    pub fn sync(&self, path: &Path) -> io::Result<()> {
        let name = self.name(path)?;
        let mut state = self.state();
        let mut open = state.open(Some(name), false, false, false).map_err(error)?;
        state.sync(&mut open).map_err(error)
    }

    /// Changes a name; whatever had the new one has none any more.
    ///
    /// # Errors
    /// As of a real disk.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.name(from)?, self.name(to)?);
        self.state().rename(from, to).map_err(error)
    }

    /// Removes a name.
    ///
    /// # Errors
    /// As of a real disk.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let name = self.name(path)?;
        self.state().remove(name).map_err(error)
    }

    /// Makes the names safe.
    ///
    /// # Errors
    /// As of a real disk.
    pub fn sync_directory(&self) -> io::Result<()> {
        self.state().sync_directory().map_err(error)
    }

    /// The length of a file.
    ///
    /// # Errors
    /// As of a real disk.
    pub fn length(&self, path: &Path) -> io::Result<u64> {
        let name = self.name(path)?;
        let length = self.state().find(name).map_err(error)?;
        let length = length.ok_or_else(|| error(Failure::Missing))?;
        Ok(u64::try_from(length).unwrap_or(u64::MAX))
    }

    fn name<'a>(&self, path: &'a Path) -> io::Result<&'a str> {
        path.strip_prefix(self.directory())
            .ok()
            .and_then(Path::to_str)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not a path on this disk"))
    }
}

fn error(failure: Failure) -> io::Error {
    let (kind, text) = match failure {
        Failure::Off => (io::ErrorKind::Other, "the power is off"),
        Failure::Io => (io::ErrorKind::Other, "input/output error"),
        Failure::Full => (io::ErrorKind::StorageFull, "no space left on device"),
        Failure::Missing => (io::ErrorKind::NotFound, "no such file"),
    };
    io::Error::new(kind, text)
}
