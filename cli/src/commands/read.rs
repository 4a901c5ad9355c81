//! `read`: messages in reading order, one's own too; `--follow` goes on.

use std::collections::{BTreeSet, VecDeque};

use murmesh_protocol::control::{
    EventBody, EventKind, MessageReply, MessageState, Path, ReadParams, ReadReply, Request, Timestamp,
};
use murmesh_protocol::time::SECOND_MS;

use super::Outcome;
use crate::args::Read;
use crate::client::Client;
use crate::context::Context;
use crate::duration::parse_ms;
use crate::error::{Failure, Problem, exit};
use crate::text::{many_lines, one_line};
use crate::words::{moment, now, peer_or_own, span, state};

/// A message that took longer is worth a word.
const WAITED_MS: u64 = 2 * SECOND_MS;
/// Ids remembered by `--follow`, so that no message is shown twice.
const SHOWN_MAX: usize = 10_000;

pub(super) fn run(context: &Context<'_>, args: Read) -> Outcome {
    let params = ReadParams {
        who: args.who,
        unread: args.unread,
        since: args.since.as_deref().map(since).transpose()?,
        limit: args.limit,
        peek: false,
    };
    if args.follow {
        return follow(context, params);
    }
    let mut client = context.node()?;
    let own = own_peer(context, &mut client);
    let reply: ReadReply = client.call(&Request::Read(params))?;
    let lines = || reply.messages.iter().map(|message| words(message, &own) + "\n").collect();
    context.output.answer(&reply, lines)?;
    if reply.messages.is_empty() {
        context.output.talk("nothing to read");
    }
    Ok(exit::DONE)
}

/// Asked for only where it is shown.
fn own_peer(context: &Context<'_>, client: &mut Client) -> String {
    if context.output.is_json() { String::new() } else { client.own_peer() }
}

/// Subscribes before it reads, so that nothing falls between; reads again at every event, because
/// reading is what marks a message as read.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these events matter here")]
fn follow(context: &Context<'_>, params: ReadParams) -> Outcome {
    let mut client = context.node_or_start()?;
    client.subscribe(None, &[EventKind::MessageReceived])?;
    let mut shown = Shown { own: own_peer(context, &mut client), ..Shown::default() };
    let first: ReadReply = client.call(&Request::Read(params.clone()))?;
    for message in &first.messages {
        shown.show(context, message)?;
    }
    let unread = ReadParams { unread: true, since: None, ..params };
    loop {
        let Some(event) = client.next_event(None)? else {
            continue;
        };
        match event.body {
            EventBody::MessageReceived(message) if !shown.knows(&message.id) => {
                show_unread(context, &mut client, &unread, &mut shown)?;
                // Another client may have read it first.
                if unread.who.is_none() || first_of(&first, &message) {
                    shown.show(context, &message)?;
                }
            }
            EventBody::StreamGap { .. } => show_unread(context, &mut client, &unread, &mut shown)?,
            _ => {}
        }
    }
}

fn show_unread(
    context: &Context<'_>,
    client: &mut Client,
    unread: &ReadParams,
    shown: &mut Shown,
) -> Result<(), Failure> {
    let reply: ReadReply = client.call(&Request::Read(unread.clone()))?;
    reply.messages.iter().try_for_each(|message| shown.show(context, message))
}

/// Whether the message belongs to the conversation that was read first: `who` may be a prefix, which
/// only the node can resolve.
fn first_of(first: &ReadReply, message: &MessageReply) -> bool {
    first.messages.first().is_some_and(|shown| shown.conversation == message.conversation)
}

/// What `--follow` has shown, the latest [`SHOWN_MAX`].
#[derive(Default)]
struct Shown {
    /// The node's PeerId.
    own: String,
    ids: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Shown {
    fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    fn show(&mut self, context: &Context<'_>, message: &MessageReply) -> Result<(), Failure> {
        if !self.ids.insert(message.id.clone()) {
            return Ok(());
        }
        self.order.push_back(message.id.clone());
        if self.order.len() > SHOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        context.output.answer(message, || words(message, &self.own))
    }
}

/// A duration back from now, or a time.
fn since(text: &str) -> Result<Timestamp, Failure> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let back = parse_ms(text).map_err(|error| {
        let words = format!("--since WHEN: \"{text}\": {error}; or it is a time: 2026-11-24T03:22:25Z");
        Failure::with(Problem::Usage, words).next("murmesh help read")
    })?;
    Ok(Timestamp(now().0.minus(back)))
}

/// `14:02  alice: hello  (waited 3 h 12 min; kept by …Abcdefgh)`, and a line before it for a gap.
fn words(message: &MessageReply, own: &str) -> String {
    let gap = match message.gap_before {
        0 => String::new(),
        missing => format!("       … {missing} before this one not here yet\n"),
    };
    let mine = message.from == "me";
    let who = if mine { format!("me to {}", one_line(&message.to)) } else { one_line(&message.from) };
    let at = message.received_at.unwrap_or(message.at);
    let remark = if mine { format!("({})", state(message.state)) } else { waited(message, own) };
    let text = many_lines(&message.text, "       ");
    let late = if remark.is_empty() { String::new() } else { format!("  {remark}") };
    format!("{gap}{}  {who}: {text}{late}", moment(at))
}

/// How long it waited and who kept it.
fn waited(message: &MessageReply, own: &str) -> String {
    let waited_ms = message.received_at.map_or(0, |at| at.0.since(message.at.0));
    let kept = match (&message.kept_by, message.path) {
        (Some(peer), _) => format!("kept by {}", peer_or_own(&one_line(peer), own)),
        (None, Some(Path::Mailbox)) => "kept by others".to_owned(),
        (None, _) if waited_ms < WAITED_MS => return String::new(),
        (None, _) => "kept by the sender".to_owned(),
    };
    debug_assert!(message.state >= MessageState::Delivered, "a received message is on this disk");
    format!("(waited {}; {kept})", span(waited_ms))
}
