//! How much memory an input or an output holds, roughly: what one transaction of a machine takes in
//! and gives out is bounded by it ([`driver`](crate::driver)), and so is what waits between machines.
//!
//! Only what a peer or client can make large is measured; the rest counts as [`SMALL`]. Pure.

use murmesh_protocol::control::{Reply, Request};
use murmesh_protocol::keeper;
use murmesh_protocol::messenger::io::Input;
use murmesh_protocol::wire::frame::{Admission, Frame, PeerHint};

use crate::links::Command;
use crate::perform::Performed;

/// What anything counts for at least.
const SMALL: usize = 512;
/// An id in a list.
const ID: usize = 32;

/// A frame.
pub(crate) fn of_frame(frame: &Frame) -> usize {
    let bulk = match frame {
        Frame::Deposit { envelope, admission } => {
            let (Admission::Capability(proof) | Admission::Stamp(proof)) = admission else {
                return SMALL + envelope.len();
            };
            envelope.len() + proof.len()
        }
        Frame::Push { envelope } => envelope.len(),
        Frame::PutRecord { record } => record.len(),
        Frame::Records { records, .. } => records.iter().map(Vec::len).sum(),
        Frame::Direct { inner } => inner.len(),
        Frame::Revoke(bytes) | Frame::Forward(bytes) | Frame::Sync(bytes) => bytes.len(),
        Frame::Subscribe { claim, digest, .. } => claim.signature.len() + digest.len(),
        Frame::Get { claim, ids } => claim.signature.len() + ids.len() * ID,
        Frame::Tombstone(tombstone) => tombstone.signature.len() + tombstone.ids.len() * ID,
        Frame::Have { ids, .. } | Frame::Admitted { ids, .. } | Frame::Missing { ids, .. } => ids.len() * ID,
        Frame::Hello(hello) => texts(&hello.addresses),
        Frame::Peers(peers) | Frame::Closer { peers, .. } => hints(peers),
        Frame::Held { .. }
        | Frame::Full { .. }
        | Frame::Refused { .. }
        | Frame::RecordHeld { .. }
        | Frame::GetRecords { .. }
        | Frame::AskPeers
        | Frame::DirectProof { .. } => 0,
    };
    SMALL + bulk
}

fn texts(texts: &[String]) -> usize {
    texts.iter().map(String::len).sum()
}

fn hints(peers: &[PeerHint]) -> usize {
    peers.iter().map(|hint| ID + texts(&hint.addresses)).sum()
}

/// An input of the Messenger.
pub(crate) fn of_input(input: &Input) -> usize {
    match input {
        Input::Frame(_, frame) => of_frame(frame),
        Input::Command(_, request) => of_request(request),
        Input::Reachable { own, others } => SMALL + texts(own) + texts(others),
        Input::HintReached(hint, _) | Input::HintFailed(hint) => SMALL + hint.len(),
        Input::Custodians(_, region) => SMALL + region.custodians.len() * ID,
        Input::PeerUp(_) | Input::PeerDown(_) | Input::Unreachable(_) | Input::Deadline => SMALL,
    }
}

/// An input of the Keeper.
pub(crate) fn of_keeper_input(input: &keeper::io::Input) -> usize {
    use keeper::io::Input;
    match input {
        Input::Frame(_, frame) => of_frame(frame),
        Input::PeerUp(_)
        | Input::PeerDown(_)
        | Input::NeighbourSeen { .. }
        | Input::NeighbourGone(_)
        | Input::Deadline => SMALL,
    }
}

/// A client's request.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other one is a few names")]
pub(crate) fn of_request(request: &Request) -> usize {
    match request {
        Request::Send(params) => SMALL + params.text.len(),
        Request::Add(params) => SMALL + params.ticket.len() + params.text.as_ref().map_or(0, String::len),
        _ => SMALL,
    }
}

/// What a step wants done.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other reply is a few names")]
pub(crate) fn of_performed(performed: &Performed) -> usize {
    match performed {
        Performed::Command(Command::Send { frame, .. }) => SMALL + frame.len(),
        Performed::Command(Command::Connect(_, addresses)) => SMALL + texts(addresses),
        Performed::Command(_) => SMALL,
        Performed::Local(frame) => of_frame(frame),
        Performed::Reply(_, Ok(reply)) => match reply {
            Reply::Read(read) => read.messages.iter().map(|message| SMALL + message.text.len()).sum(),
            Reply::Contacts(reply) => reply.contacts.len() * SMALL,
            Reply::Outbox(reply) => reply.messages.len() * SMALL,
            Reply::Requests(reply) => reply.requests.iter().map(|request| SMALL + request.text.len()).sum(),
            Reply::Why(reply) => reply.steps.len() * SMALL,
            _ => SMALL,
        },
        Performed::Reply(_, Err(_)) => SMALL,
        Performed::Event(event) => {
            SMALL
                + match &event.body {
                    murmesh_protocol::control::EventBody::MessageReceived(message) => message.text.len(),
                    _ => 0,
                }
        }
    }
}

/// Outputs of one step, which ends when they are many.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    done: Vec<Performed>,
    bytes: usize,
}

impl Gathered {
    pub(crate) fn push(&mut self, performed: Performed) {
        self.bytes = self.bytes.saturating_add(of_performed(&performed));
        self.done.push(performed);
    }

    /// Nothing more should be run before these are performed.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= OUTPUT_BYTES_MAX
    }

    pub(crate) fn into_done(self) -> Vec<Performed> {
        self.done
    }
}

/// Outputs of one step are at most these and one input's; the rest of its batch is the next step's.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
