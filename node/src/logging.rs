//! Where log lines go: stderr, or a file that is rotated by size when the node runs detached.
//!
//! What is logged never holds bodies, keys, contact names or addresses above debug; libp2p's own lines
//! begin at warn.

use std::fs::{File, OpenOptions};
use std::io::{Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// A log file that is longer than this is put aside.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Files put aside, the newest with the lowest number.
const OLD_FILES: u32 = 2;

/// Starts logging for the whole process. `RUST_LOG` wins over `level`. Only the first call counts.
///
/// # Errors
/// When the file cannot be opened.
pub fn start(file: Option<&Path>, level: &str, json: bool) -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::try_new(format!("warn,libp2p_kad=error,murmesh_node={level},murmesh_protocol={level}"))
            .unwrap_or_else(|_| EnvFilter::new("info"))
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        .with_ansi(false)
        .with_target(false);
    // Fails if somebody has started before: then that one stays.
    let _ = match (file, json) {
        (Some(path), true) => builder.json().with_writer(LogFile::open(path)?).try_init(),
        (Some(path), false) => builder.with_writer(LogFile::open(path)?).try_init(),
        (None, true) => builder.json().with_writer(std::io::stderr).try_init(),
        (None, false) => builder.with_writer(std::io::stderr).try_init(),
    };
    Ok(())
}

/// A log file with its size.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

impl LogFile {
    fn open(path: &Path) -> Result<LogFile> {
        Ok(LogFile { path: path.to_owned(), open: Mutex::new(append_to(path)?) })
    }
}

fn append_to(path: &Path) -> Result<Open> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Open { file, bytes })
}

fn aside(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// One line being written.
struct Line<'a> {
    path: &'a Path,
    open: MutexGuard<'a, Open>,
}

impl Line<'_> {
    fn rotate(&mut self) -> Result<()> {
        for number in (1..OLD_FILES).rev() {
            // The first time there is nothing to move.
            let _ = std::fs::rename(aside(self.path, number), aside(self.path, number + 1));
        }
        std::fs::rename(self.path, aside(self.path, 1))?;
        *self.open = append_to(self.path)?;
        Ok(())
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.open.file.write(bytes)?;
        self.open.bytes += u64::try_from(written).unwrap_or(0);
        if self.open.bytes > FILE_BYTES_MAX {
            self.rotate()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.open.file.flush()
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        // A line that panicked half-way is a broken line, nothing more.
        Line { path: &self.path, open: self.open.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("murmeshd.log");
        let log = LogFile::open(&path).unwrap();
        let line = vec![b'x'; 1024 * 1024];
        for _ in 0..20 {
            log.make_writer().write_all(&line).unwrap();
        }
        let files = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(files, 1 + OLD_FILES as usize);
        assert!(std::fs::metadata(&path).unwrap().len() <= FILE_BYTES_MAX);
    }
}
