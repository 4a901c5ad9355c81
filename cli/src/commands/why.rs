//! `why MESSAGE`.

use murmesh_protocol::control::{MessageParams, Request, WhyReply};

use super::Outcome;
use crate::context::Context;
use crate::error::exit;
use crate::text::one_line;
use crate::words::{precise, short_peer, state};

pub(super) fn run(context: &Context<'_>, id: String) -> Outcome {
    let reply: WhyReply = context.node()?.call(&Request::Why(MessageParams { id }))?;
    context.output.answer(&reply, || screen(&reply))?;
    Ok(exit::DONE)
}

fn screen(reply: &WhyReply) -> String {
    let mut text = format!("{} is {}\n", one_line(&reply.id), state(reply.state));
    for step in &reply.steps {
        let peer = step.peer.as_deref().map_or_else(|| "-".to_owned(), |peer| short_peer(&one_line(peer)));
        let (what, result) = (one_line(&step.what), one_line(&step.result));
        text += &format!("{}  {what:<10} {peer:<10} {result}\n", precise(step.at));
    }
    text
}
