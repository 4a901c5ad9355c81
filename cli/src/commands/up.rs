//! `up`.

use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use murmesh_protocol::control::{NoParams, Request, StatusReply};
use serde::Serialize;

use super::Outcome;
use super::status::{asking, without_account};
use crate::args::Up;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Failure, exit};
use crate::output::quoted;
use crate::passphrase::Passphrase;
use crate::start;
use crate::text::one_line;

/// How long a person waits for what is said about mail; a bot does not.
const SETTLING: Duration = Duration::from_secs(1);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Running<'a> {
    state: &'a str,
    pid: u32,
    peer_id: &'a str,
    listen: &'a [String],
    /// Flags of this call that a node started earlier does not know of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_applied: Vec<String>,
}

pub(super) fn run(context: &Context<'_>, args: &Up) -> Outcome {
    let mut passphrase = Passphrase::of(args.passphrase_file.as_deref());
    let (mut client, status, already) = match context.running()? {
        Some(mut client) => {
            let status = ask(&mut client)?;
            (client, status, true)
        }
        None if args.foreground => return Err(start::become_node(context, args, &mut passphrase)),
        None => {
            let started = start::start(context, args, &mut passphrase)?;
            (started.client, started.status, !started.ours)
        }
    };
    let not_applied = if already { flags(args) } else { Vec::new() };
    let running = Running {
        state: &status.state,
        pid: status.pid,
        peer_id: &status.peer_id,
        listen: &status.listen,
        not_applied,
    };
    context.output.answer(&running, || {
        let how = if already { "running already" } else { "running" };
        // With the peer in it an address does not fit 80 columns; it is dialed as well without.
        let bare = |address: &String| one_line(address.split("/p2p/").next().unwrap_or_default());
        let addresses =
            status.listen.iter().map(|address| format!("\nlisten   {}", bare(address))).collect::<String>();
        format!("{how}: process {}\npeer     {}{addresses}", status.pid, one_line(&status.peer_id))
    })?;
    if !running.not_applied.is_empty() {
        let (flags, same) = (running.not_applied.join(" "), context.same_directory());
        context.output.talk(&format!(
            "it runs as it was started; not applied: {flags}\n  next: murmesh down{same} && murmesh up {flags}{same}"
        ));
    }
    if !context.output.is_json() {
        let settled = settle(&mut client, status.clone(), !args.peer.is_empty())?;
        context.output.talk(&about_mail(&settled, context.same_directory()));
        if let Some(asking) = asking(&settled, context.same_directory()) {
            context.output.talk(&asking);
        }
    }
    Ok(exit::DONE)
}

/// What was asked of the node, as it was typed.
fn flags(args: &Up) -> Vec<String> {
    let profile = args.profile.and_then(|profile| profile.to_possible_value());
    let profile = profile.iter().map(|profile| format!("--profile {}", profile.get_name()));
    let foreground = args.foreground.then(|| "--foreground".to_owned());
    let listen = args.listen.iter().map(|address| format!("--listen {}", quoted(address)));
    let peer = args.peer.iter().map(|address| format!("--peer {}", quoted(address)));
    profile.chain(foreground).chain(listen).chain(peer).collect()
}

fn ask(client: &mut Client) -> Result<StatusReply, Failure> {
    client.call(&Request::Status(NoParams {}))
}

/// A node that was told of a peer, or knows some, is given a moment to find who keeps mail: right after
/// the start it has not dialed anybody yet.
fn settle(client: &mut Client, mut status: StatusReply, told: bool) -> Result<StatusReply, Failure> {
    let deadline = Instant::now() + SETTLING;
    while status.custodians_known == 0 && (told || status.peers.known > 0) && Instant::now() < deadline {
        thread::sleep(LOOK_EVERY);
        status = ask(client)?;
    }
    Ok(status)
}

/// What becomes of mail to people who are offline, and what to type next without an account.
fn about_mail(status: &StatusReply, same: &str) -> String {
    if let Some(why) = without_account(status, same) {
        return why;
    }
    match status.custodians_known {
        0 => "no other peer known yet: messages to people who are offline wait here".to_owned(),
        // Nobody is offline while their own node is up: of a single one that matters.
        1 => "messages to people who are offline are kept by 1 other peer too, except those to its owner"
            .to_owned(),
        known => format!("messages to people who are offline are kept by others too: {known} peers known"),
    }
}
