//! A message's story, for `why`: every attempt, hop and custodian, in words (SPEC §8.4).
//!
//! Steps are written in the transaction of what they tell of, so the story never says more than happened.

use super::rounds::Standing;
use super::rows::{self, Kind, OutboxRow, StepRow};
use super::store::{MessengerStore, Table};
use crate::control::{MessageState, Path, QueuedReason};
use crate::id::PeerId;
use crate::limits::STEPS_MAX;
use crate::store::StoreError;
use crate::time::Time;
use crate::wire::frame::Refusal;

/// Writes one step of a message's story; the middle ones are dropped at the bound.
pub(crate) fn note(
    store: &mut dyn MessengerStore,
    row: &mut OutboxRow,
    now: Time,
    what: &str,
    peer: Option<PeerId>,
    result: impl Into<String>,
) -> Result<(), StoreError> {
    if matches!(row.kind, Kind::Introduction) {
        return Ok(());
    }
    let number = row.steps;
    row.steps += 1;
    if number >= STEPS_MAX {
        let dropped = StepRow::key_of(&row.id, number - STEPS_MAX / 2);
        store.delete(Table::Steps, &dropped)?;
    }
    let step = StepRow { id: row.id, number, at: now, what: what.to_owned(), peer, result: result.into() };
    rows::save(store, &step)
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
