//! What clients and peers have been told, kept outside the nodes, and whether it is on the disks.

use std::collections::{BTreeMap, BTreeSet};

use murmesh_crash_vfs::{Disk, VFS};
use murmesh_protocol::control::files::{CUSTODY_DATABASE, PRIVATE_DATABASE};
use murmesh_protocol::control::{Event, EventBody, MessageReply, MessageState};
use murmesh_protocol::id::{Address, EnvelopeId};
use murmesh_protocol::wire::frame::Frame;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

/// What one node has said.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Messages answered as sent.
    pub(super) sent: BTreeSet<String>,
    /// Messages told as delivered.
    pub(super) delivered: BTreeSet<String>,
    /// Received messages told to clients.
    shown: BTreeSet<String>,
    /// The account was made.
    pub(super) account: Option<String>,
    /// The contact was told as added or connected.
    pub(super) contact: bool,
    pub(super) connected: bool,
    held: BTreeSet<EnvelopeId>,
    records: BTreeMap<(Address, u8), u64>,
}

impl Ledger {
    pub(super) fn on_event(&mut self, event: &Event) {
        match &event.body {
            EventBody::MessageReceived(message) => {
                assert!(self.shown.insert(message.id.clone()), "{} is shown twice", message.id);
            }
            EventBody::MessageState { id, state: MessageState::Delivered, .. } => {
                self.delivered.insert(id.clone());
            }
            EventBody::ContactConnected { .. } => self.connected = true,
            EventBody::MessageState { .. }
            | EventBody::MessageGap { .. }
            | EventBody::ContactRequest { .. }
            | EventBody::PeerUp { .. }
            | EventBody::PeerDown { .. }
            | EventBody::StreamGap { .. } => {}
        }
    }

    /// A frame left the node.
    pub(super) fn on_frame(&mut self, frame: &Frame) {
        if let Frame::Held { envelope, .. } = frame {
            self.held.insert(*envelope);
        }
        if let Frame::RecordHeld { address, slot, seq } = frame {
            let held = self.records.entry((*address, *slot)).or_default();
            *held = (*seq).max(*held);
        }
    }

    /// Both databases are whole, and custody's has what was promised: looked at in a copy, so that the
    /// node opens what the cut left.
    pub(super) fn check_disk(&self, disk: &Disk) {
        let copy = disk.copy();
        for name in [CUSTODY_DATABASE, PRIVATE_DATABASE] {
            let path = copy.directory().join(name);
            if copy.length(&path).is_err() {
                continue;
            }
            let database = open(&copy, name);
            let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(check, "ok", "{name}");
        }
        if self.held.is_empty() && self.records.is_empty() {
            return;
        }
        let custody = open(&copy, CUSTODY_DATABASE);
        let sql = "SELECT 1 WHERE EXISTS (SELECT 1 FROM envelopes WHERE id = ?1)
                   OR EXISTS (SELECT 1 FROM tombstoned WHERE id = ?1)";
        for id in &self.held {
            let found = custody.query_row(sql, params![id.0], |_| Ok(())).optional().unwrap();
            assert!(found.is_some(), "an envelope told as held is not on the disk");
        }
        let sql = "SELECT seq FROM records WHERE address = ?1 AND slot = ?2";
        for ((address, slot), seq) in &self.records {
            let found: Option<i64> =
                custody.query_row(sql, params![address.0, slot], |row| row.get(0)).optional().unwrap();
            assert!(found >= Some(i64::try_from(*seq).unwrap()), "a record told as held is not on the disk");
        }
    }

    /// Everything told to clients is among what the node shows after a start; `told_delivered` are the
    /// messages that the other side was told this node has.
    pub(super) fn check_messages(&self, shown: &[MessageReply], told_delivered: &BTreeSet<String>) {
        let state: BTreeMap<&str, MessageState> =
            shown.iter().map(|message| (message.id.as_str(), message.state)).collect();
        assert_eq!(state.len(), shown.len(), "a message is there twice");
        for (what, ids) in
            [("sent", &self.sent), ("shown", &self.shown), ("confirmed to its sender", told_delivered)]
        {
            let lost: Vec<_> = ids.iter().filter(|id| !state.contains_key(id.as_str())).collect();
            assert!(lost.is_empty(), "told as {what} and lost: {lost:?}");
        }
        for id in &self.delivered {
            assert_eq!(state.get(id.as_str()), Some(&MessageState::Delivered), "{id} was told as delivered");
        }
    }
}

fn open(disk: &Disk, name: &str) -> Connection {
    let path = disk.directory().join(name);
    let connection = Connection::open_with_flags_and_vfs(path, OpenFlags::default(), VFS).unwrap();
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    connection
}
