//! A disk in memory whose power can be cut and whose calls can fail, under real SQLite.
//!
//! Tests only. [`Disk`] is a directory of files. SQLite reaches it through the VFS named [`VFS`], whatever
//! else is kept there through [`Disk`]'s own calls, so both lose their unsynced part in the same cut:
//!
//! - a write or truncation is safe when its file is synced, a name (made, removed, renamed) when its
//!   directory is: what is not may survive, vanish or, by sectors of 512 bytes, be torn, in any order;
//! - the call under way when the power fails may have happened or not;
//! - any call can be made to fail as a full or broken disk would let it; a failed sync may lose what it
//!   should have made safe, for good, although it can still be read (as Linux does it).
//!
//! It deliberately knows no permissions, no subdirectories and no shared memory: the node's databases are
//! locked exclusively and need none.
//!
//! Invariant: everything is decided by seeds and counts of calls, so a failure can be played again.

pub use self::disk::{Call, Disk, Fault, FaultKind, Lost};
pub use self::vfs::VFS;

mod dice;
mod directory;
mod disk;
mod file;
mod state;
mod vfs;
