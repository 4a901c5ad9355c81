//! What its author does to a message that is not delivered yet: try now, or take it back (SPEC §8.4).
//!
//! Only what has not left this node can be taken back: nobody can unsay what a custodian or the recipient has.
//! Its number is in the author's order all the same, so its place is told to the recipient, without a text.

use super::commands::Answer;
use super::outbox::{Attempt, Entry};
use super::rows::{self, Kind};
use super::timers::Timer;
use super::{Messenger, Step, reading, story};
use crate::control::{
    ControlError, ErrorName, MessageParams, MessageState, OutboxReply, RetryParams, SendReply,
};
use crate::id::MessageId;
use crate::store::StoreError;

impl Messenger {
    /// Tries messages that wait for their next attempt now: one, or all that nobody keeps yet.
    pub(crate) fn retry(&mut self, step: &mut Step<'_>, params: &RetryParams) -> Answer<OutboxReply> {
        let ids: Vec<MessageId> = match &params.id {
            Some(id) => match self.find_in_outbox(step, id)? {
                Ok(id) => vec![id],
                Err(error) => return Ok(Err(error)),
            },
            None => {
                let queued = |entry: &&Entry| entry.row.state == MessageState::Queued;
                self.outbox.entries.values().filter(queued).map(|entry| entry.row.id).collect()
            }
        };
        for id in &ids {
            let Some(entry) = self.outbox.entries.get_mut(id) else { continue };
            if !matches!(entry.attempt, Attempt::Idle) {
                continue;
            }
            entry.next_try = None;
            let to = entry.row.to;
            self.direct.dial_again(&to);
            self.timers.set(step.now, Timer::Entry(*id));
        }
        let shown = ids.iter().filter_map(|id| self.outbox.entries.get(id)).filter(|entry| entry.is_text());
        Ok(Ok(OutboxReply { messages: shown.map(|entry| self.shown(entry)).collect() }))
    }

    /// Takes a message back that has not left this node.
    pub(crate) fn cancel(&mut self, step: &mut Step<'_>, params: &MessageParams) -> Answer<SendReply> {
        let id = match self.find_in_outbox(step, &params.id)? {
            Ok(id) => id,
            Err(error) => return Ok(Err(error)),
        };
        let Some(entry) = self.outbox.entries.get_mut(&id) else {
            return Ok(Err(ErrorName::Internal.into()));
        };
        if entry.row.left {
            return Ok(Err(ControlError::with(ErrorName::AlreadySent, id.to_string())));
        }
        let Kind::Text(place) = entry.row.kind else {
            return Ok(Err(ControlError::with(ErrorName::NoSuchMessage, id.to_string())));
        };
        let to = entry.row.to;
        let envelope = entry.stop();
        story::note(&mut entry.row, step.now, "cancelled", None, "it had not left this node");
        entry.row.state = MessageState::Failed;
        entry.row.reason = None;
        entry.next_try = None;
        let story = core::mem::take(&mut entry.row.story);
        envelope.map(|envelope| self.outbox.by_envelope.remove(&envelope));
        self.set_message(step, id, |message| {
            message.state = MessageState::Failed;
            message.story = story;
        })?;
        self.tell_state(step, id, None)?;
        let reply = self.message_reply(step, &to, &id)?;
        let Some(entry) = self.outbox.entries.get_mut(&id) else { return Ok(reply) };
        // What goes now is another message: the place alone, under the same id.
        entry.row.kind = Kind::Withdrawn(place);
        entry.row.state = MessageState::Queued;
        entry.row.sealed = None;
        rows::save(step.store, &entry.row)?;
        self.timers.set(step.now, Timer::Entry(id));
        Ok(reply)
    }

    fn find_in_outbox(
        &mut self,
        step: &mut Step<'_>,
        id: &str,
    ) -> Result<Result<MessageId, ControlError>, StoreError> {
        let message = match self.find_message(step, id)? {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let waits = |entry: &Entry| entry.is_text() && reading::is_open(entry.row.state);
        let entry = self.outbox.entries.get(&message.id).filter(|entry| message.own && waits(entry));
        Ok(match entry {
            Some(_) => Ok(message.id),
            None => Err(ControlError::with(ErrorName::NotWaiting, message.id.to_string())),
        })
    }
}
