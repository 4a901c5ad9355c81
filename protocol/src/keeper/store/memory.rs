//! The custody store in memory, for tests and the simulator: a failed step is undone write by write, and what
//! the Keeper asks at every deposit (a mailbox's usage, the totals) is counted along. SPEC §9.3.

use std::collections::BTreeMap;

use super::{KeeperStore, Totals, Usage, length, tombstone_bytes};
use crate::id::{Address, EnvelopeId};
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::frame::Tombstone;

#[derive(Clone, Debug)]
struct HeldEnvelope {
    cursor: u64,
    expires: Time,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct HeldRecord {
    seq: u64,
    expires: Time,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Buried {
    expires: Time,
    tombstone: Tombstone,
}

/// The custody store in memory. Passes the same contract suite as the node's ([`super::contract`]).
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    cursor: u64,
    envelopes: BTreeMap<(Address, EnvelopeId), HeldEnvelope>,
    records: BTreeMap<(Address, u8), HeldRecord>,
    tombstones: BTreeMap<u64, Buried>,
    /// Ids, in the order they were named in, and the number of the tombstone that names them.
    tombstoned: BTreeMap<(Address, EnvelopeId), (u64, u64)>,
    /// Counted along: envelopes by their cursors, ids that each tombstone is kept for, what is used.
    by_cursor: BTreeMap<(Address, u64), EnvelopeId>,
    named: BTreeMap<u64, u64>,
    usage: BTreeMap<Address, Usage>,
    bytes: u64,
    undo: Vec<Undo>,
}

/// What was there before a write.
#[derive(Clone, Debug)]
enum Undo {
    Cursor(u64),
    Envelope((Address, EnvelopeId), Option<HeldEnvelope>),
    Record((Address, u8), Option<HeldRecord>),
    Tombstone(u64, Option<Buried>),
    Tombstoned((Address, EnvelopeId), Option<(u64, u64)>),
}

impl MemoryStore {
    /// Runs one step; keeps its writes only if it succeeds.
    pub fn transaction<T, E>(
        &mut self,
        step: impl FnOnce(&mut dyn KeeperStore) -> Result<T, E>,
    ) -> Result<T, E> {
        self.undo.clear();
        let result = step(self);
        let undo = std::mem::take(&mut self.undo);
        if result.is_err() {
            undo.into_iter().rev().for_each(|before| self.restore(before));
            self.undo.clear();
        }
        result
    }

    /// Every byte string held, for tests that look for what must not be there.
    pub fn held(&self) -> impl Iterator<Item = &[u8]> {
        let envelopes = self.envelopes.values().map(|held| held.bytes.as_slice());
        envelopes.chain(self.records.values().map(|held| held.bytes.as_slice()))
    }

    fn restore(&mut self, before: Undo) {
        match before {
            Undo::Cursor(cursor) => self.cursor = cursor,
            Undo::Envelope(key, held) => _ = self.set_envelope(key, held),
            Undo::Record(key, held) => self.set_record(key, held),
            Undo::Tombstone(number, buried) => self.set_tombstone(number, buried),
            Undo::Tombstoned(key, place) => self.set_tombstoned(key, place),
        }
    }

    fn next_cursor(&mut self) -> u64 {
        self.undo.push(Undo::Cursor(self.cursor));
        self.cursor += 1;
        self.cursor
    }

    /// Says whether there was one.
    fn set_envelope(&mut self, key: (Address, EnvelopeId), held: Option<HeldEnvelope>) -> bool {
        let (address, id) = key;
        let before = self.envelopes.remove(&key);
        let mut usage = self.usage.remove(&address).unwrap_or_default();
        if let Some(before) = &before {
            self.by_cursor.remove(&(address, before.cursor));
            usage.envelopes -= 1;
            usage.bytes -= length(&before.bytes);
            self.bytes -= length(&before.bytes);
        }
        if let Some(held) = held {
            self.by_cursor.insert((address, held.cursor), id);
            usage.envelopes += 1;
            usage.bytes += length(&held.bytes);
            self.bytes += length(&held.bytes);
            self.envelopes.insert(key, held);
        }
        if usage != Usage::default() {
            self.usage.insert(address, usage);
        }
        let existed = before.is_some();
        self.undo.push(Undo::Envelope(key, before));
        existed
    }

    fn set_record(&mut self, key: (Address, u8), held: Option<HeldRecord>) {
        self.bytes += held.as_ref().map_or(0, |held| length(&held.bytes));
        let before = match held {
            Some(held) => self.records.insert(key, held),
            None => self.records.remove(&key),
        };
        self.bytes -= before.as_ref().map_or(0, |before| length(&before.bytes));
        self.undo.push(Undo::Record(key, before));
    }

    fn set_tombstone(&mut self, number: u64, buried: Option<Buried>) {
        let bytes = |buried: &Option<Buried>| buried.as_ref().map_or(0, |b| tombstone_bytes(&b.tombstone));
        self.bytes += bytes(&buried);
        let before = match buried {
            Some(buried) => self.tombstones.insert(number, buried),
            None => self.tombstones.remove(&number),
        };
        self.bytes -= bytes(&before);
        self.undo.push(Undo::Tombstone(number, before));
    }

    /// The last id that a tombstone is kept for takes it along.
    fn set_tombstoned(&mut self, key: (Address, EnvelopeId), place: Option<(u64, u64)>) {
        if let Some((_, number)) = place {
            *self.named.entry(number).or_default() += 1;
        }
        let before = match place {
            Some(place) => self.tombstoned.insert(key, place),
            None => self.tombstoned.remove(&key),
        };
        self.undo.push(Undo::Tombstoned(key, before));
        let Some((_, number)) = before else { return };
        let named = self.named.remove(&number).unwrap_or(1) - 1;
        if named > 0 {
            self.named.insert(number, named);
        } else if self.tombstones.contains_key(&number) {
            self.set_tombstone(number, None);
        }
    }
}

const NO_ID: EnvelopeId = EnvelopeId([0; 32]);
const LAST_ID: EnvelopeId = EnvelopeId([0xff; 32]);

impl KeeperStore for MemoryStore {
    fn put_envelope(
        &mut self,
        address: &Address,
        id: &EnvelopeId,
        expires: Time,
        bytes: &[u8],
    ) -> Result<u64, StoreError> {
        let cursor = self.next_cursor();
        self.set_envelope((*address, *id), Some(HeldEnvelope { cursor, expires, bytes: bytes.to_vec() }));
        Ok(cursor)
    }

    fn has_envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<bool, StoreError> {
        Ok(self.envelopes.contains_key(&(*address, *id)))
    }

    fn envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.envelopes.get(&(*address, *id)).map(|held| held.bytes.clone()))
    }

    fn remove_envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<bool, StoreError> {
        Ok(self.set_envelope((*address, *id), None))
    }

    fn ids(
        &mut self,
        address: &Address,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, EnvelopeId)>, StoreError> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let range = self.by_cursor.range((*address, first)..=(*address, u64::MAX)).take(limit);
        Ok(range.map(|((_, cursor), id)| (*cursor, *id)).collect())
    }

    fn usage(&mut self, address: &Address) -> Result<Usage, StoreError> {
        Ok(self.usage.get(address).copied().unwrap_or_default())
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        Ok(Totals {
            envelopes: u64::try_from(self.envelopes.len()).unwrap_or(u64::MAX),
            records: u64::try_from(self.records.len()).unwrap_or(u64::MAX),
            bytes: self.bytes,
        })
    }

    fn put_record(
        &mut self,
        address: &Address,
        slot: u8,
        seq: u64,
        expires: Time,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        self.set_record((*address, slot), Some(HeldRecord { seq, expires, bytes: bytes.to_vec() }));
        Ok(())
    }

    fn record_held(&mut self, address: &Address, slot: u8) -> Result<Option<(u64, u64)>, StoreError> {
        Ok(self.records.get(&(*address, slot)).map(|held| (held.seq, length(&held.bytes))))
    }

    fn records(&mut self, address: &Address) -> Result<Vec<Vec<u8>>, StoreError> {
        let range = self.records.range((*address, 0)..=(*address, u8::MAX));
        Ok(range.map(|(_, held)| held.bytes.clone()).collect())
    }

    fn put_tombstone(&mut self, tombstone: &Tombstone, expires: Time, keep: u64) -> Result<(), StoreError> {
        let address = tombstone.address;
        let number = self.next_cursor();
        self.set_tombstone(number, Some(Buried { expires, tombstone: tombstone.clone() }));
        for id in &tombstone.ids {
            let order = self.next_cursor();
            self.set_tombstoned((address, *id), Some((order, number)));
        }
        let range = self.tombstoned.range((address, NO_ID)..=(address, LAST_ID));
        let mut kept: Vec<(u64, EnvelopeId)> = range.map(|((_, id), (order, _))| (*order, *id)).collect();
        kept.sort_unstable();
        let surplus = kept.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
        kept.into_iter().take(surplus).for_each(|(_, id)| self.set_tombstoned((address, id), None));
        Ok(())
    }

    fn tombstone(&mut self, address: &Address, id: &EnvelopeId) -> Result<Option<Tombstone>, StoreError> {
        let number = self.tombstoned.get(&(*address, *id)).map(|(_, number)| number);
        Ok(number.and_then(|n| self.tombstones.get(n)).map(|buried| buried.tombstone.clone()))
    }

    fn expire(&mut self, now: Time) -> Result<(), StoreError> {
        fn over<K: Copy, V>(map: &BTreeMap<K, V>, is_over: impl Fn(&V) -> bool) -> Vec<K> {
            map.iter().filter(|(_, value)| is_over(value)).map(|(key, _)| *key).collect()
        }
        for key in over(&self.envelopes, |held| held.expires < now) {
            self.set_envelope(key, None);
        }
        for key in over(&self.records, |held| held.expires < now) {
            self.set_record(key, None);
        }
        let ended = over(&self.tombstones, |buried| buried.expires < now);
        for key in over(&self.tombstoned, |(_, number)| ended.binary_search(number).is_ok()) {
            self.set_tombstoned(key, None);
        }
        // Those that named nothing from the beginning.
        for number in ended {
            if self.tombstones.contains_key(&number) {
                self.set_tombstone(number, None);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[test]
    fn the_memory_store_keeps_the_contract() {
        assert_eq!(MemoryStore::default().transaction(contract), Ok(()));
    }

    /// Everything a store holds, as text, without what it would undo.
    fn contents(store: &MemoryStore) -> String {
        let mut store = store.clone();
        store.undo.clear();
        format!("{store:?}")
    }

    #[test]
    fn a_failed_step_leaves_nothing() {
        let tombstone = |id| Tombstone {
            address: Address([1; 32]),
            day: crate::time::Day(3),
            ids: vec![id],
            signature: vec![],
        };
        let mut store = MemoryStore::default();
        let kept: Result<(), StoreError> = store.transaction(|tx| {
            tx.put_envelope(&Address([1; 32]), &NO_ID, Time(9), b"x")?;
            tx.put_envelope(&Address([2; 32]), &NO_ID, Time(1), b"xy")?;
            tx.put_record(&Address([1; 32]), 0, 1, Time(1), b"r")?;
            tx.put_record(&Address([1; 32]), 1, 1, Time(9), b"rr")?;
            tx.put_tombstone(&tombstone(LAST_ID), Time(1), 1)?;
            tx.put_tombstone(&tombstone(NO_ID), Time(1), 1)
        });
        assert_eq!(kept, Ok(()));
        let before = contents(&store);
        let failed: Result<(), StoreError> = store.transaction(|tx| {
            tx.put_envelope(&Address([1; 32]), &LAST_ID, Time(1), b"z")?;
            tx.put_envelope(&Address([1; 32]), &NO_ID, Time(8), b"instead")?;
            tx.put_record(&Address([1; 32]), 1, 2, Time(3), b"rrr")?;
            tx.put_tombstone(&tombstone(NO_ID), Time(3), 1)?;
            tx.put_tombstone(&tombstone(LAST_ID), Time(3), 1)?;
            tx.put_tombstone(&Tombstone { ids: vec![], ..tombstone(NO_ID) }, Time(1), 1)?;
            tx.expire(Time(2))?;
            assert_eq!(tx.totals()?, Totals { envelopes: 1, records: 1, bytes: 10 + 48 + 96 });
            tx.expire(Time(99))?;
            assert_eq!(tx.totals()?, Totals::default());
            Err(StoreError::Io)
        });
        assert_eq!(failed, Err(StoreError::Io));
        assert_eq!(contents(&store), before);
    }
}
