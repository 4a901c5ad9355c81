//! `request list`, `accept`, `decline`: strangers who ask to be let in.

use murmesh_protocol::control::{
    AcceptRequestParams, AcceptRequests, ContactReply, DeclineRequestParams, Done, NoParams, Request,
    RequestEntry, RequestsReply,
};

use super::Outcome;
use crate::context::Context;
use crate::error::exit;
use crate::output::quoted;
use crate::text::{many_lines, one_line};
use crate::words::moment;

pub(super) fn list(context: &Context<'_>) -> Outcome {
    let reply: RequestsReply = context.node()?.call(&Request::ContactRequests(NoParams {}))?;
    context.output.answer(&reply, || reply.requests.iter().map(entry).collect())?;
    if reply.requests.is_empty() {
        context.output.talk(match reply.accepts {
            AcceptRequests::Anyone => "nobody asks",
            AcceptRequests::WithInvite => {
                "nobody asks: only who has a ticket is heard; accept_requests = \"anyone\" under [privacy] lets others ask"
            }
            AcceptRequests::Nobody => "nobody asks: accept_requests is \"nobody\", and not even a ticket lets anybody in",
        });
    }
    Ok(exit::DONE)
}

/// Who, when, and below it what they say.
fn entry(request: &RequestEntry) -> String {
    let name = match one_line(&request.name).as_str() {
        "" => "without a name".to_owned(),
        name => format!("calls itself {name}"),
    };
    let (id, account) = (one_line(&request.id), one_line(&request.account));
    let said = match many_lines(&request.text, "    ").as_str() {
        "" => String::new(),
        text => format!("    {text}\n"),
    };
    format!("{id}  {}  {name}\n    {account}\n{said}", moment(request.at))
}

pub(super) fn accept(context: &Context<'_>, id: String, name: Option<String>) -> Outcome {
    let request = Request::AcceptRequest(AcceptRequestParams { id, name });
    let contact: ContactReply = context.node()?.call(&request)?;
    context.output.answer(&contact, || format!("{} is a contact now", one_line(&contact.name)))?;
    let (name, same) = (quoted(&contact.name), context.same_directory());
    context.output.talk(&format!("what they said so far: murmesh read {name}{same}"));
    Ok(exit::DONE)
}

pub(super) fn decline(context: &Context<'_>, id: String, block: bool) -> Outcome {
    let request = Request::DeclineRequest(DeclineRequestParams { id, block });
    let done: Done = context.node()?.call(&request)?;
    context.output.answer(&done, || {
        let until = if block { "unless you unblock them" } else { "for 90 days" };
        format!("{}: they are not told, and not heard {until}", one_line(&done.state))
    })?;
    Ok(exit::DONE)
}
