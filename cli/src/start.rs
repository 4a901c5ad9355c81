//! Starting and ending `murmeshd`, and asking it without a running node (`murmeshd offline`).

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use clap::ValueEnum;
use murmesh_protocol::control::files::{LOCK, LOG, STARTUP_ERROR};
use murmesh_protocol::control::{ControlError, Done, ErrorName, IdReply, NoParams, Request, StatusReply};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use crate::args::Up;
use crate::client::{Client, answer_of, line_of};
use crate::context::Context;
use crate::data_dir;
use crate::error::{Failure, Problem};
use crate::passphrase::Passphrase;

/// How long a start may take.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// How long a node may take to end by itself, the time to ask it included.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long it may take to answer that it will end; then it gets a signal.
const STOP_ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// How long the system may take to end a node that was killed.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A node that is ready.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) client: Client,
    pub(crate) status: StatusReply,
    /// It is the process that was started here; another start may have been faster.
    pub(crate) ours: bool,
}

/// Starts a node in the background and waits until its listeners are bound.
pub(crate) fn start(
    context: &Context<'_>,
    flags: &Up,
    passphrase: &mut Passphrase,
) -> Result<Started, Failure> {
    data_dir::make_usable(&context.data_dir)?;
    passphrase.unlock(context, |passphrase| start_once(context, flags, passphrase))
}

fn start_once(context: &Context<'_>, flags: &Up, passphrase: &Passphrase) -> Result<Started, Failure> {
    let error_file = context.data_dir.join(STARTUP_ERROR);
    // A reason of an earlier start must not be taken for one of this.
    match fs::remove_file(&error_file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(data_dir::unusable(&error_file, &error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut command = murmeshd(context, flags)?;
    let handed = passphrase.hand_to(&mut command)?;
    command.arg("--detached").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    context.output.detail(&format!("running {command:?}"));
    let mut child = command.spawn().map_err(|error| cannot_run(&error))?;
    drop(handed);
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if let Some(started) = ready(context, flags, child.id())? {
            return Ok(started);
        }
        if has_ended(&mut child)? {
            return on_early_end(context, flags, child.id(), &error_file);
        }
        if Instant::now() >= deadline {
            return Err(see_log(context, Problem::StartTimedOut));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Becomes the node: returns only when that fails.
pub(crate) fn become_node(context: &Context<'_>, flags: &Up, passphrase: &mut Passphrase) -> Failure {
    let mut exec = || {
        data_dir::make_usable(&context.data_dir)?;
        // A node in the foreground asks nothing: a passphrase that is missing is asked for first.
        match ask_offline::<IdReply>(context, &Request::IdShow(NoParams {}), passphrase) {
            Err(failure) if failure.problem != Problem::Node(ErrorName::NoAccount) => return Err(failure),
            Ok(_) | Err(_) => {}
        }
        let mut command = murmeshd(context, flags)?;
        let _handed = passphrase.hand_to(&mut command)?;
        Err(cannot_run(&command.exec()))
    };
    exec().unwrap_or_else(|failure| failure)
}

/// The node answers and every listener has its address. One that does not answer yet may do so later.
fn ready(context: &Context<'_>, flags: &Up, child: u32) -> Result<Option<Started>, Failure> {
    match look(context, flags, child) {
        Err(failure) if failure.problem == Problem::Unreachable => Ok(None),
        looked => looked,
    }
}

fn look(context: &Context<'_>, flags: &Up, child: u32) -> Result<Option<Started>, Failure> {
    let Some(mut client) = context.running()? else {
        return Ok(None);
    };
    let status: StatusReply = client.call(&Request::Status(NoParams {}))?;
    let bound = status.listen.iter().filter(|address| address.contains("/p2p/")).count();
    let ours = client.pid() == child;
    let wanted = if ours { flags.listen.len().max(1) } else { 1 };
    Ok((bound >= wanted && bound == status.listen.len()).then_some(Started { client, status, ours }))
}

/// Two starts at once: the one that lost the lock is satisfied with the other's node.
fn on_early_end(
    context: &Context<'_>,
    flags: &Up,
    child: u32,
    error_file: &Path,
) -> Result<Started, Failure> {
    if let Some(started) = ready(context, flags, child)? {
        return Ok(started);
    }
    let Ok(told) = fs::read_to_string(error_file) else {
        return Err(see_log(context, Problem::NodeDied));
    };
    // A reason that is there and cut short did not fit the disk: that is the reason.
    let full = |_| ControlError::new(ErrorName::Disk);
    Err(Failure::from(serde_json::from_str(&told).unwrap_or_else(full)))
}

fn has_ended(child: &mut Child) -> Result<bool, Failure> {
    child.try_wait().map(|status| status.is_some()).map_err(|error| cannot_run(&error))
}

/// Points to the log, if the node came so far that there is one.
fn see_log(context: &Context<'_>, problem: Problem) -> Failure {
    let log = context.data_dir.join(LOG);
    if log.is_file() { Failure::with(problem, log.display().to_string()) } else { Failure::new(problem) }
}

/// The command line of a node on this data directory.
fn murmeshd(context: &Context<'_>, flags: &Up) -> Result<Command, Failure> {
    let mut command = Command::new(find_murmeshd()?);
    command.arg("--data-dir").arg(&context.data_dir);
    for address in &flags.listen {
        command.arg("--listen").arg(address);
    }
    for address in &flags.peer {
        command.arg("--peer").arg(address);
    }
    if let Some(profile) = flags.profile.and_then(|profile| profile.to_possible_value()) {
        command.arg("--profile").arg(profile.get_name());
    }
    Ok(command)
}

/// Beside this program, then on PATH.
fn find_murmeshd() -> Result<PathBuf, Failure> {
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("murmeshd")));
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let on_path = on_path.into_iter().map(|dir| dir.join("murmeshd"));
    beside.into_iter().chain(on_path).find(|path| path.is_file()).ok_or(Failure::new(Problem::NoNodeBinary))
}

fn cannot_run(error: &io::Error) -> Failure {
    Failure::with(Problem::Client, format!("cannot run murmeshd: {}", data_dir::system_words(error)))
}

/// Asks the running node, or `murmeshd offline` if none runs.
pub(crate) fn ask_anyway<T: DeserializeOwned>(
    context: &Context<'_>,
    request: &Request,
    passphrase: &mut Passphrase,
) -> Result<T, Failure> {
    match context.running()? {
        Some(mut client) => client.call(request),
        None => ask_offline(context, request, passphrase),
    }
}

fn ask_offline<T: DeserializeOwned>(
    context: &Context<'_>,
    request: &Request,
    passphrase: &mut Passphrase,
) -> Result<T, Failure> {
    data_dir::check_readable(&context.data_dir)?;
    passphrase.unlock(context, |passphrase| ask_once(context, request, passphrase))
}

fn ask_once<T: DeserializeOwned>(
    context: &Context<'_>,
    request: &Request,
    passphrase: &Passphrase,
) -> Result<T, Failure> {
    let mut command = Command::new(find_murmeshd()?);
    command.arg("offline").arg("--data-dir").arg(&context.data_dir);
    let handed = passphrase.hand_to(&mut command)?;
    context.output.detail(&format!("running {command:?}"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|error| cannot_run(&error))?;
    drop(handed);
    if let Some(mut stdin) = child.stdin.take() {
        // A node that ends before it reads has said why, or nothing: seen below.
        let _early_end = stdin.write_all(line_of(1, request)?.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| cannot_run(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) => answer_of(line),
        None => Err(Failure::new(Problem::NodeDied)),
    }
}

/// What `murmeshd config` says: the only parser of `config.toml` is the node's.
pub(crate) fn ask_config<T: DeserializeOwned>(
    context: &Context<'_>,
    file: Option<&Path>,
) -> Result<T, Failure> {
    let mut command = Command::new(find_murmeshd()?);
    command.arg("config").arg("--data-dir").arg(&context.data_dir);
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    context.output.detail(&format!("running {command:?}"));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| cannot_run(&error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map_or_else(|| Err(Failure::new(Problem::NodeDied)), answer_of)
}

/// Asks the node to end and waits until its lock is free; kills it [`STOP_PATIENCE`] after the call.
pub(crate) fn stop(context: &Context<'_>) -> Result<(), Failure> {
    let lock = context.data_dir.join(LOCK);
    let kill_at = Instant::now() + STOP_PATIENCE;
    let connect = |give_up_at| Client::connect(&context.data_dir, Some(give_up_at));
    match connect(Instant::now() + STOP_ANSWER_PATIENCE) {
        // Whoever wants it to end has that, or means another directory.
        Ok(None) if is_free(&lock) => {
            return Err(Failure::new(Problem::NotRunning).next("murmesh help down"));
        }
        // It is starting, or stopping already: a signal makes sure of the latter.
        Ok(None) => signal(&lock, Signal::TERM)?,
        Ok(Some(mut client)) => {
            // It may close the connection before it answers: what counts is that it ends.
            let asked = client.call::<Done>(&Request::Stop(NoParams {}));
            context.output.detail(&format!("asked process {} to stop: {}", client.pid(), asked.is_ok()));
        }
        // It holds the socket and answers nothing sensible.
        Err(failure) if failure.problem == Problem::Unreachable => signal(&lock, Signal::TERM)?,
        Err(failure) => return Err(failure),
    }
    if wait_until(kill_at, || is_free(&lock) && matches!(connect(kill_at), Ok(None))) {
        return Ok(());
    }
    signal(&lock, Signal::KILL)?;
    let killed = wait_until(Instant::now() + KILL_PATIENCE, || is_free(&lock));
    if killed { Ok(()) } else { Err(Failure::new(Problem::NotStopped)) }
}

/// Signals the process that holds the lock of this directory; its id is in the file. Nobody else is
/// signalled: whoever holds the lock is the node, and a free lock has an id of the past.
fn signal(lock: &Path, signal: Signal) -> Result<(), Failure> {
    let holder = fs::read_to_string(lock).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let Some(pid) = holder.and_then(Pid::from_raw).filter(|_| !is_free(lock)) else {
        return if is_free(lock) { Ok(()) } else { Err(Failure::new(Problem::NotStopped)) };
    };
    kill_process(pid, signal)
        .map_err(|error| Failure::with(Problem::NotStopped, io::Error::from(error).to_string()))
}

/// Nobody holds the lock: the node has ended, however it ended.
fn is_free(lock: &Path) -> bool {
    match File::open(lock).map(|file| file.try_lock()) {
        Ok(Ok(())) => true,
        Ok(Err(TryLockError::WouldBlock)) => false,
        Ok(Err(TryLockError::Error(_))) => false,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

fn wait_until(deadline: Instant, mut done: impl FnMut() -> bool) -> bool {
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
    true
}
