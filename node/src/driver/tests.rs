//! The loop with an engine that fails on demand, and the real ones on a disk that is full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use murmesh_protocol::control::{InitParams, Reply, Request, SendParams};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::time::Time;
use tokio::sync::oneshot;

use super::*;
use crate::control::EventHub;
use crate::links::ToMessenger;
use crate::store::{PrivateStore, Unlock};

mod bounds;
mod events;
mod power;

/// What happened, in order.
type Story = Arc<Mutex<Vec<String>>>;

/// Runs texts. "bad" is damage, "full" is the disk's fault, "panic" panics, whatever else is in the batch.
/// "large" is half as much as a transaction takes in, "loud" causes as much as one gives out.
#[derive(Default)]
struct Fake {
    story: Story,
    done: Vec<String>,
    ended: bool,
    deadline: Option<Time>,
    /// The deadline fails whenever it runs.
    poisoned: bool,
    /// Being rebuilt, it wants something done.
    greets: bool,
}

impl Fake {
    fn tell(&self, what: impl Into<String>) {
        self.story.lock().unwrap().push(what.into());
    }
}

impl Engine for Fake {
    type Message = &'static str;
    type Work = &'static str;
    const NAME: &'static str = "fake";

    fn accept(&mut self, message: &'static str) -> Option<&'static str> {
        self.ended = message == "end";
        (!self.ended).then_some(message)
    }

    fn due(&self) -> &'static str {
        "deadline"
    }

    fn weight(work: &&'static str) -> usize {
        if *work == "large" { BATCH_BYTES_MAX / 2 } else { 1 }
    }

    fn kind(work: &&'static str) -> Kind {
        match *work {
            "deadline" => Kind::Due,
            "ask" => Kind::Asked,
            _ => Kind::Told,
        }
    }

    fn step(&mut self, batch: &[&'static str]) -> Result<usize, StoreError> {
        let ran = batch.iter().position(|work| *work == "loud").map_or(batch.len(), |loud| loud + 1);
        let batch = &batch[..ran];
        self.tell(format!("step {}", batch.join(",")));
        let due = batch.contains(&"deadline");
        self.deadline = self.deadline.filter(|_| !due || self.poisoned);
        assert!(!batch.contains(&"panic"));
        if batch.contains(&"bad") || (due && self.poisoned) {
            return Err(StoreError::Corrupt);
        }
        if batch.contains(&"full") {
            return Err(StoreError::Full);
        }
        self.done = batch.iter().map(|&text| text.to_owned()).collect();
        Ok(ran)
    }

    fn rebuild(&mut self) -> Result<(), StoreError> {
        self.done = Vec::from_iter(self.greets.then(|| "greeting".to_owned()));
        self.tell("rebuild");
        Ok(())
    }

    async fn perform(&mut self) {
        for done in std::mem::take(&mut self.done) {
            self.tell(format!("perform {done}"));
        }
    }

    fn give_up(&mut self, work: &'static str, error: StoreError) {
        self.tell(format!("give up {work}: {error}"));
    }

    fn discard(&mut self) {
        self.tell("discard");
        self.done.clear();
    }

    async fn hand_over(&mut self) {
        std::future::pending().await
    }

    fn deadline(&self) -> Option<Deadline> {
        self.deadline.map(|at| Deadline { at, reason: "test" })
    }

    fn flush(&mut self) {
        self.tell("flush");
    }

    fn ended(&self) -> bool {
        self.ended
    }
}

async fn story_of(messages: &[&'static str], deadline: Option<Time>) -> Vec<String> {
    story_by(clock::now, messages, deadline).await
}

async fn story_by(clock: fn() -> Time, messages: &[&'static str], deadline: Option<Time>) -> Vec<String> {
    let story = Story::default();
    let (sender, receiver) = mpsc::channel(16);
    for message in messages {
        sender.send(*message).await.unwrap();
    }
    let engine = Fake { story: story.clone(), deadline, ..Fake::default() };
    Driver::new(engine, clock).run(receiver).await;
    let told = story.lock().unwrap();
    told.clone()
}

#[tokio::test]
async fn what_is_ready_is_one_transaction_and_performed_after_it() {
    let told = story_of(&["a", "b", "end"], None).await;
    assert_eq!(told, ["rebuild", "step a,b", "perform a", "perform b", "flush"]);
}

#[tokio::test]
async fn one_bad_message_is_dropped_and_the_others_run_once_more() {
    let told = story_of(&["a", "bad", "b", "end"], None).await;
    let rest = [
        "rebuild",
        "step a,bad,b",
        "rebuild",
        "step a",
        "perform a",
        "step bad",
        "give up bad: the database is damaged",
        "rebuild",
        "step b",
        "perform b",
        "flush",
    ];
    assert_eq!(told, rest);
}

#[tokio::test]
async fn a_panic_is_a_failed_step() {
    let told = story_of(&["panic", "a", "end"], None).await;
    assert!(told.contains(&"give up panic: the disk failed".to_owned()), "{told:?}");
    assert!(told.contains(&"perform a".to_owned()), "{told:?}");
}

/// What a machine does at each of several times, when it is sent this or nothing.
fn turns(engine: Fake, at: &[(u64, Option<&'static str>)]) -> Vec<String> {
    let story = engine.story.clone();
    let (_sender, mut messages) = mpsc::channel(1);
    let mut driver = Driver::new(engine, power::clock::now);
    for (ms, message) in at {
        power::clock::set(Time(*ms));
        driver.turn(*message, &mut messages).now_or_never().expect("nothing to wait for");
    }
    let told = story.lock().unwrap();
    told.clone()
}

#[test]
fn a_disk_that_fails_a_message_alone_is_left_alone_but_for_what_is_asked() {
    let pause = u64::try_from(REBUILD_PAUSE.as_millis()).unwrap();
    let at = [(5, Some("full")), (6, Some("a")), (7, Some("ask")), (5 + pause, Some("b"))];
    let told = turns(Fake { greets: true, ..Fake::default() }, &at);
    let rest = [
        "step full",
        "rebuild",
        "perform greeting",
        "step full",
        "give up full: the disk is full",
        "rebuild",
        "discard",
        "give up a: the disk is full",
        "step ask",
        "perform ask",
        "rebuild",
        "perform greeting",
        "step b",
        "perform b",
    ];
    assert_eq!(told, rest);
}

/// On a full disk a deadline that was due ran, failed and was due again, for ever and at once; every time
/// the machine was rebuilt and told all peers so.
#[test]
fn a_deadline_that_fails_alone_waits_and_nothing_else_does() {
    let pause = u64::try_from(REBUILD_PAUSE.as_millis()).unwrap();
    let at = [(5, None), (5, None), (6, Some("a")), (5 + pause, None)];
    let told = turns(Fake { poisoned: true, deadline: Some(Time(1)), ..Fake::default() }, &at);
    let failed =
        ["step deadline", "rebuild", "step deadline", "give up deadline: the database is damaged", "rebuild"];
    let idle = ["flush"].as_slice();
    let rest = [idle, &failed, idle, &["step a", "perform a"], idle, &failed].concat();
    assert_eq!(told, rest);
}

#[tokio::test]
async fn a_due_deadline_runs_with_what_is_ready() {
    let told = story_of(&["a", "end"], Some(Time(1))).await;
    assert_eq!(told, ["rebuild", "step a,deadline", "perform a", "perform deadline", "flush"]);
}

#[tokio::test]
async fn a_machine_whose_clock_was_set_back_is_called_though_nothing_is_due() {
    static READ: AtomicU64 = AtomicU64::new(0);
    /// Goes forward until it is set back by an hour.
    fn clock() -> Time {
        const HOUR_MS: u64 = 3_600_000;
        let read = READ.fetch_add(1, Ordering::Relaxed);
        Time(if read < 6 { 2 * HOUR_MS + read } else { HOUR_MS + read })
    }
    let never = Some(Time(u64::MAX));
    let messages = ["large", "large", "large", "large", "large", "large", "large", "large", "end"];
    let told = story_by(clock, &messages, never).await;
    let called = told.iter().filter(|told| told.starts_with("step") && told.contains("deadline"));
    assert_eq!(called.count(), 1, "{told:?}");
}

#[tokio::test]
async fn what_is_ready_beyond_the_bytes_of_a_transaction_is_the_next_one() {
    let told = story_of(&["large", "a", "large", "b", "end"], None).await;
    let rest = [
        "rebuild",
        "step large,a,large",
        "perform large",
        "perform a",
        "perform large",
        "step b",
        "perform b",
        "flush",
    ];
    assert_eq!(told, rest);
}

#[tokio::test]
async fn a_step_that_causes_much_ends_and_the_rest_of_its_batch_follows() {
    let told = story_of(&["a", "loud", "b", "c", "end"], None).await;
    let rest = [
        "rebuild",
        "step a,loud",
        "perform a",
        "perform loud",
        "step b,c",
        "perform b",
        "perform c",
        "flush",
    ];
    assert_eq!(told, rest);
}

async fn ask(messages: &mpsc::Sender<ToMessenger>, request: Request) -> crate::links::Answer {
    let (answer, answered) = oneshot::channel();
    messages.send(ToMessenger::Command(request, answer)).await.unwrap();
    answered.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_commands_are_answered_so() {
    let home = tempfile::tempdir().unwrap();
    let store = PrivateStore::open(home.path(), &Unlock::default()).unwrap();
    store.limit_pages(40);
    let (messages, received) = mpsc::channel(16);
    let (keeper, _kept) = mpsc::channel(16);
    let (runner, _commands) = mpsc::channel(1_024);
    let surroundings = Surroundings { keeper, runner, hub: Arc::new(EventHub::new(0)) };
    let directory = home.path().to_owned();
    let engine =
        MessengerEngine::new(PeerId([1; 32]), directory, Unlock::default(), Some(store), surroundings);
    let thread = run(engine, received).spawn().unwrap();
    let name = Some("alice".to_owned());
    assert!(matches!(ask(&messages, Request::Init(InitParams { name })).await, Ok(Reply::Init(_))));
    let mut told = None;
    for i in 0..2_000 {
        let params =
            murmesh_protocol::control::InviteParams { uses: None, expires_ms: None, no_address: true };
        if let Err(error) = ask(&messages, Request::Invite(params)).await {
            told = Some((i, error.name));
            break;
        }
    }
    let Some((_, name)) = told else { panic!("forty pages are never full") };
    assert!(matches!(name, murmesh_protocol::control::ErrorName::Disk), "{name:?}");
    // Reading goes on.
    let params =
        SendParams { to: "nobody".to_owned(), text: "x".to_owned(), client_id: None, expire_ms: None };
    let read = ask(&messages, Request::Send(params)).await;
    assert_eq!(read.unwrap_err().name, murmesh_protocol::control::ErrorName::NoSuchContact);
    messages.send(ToMessenger::Stop).await.unwrap();
    tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
}
