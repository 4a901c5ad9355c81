//! `why MESSAGE`.

use murmesh_protocol::control::{MessageParams, Request, WhyReply};

use super::Outcome;
use crate::context::Context;
use crate::error::exit;
use crate::text::one_line;
use crate::words::{peer_or_own, precise, state};

pub(super) fn run(context: &Context<'_>, id: String) -> Outcome {
    let mut client = context.node()?;
    let reply: WhyReply = client.call(&Request::Why(MessageParams { id }))?;
    let own = if context.output.is_json() { String::new() } else { client.own_peer() };
    context.output.answer(&reply, || screen(&reply, &own))?;
    Ok(exit::DONE)
}

fn screen(reply: &WhyReply, own: &str) -> String {
    let mut text = format!("{} is {}\n", one_line(&reply.id), state(reply.state));
    for step in &reply.steps {
        let peer =
            step.peer.as_deref().map_or_else(|| "-".to_owned(), |peer| peer_or_own(&one_line(peer), own));
        let (what, result) = (one_line(&step.what), one_line(&step.result));
        text += &format!("{}  {what:<10} {peer:<10} {result}\n", precise(step.at));
    }
    text
}
