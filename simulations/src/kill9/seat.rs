//! One node's place: its directory, which outlives every process, and the thread that starts, kills and
//! starts again the process on it. Ends what it started when it is dropped, in a panic too.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::START_PATIENCE;
use super::lab::{Fault, Lab};
use super::plan::{Blow, Target};
use crate::client::Client;
use crate::history::Entry;
use crate::programs;

/// A running `murmeshd`; dropping it kills it.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn kill(&mut self) -> io::Result<()> {
        // By its process id, which stays reserved for it until it is waited for.
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// The place of one node.
#[derive(Debug)]
pub(crate) struct Seat {
    lab: Arc<Lab>,
    target: Target,
    peer: Option<String>,
    process: Option<Process>,
}

impl Seat {
    /// `peer` is told to it at every start, as a user's command would.
    pub(crate) fn new(lab: Arc<Lab>, target: Target, peer: Option<String>) -> Seat {
        Seat { lab, target, peer, process: None }
    }

    fn directory(&self) -> PathBuf {
        self.lab.directory(self.target)
    }

    /// Starts the process and waits until its control socket answers.
    pub(crate) fn start(&mut self) -> Result<Duration, Fault> {
        let begun = Instant::now();
        self.spawn().map_err(|error| self.fault(&format!("cannot be run: {error}")))?;
        self.answers(begun)
    }

    /// Serves blows until the campaign ends.
    pub(crate) fn serve(mut self, blows: &Receiver<Blow>) {
        loop {
            match blows.recv_timeout(LOOK_EVERY) {
                Ok(blow) => {
                    let served = self.take(blow);
                    if let Err(fault) = served {
                        self.lab.fail(fault);
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(fault) = self.still_runs() {
                        self.lab.fail(fault);
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, blow: Blow) -> Result<(), Fault> {
        self.lab.rest(blow.wait);
        self.still_runs()?;
        self.kill()?;
        self.lab.rest(blow.down);
        if let Some(after) = blow.again {
            self.spawn().map_err(|error| self.fault(&format!("cannot be run: {error}")))?;
            self.lab.rest(after);
            self.still_runs()?;
            self.kill()?;
        }
        let took = self.start()?;
        self.lab.is_up(self.target, Some(took));
        Ok(())
    }

    fn kill(&mut self) -> Result<(), Fault> {
        let Some(mut process) = self.process.take() else { return Err(self.fault("is not there")) };
        process.kill().map_err(|error| self.fault(&format!("cannot be killed: {error}")))?;
        self.lab.recorder.record(Entry::Kill { node: self.target.to_string() });
        Ok(())
    }

    /// A process that ended without being killed.
    fn still_runs(&mut self) -> Result<(), Fault> {
        let Some(process) = &mut self.process else { return Err(self.fault("is not there")) };
        match process.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => {
                let why = fs::read_to_string(self.directory().join("startup-error.json")).unwrap_or_default();
                Err(self.fault(&format!("ended by itself: {status} {why}")))
            }
            Err(error) => Err(self.fault(&format!("cannot be looked at: {error}"))),
        }
    }

    fn spawn(&mut self) -> io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.lab.log(self.target))?;
        let mut command = programs::isolated(&self.lab.murmeshd, &self.lab.root);
        command.arg("--data-dir").arg(self.directory()).args(["--listen", "/ip4/127.0.0.1/tcp/0"]);
        if let Some(peer) = &self.peer {
            command.args(["--peer", peer]);
        }
        command.stdout(Stdio::null()).stderr(log);
        self.process = Some(Process(command.spawn()?));
        Ok(())
    }

    fn answers(&mut self, begun: Instant) -> Result<Duration, Fault> {
        loop {
            if Client::connect(&self.directory()).is_ok() {
                return Ok(begun.elapsed());
            }
            self.still_runs()?;
            if self.lab.has_ended() {
                return Err(self.fault("was starting at the end"));
            }
            if begun.elapsed() > START_PATIENCE {
                return Err(self.fault("does not answer after its start"));
            }
            self.lab.rest(CONNECT_EVERY);
        }
    }

    fn fault(&self, what: &str) -> Fault {
        Fault(format!("{} {what}", self.target))
    }
}

/// How often a process is looked at that nobody kills.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often it is tried whether a starting one answers.
const CONNECT_EVERY: Duration = Duration::from_millis(2);
