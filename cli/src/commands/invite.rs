//! `invite`: a ticket on standard output, what it is worth on standard error; `invite list`, `invite revoke`.

use murmesh_protocol::control::{
    Done, InviteParams, InviteReply, InvitesReply, NoParams, Request, RevokeParams,
};

use super::Outcome;
use crate::args::{Invite, InviteAction};
use crate::context::Context;
use crate::error::exit;
use crate::qr::Code;
use crate::text::one_line;
use crate::words::{count, moment};

pub(super) fn run(context: &Context<'_>, args: &Invite) -> Outcome {
    match &args.action {
        None => make(context, args),
        Some(InviteAction::List) => list(context),
        Some(InviteAction::Revoke { id }) => revoke(context, id),
    }
}

fn list(context: &Context<'_>) -> Outcome {
    let reply: InvitesReply = context.node()?.call(&Request::Invites(NoParams {}))?;
    context.output.answer(&reply, || {
        let lines = reply.invites.iter().map(|invite| {
            let uses = count(u64::from(invite.uses), "use");
            format!("{}  good until {} for {uses}\n", one_line(&invite.id), moment(invite.expires))
        });
        lines.collect()
    })?;
    if reply.invites.is_empty() {
        context.output.talk("no invite is open");
    }
    Ok(exit::DONE)
}

fn revoke(context: &Context<'_>, id: &str) -> Outcome {
    let done: Done = context.node()?.call(&Request::Revoke(RevokeParams { id: id.to_owned() }))?;
    context.output.answer(&done, || "revoked: its ticket lets nobody in any more".to_owned())?;
    Ok(exit::DONE)
}

fn make(context: &Context<'_>, args: &Invite) -> Outcome {
    let mut client = context.node_or_start()?;
    let params = InviteParams { uses: args.uses, expires_ms: args.expires, no_address: args.no_address };
    let reply: InviteReply = client
        .call(&Request::Invite(params))
        .map_err(|failure| failure.out_of_range("murmesh help invite"))?;
    let code = if args.qr { Some(Code::of(&reply.ticket)?) } else { None };
    context.output.answer(&reply, || match &code {
        // The code last: with the longest ticket not all fits 24 lines, and a code must be seen whole.
        Some(code) => format!("{}\n{}", reply.ticket, code.half_blocks(false)),
        None => reply.ticket.clone(),
    })?;
    context.output.talk(&format!(
        "good until {} for {}; whoever has this ticket can add you",
        moment(reply.expires),
        count(u64::from(reply.uses), "use"),
    ));
    Ok(exit::DONE)
}
