//! The loop of a machine: takes what is ready into one transaction, commits, then performs.
//!
//! Messenger and Keeper run on a thread of their own each, around one database each. Nothing leaves
//! before the commit of the step that made it. If a step or its commit fails, the machine is thrown
//! away and rebuilt from the disk, so memory never runs ahead of it; the batch then runs message by
//! message, and one that fails alone is answered and dropped, so that it cannot fail for ever. If it
//! was the disk that failed it, for a while only commands are tried: whatever peers say and deadlines
//! want would fail too, and each failure costs a rebuilding. Then the machine is made anew, told of its
//! peers again, and goes on ([`Health`]). While the disk does not even allow the rebuilding, commands are
//! answered with that. A transaction is bounded by messages and by the bytes they hold and cause; what is ready
//! beyond that is the next one's. SPEC §9.1.

use std::time::Duration;

use murmesh_protocol::messenger::io::Deadline;
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::Time;
use tokio::sync::mpsc;

use crate::assembly::MachineLoop;
use crate::clock;

mod health;
mod keeper;
mod local;
mod messenger;
mod peers;
#[cfg(test)]
mod tests;

use self::health::Health;
pub(crate) use self::keeper::KeeperEngine;
pub(crate) use self::messenger::{MessengerEngine, NICKNAME, Surroundings, open_error, store_error};

/// Messages taken into one transaction.
const BATCH_MAX: usize = 256;
/// Bytes they hold: at this nothing more is taken in, so at most one frame above it.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Idleness after which the write-ahead log is truncated.
const IDLE: Duration = Duration::from_secs(1);
/// Pause of what failed, until it is tried again.
const REBUILD_PAUSE: Duration = Duration::from_secs(2);
/// Longest sleep: within it a clock that was set back is noticed, and its machine told.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Why a message is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Somebody waits for its answer.
    Asked,
    /// The machine is told something.
    Told,
    /// A deadline has come.
    Due,
}

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
    /// Why it is there.
    fn kind(work: &Self::Work) -> Kind;
    /// Runs a batch in one transaction; what came of it waits for [`perform`](Engine::perform). Ends
    /// early when that is much: says how many messages were run, at least one.
    fn step(&mut self, batch: &[Self::Work]) -> Result<usize, StoreError>;
    /// Throws the machine away and makes it anew from the disk.
    fn rebuild(&mut self) -> Result<(), StoreError>;
    /// Performs what the last step wants done. May wait for the runner, never for the other machine.
    fn perform(&mut self) -> impl Future<Output = ()> + Send;
    /// What the last step or rebuilding wants done shall not be.
    fn discard(&mut self);
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

/// The loop of a machine. It ends after its last message, with everything committed.
pub(crate) fn run<E: Engine>(engine: E, messages: mpsc::Receiver<E::Message>) -> MachineLoop {
    MachineLoop { name: E::NAME, run: Box::pin(Driver::new(engine, clock::now).run(messages)) }
}

struct Driver<E> {
    engine: E,
    /// The clock the machine goes by, and what it showed last.
    clock: fn() -> Time,
    latest: Time,
    health: Health,
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
        Driver { engine, clock, latest: Time(0), health: Health::Well, dirty: true }
    }

    async fn run(mut self, mut messages: mpsc::Receiver<E::Message>) {
        self.start().await;
        while !self.engine.ended() {
            let sleep = self.sleep();
            let wake = tokio::select! {
                biased;
                () = self.engine.hand_over() => Wake::HandedOver,
                message = messages.recv() => Wake::Message(message),
                () = tokio::time::sleep(sleep) => Wake::Timer,
            };
            match wake {
                Wake::HandedOver => {}
                Wake::Message(None) => break,
                Wake::Message(Some(first)) => self.turn(Some(first), &mut messages).await,
                Wake::Timer => self.turn(None, &mut messages).await,
            }
        }
        self.engine.flush();
        tracing::debug!(machine = E::NAME, "ended");
    }

    async fn start(&mut self) {
        self.rebuild();
        self.engine.perform().await;
    }

    /// What a message causes, with all that is ready behind it; or what the timer does.
    async fn turn(&mut self, first: Option<E::Message>, messages: &mut mpsc::Receiver<E::Message>) {
        self.recover();
        let mut batch = Vec::new();
        match first {
            Some(first) => self.fill(&mut batch, first, messages),
            None => self.on_timer(),
        }
        // What a rebuilding wants done, or the making of an account.
        self.engine.perform().await;
        if let Some(reason) = self.is_due() {
            tracing::debug!(machine = E::NAME, reason, "due");
            batch.push(self.engine.due());
        }
        if !batch.is_empty() {
            self.run_batch(batch).await;
        }
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
        let deadline = self.engine.deadline().filter(|_| self.health == Health::Well)?;
        if set_back {
            return Some("the clock was set back");
        }
        (deadline.at <= now).then_some(deadline.reason)
    }

    fn sleep(&self) -> Duration {
        let now = (self.clock)();
        let until = |deadline: Deadline| Duration::from_millis(deadline.at.since(now));
        let well = || self.engine.deadline().map_or(SLEEP_MAX, until);
        let next = self.health.pause_left(now, REBUILD_PAUSE).unwrap_or_else(well);
        next.min(if self.dirty { IDLE } else { SLEEP_MAX })
    }

    fn on_timer(&mut self) {
        if self.dirty && !matches!(self.health, Health::Broken(..)) {
            self.engine.flush();
            self.dirty = false;
        }
    }

    /// When what failed has rested long enough, it is tried again.
    fn recover(&mut self) {
        if self.health.pause_left((self.clock)(), REBUILD_PAUSE) != Some(Duration::ZERO) {
            return;
        }
        match self.health {
            Health::Refused(..) | Health::Broken(..) => self.rebuild(),
            Health::Resting(_) | Health::Well => self.health = Health::Well,
        }
    }

    fn rebuild(&mut self) {
        let rebuild = std::panic::AssertUnwindSafe(|| self.engine.rebuild());
        let rebuilt = std::panic::catch_unwind(rebuild).unwrap_or(Err(StoreError::Corrupt));
        self.health = Health::Well;
        if let Err(error) = rebuilt {
            self.health = Health::Broken((self.clock)(), error);
            tracing::error!(machine = E::NAME, %error, "stopped: its database cannot be read");
        }
    }

    /// A panic of a machine is a failed step like another: its transaction is rolled back and the
    /// machine thrown away, so no broken state is used again.
    fn step(&mut self, batch: &[E::Work]) -> Result<usize, Failure> {
        let step = std::panic::AssertUnwindSafe(|| self.engine.step(batch));
        match std::panic::catch_unwind(step) {
            Ok(ran) => ran.map_err(|error| Failure { error, of_disk: error != StoreError::Corrupt }),
            Err(_) => {
                tracing::error!(machine = E::NAME, "a fault of murmesh: the machine panicked");
                Err(Failure { error: StoreError::Io, of_disk: false })
            }
        }
    }

    async fn run_batch(&mut self, mut batch: Vec<E::Work>) {
        self.dirty = true;
        if self.health.is_disk() {
            return self.run_singly(batch).await;
        }
        while !batch.is_empty() {
            match self.step(&batch) {
                Ok(ran) => {
                    self.engine.perform().await;
                    batch.drain(..ran.clamp(1, batch.len()));
                }
                Err(Failure { error, .. }) => {
                    let messages = batch.len();
                    tracing::warn!(machine = E::NAME, %error, messages, "a step failed and is rolled back");
                    self.rebuild();
                    self.engine.perform().await;
                    return self.run_singly(batch).await;
                }
            }
        }
    }

    async fn run_singly(&mut self, batch: Vec<E::Work>) {
        for work in batch {
            match self.health {
                Health::Broken(_, error) => self.engine.give_up(work, error),
                Health::Refused(_, error) if E::kind(&work) != Kind::Asked => {
                    self.engine.give_up(work, error)
                }
                Health::Refused(..) | Health::Resting(_) | Health::Well => self.run_one(work).await,
            }
        }
    }

    async fn run_one(&mut self, work: E::Work) {
        let Err(Failure { error, of_disk }) = self.step(std::slice::from_ref(&work)) else {
            return self.engine.perform().await;
        };
        tracing::error!(machine = E::NAME, %error, "a message fails alone and is dropped");
        let (was, kind) = (self.health, E::kind(&work));
        self.engine.give_up(work, error);
        self.rebuild();
        let now = (self.clock)();
        match self.health {
            Health::Well if was.is_disk() => self.health = was,
            Health::Well if of_disk => self.health = Health::Refused(now, error),
            Health::Well if kind == Kind::Due => self.health = Health::Resting(now),
            Health::Well | Health::Resting(_) | Health::Refused(..) | Health::Broken(..) => {}
        }
        if self.health.is_disk() {
            // All of it is said again when the disk is tried again.
            self.engine.discard();
        }
        self.engine.perform().await;
    }
}

/// Why a step failed.
struct Failure {
    error: StoreError,
    /// Whatever is written now fails too, probably: not damage in one place, nor a panic.
    of_disk: bool,
}
