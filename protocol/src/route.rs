//! Which machine a frame is for: the one function the node and the simulator share.
//!
//! Pure. Frames of the shell itself (HELLO, PEERS) are handled by whoever owns the streams. SPEC §6.2.

use crate::wire::frame::Frame;

/// Who handles a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The shell around the machines.
    Shell,
    /// The account's own machine.
    Messenger,
    /// Custody for others.
    Keeper,
}

/// The machine a received frame belongs to.
#[must_use]
pub fn route(frame: &Frame) -> Machine {
    match frame {
        Frame::Hello(_) | Frame::AskPeers | Frame::Peers(_) => Machine::Shell,
        Frame::Held { .. }
        | Frame::Full { .. }
        | Frame::Closer { .. }
        | Frame::Refused { .. }
        | Frame::Have { .. }
        | Frame::Push { .. }
        | Frame::RecordHeld { .. }
        | Frame::Records { .. }
        | Frame::DirectProof { .. }
        | Frame::Direct { .. }
        | Frame::Missing { .. } => Machine::Messenger,
        Frame::Deposit { .. }
        | Frame::Subscribe { .. }
        | Frame::Get { .. }
        | Frame::Tombstone(_)
        | Frame::Revoke(_)
        | Frame::Forward(_)
        | Frame::Sync(_)
        | Frame::Admitted { .. }
        | Frame::PutRecord { .. }
        | Frame::GetRecords { .. } => Machine::Keeper,
    }
}
