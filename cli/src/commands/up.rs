//! `up`.

use murmesh_protocol::control::{NoParams, Request, StatusReply};
use serde::Serialize;

use super::Outcome;
use super::status::without_account;
use crate::args::Up;
use crate::context::Context;
use crate::error::exit;
use crate::start;
use crate::words::count;

#[derive(Serialize)]
struct Running<'a> {
    state: &'a str,
    pid: u32,
    peer_id: &'a str,
    listen: &'a [String],
}

pub(super) fn run(context: &Context<'_>, args: &Up) -> Outcome {
    let (status, already) = match context.running()? {
        Some(mut client) => (client.call::<StatusReply>(&Request::Status(NoParams {}))?, true),
        None if args.foreground => return Err(start::become_node(context, args)),
        None => (start::start(context, args)?.status, false),
    };
    let running =
        Running { state: &status.state, pid: status.pid, peer_id: &status.peer_id, listen: &status.listen };
    context.output.answer(&running, || {
        let how = if already { "running already" } else { "running" };
        let addresses = status.listen.iter().map(|address| format!("\n  {address}")).collect::<String>();
        format!("{how}: process {}, listening on{addresses}", status.pid)
    })?;
    context.output.talk(&about_mail(&status, context.same_directory()));
    Ok(exit::DONE)
}

/// What becomes of mail to people who are offline, and what to type next without an account.
fn about_mail(status: &StatusReply, same: &str) -> String {
    if let Some(why) = without_account(status, same) {
        return why;
    }
    match status.custodians_known {
        0 => "no other peer known yet: messages to people who are offline wait here".to_owned(),
        known => format!(
            "messages to people who are offline are kept by others too: {} known",
            count(known, "peer")
        ),
    }
}
