//! Whole nodes in one process: accounts, mail for who is away, failing disks, ends and starts.

use std::path::Path;
use std::time::{Duration, Instant};

use murmesh_node::Node;
use murmesh_node::config::{Config, Profile};
use murmesh_node::store::Unlock;
use murmesh_protocol::control::{
    AddParams, ContactReply, ContactState, ControlError, ErrorName, InitParams, InviteParams, MessageReply,
    MessageState, NoParams, ReadParams, Reply, Request, SendParams,
};
use tempfile::TempDir;

use crate::stub::{PATIENCE, loopback};

pub(crate) fn config(directory: &Path, peers: &[String]) -> Config {
    Config {
        listen: vec![loopback()],
        peers: peers.iter().map(|peer| peer.parse().unwrap()).collect(),
        ..Config::of(Profile::Home, directory)
    }
}

pub(crate) async fn start(directory: &TempDir, peers: &[String]) -> Node {
    Node::start(&config(directory.path(), peers), &Unlock::default()).await.unwrap()
}

pub(crate) async fn address(node: &Node) -> String {
    node.status().await.unwrap().listen.first().unwrap().clone()
}

pub(crate) async fn init(node: &Node, name: &str) {
    let made = node.call(Request::Init(InitParams { name: Some(name.to_owned()) })).await;
    assert!(matches!(made, Ok(Reply::Init(_))), "{made:?}");
}

async fn ticket(node: &Node) -> String {
    let params = InviteParams { uses: None, expires_ms: None, no_address: false };
    match node.call(Request::Invite(params)).await {
        Ok(Reply::Invite(invite)) => invite.ticket,
        other => panic!("{other:?}"),
    }
}

async fn contacts(node: &Node) -> Vec<ContactReply> {
    match node.call(Request::Contacts(NoParams {})).await {
        Ok(Reply::Contacts(contacts)) => contacts.contacts,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn send(node: &Node, to: &str, text: &str) -> Result<String, ControlError> {
    let params = SendParams { to: to.to_owned(), text: text.to_owned(), client_id: None, expire_ms: None };
    match node.call(Request::Send(params)).await {
        Ok(Reply::Send(sent)) => Ok(sent.id),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    }
}

pub(crate) async fn messages(node: &Node) -> Vec<MessageReply> {
    let params = ReadParams { who: None, unread: false, since: None, limit: None, peek: true };
    match node.call(Request::Read(params)).await {
        Ok(Reply::Read(read)) => read.messages,
        other => panic!("{other:?}"),
    }
}

/// Waits for a condition, asked again and again.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn connected(node: &Node, peers: u64) {
    until("connected", || async { node.status().await.unwrap().peers.connected >= peers }).await;
}

/// Alice and Bob, contacts of each other.
pub(crate) async fn friends(a: &Node, b: &Node) {
    init(a, "alice").await;
    init(b, "bob").await;
    let ticket = ticket(a).await;
    let added = b.call(Request::Add(AddParams { ticket, name: None, text: None })).await;
    assert!(matches!(added, Ok(Reply::Add(_))), "{added:?}");
    for node in [a, b] {
        until("friends", || async {
            contacts(node).await.iter().any(|contact| contact.state == ContactState::Connected)
        })
        .await;
    }
}

pub(crate) async fn state_of(node: &Node, id: &str) -> Option<MessageState> {
    messages(node).await.into_iter().find(|message| message.id == id).map(|message| message.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_friends_talk_and_a_restart_loses_nothing() {
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (start(&home_a, &[]).await, start(&home_b, &[]).await);
    friends(&a, &b).await;
    let id = send(&b, "alice", "hello").await.unwrap();
    until("delivered", || async { state_of(&b, &id).await == Some(MessageState::Delivered) }).await;
    let before = address(&a).await;
    a.stop().await;
    let waiting = send(&b, "alice", "are you there?").await.unwrap();
    assert_eq!(state_of(&b, &waiting).await, Some(MessageState::Queued));
    b.stop().await;
    // The same flags again: ports and peers are kept.
    let (a, b) = (start(&home_a, &[]).await, start(&home_b, &[]).await);
    assert_eq!(address(&a).await, before);
    until("delivered after all", || async { state_of(&b, &waiting).await == Some(MessageState::Delivered) })
        .await;
    let texts: Vec<String> = messages(&a).await.into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["hello", "are you there?"]);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_node_without_an_account_keeps_mail_for_who_is_away() {
    let homes: Vec<TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let custodian = start(&homes[0], &[]).await;
    let hub = [address(&custodian).await];
    let (a, b) = (start(&homes[1], &hub).await, start(&homes[2], &hub).await);
    connected(&a, 1).await;
    connected(&b, 1).await;
    friends(&a, &b).await;
    a.stop().await;
    let id = send(&b, "alice", "for later").await.unwrap();
    until("held", || async { state_of(&b, &id).await == Some(MessageState::Held) }).await;
    assert!(custodian.status().await.unwrap().custody.envelopes >= 1);
    let status = custodian.status().await.unwrap();
    assert_eq!((status.account, status.health.ok), (None, true), "a custodian lacks nothing");
    // The sender may leave.
    b.stop().await;
    let started = Instant::now();
    let a = start(&homes[1], &hub).await;
    until("collected", || async { messages(&a).await.iter().any(|m| m.text == "for later") }).await;
    eprintln!("collected {} ms after the start", started.elapsed().as_millis());
    a.stop().await;
    custodian.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_to_a_directory_and_none_after_it_ended() {
    let home = tempfile::tempdir().unwrap();
    let node = start(&home, &[]).await;
    let second = Node::start(&config(home.path(), &[]), &Unlock::default()).await;
    assert_eq!(second.unwrap_err().name, ErrorName::AlreadyRunning);
    assert!(home.path().join("api.sock").exists());
    let started = Instant::now();
    node.stop().await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!home.path().join("api.sock").exists());
    for log in ["private.db-wal", "custody.db-wal"] {
        assert_eq!(std::fs::metadata(home.path().join(log)).map_or(0, |meta| meta.len()), 0, "{log}");
    }
    start(&home, &[]).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_account_commands_say_so_and_stop_is_answered() {
    let home = tempfile::tempdir().unwrap();
    let node = start(&home, &[]).await;
    assert_eq!(send(&node, "x", "y").await.unwrap_err().name, ErrorName::NoAccount);
    let id = node.call(Request::IdShow(NoParams {})).await;
    assert_eq!(id.unwrap_err().name, ErrorName::NoAccount);
    init(&node, "alice").await;
    let again = node.call(Request::Init(InitParams { name: None })).await;
    assert_eq!(again.unwrap_err().name, ErrorName::AlreadyInitialised);
    assert!(node.status().await.unwrap().account.is_some());
    assert!(node.call(Request::Stop(NoParams {})).await.is_ok());
    tokio::time::timeout(PATIENCE, node.stop_asked()).await.unwrap();
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passphrase_that_is_wrong_is_a_locked_node() {
    let home = tempfile::tempdir().unwrap();
    let with = |text: &str| Unlock { passphrase: Some(text.as_bytes().to_vec().into()) };
    let node = Node::start(&config(home.path(), &[]), &with("horse")).await.unwrap();
    init(&node, "alice").await;
    node.stop().await;
    for wrong in [with("house"), Unlock::default()] {
        let refused = Node::start(&config(home.path(), &[]), &wrong).await;
        assert_eq!(refused.unwrap_err().name, ErrorName::Locked);
    }
    Node::start(&config(home.path(), &[]), &with("horse")).await.unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_arrive_in_order() {
    const MESSAGES: usize = 500;
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (start(&home_a, &[]).await, start(&home_b, &[]).await);
    friends(&a, &b).await;
    let started = Instant::now();
    for i in 0..MESSAGES {
        send(&b, "alice", &format!("{i}")).await.unwrap();
    }
    let accepted = started.elapsed();
    let read = Request::Read(ReadParams {
        who: None,
        unread: false,
        since: None,
        limit: Some(u32::try_from(MESSAGES).unwrap()),
        peek: true,
    });
    let texts = || async {
        match a.call(read.clone()).await {
            Ok(Reply::Read(read)) => read.messages.into_iter().map(|m| m.text).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    until("all arrive", || async { texts().await.len() == MESSAGES }).await;
    eprintln!(
        "{MESSAGES} messages one by one: accepted in {} ms, all there after {} ms",
        accepted.as_millis(),
        started.elapsed().as_millis()
    );
    assert_eq!(texts().await, (0..MESSAGES).map(|i| i.to_string()).collect::<Vec<_>>());
    a.stop().await;
    b.stop().await;
}
