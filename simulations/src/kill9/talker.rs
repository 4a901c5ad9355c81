//! Somebody who writes without end: several messages on their way to the node at once, and whatever has an
//! unknown outcome is given to it again, in the same order and under the same key, when it answers again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{ControlError, Request, SendParams, SendReply};
use serde_json::Value;

use super::draw::Draw;
use super::lab::{Fault, Lab};
use super::plan::Target;
use crate::client::{Client, Gone, Line, shaped};
use crate::history::{Entry, Label, Person};

/// See the module.
#[derive(Debug)]
pub(crate) struct Talker<'a> {
    lab: &'a Lab,
    person: Person,
    draw: Draw,
    /// Given to the node and not yet answered, in order.
    open: VecDeque<Label>,
    written: u64,
    /// When the next is written.
    next_at: Instant,
}

impl<'a> Talker<'a> {
    pub(crate) fn new(lab: &'a Lab, person: Person, draw: Draw) -> Talker<'a> {
        Talker { lab, person, draw, open: VecDeque::new(), written: 0, next_at: Instant::now() }
    }

    /// Writes until it shall be quiet and everything is answered.
    pub(crate) fn run(mut self) {
        let directory = self.lab.directory(Target::Person(self.person));
        while !self.lab.has_ended() {
            if let Ok(mut client) = Client::connect(&directory) {
                match self.talk(&mut client) {
                    Ok(()) => return,
                    Err(Gone { .. }) => self.open.iter().for_each(|label| {
                        self.lab.recorder.record(Entry::Info { label: *label });
                    }),
                }
            }
            self.lab.rest(CONNECT_EVERY);
        }
    }

    fn talk(&mut self, client: &mut Client) -> Result<(), Gone> {
        let mut asked = VecDeque::new();
        for label in self.open.clone() {
            asked.push_back((self.give(client, label)?, label));
        }
        while !self.lab.has_ended() {
            let quiet = self.lab.is_quiet();
            if quiet && self.open.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            if !quiet && self.open.len() < OPEN_MAX && self.next_at <= now {
                self.written += 1;
                let label = Label { author: self.person, number: self.written };
                self.open.push_back(label);
                asked.push_back((self.give(client, label)?, label));
                // Bursts, and pauses in which everything settles.
                let pause =
                    if self.draw.percent(60) { Duration::ZERO } else { self.draw.time(0, PAUSE_MS_MAX) };
                self.next_at = now + pause;
                if pause.is_zero() && self.open.len() < OPEN_MAX {
                    continue;
                }
            }
            let may_write = !quiet && self.open.len() < OPEN_MAX;
            let until = if may_write { self.next_at } else { now + LOOK_EVERY };
            if let Some(Line::Answer(id, answer)) = client.next(until.min(now + LOOK_EVERY))? {
                let Some(at) = asked.iter().position(|(asked, _)| *asked == id) else { continue };
                let Some((_, label)) = asked.remove(at) else { continue };
                self.open.retain(|open| *open != label);
                self.on_answer(label, answer)?;
            }
        }
        Ok(())
    }

    fn give(&self, client: &mut Client, label: Label) -> Result<u64, Gone> {
        self.lab.recorder.record(Entry::Invoke { label });
        client.write(&Request::Send(SendParams {
            to: self.person.other().name().to_owned(),
            text: label.text(),
            client_id: Some(label.to_string()),
            expire_ms: None,
        }))
    }

    fn on_answer(&self, label: Label, answer: Result<Value, ControlError>) -> Result<(), Gone> {
        match answer {
            Ok(value) => {
                let SendReply { id, .. } = shaped(value)?;
                self.lab.recorder.record(Entry::Ok { label, id });
            }
            Err(error) => {
                self.lab.recorder.record(Entry::Refused { label, error: format!("{error:?}") });
                self.lab.fail(Fault(format!("{label} was refused: {error:?}")));
            }
        }
        Ok(())
    }
}

/// Messages on their way to the node at once.
const OPEN_MAX: usize = 16;
/// Longest pause of somebody who writes.
const PAUSE_MS_MAX: u64 = 300;
/// How often it is looked whether to be quiet.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a killed node is tried again.
const CONNECT_EVERY: Duration = Duration::from_millis(3);
