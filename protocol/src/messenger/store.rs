//! What the Messenger needs of a disk: rows in tables, inside one open transaction.
//!
//! The rows' meaning is the core's ([`rows`](super::rows)); a store only seals, keeps and finds them.
//! A value handed to a method is part of the transaction that is open: there is no way to write
//! outside of one. SPEC §9.2.

use std::collections::BTreeMap;

use crate::store::StoreError;

/// Tables of the private store. Numbers are the disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "each table is documented at its row in messenger::rows")]
pub enum Table {
    Account = 0,
    Prekeys = 1,
    Invites = 2,
    Contacts = 3,
    Sessions = 4,
    Opened = 5,
    Outbox = 6,
    Messages = 7,
    ClientIds = 8,
    Events = 10,
    Records = 11,
    Consumers = 12,
    Requests = 13,
}

impl Table {
    /// The part of a key that rows have in common which are written at about the same time; empty if it has none.
    /// A store that lays such rows side by side touches few places of the disk for many of them.
    #[must_use]
    pub fn near(self, key: &[u8]) -> &[u8] {
        let bytes = match self {
            // The time in their ids.
            Table::Messages | Table::Outbox => 5,
            // Cursors in blocks of 256.
            Table::Events => 7,
            // Clients that number what they send change the end.
            Table::ClientIds => key.len().saturating_sub(2),
            Table::Account
            | Table::Prekeys
            | Table::Invites
            | Table::Contacts
            | Table::Sessions
            | Table::Opened
            | Table::Records
            | Table::Consumers
            | Table::Requests => 0,
        };
        key.get(..bytes).unwrap_or_default()
    }
}

/// A row to write: replaces the row of the same table and key.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its table.
    pub table: Table,
    /// What [`MessengerStore::list`] collects rows by; may be empty.
    pub group: &'a [u8],
    /// Order within the group. Kept in clear: must not say more than order or a day.
    pub position: u64,
    /// Unique within the table.
    pub key: &'a [u8],
    /// The content, sealed by the store.
    pub value: &'a [u8],
}

/// A row read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Order within its group.
    pub position: u64,
    /// The content.
    pub value: Vec<u8>,
}

/// From which end [`MessengerStore::list`] counts its limit. Results are always in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The lowest positions above this one.
    After(u64),
    /// The lowest positions of all.
    Start,
    /// The highest positions.
    End,
}

/// An open transaction of the private store. Every method fails only as [`StoreError`] says; after a
/// failure the transaction is rolled back by its owner.
pub trait MessengerStore {
    /// Writes a row, replacing the one of the same table and key.
    fn put(&mut self, row: Row<'_>) -> Result<(), StoreError>;
    /// Reads a row.
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Stored>, StoreError>;
    /// Removes a row; says whether there was one.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError>;
    /// Up to `limit` rows of a group in ascending order of position.
    fn list(&mut self, table: Table, group: &[u8], from: From, limit: u32)
    -> Result<Vec<Stored>, StoreError>;
    /// All rows of a table, by position. For tables that are indexed in memory at start.
    fn scan(&mut self, table: Table) -> Result<Vec<Stored>, StoreError>;
    /// Removes the rows of a group whose position is below `position`.
    fn prune(&mut self, table: Table, group: &[u8], position: u64) -> Result<(), StoreError>;
}

/// Table and key.
type Slot = (Table, Vec<u8>);
/// Group, position and value.
type Content = (Vec<u8>, u64, Vec<u8>);

/// The private store in memory: for tests and the simulator. Passes the same contract suite as the
/// node's ([`contract`]).
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    rows: BTreeMap<Slot, Content>,
    by_group: BTreeMap<(Table, Vec<u8>, u64, Vec<u8>), ()>,
    undo: Vec<(Slot, Option<Content>)>,
}

impl MemoryStore {
    /// Runs one step; keeps its writes only if it succeeds.
    pub fn transaction<T, E>(
        &mut self,
        step: impl FnOnce(&mut dyn MessengerStore) -> Result<T, E>,
    ) -> Result<T, E> {
        self.undo.clear();
        let result = step(self);
        if result.is_err() {
            while let Some((slot, before)) = self.undo.pop() {
                self.set(slot, before);
            }
        }
        self.undo.clear();
        result
    }

    /// All values, for tests that look for what must not be there.
    pub fn values(&self) -> impl Iterator<Item = (&Table, &[u8])> {
        self.rows.iter().map(|((table, _), (_, _, value))| (table, value.as_slice()))
    }

    fn set(&mut self, slot: Slot, row: Option<Content>) {
        let (table, key) = slot.clone();
        if let Some((group, position, _)) = self.rows.remove(&slot) {
            self.by_group.remove(&(table, group, position, key.clone()));
        }
        if let Some((group, position, value)) = row {
            self.by_group.insert((table, group.clone(), position, key), ());
            self.rows.insert(slot, (group, position, value));
        }
    }

    fn replace(&mut self, table: Table, key: &[u8], row: Option<Content>) -> bool {
        let slot = (table, key.to_vec());
        let before = self.rows.get(&slot).cloned();
        let existed = before.is_some();
        self.undo.push((slot.clone(), before));
        self.set(slot, row);
        existed
    }

    fn stored(&self, table: Table, key: &[u8]) -> Option<Stored> {
        let (_, position, value) = self.rows.get(&(table, key.to_vec()))?;
        Some(Stored { position: *position, value: value.clone() })
    }
}

impl MessengerStore for MemoryStore {
    fn put(&mut self, row: Row<'_>) -> Result<(), StoreError> {
        self.replace(row.table, row.key, Some((row.group.to_vec(), row.position, row.value.to_vec())));
        Ok(())
    }

    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        Ok(self.stored(table, key))
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        Ok(self.replace(table, key, None))
    }

    fn list(
        &mut self,
        table: Table,
        group: &[u8],
        from: From,
        limit: u32,
    ) -> Result<Vec<Stored>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let first = match from {
            From::After(position) => match position.checked_add(1) {
                Some(first) => first,
                None => return Ok(Vec::new()),
            },
            From::Start | From::End => 0,
        };
        let low = (table, group.to_vec(), first, Vec::new());
        let keys = self
            .by_group
            .range(low..)
            .take_while(|((t, g, _, _), ())| *t == table && g == group)
            .map(|((_, _, _, key), ())| key);
        let keys: Vec<&Vec<u8>> = match from {
            From::After(_) | From::Start => keys.take(limit).collect(),
            From::End => {
                let all: Vec<&Vec<u8>> = keys.collect();
                all.get(all.len().saturating_sub(limit)..).unwrap_or_default().to_vec()
            }
        };
        Ok(keys.into_iter().filter_map(|key| self.stored(table, key)).collect())
    }

    fn scan(&mut self, table: Table) -> Result<Vec<Stored>, StoreError> {
        let mut rows: Vec<Stored> = self
            .rows
            .iter()
            .filter(|((t, _), _)| *t == table)
            .map(|(_, (_, position, value))| Stored { position: *position, value: value.clone() })
            .collect();
        rows.sort_by_key(|row| row.position);
        Ok(rows)
    }

    fn prune(&mut self, table: Table, group: &[u8], position: u64) -> Result<(), StoreError> {
        let low = (table, group.to_vec(), 0, Vec::new());
        let high = (table, group.to_vec(), position, Vec::new());
        let keys: Vec<Vec<u8>> =
            self.by_group.range(low..high).map(|((_, _, _, key), ())| key.clone()).collect();
        for key in keys {
            self.replace(table, &key, None);
        }
        Ok(())
    }
}

/// The contract of every private store, run by the memory store's test and by the node's.
///
/// # Errors
/// What the store answers; a broken promise panics with its name.
#[doc(hidden)]
pub fn contract(store: &mut dyn MessengerStore) -> Result<(), StoreError> {
    let row = |key: &'static [u8], group: &'static [u8], position, value: &'static [u8]| Row {
        table: Table::Messages,
        group,
        position,
        key,
        value,
    };
    let values = |rows: Vec<Stored>| rows.into_iter().map(|r| r.value).collect::<Vec<_>>();
    for (key, position) in [(b"a", 3u64), (b"b", 1), (b"c", 2)] {
        store.put(row(key, b"g", position, key))?;
    }
    store.put(row(b"d", b"h", 9, b"d"))?;
    assert_eq!(store.get(Table::Messages, b"a")?, Some(Stored { position: 3, value: b"a".to_vec() }));
    assert_eq!(store.get(Table::Outbox, b"a")?, None, "tables are apart");
    assert_eq!(values(store.list(Table::Messages, b"g", From::Start, 9)?), [b"b", b"c", b"a"]);
    assert_eq!(values(store.list(Table::Messages, b"g", From::Start, 2)?), [b"b", b"c"]);
    assert_eq!(values(store.list(Table::Messages, b"g", From::End, 2)?), [b"c", b"a"]);
    assert_eq!(values(store.list(Table::Messages, b"g", From::After(2), 9)?), [b"a"]);
    assert_eq!(store.list(Table::Messages, b"g", From::After(u64::MAX >> 1), 9)?, []);
    assert_eq!(values(store.scan(Table::Messages)?), [b"b", b"c", b"a", b"d"]);
    store.put(row(b"b", b"g", 7, b"B"))?;
    assert_eq!(values(store.list(Table::Messages, b"g", From::Start, 9)?), [b"c", b"a", b"B"]);
    assert!(store.delete(Table::Messages, b"c")?);
    assert!(!store.delete(Table::Messages, b"c")?, "only once");
    store.prune(Table::Messages, b"g", 7)?;
    assert_eq!(values(store.scan(Table::Messages)?), [b"B", b"d"]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_store_keeps_the_contract() {
        assert_eq!(MemoryStore::default().transaction(contract), Ok(()));
    }

    #[test]
    fn a_failed_step_leaves_nothing() {
        let mut store = MemoryStore::default();
        let put = |store: &mut dyn MessengerStore, value: &[u8]| {
            store.put(Row { table: Table::Account, group: b"", position: 0, key: b"k", value })
        };
        store.transaction(|tx| put(tx, b"one")).unwrap();
        let failed: Result<(), StoreError> = store.transaction(|tx| {
            put(tx, b"two")?;
            tx.delete(Table::Account, b"k")?;
            Err(StoreError::Io)
        });
        assert_eq!(failed, Err(StoreError::Io));
        assert_eq!(store.get(Table::Account, b"k").unwrap().unwrap().value, b"one");
    }
}
