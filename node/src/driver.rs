//! The loop of a machine: takes what is ready into one transaction, commits, then performs.
//!
//! Messenger and Keeper run on a thread of their own each, around one database each. Nothing leaves
//! before the commit of the step that made it. If a step or its commit fails, the machine is thrown
//! away and rebuilt from the disk, so memory never runs ahead of it; the batch then runs message by
//! message, and one that fails alone is answered and dropped, so that it cannot fail for ever. While
//! the disk does not even allow the rebuilding, commands are answered with that and it is tried
//! again. A transaction is bounded by messages and by the bytes they hold and cause; what is ready
//! beyond that is the next one's. SPEC §9.1.

use std::time::Duration;

use murmesh_protocol::messenger::io::Deadline;
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::Time;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::clock;

mod keeper;
mod local;
mod messenger;
mod peers;
#[cfg(test)]
mod tests;

pub(crate) use self::keeper::KeeperEngine;
pub(crate) use self::messenger::{MessengerEngine, NICKNAME, Surroundings, open_error, store_error};

/// Messages taken into one transaction.
const BATCH_MAX: usize = 256;
/// Bytes they hold: at this nothing more is taken in, so at most one frame above it.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Idleness after which the write-ahead log is truncated.
const IDLE: Duration = Duration::from_secs(1);
/// Pause between attempts to rebuild a machine whose disk fails.
const REBUILD_PAUSE: Duration = Duration::from_secs(2);
/// Longest sleep: within it a clock that was set back is noticed, and its machine told.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// A machine with its database and what it needs to perform.
pub(crate) trait Engine: Send + 'static {
    /// What its thread is sent.
    type Message: Send;
    /// A message ready to run, as often as needed.
    type Work: Send;

    /// For the log.
    const NAME: &'static str;

    /// Takes a message in. None: it is dealt with, or is the end (then [`ended`](Engine::ended)).
    fn accept(&mut self, message: Self::Message) -> Option<Self::Work>;
    /// The message of a due deadline.
    fn due(&self) -> Self::Work;
    /// Bytes it holds.
    fn weight(work: &Self::Work) -> usize;
    /// Runs a batch in one transaction; what came of it waits for [`perform`](Engine::perform). Ends
    /// early when that is much: says how many messages were run, at least one.
    fn step(&mut self, batch: &[Self::Work]) -> Result<usize, StoreError>;
    /// Throws the machine away and makes it anew from the disk.
    fn rebuild(&mut self) -> Result<(), StoreError>;
    /// Performs what the last step wants done. May wait for the runner, never for the other machine.
    fn perform(&mut self) -> impl Future<Output = ()> + Send;
    /// This message fails whenever it runs: answers whoever waits, forgets the rest.
    fn give_up(&mut self, work: Self::Work, error: StoreError);
    /// Waits until a message for the other machine could be handed over; for ever if there is none.
    fn hand_over(&mut self) -> impl Future<Output = ()> + Send;
    /// When to wake.
    fn deadline(&self) -> Option<Deadline>;
    /// Empties the write-ahead log.
    fn flush(&mut self);
    /// The end was accepted.
    fn ended(&self) -> bool;
}

/// Starts the thread of a machine. It ends after its last message, with everything committed.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn spawn<E: Engine>(
    engine: E,
    messages: mpsc::Receiver<E::Message>,
    runtime: Handle,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let body = move || runtime.block_on(Driver::new(engine, clock::now).run(messages));
    std::thread::Builder::new().name(E::NAME.to_owned()).spawn(body)
}

struct Driver<E> {
    engine: E,
    /// The clock the machine goes by, and what it showed last.
    clock: fn() -> Time,
    latest: Time,
    /// The machine could not be rebuilt.
    broken: bool,
    /// Something was written since the log was truncated.
    dirty: bool,
}

/// Why the loop woke.
enum Wake<M> {
    Message(Option<M>),
    Timer,
    HandedOver,
}

impl<E: Engine> Driver<E> {
    fn new(engine: E, clock: fn() -> Time) -> Driver<E> {
        Driver { engine, clock, latest: Time(0), broken: false, dirty: true }
    }

    async fn run(mut self, mut messages: mpsc::Receiver<E::Message>) {
        self.rebuild();
        self.engine.perform().await;
        while !self.engine.ended() {
            let sleep = self.sleep();
            let wake = tokio::select! {
                biased;
                () = self.engine.hand_over() => Wake::HandedOver,
                message = messages.recv() => Wake::Message(message),
                () = tokio::time::sleep(sleep) => Wake::Timer,
            };
            let mut batch = Vec::new();
            match wake {
                Wake::HandedOver => continue,
                Wake::Message(None) => break,
                Wake::Message(Some(first)) => self.fill(&mut batch, first, &mut messages),
                Wake::Timer => self.on_timer(),
            }
            if let Some(reason) = self.is_due() {
                tracing::debug!(machine = E::NAME, reason, "due");
                batch.push(self.engine.due());
            }
            if !batch.is_empty() {
                self.run_batch(batch).await;
            }
        }
        self.engine.flush();
        tracing::debug!(machine = E::NAME, "ended");
    }

    fn fill(
        &mut self,
        batch: &mut Vec<E::Work>,
        first: E::Message,
        messages: &mut mpsc::Receiver<E::Message>,
    ) {
        let mut bytes = 0;
        let mut message = Some(first);
        while let Some(work) = message.map(|message| self.engine.accept(message)) {
            bytes += work.as_ref().map_or(0, E::weight);
            batch.extend(work);
            let full = batch.len() >= BATCH_MAX || bytes >= BATCH_BYTES_MAX || self.engine.ended();
            message = if full { None } else { messages.try_recv().ok() };
        }
    }

    /// Why the machine must look at its deadlines, if it must. A clock that was set back moves all of
    /// them into the future: the machine mends that, but only when it is called.
    fn is_due(&mut self) -> Option<&'static str> {
        let now = (self.clock)();
        let set_back = now < std::mem::replace(&mut self.latest, now);
        let deadline = self.engine.deadline()?;
        if set_back {
            return Some("the clock was set back");
        }
        (deadline.at <= now).then_some(deadline.reason)
    }

    fn sleep(&self) -> Duration {
        let until = |deadline: Deadline| Duration::from_millis(deadline.at.since((self.clock)()));
        let deadline = self.engine.deadline().map_or(SLEEP_MAX, until);
        let other = if self.broken {
            REBUILD_PAUSE
        } else if self.dirty {
            IDLE
        } else {
            SLEEP_MAX
        };
        deadline.min(other)
    }

    fn on_timer(&mut self) {
        if self.broken {
            self.rebuild();
        } else if self.dirty {
            self.engine.flush();
            self.dirty = false;
        }
    }

    fn rebuild(&mut self) {
        let rebuild = std::panic::AssertUnwindSafe(|| self.engine.rebuild());
        let rebuilt = std::panic::catch_unwind(rebuild).unwrap_or(Err(StoreError::Corrupt));
        self.broken = rebuilt.is_err();
        if let Err(error) = rebuilt {
            tracing::error!(machine = E::NAME, %error, "stopped: its database cannot be read");
        }
    }

    /// A panic of a machine is a failed step like another: its transaction is rolled back and the
    /// machine thrown away, so no broken state is used again.
    fn step(&mut self, batch: &[E::Work]) -> Result<usize, StoreError> {
        let step = std::panic::AssertUnwindSafe(|| self.engine.step(batch));
        std::panic::catch_unwind(step).unwrap_or_else(|_| {
            tracing::error!(machine = E::NAME, "a fault of murmesh: the machine panicked");
            Err(StoreError::Io)
        })
    }

    async fn run_batch(&mut self, mut batch: Vec<E::Work>) {
        self.dirty = true;
        if self.broken {
            batch.into_iter().for_each(|work| self.engine.give_up(work, StoreError::Io));
            return;
        }
        while !batch.is_empty() {
            match self.step(&batch) {
                Ok(ran) => {
                    self.engine.perform().await;
                    batch.drain(..ran.clamp(1, batch.len()));
                }
                Err(error) => return self.run_singly(batch, error).await,
            }
        }
    }

    async fn run_singly(&mut self, batch: Vec<E::Work>, error: StoreError) {
        tracing::warn!(machine = E::NAME, %error, messages = batch.len(), "a step failed and is rolled back");
        self.rebuild();
        self.engine.perform().await;
        for work in batch {
            if self.broken {
                self.engine.give_up(work, error);
                continue;
            }
            if let Err(error) = self.step(std::slice::from_ref(&work)) {
                tracing::error!(machine = E::NAME, %error, "a message fails alone and is dropped");
                self.engine.give_up(work, error);
                self.rebuild();
            }
            self.engine.perform().await;
        }
    }
}
