//! What only a terminal sees: questions, progress, colour, the state reached within two seconds.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::fake::{Canned, Fake, Run, TICKET, contact, install, state_event};

fn queued() -> Value {
    json!({"id": "3f9a27c41d00", "to": "bob", "state": "queued", "custodians": {"held": 0, "want": 8},
        "reason": "sending"})
}

#[test]
fn send_tells_the_state_it_reached() {
    let events = vec![state_event("delivered", 0, json!({"path": "direct"}))];
    let fake = Fake::start().can("message.send", Canned::Ok(queued(), events));
    assert_data_eq!(
        fake.murmesh(&["send", "bob", "hello"]).on_terminal().all(),
        str![[r#"
exit 0
CRESC[KqueuedCRESC[Kdelivered to bob in 84 ms (direct)
--

"#]]
    );
}

#[test]
fn send_to_somebody_offline_ends_when_others_hold_it() {
    let events = vec![state_event("queued", 2, json!({})), state_event("held", 5, json!({}))];
    let fake = Fake::start()
        .can("message.send", Canned::Ok(queued(), events))
        .ok("contact.show", contact("bob", "connected", false));
    assert_data_eq!(
        fake.murmesh(&["send", "bob", "there?"]).on_terminal().all(),
        str![[r#"
exit 0
CRESC[KqueuedCRESC[Kqueued, held by 2 of 8CRESC[Kheld: bob is offline (seen 2 Jan 2001 14:02); held by 5 of 8, until 8 Dec 2001; you may leave
--

"#]]
    );
}

#[test]
fn send_with_nobody_to_keep_it_says_so_after_two_seconds() {
    let mut alone = queued();
    alone["reason"] = json!("nobody-to-keep-it");
    let fake = Fake::start().ok("message.send", alone).ok("contact.show", contact("bob", "connected", false));
    assert_data_eq!(
        fake.murmesh(&["send", "bob", "there?"]).on_terminal().all(),
        str![[r#"
exit 0
CRESC[KqueuedCRESC[Kqueued: bob is offline (seen 2 Jan 2001 14:02); kept here; goes when bob is seen
--

"#]]
    );
}

#[test]
fn add_asks_for_the_ticket() {
    let connected = json!({"cursor": "9", "type": "contact.connected", "at": "2001-01-02T03:04:05.000Z",
        "data": {"name": "alice", "account": "mur1alice", "state": "connected"}});
    let added = json!({"contact": "mur1alice", "account": "mur1alice", "state": "requested", "known": false});
    let fake = Fake::start().can("contact.add", Canned::Ok(added, vec![connected]));
    let ran = fake.murmesh(&["add"]).input(&format!("{TICKET}\n")).on_terminal();
    assert!(ran.stdout.contains("ticket: "), "{}", ran.all());
    assert!(ran.stdout.ends_with("alice is connected\n"), "{}", ran.all());
    assert_eq!(fake.asked("contact.add"), [json!({"ticket": TICKET, "name": null})]);
}

#[test]
fn errors_are_coloured_unless_somebody_objects() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Run::new(dir.path(), arguments);
    let colored = "ESC[1;31merror:ESC[0m no node";
    assert!(run(&["status"]).on_terminal().stdout.starts_with(colored));
    assert!(run(&["status"]).env("NO_COLOR", "1").on_terminal().stdout.starts_with("error: no node"));
    assert!(run(&["status", "--color", "never"]).on_terminal().stdout.starts_with("error: no node"));
    assert!(run(&["status", "--color=always"]).run().stderr.starts_with("\u{1b}[1;31merror:"));
    assert!(!run(&["sned"]).env("NO_COLOR", "1").on_terminal().stdout.contains("ESC"));
}

#[test]
fn nothing_is_asked_when_nobody_wants_to_be_asked() {
    let fake = Fake::start();
    let ran = fake.murmesh(&["add", "--no-input"]).on_terminal();
    assert_eq!(ran.status, 2, "{}", ran.all());
    let ran = fake.murmesh(&["send", "bob", "--no-input"]).on_terminal();
    assert_eq!(ran.status, 2, "{}", ran.all());
}

/// A node that is locked unless it is given the passphrase `s3cret é`.
const LOCKED: &str = r#"#!/bin/sh
read line
given=$([ -z "$5" ] || cat "$5")
case $given in
"s3cret é") echo '{"jsonrpc":"2.0","id":1,"result":{"account":"mur1x","name":"tester","created":true}}' ;;
"") echo '{"jsonrpc":"2.0","id":1,"error":{"data":{"name":"locked","detail":"a passphrase is needed"}}}' ;;
*) echo '{"jsonrpc":"2.0","id":1,"error":{"data":{"name":"locked","detail":"wrong passphrase"}}}' ;;
esac
"#;

#[test]
fn a_passphrase_is_asked_for_and_not_shown() {
    let (install, murmesh) = install(LOCKED);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let run = |arguments: &[&str]| Run::of(&murmesh, install.path(), arguments).env("PATH", &path);
    let ran = run(&["id", "show"]).answer("passphrase: ", "s3cret x\u{7f}è\u{7f}é\r").on_terminal();
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "passphrase: \ntester mur1x\n"));
    let wrong = run(&["id", "show"]).answer("passphrase: ", "other\r").on_terminal();
    assert_eq!(wrong.status, 7);
    assert!(
        wrong.stdout.contains("the account is locked: wrong passphrase; nothing was"),
        "{}",
        wrong.stdout
    );
    let unasked = run(&["id", "show", "--no-input"]).on_terminal();
    assert!(unasked.stdout.contains("locked: a passphrase is needed;"), "{}", unasked.stdout);
    let interrupted = run(&["id", "show"]).answer("passphrase: ", "s3\u{3}").on_terminal();
    assert_eq!((interrupted.status, interrupted.stdout.as_str()), (130, "passphrase: \n"));
    let piped = run(&["init", "--name", "a", "--passphrase-file", "-"]).input("s3cret é\nx").run();
    assert_eq!(piped.status, 0, "{}", piped.all());
    let chosen = |second: &str| {
        let init = run(&["init", "--name", "a", "--passphrase-file", "-"]);
        init.answer("passphrase: ", "s3cret é\r").answer("the same again: ", second).on_terminal()
    };
    assert_eq!(chosen("s3cret é\r").status, 0);
    let differs = chosen("s3cret e\r");
    assert_eq!(differs.status, 7, "{}", differs.stdout);
    assert!(differs.stdout.contains("the second one differs from the first"), "{}", differs.stdout);
}
