//! Shapes of `invite.*` (SPEC §10.2).

use serde::{Deserialize, Serialize};

use super::Timestamp;

shapes! {
    /// `invite.create`.
    #[serde(deny_unknown_fields)]
    InviteParams {
        /// How many people may use it.
        #[serde(default)] uses: Option<u32>,
        /// Life in milliseconds; default 24 h, at most 30 d.
        #[serde(default)] expires_ms: Option<u64>,
        /// Name no address in the ticket.
        #[serde(default)] no_address: bool,
    }
    /// Answer to `invite.create`.
    InviteReply {
        /// Id of the invite, for `invite revoke`.
        id: String,
        /// The ticket: a secret, whoever holds it becomes a contact.
        ticket: String,
        /// When it ends.
        expires: Timestamp,
        /// Uses left.
        uses: u32,
    }
    /// An invite that is open.
    InviteEntry {
        /// Id of the invite.
        id: String,
        /// When it ends.
        expires: Timestamp,
        /// Uses left.
        uses: u32,
    }
    /// Answer to `invite.list`.
    InvitesReply {
        /// Open invites, the next to end first. Their tickets are told once, when they are made.
        invites: Vec<InviteEntry>,
    }
    /// `invite.revoke`.
    #[serde(deny_unknown_fields)]
    RevokeParams {
        /// Id of the invite.
        id: String,
    }
}
