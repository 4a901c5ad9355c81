//! The bounded channels between the node's parts, and what travels on them.
//!
//! Who may wait for whom, so that nothing can wait in a circle: sessions and control clients wait for
//! the machines; the machines wait for the runner of the swarm; the runner waits for nobody.

use murmesh_protocol::control::{ControlError, Reply, Request};
use murmesh_protocol::id::{Address, PeerId};
use murmesh_protocol::keeper;
use murmesh_protocol::keeper::store::Totals;
use murmesh_protocol::messenger::io::{self as messenger, PeerFacts, PeerFault, QueryId};
use murmesh_protocol::route::Machine;
use tokio::sync::{mpsc, oneshot};

use crate::control::Backlog;

/// Messages that wait for one machine.
pub const MACHINE_QUEUE: usize = 1_024;
/// Batches that wait for the runner: few, because each may hold a step's outputs, some megabytes.
pub const RUNNER_QUEUE: usize = 16;

/// Numbers the sessions of a node: a frame that was made for one never leaves on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionNumber(pub u64);

/// The answer to a control request.
pub type Answer = Result<Reply, ControlError>;

/// What the Messenger's thread is sent.
#[derive(Debug)]
pub enum ToMessenger {
    /// A stream is open.
    Up(PeerFacts, SessionNumber),
    /// Anything else for the machine, commands excepted.
    Input(messenger::Input),
    /// A client asks.
    Command(Request, oneshot::Sender<Answer>),
    /// A client that fell behind reads kept events again: after a cursor, at most so many.
    Events(u64, u32, oneshot::Sender<Result<Backlog, ControlError>>),
    /// Commit, flush, end.
    Stop,
}

/// What the Keeper's thread is sent.
#[derive(Debug)]
pub enum ToKeeper {
    /// A stream is open.
    Up(PeerFacts, SessionNumber),
    /// Anything else for the machine.
    Input(keeper::io::Input),
    /// How much is kept?
    Totals(oneshot::Sender<Totals>),
    /// Commit, flush, end.
    Stop,
}

/// What the runner of the swarm is asked, in batches of one commit each.
#[derive(Debug)]
pub enum Command {
    /// Send an encoded frame.
    Send {
        /// To whom.
        to: PeerId,
        /// The session its maker had in mind; none if it knew of none.
        session: Option<SessionNumber>,
        /// The frame.
        frame: Vec<u8>,
        /// Who asks: only the Messenger's frames wait for a dial.
        from: Machine,
    },
    /// Connect to a peer.
    Connect(PeerId, Vec<String>),
    /// Connect to an address.
    ConnectHint(String),
    /// Who keeps mail for this address?
    FindCustodians(QueryId, Address),
    /// Score a peer.
    Misbehaved(PeerId, PeerFault),
}

/// Questions of the control API to the runner, and the end.
#[derive(Debug)]
pub enum Ask {
    /// The network's part of `node.status`.
    Status(oneshot::Sender<crate::swarm::NetworkStatus>),
    /// Known peers.
    Peers(oneshot::Sender<murmesh_protocol::control::PeersReply>),
    /// End every session, say good-bye, return.
    Stop,
}

/// How to reach both machines.
#[derive(Clone, Debug)]
pub struct Machines {
    /// The account's thread.
    pub messenger: mpsc::Sender<ToMessenger>,
    /// Custody's thread.
    pub keeper: mpsc::Sender<ToKeeper>,
}
