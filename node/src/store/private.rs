//! `private.db`: the account, its contacts, sessions and messages, each row sealed.
//!
//! A generation counter is raised at every opening, in the database first and then in a file beside
//! it: a file ahead of the database means that the database was rolled back or restored, and sessions
//! must not go on from it. SPEC §9.2.

use std::path::Path;

use murmesh_protocol::control::files::PRIVATE_DATABASE as DATABASE;
use murmesh_protocol::messenger::store::MessengerStore;
use murmesh_protocol::store::StoreError;
use rand::rngs::ChaCha20Rng;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use zeroize::Zeroizing;

use self::transaction::Transaction;
use super::seal::{self, Kdf, Keys, Secret};
use super::{Database, OpenError, Place, logged, schema, signed, unsigned};
use crate::{entropy, files};

mod transaction;

const KEY_FILE: &str = "private.key";
const GENERATION_FILE: &str = "private.generation";
/// What the wrapped data key is bound to.
const WRAP: &[u8] = b"murmesh/1 data key";

/// What opens the database.
#[derive(Clone, Debug, Default)]
pub struct Unlock {
    /// The passphrase, if the user gave one.
    pub passphrase: Option<Zeroizing<Vec<u8>>>,
}

/// See the module.
pub struct PrivateStore {
    database: Database,
    keys: Keys,
    rng: ChaCha20Rng,
    rolled_back: bool,
}

impl std::fmt::Debug for PrivateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateStore").finish_non_exhaustive()
    }
}

impl PrivateStore {
    /// Whether a data directory has one.
    #[must_use]
    pub fn exists(directory: &Path) -> bool {
        directory.join(DATABASE).exists()
    }

    /// Opens the database of a data directory; makes it if there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path, unlock: &Unlock) -> Result<PrivateStore, OpenError> {
        PrivateStore::open_at(&Place::system(directory), unlock, entropy::rng())
    }

    /// The same in any place, with randomness of any kind.
    pub(crate) fn open_at(
        place: &Place,
        unlock: &Unlock,
        mut rng: ChaCha20Rng,
    ) -> Result<PrivateStore, OpenError> {
        let path = place.path(DATABASE);
        let mut database = Database::open(place, DATABASE, schema::PRIVATE)?;
        let wraps = Wraps { place, path: &path, unlock };
        let data_key = wraps.data_key(&mut database, &mut rng)?;
        let rolled_back = raise_generation(&mut database, place)?;
        Ok(PrivateStore { database, keys: Keys::of(&data_key), rng, rolled_back })
    }

    /// The database is older than this directory has seen: sessions must start anew. Stays so until
    /// [`acknowledge_rollback`](PrivateStore::acknowledge_rollback).
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        self.rolled_back
    }

    /// The machine has been told, and committed what it does about it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn acknowledge_rollback(&mut self) -> Result<(), StoreError> {
        if self.rolled_back {
            self.database.transaction(|tx| set_number(tx, "rolled_back", 0))?;
            self.rolled_back = false;
        }
        Ok(())
    }

    /// Runs one step and commits it if it succeeds.
    ///
    /// # Errors
    /// What the step answers, or what the disk does.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        step: impl FnOnce(&mut dyn MessengerStore) -> Result<T, E>,
    ) -> Result<T, E> {
        let (keys, rng) = (&self.keys, &mut self.rng);
        self.database.transaction(|connection| {
            let mut transaction = Transaction::new(connection, keys, rng);
            let value = step(&mut transaction)?;
            transaction.write_all()?;
            Ok(value)
        })
    }

    /// Empties the write-ahead log: after a second of idleness, and at the end.
    pub fn truncate_log(&mut self) {
        self.database.truncate_log();
    }

    /// Makes the disk look full above `pages`, for tests.
    #[doc(hidden)]
    pub fn limit_pages(&self, pages: u32) {
        let _ = self.database.connection.pragma_update(None, "max_page_count", pages);
    }
}

/// Finds or makes the data key.
struct Wraps<'a> {
    place: &'a Place,
    path: &'a Path,
    unlock: &'a Unlock,
}

impl Wraps<'_> {
    fn data_key(&self, database: &mut Database, rng: &mut ChaCha20Rng) -> Result<Secret, OpenError> {
        let fail = |error: rusqlite::Error| OpenError::sqlite(self.path, &error);
        let connection = &database.connection;
        let Some(wrapped) = blob(connection, "data_key").map_err(fail)? else {
            let data_key = Secret::random(rng);
            self.wrap(database, &data_key, rng)?;
            return Ok(data_key);
        };
        let salt = blob(connection, "salt").map_err(fail)?;
        let empty: bool = connection
            .query_row("SELECT NOT EXISTS (SELECT 1 FROM rows)", [], |row| row.get(0))
            .map_err(fail)?;
        let key = match (&salt, &self.unlock.passphrase) {
            (Some(salt), Some(passphrase)) => {
                let kdf = self.stored_kdf(connection)?;
                kdf.derive(passphrase, salt).map_err(|_| OpenError::Damaged("key parameters".into()))?
            }
            (Some(_), None) => return Err(OpenError::Locked("a passphrase is needed")),
            (None, Some(_)) if !empty => return Err(OpenError::Locked("no passphrase is set here")),
            (None, _) => self.key_file()?.ok_or(OpenError::Locked("private.key is missing"))?,
        };
        let wrong = if salt.is_some() { "wrong passphrase" } else { "private.key is another one" };
        let data_key = seal::open(&key, WRAP, &wrapped).map_err(|_| OpenError::Locked(wrong))?;
        let data_key = Secret(data_key.try_into().map_err(|_| OpenError::Damaged("data key".into()))?);
        if salt.is_none() && self.unlock.passphrase.is_some() {
            self.wrap(database, &data_key, rng)?;
        }
        Ok(data_key)
    }

    /// Wraps the data key under the passphrase, or else under the key file, made if it is missing.
    fn wrap(
        &self,
        database: &mut Database,
        data_key: &Secret,
        rng: &mut ChaCha20Rng,
    ) -> Result<(), OpenError> {
        let kdf = Kdf::for_new();
        let salt = Secret::random(rng);
        let key = match &self.unlock.passphrase {
            Some(passphrase) => {
                kdf.derive(passphrase, &salt.0).map_err(|_| OpenError::io(self.path, "not enough memory"))?
            }
            None => match self.key_file()? {
                Some(key) => key,
                None => self.make_key_file(rng)?,
            },
        };
        let wrapped =
            seal::seal(&key, WRAP, &data_key.0, rng).map_err(|_| OpenError::Damaged("data key".into()))?;
        let with_passphrase = self.unlock.passphrase.is_some();
        let written = database.transaction(|tx| {
            set(tx, "data_key", &wrapped)?;
            if with_passphrase {
                set(tx, "salt", &salt.0.as_slice())?;
                set_number(tx, "memory_kib", u64::from(kdf.memory_kib))?;
                set_number(tx, "passes", u64::from(kdf.passes))?;
                set_number(tx, "lanes", u64::from(kdf.lanes))?;
            }
            Ok(())
        });
        written.map_err(|error: StoreError| OpenError::io(self.path, error))?;
        if with_passphrase {
            // The file opens nothing any more; that it is gone is tidiness, not safety.
            let _ = self.place.files.remove(&self.place.path(KEY_FILE));
        }
        Ok(())
    }

    fn stored_kdf(&self, connection: &Connection) -> Result<Kdf, OpenError> {
        let read = |name| match number(connection, name) {
            Ok(Some(value)) => u32::try_from(value).map_err(|_| OpenError::Damaged("key parameters".into())),
            Ok(None) => Err(OpenError::Damaged("key parameters".into())),
            Err(error) => Err(OpenError::sqlite(self.path, &error)),
        };
        Ok(Kdf { memory_kib: read("memory_kib")?, passes: read("passes")?, lanes: read("lanes")? })
    }

    fn key_file(&self) -> Result<Option<Secret>, OpenError> {
        let path = self.place.path(KEY_FILE);
        match self.place.files.read(&path).map(Zeroizing::new) {
            Ok(bytes) => match bytes.as_slice().try_into() {
                Ok(key) => Ok(Some(Secret(key))),
                Err(_) => Err(OpenError::Locked("private.key is not a key")),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io(&path, error)),
        }
    }

    fn make_key_file(&self, rng: &mut ChaCha20Rng) -> Result<Secret, OpenError> {
        let key = Secret::random(rng);
        let path = self.place.path(KEY_FILE);
        files::replace_on(&*self.place.files, &path, &key.0).map_err(|error| OpenError::io(&path, error))?;
        Ok(key)
    }
}

/// Raises the generation in the database, then in the file; says whether the database was behind.
fn raise_generation(database: &mut Database, place: &Place) -> Result<bool, OpenError> {
    let path = place.path(GENERATION_FILE);
    let fail = |error: rusqlite::Error| OpenError::sqlite(&database.path, &error);
    let in_database = number(&database.connection, "generation").map_err(fail)?.unwrap_or(0);
    let pending = number(&database.connection, "rolled_back").map_err(fail)?.unwrap_or(0) != 0;
    let in_file = match place.files.read(&path) {
        Ok(text) => String::from_utf8(text).ok().and_then(|text| text.trim().parse::<u64>().ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(OpenError::io(&path, error)),
    };
    // A database that has been opened before and has no file came from somewhere else.
    let behind = in_file.map_or(in_database > 1, |in_file| in_file > in_database);
    let rolled_back = pending || behind;
    // While there never was a file the first generation goes on: a start that was cut off before it wrote
    // one must not look like a database without its file the next time.
    let next = match in_file {
        None if in_database <= 1 => 1,
        in_file => in_database.max(in_file.unwrap_or(0)).saturating_add(1),
    };
    let written = database.transaction(|tx| {
        set_number(tx, "generation", next)?;
        set_number(tx, "rolled_back", u64::from(rolled_back))
    });
    written.map_err(|error: StoreError| match error {
        StoreError::Full => OpenError::Full,
        StoreError::Io | StoreError::Corrupt => OpenError::io(&database.path, error),
    })?;
    files::replace_on(&*place.files, &path, next.to_string().as_bytes())
        .map_err(|error| OpenError::io(&path, error))?;
    Ok(rolled_back)
}

fn blob(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0)).optional()
}

fn number(connection: &Connection, name: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    connection.query_row(sql, [name], |row| row.get(0).map(unsigned)).optional()
}

fn set(connection: &Connection, name: &str, value: &dyn ToSql) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.execute(sql, params![name, value]).map(|_| ()).map_err(|error| logged(&error))
}

fn set_number(connection: &Connection, name: &str, value: u64) -> Result<(), StoreError> {
    set(connection, name, &signed(value))
}
