//! `custody.db`: what is kept for others. Ciphertext by nature, so nothing is sealed again.
//! SPEC §9.3.

use std::path::Path;

use murmesh_protocol::control::files::CUSTODY_DATABASE as DATABASE;
use murmesh_protocol::id::{Address, EnvelopeId};
use murmesh_protocol::keeper::store::{KeeperStore, Totals, Usage, tombstone_bytes};
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::codec;
use murmesh_protocol::wire::frame::Tombstone;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{Database, OpenError, Place, logged, schema, signed, unsigned};

/// See the module.
#[derive(Debug)]
pub struct CustodyStore {
    database: Database,
}

impl CustodyStore {
    /// Opens the database of a data directory; makes it if there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path) -> Result<CustodyStore, OpenError> {
        CustodyStore::open_at(&Place::system(directory))
    }

    /// The same in any place.
    pub(crate) fn open_at(place: &Place) -> Result<CustodyStore, OpenError> {
        Ok(CustodyStore { database: Database::open(place, DATABASE, schema::CUSTODY)? })
    }

    /// Runs one step and commits it if it succeeds.
    ///
    /// # Errors
    /// What the step answers, or what the disk does.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        step: impl FnOnce(&mut dyn KeeperStore) -> Result<T, E>,
    ) -> Result<T, E> {
        self.database.transaction(|connection| step(&mut Transaction { connection }))
    }

    /// Empties the write-ahead log.
    pub fn truncate_log(&mut self) {
        self.database.truncate_log();
    }

    /// Makes the disk look full above `pages`, for tests.
    #[doc(hidden)]
    pub fn limit_pages(&self, pages: u32) {
        let _ = self.database.connection.pragma_update(None, "max_page_count", pages);
    }
}

/// An open transaction.
struct Transaction<'a> {
    connection: &'a Connection,
}

impl Transaction<'_> {
    fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute(params);
        run().map_err(|error| logged(&error))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.query_row(params, read).optional();
        run().map_err(|error| logged(&error))
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let run = || {
            self.connection
                .prepare_cached(sql)?
                .query_map(params, read)?
                .collect::<rusqlite::Result<Vec<T>>>()
        };
        run().map_err(|error| logged(&error))
    }
}

fn size(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

impl KeeperStore for Transaction<'_> {
    fn put_envelope(
        &mut self,
        address: &Address,
        id: &EnvelopeId,
        expires: Time,
        bytes: &[u8],
    ) -> Result<u64, StoreError> {
        self.remove_envelope(address, id)?;
        let sql = "INSERT INTO envelopes (address, id, expires, size, bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.execute(sql, params![address.0, id.0, signed(expires.0), size(bytes), bytes])?;
        Ok(unsigned(self.connection.last_insert_rowid()))
    }

    fn has_envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM envelopes WHERE address = ?1 AND id = ?2";
        self.one(sql, params![address.0, id.0], |_| Ok(())).map(|found| found.is_some())
    }

    fn envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT bytes FROM envelopes WHERE address = ?1 AND id = ?2";
        self.one(sql, params![address.0, id.0], |row| row.get(0))
    }

    fn remove_envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM envelopes WHERE address = ?1 AND id = ?2";
        self.execute(sql, params![address.0, id.0]).map(|rows| rows > 0)
    }

    fn ids(
        &mut self,
        address: &Address,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, EnvelopeId)>, StoreError> {
        let sql =
            "SELECT cursor, id FROM envelopes WHERE address = ?1 AND cursor > ?2 ORDER BY cursor LIMIT ?3";
        self.all(sql, params![address.0, signed(after), limit], |row| {
            Ok((unsigned(row.get(0)?), EnvelopeId(row.get(1)?)))
        })
    }

    fn usage(&mut self, address: &Address) -> Result<Usage, StoreError> {
        let sql = "SELECT count(*), coalesce(sum(size), 0) FROM envelopes WHERE address = ?1";
        let usage = self.one(sql, params![address.0], |row| {
            Ok(Usage { envelopes: unsigned(row.get(0)?), bytes: unsigned(row.get(1)?) })
        })?;
        Ok(usage.unwrap_or_default())
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let totals = self.one("SELECT envelopes, records, bytes FROM totals", [], |row| {
            Ok(Totals {
                envelopes: unsigned(row.get(0)?),
                records: unsigned(row.get(1)?),
                bytes: unsigned(row.get(2)?),
            })
        })?;
        totals.ok_or(StoreError::Corrupt)
    }

    fn put_record(
        &mut self,
        address: &Address,
        slot: u8,
        seq: u64,
        expires: Time,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.execute("DELETE FROM records WHERE address = ?1 AND slot = ?2", params![address.0, slot])?;
        let sql =
            "INSERT INTO records (address, slot, seq, expires, size, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let params = params![address.0, slot, signed(seq), signed(expires.0), size(bytes), bytes];
        self.execute(sql, params).map(|_| ())
    }

    fn record_held(&mut self, address: &Address, slot: u8) -> Result<Option<(u64, u64)>, StoreError> {
        let sql = "SELECT seq, size FROM records WHERE address = ?1 AND slot = ?2";
        self.one(sql, params![address.0, slot], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))
    }

    fn records(&mut self, address: &Address) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT bytes FROM records WHERE address = ?1 ORDER BY slot";
        self.all(sql, params![address.0], |row| row.get(0))
    }

    fn put_tombstone(&mut self, tombstone: &Tombstone, expires: Time, keep: u64) -> Result<(), StoreError> {
        let address = tombstone.address.0;
        let sql = "INSERT INTO tombstones (expires, size, bytes) VALUES (?1, ?2, ?3)";
        let size = signed(tombstone_bytes(tombstone));
        self.execute(sql, params![signed(expires.0), size, codec::encode(tombstone)])?;
        let number = self.connection.last_insert_rowid();
        for id in &tombstone.ids {
            self.execute("DELETE FROM tombstoned WHERE address = ?1 AND id = ?2", params![address, id.0])?;
            let sql = "INSERT INTO tombstoned (address, id, number) VALUES (?1, ?2, ?3)";
            self.execute(sql, params![address, id.0, number])?;
        }
        let sql = "DELETE FROM tombstoned WHERE position IN (
                SELECT position FROM tombstoned WHERE address = ?1 ORDER BY position DESC LIMIT -1 OFFSET ?2)";
        self.execute(sql, params![address, signed(keep)]).map(|_| ())
    }

    fn tombstone(&mut self, address: &Address, id: &EnvelopeId) -> Result<Option<Tombstone>, StoreError> {
        let sql =
            "SELECT bytes FROM tombstones JOIN tombstoned USING (number) WHERE address = ?1 AND id = ?2";
        let bytes: Option<Vec<u8>> = self.one(sql, params![address.0, id.0], |row| row.get(0))?;
        bytes.map(|bytes| codec::decode(&bytes).map_err(|_| StoreError::Corrupt)).transpose()
    }

    fn expire(&mut self, now: Time) -> Result<(), StoreError> {
        let now = params![signed(now.0)];
        self.execute("DELETE FROM envelopes WHERE expires < ?1", now)?;
        self.execute("DELETE FROM records WHERE expires < ?1", now)?;
        let sql = "DELETE FROM tombstoned WHERE number IN (SELECT number FROM tombstones WHERE expires < ?1)";
        self.execute(sql, now)?;
        // Without ids from the start.
        self.execute("DELETE FROM tombstones WHERE expires < ?1", now).map(|_| ())
    }
}
