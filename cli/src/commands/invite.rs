//! `invite`: a ticket on standard output, what it is worth on standard error.

use murmesh_protocol::control::{InviteParams, InviteReply, Request};

use super::Outcome;
use crate::args::Invite;
use crate::context::Context;
use crate::error::exit;
use crate::qr::Code;
use crate::words::{count, moment};

pub(super) fn run(context: &Context<'_>, args: &Invite) -> Outcome {
    let mut client = context.node_or_start()?;
    let reply: InviteReply = client.call(&Request::Invite(InviteParams {
        uses: args.uses,
        expires_ms: args.expires,
        no_address: args.no_address,
    }))?;
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
