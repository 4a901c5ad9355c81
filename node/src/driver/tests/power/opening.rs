//! The databases and the small files beside them are made and opened while the power fails in any call,
//! twice in a row, or while any call fails: the next opening succeeds by itself, with everything in it.

use murmesh_crash_vfs::{Disk, Fault, FaultKind};
use murmesh_protocol::messenger::store::{Row, Table};
use murmesh_protocol::store::StoreError;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;

use super::node::place;
use crate::store::{CustodyStore, OpenError, PrivateStore, Unlock};

/// More calls than an opening has.
const CALLS_MAX: u64 = 1_000;

fn open(disk: &Disk) -> Result<PrivateStore, OpenError> {
    let place = place(disk);
    CustodyStore::open_at(&place)?;
    PrivateStore::open_at(&place, &Unlock::default(), ChaCha20Rng::seed_from_u64(disk.calls()))
}

/// The power fails in a call of an opening; says whether the opening had so many.
fn open_and_cut(disk: &Disk, call: u64, seed: u64) -> bool {
    disk.cut_after(call);
    let opened = open(disk);
    let cut = !disk.is_on();
    assert!(cut || opened.is_ok(), "{:?}", opened.err());
    drop(opened);
    disk.start(seed);
    cut
}

fn row(value: &'static [u8]) -> Row<'static> {
    Row { table: Table::Contacts, group: b"group", position: 1, key: b"key", value }
}

/// Opens it as it is, and looks for what was written before and a rollback that never was.
fn check(disk: &Disk, before: Option<&'static [u8]>) -> PrivateStore {
    let mut store = open(disk).expect("it opens by itself");
    assert!(!store.rolled_back(), "taken for an older copy");
    let found = store.transaction(|tx| tx.get(Table::Contacts, b"key")).unwrap();
    assert_eq!(found.map(|row| row.value).as_deref(), before);
    store
}

/// Writes, and looks for it after another cut.
fn check_lasting(disk: &Disk, before: Option<&'static [u8]>, seed: u64) {
    let mut store = check(disk, before);
    store.transaction(|tx| tx.put(row(b"two"))).unwrap();
    disk.start(seed);
    drop(store);
    check(disk, Some(b"two"));
}

/// A disk whose store has a row, some of it in the write-ahead log.
fn used() -> Disk {
    let disk = Disk::new();
    let mut store = open(&disk).unwrap();
    store.transaction(|tx| tx.put(row(b"zero"))).unwrap();
    store.truncate_log();
    store.transaction(|tx| tx.put(row(b"one"))).unwrap();
    disk.start(1);
    disk
}

fn cut_twice(make: impl Fn() -> Disk, before: Option<&'static [u8]>) {
    for first in 1..CALLS_MAX {
        let disk = make();
        if !open_and_cut(&disk, first, first) {
            assert!(first > 20, "it was opened in {first} calls");
            return;
        }
        for second in (1 + first % 17..CALLS_MAX).step_by(17) {
            let disk = disk.copy();
            let cut = open_and_cut(&disk, second, first * second);
            check_lasting(&disk, before, second);
            if !cut {
                break;
            }
        }
    }
    panic!("an opening has no end");
}

/// A first start that was cut off before it wrote its generation, and again at the same place, was taken
/// for a database that had lost its file: every session would have begun anew.
#[test]
fn a_store_that_was_not_quite_made_is_made_the_next_time() {
    cut_twice(Disk::new, None);
}

#[test]
fn a_store_that_was_not_quite_opened_is_opened_the_next_time() {
    cut_twice(used, Some(b"one"));
}

/// A sync failed and the node was started again: the write-ahead log read well, what was acknowledged next
/// was written behind it, and a power cut took both, because the disk had given the first part up.
#[test]
fn a_call_that_fails_while_opening_is_told_as_what_it_is_and_passes() {
    let mut failed = 0;
    for (make, before) in [(Disk::new as fn() -> Disk, None), (used as fn() -> Disk, Some(b"one".as_slice()))]
    {
        for kind in [FaultKind::Io, FaultKind::Full, FaultKind::Short] {
            for lasting in [false, true] {
                for after in 1..CALLS_MAX {
                    let disk = make();
                    disk.fail(Fault { kind, after, lasting });
                    let opened = open(&disk).map(drop);
                    let told = matches!(opened, Ok(()) | Err(OpenError::Io { .. } | OpenError::Full));
                    assert!(told, "{kind:?} in call {after}: {opened:?}");
                    failed += u32::from(opened.is_err());
                    let calls = disk.calls();
                    disk.heal();
                    check_lasting(&disk, before, after);
                    if opened.is_ok() && calls < after {
                        break;
                    }
                }
            }
        }
    }
    assert!(failed > 200, "only {failed} openings failed");
}

/// Bits of a database change under it: whatever is read is what was written or refused, and nothing
/// panics.
#[test]
fn flipped_bits_are_refused_or_harmless() {
    use murmesh_protocol::control::files::PRIVATE_DATABASE;
    let whole = used();
    drop(check(&whole, Some(b"one")));
    let path = |disk: &Disk| disk.directory().join(PRIVATE_DATABASE);
    let bits = usize::try_from(whole.length(&path(&whole)).unwrap()).unwrap() * 8;
    let (mut refused, mut harmless) = (0, 0);
    for bit in (0..bits).step_by(bits / 1_500) {
        let disk = whole.copy();
        disk.flip(&path(&disk), bit);
        let read = open(&disk).map(|mut store| store.transaction(|tx| tx.scan(Table::Contacts)));
        match read {
            Ok(Ok(rows)) => {
                let intact = rows.iter().all(|row| row.value == b"one");
                assert!(intact, "bit {bit} changed a row");
                harmless += 1;
            }
            Ok(Err(StoreError::Corrupt))
            | Err(OpenError::Damaged(_) | OpenError::Locked(_) | OpenError::Newer { .. }) => {
                refused += 1;
            }
            Ok(Err(StoreError::Io | StoreError::Full)) | Err(OpenError::Io { .. } | OpenError::Full) => {
                panic!("bit {bit} is told as a failing disk: {read:?}")
            }
        }
    }
    assert!(refused > 20 && harmless > 20, "{refused} refused, {harmless} harmless");
}
