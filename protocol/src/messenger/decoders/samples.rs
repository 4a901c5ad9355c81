//! Real contents and rows, for the corpora: most are of an account that is made here.

use crate::control::{AcceptRequests, AddParams, InviteParams, Request, SendParams};
use crate::decoders::samples::{NOW, account, bundle, manifest};
use crate::id::{InviteToken, MessageId, PeerId, SessionId};
use crate::keys::{Entropy, MailboxKeys};
use crate::messenger::content::{
    Content, ContentV1, Introduction, ManifestMark, Part, Place, Receipt, Text, Whereabouts,
};
use crate::messenger::invites::InviteContent;
use crate::messenger::io::{Input, RequestId};
use crate::messenger::requests::{FirstText, Handshake, KeptMessage, RequestRow, Stage};
use crate::messenger::rows::{ConsumerRow, ContactRow, OpenedRow, Record, SessionRow};
use crate::messenger::store::{MemoryStore, Table};
use crate::messenger::{Config, Messenger};
use crate::session::decoders::samples::records as sessions;
use crate::testing::rng;
use crate::time::{DAY_MS, Day};
use crate::wire::codec;
use crate::wire::ticket::Ticket;

fn whereabouts() -> Whereabouts {
    let addresses = vec!["/ip4/127.0.0.1/tcp/4001".to_owned(), "/ip6/::1/udp/9/quic-v1".to_owned()];
    Whereabouts { peer: PeerId([4; 32]), addresses, valid_until: NOW }
}

/// A content with every part, one with none, both records of an invite, and a whereabouts record.
pub(crate) fn contents() -> Vec<Vec<u8>> {
    let mark = ManifestMark { version: 2, hash: [1; 8] };
    let text = Text {
        id: MessageId([2; 16]),
        place: Place { run: 7, seq: 1 },
        at: NOW,
        expires: NOW.plus(DAY_MS),
        text: "hello".to_owned(),
    };
    let introduction = Introduction {
        manifest: manifest(0),
        nickname: "alice".to_owned(),
        mailbox: MailboxKeys::derive(&Entropy::from_bytes([7; 32]), 0).public().into(),
        whereabouts: whereabouts(),
    };
    let parts = vec![
        Part::Text(text),
        Part::Receipt(Receipt { run: 7, up_to: 3, beyond: vec![(5, 6), (9, 300)] }),
        Part::Introduction(introduction),
        Part::Whereabouts(whereabouts()),
        Part::AlsoHas(SessionId([5; 32])),
    ];
    let content =
        |parts| Content::V1(ContentV1 { knows_you: true, mine: mark, yours: mark, parts }).to_bytes();
    let open = InviteContent::Open { manifest: manifest(0), bundle: bundle(), expires: NOW };
    vec![
        content(parts),
        content(vec![]),
        codec::encode(&open),
        codec::encode(&InviteContent::Ended),
        codec::encode(&whereabouts()),
    ]
}

/// What is on the disk of an account that has made an invite, added a contact and written to it.
fn account_store() -> MemoryStore {
    let (mut store, mut rng) = (MemoryStore::default(), rng(3));
    store.transaction(|tx| Messenger::create("alice", NOW, tx, &mut rng)).unwrap();
    let config =
        Config { own_peer: PeerId([1; 32]), rolled_back: false, accept_requests: AcceptRequests::default() };
    let mut messenger = store.transaction(|tx| Messenger::restore(config, NOW, tx, &mut rng)).unwrap();
    let ticket = Ticket { account: account().id(), token: Some(InviteToken([9; 16])), hints: vec![] };
    let send = SendParams {
        to: "bob".to_owned(),
        text: "hello".to_owned(),
        client_id: Some("first".to_owned()),
        expire_ms: None,
    };
    let inputs = [
        Input::Reachable { own: whereabouts().addresses, others: vec![] },
        Input::Deadline,
        Input::Command(
            RequestId(1),
            Request::Invite(InviteParams { uses: Some(2), expires_ms: None, no_address: false }),
        ),
        Input::Command(
            RequestId(2),
            Request::Add(AddParams { ticket: ticket.to_string(), name: Some("bob".to_owned()), text: None }),
        ),
        Input::Command(RequestId(3), Request::Send(send)),
    ];
    for input in inputs {
        store.transaction(|tx| messenger.handle(NOW, input, tx, &mut rng)).unwrap();
    }
    store
}

fn row(table: Table, value: &[u8]) -> Vec<u8> {
    [&[table as u8], value].concat()
}

fn encoded<R: Record>(value: &R) -> Vec<u8> {
    row(R::TABLE, &codec::encode(value))
}

/// Two rows of each table.
pub(crate) fn rows() -> Vec<Vec<u8>> {
    let store = account_store();
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for (table, value) in store.values() {
        if rows.iter().filter(|row| row.first() == Some(&(*table as u8))).count() < 2 {
            rows.push(row(*table, value));
        }
    }
    let session = SessionRow {
        id: SessionId([5; 32]),
        account: account().id(),
        archived_at: Some(NOW),
        first: Some(([1; 8], [2; 32])),
        filled: false,
        session: sessions().remove(0),
    };
    rows.push(encoded(&session));
    rows.push(encoded(&OpenedRow { replay_key: [3; 16], account: account().id(), day: Day(20_000) }));
    rows.push(encoded(&ConsumerRow { name: "bot".to_owned(), cursor: 300 }));
    rows.extend(requests().iter().map(encoded));
    rows
}

/// One that waits, and one that was declined.
fn requests() -> [RequestRow; 2] {
    let request = |stage| RequestRow {
        account: account().id(),
        id: [1, 2, 3, 4],
        at: NOW,
        until: NOW.plus(DAY_MS),
        stage,
        handshakes: vec![Handshake { hint: [5; 8], ephemeral: [6; 32] }],
    };
    let kept_by = Some(PeerId([4; 32]));
    let message = KeptMessage { replay_key: [7; 16], inner: vec![8; 1_990], kept_by };
    let text = Some(FirstText { seq: 1, text: "hello".to_owned() });
    let pending = Stage::Pending { nickname: "carol".to_owned(), text, messages: vec![message] };
    [request(pending), request(Stage::Declined)]
}

/// Events as they are kept, and one of a message.
pub(crate) fn events() -> Vec<Vec<u8>> {
    let store = account_store();
    let kept = store.values().filter(|(table, _)| **table == Table::Events);
    let events = kept.filter_map(|(_, value)| codec::decode::<super::EventRow>(value).ok());
    events.map(|row| row.json.into_bytes()).take(2).collect()
}

/// A contact.
pub(crate) fn contact() -> ContactRow {
    let store = account_store();
    let (_, value) = store.values().find(|(table, _)| **table == Table::Contacts).unwrap();
    codec::decode(value).unwrap()
}
