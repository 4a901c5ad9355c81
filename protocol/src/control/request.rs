//! Requests by method, and their replies (SPEC §10.2).

use serde::{Deserialize, Serialize};

use super::*;

/// A request: method and params, in serde's adjacently tagged form of JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "method", content = "params")]
pub enum Request {
    /// First request of a client.
    #[serde(rename = "system.hello")]
    Hello(HelloParams),
    /// Make the account.
    #[serde(rename = "account.init")]
    Init(InitParams),
    /// The account.
    #[serde(rename = "id.show")]
    IdShow(NoParams),
    /// State of the node.
    #[serde(rename = "node.status")]
    Status(NoParams),
    /// Stop the node: answered, then it flushes and exits.
    #[serde(rename = "node.stop")]
    Stop(NoParams),
    /// Make a ticket.
    #[serde(rename = "invite.create")]
    Invite(InviteParams),
    /// Add a contact by its ticket, or ask an account to become one.
    #[serde(rename = "contact.add")]
    Add(AddParams),
    /// All contacts.
    #[serde(rename = "contact.list")]
    Contacts(NoParams),
    /// One contact.
    #[serde(rename = "contact.show")]
    Contact(WhoParams),
    /// Rename a contact.
    #[serde(rename = "contact.rename")]
    Rename(RenameParams),
    /// Send a text.
    #[serde(rename = "message.send")]
    Send(SendParams),
    /// Messages in reading order.
    #[serde(rename = "message.read")]
    Read(ReadParams),
    /// A message's story.
    #[serde(rename = "message.why")]
    Why(MessageParams),
    /// Messages not yet delivered.
    #[serde(rename = "outbox.list")]
    Outbox(NoParams),
    /// One message not yet delivered.
    #[serde(rename = "outbox.show")]
    OutboxShow(MessageParams),
    /// Try waiting messages now.
    #[serde(rename = "outbox.retry")]
    Retry(RetryParams),
    /// Take a message back that has not left this node.
    #[serde(rename = "outbox.cancel")]
    Cancel(MessageParams),
    /// Hear no more of a contact, and send it nothing.
    #[serde(rename = "contact.block")]
    Block(WhoParams),
    /// Hear a blocked contact again.
    #[serde(rename = "contact.unblock")]
    Unblock(WhoParams),
    /// Remove a contact and its conversation.
    #[serde(rename = "contact.remove")]
    Remove(WhoParams),
    /// Invites that are open.
    #[serde(rename = "invite.list")]
    Invites(NoParams),
    /// End an invite.
    #[serde(rename = "invite.revoke")]
    Revoke(RevokeParams),
    /// Strangers who ask to become contacts.
    #[serde(rename = "request.list")]
    ContactRequests(NoParams),
    /// Make one of them a contact.
    #[serde(rename = "request.accept")]
    AcceptRequest(AcceptRequestParams),
    /// Hear no more of one of them. It is not told.
    #[serde(rename = "request.decline")]
    DeclineRequest(DeclineRequestParams),
    /// Known peers.
    #[serde(rename = "peer.list")]
    Peers(NoParams),
    /// Follow events on this connection.
    #[serde(rename = "events.subscribe")]
    Subscribe(SubscribeParams),
    /// Done with the events up to a cursor: for a named consumer.
    #[serde(rename = "events.ack")]
    Ack(AckParams),
    /// Named consumers.
    #[serde(rename = "events.consumers")]
    Consumers(NoParams),
    /// Forget a named consumer.
    #[serde(rename = "events.forget")]
    Forget(ForgetParams),
}

impl Request {
    /// The methods, by which a server tells an unknown method from wrong params.
    pub const METHODS: &'static [&'static str] = &[
        "system.hello",
        "account.init",
        "id.show",
        "node.status",
        "node.stop",
        "invite.create",
        "contact.add",
        "contact.list",
        "contact.show",
        "contact.rename",
        "message.send",
        "message.read",
        "message.why",
        "outbox.list",
        "outbox.show",
        "outbox.retry",
        "outbox.cancel",
        "contact.block",
        "contact.unblock",
        "contact.remove",
        "invite.list",
        "invite.revoke",
        "request.list",
        "request.accept",
        "request.decline",
        "peer.list",
        "events.subscribe",
        "events.ack",
        "events.consumers",
        "events.forget",
    ];
}

/// Answer to a [`Request`] of the same name; its JSON is that of the inner shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each variant is the answer documented at its shape")]
pub enum Reply {
    Hello(HelloReply),
    Init(InitReply),
    Id(IdReply),
    Status(Box<StatusReply>),
    Invite(InviteReply),
    Invites(InvitesReply),
    Add(AddReply),
    Contacts(ContactsReply),
    Contact(Box<ContactReply>),
    Send(SendReply),
    Read(ReadReply),
    Why(WhyReply),
    Outbox(OutboxReply),
    OutboxEntry(OutboxEntry),
    Requests(RequestsReply),
    Peers(PeersReply),
    Subscribe(SubscribeReply),
    Consumers(ConsumersReply),
    Done(Done),
}
