//! SQLite on the disk: a cut takes from it what its settings risk, and nothing else.

use murmesh_crash_vfs::{Disk, Fault, FaultKind, VFS};
use rusqlite::{Connection, ErrorCode, OpenFlags};

fn open(disk: &Disk, synchronous: &str) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags_and_vfs(disk.directory().join("a.db"), OpenFlags::default(), VFS)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.execute_batch("CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY, y BLOB)")?;
    Ok(connection)
}

fn insert(connection: &Connection, x: u32) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO t VALUES (?1, zeroblob(3000))", [x])
}

fn rows(connection: &Connection) -> u32 {
    connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

/// Of 100 cuts, each in a random call of twenty inserts: how many lost a row that had been acknowledged.
fn cuts_that_lost(synchronous: &str) -> usize {
    let lost = (0..100).filter(|seed| {
        let disk = Disk::new();
        let connection = open(&disk, synchronous).unwrap();
        disk.cut_after(10 + seed * 37 % 80);
        let acknowledged = (0..20).take_while(|x| insert(&connection, *x).is_ok()).count();
        disk.cut();
        drop(connection);
        disk.start(*seed);
        let connection = open(&disk, synchronous).unwrap();
        let check: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert!(check == "ok" || synchronous == "OFF", "{seed}: {check}");
        usize::try_from(rows(&connection)).unwrap() < acknowledged
    });
    lost.count()
}

#[test]
fn full_sync_loses_nothing_acknowledged_and_less_does() {
    assert_eq!(cuts_that_lost("FULL"), 0);
    let normal = cuts_that_lost("NORMAL");
    assert!(normal > 50, "{normal} of 100");
}

#[test]
fn faults_reach_sqlite_as_its_own_codes() {
    let disk = Disk::new();
    let connection = open(&disk, "FULL").unwrap();
    let codes: Vec<_> = [FaultKind::Io, FaultKind::Full, FaultKind::Short]
        .into_iter()
        .map(|kind| {
            disk.fail(Fault { kind, after: 1, lasting: true });
            let code = insert(&connection, 1).unwrap_err().sqlite_error_code();
            assert!(!disk.heal().is_empty());
            code
        })
        .collect();
    assert_eq!(
        codes,
        [Some(ErrorCode::SystemIoFailure), Some(ErrorCode::DiskFull), Some(ErrorCode::DiskFull)]
    );
    insert(&connection, 1).unwrap();
    assert_eq!(rows(&connection), 1);
}

#[test]
fn a_connection_from_before_a_cut_changes_nothing_after_it() {
    let disk = Disk::new();
    let before = open(&disk, "FULL").unwrap();
    insert(&before, 1).unwrap();
    disk.start(0);
    assert!(insert(&before, 2).is_err());
    let after = open(&disk, "FULL").unwrap();
    drop(before);
    assert_eq!(rows(&after), 1);
    insert(&after, 3).unwrap();
    assert_eq!(rows(&after), 2);
}

#[test]
fn a_second_connection_is_locked_out() {
    let disk = Disk::new();
    let first = open(&disk, "FULL").unwrap();
    let second = open(&disk, "FULL").map(drop).unwrap_err();
    assert_eq!(second.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    drop(first);
    open(&disk, "FULL").unwrap();
}
