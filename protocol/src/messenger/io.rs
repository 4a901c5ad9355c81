//! The whole boundary of the [`Messenger`](super::Messenger): what it is told, what it asks for.
//!
//! Read this first. `handle` takes one [`Input`] inside one store transaction; after the commit the
//! shell performs the [`Output`]s in order. SPEC §8.

use crate::control::{ControlError, Event, Reply, Request};
use crate::id::{Address, PeerId};
use crate::placement::Region;
use crate::time::Time;
use crate::wire::frame::{Frame, Role};

/// Names a control request until its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Names a question to the routing layer until its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryId(pub u64);

/// What the shell knows of a peer when both HELLOs of its stream are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    /// The peer; one's own Keeper announces itself under one's own PeerId, for life.
    pub peer: PeerId,
    /// Its role.
    pub role: Role,
    /// It keeps mail.
    pub keeps: bool,
    /// What it issued to us: signed in our claims to it, and in direct proofs.
    pub their_challenge: [u8; 32],
    /// What we issued to it.
    pub our_challenge: [u8; 32],
    /// The network prefix its deposits are counted under: /24 or /48; none for loopback and private
    /// ranges, which every address-based rule ignores (SPEC §8.6).
    pub prefix: Option<[u8; 6]>,
}

/// What a Messenger is told.
#[derive(Debug)]
pub enum Input {
    /// A client asks something. Requests that are the shell's own (hello, status, stop, peers,
    /// subscribe) never get here, except status, which the shell completes.
    Command(RequestId, Request),
    /// A stream to a peer is open.
    PeerUp(PeerFacts),
    /// It is gone.
    PeerDown(PeerId),
    /// A frame that [`route`](crate::route::route) says is ours.
    Frame(PeerId, Frame),
    /// A [`Output::Connect`] or a [`Output::Send`] to a peer that was not connected failed.
    Unreachable(PeerId),
    /// A [`Output::ConnectHint`] succeeded: this peer answers there. `PeerUp` was told before.
    HintReached(String, PeerId),
    /// It failed.
    HintFailed(String),
    /// Answer to [`Output::FindCustodians`].
    Custodians(QueryId, Region),
    /// Where this node can be reached now, and which other full peers could be named in a ticket.
    Reachable {
        /// Own addresses, best first (global, private, loopback).
        own: Vec<String>,
        /// Addresses of connected full peers.
        others: Vec<String>,
    },
    /// A deadline of [`poll_deadline`](super::Messenger::poll_deadline) has come.
    Deadline,
}

/// What a Messenger asks of its shell, after the commit.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send a frame. If the peer is not connected, dial it by what the shell knows (time-out 3 s) and
    /// answer [`Input::Unreachable`] if that fails. To one's own PeerId: hand it to the own Keeper.
    Send(PeerId, Frame),
    /// Dial a peer at these addresses and at those the shell knows; answered by `PeerUp` or
    /// [`Input::Unreachable`].
    Connect(PeerId, Vec<String>),
    /// Dial an address whose PeerId is not known (a ticket's hint); answered by
    /// [`Input::HintReached`] or [`Input::HintFailed`].
    ConnectHint(String),
    /// Which peers are responsible for this address? Answered by [`Input::Custodians`].
    FindCustodians(QueryId, Address),
    /// Answer a client.
    Reply(RequestId, Result<Reply, ControlError>),
    /// Tell subscribers.
    Event(Event),
    /// The peer sent bytes that no honest peer sends.
    Misbehaved(PeerId, PeerFault),
}

/// What a peer did wrong: the shell scores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerFault {
    /// Bytes that are not what their frame says.
    Malformed,
    /// A signature that does not fit.
    BadSignature,
    /// Something that was not asked for, or not allowed on this stream.
    Unexpected,
}

/// When to call `handle` with [`Input::Deadline`], and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// When.
    pub at: Time,
    /// What is due, for the log.
    pub reason: &'static str,
}
