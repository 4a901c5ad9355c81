//! A message's story, for `why`: every attempt, hop and custodian, in words (SPEC §8.4).
//!
//! It lies in the outbox row while the message is under way, then in the message row: those are written
//! anyway, in the transaction of what it tells of, so it never says more than happened.

use serde::{Deserialize, Serialize};

use super::rounds::Standing;
use super::rows::{Kind, OutboxRow};
use crate::control::{MessageState, Path, QueuedReason, Step};
use crate::id::PeerId;
use crate::limits::STEPS_MAX;
use crate::time::Time;
use crate::wire::codec;
use crate::wire::frame::Refusal;

/// The steps of one message, in order. Encoded one by one: an outbox of many thousands is in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Story(#[serde(deserialize_with = "codec::at_most::<_, _, STEPS_MAX>")] Vec<Box<[u8]>>);

/// One step.
#[derive(Serialize, Deserialize)]
struct Told {
    at: Time,
    what: String,
    peer: Option<PeerId>,
    result: String,
}

impl Story {
    /// Adds a step; one of the middle is dropped at the bound.
    fn add(&mut self, told: &Told) {
        if self.0.len() >= STEPS_MAX {
            self.0.remove(STEPS_MAX / 2);
        }
        self.0.push(codec::encode(told).into());
    }

    /// As clients are told.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let told = self.0.iter().filter_map(|step| codec::decode::<Told>(step).ok());
        let shown = |told: Told| Step {
            at: told.at.into(),
            what: told.what,
            peer: told.peer.map(|peer| peer.to_string()),
            result: told.result,
        };
        told.map(shown).collect()
    }
}

/// Adds a step to a message's story. It is on disk when its row is saved next, in the same step.
pub(crate) fn note(
    row: &mut OutboxRow,
    now: Time,
    what: &str,
    peer: Option<PeerId>,
    result: impl Into<String>,
) {
    if matches!(row.kind, Kind::Text(_)) {
        row.story.add(&Told { at: now, what: what.to_owned(), peer, result: result.into() });
    }
}

/// What the step that ends a story is called.
pub(crate) fn ending(state: MessageState, path: Option<Path>) -> (&'static str, &'static str) {
    match (state, path) {
        (MessageState::Delivered | MessageState::Read, Some(Path::Mailbox)) => {
            ("delivered", "its receipt came; from custodians")
        }
        (MessageState::Delivered | MessageState::Read, Some(Path::Direct) | None) => {
            ("delivered", "its receipt came; directly")
        }
        (MessageState::Expired, _) => ("expired", "its time is over"),
        (MessageState::Queued | MessageState::Held | MessageState::Refused | MessageState::Failed, _) => {
            ("failed", "it cannot be sent")
        }
    }
}

/// Why an entry waits.
pub(crate) fn waiting(reason: QueuedReason) -> &'static str {
    match reason {
        QueuedReason::Sending => "being sent",
        QueuedReason::NobodyToKeepIt => "nobody else keeps mail",
        QueuedReason::TooFewCustodians => "too few custodians answered",
        QueuedReason::MailboxFull => "the mailbox is full today",
        QueuedReason::NotConnectedYet => "there is no session yet",
        QueuedReason::Offline => "no peer is connected",
    }
}

/// What a round of deposits came to.
pub(crate) fn round(standing: Standing) -> String {
    let Standing { held, want, good } = standing;
    format!("{held} of {want} custodians have it; {good} are enough")
}

/// Why a custodian does not keep a copy.
pub(crate) fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::Malformed => "refused: malformed",
        Refusal::BadSignature => "refused: bad signature",
        Refusal::WrongDay => "refused: day",
        Refusal::BadExpiry => "refused: expiry",
        Refusal::MailboxFull => "refused: mailbox full",
        Refusal::Tombstoned => "refused: deleted by its owner",
        Refusal::Rate => "refused: rate",
        Refusal::Older => "refused: older",
        Refusal::TooManySubscriptions => "refused: subscriptions",
        Refusal::NotACustodian => "refused: keeps no mail",
        Refusal::Admission => "refused: admission",
        Refusal::Disk => "refused: disk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_keeps_its_beginning_and_its_end() {
        let mut story = Story::default();
        let told = |i: usize| Told { at: Time(1), what: i.to_string(), peer: None, result: String::new() };
        let shown = |story: &Story| story.steps().into_iter().map(|step| step.what).collect::<Vec<_>>();
        (0..STEPS_MAX).for_each(|i| story.add(&told(i)));
        assert_eq!(shown(&story), (0..STEPS_MAX).map(|i| i.to_string()).collect::<Vec<_>>());
        (STEPS_MAX..STEPS_MAX + 10).for_each(|i| story.add(&told(i)));
        let kept = (0..STEPS_MAX / 2).chain(STEPS_MAX / 2 + 10..STEPS_MAX + 10);
        assert_eq!(shown(&story), kept.map(|i| i.to_string()).collect::<Vec<_>>());
    }
}
