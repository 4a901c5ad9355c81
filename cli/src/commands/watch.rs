//! `status --watch`: the status as it changes, until Ctrl-C. A node that stops is said and waited for.

use std::thread;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{NoParams, Request, StatusReply};
use serde::Serialize;

use super::Outcome;
use super::status::screen;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Failure, Problem};

/// How long a status is shown when nothing happens.
const EVERY: Duration = Duration::from_secs(2);
/// How long it is shown at least: events come in crowds.
const AT_LEAST: Duration = Duration::from_millis(200);
/// How often to look for a node that has stopped.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct Stopped {
    state: &'static str,
}

pub(super) fn run(context: &Context<'_>) -> Outcome {
    let mut client = context.node()?;
    loop {
        let Err(failure) = follow(context, &mut client);
        let gone = matches!(failure.problem, Problem::NodeEnded | Problem::Unreachable);
        if !gone {
            return Err(failure);
        }
        if context.output.is_terminal() {
            let same = context.same_directory();
            context.output.redraw(&format!("the node has stopped; waiting for it\n\n  murmesh up{same}"))?;
        } else {
            context.output.document(&Stopped { state: "stopped" })?;
        }
        client = come_back(context)?;
    }
}

/// Shows the status of one run of the node to its end.
fn follow(context: &Context<'_>, client: &mut Client) -> Result<std::convert::Infallible, Failure> {
    client.subscribe(None, &[])?;
    loop {
        let status: StatusReply = client.call(&Request::Status(NoParams {}))?;
        if context.output.is_terminal() {
            context.output.redraw(&screen(&status, context.same_directory()))?;
        } else {
            context.output.document(&status)?;
        }
        let shown = Instant::now();
        client.next_event_raw(Some(shown + EVERY))?;
        // What has come until then is in the next status.
        while client.next_event_raw(Some(shown + AT_LEAST))?.is_some() {}
    }
}

/// A node that is starting may refuse or close the connection: it is tried again.
fn come_back(context: &Context<'_>) -> Result<Client, Failure> {
    loop {
        match context.running() {
            Ok(Some(client)) => return Ok(client),
            Ok(None) => {}
            Err(failure) if failure.problem == Problem::Unreachable => {}
            Err(failure) => return Err(failure),
        }
        thread::sleep(LOOK_EVERY);
    }
}
