//! One round: nodes are made and introduced, killed by plan while people write, left alone until the
//! outboxes are empty, all killed once more, and asked what they have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    AddParams, AddReply, ContactReply, ContactState, InitParams, InitReply, InviteParams, InviteReply,
    NoParams, OutboxReply, ReadReply, Request, StatusReply, WhoParams,
};
use serde::de::DeserializeOwned;

use super::draw::Draw;
use super::follower::{Follower, everything, listed};
use super::lab::{Fault, Lab};
use super::plan::{Blow, Moment, Plan, Strike, Target};
use super::seat::Seat;
use super::talker::Talker;
use super::tally::Tally;
use super::{ARRIVAL_PATIENCE, DRAIN_PATIENCE, START_PATIENCE};
use crate::client::{CallError, Client};
use crate::history::{Anomaly, Entry, Person, Recorder, check};
use crate::programs::{self, NotBuilt};

/// A round could not be run.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// Its directory or its record.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The program under test.
    #[error("{0}")]
    NotBuilt(#[from] NotBuilt),
}

/// What came of a round.
#[derive(Debug)]
pub struct Round {
    /// Its counts.
    pub tally: Tally,
    /// What must not be.
    pub anomalies: BTreeSet<Anomaly>,
    /// A node ended by itself, did not come back, panicked, or kept its outbox.
    pub fault: Option<Fault>,
}

impl Round {
    /// Every promise was kept.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.anomalies.is_empty() && self.fault.is_none()
    }
}

/// Runs a round in `root`, an empty directory with a short path. `progress` is told the kills so far.
///
/// # Errors
/// When it cannot be run; a broken promise is in the [`Round`].
pub fn run_round(
    root: &Path,
    (seed, number): (u64, u32),
    plan: &Plan,
    progress: &mut dyn FnMut(u64),
) -> Result<Round, RoundError> {
    let began = Instant::now();
    let murmeshd = programs::find("murmeshd")?;
    let recorder = Recorder::into_file(&root.join("history.jsonl"))?;
    let lab = Arc::new(Lab::new(root.to_owned(), murmeshd, recorder));
    let mut drained = None;
    let ended = Nodes::start(&lab).and_then(|nodes| {
        let lab = &*lab;
        thread::scope(|scope| {
            let _end = EndOnDrop(lab);
            for person in Person::BOTH {
                scope.spawn(move || Follower::new(lab, person).run());
            }
            let talkers = Person::BOTH.map(|person| {
                let draw = Draw::new(seed, number, 1 + u8::from(person == Person::Bob));
                scope.spawn(move || Talker::new(lab, person, draw).run())
            });
            strike_all(lab, &nodes, plan, progress)?;
            lab.be_quiet();
            wait_until("everything is answered", lab, DRAIN_PATIENCE, || {
                talkers.iter().all(thread::ScopedJoinHandle::is_finished)
            })?;
            // What is stuck is looked at all the same: the table tells what it is.
            let ended = drain(lab).map(|times| drained = Some(times));
            nodes.strike_everyone(lab)?;
            look_for_the_last_time(lab)?;
            ended
        })
    });
    let fault = lab.fault().or(ended.err()).or_else(|| panicked(&lab));
    let history = lab.recorder.finish()?;
    let anomalies = check(&history);
    let mut tally = Tally::of(plan, &history, &anomalies);
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    tally.arrivals_ms.extend(drained.map(|(arrived, _)| ms(arrived)));
    tally.drains_ms.extend(drained.map(|(_, empty)| ms(empty)));
    tally.seconds = began.elapsed().as_secs();
    Ok(Round { tally, anomalies, fault })
}

/// The threads of a round end with it, however it ends.
struct EndOnDrop<'a>(&'a Lab);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The threads that keep the nodes; they end, and the nodes with them, when this is dropped.
struct Nodes {
    blows: Vec<(Target, Sender<Blow>)>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Nodes {
    /// Starts all of them and makes the two people each other's contacts.
    fn start(lab: &Arc<Lab>) -> Result<Nodes, Fault> {
        let mut seats = Vec::new();
        let mut first = None;
        for target in Target::all() {
            let mut seat = Seat::new(Arc::clone(lab), target, first.clone());
            seat.start()?;
            if first.is_none() {
                first = Some(address(lab, target)?);
            }
            if let Target::Person(person) = target {
                let name = Some(person.name().to_owned());
                let _: InitReply = ask(lab, target, &Request::Init(InitParams { name }))?;
            }
            lab.is_up(target, None);
            seats.push((target, seat));
        }
        introduce(lab)?;
        let mut nodes = Nodes { blows: Vec::new(), threads: Vec::new() };
        for (target, seat) in seats {
            let (to, blows) = channel();
            let kept = thread::Builder::new().name(target.to_string()).spawn(move || seat.serve(&blows));
            nodes.blows.push((target, to));
            nodes.threads.push(kept.map_err(|error| Fault(format!("no thread: {error}")))?);
        }
        Ok(nodes)
    }

    fn hit(&self, lab: &Lab, blows: &[Blow]) {
        for blow in blows {
            lab.is_down(blow.target);
            let to = self.blows.iter().find(|(target, _)| *target == blow.target);
            // A seat that is gone has left its reason.
            let _ = to.map(|(_, to)| to.send(*blow));
        }
    }

    fn strike_everyone(&self, lab: &Lab) -> Result<(), Fault> {
        let blow = |target| Blow { target, wait: Duration::ZERO, down: Duration::ZERO, again: None };
        self.hit(lab, &Target::all().map(blow).collect::<Vec<_>>());
        lab.wait_until_up(&Target::all().collect::<Vec<_>>(), START_PATIENCE)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.blows.clear();
        for kept in self.threads.drain(..) {
            let _ended = kept.join();
        }
    }
}

fn strike_all(lab: &Lab, nodes: &Nodes, plan: &Plan, progress: &mut dyn FnMut(u64)) -> Result<(), Fault> {
    let mut kills = 0;
    for strike in &plan.strikes {
        let targets: Vec<Target> = strike.blows.iter().map(|blow| blow.target).collect();
        lab.rest(strike.pause);
        lab.wait_until_up(&targets, UP_PATIENCE)?;
        wait_for_moment(lab, strike);
        nodes.hit(lab, &strike.blows);
        kills += strike.blows.iter().map(|blow| u64::from(blow.kills())).sum::<u64>();
        progress(kills);
    }
    lab.wait_until_up(&Target::all().collect::<Vec<_>>(), UP_PATIENCE)
}

/// Where everybody rests, nothing is waited for.
fn wait_for_moment(lab: &Lab, strike: &Strike) {
    let patience = Instant::now() + MOMENT_PATIENCE;
    match strike.moment {
        Moment::Any => true,
        Moment::Written(person) => lab
            .recorder
            .wait_for(patience, |entry| matches!(entry, Entry::Invoke { label } if label.author == person)),
        Moment::Acknowledged(person) => lab
            .recorder
            .wait_for(patience, |entry| matches!(entry, Entry::Ok { label, .. } if label.author == person)),
        Moment::Shown(person) => {
            lab.recorder.wait_for(patience, |entry| matches!(entry, Entry::Shown { at, .. } if *at == person))
        }
        Moment::State(person) => {
            lab.recorder.wait_for(patience, |entry| matches!(entry, Entry::State { at, .. } if *at == person))
        }
    };
    lab.rest(strike.delay);
}

/// Until everything is shown that was acknowledged, and neither has anything left to deliver. How long both
/// took.
fn drain(lab: &Lab) -> Result<(Duration, Duration), Fault> {
    let began = Instant::now();
    wait_until("what was acknowledged is shown", lab, ARRIVAL_PATIENCE, || everything_is_shown(lab))?;
    let arrived = began.elapsed();
    for person in Person::BOTH {
        let what = format!("the outbox of {} is empty", person.name());
        wait_until(&what, lab, DRAIN_PATIENCE, || {
            ask::<OutboxReply>(lab, Target::Person(person), &Request::Outbox(NoParams {}))
                .is_ok_and(|outbox| outbox.messages.is_empty())
        })?;
    }
    Ok((arrived, began.elapsed()))
}

fn everything_is_shown(lab: &Lab) -> bool {
    let (mut shown, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
    for entry in lab.recorder.snapshot() {
        if let Entry::Shown { id, .. } = entry {
            shown.insert(id);
        } else if let Entry::Ok { id, .. } = entry {
            acknowledged.insert(id);
        }
    }
    acknowledged.is_subset(&shown)
}

/// What both have, when every event of it has been told too: a missing one is found by the checker.
fn look_for_the_last_time(lab: &Lab) -> Result<(), Fault> {
    for at in Person::BOTH {
        let deadline = Instant::now() + EVENTS_PATIENCE;
        loop {
            let began = lab.recorder.record(Entry::ReadBegan { at });
            let reply: ReadReply = ask(lab, Target::Person(at), &everything())?;
            let messages = listed(reply);
            let told: BTreeSet<String> = lab.recorder.snapshot().into_iter().filter_map(shown_id).collect();
            if messages.iter().all(|m| m.own || told.contains(&m.id)) || Instant::now() > deadline {
                lab.recorder.record(Entry::Read { at, began, last: true, messages });
                break;
            }
            lab.rest(ASK_EVERY);
        }
    }
    Ok(())
}

fn shown_id(entry: Entry) -> Option<String> {
    if let Entry::Shown { id, .. } = entry { Some(id) } else { None }
}

fn introduce(lab: &Lab) -> Result<(), Fault> {
    let [alice, bob] = Person::BOTH.map(Target::Person);
    let invite = InviteParams { uses: None, expires_ms: None, no_address: false };
    let InviteReply { ticket, .. } = ask(lab, alice, &Request::Invite(invite))?;
    let _: AddReply = ask(lab, bob, &Request::Add(AddParams { ticket, name: None, text: None }))?;
    for person in Person::BOTH {
        let who = person.other().name().to_owned();
        let request = Request::Contact(WhoParams { who });
        wait_until("they are each other's contacts", lab, START_PATIENCE, || {
            ask::<ContactReply>(lab, Target::Person(person), &request)
                .is_ok_and(|contact| contact.state == ContactState::Connected)
        })?;
    }
    Ok(())
}

/// Where a node listens.
fn address(lab: &Lab, target: Target) -> Result<String, Fault> {
    let mut address = None;
    wait_until("it listens", lab, START_PATIENCE, || {
        let status = ask::<StatusReply>(lab, target, &Request::Status(NoParams {}));
        let listen = status.ok().and_then(|status| status.listen.into_iter().next());
        address = listen.filter(|address| address.contains("/p2p/"));
        address.is_some()
    })?;
    address.ok_or_else(|| Fault(format!("{target} does not listen")))
}

fn ask<T: DeserializeOwned>(lab: &Lab, target: Target, request: &Request) -> Result<T, Fault> {
    let answer = Client::connect(&lab.directory(target)).map_err(CallError::from);
    let answer = answer.and_then(|mut client| client.call(request));
    answer.map_err(|error| Fault(format!("{target}: {error}")))
}

fn wait_until(
    what: &str,
    lab: &Lab,
    patience: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), Fault> {
    let deadline = Instant::now() + patience;
    while !condition() {
        if let Some(fault) = lab.fault() {
            return Err(fault);
        }
        if Instant::now() > deadline {
            return Err(Fault(format!("not within {} s: {what}", patience.as_secs())));
        }
        lab.rest(ASK_EVERY);
    }
    Ok(())
}

/// A panic that a node survived is a fault all the same.
fn panicked(lab: &Lab) -> Option<Fault> {
    let logs: Vec<(Target, PathBuf)> = Target::all().map(|target| (target, lab.log(target))).collect();
    logs.into_iter().find_map(|(target, log)| {
        let text = fs::read_to_string(log).unwrap_or_default();
        let line = text.lines().find(|line| line.contains("panicked") || line.contains("a fault of murmesh"));
        line.map(|line| Fault(format!("{target}: {line}")))
    })
}

/// Longest that a node may be down, by plan and by itself.
const UP_PATIENCE: Duration = Duration::from_secs(40);
/// How long a strike waits for its moment.
const MOMENT_PATIENCE: Duration = Duration::from_millis(300);
/// How long the last events may take.
const EVENTS_PATIENCE: Duration = Duration::from_secs(10);
/// How often a question is asked again.
const ASK_EVERY: Duration = Duration::from_millis(20);
