//! Events of the control API (SPEC §10.4). Every state change of a message is one.

use serde::{Deserialize, Serialize};

use super::{ContactState, Custodians, MessageReply, MessageState, Path, QueuedReason, Timestamp};

/// Types of events, by which a subscription filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum EventKind {
    /// A message arrived.
    #[serde(rename = "message.received")]
    MessageReceived,
    /// A sent message changed its state or its count of copies.
    #[serde(rename = "message.state")]
    MessageState,
    /// A message arrived before others of the same author.
    #[serde(rename = "message.gap")]
    MessageGap,
    /// Somebody asks to become a contact.
    #[serde(rename = "contact.request")]
    ContactRequest,
    /// A contact is connected: messages flow both ways.
    #[serde(rename = "contact.connected")]
    ContactConnected,
    /// A connection to a peer opened.
    #[serde(rename = "peer.up")]
    PeerUp,
    /// A connection to a peer closed.
    #[serde(rename = "peer.down")]
    PeerDown,
    /// Events are missing here: the client was too slow, or asked for older ones than are kept.
    #[serde(rename = "stream.gap")]
    StreamGap,
}

/// What happened: the `type` and `data` of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", content = "data")]
pub enum EventBody {
    /// The message object, as `read` shows it.
    #[serde(rename = "message.received")]
    MessageReceived(Box<MessageReply>),
    /// A sent message.
    #[serde(rename = "message.state")]
    MessageState {
        /// Message id.
        id: String,
        /// Name of the contact.
        to: String,
        /// Its state.
        state: MessageState,
        /// Copies.
        custodians: Custodians,
        /// Why it is queued.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<QueuedReason>,
        /// How it got there, for `delivered`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<Path>,
        /// Milliseconds from `send` to this state.
        after_ms: u64,
        /// When the contact was last heard from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen_at: Option<Timestamp>,
    },
    /// Messages of this author are missing before one that was shown.
    #[serde(rename = "message.gap")]
    MessageGap {
        /// Name of the contact.
        from: String,
        /// The message shown in spite of the gap.
        before: String,
        /// How many are missing.
        missing: u64,
    },
    /// Somebody asks to become a contact.
    #[serde(rename = "contact.request")]
    ContactRequest {
        /// Account of the asker.
        account: String,
        /// Nickname it gives itself.
        name: String,
        /// Id of the request.
        #[serde(default)]
        id: String,
        /// The beginning of what it says; may be empty.
        #[serde(default)]
        text: String,
    },
    /// A contact is connected.
    #[serde(rename = "contact.connected")]
    ContactConnected {
        /// Name of the contact.
        name: String,
        /// Its account.
        account: String,
        /// Its state: `connected`.
        state: ContactState,
    },
    /// A connection to a peer opened.
    #[serde(rename = "peer.up")]
    PeerUp {
        /// PeerId.
        peer_id: String,
    },
    /// A connection to a peer closed.
    #[serde(rename = "peer.down")]
    PeerDown {
        /// PeerId.
        peer_id: String,
    },
    /// Events are missing here.
    #[serde(rename = "stream.gap")]
    StreamGap {
        /// The cursor after which events may be missing.
        after: String,
    },
}

impl EventBody {
    /// The event's type.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            EventBody::MessageReceived(_) => EventKind::MessageReceived,
            EventBody::MessageState { .. } => EventKind::MessageState,
            EventBody::MessageGap { .. } => EventKind::MessageGap,
            EventBody::ContactRequest { .. } => EventKind::ContactRequest,
            EventBody::ContactConnected { .. } => EventKind::ContactConnected,
            EventBody::PeerUp { .. } => EventKind::PeerUp,
            EventBody::PeerDown { .. } => EventKind::PeerDown,
            EventBody::StreamGap { .. } => EventKind::StreamGap,
        }
    }
}

/// An event as clients are told it: `{"cursor","at","type","data"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// Decimal position in this node's stream of events; later events have greater ones.
    pub cursor: String,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}
