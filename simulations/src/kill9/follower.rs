//! Somebody who looks on: follows the events of a node from the last cursor that was told, over all its
//! deaths, and looks at all messages whenever it is back.

use std::time::{Duration, Instant};

use murmesh_protocol::control::{
    Event, EventBody, EventKind, MessageReply, ReadParams, ReadReply, Request, SubscribeParams,
};

use super::lab::{Fault, Lab};
use super::plan::Target;
use crate::client::{Client, Gone, Line, shaped};
use crate::history::{Entry, Label, Listed, Person};

/// See the module.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    lab: &'a Lab,
    person: Person,
    /// The last that was told.
    cursor: u64,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(lab: &'a Lab, person: Person) -> Follower<'a> {
        Follower { lab, person, cursor: 0 }
    }

    /// Follows until the end.
    pub(crate) fn run(mut self) {
        let directory = self.lab.directory(Target::Person(self.person));
        while !self.lab.has_ended() {
            if let Ok(mut client) = Client::connect(&directory) {
                let _killed = self.follow(&mut client);
            }
            self.lab.rest(CONNECT_EVERY);
        }
    }

    fn follow(&mut self, client: &mut Client) -> Result<(), Gone> {
        let types = vec![EventKind::MessageReceived, EventKind::MessageState, EventKind::MessageGap];
        let since = Some(self.cursor.to_string());
        client.write(&Request::Subscribe(SubscribeParams { since, types }))?;
        let began = self.lab.recorder.record(Entry::ReadBegan { at: self.person });
        let asked = client.write(&everything())?;
        while !self.lab.has_ended() {
            match client.next(Instant::now() + LOOK_EVERY)? {
                Some(Line::Event(event)) => self.on_event(&event)?,
                Some(Line::Answer(id, Ok(value))) if id == asked => {
                    let messages = listed(shaped(value)?);
                    self.lab.recorder.record(Entry::Read { at: self.person, began, last: false, messages });
                }
                Some(Line::Answer(_, Ok(_))) | None => {}
                Some(Line::Answer(_, Err(error))) => {
                    self.lab.fail(Fault(format!("{} cannot look: {error:?}", self.person.name())));
                }
            }
        }
        Ok(())
    }

    fn on_event(&mut self, event: &Event) -> Result<(), Gone> {
        let at = self.person;
        let cursor = event.cursor.parse().map_err(|_| Gone::nonsense("a cursor is a number"))?;
        let entry = match &event.body {
            EventBody::MessageReceived(message) => {
                Entry::Shown { at, cursor, id: message.id.clone(), label: Label::of_text(&message.text) }
            }
            EventBody::MessageState { id, state, .. } => {
                Entry::State { at, cursor, id: id.clone(), state: *state }
            }
            EventBody::StreamGap { .. } => Entry::StreamGap { at },
            EventBody::MessageGap { .. }
            | EventBody::ContactRequest { .. }
            | EventBody::ContactConnected { .. }
            | EventBody::PeerUp { .. }
            | EventBody::PeerDown { .. } => Entry::Other { at, cursor },
        };
        self.cursor = cursor;
        self.lab.recorder.record(entry);
        Ok(())
    }
}

/// All messages, without marking them as read.
pub(crate) fn everything() -> Request {
    Request::Read(ReadParams { who: None, unread: false, since: None, limit: Some(u32::MAX), peek: true })
}

/// An answer to that, as a history keeps it.
pub(crate) fn listed(reply: ReadReply) -> Vec<Listed> {
    let listed = |message: MessageReply| Listed {
        own: message.from == "me",
        label: Label::of_text(&message.text),
        id: message.id,
        state: message.state,
        gap_before: message.gap_before,
        path: message.path,
    };
    reply.messages.into_iter().map(listed).collect()
}

/// How often it is looked whether it is the end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a killed node is tried again.
const CONNECT_EVERY: Duration = Duration::from_millis(3);
