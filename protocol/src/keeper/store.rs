//! What the Keeper needs of a disk: other people's envelopes, records and tombstones, inside one open
//! transaction. SPEC §9.3.

use crate::id::{Address, EnvelopeId};
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::frame::Tombstone;

mod memory;

pub use memory::MemoryStore;

/// What one mailbox uses at this custodian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Envelopes held.
    pub envelopes: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What custody uses in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Envelopes held.
    pub envelopes: u64,
    /// Records held.
    pub records: u64,
    /// Bytes of both, and of tombstones ([`tombstone_bytes`]).
    pub bytes: u64,
}

/// What a tombstone takes up: itself once, and for each id a place where it is found.
#[must_use]
pub fn tombstone_bytes(tombstone: &Tombstone) -> u64 {
    const FIXED: u64 = 48;
    const EACH_ID: u64 = 96;
    let ids = u64::try_from(tombstone.ids.len()).unwrap_or(u64::MAX);
    ids.saturating_mul(EACH_ID).saturating_add(length(&tombstone.signature)).saturating_add(FIXED)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// An open transaction of the custody store.
pub trait KeeperStore {
    /// Keeps an envelope; gives its cursor, which grows with every envelope of this store.
    fn put_envelope(
        &mut self,
        address: &Address,
        id: &EnvelopeId,
        expires: Time,
        bytes: &[u8],
    ) -> Result<u64, StoreError>;
    /// Whether it is held.
    fn has_envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<bool, StoreError>;
    /// Its bytes.
    fn envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Drops it; says whether it was held.
    fn remove_envelope(&mut self, address: &Address, id: &EnvelopeId) -> Result<bool, StoreError>;
    /// Up to `limit` (cursor, id) of a mailbox with cursors above `after`, ascending.
    fn ids(
        &mut self,
        address: &Address,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, EnvelopeId)>, StoreError>;
    /// What a mailbox uses.
    fn usage(&mut self, address: &Address) -> Result<Usage, StoreError>;
    /// What all custody uses.
    fn totals(&mut self) -> Result<Totals, StoreError>;

    /// Keeps a record in place of the one in the same slot.
    fn put_record(
        &mut self,
        address: &Address,
        slot: u8,
        seq: u64,
        expires: Time,
        bytes: &[u8],
    ) -> Result<(), StoreError>;
    /// Sequence number and bytes of the record in a slot.
    fn record_held(&mut self, address: &Address, slot: u8) -> Result<Option<(u64, u64)>, StoreError>;
    /// All records at an address, by slot.
    fn records(&mut self, address: &Address) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Keeps a tombstone, once, for each of its ids until `expires`; drops the oldest ids of the mailbox above
    /// `keep`, and a tombstone with the last id that it is kept for.
    fn put_tombstone(&mut self, tombstone: &Tombstone, expires: Time, keep: u64) -> Result<(), StoreError>;
    /// The tombstone that names an id, if one is kept.
    fn tombstone(&mut self, address: &Address, id: &EnvelopeId) -> Result<Option<Tombstone>, StoreError>;

    /// Drops every envelope, record and tombstone whose `expires` is below `now`.
    fn expire(&mut self, now: Time) -> Result<(), StoreError>;
}

/// The contract of every custody store, run by the memory store's test and by the node's.
///
/// # Errors
/// What the store answers; a broken promise panics with its name.
#[doc(hidden)]
pub fn contract(store: &mut dyn KeeperStore) -> Result<(), StoreError> {
    let (a, b) = (Address([1; 32]), Address([2; 32]));
    let id = |i| EnvelopeId([i; 32]);
    let first = store.put_envelope(&a, &id(9), Time(100), b"nine")?;
    let second = store.put_envelope(&a, &id(1), Time(200), b"one")?;
    store.put_envelope(&b, &id(9), Time(300), b"other")?;
    assert!(second > first, "cursors grow");
    assert_eq!(store.ids(&a, 0, 9)?, [(first, id(9)), (second, id(1))]);
    assert_eq!(store.ids(&a, first, 9)?, [(second, id(1))]);
    assert_eq!(store.ids(&a, 0, 1)?, [(first, id(9))]);
    assert_eq!(store.usage(&a)?, Usage { envelopes: 2, bytes: 7 });
    assert_eq!(store.envelope(&a, &id(1))?.as_deref(), Some(b"one".as_slice()));
    assert!(store.has_envelope(&b, &id(9))? && !store.has_envelope(&b, &id(1))?);
    assert!(store.remove_envelope(&a, &id(1))? && !store.remove_envelope(&a, &id(1))?);
    let third = store.put_envelope(&a, &id(2), Time(200), b"two")?;
    assert!(third > second, "a cursor is never used again");

    assert_eq!(store.record_held(&a, 1)?, None);
    store.put_record(&a, 1, 5, Time(400), b"old")?;
    store.put_record(&a, 1, 6, Time(400), b"new")?;
    store.put_record(&a, 0, 1, Time(150), b"slot0")?;
    assert_eq!(store.record_held(&a, 1)?, Some((6, 3)));
    assert_eq!(store.records(&a)?, [b"slot0".to_vec(), b"new".to_vec()]);
    assert_eq!(store.totals()?, Totals { envelopes: 3, records: 2, bytes: 20 });

    let tombstone = |ids: &[u8]| Tombstone {
        address: a,
        day: crate::time::Day(3),
        ids: ids.iter().map(|i| id(*i)).collect(),
        signature: vec![7; 65],
    };
    store.put_tombstone(&tombstone(&[1, 2]), Time(500), 3)?;
    store.put_tombstone(&tombstone(&[3, 4]), Time(500), 3)?;
    let kept: Vec<bool> =
        [1, 2, 3, 4].iter().map(|i| Ok(store.tombstone(&a, &id(*i))?.is_some())).collect::<Result<_, _>>()?;
    assert_eq!(kept, [false, true, true, true], "the oldest goes above the bound");
    let both = tombstone_bytes(&tombstone(&[1, 2])) + tombstone_bytes(&tombstone(&[3, 4]));
    assert_eq!(store.totals()?, Totals { envelopes: 3, records: 2, bytes: 20 + both });
    store.put_tombstone(&tombstone(&[2, 5]), Time(500), 9)?;
    assert_eq!(store.tombstone(&a, &id(2))?, Some(tombstone(&[2, 5])));
    assert_eq!(store.totals()?.bytes, 20 + both, "one that names nothing any more goes");
    assert_eq!(store.tombstone(&a, &id(4))?, Some(tombstone(&[3, 4])));
    assert_eq!(store.tombstone(&b, &id(4))?, None);

    store.expire(Time(200))?;
    assert_eq!(store.totals()?, Totals { envelopes: 2, records: 1, bytes: 11 + both });
    assert!(!store.has_envelope(&a, &id(9))?);
    store.expire(Time(501))?;
    assert_eq!(store.totals()?, Totals::default());
    assert_eq!(store.tombstone(&a, &id(4))?, None);
    Ok(())
}
