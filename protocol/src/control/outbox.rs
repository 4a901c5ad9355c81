//! Shapes of `outbox.*` (SPEC §10.2).

use serde::{Deserialize, Serialize};

use super::{Custodians, MessageState, QueuedReason, Timestamp};

shapes! {
    /// One message not yet delivered.
    OutboxEntry {
        /// Message id.
        id: String,
        /// Name of the contact.
        to: String,
        /// State.
        state: MessageState,
        /// Copies.
        custodians: Custodians,
        /// Attempts so far.
        attempts: u32,
        /// When it is tried again.
        next_try: Option<Timestamp>,
        /// Why it is queued.
        reason: Option<QueuedReason>,
    }
    /// Answer to `outbox.list`.
    OutboxReply {
        /// Messages not yet delivered, oldest first.
        messages: Vec<OutboxEntry>,
    }
    /// `outbox.retry`.
    #[serde(deny_unknown_fields)]
    RetryParams {
        /// The message, by its id or a unique prefix; all that nobody keeps yet if absent.
        #[serde(default)] id: Option<String>,
    }
}
