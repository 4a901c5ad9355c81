//! `peer list`.

use murmesh_protocol::control::{NoParams, PeerReply, PeersReply, Request, StatusReply};

use super::Outcome;
use super::status::way_in;
use crate::context::Context;
use crate::error::exit;
use crate::text::one_line;
use crate::words::moment;

pub(super) fn list(context: &Context<'_>) -> Outcome {
    let mut client = context.node()?;
    let reply: PeersReply = client.call(&Request::Peers(NoParams {}))?;
    context.output.answer(&reply, || reply.peers.iter().map(|peer| line(peer) + "\n").collect())?;
    if reply.peers.is_empty() {
        let status: StatusReply = client.call(&Request::Status(NoParams {}))?;
        let way_in = way_in(status.account.is_some(), context.same_directory());
        context.output.talk(&format!("no other peer is known; {way_in}"));
    }
    Ok(exit::DONE)
}

fn line(peer: &PeerReply) -> String {
    let when = match (peer.connected, peer.since) {
        (true, Some(at)) => format!("connected since {}", moment(at)),
        (true, None) => "connected".to_owned(),
        (false, Some(at)) => format!("seen {}", moment(at)),
        (false, None) => "not seen yet".to_owned(),
    };
    let addresses = peer.addresses.iter().map(|address| one_line(address)).collect::<Vec<_>>().join(" ");
    format!("{}  {:<7}  {when}  {addresses}", one_line(&peer.peer_id), one_line(&peer.role))
}
