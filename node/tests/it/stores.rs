//! Both databases against the core's contracts, and what only files can get wrong.

use std::path::Path;

use murmesh_node::store::{CustodyStore, OpenError, PrivateStore, Unlock};
use murmesh_protocol::id::{Address, EnvelopeId};
use murmesh_protocol::messenger::store::{From, Row, Table};
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::Time;
use murmesh_protocol::{keeper, messenger};

fn passphrase(text: &str) -> Unlock {
    Unlock { passphrase: Some(text.as_bytes().to_vec().into()) }
}

fn put(store: &mut PrivateStore, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    store.transaction(|tx| tx.put(Row { table: Table::Contacts, group: b"g", position: 1, key, value }))
}

fn value(store: &mut PrivateStore, key: &[u8]) -> Option<Vec<u8>> {
    store.transaction(|tx| tx.get(Table::Contacts, key)).unwrap().map(|row| row.value)
}

#[test]
fn both_keep_the_contracts_of_the_core() {
    let directory = tempfile::tempdir().unwrap();
    let mut private = PrivateStore::open(directory.path(), &Unlock::default()).unwrap();
    private.transaction(messenger::store::contract).unwrap();
    let mut custody = CustodyStore::open(directory.path()).unwrap();
    custody.transaction(keeper::store::contract).unwrap();
}

#[test]
fn a_failed_step_leaves_nothing_and_a_committed_one_survives() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = PrivateStore::open(directory.path(), &Unlock::default()).unwrap();
    put(&mut store, b"k", b"one").unwrap();
    let failed: Result<(), StoreError> = store.transaction(|tx| {
        tx.put(Row { table: Table::Contacts, group: b"", position: 0, key: b"k", value: b"two" })?;
        Err(StoreError::Io)
    });
    assert_eq!(failed, Err(StoreError::Io));
    // As if killed: nothing is flushed or closed.
    std::mem::forget(store);
    copy_and_check(directory.path());
}

/// A killed process leaves its files; the lock on them is this process's own, so a copy is opened.
fn copy_and_check(directory: &Path) {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let mut store = PrivateStore::open(copy.path(), &Unlock::default()).unwrap();
    assert_eq!(value(&mut store, b"k"), Some(b"one".to_vec()));
    assert!(!store.rolled_back());
}

#[test]
fn the_right_secret_opens_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut store = PrivateStore::open(path, &passphrase("horse")).unwrap();
    put(&mut store, b"k", b"v").unwrap();
    drop(store);
    for wrong in [passphrase("house"), Unlock::default()] {
        assert!(matches!(PrivateStore::open(path, &wrong), Err(OpenError::Locked(_))));
    }
    let mut store = PrivateStore::open(path, &passphrase("horse")).unwrap();
    assert_eq!(value(&mut store, b"k"), Some(b"v".to_vec()));
    assert!(!path.join("private.key").exists());
}

#[test]
fn without_a_passphrase_the_key_file_is_what_opens_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let mut store = PrivateStore::open(path, &Unlock::default()).unwrap();
    put(&mut store, b"k", b"v").unwrap();
    drop(store);
    let key = path.join("private.key");
    for name in ["private.key", "private.db"] {
        let mode = std::fs::metadata(path.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(matches!(PrivateStore::open(path, &passphrase("x")), Err(OpenError::Locked(_))));
    let saved = std::fs::read(&key).unwrap();
    std::fs::write(&key, [7; 32]).unwrap();
    assert!(matches!(PrivateStore::open(path, &Unlock::default()), Err(OpenError::Locked(_))));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(PrivateStore::open(path, &Unlock::default()), Err(OpenError::Locked(_))));
    std::fs::write(&key, saved).unwrap();
    assert!(PrivateStore::open(path, &Unlock::default()).is_ok());
}

#[test]
fn a_passphrase_can_be_set_while_nothing_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    drop(PrivateStore::open(directory.path(), &Unlock::default()).unwrap());
    drop(PrivateStore::open(directory.path(), &passphrase("horse")).unwrap());
    let without = PrivateStore::open(directory.path(), &Unlock::default());
    assert!(matches!(without, Err(OpenError::Locked(_))));
    assert!(PrivateStore::open(directory.path(), &passphrase("horse")).is_ok());
}

#[test]
fn an_older_database_beside_a_newer_generation_is_a_rollback() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    drop(PrivateStore::open(path, &Unlock::default()).unwrap());
    let old = std::fs::read(path.join("private.db")).unwrap();
    for _ in 0..3 {
        assert!(!PrivateStore::open(path, &Unlock::default()).unwrap().rolled_back());
    }
    std::fs::write(path.join("private.db"), old).unwrap();
    let _ = std::fs::remove_file(path.join("private.db-wal"));
    assert!(PrivateStore::open(path, &Unlock::default()).unwrap().rolled_back());
    let mut again = PrivateStore::open(path, &Unlock::default()).unwrap();
    assert!(again.rolled_back(), "until the machine has dealt with it");
    again.acknowledge_rollback().unwrap();
    drop(again);
    assert!(!PrivateStore::open(path, &Unlock::default()).unwrap().rolled_back());
}

#[test]
fn newer_and_damaged_databases_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    drop(CustodyStore::open(directory.path()).unwrap());
    let file = directory.path().join("custody.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(CustodyStore::open(directory.path()), Err(OpenError::Newer { found: 99, .. })));
    std::fs::write(&file, [0x5a; 8192]).unwrap();
    assert!(matches!(CustodyStore::open(directory.path()), Err(OpenError::Damaged(_))));
}

#[test]
fn a_moved_or_changed_row_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = PrivateStore::open(directory.path(), &Unlock::default()).unwrap();
    put(&mut store, b"a", b"one").unwrap();
    put(&mut store, b"b", b"two").unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(directory.path().join("private.db")).unwrap();
    let swap = "UPDATE rows SET sealed = (SELECT sealed FROM rows WHERE id = 1) WHERE id = 2";
    connection.execute(swap, []).unwrap();
    drop(connection);
    let mut store = PrivateStore::open(directory.path(), &Unlock::default()).unwrap();
    assert_eq!(value(&mut store, b"a"), Some(b"one".to_vec()));
    let read = store.transaction(|tx| tx.get(Table::Contacts, b"b"));
    assert_eq!(read, Err(StoreError::Corrupt));
}

/// Whoever can write the file while the node is off can destroy rows, not forge or exchange them.
#[test]
fn a_row_opens_only_as_it_was_written_and_where() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("private.db");
    let mut store = PrivateStore::open(directory.path(), &Unlock::default()).unwrap();
    put(&mut store, b"a", b"one").unwrap();
    put(&mut store, b"b", b"two").unwrap();
    let other = Row { table: Table::Events, group: b"h", position: 9, key: b"c", value: b"three" };
    store.transaction(|tx| tx.put(other)).unwrap();
    drop(store);
    let untouched = std::fs::read(&file).unwrap();
    let contacts = Table::Contacts as u8;
    let changes = [
        "UPDATE rows SET sealed = (SELECT sealed FROM rows WHERE id = 2) WHERE id = 1".to_owned(),
        "UPDATE rows SET sealed = (SELECT sealed FROM rows WHERE id = 3) WHERE id = 1".to_owned(),
        "UPDATE rows SET key = zeroblob(16) WHERE id = 1".to_owned(),
        "UPDATE rows SET collection = (SELECT collection FROM rows WHERE id = 3) WHERE id = 1".to_owned(),
        "UPDATE rows SET position = position + 1 WHERE id = 1".to_owned(),
        format!("UPDATE rows SET number = {contacts} WHERE id = 3"),
        "UPDATE rows SET sealed = substr(sealed, 1, length(sealed) - 1) WHERE id = 1".to_owned(),
        "UPDATE rows SET sealed = substr(sealed, 1, 24) WHERE id = 1".to_owned(),
        "UPDATE rows SET sealed = zeroblob(0) WHERE id = 1".to_owned(),
        "UPDATE rows SET sealed = CAST(sealed || x'00' AS BLOB) WHERE id = 1".to_owned(),
    ];
    for change in changes {
        std::fs::write(&file, &untouched).unwrap();
        let connection = rusqlite::Connection::open(&file).unwrap();
        assert_eq!(connection.execute(&change, []).unwrap(), 1, "{change}");
        drop(connection);
        let mut store = PrivateStore::open(directory.path(), &Unlock::default()).unwrap();
        let read = store.transaction(|tx| tx.scan(Table::Contacts));
        assert_eq!(read.map(|rows| rows.len()), Err(StoreError::Corrupt), "{change}");
    }
}

#[test]
fn strange_values_beside_the_rows_are_damage_and_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    drop(PrivateStore::open(directory.path(), &passphrase("horse")).unwrap());
    let file = directory.path().join("private.db");
    let untouched = std::fs::read(&file).unwrap();
    for change in [
        "UPDATE meta SET value = 'text' WHERE name = 'data_key'",
        "UPDATE meta SET value = 7 WHERE name = 'salt'",
        "UPDATE meta SET value = 'many' WHERE name = 'passes'",
        "UPDATE meta SET value = 4000000000 WHERE name = 'passes'",
        "UPDATE meta SET value = 1000 WHERE name = 'lanes'",
        "UPDATE meta SET value = 9000000000 WHERE name = 'memory_kib'",
        "UPDATE meta SET value = 4000000000 WHERE name = 'memory_kib'",
        "UPDATE meta SET value = x'00' WHERE name = 'generation'",
        "DELETE FROM meta WHERE name = 'passes'",
    ] {
        std::fs::write(&file, &untouched).unwrap();
        let connection = rusqlite::Connection::open(&file).unwrap();
        assert_eq!(connection.execute(change, []).unwrap(), 1, "{change}");
        drop(connection);
        let opened = PrivateStore::open(directory.path(), &passphrase("horse"));
        assert!(matches!(opened, Err(OpenError::Damaged(_))), "{change}: {:?}", opened.err());
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = CustodyStore::open(directory.path()).unwrap();
    let (address, body) = (Address([1; 32]), vec![7; 60_000]);
    let deposit = |store: &mut CustodyStore, i: u8| {
        store.transaction(|tx| tx.put_envelope(&address, &EnvelopeId([i; 32]), Time(9), &body))
    };
    deposit(&mut store, 1).unwrap();
    store.limit_pages(40);
    assert_eq!(deposit(&mut store, 2), Err(StoreError::Full));
    assert_eq!(store.transaction(|tx| tx.totals()).unwrap().envelopes, 1);
    store.limit_pages(4_000);
    deposit(&mut store, 2).unwrap();
}

#[test]
fn no_canary_is_in_the_files() {
    for unlock in [Unlock::default(), passphrase("canary-in-a-mine")] {
        let directory = tempfile::tempdir().unwrap();
        let mut store = PrivateStore::open(directory.path(), &unlock).unwrap();
        let canary = |kind: &str, i: u32| format!("canary-{kind}-{i:04}");
        for i in 0..1_000 {
            let (key, group, text) = (canary("key", i), canary("group", i), canary("value", i));
            let row = Row {
                table: Table::Messages,
                group: group.as_bytes(),
                position: u64::from(i),
                key: key.as_bytes(),
                value: text.as_bytes(),
            };
            store.transaction(|tx| tx.put(row)).unwrap();
            if i % 3 == 0 {
                store.transaction(|tx| tx.delete(Table::Messages, key.as_bytes())).unwrap();
            }
        }
        check_files(directory.path());
        store.truncate_log();
        assert_eq!(std::fs::metadata(directory.path().join("private.db-wal")).map_or(0, |m| m.len()), 0);
        check_files(directory.path());
        let found = store.transaction(|tx| tx.list(Table::Messages, b"canary-group-0001", From::Start, 9));
        assert_eq!(found.unwrap().len(), 1, "the canaries are in there");
    }
}

fn check_files(directory: &Path) {
    for file in std::fs::read_dir(directory).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"canary-"), "{}", path.display());
    }
}

#[test]
fn a_long_log_begins_anew_on_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = CustodyStore::open(directory.path()).unwrap();
    let body = vec![7; 60_000];
    let log = directory.path().join("custody.db-wal");
    for i in 0..800u16 {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&i.to_le_bytes());
        store.transaction(|tx| tx.put_envelope(&Address([1; 32]), &EnvelopeId(id), Time(9), &body)).unwrap();
    }
    let size = std::fs::metadata(&log).unwrap().len();
    assert!(size < 20 * 1024 * 1024, "{size} of 48 MB written");
    store.truncate_log();
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
}
