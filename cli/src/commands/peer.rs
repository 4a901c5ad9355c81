//! `peer list`.

use murmesh_protocol::control::{NoParams, PeerReply, PeersReply, Request, StatusReply};

use super::Outcome;
use super::status::way_in;
use crate::context::Context;
use crate::error::exit;
use crate::text::one_line;
use crate::words::{moment, short_peer};

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
    // One address, so that a line fits a terminal; `--json` has all of them, and whole ids.
    let address = peer.addresses.first().map(|address| one_line(address)).unwrap_or_default();
    let more = match peer.addresses.len() {
        0 | 1 => String::new(),
        several => format!(" (+{})", several - 1),
    };
    let (id, role) = (short_peer(&one_line(&peer.peer_id)), one_line(&peer.role));
    format!("{id:<9}  {role:<5}  {when:<22}  {address}{more}").trim_end().to_owned()
}
