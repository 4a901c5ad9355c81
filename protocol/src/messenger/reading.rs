//! Showing conversations: reading order, unread marks, a message's story (SPEC §8.4).

use super::rows::{self, MessageRow};
use super::store::From;
use super::{Messenger, Step, names};
use crate::control::{ControlError, ErrorName, MessageReply, MessageState, ReadParams, ReadReply, WhyReply};
use crate::id::{AccountId, MessageId};
use crate::limits::READ_LIMIT_DEFAULT;
use crate::store::StoreError;

/// Digits of a message id that are enough to name it, if only one begins with them.
const ID_PREFIX_MIN: usize = 6;

impl Messenger {
    pub(crate) fn read(
        &mut self,
        step: &mut Step<'_>,
        params: &ReadParams,
    ) -> Result<Result<ReadReply, ControlError>, StoreError> {
        let accounts: Vec<AccountId> = match &params.who {
            Some(who) => match names::resolve(who, &self.contacts) {
                Ok(contact) => vec![contact.account],
                Err(error) => return Ok(Err(error)),
            },
            None => self.contacts.keys().copied().collect(),
        };
        let limit = params.limit.unwrap_or(READ_LIMIT_DEFAULT);
        let filtered = params.unread || params.since.is_some();
        let mut messages: Vec<MessageRow> = Vec::new();
        for account in &accounts {
            // Filters look at everything: what is asked for may be older than the newest `limit`.
            let most = if filtered { u32::MAX } else { limit };
            messages.extend(rows::list::<MessageRow>(step.store, &account.0, From::End, most)?);
        }
        if let Some(since) = params.since {
            messages.retain(|message| message.received_at.unwrap_or(message.at) >= since.0);
        }
        if params.unread {
            messages.retain(|message| message.unread);
        }
        messages.sort_by_key(|message| message.arrival);
        let surplus = messages.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
        messages.drain(..surplus);
        in_reading_order(&mut messages);
        let shown = messages.iter().map(|message| self.show(message)).collect();
        if !params.peek {
            for mut message in messages.into_iter().filter(|message| message.unread) {
                message.unread = false;
                rows::save(step.store, &message)?;
                if let Some(contact) = self.contacts.get_mut(&message.contact) {
                    contact.unread = contact.unread.saturating_sub(1);
                    rows::save(step.store, contact)?;
                }
            }
        }
        Ok(Ok(ReadReply { messages: shown, next: None }))
    }

    pub(crate) fn show(&self, message: &MessageRow) -> MessageReply {
        let name = self.contacts.get(&message.contact).map(|contact| contact.name.clone());
        let name = name.unwrap_or_else(|| message.contact.to_string());
        let (from, to) =
            if message.own { ("me".to_owned(), name.clone()) } else { (name.clone(), "me".to_owned()) };
        MessageReply {
            id: message.id.to_string(),
            conversation: name,
            from,
            to,
            at: message.at.into(),
            received_at: message.received_at.map(Into::into),
            text: message.text.clone(),
            state: message.state,
            gap_before: self.missing_before(message),
            path: message.path,
            kept_by: message.kept_by.map(|peer| peer.to_string()),
            unread: message.unread,
        }
    }

    /// How many of its author's are missing right before a message, as of now.
    fn missing_before(&self, message: &MessageRow) -> u64 {
        let received = self.contacts.get(&message.contact).filter(|_| !message.own);
        let runs = received.map(|contact| contact.received.as_slice()).unwrap_or_default();
        let run = runs.iter().find(|run| run.run == message.place.run);
        run.map_or(0, |run| run.missing_before(message.place.seq))
    }

    /// The message that an id or a prefix of one means, with its contact.
    pub(crate) fn find_message(
        &self,
        step: &mut Step<'_>,
        id: &str,
    ) -> Result<Result<MessageRow, ControlError>, StoreError> {
        if let Ok(id) = id.parse::<MessageId>() {
            for account in self.contacts.keys() {
                for own in [true, false] {
                    let key = rows::message_key(account, own, &id);
                    if let Some(message) = rows::load::<MessageRow>(step.store, &key)? {
                        return Ok(Ok(message));
                    }
                }
            }
            return Ok(Err(ControlError::with(ErrorName::NoSuchMessage, id.to_string())));
        }
        if id.len() < ID_PREFIX_MIN {
            return Ok(Err(ControlError::with(ErrorName::NoSuchMessage, id)));
        }
        let mut all = rows::scan::<MessageRow>(step.store)?;
        all.retain(|message| message.id.to_string().starts_with(id));
        Ok(match (all.pop(), all.pop()) {
            (None, _) => Err(ControlError::with(ErrorName::NoSuchMessage, id)),
            (Some(message), None) => Ok(message),
            (Some(_), Some(_)) => Err(ControlError::with(ErrorName::AmbiguousMessage, id)),
        })
    }

    pub(crate) fn why(
        &self,
        step: &mut Step<'_>,
        id: &str,
    ) -> Result<Result<WhyReply, ControlError>, StoreError> {
        let message = match self.find_message(step, id)? {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let under_way = self.outbox.entries.get(&message.id).filter(|entry| message.own && entry.is_text());
        let mut steps = under_way.map_or(&message.story, |entry| &entry.row.story).steps();
        if !message.own {
            let result = if message.kept_by.is_some() { "from its mailbox" } else { "over a direct stream" };
            steps.push(crate::control::Step {
                at: message.received_at.unwrap_or(message.at).into(),
                what: "received".to_owned(),
                peer: message.kept_by.map(|peer| peer.to_string()),
                result: result.to_owned(),
            });
        }
        Ok(Ok(WhyReply { id: message.id.to_string(), state: message.state, steps }))
    }
}

/// Each author's messages by the author's numbers, in the places of their arrival.
fn in_reading_order(messages: &mut [MessageRow]) {
    let author = |message: &MessageRow| (message.contact, message.own);
    let mut authors: Vec<(AccountId, bool)> = messages.iter().map(author).collect();
    authors.sort_unstable();
    authors.dedup();
    for who in authors {
        let places: Vec<usize> =
            messages.iter().enumerate().filter(|(_, m)| author(m) == who).map(|(place, _)| place).collect();
        let mut theirs: Vec<MessageRow> =
            places.iter().filter_map(|place| messages.get(*place).cloned()).collect();
        // Runs follow each other as they arrived; within one, by number.
        let mut first_of_run = std::collections::BTreeMap::new();
        for message in &theirs {
            first_of_run.entry(message.place.run).or_insert(message.arrival);
        }
        theirs.sort_by_key(|m| (first_of_run.get(&m.place.run).copied(), m.place.seq));
        for (place, message) in places.into_iter().zip(theirs) {
            if let Some(slot) = messages.get_mut(place) {
                *slot = message;
            }
        }
    }
}

/// A message that was not delivered yet is `queued` or `held`.
pub(crate) fn is_open(state: MessageState) -> bool {
    matches!(state, MessageState::Queued | MessageState::Held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messenger::content::Place;
    use crate::messenger::story::Story;
    use crate::time::Time;

    fn message(contact: u8, own: bool, seq: u64, arrival: u64) -> MessageRow {
        MessageRow {
            id: MessageId([u8::try_from(arrival).unwrap(); 16]),
            contact: AccountId([contact; 32]),
            own,
            place: Place { run: 1, seq },
            arrival,
            at: Time(0),
            received_at: None,
            expires: Time(0),
            text: String::new(),
            state: MessageState::Delivered,
            path: None,
            kept_by: None,
            unread: false,
            story: Story::default(),
        }
    }

    #[test]
    fn each_author_by_number_in_the_places_of_arrival() {
        let mut messages = [
            message(1, false, 2, 1),
            message(1, true, 1, 2),
            message(1, false, 1, 3),
            message(1, false, 3, 4),
        ];
        in_reading_order(&mut messages);
        let order: Vec<(bool, u64)> = messages.iter().map(|m| (m.own, m.place.seq)).collect();
        assert_eq!(order, [(false, 1), (true, 1), (false, 2), (false, 3)]);
    }
}
