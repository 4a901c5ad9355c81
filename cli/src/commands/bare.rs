//! Bare `murmesh`: where one stands and what to type next.

use murmesh_protocol::control::{NoParams, Request, StatusReply};
use serde::Serialize;

use super::Outcome;
use super::status::without_account;
use crate::context::Context;
use crate::data_dir;
use crate::error::exit;
use crate::text::one_line;
use crate::words::count;

#[derive(Serialize)]
struct Stopped {
    state: &'static str,
}

pub(super) fn run(context: &Context<'_>) -> Outcome {
    let Some(mut client) = context.running()? else {
        let known = !data_dir::is_fresh(&context.data_dir);
        let same = context.same_directory();
        context.output.answer(&Stopped { state: "stopped" }, || {
            if known {
                let commands =
                    [(format!("murmesh up{same}"), "start it"), ("murmesh help".to_owned(), "all commands")];
                format!("no node is running\n\n{}", columns(&commands))
            } else {
                first_steps(same)
            }
        })?;
        return Ok(exit::DONE);
    };
    let status: StatusReply = client.call(&Request::Status(NoParams {}))?;
    context.output.answer(&status, || summary(&status, context.same_directory()))?;
    Ok(exit::DONE)
}

fn first_steps(same: &str) -> String {
    let commands = [
        (format!("murmesh init --name NICK{same}"), "make an account: no number, no mail address"),
        (format!("murmesh invite --qr{same}"), "let somebody add you"),
        (format!("murmesh add{same}"), "add somebody by their ticket"),
        (format!("murmesh send WHO \"hello\"{same}"), "send"),
        ("murmesh help".to_owned(), "all commands"),
    ];
    let head = "murmesh: messages from machine to machine, with no server in the middle";
    format!("{head}\n\n{}", columns(&commands))
}

/// Commands and what they are for, one a line.
fn columns(commands: &[(String, &str)]) -> String {
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    commands.iter().map(|(command, purpose)| format!("  {command:<width$}   {purpose}\n")).collect()
}

fn summary(status: &StatusReply, same: &str) -> String {
    let Some(account) = &status.account else {
        let kept = count(status.custody.envelopes, "envelope");
        return format!("{}\nit keeps {kept} now", without_account(status, same).unwrap_or_default());
    };
    let waiting = status.outbox.queued + status.outbox.held;
    let next = match (status.contacts, status.unread) {
        (_, 1..) => format!("murmesh read --unread{same}"),
        _ if status.requests > 0 => format!("murmesh request list{same}"),
        (0, _) => format!("murmesh invite --qr{same}"),
        _ => "murmesh help".to_owned(),
    };
    format!(
        "{} {}\n{}, {}, {} unread, {} on the way; {}\n\n  {next}",
        one_line(&account.name),
        one_line(&account.account),
        count(status.contacts, "contact"),
        count(status.peers.connected, "peer"),
        status.unread,
        count(waiting, "message"),
        if status.health.ok { "all is well" } else { "there is something to do: murmesh status" },
    )
}
