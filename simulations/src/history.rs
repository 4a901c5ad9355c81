//! A history: what was asked of two nodes and what they showed, in the order in which it was seen from
//! outside. It is kept in this process and, synced, in a file beside the nodes' directories: a node that is
//! killed takes nothing of it along.
//!
//! Deliberately not here: any wish about what a history should be; that is [`check`]'s.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use murmesh_protocol::control::{MessageState, Path as Way};
use serde::{Deserialize, Serialize};

pub use self::check::{Anomaly, check};
pub use self::label::{Label, Person};

mod check;
mod label;

/// One thing that was seen. Each is recorded after it happened, but `Invoke` and `ReadBegan`, which are
/// recorded before the request is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Entry {
    /// A message is given to its author's node; again, if the outcome was not known.
    Invoke {
        /// Which message.
        label: Label,
    },
    /// The node acknowledged it.
    Ok {
        /// Which message.
        label: Label,
        /// The id it was given.
        id: String,
    },
    /// The connection ended first: whether it was accepted is not known.
    Info {
        /// Which message.
        label: Label,
    },
    /// The node refused it.
    Refused {
        /// Which message.
        label: Label,
        /// In the node's words.
        error: String,
    },
    /// `message.received` was told.
    Shown {
        /// At whose node.
        at: Person,
        /// Its place in the stream of events.
        cursor: u64,
        /// Message id.
        id: String,
        /// Which message; none if nobody wrote this text.
        label: Option<Label>,
    },
    /// `message.state` was told.
    State {
        /// At whose node.
        at: Person,
        /// Its place in the stream of events.
        cursor: u64,
        /// Message id.
        id: String,
        /// The state.
        state: MessageState,
    },
    /// Another event was told.
    Other {
        /// At whose node.
        at: Person,
        /// Its place in the stream of events.
        cursor: u64,
    },
    /// `stream.gap` was told: events are missing.
    StreamGap {
        /// At whose node.
        at: Person,
    },
    /// All messages are asked for.
    ReadBegan {
        /// At whose node.
        at: Person,
    },
    /// All messages, in reading order.
    Read {
        /// At whose node.
        at: Person,
        /// Place of its `ReadBegan` in the history.
        began: usize,
        /// Nothing can change any more: everything is to be there.
        last: bool,
        /// Both authors' messages.
        messages: Vec<Listed>,
    },
    /// A process was killed.
    Kill {
        /// Whose.
        node: String,
    },
    /// A node that was killed answers again.
    Up {
        /// Which.
        node: String,
        /// Milliseconds from the start of the process.
        after_ms: u64,
    },
}

/// A message in a `Read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Message id.
    pub id: String,
    /// Shown as one's own.
    pub own: bool,
    /// Which message; none if nobody wrote this text.
    pub label: Option<Label>,
    /// The state of one's own.
    pub state: MessageState,
    /// How many of its author are said to be missing before it.
    pub gap_before: u64,
    /// How it arrived.
    pub path: Option<Way>,
}

/// Keeps a history while several threads see things.
#[derive(Debug)]
pub struct Recorder {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug)]
struct Kept {
    began: Instant,
    entries: Vec<Entry>,
    /// To the thread that writes the file, until the history is finished.
    lines: Option<SyncSender<String>>,
    writer: Option<JoinHandle<std::io::Result<()>>>,
}

/// A line of the file. The time is for people who look for a cause: the checker knows only the order.
#[derive(Serialize)]
struct Stamped<'a> {
    ms: u128,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl Recorder {
    /// Records into memory and into `file`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn into_file(file: &Path) -> std::io::Result<Recorder> {
        let file = File::create_new(file)?;
        let (lines, waiting) = sync_channel(LINES_WAITING_MAX);
        let writer = std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || write_lines(file, &waiting))?;
        let kept =
            Kept { began: Instant::now(), entries: Vec::new(), lines: Some(lines), writer: Some(writer) };
        Ok(Recorder { kept: Mutex::new(kept), changed: Condvar::new() })
    }

    /// Records; gives the entry's place.
    pub fn record(&self, entry: Entry) -> usize {
        let mut kept = self.kept();
        if let Some(lines) = &kept.lines {
            // A history that cannot be written says so at the end, in `finish`.
            let ms = kept.began.elapsed().as_millis();
            let _ = serde_json::to_string(&Stamped { ms, entry: &entry }).map(|line| lines.send(line));
        }
        kept.entries.push(entry);
        let place = kept.entries.len() - 1;
        drop(kept);
        self.changed.notify_all();
        place
    }

    /// Waits for an entry that is recorded from now on; false when the deadline passes first.
    pub fn wait_for(&self, deadline: Instant, wanted: impl Fn(&Entry) -> bool) -> bool {
        let mut kept = self.kept();
        let mut seen = kept.entries.len();
        loop {
            if kept.entries.get(seen..).unwrap_or_default().iter().any(&wanted) {
                return true;
            }
            seen = kept.entries.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            kept = self.changed.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was recorded so far.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Entry> {
        self.kept().entries.clone()
    }

    /// Waits until everything is in the file, synced; gives the history. What is recorded later is not
    /// in the file.
    ///
    /// # Errors
    /// When the file could not be written.
    pub fn finish(&self) -> std::io::Result<Vec<Entry>> {
        let (lines, writer) = {
            let mut kept = self.kept();
            (kept.lines.take(), kept.writer.take())
        };
        drop(lines);
        match writer.map(JoinHandle::join) {
            Some(Err(_panicked)) => return Err(std::io::Error::other("the history's writer panicked")),
            Some(Ok(written)) => written?,
            None => {}
        }
        Ok(self.snapshot())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a history that was recorded into a file.
///
/// # Errors
/// When it cannot be read, or is no history.
pub fn from_file(file: &Path) -> std::io::Result<Vec<Entry>> {
    let lines = BufReader::new(File::open(file)?).lines();
    lines.map(|line| serde_json::from_str(&line?).map_err(Into::into)).collect()
}

/// Everything that waits is written and synced at once: an acknowledgement is seldom alone.
fn write_lines(mut file: File, lines: &Receiver<String>) -> std::io::Result<()> {
    while let Ok(first) = lines.recv() {
        let mut text = first + "\n";
        lines.try_iter().for_each(|line| text.extend([line.as_str(), "\n"]));
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
    }
    Ok(())
}

/// Lines that wait for the disk; above it whoever records waits.
const LINES_WAITING_MAX: usize = 65_536;
