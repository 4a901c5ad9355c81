//! What a machine has been told of peers: told again when it is rebuilt, and which session a frame of
//! it is for.

use std::collections::BTreeMap;

use murmesh_protocol::id::PeerId;
use murmesh_protocol::messenger::io::PeerFacts;

use crate::links::SessionNumber;

/// Peers that are up, by what the machine has been told.
#[derive(Clone, Debug, Default)]
pub(super) struct UpPeers(BTreeMap<PeerId, (PeerFacts, SessionNumber)>);

impl UpPeers {
    pub(super) fn up(&mut self, facts: PeerFacts, session: SessionNumber) {
        self.0.insert(facts.peer, (facts, session));
    }

    pub(super) fn down(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    pub(super) fn session(&self, peer: &PeerId) -> Option<SessionNumber> {
        self.0.get(peer).map(|(_, session)| *session)
    }

    pub(super) fn facts(&self) -> impl Iterator<Item = PeerFacts> {
        self.0.values().map(|(facts, _)| *facts)
    }
}
