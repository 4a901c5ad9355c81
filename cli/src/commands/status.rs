//! `status`: one screen.

use std::fmt::Write;

use murmesh_protocol::control::{ErrorName, NoParams, Reach, Request, StatusReply};

use super::Outcome;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::text::one_line;
use crate::words::{count, moment, size};

pub(super) fn run(context: &Context<'_>) -> Outcome {
    let mut client = context.node()?;
    let status: StatusReply = client.call(&Request::Status(NoParams {}))?;
    context.output.answer(&status, || screen(&status, context.same_directory()))?;
    Ok(if status.health.ok { exit::DONE } else { exit::DEGRADED })
}

pub(super) fn screen(status: &StatusReply, same: &str) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // A String takes whatever is written to it.
        let _infallible = writeln!(text, "{name:<8} {value}");
    };
    row("node", format!("running since {}, process {}", moment(status.started_at), status.pid,));
    row("role", words_of_role(&status.role));
    row("peer", one_line(&status.peer_id));
    match &status.account {
        Some(account) => {
            row("account", format!("{} {}", one_line(&account.name), one_line(&account.account)))
        }
        None => row("account", "none: keeps mail for others only".to_owned()),
    }
    for address in &status.listen {
        // The peer is named above: without it most addresses fit the line.
        row("listen", one_line(address.split("/p2p/").next().unwrap_or_default()));
    }
    if let Some(reach) = status.reach {
        row("reach", words_of_reach(reach).to_owned());
    }
    row(
        "peers",
        format!(
            "{} connected, {} known, {} of them keep mail",
            status.peers.connected, status.peers.known, status.custodians_known
        ),
    );
    if status.account.is_some() {
        let outbox = &status.outbox;
        let collected = status.collected_at.map_or("not yet".to_owned(), moment);
        let (queued, held, unread) = (outbox.queued, outbox.held, status.unread);
        row("mail", format!("{queued} queued, {held} held, {unread} unread; last collected: {collected}"));
    }
    if let Some(asking) = asking(status, same) {
        row("requests", asking);
    }
    let custody = &status.custody;
    row(
        "custody",
        format!(
            "{} for others; {} (yours too); {}",
            count(custody.envelopes, "envelope"),
            count(custody.records, "public record"),
            size(custody.bytes),
        ),
    );
    if status.health.ok {
        row("health", "all is well".to_owned());
    }
    for reason in &status.health.reasons {
        row("health", words_for(reason, status.account.is_some(), same));
    }
    text
}

/// A reason in words, with the command that helps. The node names some of its own errors as reasons.
pub(super) fn words_for(reason: &str, account: bool, same: &str) -> String {
    let error = serde_json::from_value::<ErrorName>(reason.into()).ok();
    match (reason, error) {
        ("no-peers", _) => format!("no peer is connected; {}", way_in(account, same)),
        ("nobody-to-keep-mail", _) => {
            "nobody else keeps mail: messages to people who are offline wait here".to_owned()
        }
        ("account-keys-contradict", _) => {
            format!(
                "a contact's device knows other keys of its account or of yours: a copy may be in other hands; \
                 compare with it: murmesh id show{same}"
            )
        }
        ("no-account", _) => {
            format!("no account: this node keeps mail for others; for one's own: murmesh init{same}")
        }
        (_, Some(name)) => {
            let failure = Failure::new(Problem::Node(name));
            format!("{}; next: {}", failure.message(), failure.hint(same))
        }
        (other, None) => one_line(other),
    }
}

/// How to find a first peer.
pub(super) fn way_in(account: bool, same: &str) -> String {
    if account {
        format!("a ticket is a way in: murmesh add{same}")
    } else {
        "how to name one: murmesh help up".to_owned()
    }
}

/// What others may expect of the node; a role of a newer node is shown as it is.
fn words_of_role(role: &str) -> String {
    match role {
        "full" => "full: reachable, so others may choose it to keep their mail".to_owned(),
        "light" => "light: not proven reachable yet; keeps mail in a small network only".to_owned(),
        other => one_line(other),
    }
}

fn words_of_reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Loopback => "this machine only: every listener is on loopback",
        Reach::Outside => "from outside: somebody at a global address has dialed it",
        Reach::Unproven => "not proven yet: nobody at a global address has dialed it",
    }
}

/// That somebody asks to be let in, and what to type, if that is so.
pub(super) fn asking(status: &StatusReply, same: &str) -> Option<String> {
    let verb = if status.requests == 1 { "asks" } else { "ask" };
    let who = count(status.requests, "stranger");
    (status.requests > 0).then(|| format!("{who} {verb} to be let in: murmesh request list{same}"))
}

/// Why there is no account to use, if that is so.
pub(super) fn without_account(status: &StatusReply, same: &str) -> Option<String> {
    let reason = |reason: &&String| !matches!(reason.as_str(), "no-peers" | "nobody-to-keep-mail");
    let reason = status.health.reasons.iter().find(reason).map_or("no-account", String::as_str);
    status.account.is_none().then(|| words_for(reason, false, same))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    #[test]
    fn every_reason_ends_with_a_command_that_the_parser_takes() {
        let reasons = ["no-peers", "no-account", "locked", "database", "internal"];
        for (reason, account) in reasons.iter().flat_map(|reason| [(reason, true), (reason, false)]) {
            let words = words_for(reason, account, " --data-dir /tmp/d");
            let at = words.find("murmesh ").unwrap();
            let parsed = Args::try_parse_from(words[at..].split(' '));
            assert!(parsed.is_ok() || !parsed.is_err_and(|error| error.use_stderr()), "{words}");
        }
    }
}
