//! `status`: one screen.

use std::fmt::Write;

use murmesh_protocol::control::{NoParams, Request, StatusReply};

use super::Outcome;
use crate::context::Context;
use crate::error::exit;
use crate::text::one_line;
use crate::words::{count, moment, size};

pub(super) fn run(context: &Context<'_>) -> Outcome {
    let mut client = context.node()?;
    let status: StatusReply = client.call(&Request::Status(NoParams {}))?;
    context.output.answer(&status, || screen(&status, context.same_directory()))?;
    Ok(if status.health.ok { exit::DONE } else { exit::DEGRADED })
}

fn screen(status: &StatusReply, same: &str) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // A String takes whatever is written to it.
        let _infallible = writeln!(text, "{name:<8} {value}");
    };
    row(
        "node",
        format!("running since {}, process {}, {}", moment(status.started_at), status.pid, status.role),
    );
    row("peer", status.peer_id.clone());
    match &status.account {
        Some(account) => row("account", format!("{} {}", one_line(&account.name), account.account)),
        None => row("account", "none: keeps mail for others only".to_owned()),
    }
    for address in &status.listen {
        row("listen", address.clone());
    }
    row("peers", format!("{} connected, {} known", status.peers.connected, status.peers.known));
    if status.account.is_some() {
        let outbox = &status.outbox;
        row("mail", format!("{} queued, {} held, {} unread", outbox.queued, outbox.held, status.unread));
    }
    let custody = &status.custody;
    row(
        "custody",
        format!(
            "{}, {}, {}; {} known that keep mail",
            count(custody.envelopes, "envelope"),
            count(custody.records, "record"),
            size(custody.bytes),
            count(status.custodians_known, "other peer"),
        ),
    );
    if status.health.ok {
        row("health", "all is well".to_owned());
    }
    for reason in &status.health.reasons {
        row("health", words_for(reason, same));
    }
    text
}

/// A reason in words, with the command that helps.
fn words_for(reason: &str, same: &str) -> String {
    match reason {
        "no-peers" => format!("no peer is connected; add one: murmesh up{same} --peer MULTIADDR"),
        "nobody-to-keep-mail" => {
            "nobody else keeps mail: messages to people who are offline wait here".to_owned()
        }
        "no-account" => format!("no account; make one: murmesh init{same}"),
        other => one_line(other),
    }
}
