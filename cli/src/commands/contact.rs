//! `contact list`, `contact show`, `contact rename`.

use murmesh_protocol::control::{
    ContactReply, ContactState, ContactsReply, NoParams, RenameParams, Request, WhoParams,
};

use super::Outcome;
use crate::context::Context;
use crate::error::exit;
use crate::text::one_line;
use crate::words::moment;

pub(super) fn list(context: &Context<'_>) -> Outcome {
    let reply: ContactsReply = context.node()?.call(&Request::Contacts(NoParams {}))?;
    context.output.answer(&reply, || {
        let lines = reply.contacts.iter().map(|contact| {
            format!(
                "{:<16} {:<28} {}\n",
                one_line(&contact.name),
                presence(contact),
                one_line(&contact.account)
            )
        });
        lines.collect::<String>()
    })?;
    if reply.contacts.is_empty() {
        context.output.talk(&format!("no contacts yet: murmesh invite --qr{}", context.same_directory()));
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

fn screen(contact: &ContactReply) -> String {
    let nickname = contact.nickname.as_deref().map(one_line).unwrap_or_else(|| "not told yet".to_owned());
    format!(
        "name      {}\naccount   {}\nstate     {}\nnickname  {nickname}\nadded     {}\nverified  {}",
        one_line(&contact.name),
        one_line(&contact.account),
        presence(contact),
        moment(contact.added_at),
        if contact.verified { "yes" } else { "no" },
    )
}

/// `online`, `offline (seen 14:02)`, `requested`, `blocked`.
fn presence(contact: &ContactReply) -> String {
    match (contact.state, contact.online, contact.seen_at) {
        (ContactState::Requested, _, _) => "requested".to_owned(),
        (ContactState::Blocked, _, _) => "blocked".to_owned(),
        (ContactState::Connected, true, _) => "online".to_owned(),
        (ContactState::Connected, false, Some(at)) => format!("offline (seen {})", moment(at)),
        (ContactState::Connected, false, None) => "offline".to_owned(),
    }
}
