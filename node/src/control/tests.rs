//! The server with a made-up backend, over real Unix sockets.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use murmesh_protocol::control::{Done, EventBody, IdReply, MessageState, SendReply, Timestamp, files};
use murmesh_protocol::time::Time;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

mod consumers;

/// Keeps the last `kept_max` events, answers `message.send` in order, and holds `id.show` back until told.
struct Fake {
    sent: Mutex<Vec<String>>,
    kept: Mutex<VecDeque<Event>>,
    oldest_kept: Mutex<u64>,
    release: Notify,
    waiting: AtomicUsize,
    consumers: Mutex<BTreeMap<String, u64>>,
    stop: CancellationToken,
}

impl Backend for Fake {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the fake refuses the rest, but for consumers")]
    async fn call(&self, request: Request) -> Result<Reply, ControlError> {
        match request {
            Request::Send(params) => {
                self.sent.lock().unwrap().push(params.text.clone());
                Ok(Reply::Send(SendReply {
                    id: params.text,
                    to: params.to,
                    state: MessageState::Queued,
                    custodians: Default::default(),
                    reason: None,
                }))
            }
            Request::IdShow(_) => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                self.release.notified().await;
                Ok(Reply::Id(IdReply { account: "mur1x".into(), name: "x".into() }))
            }
            Request::Stop(_) => {
                self.stop.cancel();
                Ok(Reply::Done(Done { state: "stopping".into() }))
            }
            request => consumers::answer(&self.consumers, request),
        }
    }

    async fn events_after(&self, cursor: u64, limit: u32) -> Result<Backlog, ControlError> {
        let after = |event: &&Event| event.cursor.parse::<u64>().unwrap() > cursor;
        let events =
            self.kept.lock().unwrap().iter().filter(after).take(limit as usize).cloned().collect::<Vec<_>>();
        Ok(Backlog { events, oldest_kept: *self.oldest_kept.lock().unwrap() })
    }
}

struct World {
    dir: TempDir,
    fake: Arc<Fake>,
    hub: Arc<EventHub>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl World {
    fn start() -> World {
        World::start_with(Limits::default())
    }

    fn start_with(limits: Limits) -> World {
        let dir = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let fake = Arc::new(Fake {
            sent: Mutex::default(),
            kept: Mutex::default(),
            oldest_kept: Mutex::new(1),
            release: Notify::new(),
            waiting: AtomicUsize::new(0),
            consumers: Mutex::default(),
            stop: stop.clone(),
        });
        let hub = Arc::new(EventHub::new(0));
        let socket = ControlSocket::bind(dir.path()).unwrap();
        let serving = tokio::spawn(serve(socket, Arc::clone(&fake), Arc::clone(&hub), stop.clone(), limits));
        World { dir, fake, hub, stop, serving }
    }

    /// Commits an event to the backlog, then publishes it.
    fn happens(&self, cursor: u64) {
        let event = state_event(cursor);
        self.fake.kept.lock().unwrap().push_back(event.clone());
        self.hub.publish(event);
    }

    fn forget_before(&self, cursor: u64) {
        self.fake.kept.lock().unwrap().retain(|event| event.cursor.parse::<u64>().unwrap() >= cursor);
        *self.fake.oldest_kept.lock().unwrap() = cursor;
    }

    async fn client(&self) -> Client {
        let mut client = Client::connect(self.dir.path()).await;
        let hello = client.ask("system.hello", json!({"client": "test", "api": 1})).await;
        assert_eq!(hello["result"]["api"], 1);
        client
    }
}

fn state_event(cursor: u64) -> Event {
    Event {
        cursor: cursor.to_string(),
        at: Timestamp(Time(cursor)),
        body: EventBody::MessageState {
            id: format!("m{cursor}"),
            to: "bob".into(),
            state: MessageState::Held,
            custodians: Default::default(),
            reason: None,
            path: None,
            after_ms: 0,
            seen_at: None,
        },
    }
}

fn peer_event(peer_id: &str) -> Event {
    Event {
        cursor: String::new(),
        at: Timestamp(Time(0)),
        body: EventBody::PeerUp { peer_id: peer_id.into() },
    }
}

struct Client {
    stream: BufReader<UnixStream>,
    next_id: u64,
}

impl Client {
    async fn connect(dir: &Path) -> Client {
        let stream = UnixStream::connect(dir.join(files::SOCKET)).await.unwrap();
        Client { stream: BufReader::new(stream), next_id: 1 }
    }

    async fn write(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or(Value::Null)
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.write(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string())
            .await;
        let reply = self.read().await;
        assert_eq!(reply["id"], id, "{reply}");
        reply
    }

    async fn cursor(&mut self) -> (String, String) {
        let event = self.read().await;
        assert_eq!(event["method"], "event", "{event}");
        let text = |field: &str| event["params"][field].as_str().unwrap_or_default().to_owned();
        (text("type"), text("cursor"))
    }
}

fn error_of(reply: &Value) -> (i64, String) {
    let error = &reply["error"];
    assert_eq!(error["message"], error["data"]["name"]);
    (error["code"].as_i64().unwrap(), error["data"]["name"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_socket_and_its_directory_are_private_and_gone_after_the_end() {
    let world = World::start();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let socket = world.dir.path().join(files::SOCKET);
    assert_eq!(mode(world.dir.path()), 0o700);
    assert_eq!(mode(&socket), 0o600);
    world.stop.cancel();
    world.serving.await.unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn the_socket_of_a_killed_node_is_replaced_and_that_of_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.path().join(files::SOCKET)).unwrap());
    let socket = ControlSocket::bind(dir.path()).unwrap();
    assert_eq!(ControlSocket::bind(dir.path()).unwrap_err().name, ErrorName::AlreadyRunning);
    drop(socket);
    ControlSocket::bind(dir.path()).unwrap();
}

#[tokio::test]
async fn a_socket_path_over_the_bound_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().as_os_str().len() + "//api.sock".len();
    let at_bound = dir.path().join("d".repeat(files::SOCKET_PATH_BYTES_MAX - base));
    ControlSocket::bind(&at_bound).unwrap();
    let over = dir.path().join("d".repeat(files::SOCKET_PATH_BYTES_MAX - base + 1));
    assert_eq!(ControlSocket::bind(&over).unwrap_err().name, ErrorName::SocketPath);
}

#[tokio::test]
async fn hello_comes_first_and_a_newer_client_is_refused() {
    let world = World::start();
    let mut client = Client::connect(world.dir.path()).await;
    assert_eq!(error_of(&client.ask("id.show", json!({})).await), (-32_000, "bad-request".to_owned()));
    let newer = client.ask("system.hello", json!({"client": "test", "api": 2})).await;
    assert_eq!(error_of(&newer), (-32_000, "newer-client".to_owned()));
    assert_eq!(newer["error"]["data"]["detail"], "1");
    assert_eq!(error_of(&client.ask("id.show", json!({})).await).1, "bad-request");
}

#[tokio::test]
async fn what_is_no_request_is_answered_by_kind() {
    let world = World::start();
    let mut client = world.client().await;
    for (line, code, id) in [
        ("{", -32_700, Value::Null),
        ("[]", -32_600, Value::Null),
        (r#"{"jsonrpc":"2.0","method":"id.show"}"#, -32_600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"id.show"}"#, -32_600, Value::Null),
        (r#"{"jsonrpc":"1.0","id":1,"method":"id.show"}"#, -32_600, json!(1)),
        (r#"{"jsonrpc":"2.0","id":"a","method":"id.steal"}"#, -32_601, json!("a")),
        (r#"{"jsonrpc":"2.0","id":2,"method":"contact.show","params":{"whom":"x"}}"#, -32_602, json!(2)),
        (r#"{"jsonrpc":"2.0","id":3,"method":"id.show","params":{"x":1}}"#, -32_602, json!(3)),
        (
            r#"{"jsonrpc":"2.0","id":4,"method":"events.subscribe","params":{"types":["x"]}}"#,
            -32_602,
            json!(4),
        ),
    ] {
        client.write(line).await;
        let reply = client.read().await;
        assert_eq!((error_of(&reply), &reply["id"]), ((code, "bad-request".to_owned()), &id), "{line}");
    }
    let refused = client.ask("contact.show", json!({"who": "zed"})).await;
    assert_eq!(error_of(&refused), (-32_000, "no-such-contact".to_owned()));
    client.write(r#"{"jsonrpc":"2.0","id":9,"method":"contact.list"}"#).await;
    assert_eq!(client.read().await["id"], 9, "params may be absent");
}

#[tokio::test]
async fn a_line_at_the_bound_is_read_and_a_longer_one_ends_the_connection() {
    let world = World::start();
    for (bytes, ends) in [(files::REQUEST_LINE_BYTES_MAX, false), (files::REQUEST_LINE_BYTES_MAX + 1, true)] {
        let mut client = world.client().await;
        let frame = json!({"jsonrpc": "2.0", "id": 7, "method": "message.send",
            "params": {"to": "bob", "text": ""}})
        .to_string();
        let text = "x".repeat(bytes - frame.len());
        let line = frame.replace(r#""text":"""#, &format!(r#""text":"{text}""#));
        assert_eq!(line.len(), bytes);
        client.write(&line).await;
        let reply = client.read().await;
        assert_eq!(reply["result"].is_null(), ends, "{bytes}");
        let mut rest = Vec::new();
        if ends {
            assert_eq!(client.stream.read_to_end(&mut rest).await.unwrap_or(0), 0);
        }
    }
}

#[tokio::test]
async fn pipelined_requests_keep_their_order_and_a_slow_one_holds_up_nobody() {
    let world = World::start();
    let mut client = world.client().await;
    client.write(r#"{"jsonrpc":"2.0","id":"slow","method":"id.show"}"#).await;
    for n in 0..200 {
        let params = json!({"to": "bob", "text": format!("{n}")});
        client
            .write(&json!({"jsonrpc":"2.0","id":n,"method":"message.send","params":params}).to_string())
            .await;
    }
    for n in 0..200 {
        assert_eq!(client.read().await["id"], n);
    }
    let expected = (0..200).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(*world.fake.sent.lock().unwrap(), expected);
    world.fake.release.notify_one();
    assert_eq!(client.read().await["id"], "slow");
}

#[tokio::test]
async fn beyond_the_bound_of_calls_a_client_is_slowed_not_refused() {
    let world = World::start();
    let mut client = world.client().await;
    for n in 0..CALLS_MAX + 5 {
        client.write(&json!({"jsonrpc":"2.0","id":n,"method":"id.show"}).to_string()).await;
    }
    while world.fake.waiting.load(Ordering::SeqCst) < CALLS_MAX {
        tokio::task::yield_now().await;
    }
    // Another client's whole exchange later, no more than the bound has started.
    let mut other = world.client().await;
    other.ask("contact.list", json!({})).await;
    assert_eq!(world.fake.waiting.load(Ordering::SeqCst), CALLS_MAX);
    let mut answered = BTreeSet::new();
    while answered.len() < CALLS_MAX + 5 {
        world.fake.release.notify_one();
        answered.insert(client.read().await["id"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn events_are_told_from_now_filtered_and_with_peers_at_the_current_cursor() {
    let world = World::start();
    world.happens(1);
    let mut client = world.client().await;
    let reply = client.ask("events.subscribe", json!({"since": null})).await;
    assert_eq!(reply["result"], json!({"subscription": "s1", "cursor": "1"}));
    let mut only_peers = world.client().await;
    only_peers.ask("events.subscribe", json!({"types": ["peer.up"]})).await;
    world.happens(2);
    world.hub.publish(peer_event("p"));
    let event = client.read().await;
    assert_eq!(event["params"]["subscription"], "s1");
    assert_eq!(event["params"]["type"], "message.state");
    assert_eq!(event["params"]["data"]["id"], "m2");
    assert_eq!(client.cursor().await, ("peer.up".to_owned(), "2".to_owned()));
    assert_eq!(only_peers.cursor().await, ("peer.up".to_owned(), "2".to_owned()));
}

#[tokio::test]
async fn events_since_a_cursor_come_once_each_and_a_gap_is_told() {
    let world = World::start();
    for cursor in 1..=600 {
        world.happens(cursor);
    }
    let mut client = world.client().await;
    client.ask("events.subscribe", json!({"since": "3"})).await;
    world.happens(601);
    for cursor in 4..=601 {
        assert_eq!(client.cursor().await.1, cursor.to_string());
    }
    world.forget_before(100);
    let mut late = world.client().await;
    late.ask("events.subscribe", json!({"since": "3", "types": ["message.state"]})).await;
    let gap = late.read().await;
    assert_eq!(gap["params"]["type"], "stream.gap");
    assert_eq!((&gap["params"]["data"]["after"], &gap["params"]["cursor"]), (&json!("3"), &json!("99")));
    assert_eq!(late.cursor().await.1, "100");
    let mut ahead = world.client().await;
    ahead.ask("events.subscribe", json!({"since": "9999"})).await;
    assert_eq!(ahead.cursor().await, ("stream.gap".to_owned(), "601".to_owned()));
    assert_eq!(error_of(&ahead.ask("events.subscribe", json!({"since": "x"})).await).1, "bad-request");
}

#[tokio::test]
async fn a_follower_that_fell_behind_the_buffer_reads_the_backlog_again() {
    let world = World::start();
    let (mut follower, _) = world.hub.follow(Arc::clone(&world.fake), None, Kinds::new());
    let total = hub::BUFFERED_MAX as u64 + 50;
    for cursor in 1..=total {
        world.happens(cursor);
    }
    for cursor in 1..=total {
        assert_eq!(follower.next().await.unwrap().unwrap().cursor, cursor.to_string());
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_others_are_not() {
    let stall = Duration::from_millis(100);
    let world = World::start_with(Limits { stall, ..Limits::default() });
    let mut deaf = world.client().await;
    deaf.ask("events.subscribe", json!({})).await;
    let mut other = world.client().await;
    other.ask("events.subscribe", json!({})).await;
    let total = 20_000;
    for cursor in 1..=total {
        world.happens(cursor);
        assert_eq!(other.cursor().await.1, cursor.to_string());
    }
    // What was in the kernel's buffer is still read; then the end comes, far from the last event.
    let mut told = 0;
    let mut line = String::new();
    tokio::time::sleep(stall * 3).await;
    while told < total && deaf.stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        told += 1;
        line.clear();
    }
    assert!(told < total, "{told}");
}

/// Story: 128 connections that say nothing, or half a line, kept every other client out for ever.
#[tokio::test]
async fn clients_that_do_not_greet_keep_others_out_only_for_a_while() {
    let world = World::start_with(Limits { greet: Duration::from_millis(300), ..Limits::default() });
    let mut greeted = world.client().await;
    let mut idle = Vec::new();
    for number in 1..CLIENTS_MAX {
        let mut client = Client::connect(world.dir.path()).await;
        let half = if number % 2 == 0 { "" } else { "{\"jsonrpc\":\"2.0\"" };
        client.stream.get_mut().write_all(half.as_bytes()).await.unwrap();
        idle.push(client);
    }
    let refused = Client::connect(world.dir.path()).await.read().await;
    assert_eq!(error_of(&refused), (-32_000, "too-many".to_owned()));
    for client in &mut idle {
        let read = tokio::time::timeout(Duration::from_secs(20), client.read()).await;
        assert_eq!(read.expect("hung up"), Value::Null);
    }
    // Now there is room, and who greeted is still there.
    world.client().await.ask("contact.list", json!({})).await;
    greeted.ask("contact.list", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_requests_in_one_go_are_all_answered_in_order() {
    const REQUESTS: usize = 10_000;
    let world = World::start();
    let client = world.client().await;
    let (mut read, mut write) = client.stream.into_inner().into_split();
    let writing = tokio::spawn(async move {
        for n in 0..REQUESTS {
            let params = json!({"to": "bob", "text": format!("{n}")});
            let line = json!({"jsonrpc":"2.0","id":n,"method":"message.send","params":params}).to_string();
            write.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        }
        // A half-closed connection still gets its answers.
        write.shutdown().await.unwrap();
    });
    let mut text = String::new();
    read.read_to_string(&mut text).await.unwrap();
    writing.await.unwrap();
    let ids = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), (0..REQUESTS).map(Value::from).collect::<Vec<_>>());
    assert_eq!(world.fake.sent.lock().unwrap().len(), REQUESTS);
}

/// A line without an end, sent by who never reads: the connection is over at the bound.
#[tokio::test]
async fn an_endless_line_is_not_read_to_its_end() {
    let world = World::start();
    let mut client = world.client().await;
    let part = vec![b'x'; 64 * 1024];
    let mut written = 0;
    while client.stream.get_mut().write_all(&part).await.is_ok() {
        written += part.len();
        assert!(written < 8 * files::REQUEST_LINE_BYTES_MAX, "{written}");
    }
    world.client().await.ask("contact.list", json!({})).await;
}

#[tokio::test]
async fn stopping_flushes_pending_answers_and_ends() {
    let world = World::start();
    let mut idle = world.client().await;
    let mut client = world.client().await;
    client.write(r#"{"jsonrpc":"2.0","id":"slow","method":"id.show"}"#).await;
    while world.fake.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let mut stopper = world.client().await;
    assert_eq!(stopper.ask("node.stop", json!({})).await["result"]["state"], "stopping");
    world.fake.release.notify_one();
    assert_eq!(client.read().await["id"], "slow");
    world.serving.await.unwrap();
    assert_eq!(idle.read().await, Value::Null, "closed");
    assert!(UnixStream::connect(world.dir.path().join(files::SOCKET)).await.is_err());
}

#[tokio::test]
async fn offline_one_line_is_answered_without_hello() {
    let world = World::start();
    let line = r#"{"jsonrpc":"2.0","id":1,"method":"contact.list"}"#;
    let reply: Value = serde_json::from_str(&answer_line(&*world.fake, line).await).unwrap();
    assert_eq!(error_of(&reply), (-32_000, "no-such-contact".to_owned()));
    let line = r#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}"#;
    let reply: Value = serde_json::from_str(&answer_line(&*world.fake, line).await).unwrap();
    assert_eq!(error_of(&reply), (-32_000, "bad-request".to_owned()));
}
