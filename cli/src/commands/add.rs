//! `add`: a contact by its ticket.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    AddParams, AddReply, ContactReply, ContactState, EventBody, EventKind, Request, WhoParams,
};
use serde::Serialize;

use super::Outcome;
use crate::args::{Add, AddWait};
use crate::ask;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::text::one_line;

/// How long a person who did not say `--wait` is kept waiting for the other side.
const PATIENCE_OF_PEOPLE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Added {
    contact: String,
    account: String,
    state: ContactState,
    known: bool,
}

pub(super) fn run(context: &Context<'_>, args: Add) -> Outcome {
    let ticket = ticket(context, args.ticket)?;
    let mut client = context.node_or_start()?;
    let patience = patience(context, args.wait, args.timeout);
    if patience.is_some() {
        client.subscribe(None, &[EventKind::ContactConnected])?;
    }
    let reply: AddReply = client.call(&Request::Add(AddParams { ticket, name: args.name }))?;
    let AddReply { contact, account, state, known } = reply;
    let mut added = Added { contact, account, state, known };
    if let Some(patience) = patience {
        context.output.progress(&format!("asked {}; waiting for an answer", one_line(&added.contact)));
        let waited = wait_connected(&mut client, &mut added, Instant::now() + patience);
        context.output.progress("");
        waited?;
    }
    if args.wait == Some(AddWait::Connected) && added.state != ContactState::Connected {
        let detail = format!("{} has not answered yet; the request goes on", one_line(&added.contact));
        let failure = Failure::with(Problem::TimedOut, detail).next("murmesh contact list");
        return Err(failure.beside(&added));
    }
    context.output.answer(&added, || words(&added))?;
    if added.state == ContactState::Requested {
        context.output.talk("messages to them wait here until they answer; both need not be online at once");
    }
    Ok(exit::DONE)
}

fn words(added: &Added) -> String {
    let name = one_line(&added.contact);
    match (added.known, added.state) {
        (true, ContactState::Connected) => format!("{name} is a contact already; nothing was changed"),
        (_, ContactState::Connected) => format!("{name} is connected"),
        (true, _) => format!("{name} was asked already and has not answered yet; nothing was changed"),
        (false, _) => format!("asked {name}; no answer yet"),
    }
}

/// How long to wait for the other side, if at all.
fn patience(context: &Context<'_>, wait: Option<AddWait>, timeout_ms: u64) -> Option<Duration> {
    match wait {
        Some(AddWait::Connected) => Some(Duration::from_millis(timeout_ms)),
        None if context.output.is_terminal() => Some(PATIENCE_OF_PEOPLE),
        Some(AddWait::Requested) | None => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only these events matter here")]
fn wait_connected(client: &mut Client, added: &mut Added, deadline: Instant) -> Result<(), Failure> {
    while added.state == ContactState::Requested {
        let Some(event) = client.next_event(Some(deadline))? else {
            return Ok(());
        };
        match event.body {
            EventBody::ContactConnected { name, account, state } if account == added.account => {
                added.contact = name;
                added.state = state;
            }
            EventBody::StreamGap { .. } => {
                let who = WhoParams { who: added.account.clone() };
                let contact: ContactReply = client.call(&Request::Contact(who))?;
                added.contact = contact.name;
                added.state = contact.state;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The ticket itself: from the command line, a file, standard input, or a person.
fn ticket(context: &Context<'_>, given: Option<String>) -> Result<String, Failure> {
    let text = match given.as_deref() {
        Some("-") => ask::stdin()?,
        None if ask::can_ask(context.no_input) => ask::line(context.output, "ticket: ")?.unwrap_or_default(),
        None => {
            let words = "a ticket is needed: @FILE, - for standard input, or the ticket itself";
            return Err(Failure::with(Problem::Usage, words).next("murmesh help add"));
        }
        Some(text) => match text.strip_prefix('@') {
            Some(file) => ask::file(Path::new(file))?,
            None => {
                if is_shared_machine() {
                    context.output.talk(
                        "warning: other users of this machine may have seen the ticket; next time: murmesh add",
                    );
                }
                text.to_owned()
            }
        },
    };
    Ok(text.trim().to_owned())
}

/// Whether more than one person has a login here: they can see each other's command lines.
fn is_shared_machine() -> bool {
    let people = |passwd: &str| {
        let ids = passwd.lines().filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok());
        ids.filter(|id| (1_000..60_000).contains(id)).count()
    };
    fs::read_to_string("/etc/passwd").is_ok_and(|passwd| people(&passwd) > 1)
}
