//! What is due when. A timer that fires is a reason to look, not an order: its concern checks whether
//! anything is due, so a stale one does no harm.

use std::collections::BTreeSet;

use super::io::Deadline;
use crate::id::{AccountId, EnvelopeId, MessageId};
use crate::time::Time;

/// Why to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// An outbox entry: direct way, hedge, end of a round, retry, expiry.
    Entry(MessageId),
    /// A receipt is owed to a contact.
    Receipt(AccountId),
    /// What waits for a contact may be tried out of its turn again.
    Wake(AccountId),
    /// A contact's receipt for what went directly has not come: ask for it.
    DirectAgain(AccountId),
    /// A contact is being added: ask again, or answer its client.
    Adding(AccountId),
    /// A session is wanted: take the best answer.
    Session(AccountId),
    /// A body was asked for and has not come.
    Body(EnvelopeId),
    /// Messages that could not be opened may be far ahead in their session.
    FarAhead,
    /// A search for them goes on.
    FarAheadOn,
    /// A custodian has come: what waits for one is retried.
    NewCustodian,
    /// Regions may have changed: look them up again.
    Regions,
    /// Poll every region member.
    Poll,
    /// Own records: make, renew, place.
    Publish,
    /// The day's work: prekeys, sessions, opened tags, mailboxes of the new day.
    Day,
}

impl Timer {
    fn reason(self) -> &'static str {
        match self {
            Timer::Entry(_) => "outbox: an entry is due",
            Timer::Receipt(_) => "inbox: a receipt is owed",
            Timer::Wake(_) => "outbox: a contact was heard from",
            Timer::DirectAgain(_) => "outbox: no receipt came over a direct stream",
            Timer::Adding(_) => "contacts: an invite record is awaited",
            Timer::Session(_) => "session: a bundle is awaited",
            Timer::Body(_) => "collecting: a body is awaited",
            Timer::FarAhead => "collecting: try what could not be opened",
            Timer::FarAheadOn => "collecting: try it with the next contacts",
            Timer::NewCustodian => "outbox: a custodian has come",
            Timer::Regions => "collecting: regions may have changed",
            Timer::Poll => "collecting: poll",
            Timer::Publish => "directory: publish records",
            Timer::Day => "account: the day's work",
        }
    }
}

/// The timers of a Messenger.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Time, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Time, timer: Timer) {
        self.due.insert((at, timer));
    }

    /// Takes the next timer that is due.
    pub(crate) fn pop(&mut self, now: Time) -> Option<Timer> {
        let first = *self.due.first()?;
        if first.0 > now {
            return None;
        }
        self.due.remove(&first);
        Some(first.1)
    }

    pub(crate) fn next(&self) -> Option<Deadline> {
        self.due.first().map(|(at, timer)| Deadline { at: *at, reason: timer.reason() })
    }
}
