//! What is done with a machine's outputs after its commit. Pure and exhaustive: outputs in, what
//! travels to the runner, the other machine, clients out.

use murmesh_protocol::control::Event;
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper;
use murmesh_protocol::messenger::io::{Input, Output, RequestId};
use murmesh_protocol::route::Machine;
use murmesh_protocol::wire::frame::Frame;

use crate::links::{Answer, Command, SessionNumber};

/// An output in the shell's words.
#[derive(Debug)]
pub(crate) enum Performed {
    /// For the runner.
    Command(Command),
    /// A frame for the other machine of this node.
    Local(Frame),
    /// For a client.
    Reply(RequestId, Answer),
    /// For all clients.
    Event(Event),
}

/// An output of the Messenger; `session` is what it knew of its peers when it made it.
pub(crate) fn messenger(
    output: Output,
    own: PeerId,
    session: impl Fn(&PeerId) -> Option<SessionNumber>,
) -> Performed {
    match output {
        Output::Send(to, frame) => send(to, frame, own, session(&to), Machine::Messenger),
        Output::Connect(peer, addresses) => Performed::Command(Command::Connect(peer, addresses)),
        Output::ConnectHint(address) => Performed::Command(Command::ConnectHint(address)),
        Output::FindCustodians(query, address) => Performed::Command(Command::FindCustodians(query, address)),
        Output::Reply(id, answer) => Performed::Reply(id, answer),
        Output::Event(event) => Performed::Event(event),
        Output::Misbehaved(peer, fault) => Performed::Command(Command::Misbehaved(peer, fault)),
    }
}

/// An output of the Keeper.
pub(crate) fn keeper(
    output: keeper::io::Output,
    own: PeerId,
    session: impl Fn(&PeerId) -> Option<SessionNumber>,
) -> Performed {
    match output {
        keeper::io::Output::Send(to, frame) => send(to, frame, own, session(&to), Machine::Keeper),
        keeper::io::Output::Misbehaved(peer, fault) => Performed::Command(Command::Misbehaved(peer, fault)),
    }
}

fn send(to: PeerId, frame: Frame, own: PeerId, session: Option<SessionNumber>, from: Machine) -> Performed {
    if to == own {
        return Performed::Local(frame);
    }
    // Encoded here, on the machine's thread, so that the runner only moves bytes.
    Performed::Command(Command::Send { to, session, frame: frame.to_bytes(), from })
}

/// The same input again, for a batch that may have to run twice.
pub(crate) fn copy(input: &Input) -> Input {
    match input {
        Input::Command(id, request) => Input::Command(*id, request.clone()),
        Input::PeerUp(facts) => Input::PeerUp(*facts),
        Input::PeerDown(peer) => Input::PeerDown(*peer),
        Input::Frame(peer, frame) => Input::Frame(*peer, frame.clone()),
        Input::Unreachable(peer) => Input::Unreachable(*peer),
        Input::HintReached(hint, peer) => Input::HintReached(hint.clone(), *peer),
        Input::HintFailed(hint) => Input::HintFailed(hint.clone()),
        Input::Custodians(query, region) => Input::Custodians(*query, region.clone()),
        Input::Reachable { own, others } => Input::Reachable { own: own.clone(), others: others.clone() },
        Input::Deadline => Input::Deadline,
    }
}

/// The same for the Keeper.
pub(crate) fn copy_for_keeper(input: &keeper::io::Input) -> keeper::io::Input {
    use keeper::io::Input;
    match input {
        Input::PeerUp(facts) => Input::PeerUp(*facts),
        Input::PeerDown(peer) => Input::PeerDown(*peer),
        Input::Frame(peer, frame) => Input::Frame(*peer, frame.clone()),
        Input::NeighbourSeen { peer, role, keeps } => {
            Input::NeighbourSeen { peer: *peer, role: *role, keeps: *keeps }
        }
        Input::NeighbourGone(peer) => Input::NeighbourGone(*peer),
        Input::Deadline => Input::Deadline,
    }
}
