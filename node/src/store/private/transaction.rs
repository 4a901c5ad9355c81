//! An open transaction of `private.db`: seals, finds and writes rows; knows nothing of what they mean.
//!
//! Rows are gathered and each is written once: at the end, or before a table is listed. The steps that
//! share a transaction write the same few rows over and over (the account, a contact, its session, an
//! outbox row), and sealing and indexing is what a write costs. SPEC §9.2.

use std::collections::BTreeMap;

use murmesh_protocol::messenger::store::{From, MessengerStore, Row, Stored, Table};
use murmesh_protocol::store::StoreError;
use rand::rngs::ChaCha20Rng;
use rusqlite::{Connection, Params, params};

use crate::store::seal::Keys;
use crate::store::{logged, signed, unsigned};

/// Bytes of gathered rows above which they are written before the end.
const GATHERED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// See the module.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    keys: &'a Keys,
    rng: &'a mut ChaCha20Rng,
    gathered: BTreeMap<(Table, Vec<u8>), Gathered>,
    gathered_bytes: usize,
}

/// What is to become of a row.
enum Gathered {
    Put { group: Vec<u8>, position: u64, value: Vec<u8> },
    Delete,
}

type Sealed = (Vec<u8>, Vec<u8>, i64, Vec<u8>);

impl<'a> Transaction<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        keys: &'a Keys,
        rng: &'a mut ChaCha20Rng,
    ) -> Transaction<'a> {
        Transaction { connection, keys, rng, gathered: BTreeMap::new(), gathered_bytes: 0 }
    }

    /// Writes what was gathered: the last thing before the commit.
    pub(super) fn write_all(&mut self) -> Result<(), StoreError> {
        self.gathered_bytes = 0;
        let gathered = std::mem::take(&mut self.gathered);
        gathered.into_iter().try_for_each(|((table, key), row)| self.write(table, &key, &row))
    }

    /// Writes what was gathered of one table, so that it can be listed.
    fn write_table(&mut self, table: Table) -> Result<(), StoreError> {
        let theirs = self.gathered.extract_if(.., |(of, _), _| *of == table);
        let theirs: Vec<((Table, Vec<u8>), Gathered)> = theirs.collect();
        theirs.iter().try_for_each(|((table, key), row)| self.write(*table, key, row))
    }

    fn write(&mut self, table: Table, key: &[u8], row: &Gathered) -> Result<(), StoreError> {
        let number = table as u8;
        let key = self.keys.key(number, table.near(key), key);
        let Gathered::Put { group, position, value } = row else {
            let sql = "DELETE FROM rows WHERE number = ?1 AND key = ?2";
            return self.execute(sql, params![number, key]).map(|_| ());
        };
        let (group, position) = (self.keys.group(number, group), signed(*position));
        let place = place(number, &key, &group, position);
        let sealed = self.keys.seal(&place, value, self.rng).map_err(|_| StoreError::Corrupt)?;
        // Most rows stay where they are in both indexes, which are then left alone: a page less each to commit.
        let stays = "UPDATE rows SET sealed = ?5
                     WHERE number = ?1 AND key = ?2 AND collection = ?3 AND position = ?4";
        if self.execute(stays, params![number, key, group, position, sealed])? > 0 {
            return Ok(());
        }
        let sql = "INSERT INTO rows (number, key, collection, position, sealed) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (number, key) DO UPDATE SET
                   collection = excluded.collection, position = excluded.position, sealed = excluded.sealed";
        self.execute(sql, params![number, key, group, position, sealed]).map(|_| ())
    }

    fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        let run = || self.connection.prepare_cached(sql)?.execute(params);
        run().map_err(|error| logged(&error))
    }

    /// Rows of `SELECT key, collection, position, sealed …`.
    fn query(&self, sql: &str, params: impl Params) -> Result<Vec<Sealed>, StoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement
                .query_map(params, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            rows.collect::<rusqlite::Result<Vec<Sealed>>>()
        };
        run().map_err(|error| logged(&error))
    }

    fn open(&self, table: Table, (key, group, position, sealed): Sealed) -> Result<Stored, StoreError> {
        let place = place(table as u8, &key, &group, position);
        let value = self.keys.open(&place, &sealed).map_err(|_| StoreError::Corrupt)?;
        Ok(Stored { position: unsigned(position), value })
    }

    fn open_all(&self, table: Table, rows: Vec<Sealed>) -> Result<Vec<Stored>, StoreError> {
        rows.into_iter().map(|row| self.open(table, row)).collect()
    }
}

impl MessengerStore for Transaction<'_> {
    fn put(&mut self, row: Row<'_>) -> Result<(), StoreError> {
        let Row { table, group, position, key, value } = row;
        self.gathered_bytes += key.len() + group.len() + value.len();
        let put = Gathered::Put { group: group.to_vec(), position, value: value.to_vec() };
        self.gathered.insert((table, key.to_vec()), put);
        if self.gathered_bytes > GATHERED_BYTES_MAX { self.write_all() } else { Ok(()) }
    }

    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        match self.gathered.get(&(table, key.to_vec())) {
            Some(Gathered::Put { position, value, .. }) => {
                return Ok(Some(Stored { position: *position, value: value.clone() }));
            }
            Some(Gathered::Delete) => return Ok(None),
            None => {}
        }
        let key = self.keys.key(table as u8, table.near(key), key);
        let sql = "SELECT key, collection, position, sealed FROM rows WHERE number = ?1 AND key = ?2";
        let row = self.query(sql, params![table as u8, key])?.pop();
        row.map(|row| self.open(table, row)).transpose()
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        if let Some(row) = self.gathered.get_mut(&(table, key.to_vec())) {
            let before = std::mem::replace(row, Gathered::Delete);
            return Ok(matches!(before, Gathered::Put { .. }));
        }
        let key = self.keys.key(table as u8, table.near(key), key);
        let sql = "DELETE FROM rows WHERE number = ?1 AND key = ?2";
        self.execute(sql, params![table as u8, key]).map(|rows| rows > 0)
    }

    fn list(
        &mut self,
        table: Table,
        group: &[u8],
        from: From,
        limit: u32,
    ) -> Result<Vec<Stored>, StoreError> {
        self.write_table(table)?;
        let group = self.keys.group(table as u8, group);
        let ascending = "SELECT key, collection, position, sealed FROM rows
             WHERE number = ?1 AND collection = ?2 AND position > ?3 ORDER BY position, id LIMIT ?4";
        let descending = "SELECT key, collection, position, sealed FROM rows
             WHERE number = ?1 AND collection = ?2 AND position > ?3 ORDER BY position DESC, id DESC LIMIT ?4";
        let rows = match from {
            From::After(position) => {
                self.query(ascending, params![table as u8, group, signed(position), limit])?
            }
            From::Start => self.query(ascending, params![table as u8, group, -1, limit])?,
            From::End => {
                let mut rows = self.query(descending, params![table as u8, group, -1, limit])?;
                rows.reverse();
                rows
            }
        };
        self.open_all(table, rows)
    }

    fn scan(&mut self, table: Table) -> Result<Vec<Stored>, StoreError> {
        self.write_table(table)?;
        let sql =
            "SELECT key, collection, position, sealed FROM rows WHERE number = ?1 ORDER BY position, id";
        let rows = self.query(sql, params![table as u8])?;
        self.open_all(table, rows)
    }

    fn prune(&mut self, table: Table, group: &[u8], position: u64) -> Result<(), StoreError> {
        self.write_table(table)?;
        let group = self.keys.group(table as u8, group);
        let sql = "DELETE FROM rows WHERE number = ?1 AND collection = ?2 AND position < ?3";
        self.execute(sql, params![table as u8, group, signed(position)]).map(|_| ())
    }
}

/// What a sealed value is bound to: moved to another row it does not open.
fn place(table: u8, key: &[u8], group: &[u8], position: i64) -> Vec<u8> {
    [&[table], key, group, &position.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::entropy;
    use crate::store::schema;
    use crate::store::seal::Secret;

    fn put(transaction: &mut Transaction<'_>, key: &[u8], value: &[u8]) {
        let row = Row { table: Table::Contacts, group: b"", position: 0, key, value };
        transaction.put(row).unwrap();
    }

    fn on_empty(test: impl FnOnce(&Connection, &mut Transaction<'_>)) {
        let (connection, mut rng) = (Connection::open_in_memory().unwrap(), entropy::rng());
        connection.execute_batch(schema::PRIVATE[0]).unwrap();
        let keys = Keys::of(&Secret::random(&mut rng));
        test(&connection, &mut Transaction::new(&connection, &keys, &mut rng));
    }

    #[test]
    fn a_row_is_written_once_whatever_became_of_it_before() {
        on_empty(|connection, transaction| {
            (0..100u8).for_each(|i| put(transaction, b"often", &[i]));
            put(transaction, b"gone", b"");
            assert!(transaction.delete(Table::Contacts, b"gone").unwrap());
            assert!(!transaction.delete(Table::Contacts, b"gone").unwrap());
            transaction.write_all().unwrap();
            assert_eq!(connection.total_changes(), 1);
            assert_eq!(transaction.get(Table::Contacts, b"often").unwrap().unwrap().value, [99]);
            assert_eq!(transaction.scan(Table::Contacts).unwrap().len(), 1);
        });
    }

    #[test]
    fn what_is_gathered_is_bounded() {
        on_empty(|_, transaction| {
            let value = vec![7; GATHERED_BYTES_MAX / 4 - 8];
            let keys = [b"a", b"b", b"c", b"d", b"e"];
            keys[..4].iter().for_each(|key| put(transaction, *key, &value));
            assert_eq!(transaction.gathered.len(), 4, "at the bound");
            put(transaction, keys[4], &value);
            assert_eq!((transaction.gathered.len(), transaction.gathered_bytes), (0, 0), "above it");
            let there = |key: &[u8; 1]| transaction.get(Table::Contacts, key).unwrap().is_some();
            assert!(keys.into_iter().all(there));
        });
    }
}
