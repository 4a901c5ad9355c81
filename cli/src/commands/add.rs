//! `add`: a contact by its ticket, or by its account address alone, which asks it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    AddParams, AddReply, ContactReply, ContactState, ControlError, EventBody, EventKind, Request, WhoParams,
};
use murmesh_protocol::id::AccountId;
use murmesh_protocol::wire::ticket::{TICKET_BYTES_MAX, Ticket, TicketError};
use serde::Serialize;

use super::Outcome;
use crate::args::{Add, AddWait};
use crate::ask;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::output::quoted;
use crate::text::one_line;

/// How long a person who did not say `--wait` is kept waiting for the other side.
const PATIENCE_OF_PEOPLE: Duration = Duration::from_secs(10);
/// How long the node may take to say what became of a request that outlasted `--timeout`.
const PATIENCE_AFTER_TIMEOUT: Duration = Duration::from_secs(1);
/// Characters of the longest ticket behind its `MT1`: five bits each, and six of the checksum.
const CODE_CHARS_MAX: usize = (TICKET_BYTES_MAX * 8).div_ceil(5) + 6;

#[derive(Serialize)]
struct Added {
    contact: String,
    account: String,
    state: ContactState,
    known: bool,
}

pub(super) fn run(context: &Context<'_>, args: Add) -> Outcome {
    let (whom, account) = whom(context, args.ticket)?;
    let mut client = context.node_or_start()?;
    let deadline = Instant::now() + Duration::from_millis(args.timeout);
    let waits_until = waits_until(context, args.wait, deadline);
    if waits_until.is_some() {
        client.subscribe(None, &[EventKind::ContactConnected])?;
    }
    let wanted = args.name.clone();
    let says = args.text.is_some();
    let params = AddParams { ticket: whom, name: args.name, text: args.text };
    let mut added = add(&mut client, params, &account, deadline)?;
    if let Some(until) = waits_until {
        context.output.progress(&format!("asked {}; waiting for an answer", one_line(&added.contact)));
        let waited = wait_connected(&mut client, &mut added, until);
        context.output.progress("");
        waited?;
    }
    if args.wait == Some(AddWait::Connected) && added.state != ContactState::Connected {
        let detail = format!("{} has not answered yet; the request goes on", one_line(&added.contact));
        let failure = Failure::with(Problem::TimedOut, detail).next("murmesh contact list");
        return Err(failure.beside(&added));
    }
    context.output.answer(&added, || words(&added))?;
    if let Some(name) = wanted.filter(|name| added.known && *name != added.contact) {
        let (known, name, same) = (quoted(&added.contact), quoted(&name), context.same_directory());
        context
            .output
            .talk(&format!("to give it the other name: murmesh contact rename {known} {name}{same}"));
    }
    if says && added.known {
        let same = context.same_directory();
        context.output.talk(&format!("the text was not sent: murmesh send {}{same}", quoted(&added.contact)));
    }
    if added.state == ContactState::Requested {
        context.output.talk("messages to them wait here until they answer; both need not be online at once");
    }
    Ok(exit::DONE)
}

/// The node answers once it has asked around, or at once if it refuses. When that takes too long the
/// contact is what the request has made of it so far.
fn add(client: &mut Client, params: AddParams, account: &str, deadline: Instant) -> Result<Added, Failure> {
    if let Some(reply) = client.call_until::<AddReply>(&Request::Add(params), deadline)? {
        let AddReply { contact, account, state, known } = reply;
        return Ok(Added { contact, account, state, known });
    }
    let who = Request::Contact(WhoParams { who: account.to_owned() });
    match client.call_until::<ContactReply>(&who, Instant::now() + PATIENCE_AFTER_TIMEOUT) {
        Ok(Some(contact)) => {
            let ContactReply { name, account, state, .. } = contact;
            Ok(Added { contact: name, account, state, known: false })
        }
        Ok(None) | Err(_) => {
            let detail = "the node has not answered; whether it took the request, the contacts tell";
            Err(Failure::with(Problem::TimedOut, detail).next("murmesh contact list"))
        }
    }
}

fn words(added: &Added) -> String {
    let name = one_line(&added.contact);
    match (added.known, added.state) {
        (true, ContactState::Connected) => format!("{name} is a contact already; nothing was changed"),
        (_, ContactState::Connected) => format!("{name} is connected"),
        (true, ContactState::Blocked) => format!("{name} is a contact that you blocked; nothing was changed"),
        (true, _) => format!("{name} was asked already and has not answered yet; nothing was changed"),
        (false, _) => format!("asked {name}; no answer yet"),
    }
}

/// Until when to wait for the other side, if at all.
fn waits_until(context: &Context<'_>, wait: Option<AddWait>, deadline: Instant) -> Option<Instant> {
    match wait {
        Some(AddWait::Connected) => Some(deadline),
        None if context.output.is_terminal() => Some(deadline.min(Instant::now() + PATIENCE_OF_PEOPLE)),
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

/// The ticket or the account address, and the account it is of: from the command line, a file, standard input, or a
/// person. What is neither needs no node.
fn whom(context: &Context<'_>, given: Option<String>) -> Result<(String, String), Failure> {
    let text = match given.as_deref() {
        Some("-") => ask::stdin()?,
        None if ask::can_ask(context.no_input) => ask_for_ticket(context)?,
        None => {
            let words =
                "a ticket is needed: @FILE, - for standard input, the ticket itself, or an account address";
            return Err(Failure::with(Problem::Usage, words).next("murmesh help add"));
        }
        Some(text) => match text.strip_prefix('@') {
            Some(file) => ask::file(Path::new(file))?,
            None => {
                if text.trim().parse::<AccountId>().is_err() && is_shared_machine() {
                    context.output.talk(
                        "warning: other users of this machine may have seen the ticket; next time: murmesh add",
                    );
                }
                text.to_owned()
            }
        },
    };
    let ticket = Ticket::of_ticket_or_account(&text).map_err(ControlError::from)?;
    let account = ticket.account.to_string();
    // In one form, whatever was typed.
    Ok((if text.trim().parse::<AccountId>().is_ok() { account.clone() } else { ticket.to_string() }, account))
}

/// Asks for lines until they are a ticket, cannot become one, or one is empty: mail programs break it.
fn ask_for_ticket(context: &Context<'_>) -> Result<String, Failure> {
    let mut text = String::new();
    let mut question = "ticket: ";
    while let Some(line) = ask::line(context.output, question)? {
        text.extend(line.chars().filter(|c| !c.is_whitespace()));
        if !is_beginning(&text) {
            break;
        }
        question = "the rest of it (an empty line if there is none): ";
    }
    Ok(text)
}

/// The text is no ticket, and may be when more is typed. A single wrong character is one that is known:
/// more text does not mend it.
fn is_beginning(text: &str) -> bool {
    const HEAD: &str = "murmesh:mt1";
    let lower = text.to_ascii_lowercase();
    let headed = if lower.starts_with("mt1") { format!("murmesh:{lower}") } else { lower };
    let code = headed.strip_prefix(HEAD);
    let cut_in_head = HEAD.starts_with(&headed);
    let whole = code.is_some_and(|code| code.len() >= CODE_CHARS_MAX || !code.chars().all(is_of_code));
    let cut_off = matches!(text.parse::<Ticket>(), Err(TicketError::Mistyped { position: None }));
    cut_in_head || (code.is_some() && !whole && cut_off)
}

/// The characters of bech32.
fn is_of_code(c: char) -> bool {
    c.is_ascii_digit() && c != '1' || c.is_ascii_lowercase() && !matches!(c, 'b' | 'i' | 'o')
}

/// Whether more than one person has a login here: they can see each other's command lines.
fn is_shared_machine() -> bool {
    let people = |passwd: &str| {
        let ids = passwd.lines().filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok());
        ids.filter(|id| (1_000..60_000).contains(id)).count()
    };
    fs::read_to_string("/etc/passwd").is_ok_and(|passwd| people(&passwd) > 1)
}
