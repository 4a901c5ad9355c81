//! `send`: exit status 0 means the message is on this node's disk, synced.

use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    ContactReply, ContactState, Custodians, ErrorName, EventBody, EventKind, MessageParams, MessageState,
    Path, QueuedReason, Request, SendParams, SendReply, WhoParams, WhyReply,
};
use murmesh_protocol::limits::TEXT_BYTES_MAX;
use serde::Serialize;

use super::Outcome;
use crate::args::{Send, SendWait};
use crate::ask;
use crate::client::Client;
use crate::context::Context;
use crate::error::{Failure, Problem, exit};
use crate::text::one_line;
use crate::words::{day, moment, reason, short_message, span, state};

/// How long a person who did not say `--wait` sees progress.
const PATIENCE_OF_PEOPLE: Duration = Duration::from_secs(2);

/// How far a message has come.
#[derive(Serialize)]
struct Sent {
    id: String,
    to: String,
    state: MessageState,
    custodians: Custodians,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<QueuedReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    /// `bob is online`, `bob is offline (seen 14:02)`, if it was asked.
    #[serde(skip)]
    presence: Option<String>,
}

pub(super) fn run(context: &Context<'_>, args: Send) -> Outcome {
    let given = args.text.is_some();
    let text = text(context, args.text, &args.who)?;
    if text.is_empty() && !given {
        let why = "there is no TEXT, and nothing on standard input; a text that begins with - goes after --";
        return Err(bad_text(why.to_owned()));
    }
    if text.trim().is_empty() {
        return Err(bad_text("it is empty, or only white space".to_owned()));
    }
    if text.len() > TEXT_BYTES_MAX {
        let bytes = text.len();
        return Err(bad_text(format!("it has {bytes} bytes, and a message has at most {TEXT_BYTES_MAX}")));
    }
    let mut client = context.node_or_start()?;
    let person = args.wait.is_none() && context.output.is_terminal();
    let waits = person || args.wait.is_some_and(|wait| wait > SendWait::Queued);
    if waits {
        client.subscribe(None, &[EventKind::MessageState])?;
    }
    let params = SendParams { to: args.who, text, client_id: args.request_id, expire_ms: args.expire };
    let reply: SendReply =
        client.call(&Request::Send(params)).map_err(|failure| failure.out_of_range("murmesh help send"))?;
    let mut sent = Sent::from(reply);
    if person {
        wait_for_person(context, &mut client, &mut sent)?;
    } else if waits {
        let target = target(args.wait.unwrap_or(SendWait::Queued));
        let deadline = Instant::now() + Duration::from_millis(args.timeout);
        if !wait_for(&mut client, &mut sent, target, deadline)? {
            return Err(timed_out(&mut client, &mut sent, args.timeout));
        }
    }
    if let Some(problem) = ended_badly(sent.state) {
        return Err(Failure::new(problem).beside(&sent));
    }
    if waits && !context.output.is_json() && sent.state < MessageState::Delivered {
        ask_online(&mut client, &mut sent)?;
    }
    context.output.answer(&sent, || words(&sent))?;
    Ok(exit::DONE)
}

fn bad_text(why: String) -> Failure {
    Failure::with(Problem::Node(ErrorName::BadText), why)
}

/// The text; one line break at the end of standard input is the shell's.
fn text(context: &Context<'_>, given: Option<String>, who: &str) -> Result<String, Failure> {
    match given.as_deref() {
        Some("-") if ask::can_ask(context.no_input) => ask_for_text(context, who)?,
        Some("-") => {}
        Some(_) => return Ok(given.unwrap_or_default()),
        None if ask::can_ask(false) && context.no_input => {
            let words = "a text is needed: TEXT, or - for standard input";
            return Err(Failure::with(Problem::Usage, words).next("murmesh help send"));
        }
        None if ask::can_ask(false) => ask_for_text(context, who)?,
        None => {}
    }
    let text = ask::stdin()?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}

/// What would refuse the message is found out before a person types it: the text would be lost.
fn ask_for_text(context: &Context<'_>, who: &str) -> Result<(), Failure> {
    let request = Request::Contact(WhoParams { who: who.to_owned() });
    let contact: ContactReply = context.node_or_start()?.call(&request)?;
    if contact.state == ContactState::Blocked {
        return Err(Failure::with(Problem::Node(ErrorName::Blocked), contact.name));
    }
    context.output.talk("type the message; end with Ctrl-D on a line of its own");
    Ok(())
}

fn target(wait: SendWait) -> MessageState {
    match wait {
        SendWait::Queued => MessageState::Queued,
        SendWait::Held => MessageState::Held,
        SendWait::Delivered => MessageState::Delivered,
        SendWait::Read => MessageState::Read,
    }
}

fn ended_badly(state: MessageState) -> Option<Problem> {
    match state {
        MessageState::Queued | MessageState::Held | MessageState::Delivered | MessageState::Read => None,
        MessageState::Expired => Some(Problem::Expired),
        MessageState::Refused => Some(Problem::Refused),
        MessageState::Failed => Some(Problem::Failed),
    }
}

/// The order of [`MessageState`] is that of progress, with the bad ends last: they end every waiting.
fn wait_for(
    client: &mut Client,
    sent: &mut Sent,
    target: MessageState,
    deadline: Instant,
) -> Result<bool, Failure> {
    while sent.state < target {
        if !take_event(client, sent, deadline)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which message it is about, why it is not further, and where its story is.
fn timed_out(client: &mut Client, sent: &mut Sent, timeout_ms: u64) -> Failure {
    let id = short_message(&sent.id);
    let detail = if sent.state < MessageState::Delivered {
        // Without an answer the reason that is known has to do.
        let _presence = ask_online(client, sent);
        format!("message {id} stays in the outbox, {}", words(sent))
    } else {
        let within = span(timeout_ms).replace(".0 s", " s");
        format!(
            "message {id} is delivered, but not read within {within}; the other side may not send read receipts"
        )
    };
    Failure::with(Problem::TimedOut, detail).next(format!("murmesh why {}", one_line(&sent.id))).beside(sent)
}

/// Up to two seconds; less when the contact is offline and others hold the message: nothing more will
/// happen soon.
fn wait_for_person(context: &Context<'_>, client: &mut Client, sent: &mut Sent) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE_OF_PEOPLE;
    let mut online = true;
    while sent.state < MessageState::Delivered && (online || sent.state < MessageState::Held) {
        context.output.progress(&progress(sent));
        if !take_event(client, sent, deadline)? {
            break;
        }
        if sent.state == MessageState::Held {
            online = ask_online(client, sent)?;
        }
    }
    context.output.progress("");
    Ok(())
}

fn progress(sent: &Sent) -> String {
    match sent.custodians {
        Custodians { held: 0, .. } => state(sent.state).to_owned(),
        Custodians { held, want, .. } => format!("{}, held by {held} of {want}", state(sent.state)),
    }
}

fn ask_online(client: &mut Client, sent: &mut Sent) -> Result<bool, Failure> {
    let contact: ContactReply = client.call(&Request::Contact(WhoParams { who: sent.to.clone() }))?;
    let name = one_line(&contact.name);
    sent.presence = Some(match (contact.online, contact.seen_at) {
        (true, _) => format!("{name} is online"),
        (false, Some(at)) => format!("{name} is offline (seen {})", moment(at)),
        (false, None) => format!("{name} was not seen yet"),
    });
    Ok(contact.online)
}

/// Takes in one event; false when the deadline passed.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these events matter here")]
fn take_event(client: &mut Client, sent: &mut Sent, deadline: Instant) -> Result<bool, Failure> {
    let Some(event) = client.next_event(Some(deadline))? else {
        return Ok(false);
    };
    match event.body {
        EventBody::MessageState { id, state, custodians, reason, path, after_ms, .. } if id == sent.id => {
            sent.state = state;
            sent.custodians = custodians;
            sent.reason = reason;
            sent.path = path;
            sent.after_ms = Some(after_ms);
        }
        EventBody::StreamGap { .. } => {
            let id = MessageParams { id: sent.id.clone() };
            sent.state = client.call::<WhyReply>(&Request::Why(id))?.state;
        }
        _ => {}
    }
    Ok(true)
}

fn words(sent: &Sent) -> String {
    let to = one_line(&sent.to);
    let after = sent.after_ms.map(|ms| format!(" in {}", span(ms))).unwrap_or_default();
    let path = match sent.path {
        Some(Path::Direct) => " (direct)",
        Some(Path::Mailbox) => " (by mailbox)",
        None => "",
    };
    let presence = sent.presence.as_ref().map(|presence| format!("{presence}; ")).unwrap_or_default();
    let until = sent.custodians.until.map(|until| format!(", until {}", day(until))).unwrap_or_default();
    let kept = format!("held by {} of {}{until}", sent.custodians.held, sent.custodians.want);
    match (sent.state, sent.reason) {
        (MessageState::Held, _) => format!("held: {presence}{kept}; you may leave"),
        (MessageState::Queued, _) if sent.custodians.held > 0 => format!("queued: {presence}{kept} so far"),
        (MessageState::Queued, Some(why)) => format!("queued: {presence}{}", reason(why, &to)),
        (MessageState::Queued, None) => format!("queued: {presence}on this machine's disk"),
        (reached, _) => format!("{} to {to}{after}{path}", state(reached)),
    }
}

impl From<SendReply> for Sent {
    fn from(reply: SendReply) -> Sent {
        let SendReply { id, to, state, custodians, reason } = reply;
        Sent { id, to, state, custodians, reason, path: None, after_ms: None, presence: None }
    }
}
