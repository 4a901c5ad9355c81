//! Events: written in the step of what they tell, and kept for clients that come back (SPEC §10.4).
//!
//! Following them is the shell's; where a named consumer stands is [`consumers`](super::consumers).

use super::io::Output;
use super::rows::{self, EventRow};
use super::store::{From, MessengerStore, Table};
use super::{Messenger, Step};
use crate::control::{Event, EventBody};
use crate::limits::{EVENTS_MAX, EVENTS_PRUNED};
use crate::store::StoreError;

impl Messenger {
    /// Kept events after a cursor, oldest first, and the cursor before the oldest kept: for clients that
    /// come back.
    ///
    /// # Errors
    /// The store's.
    pub fn events_after(
        store: &mut dyn MessengerStore,
        cursor: u64,
        limit: u32,
    ) -> Result<(Vec<Event>, u64), StoreError> {
        let oldest = rows::list::<EventRow>(store, &[], From::Start, 1)?;
        let before_oldest = oldest.first().map_or(cursor, |row| row.cursor.saturating_sub(1));
        let kept = rows::list::<EventRow>(store, &[], From::After(cursor), limit)?;
        let events = kept.iter().map(EventRow::event).collect::<Result<_, _>>()?;
        Ok((events, before_oldest))
    }

    /// Writes and tells an event.
    pub(crate) fn tell(&mut self, step: &mut Step<'_>, body: EventBody) -> Result<(), StoreError> {
        self.me.row.events += 1;
        let cursor = self.me.row.events;
        let event = Event { cursor: cursor.to_string(), at: step.now.into(), body };
        let json = serde_json::to_string(&event).map_err(|_| StoreError::Corrupt)?;
        rows::save(step.store, &EventRow { cursor, json })?;
        if cursor.is_multiple_of(EVENTS_PRUNED) {
            let kept_from = (cursor + 1).saturating_sub(EVENTS_MAX - EVENTS_PRUNED);
            step.store.prune(Table::Events, &[], kept_from)?;
        }
        self.me.save(step.store)?;
        self.outputs.push_back(Output::Event(event));
        Ok(())
    }
}
