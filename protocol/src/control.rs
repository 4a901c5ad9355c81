//! The control API: what a client of `api.sock` can ask and is told (SPEC §10).
//!
//! Plain types with their JSON shapes; no transport. The node frames them as JSON-RPC 2.0, one object
//! a line; the CLI prints them. A shipped shape is only ever added to, so params refuse unknown fields
//! and replies do not: an older client reads a newer node.
//! Errors carry a name and data; their words for people are a table beside them.

use serde::{Deserialize, Serialize};

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $ty:ty),* $(,)? })*) => {$(
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        $(#[$doc])*
        pub struct $name { $($(#[$field_doc])* pub $field: $ty),* }
    )*};
}

pub use self::consumer::{AckParams, Consumer, ConsumersReply, ForgetParams};
pub use self::contact_request::{
    AcceptRequestParams, AcceptRequests, DeclineRequestParams, RequestEntry, RequestsReply,
};
pub use self::error::{ControlError, ErrorName, FilePlace};
pub use self::escape::without_escapes;
pub use self::event::{Event, EventBody, EventKind};
pub use self::invite::{InviteEntry, InviteParams, InviteReply, InvitesReply, RevokeParams};
pub use self::outbox::{OutboxEntry, OutboxReply, RetryParams};
pub use self::request::{Reply, Request};
pub use self::timestamp::Timestamp;

mod consumer;
mod contact_request;
pub mod error;
mod escape;
pub mod event;
pub mod files;
mod invite;
mod outbox;
mod request;
#[cfg(feature = "schema")]
pub mod schema;
mod timestamp;

/// Major version of the control API. `system.hello` refuses a client that asks for a newer one.
pub const API_VERSION: u32 = 1;

/// State of a message one has sent (glossary: SPEC §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// On this node's disk, synced.
    Queued,
    /// `good` custodians have synced a copy: the sender may leave.
    Held,
    /// The recipient's device has it on its disk and said so inside the session.
    Delivered,
    /// The recipient has read it and chose to say so.
    Read,
    /// Its life ended before it was delivered.
    Expired,
    /// Refused for good: by the recipient or by every custodian.
    Refused,
    /// Cannot be sent: the text says why.
    Failed,
}

/// Why a message is still `queued`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum QueuedReason {
    /// Being sent at this moment.
    Sending,
    /// No other peer is known that keeps mail; it goes when the contact is seen.
    NobodyToKeepIt,
    /// Custodians are known but fewer than `good` could be reached; retried.
    TooFewCustodians,
    /// Custodians refused: the mailbox is full today.
    MailboxFull,
    /// The contact has not answered the request yet; messages wait for the session.
    NotConnectedYet,
    /// No network at all.
    Offline,
}

/// How a message reached the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// Over a stream between the two devices.
    Direct,
    /// From custodians.
    Mailbox,
}

/// How many custodians hold a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Custodians {
    /// Synced copies acknowledged.
    pub held: u32,
    /// Copies wanted: min(8, others able to keep).
    pub want: u32,
    /// Until when the copies are kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Timestamp>,
}

/// State of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ContactState {
    /// A request is on its way; the contact has not answered.
    Requested,
    /// Messages flow both ways.
    Connected,
    /// Blocked by this account.
    Blocked,
    /// It was asked without a ticket and has not answered in time. It is heard if it answers after all.
    Expired,
}

/// What a node knows of how it can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It listens on this machine only.
    Loopback,
    /// Somebody at a global address has dialed it since it started.
    Outside,
    /// Nobody from outside did: perhaps it can be reached in its own network only.
    Unproven,
}

shapes! {
    /// No parameters.
    #[serde(deny_unknown_fields)]
    NoParams {}

    /// `system.hello`: first request of a client.
    #[serde(deny_unknown_fields)]
    HelloParams {
        /// What the client calls itself.
        client: String,
        /// The API version it speaks.
        api: u32,
    }
    /// Answer to `system.hello`.
    HelloReply {
        /// The API version of the node.
        api: u32,
        /// Version of `murmeshd`.
        version: String,
        /// Process id of `murmeshd`.
        pid: u32,
    }

    /// `account.init` (also through `murmeshd offline`): makes the account of this data directory.
    #[serde(deny_unknown_fields)]
    InitParams {
        /// Nickname told to contacts; 1–64 characters after stripping.
        #[serde(default)] name: Option<String>,
    }
    /// Answer to `account.init`.
    InitReply {
        /// The account address, `mur1…`.
        account: String,
        /// Nickname.
        name: String,
        /// Always true: an existing account is the error `already-initialised`.
        created: bool,
    }
    /// Answer to `id.show`.
    IdReply {
        /// The account address.
        account: String,
        /// Nickname.
        name: String,
    }

    /// Mail counters of `node.status`.
    OutboxStatus {
        /// Messages in state `queued`.
        queued: u64,
        /// Messages in state `held`.
        held: u64,
    }
    /// Custody counters of `node.status`: mail kept for others.
    CustodyStatus {
        /// Envelopes kept (mail only).
        envelopes: u64,
        /// Records kept.
        records: u64,
        /// Bytes of both.
        bytes: u64,
    }
    /// Peer counters of `node.status`.
    PeerCounts {
        /// Open connections.
        connected: u64,
        /// Peers that are connected, and others whose addresses are known.
        known: u64,
    }
    /// Health in `node.status`.
    Health {
        /// Nothing to do.
        ok: bool,
        /// What is wrong, as names: `no-peers`, `nobody-to-keep-mail`, `account-keys-contradict`, or the error that
        /// keeps the account shut (`locked`).
        reasons: Vec<String>,
    }
    /// Answer to `node.status`.
    StatusReply {
        /// Always `running`.
        state: String,
        /// Process id.
        pid: u32,
        /// PeerId of the node.
        peer_id: String,
        /// Listening addresses, in the order of `--listen`, each with `/p2p`.
        listen: Vec<String>,
        /// `full` or `light`.
        role: String,
        /// Peers.
        peers: PeerCounts,
        /// Outbox; zero without an account.
        outbox: OutboxStatus,
        /// Custody for others.
        custody: CustodyStatus,
        /// Health.
        health: Health,
        /// The account, if there is one.
        account: Option<IdReply>,
        /// Contacts, if there is an account.
        contacts: u64,
        /// Messages received and not yet read by `read`.
        unread: u64,
        /// When the node started.
        started_at: Timestamp,
        /// Eligible custodians other than this node that it knows of.
        custodians_known: u64,
        /// When a custodian other than this node last listed one's mail to its end; none without an account.
        #[serde(skip_serializing_if = "Option::is_none", default)] collected_at: Option<Timestamp>,
        /// How it can be reached.
        #[serde(skip_serializing_if = "Option::is_none", default)] reach: Option<Reach>,
        /// Strangers who ask to become contacts; absent if there are none.
        #[serde(skip_serializing_if = "is_zero", default)] requests: u64,
    }

    /// `contact.add`.
    #[serde(deny_unknown_fields)]
    AddParams {
        /// The ticket's text, or an account address: that account is asked, and has to accept.
        ticket: String,
        /// Name to give the contact; else its nickname.
        #[serde(default)] name: Option<String>,
        /// A text to send with the request, as a first message: 1 to `limits::REQUEST_TEXT_BYTES_MAX` bytes. Not sent
        /// to who is known already.
        #[serde(default, skip_serializing_if = "Option::is_none")] text: Option<String>,
    }
    /// Answer to `contact.add`; progress comes as events.
    AddReply {
        /// Name of the contact (its account address until its nickname is known).
        contact: String,
        /// Its account.
        account: String,
        /// `requested`, or `connected` if it was a contact already.
        state: ContactState,
        /// It was a contact before: nothing changed.
        known: bool,
    }
    /// A parameter that names a contact: name, account address, or unique prefix of either.
    #[serde(deny_unknown_fields)]
    WhoParams {
        /// The contact.
        who: String,
    }
    /// `contact.rename`.
    #[serde(deny_unknown_fields)]
    RenameParams {
        /// The contact.
        who: String,
        /// Its new name.
        name: String,
    }
    /// One contact.
    ContactReply {
        /// Name of the contact here.
        name: String,
        /// Its account.
        account: String,
        /// State.
        state: ContactState,
        /// Its safety number was compared (a later version).
        verified: bool,
        /// A proven direct stream to it is open.
        online: bool,
        /// When it was last heard from.
        seen_at: Option<Timestamp>,
        /// The nickname it gives itself.
        nickname: Option<String>,
        /// When it became a contact here.
        added_at: Timestamp,
        /// Sessions with it: started, restarted.
        sessions: u32,
    }
    /// Answer to `contact.list`.
    ContactsReply {
        /// All contacts, by name.
        contacts: Vec<ContactReply>,
    }

    /// `message.send`.
    #[serde(deny_unknown_fields)]
    SendParams {
        /// The contact.
        to: String,
        /// The text: 1 to `limits::TEXT_BYTES_MAX` bytes.
        text: String,
        /// Idempotency key: the same key never sends twice and gives the same id.
        #[serde(default)] client_id: Option<String>,
        /// Life in milliseconds; default 14 d, at most 30 d.
        #[serde(default)] expire_ms: Option<u64>,
    }
    /// Answer to `message.send`, after the sync to disk.
    SendReply {
        /// Message id.
        id: String,
        /// Name of the contact.
        to: String,
        /// State at the answer.
        state: MessageState,
        /// Copies.
        custodians: Custodians,
        /// Why it is queued.
        #[serde(skip_serializing_if = "Option::is_none", default)] reason: Option<QueuedReason>,
    }

    /// `message.read`.
    #[serde(deny_unknown_fields)]
    ReadParams {
        /// Only this conversation.
        #[serde(default)] who: Option<String>,
        /// Only messages received and not yet shown by a `read`.
        #[serde(default)] unread: bool,
        /// Only messages that arrived (or were sent) since this time.
        #[serde(default)] since: Option<Timestamp>,
        /// Newest this many; default 50.
        #[serde(default)] limit: Option<u32>,
        /// Do not mark them as read.
        #[serde(default)] peek: bool,
    }
    /// One message, sent or received.
    MessageReply {
        /// Message id.
        id: String,
        /// Name of the contact whose conversation it is in.
        conversation: String,
        /// Name of the author, `me` for one's own.
        from: String,
        /// Name of the recipient, `me` for one's own account.
        to: String,
        /// When it was sent, by the sender's clock.
        at: Timestamp,
        /// When it reached this node's disk; null for sent messages.
        received_at: Option<Timestamp>,
        /// The text.
        text: String,
        /// State of a sent message; `delivered` for a received one.
        state: MessageState,
        /// Messages of the same author known to be missing before this one.
        #[serde(skip_serializing_if = "is_zero", default)] gap_before: u64,
        /// How it arrived, for a received or delivered message.
        #[serde(skip_serializing_if = "Option::is_none", default)] path: Option<Path>,
        /// PeerId of the custodian that handed it over, for a message received by mailbox.
        #[serde(skip_serializing_if = "Option::is_none", default)] kept_by: Option<String>,
        /// Not yet shown by a `read` before this one.
        #[serde(skip_serializing_if = "core::ops::Not::not", default)] unread: bool,
    }
    /// Answer to `message.read`, in reading order.
    ReadReply {
        /// The messages.
        messages: Vec<MessageReply>,
        /// Reserved for paging; null.
        next: Option<String>,
    }

    /// A parameter that names a message: its id or a unique prefix of at least 6 digits.
    #[serde(deny_unknown_fields)]
    MessageParams {
        /// The message.
        id: String,
    }
    /// One step in a message's story.
    Step {
        /// When.
        at: Timestamp,
        /// What was done: `queued`, `sealed`, `direct`, `deposit`, `held`, `receipt`, `expired`, ….
        what: String,
        /// The peer it was done with.
        peer: Option<String>,
        /// What came of it.
        result: String,
    }
    /// Answer to `message.why`.
    WhyReply {
        /// Message id.
        id: String,
        /// State.
        state: MessageState,
        /// Every attempt, hop and custodian, oldest first.
        steps: Vec<Step>,
    }

    /// One peer.
    PeerReply {
        /// PeerId.
        peer_id: String,
        /// Known addresses.
        addresses: Vec<String>,
        /// A connection is open.
        connected: bool,
        /// `full`, `light`, or `unknown` before its hello.
        role: String,
        /// Connected since, or last seen.
        since: Option<Timestamp>,
    }
    /// Answer to `peer.list`.
    PeersReply {
        /// Known peers, connected ones first.
        peers: Vec<PeerReply>,
    }

    /// `events.subscribe`.
    #[serde(deny_unknown_fields)]
    SubscribeParams {
        /// Events after this cursor; null = from now. Events older than the kept ones: `stream.gap` first.
        #[serde(default)] since: Option<String>,
        /// Only these types; empty or absent = all.
        #[serde(default)] types: Vec<EventKind>,
        /// Name of a consumer, which is kept with the cursor it has acknowledged (`events.ack`): a known one goes on
        /// behind that cursor whatever `since` says, and is told what it has not acknowledged again.
        #[serde(default, skip_serializing_if = "Option::is_none")] name: Option<String>,
    }
    /// Answer to `events.subscribe`.
    SubscribeReply {
        /// Id of the subscription on this connection.
        subscription: String,
        /// The cursor events are told after.
        cursor: String,
    }
    /// Answer to requests that return nothing but their success.
    Done {
        /// What was done, as a state name: `stopping`.
        state: String,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands skip_serializing_if a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
