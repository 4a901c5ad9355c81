//! `listen --name` and `listen --exec`: each event done once, in order, acknowledged when it is done.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake::{Canned, Fake};

fn event(cursor: u64, text: &str) -> Value {
    json!({"cursor": cursor.to_string(), "type": "message.gap", "at": "2001-01-02T03:04:05.000Z",
        "data": {"from": text, "before": "m1", "missing": 1}})
}

fn telling(events: Vec<Value>) -> Fake {
    let subscribed = json!({"subscription": "s1", "cursor": "7"});
    let fake = Fake::start().ok("events.ack", json!({"state": "acknowledged"}));
    fake.only("events.subscribe", Canned::Ok(subscribed, events))
}

/// `listen` in the directory of the fake.
fn listen(fake: &Fake, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_murmesh"));
    command.arg("listen").args(arguments).env("MURMESH_DATA_DIR", fake.dir.path());
    command.current_dir(fake.dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until `done`, ends the child, and returns its standard error.
fn until(mut child: Child, done: impl Fn() -> bool) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(done(), "{said}");
    said
}

fn acks(fake: &Fake) -> Vec<String> {
    let asked = fake.asked("events.ack");
    assert!(asked.iter().all(|params| params["subscription"] == "s1"), "{asked:?}");
    asked.iter().map(|params| params["cursor"].as_str().unwrap().to_owned()).collect()
}

/// What the command has written, line by line.
fn written(fake: &Fake, name: &str) -> Vec<String> {
    let text = fs::read_to_string(fake.dir.path().join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_named_listener_acknowledges_each_event_once_it_is_printed() {
    let fake = telling(vec![event(8, "a"), event(9, "b")]);
    let mut child = listen(&fake, &["--name", "bot", "--since", "3"]);
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<_> = stdout.lines().take(2).map(Result::unwrap).collect();
    assert!(lines[0].starts_with("{\"v\":1,\"cursor\":\"8\"") && lines[1].contains("\"9\""), "{lines:?}");
    until(child, || acks(&fake).len() == 2);
    assert_eq!(acks(&fake), ["8", "9"]);
    assert_eq!(fake.asked("events.subscribe"), [json!({"since": "3", "types": [], "name": "bot"})]);
    // What could not be printed is not acknowledged.
    let fake = telling(vec![event(8, "a"), event(9, "b")]);
    let mut child = listen(&fake, &["--name", "bot"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert!(acks(&fake).is_empty());
}

#[test]
fn a_command_is_run_for_each_event_in_order_and_sees_it_on_standard_input_only() {
    let hostile = "$(touch pwned) `touch pwned`'; touch pwned; \"";
    let fake = telling(vec![event(8, hostile), event(9, "b"), event(10, "c")]);
    let child = listen(&fake, &["--exec", "cat >> got; echo \"$#\" >> count"]);
    until(child, || written(&fake, "count").len() == 3);
    let got = written(&fake, "got").iter().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<Value>>();
    let cursors: Vec<_> = got.iter().map(|event| event["cursor"].as_str().unwrap()).collect();
    assert_eq!(cursors, ["8", "9", "10"]);
    assert_eq!((&got[0]["data"]["from"], &got[0]["v"]), (&json!(hostile), &json!(1)));
    assert_eq!(written(&fake, "count"), ["0"; 3], "no arguments");
    assert!(!fake.dir.path().join("pwned").exists());
    assert!(acks(&fake).is_empty(), "nothing to acknowledge without a name");
}

#[test]
fn an_event_whose_command_fails_is_skipped_or_with_a_name_tried_again() {
    let fake = telling(vec![event(8, "a"), event(9, "b")]);
    let said =
        until(listen(&fake, &["--exec", "echo x >> tries; exit 3"]), || written(&fake, "tries").len() == 2);
    assert!(said.contains("the command failed at event 8: exit status: 3; skipped"), "{said}");
    let fake = telling(vec![event(8, "a"), event(9, "b")]);
    let command = "cat >> got; [ $(wc -l < got) -ne 1 ]";
    let said = until(listen(&fake, &["--name", "bot", "--exec", command]), || acks(&fake).len() == 2);
    assert!(said.contains("event 8: exit status: 1; trying again in 500ms"), "{said}");
    let got = written(&fake, "got").iter().map(|line| line.contains("\"8\"")).collect::<Vec<_>>();
    assert_eq!(got, [true, true, false], "the same again, then the next");
    assert_eq!(acks(&fake), ["8", "9"]);
}

/// A node drops a client that does not read for long: the command was not to blame for that.
#[test]
fn a_listener_that_was_dropped_goes_on_behind_the_last_event_that_is_done() {
    let first = Canned::Ok(json!({"subscription": "s1", "cursor": "7"}), vec![event(8, "a")]);
    let second = Canned::Ok(json!({"subscription": "s1", "cursor": "8"}), vec![event(9, "b")]);
    let fake = Fake::start().only("events.subscribe", first).can("events.subscribe", second);
    let fake = fake.can("events.ack", Canned::Farewell(json!({"state": "acknowledged"})));
    let fake = fake.ok("events.ack", json!({"state": "acknowledged"}));
    until(listen(&fake, &["--name", "bot", "--exec", "cat >> got"]), || acks(&fake).len() == 2);
    assert_eq!(written(&fake, "got").len(), 2);
    assert_eq!(fake.asked("events.subscribe")[1]["since"], "8");
}

/// Story: the command took longer than the node waits for a client that does not read, so its acknowledgement came too
/// late. The event was told and done again, its acknowledgement was late again, and the listener gave up: it never got past
/// an event that had been done, twice.
#[test]
fn what_is_done_is_acknowledged_on_the_next_connection_and_not_done_again() {
    let told =
        || Canned::Ok(json!({"subscription": "s1", "cursor": "7"}), vec![event(8, "a"), event(9, "b")]);
    let fake = Fake::start().only("events.subscribe", told()).can("events.ack", Canned::HangUp);
    let fake = fake.ok("events.ack", json!({"state": "acknowledged"}));
    until(listen(&fake, &["--name", "bot", "--exec", "cat >> got"]), || acks(&fake).len() == 3);
    assert_eq!(acks(&fake), ["8", "8", "9"]);
    let got = written(&fake, "got").iter().map(|line| line.contains("\"8\"")).collect::<Vec<_>>();
    assert_eq!(got, [true, false], "each once");
}

/// A node that drops it again before anything is done would do so for ever.
#[test]
fn a_listener_that_gets_nowhere_gives_up() {
    let ended = Canned::Farewell(json!({"subscription": "s1", "cursor": "7"}));
    let fake = Fake::start().only("events.subscribe", ended);
    let ran = fake.murmesh(&["listen", "--exec", "cat"]).run();
    assert_eq!((ran.status, fake.asked("events.subscribe").len()), (3, 1), "{}", ran.all());
}
