//! Tables of both databases and how older ones are brought up to date.
//!
//! A migration is never edited once it has shipped: a further one is appended. `PRAGMA user_version`
//! is the number of those that have run; a database with more of them than are known is refused.
//! Bodies are in rowid tables: with random keys and 1 KiB bodies the other kind is four times as large.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// `private.db`: sealed rows, found by keyed hashes.
pub(super) const PRIVATE: &[&str] = &["
    CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
    CREATE TABLE rows (
        id INTEGER PRIMARY KEY,
        number INTEGER NOT NULL,
        key BLOB NOT NULL,
        collection BLOB NOT NULL,
        position INTEGER NOT NULL,
        sealed BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX rows_by_key ON rows (number, key);
    CREATE INDEX rows_by_collection ON rows (number, collection, position);
"];

/// `custody.db`: envelopes, records, tombstones of others, and their totals.
pub(super) const CUSTODY: &[&str] = &[
    "
    CREATE TABLE envelopes (
        cursor INTEGER PRIMARY KEY AUTOINCREMENT,
        address BLOB NOT NULL,
        id BLOB NOT NULL,
        expires INTEGER NOT NULL,
        size INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX envelopes_by_id ON envelopes (address, id);
    CREATE INDEX envelopes_by_address ON envelopes (address, cursor, size);
    CREATE INDEX envelopes_by_expires ON envelopes (expires);

    CREATE TABLE records (
        number INTEGER PRIMARY KEY,
        address BLOB NOT NULL,
        slot INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        size INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX records_by_slot ON records (address, slot);
    CREATE INDEX records_by_expires ON records (expires);

    CREATE TABLE tombstones (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        expires INTEGER NOT NULL,
        bytes BLOB NOT NULL
    ) STRICT;
    CREATE INDEX tombstones_by_expires ON tombstones (expires);
    CREATE TABLE tombstoned (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        address BLOB NOT NULL,
        id BLOB NOT NULL,
        number INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX tombstoned_by_id ON tombstoned (address, id);
    CREATE INDEX tombstoned_by_address ON tombstoned (address, position);
    CREATE INDEX tombstoned_by_number ON tombstoned (number);
    CREATE TRIGGER tombstone_unused AFTER DELETE ON tombstoned
        WHEN NOT EXISTS (SELECT 1 FROM tombstoned WHERE number = old.number) BEGIN
        DELETE FROM tombstones WHERE number = old.number;
    END;

    CREATE TABLE totals (envelopes INTEGER NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
    INSERT INTO totals VALUES (0, 0, 0);
    CREATE TRIGGER envelope_in AFTER INSERT ON envelopes BEGIN
        UPDATE totals SET envelopes = envelopes + 1, bytes = bytes + new.size;
    END;
    CREATE TRIGGER envelope_out AFTER DELETE ON envelopes BEGIN
        UPDATE totals SET envelopes = envelopes - 1, bytes = bytes - old.size;
    END;
    CREATE TRIGGER record_in AFTER INSERT ON records BEGIN
        UPDATE totals SET records = records + 1, bytes = bytes + new.size;
    END;
    CREATE TRIGGER record_out AFTER DELETE ON records BEGIN
        UPDATE totals SET records = records - 1, bytes = bytes - old.size;
    END;
",
    "
    ALTER TABLE tombstones ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
    CREATE TRIGGER tombstone_in AFTER INSERT ON tombstones BEGIN
        UPDATE totals SET bytes = bytes + new.size;
    END;
    CREATE TRIGGER tombstone_out AFTER DELETE ON tombstones BEGIN
        UPDATE totals SET bytes = bytes - old.size;
    END;
",
];

/// Runs the migrations that have not run yet, each in a transaction of its own.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), OpenError> {
    let fail = |error: rusqlite::Error| OpenError::sqlite(path, &error);
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fail)?;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, sql) in (1..=known).zip(migrations).skip(usize::try_from(found).unwrap_or(0)) {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
        transaction.execute_batch(sql).map_err(fail)?;
        transaction.pragma_update(None, "user_version", version).map_err(fail)?;
        transaction.commit().map_err(fail)?;
    }
    Ok(())
}
