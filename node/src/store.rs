//! The two databases: `private.db` (one's own account, every row sealed) and `custody.db` (other
//! people's ciphertext).
//!
//! They implement the core's store traits and nothing else knows SQL. Each has one writer, the thread
//! of its machine, and commits on its own: a damaged or full custody never touches one's own
//! messages. Several steps go into one transaction and one sync ([`driver`](crate::driver)).
//! SPEC §9.

use std::path::{Path, PathBuf};

use std::sync::Arc;

use murmesh_protocol::store::StoreError;
use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use self::custody::CustodyStore;
pub use self::private::{PrivateStore, Unlock};

use crate::files::{Files, System};

mod custody;
mod private;
mod schema;
mod seal;

/// Pages in a write-ahead log after which what it holds goes into the database file and it begins anew. It is
/// truncated after a second of idleness and at the end.
const LOG_PAGES_MAX: u32 = 4_096;
/// Memory for pages of a database, as far as it is used.
const CACHE_KIB: i32 = 16 * 1024;
/// Statements kept prepared.
const STATEMENTS: usize = 64;

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Wrong passphrase, none given, or the key file is missing or another one.
    #[error("locked: {0}")]
    Locked(&'static str),
    /// Written by a newer murmesh.
    #[error("written by a newer version ({found}, known up to {known})")]
    Newer {
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// Not a database, or not as it was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The disk, or a permission.
    #[error("{path}: {error}")]
    Io {
        /// File or directory, without the path to it.
        path: String,
        /// What the system says.
        error: String,
    },
}

impl OpenError {
    fn io(path: &Path, error: impl std::fmt::Display) -> OpenError {
        let path = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        OpenError::Io { path, error: error.to_string() }
    }

    fn sqlite(path: &Path, error: &rusqlite::Error) -> OpenError {
        match store_error(error) {
            StoreError::Full => OpenError::Full,
            StoreError::Corrupt => OpenError::Damaged(error.to_string()),
            StoreError::Io => OpenError::io(path, error),
        }
    }
}

/// Where databases lie: a directory of a file system.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    files: Arc<dyn Files>,
    directory: PathBuf,
}

impl Place {
    pub(crate) fn new(files: Arc<dyn Files>, directory: PathBuf) -> Place {
        Place { files, directory }
    }

    /// A directory of this system.
    fn system(directory: &Path) -> Place {
        Place::new(Arc::new(System), directory.to_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// An open database file.
#[derive(Debug)]
struct Database {
    connection: Connection,
    path: PathBuf,
    /// Something was committed since the log was last truncated.
    dirty: bool,
}

impl Database {
    fn open(place: &Place, name: &str, migrations: &[&str]) -> Result<Database, OpenError> {
        let (files, path) = (&place.files, place.path(name));
        let fail = |error: rusqlite::Error| OpenError::sqlite(&path, &error);
        let mut connection = match files.vfs() {
            None => Connection::open(&path),
            Some(vfs) => Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), vfs),
        }
        .map_err(fail)?;
        files.restrict(&path).map_err(|error| OpenError::io(&path, error))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // Before anything is read: a second process gets an error, and no shared-memory file is made.
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(fail)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(fail)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(fail)?;
        connection.pragma_update(None, "secure_delete", "ON").map_err(fail)?;
        connection.pragma_update(None, "trusted_schema", "OFF").map_err(fail)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_MAX).map_err(fail)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(fail)?;
        start_log(&connection).map_err(fail)?;
        schema::migrate(&mut connection, &path, migrations)?;
        Ok(Database { connection, path, dirty: true })
    }

    /// Runs one step and commits it if it succeeds.
    fn transaction<T, E: From<StoreError>>(
        &mut self,
        step: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.dirty = true;
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|error| E::from(logged(&error)))?;
        // Dropped on an error, which rolls back.
        let value = step(&transaction)?;
        transaction.commit().map_err(|error| E::from(logged(&error)))?;
        Ok(value)
    }

    /// Moves what was committed into the database file and empties the log, so that deleted keys do
    /// not linger there.
    fn truncate_log(&mut self) {
        if !self.dirty {
            return;
        }
        let done = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        match done {
            Ok(()) => self.dirty = false,
            Err(error) => tracing::warn!(%error, "the write-ahead log cannot be truncated"),
        }
    }
}

/// Empties the write-ahead log that was found. After a sync that failed it may hold what can be read and is
/// not on the disk, now or ever: written behind that, nothing would survive a power cut.
fn start_log(connection: &Connection) -> rusqlite::Result<()> {
    match connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        // Reading goes on, and nothing is written until there is room.
        Err(error) if store_error(&error) == StoreError::Full => Ok(()),
        done => done,
    }
}

/// What an error of SQLite means to the core.
fn store_error(error: &rusqlite::Error) -> StoreError {
    // A value of another type than was written there: the tables are strict, but `meta` holds any.
    let strange = matches!(
        error,
        rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    );
    if strange {
        return StoreError::Corrupt;
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt,
        Some(_) | None => StoreError::Io,
    }
}

fn logged(error: &rusqlite::Error) -> StoreError {
    tracing::warn!(%error, "the database failed");
    store_error(error)
}

/// SQLite's integers are signed: what is above is as good as the end of time.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What [`signed`] wrote.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
