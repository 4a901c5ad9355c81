//! `outbox list`, `show`, `retry`, `cancel`.

use murmesh_protocol::control::{
    MessageParams, NoParams, OutboxEntry, OutboxReply, Request, RetryParams, SendReply,
};

use super::Outcome;
use crate::context::Context;
use crate::error::exit;
use crate::text::one_line;
use crate::words::{count, day, reason, short_message, soon, state};

/// What a terminal shows on one line.
const LINE_CHARS_MAX: usize = 80;

pub(super) fn list(context: &Context<'_>) -> Outcome {
    let reply: OutboxReply = context.node()?.call(&Request::Outbox(NoParams {}))?;
    context.output.answer(&reply, || reply.messages.iter().map(|entry| line(entry) + "\n").collect())?;
    if reply.messages.is_empty() {
        context.output.talk("nothing is on the way: every message was delivered or has ended");
    }
    Ok(exit::DONE)
}

pub(super) fn show(context: &Context<'_>, id: String) -> Outcome {
    let entry: OutboxEntry = context.node()?.call(&Request::OutboxShow(MessageParams { id }))?;
    context.output.answer(&entry, || line(&entry))?;
    context.output.talk(&format!(
        "its story: murmesh why {}{}",
        one_line(&entry.id),
        context.same_directory()
    ));
    Ok(exit::DONE)
}

pub(super) fn retry(context: &Context<'_>, id: Option<String>) -> Outcome {
    let reply: OutboxReply = context.node()?.call(&Request::Retry(RetryParams { id }))?;
    context.output.answer(&reply, || reply.messages.iter().map(|entry| line(entry) + "\n").collect())?;
    context.output.talk(&match reply.messages.len() {
        0 => "nothing waits for its next attempt".to_owned(),
        some => format!("{} tried now", count(u64::try_from(some).unwrap_or(u64::MAX), "message")),
    });
    Ok(exit::DONE)
}

pub(super) fn cancel(context: &Context<'_>, id: String) -> Outcome {
    let reply: SendReply = context.node()?.call(&Request::Cancel(MessageParams { id }))?;
    let to = one_line(&reply.to);
    context.output.answer(&reply, || format!("taken back: it had not left, {to} will not see it"))?;
    Ok(exit::DONE)
}

/// `3f9a27c41d  bob  queued: kept here; goes when bob is seen; 3 attempts, next try in 12 s`.
fn line(entry: &OutboxEntry) -> String {
    let to = one_line(&entry.to);
    let mut text = format!("{}  {to}  {}", short_message(&entry.id), state(entry.state));
    if entry.custodians.held > 0 {
        text += &format!(" by {} of {}", entry.custodians.held, entry.custodians.want);
        text += &entry.custodians.until.map(|until| format!(", until {}", day(until))).unwrap_or_default();
    }
    text += &entry.reason.map(|why| format!(": {}", reason(why, &to))).unwrap_or_default();
    let attempts = (entry.attempts > 0).then(|| count(entry.attempts.into(), "attempt"));
    // One that is overdue waits for somebody to be seen.
    let next_try = entry.next_try.and_then(soon).map(|soon| format!("next try {soon}"));
    let tries = attempts.into_iter().chain(next_try).collect::<Vec<_>>().join(", ");
    match (tries.is_empty(), text.chars().count() + 2 + tries.chars().count()) {
        (true, _) => text,
        (false, ..=LINE_CHARS_MAX) => format!("{text}; {tries}"),
        (false, _) => format!("{text}\n            {tries}"),
    }
}
