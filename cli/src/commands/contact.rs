//! `contact list`, `show`, `rename`, `remove`, `block`, `unblock`.

use murmesh_protocol::control::{
    ContactReply, ContactState, ContactsReply, Done, NoParams, RenameParams, Request, WhoParams,
};

use super::Outcome;
use crate::ask;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::output::quoted;
use crate::text::one_line;
use crate::words::moment;

/// Characters of a name in the list: with the rest it fits 80 columns.
const NAME_CHARS: usize = 22;
/// Characters of an account in the list: enough to name it.
const ACCOUNT_CHARS: usize = 12;

pub(super) fn list(context: &Context<'_>) -> Outcome {
    let reply: ContactsReply = context.node()?.call(&Request::Contacts(NoParams {}))?;
    context.output.answer(&reply, || {
        let lines = reply.contacts.iter().map(|contact| {
            let name = cut(&one_line(&contact.name), NAME_CHARS);
            let account = one_line(&contact.account).chars().take(ACCOUNT_CHARS).collect::<String>();
            let (state, seen) = (state(contact), seen(contact));
            format!("{name:<NAME_CHARS$}  {state:<9}  {seen:<31}  {account}\n")
        });
        lines.collect::<String>()
    })?;
    if reply.contacts.is_empty() {
        let same = context.same_directory();
        let ways = format!("murmesh invite --qr{same}, or with somebody's ticket: murmesh add{same}");
        context.output.talk(&format!("no contacts yet: {ways}"));
    }
    Ok(exit::DONE)
}

pub(super) fn show(context: &Context<'_>, who: String) -> Outcome {
    let reply: ContactReply = context.node()?.call(&Request::Contact(WhoParams { who }))?;
    context.output.answer(&reply, || screen(&reply))?;
    Ok(exit::DONE)
}

pub(super) fn rename(context: &Context<'_>, who: String, name: String) -> Outcome {
    let reply: ContactReply = context.node()?.call(&Request::Rename(RenameParams { who, name }))?;
    context.output.answer(&reply, || screen(&reply))?;
    Ok(exit::DONE)
}

/// What was said cannot be had again: it is asked for, or said with `--yes`.
pub(super) fn remove(context: &Context<'_>, who: String, yes: bool) -> Outcome {
    let mut client = context.node()?;
    let contact: ContactReply = client.call(&Request::Contact(WhoParams { who }))?;
    let name = one_line(&contact.name);
    if !yes {
        if !ask::can_ask(context.no_input) {
            let why = format!("nothing was removed: {name} and what was said with {name} go only with --yes");
            let command =
                format!("murmesh contact remove {} --yes{}", quoted(&name), context.same_directory());
            return Err(Failure::with(Problem::Usage, why).next(command));
        }
        let question = format!("remove {name} and everything that was said with {name}? [y/N] ");
        let answer = ask::line(context.output, &question)?;
        if !answer.is_some_and(|answer| matches!(answer.as_str(), "y" | "Y" | "yes")) {
            context.output.talk("nothing was removed");
            return Ok(exit::OTHER);
        }
    }
    let done: Done = client.call(&Request::Remove(WhoParams { who: contact.account }))?;
    context.output.answer(&done, || format!("{name} is removed, with everything that was said"))?;
    Ok(exit::DONE)
}

pub(super) fn block(context: &Context<'_>, who: String) -> Outcome {
    let reply: ContactReply = context.node()?.call(&Request::Block(WhoParams { who }))?;
    context.output.answer(&reply, || screen(&reply))?;
    Ok(exit::DONE)
}

pub(super) fn unblock(context: &Context<'_>, who: String) -> Outcome {
    let reply: ContactReply = context.node()?.call(&Request::Unblock(WhoParams { who }))?;
    context.output.answer(&reply, || screen(&reply))?;
    Ok(exit::DONE)
}

fn screen(contact: &ContactReply) -> String {
    let nickname = contact.nickname.as_deref().map(one_line).unwrap_or_else(|| "not told yet".to_owned());
    format!(
        "name      {}\naccount   {}\nstate     {}\nnickname  {nickname}\nadded     {}\nverified  {}",
        one_line(&contact.name),
        one_line(&contact.account),
        state_and_seen(contact),
        moment(contact.added_at),
        if contact.verified { "yes" } else { "no" },
    )
}

fn state(contact: &ContactReply) -> &'static str {
    match contact.state {
        ContactState::Requested => "requested",
        ContactState::Connected => "connected",
        ContactState::Blocked => "blocked",
        ContactState::Expired => "expired",
    }
}

/// `online`, `seen 14:02`, `not answered yet`.
fn seen(contact: &ContactReply) -> String {
    match (contact.state, contact.online, contact.seen_at) {
        (ContactState::Blocked, _, _) => String::new(),
        (ContactState::Requested, _, _) => "has not answered yet".to_owned(),
        (ContactState::Expired, _, _) => "did not answer in time".to_owned(),
        (ContactState::Connected, true, _) => "online".to_owned(),
        (ContactState::Connected, false, Some(at)) => format!("offline, seen {}", moment(at)),
        (ContactState::Connected, false, None) => "offline, not seen yet".to_owned(),
    }
}

/// `connected (online)`.
fn state_and_seen(contact: &ContactReply) -> String {
    match seen(contact).as_str() {
        "" => state(contact).to_owned(),
        seen => format!("{} ({seen})", state(contact)),
    }
}

/// At most so many characters, with a sign of what is missing.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 1).chain(['…']).collect()
}
