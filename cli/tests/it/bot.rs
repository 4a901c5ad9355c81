//! What a bot reads: the shapes of version 1, field for field.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::fake::{Canned, Fake, Run, TICKET, contact, state_event};

fn queued() -> Value {
    json!({"id": "3f9a27c41d00", "to": "bob", "state": "queued", "custodians": {"held": 0, "want": 8},
        "reason": "sending"})
}

/// An answer of every method, as a node gives it.
pub(crate) fn replies() -> Vec<(&'static str, Value)> {
    let entry = json!({"id": "3f9a27c41d00", "to": "bob", "state": "held",
        "custodians": {"held": 5, "want": 8, "until": "2001-12-08T00:00:00.000Z"}, "attempts": 2,
        "next_try": null, "reason": null});
    let message = json!({"id": "m1", "conversation": "bob", "from": "me", "to": "bob",
        "at": "2001-01-02T10:00:00.000Z", "received_at": null, "text": "hi\u{202e}", "state": "held"});
    let peer = json!({"peer_id": "p", "addresses": [], "connected": false, "role": "unknown", "since": null});
    let request = json!({"id": "49a5e651", "account": "mur1carol", "name": "carol",
        "at": "2001-01-02T10:00:00.000Z", "until": "2001-01-16T10:00:00.000Z", "text": "hi\u{202e}"});
    let added = json!({"contact": "bob", "account": "mur1bob", "state": "requested", "known": false});
    vec![
        ("account.init", json!({"account": "mur1alice", "name": "alice", "created": true})),
        ("id.show", json!({"account": "mur1alice", "name": "alice"})),
        (
            "invite.create",
            json!({"id": "i1", "ticket": "MURMESH:MT1Q", "expires": "2001-01-03T00:00:00.000Z", "uses": 1}),
        ),
        ("contact.add", added),
        ("contact.list", json!({"contacts": [contact("bob", "connected", true)]})),
        ("contact.show", contact("bob", "connected", true)),
        ("message.send", queued()),
        ("message.read", json!({"messages": [message], "next": null})),
        ("outbox.list", json!({"messages": [entry]})),
        ("message.why", json!({"id": "3f9a27c41d00", "state": "held", "steps": []})),
        ("request.list", json!({"requests": [request], "accepts": "anyone"})),
        ("request.accept", contact("carol", "requested", false)),
        ("request.decline", json!({"state": "declined"})),
        ("peer.list", json!({"peers": [peer]})),
        ("node.status", crate::fake::status()),
        ("system.hello", crate::fake::hello()),
    ]
}

/// A node with an answer to everything.
fn whole() -> Fake {
    let known = |method: &&str| !matches!(*method, "node.status" | "system.hello");
    let replies = replies().into_iter().filter(|(method, _)| known(method));
    replies.fold(Fake::start(), |fake, (method, reply)| fake.ok(method, reply))
}

#[test]
fn documents_of_every_command() {
    let fake = whole();
    let mut all = String::new();
    for line in [
        "init --name alice",
        "id show",
        "up",
        "status",
        "invite",
        &format!("add {TICKET}"),
        "contact list",
        "contact show bob",
        "send bob hi",
        "read bob",
        "outbox list",
        "why 3f9a27",
        "peer list",
        "request list",
        "request accept 49a5",
        "request decline 49a5",
    ] {
        let mut arguments = line.split(' ').collect::<Vec<_>>();
        arguments.push("--json");
        let ran = fake.murmesh(&arguments).run();
        assert_eq!(ran.status, 0, "{line}: {}", ran.all());
        ran.document();
        all += &format!("$ {line}\n{}", ran.stdout);
    }
    assert_data_eq!(
        all,
        str![[r#"
$ init --name alice
{"v":1,"account":"mur1alice","name":"alice","created":true}
$ id show
{"v":1,"account":"mur1alice","name":"alice"}
$ up
{"v":1,"state":"running","pid":4242,"peer_id":"12D3KooWFakeAlice","listen":["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWFakeAlice"]}
$ status
{"v":1,"state":"running","pid":4242,"peer_id":"12D3KooWFakeAlice","listen":["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWFakeAlice"],"role":"full","peers":{"connected":3,"known":5},"outbox":{"queued":1,"held":2},"custody":{"envelopes":4,"records":6,"bytes":12345},"health":{"ok":true,"reasons":[]},"account":{"account":"mur1alice","name":"alice"},"contacts":2,"unread":1,"started_at":"2001-01-02T03:04:05.000Z","custodians_known":4,"reach":"outside"}
$ invite
{"v":1,"id":"i1","ticket":"MURMESH:MT1Q","expires":"2001-01-03T00:00:00.000Z","uses":1}
$ add MURMESH:MT1QYRSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWZGFPYYSJZGFPYYSJZGFPYYSJZGPQR9SQUGP5Y8S9JCQWYP2ZRCQEVQ8ZQAPPUU83L7D
{"v":1,"contact":"bob","account":"mur1bob","state":"requested","known":false}
$ contact list
{"v":1,"contacts":[{"name":"bob","account":"mur1bob","state":"connected","verified":false,"online":true,"seen_at":"2001-01-02T14:02:00.000Z","nickname":"bob","added_at":"2001-01-01T00:00:00.000Z","sessions":1}]}
$ contact show bob
{"v":1,"name":"bob","account":"mur1bob","state":"connected","verified":false,"online":true,"seen_at":"2001-01-02T14:02:00.000Z","nickname":"bob","added_at":"2001-01-01T00:00:00.000Z","sessions":1}
$ send bob hi
{"v":1,"id":"3f9a27c41d00","to":"bob","state":"queued","custodians":{"held":0,"want":8},"reason":"sending"}
$ read bob
{"v":1,"messages":[{"id":"m1","conversation":"bob","from":"me","to":"bob","at":"2001-01-02T10:00:00.000Z","received_at":null,"text":"hi/u202e","state":"held"}],"next":null}
$ outbox list
{"v":1,"messages":[{"id":"3f9a27c41d00","to":"bob","state":"held","custodians":{"held":5,"want":8,"until":"2001-12-08T00:00:00.000Z"},"attempts":2,"next_try":null,"reason":null}]}
$ why 3f9a27
{"v":1,"id":"3f9a27c41d00","state":"held","steps":[]}
$ peer list
{"v":1,"peers":[{"peer_id":"p","addresses":[],"connected":false,"role":"unknown","since":null}]}
$ request list
{"v":1,"requests":[{"id":"49a5e651","account":"mur1carol","name":"carol","at":"2001-01-02T10:00:00.000Z","until":"2001-01-16T10:00:00.000Z","text":"hi/u202e"}],"accepts":"anyone"}
$ request accept 49a5
{"v":1,"name":"carol","account":"mur1carol","state":"requested","verified":false,"online":false,"seen_at":"2001-01-02T14:02:00.000Z","nickname":"carol","added_at":"2001-01-01T00:00:00.000Z","sessions":1}
$ request decline 49a5
{"v":1,"state":"declined"}

"#]]
    );
}

#[test]
fn a_timeout_is_told_with_the_message_that_stays_queued() {
    let fake = Fake::start().ok("message.send", queued());
    let ran = fake.murmesh(&["--json", "send", "bob", "hi", "--wait", "held", "--timeout", "50ms"]).run();
    assert_eq!(ran.status, 124);
    ran.document();
    assert_data_eq!(
        ran.stdout,
        str![[r#"
{"v":1,"error":{"code":"E0003","name":"timeout","message":"the time-out passed: message 3f9a27c41d stays in the outbox, queued: being sent","hint":"murmesh why 3f9a27c41d00","retryable":true},"id":"3f9a27c41d00","to":"bob","state":"queued","custodians":{"held":0,"want":8},"reason":"sending"}

"#]]
    );
}

#[test]
fn a_refused_message_is_a_failure_with_its_id() {
    let fake =
        Fake::start().can("message.send", Canned::Ok(queued(), vec![state_event("refused", 0, json!({}))]));
    let ran = fake.murmesh(&["send", "bob", "hi", "--wait", "held", "--json"]).run();
    let document = ran.document();
    assert_eq!((ran.status, &document["error"]["name"]), (5, &json!("refused")));
    assert_eq!(document["id"], "3f9a27c41d00");
}

#[test]
fn a_gap_in_the_events_is_bridged_by_asking() {
    let gap = json!({"cursor": "9", "type": "stream.gap", "at": "2001-01-02T03:04:05.000Z", "data": {"after": "7"}});
    let new = json!({"cursor": "9", "type": "moon.phase", "at": "2001-01-02T03:04:05.000Z", "data": {}});
    let fake = Fake::start()
        .can("message.send", Canned::Ok(queued(), vec![new, gap]))
        .ok("message.why", json!({"id": "3f9a27c41d00", "state": "delivered", "steps": []}));
    let ran = fake.murmesh(&["send", "bob", "hi", "--wait", "delivered", "--json"]).run();
    assert_eq!((ran.status, &ran.document()["state"]), (0, &json!("delivered")));
}

#[test]
fn degraded_is_status_nine_with_the_whole_document() {
    let mut degraded = crate::fake::status();
    degraded["health"] = json!({"ok": false, "reasons": ["no-peers"]});
    let fake = Fake::start().ok("node.status", degraded);
    assert_eq!(fake.murmesh(&["status", "--json"]).run().status, 0);
    let ran = fake.murmesh(&["status", "--json"]).run();
    assert_eq!((ran.status, &ran.document()["health"]["reasons"]), (9, &json!(["no-peers"])));
}

/// Runs until `lines` came, then closes the pipe.
pub(crate) fn first_lines(fake: &Fake, arguments: &[&str], lines: usize) -> Vec<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_murmesh"))
        .args(arguments)
        .env("MURMESH_DATA_DIR", fake.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let got = stdout.lines().take(lines).map(Result::unwrap).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    got
}

#[test]
fn listen_tells_events_in_the_shape_of_the_contract_also_unknown_ones() {
    let new = json!({"cursor": "9", "type": "moon.phase", "at": "2001-01-02T03:04:05.000Z", "data": {"full": true}});
    let told = vec![state_event("held", 5, json!({})), new];
    let subscribed = json!({"subscription": "s1", "cursor": "3"});
    let fake = Fake::start().only("events.subscribe", Canned::Ok(subscribed, told));
    let lines = first_lines(&fake, &["listen", "--since", "3"], 2);
    assert_data_eq!(
        lines.join("\n"),
        str![[r#"
{"v":1,"cursor":"8","type":"message.state","at":"2001-01-02T03:04:05.000Z","data":{"id":"3f9a27c41d00","to":"bob","state":"held","custodians":{"held":5,"want":8,"until":"2001-12-08T00:00:00.000Z"},"after_ms":84,"added_in_a_later_version":true}}
{"v":1,"cursor":"9","type":"moon.phase","at":"2001-01-02T03:04:05.000Z","data":{"full":true}}
"#]]
    );
    assert_eq!(fake.asked("events.subscribe"), [json!({"since": "3", "types": []})]);
}

#[test]
fn read_follow_shows_what_is_there_then_what_comes_each_once() {
    let message = |id: &str| {
        json!({"id": id, "conversation": "bob", "from": "bob", "to": "me", "at": "2001-01-02T10:00:00.000Z",
        "received_at": "2001-01-02T10:00:00.100Z", "text": id, "state": "delivered", "path": "direct"})
    };
    let event = |id: &str| json!({"cursor": "9", "type": "message.received", "at": "2001-01-02T03:04:05.000Z", "data": message(id)});
    let page = |ids: &[&str]| json!({"messages": ids.iter().map(|id| message(id)).collect::<Vec<_>>(), "next": null});
    let fake = Fake::start()
        .can("message.read", Canned::Ok(page(&["m1"]), vec![event("m1"), event("m2"), event("m3")]))
        .ok("message.read", page(&["m2", "m3"]))
        .ok("message.read", page(&[]));
    let lines = first_lines(&fake, &["read", "bob", "--follow", "--json"], 3);
    let ids = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone());
    assert_eq!(ids.collect::<Vec<_>>(), ["m1", "m2", "m3"]);
    assert!(lines.iter().all(|line| line.starts_with("{\"v\":1,\"id\"")), "{lines:?}");
}

#[test]
fn a_closed_pipe_is_silent() {
    let fake = Fake::start();
    let mut child = Command::new(env!("CARGO_BIN_EXE_murmesh"))
        .arg("status")
        .env("MURMESH_DATA_DIR", fake.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(141), Vec::new()));
}

#[test]
fn help_and_version_are_documents_too() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [["--json", "--help"], ["--json", "--version"], ["help", "--json"]] {
        let ran = Run::new(dir.path(), &arguments).run();
        assert_eq!(ran.status, 0);
        assert!(ran.document()["text"].as_str().is_some_and(|text| text.contains("murmesh")));
    }
}
