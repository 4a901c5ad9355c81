//! The whole boundary of the [`Keeper`](super::Keeper): what it is told, what it asks for. SPEC §8.3.

use crate::id::PeerId;
use crate::messenger::io::{PeerFacts, PeerFault};
use crate::wire::frame::{Frame, Role};

/// What a Keeper is told.
#[derive(Debug)]
pub enum Input {
    /// A stream to a peer is open (also the own Messenger, under the own PeerId).
    PeerUp(PeerFacts),
    /// It is gone: its subscriptions end.
    PeerDown(PeerId),
    /// A frame that [`route`](crate::route::route) says is ours.
    Frame(PeerId, Frame),
    /// A custodian was announced in a region topic.
    NeighbourSeen {
        /// Who.
        peer: PeerId,
        /// Its role.
        role: Role,
        /// It keeps mail.
        keeps: bool,
    },
    /// A custodian said good-bye in a region topic.
    NeighbourGone(PeerId),
    /// A deadline has come.
    Deadline,
}

/// What a Keeper asks of its shell, after the commit.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// Send a frame to a connected peer; dropped if it is gone. To one's own PeerId: hand it to the
    /// own Messenger.
    Send(PeerId, Frame),
    /// The peer sent bytes that no honest peer sends.
    Misbehaved(PeerId, PeerFault),
}
