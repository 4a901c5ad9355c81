//! What a new user ran into: each test is the story of one of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::fake::{Canned, Fake, Run, TICKET, contact, state_event};

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Story: `up --listen foo` on a running node hinted to stop that node and start one that cannot listen.
#[test]
fn an_address_that_cannot_be_one_is_refused_before_the_node_is_asked() {
    let fake = Fake::start();
    let alone = tempfile::tempdir().unwrap();
    for address in ["foo", "/ip4/1.2.3.4", "/ip4/1.2.3/tcp/1", "/ip6/::1/tcp/65536", "/ip4/1.2.3.4/udp/1"] {
        let flags = [("--listen", "--listen MULTIADDR"), ("--peer", "--peer MULTIADDR")];
        for (flag, named) in flags {
            let running = fake.murmesh(&["up", flag, address]).run();
            let start = format!("error: {named}: \"{address}\": ");
            assert_eq!((running.status, running.stdout.as_str()), (2, ""), "{}", running.all());
            assert!(running.stderr.starts_with(&start), "{}", running.all());
            assert_eq!(running.hint().unwrap(), ["help", "up"]);
            let none = Run::new(alone.path(), &["up", flag, address]).run();
            assert_eq!(none.all(), running.all());
        }
    }
    assert_eq!(fake.asked("system.hello"), Vec::<Value>::new());
    assert_data_eq!(
        fake.murmesh(&["up", "--peer", "/ip4/1.2.3.4"]).run().all(),
        str![[r#"
exit 2
--
error: --peer MULTIADDR: "/ip4/1.2.3.4": the port is missing: /ip4/1.2.3.4/tcp/4001 or /ip4/1.2.3.4/udp/4001/quic-v1 (E0001)
  next: murmesh help up

"#]]
    );
    for line in [
        "up --peer /dns4/example.org/tcp/4001/p2p/12D3KooWFakeAlice",
        "up --peer /ip4/1.2.3.4/tcp/4001/ws",
        "up --listen /ip6/::/udp/0/quic-v1",
        "up --listen /memory/7",
    ] {
        let ran = fake.murmesh(&words(line)).run();
        assert!(ran.status == 0 && ran.stderr.contains("not applied: --"), "{line}: {}", ran.all());
    }
}

/// Story: `add --timeout 1s` took five: the node answers when it has asked around, and only then did the
/// clock start.
#[test]
fn the_timeout_of_add_counts_from_the_start_and_caps_the_call() {
    let fake = Fake::start().can("contact.add", Canned::Silence);
    let fake = fake.ok("contact.show", contact("alice", "requested", false));
    let before = Instant::now();
    let line = ["add", "-", "--wait", "connected", "--timeout", "300ms"];
    let ran = fake.murmesh(&line).input(TICKET).run();
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 124
--
error: the time-out passed: alice has not answered yet; the request goes on (E0003)
  next: murmesh contact list

"#]]
    );
    let asked = fake.murmesh(&["add", "-", "--timeout", "300ms"]).input(TICKET).run();
    assert_eq!((asked.status, asked.stdout.as_str()), (0, "asked alice; no answer yet\n"), "{}", asked.all());
    // A node that hangs has accepted nothing that is known of.
    let fake = Fake::start().can("contact.add", Canned::Silence).can("contact.show", Canned::Silence);
    let before = Instant::now();
    let ran = fake.murmesh(&line).input(TICKET).run();
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    assert!(ran.status == 124 && ran.stderr.contains("the node has not answered"), "{}", ran.all());
}

/// Story: `add foo` started a node, then said that foo is not a ticket.
#[test]
fn what_is_no_ticket_is_refused_before_a_node_is_started() {
    let (install, murmesh) = crate::fake::install("#!/bin/sh\n: > \"$(dirname \"$0\")/started\"\nexit 1\n");
    let mistyped = TICKET.replacen("QYRSW", "QYRSX", 1);
    let newer = "MURMESH:MT1QGQQQQQQQQQQ";
    for (typed, told) in [
        ("foo", "this is not a ticket: a ticket begins with MURMESH:; nothing was done (E0211)"),
        (&mistyped, "this is not a ticket: mistyped at character 16; nothing was done (E0211)"),
        (&TICKET[..60], "this is not a ticket: mistyped or cut off; nothing was done (E0211)"),
        (newer, "(E0211)"),
    ] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ran = Run::of(&murmesh, install.path(), &["add", "-"]).env("PATH", path).input(typed).run();
        assert!(ran.status == 2 && ran.stderr.contains(told), "{typed}: {}", ran.all());
        assert!(!install.path().join("started").exists(), "{typed}");
    }
}

/// Story: a mail program had broken the ticket in two, and only its first line was read.
#[test]
fn a_ticket_in_several_lines_is_read_to_its_end() {
    let (first, rest) = TICKET.split_at(72);
    let connected = json!({"contact": "alice", "account": "mur1alice", "state": "connected", "known": false});
    for typed in [
        format!("{first}\n{rest}\n"),
        format!("  {first} \n\t{}  {}\n", &rest[..9], &rest[9..]),
        format!("MURM\nESH:\n{}\n{rest}\n", &first[8..]),
        format!("{first}{rest}\n"),
    ] {
        let fake = Fake::start().ok("contact.add", connected.clone());
        let ran = fake.murmesh(&["add"]).input(&typed).on_terminal();
        assert!(ran.status == 0 && ran.stdout.ends_with("alice is connected\n"), "{typed}: {}", ran.all());
        assert_eq!(fake.asked("contact.add"), [json!({"ticket": TICKET, "name": null})]);
    }
    let fake = Fake::start();
    for typed in [format!("{first}\n\n"), "foo\n".to_owned(), format!("{first}!\n"), "\n".to_owned()] {
        let ran = fake.murmesh(&["add"]).input(&typed).on_terminal();
        assert_eq!(ran.status, 2, "{typed}: {}", ran.all());
    }
}

/// Story: a message that had been delivered "stays in the outbox", said `send --wait read`.
#[test]
fn a_delivered_message_that_is_not_read_in_time_is_not_said_to_wait() {
    let queued = json!({"id": "3f9a27c41d00", "to": "bob", "state": "queued",
        "custodians": {"held": 0, "want": 8}, "reason": "sending"});
    let events = vec![state_event("delivered", 0, json!({"path": "direct"}))];
    let fake = Fake::start().can("message.send", Canned::Ok(queued, events));
    let fake = fake.ok("contact.show", contact("bob", "connected", true));
    let line = ["send", "bob", "hi", "--wait", "read", "--timeout", "1s"];
    assert_data_eq!(
        fake.murmesh(&line).run().all(),
        str![[r#"
exit 124
--
error: the time-out passed: message 3f9a27c41d is delivered, but not read within 1 s; the other side may not send read receipts (E0003)
  next: murmesh why 3f9a27c41d00

"#]]
    );
    let help = Run::new(fake.dir.path(), &["help", "send"]).run().stdout;
    assert!(
        help.split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("unless the other side sends read receipts"),
        "{help}"
    );
}

/// Story: a letter was typed to somebody who turned out not to be a contact, and was lost.
#[test]
fn who_is_written_to_is_checked_before_the_text_is_asked_for() {
    let fake = Fake::start().err("contact.show", json!({"name": "no-such-contact", "detail": "bob"}));
    let ran = fake.murmesh(&["send", "bob"]).input("\u{4}").on_terminal();
    assert_eq!(ran.status, 4, "{}", ran.all());
    assert!(!ran.stdout.contains("type the message"), "{}", ran.all());
    assert!(ran.stdout.contains("no contact matches \"bob\""), "{}", ran.all());
    let fake = Fake::start().ok("contact.show", contact("bob", "blocked", false));
    let ran = fake.murmesh(&["send", "bob"]).input("\u{4}").on_terminal();
    assert!(ran.status == 8 && !ran.stdout.contains("type the message"), "{}", ran.all());
    let dir = tempfile::tempdir().unwrap();
    let ran = Run::new(dir.path(), &["send", "bob", "--no-start"]).input("\u{4}").on_terminal();
    assert!(ran.status == 3 && !ran.stdout.contains("type the message"), "{}", ran.all());
    let queued = json!({"id": "3f9a27c41d00", "to": "bob", "state": "delivered",
        "custodians": {"held": 0, "want": 8}, "reason": null});
    let fake = Fake::start().ok("contact.show", contact("bob", "connected", true)).ok("message.send", queued);
    let ran = fake.murmesh(&["send", "bob"]).input("hello\n\u{4}").on_terminal();
    assert_eq!(ran.status, 0, "{}", ran.all());
    assert_eq!(fake.asked("message.send")[0]["text"], "hello");
}

/// Story: whoever wanted a node to end was told to start one.
#[test]
fn down_without_a_node_does_not_hint_to_start_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("private.db"), "").unwrap();
    let ran = Run::new(dir.path(), &["down"]).run();
    assert!(ran.status == 3 && ran.stderr.contains("E0101"), "{}", ran.all());
    assert_eq!(ran.hint().unwrap(), ["help", "down"]);
    assert_eq!(Run::new(dir.path(), &["status"]).run().hint().unwrap(), ["up"]);
}

/// Story: `up` was hinted where there was no account that it could be for.
#[test]
fn without_an_account_the_hint_is_to_make_one() {
    let dir = tempfile::tempdir().unwrap();
    for line in ["read", "contact list", "status", "send bob hi --no-start"] {
        let ran = Run::new(dir.path(), &words(line)).run();
        assert!(ran.status == 3 && ran.stderr.contains("E0101"), "{line}: {}", ran.all());
        assert_eq!(ran.hint().unwrap(), ["init"], "{line}");
    }
}

/// Story: the first five digits of an id were "no message", as if it did not exist.
#[test]
fn a_beginning_of_an_id_that_is_too_short_is_told_as_such() {
    let fake = Fake::start().err("message.why", json!({"name": "no-such-message", "detail": "19223"}));
    assert_data_eq!(
        fake.murmesh(&["why", "19223"]).run().all(),
        str![[r#"
exit 2
--
error: MESSAGE: "19223": at least six digits of its id are needed (E0001)
  next: murmesh help why

"#]]
    );
    assert_eq!(fake.murmesh(&["outbox", "show", "19223"]).run().status, 2);
    assert_eq!(fake.murmesh(&["why", "192234"]).run().status, 4);
}

/// Story: a text of spaces was sent, and shown as nothing.
#[test]
fn a_text_of_white_space_is_refused_as_an_empty_one() {
    let fake = Fake::start().ok(
        "message.send",
        json!({"id": "3f9a27c41d00", "to": "bob", "state": "queued",
        "custodians": {"held": 0, "want": 8}, "reason": "sending"}),
    );
    for text in ["   ", "\n\t", ""] {
        assert_data_eq!(
            fake.murmesh(&["send", "bob", text]).run().all(),
            str![[r#"
exit 2
--
error: the text cannot be sent: it is empty, or only white space; nothing was sent (E0303)
  next: murmesh help send

"#]]
        );
    }
    assert_eq!(fake.murmesh(&["send", "bob"]).input(" \n").run().status, 2);
    assert_eq!(fake.asked("message.send"), Vec::<Value>::new());
}

/// Story: `add --as zed` of a known contact kept the old name and did not say how to change it.
#[test]
fn another_name_for_a_known_contact_hints_at_rename() {
    let known = json!({"contact": "alice", "account": "mur1alice", "state": "connected", "known": true});
    let fake = Fake::start().ok("contact.add", known);
    assert_data_eq!(
        fake.murmesh(&["add", "-", "--as", "zed q"]).input(TICKET).run().all(),
        str![[r#"
exit 0
alice is a contact already; nothing was changed
--
to give it the other name: murmesh contact rename alice 'zed q'

"#]]
    );
    let same = fake.murmesh(&["add", "-", "--as", "alice"]).input(TICKET).run();
    assert!(same.status == 0 && same.stderr.is_empty(), "{}", same.all());
}

/// Story: `status now` was told to quote a text, and takes none.
#[test]
fn only_a_command_that_takes_a_text_speaks_of_quoting() {
    let dir = tempfile::tempdir().unwrap();
    for line in ["status now", "down x", "read bob x", "contact rename bob the builder", "add x y"] {
        let ran = Run::new(dir.path(), &words(line)).run();
        assert!(ran.status == 2 && ran.stderr.contains("one word too many"), "{line}: {}", ran.all());
        assert!(!ran.stderr.contains("quote a text"), "{line}: {}", ran.all());
    }
    let ran = Run::new(dir.path(), &["send", "bob", "hi", "there"]).run();
    assert!(ran.stderr.contains("quote a text of several words"), "{}", ran.all());
}

/// Story: messages that came five seconds late looked as quick as any.
#[test]
fn a_direct_message_that_waited_two_seconds_says_so() {
    let message = |received: &str, extra: Value| {
        let mut message = json!({"id": "m1", "conversation": "alice", "from": "alice", "to": "me",
            "at": "2001-01-02T10:00:00.000Z", "received_at": received, "text": "hi", "state": "delivered",
            "path": "direct", "kept_by": null, "unread": true});
        message.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        message
    };
    let fake = Fake::start().ok(
        "message.read",
        json!({"messages": [message("2001-01-02T10:00:01.999Z", json!({})), message("2001-01-02T10:00:02.000Z", json!({})),
            message("2001-01-02T10:00:00.500Z", json!({"path": "mailbox", "kept_by": "12D3KooWAbcdefgh"}))], "next": null}),
    );
    assert_data_eq!(
        fake.murmesh(&["read"]).run().all(),
        str![[r#"
exit 0
2 Jan 2001 10:00  alice: hi
2 Jan 2001 10:00  alice: hi  (waited 2.0 s; kept by the sender)
2 Jan 2001 10:00  alice: hi  (waited 500 ms; kept by …Abcdefgh)
--

"#]]
    );
    let mut own = crate::fake::status();
    own["peer_id"] = json!("12D3KooWAbcdefgh");
    let told = fake.only("node.status", Canned::Ok(own, vec![])).murmesh(&["read"]).run().stdout;
    assert!(told.contains("(waited 500 ms; kept by this node)"), "{told}");
}

/// Story: an empty list told only one of the two ways to a contact.
#[test]
fn an_empty_list_tells_both_ways_to_a_contact() {
    let fake = Fake::start().ok("contact.list", json!({"contacts": []}));
    let ran = fake.murmesh(&["contact", "list"]).run();
    assert_eq!(ran.stderr, "no contacts yet: murmesh invite --qr, or with somebody's ticket: murmesh add\n");
}
