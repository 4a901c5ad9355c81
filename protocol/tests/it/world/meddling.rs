//! What tests do to the nodes of a world that their network and users would not.

use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper;
use murmesh_protocol::messenger::io::{Input, PeerFacts};
use murmesh_protocol::messenger::store::Table;
use murmesh_protocol::store::StoreError;
use murmesh_protocol::time::DAY_MS;
use murmesh_protocol::wire::envelope::seal_round;
use murmesh_protocol::wire::frame::{Frame, Role};

use super::World;

impl World {
    /// Hands a node's Messenger a frame, as if a peer had sent it.
    pub(crate) fn frame(&mut self, to: usize, from: PeerId, frame: Frame) {
        self.messenger_step(to, Input::Frame(from, frame));
    }

    /// A peer that says it keeps mail comes and goes again at once, as a node sees it.
    pub(crate) fn flap(&mut self, node: usize, peer: PeerId) {
        let (their_challenge, our_challenge) = ([1; 32], [2; 32]);
        let facts =
            PeerFacts { peer, role: Role::Full, keeps: true, their_challenge, our_challenge, prefix: None };
        self.messenger_step(node, Input::PeerUp(facts));
        self.messenger_step(node, Input::PeerDown(peer));
    }

    /// Its nearest custodian hands a node an envelope for each of its mailboxes that nobody can open.
    pub(crate) fn junk(&mut self, node: usize) {
        let from = self.nodes[self.nodes.len() - 1].peer;
        let expires = self.now.plus(DAY_MS).seconds();
        for (address, day) in self.nodes[node].claimed.clone() {
            let junk = seal_round(&[5; 32], address, day, expires, &[7; 512 - 58], &mut self.rng).unwrap();
            self.frame(node, from, Frame::Push { envelope: junk });
        }
    }

    /// A node that is down loses its sessions, as one that was restored from its words has none.
    pub(crate) fn lose_sessions(&mut self, node: usize) {
        assert!(!self.is_up(node));
        self.nodes[node].rolled_back = true;
        let lost: Result<(), StoreError> =
            self.nodes[node].private.transaction(|tx| tx.prune(Table::Sessions, &[], u64::MAX));
        lost.unwrap();
    }

    /// Sets a node's clock. As a shell does, it wakes the machines of a clock that was set back.
    pub(crate) fn set_clock(&mut self, node: usize, skew_ms: i64) {
        self.nodes[node].skew_ms = skew_ms;
        self.messenger_step(node, Input::Deadline);
        self.keeper_step(node, keeper::io::Input::Deadline);
    }

    /// Cuts or mends a link.
    pub(crate) fn set_cut(&mut self, i: usize, j: usize, cut: bool) {
        let pair = (i.min(j), i.max(j));
        if cut {
            self.cut.insert(pair);
            self.disconnect(i, j);
        } else {
            self.cut.remove(&pair);
            self.connect(i, j);
        }
    }
}
