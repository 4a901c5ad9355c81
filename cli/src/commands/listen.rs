//! `listen`: events in order of arrival, one JSON object a line, or one run of a command each.
//!
//! With a name each event is acknowledged when it is done, never before: it comes at least once.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use murmesh_protocol::control::{AckParams, Done, Request, SubscribeParams};
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::args::Listen;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Failure, Problem};
use crate::output::document_line;

/// How long a failed command is let be at first; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// And at most.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// An event as the node told it, in the order of the contract; a type that is new here passes through.
#[derive(Deserialize, Serialize)]
struct EventLine {
    cursor: String,
    #[serde(rename = "type")]
    kind: String,
    at: String,
    data: serde_json::Value,
}

pub(super) fn run(context: &Context<'_>, args: Listen) -> Outcome {
    let mut client = context.node_or_start()?;
    let mut since = args.since.map(|cursor| cursor.to_string());
    let mut late = None;
    loop {
        let before = since.clone();
        let Err(failure) = follow(context, &mut client, &args, &mut since, &mut late);
        // A command that takes long makes the node drop a client that does not read: it goes on where it
        // was. One that got nowhere since then would only do so again.
        let dropped = matches!(failure.problem, Problem::NodeEnded | Problem::Unreachable);
        if !dropped || args.exec.is_none() || since == before {
            return Err(failure);
        }
        client = context.running()?.ok_or(failure)?;
    }
}

/// Follows one connection to its end; `since` is the last event that is done, `late` one that is done and whose
/// acknowledgement came too late for the connection before: it is told again, acknowledged, and not done again.
fn follow(
    context: &Context<'_>,
    client: &mut Client,
    args: &Listen,
    since: &mut Option<String>,
    late: &mut Option<String>,
) -> Result<std::convert::Infallible, Failure> {
    let params = SubscribeParams { since: since.clone(), types: Vec::new(), name: args.name.clone() };
    let reply = client.follow(params)?;
    context.output.detail(&format!("listening from cursor {}", reply.cursor));
    loop {
        let Some(event) = client.next_event_raw(None)? else { continue };
        let Ok(line) = serde_json::from_value::<EventLine>(event) else { continue };
        match &args.exec {
            Some(_) if late.as_ref() == Some(&line.cursor) => {}
            Some(command) => execute(context, command, &line, args.name.is_some())?,
            None => context.output.document(&line)?,
        }
        *since = Some(line.cursor.clone());
        if args.name.is_some() {
            *late = Some(line.cursor.clone());
            let params = AckParams { subscription: reply.subscription.clone(), cursor: line.cursor };
            let _: Done = client.call(&Request::Ack(params))?;
        }
    }
}

/// Runs the command with the event, until it succeeds if it must.
fn execute(context: &Context<'_>, command: &str, event: &EventLine, must: bool) -> Result<(), Failure> {
    let line = document_line(event)?;
    let mut pause = RETRY_FIRST;
    loop {
        let status = run_once(command, &line)?;
        if status.success() {
            return Ok(());
        }
        let told = format!("the command failed at event {}: {status}", event.cursor);
        if !must {
            context.output.complain(&format!("{told}; skipped"));
            return Ok(());
        }
        context.output.complain(&format!("{told}; trying again in {pause:?}"));
        thread::sleep(pause);
        pause = (pause * 2).min(RETRY_MAX);
    }
}

fn run_once(command: &str, line: &[u8]) -> Result<ExitStatus, Failure> {
    let cannot = |error: std::io::Error| Failure::with(Problem::Client, format!("cannot run sh: {error}"));
    let mut child =
        Command::new("sh").arg("-c").arg(command).stdin(Stdio::piped()).spawn().map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read what it is told.
        let _unread = stdin.write_all(line);
    }
    child.wait().map_err(cannot)
}
