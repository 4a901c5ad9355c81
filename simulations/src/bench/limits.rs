//! What the machine can do without murmesh: loopback, SQLite's commits, the cipher.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use rusqlite::{Connection, params};

use super::{Failed, float};

/// How long each measure lasts.
const TIME: Duration = Duration::from_millis(500);

/// A round trip of 100 bytes over a loopback TCP connection between two threads.
///
/// # Errors
/// When the system gives no socket.
pub fn loopback_round_trip() -> Result<Duration, Failed> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Failed::because)?;
    let address = listener.local_addr().map_err(Failed::because)?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; 100];
        while stream.read_exact(&mut bytes).is_ok() {
            stream.write_all(&bytes)?;
        }
        Ok(())
    });
    let mut stream = TcpStream::connect(address).map_err(Failed::because)?;
    stream.set_nodelay(true).map_err(Failed::because)?;
    let (mut bytes, mut took) = ([0; 100], Vec::new());
    let start = Instant::now();
    while start.elapsed() < TIME {
        let one = Instant::now();
        stream.write_all(&bytes).map_err(Failed::because)?;
        stream.read_exact(&mut bytes).map_err(Failed::because)?;
        took.push(one.elapsed());
    }
    drop(stream);
    // It ended because the connection did.
    let _ = echo.join();
    took.sort_unstable();
    Ok(super::quantile(&took, 0.5))
}

/// Commits a second of `rows` rows of 600 bytes each, as the node's stores are opened.
///
/// # Errors
/// When the disk does not take them.
pub fn sqlite_commits(directory: &Path, rows: usize) -> Result<f64, Failed> {
    let path = directory.join(format!("limit-{rows}.db"));
    let mut connection = Connection::open(path).map_err(Failed::because)?;
    for (name, value) in [("locking_mode", "EXCLUSIVE"), ("journal_mode", "WAL"), ("synchronous", "FULL")] {
        connection.pragma_update(None, name, value).map_err(Failed::because)?;
    }
    let table = "CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT";
    connection.execute(table, ()).map_err(Failed::because)?;
    let (body, mut commits) = (vec![7u8; 600], 0);
    let start = Instant::now();
    while start.elapsed() < TIME {
        let transaction = connection.transaction().map_err(Failed::because)?;
        for _ in 0..rows {
            let mut insert =
                transaction.prepare_cached("INSERT INTO rows (body) VALUES (?1)").map_err(Failed::because)?;
            insert.execute(params![body]).map_err(Failed::because)?;
        }
        transaction.commit().map_err(Failed::because)?;
        commits += 1;
    }
    Ok(float(commits) / start.elapsed().as_secs_f64())
}

/// Texts of so many bytes that ChaCha20-Poly1305 seals a second on one core.
///
/// # Errors
/// Never for these lengths.
pub fn seals(bytes: usize) -> Result<f64, Failed> {
    let cipher = ChaCha20Poly1305::new(&[7; 32].into());
    let (text, mut sealed) = (vec![7u8; bytes], 0usize);
    let start = Instant::now();
    while start.elapsed() < TIME {
        for _ in 0..100 {
            let nonce = Nonce::from([0; 12]);
            let out = cipher.encrypt(&nonce, text.as_slice()).map_err(Failed::because)?;
            sealed += usize::from(!std::hint::black_box(out).is_empty());
        }
    }
    Ok(float(sealed) / start.elapsed().as_secs_f64())
}
