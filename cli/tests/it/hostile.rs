//! What strangers and contacts wrote, as the real program prints it: no command lets a control character, a
//! sequence or a change of direction through to the terminal, from whatever field.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fake::{Canned, Fake, status};

/// What a terminal acts on. Line breaks are ours.
fn acts(c: char) -> bool {
    let bidi =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n') || bidi || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A node all of whose texts somebody else chose.
fn node(text: &str) -> Fake {
    let contact = json!({"name": text, "account": text, "state": "connected", "verified": false, "online": false,
        "seen_at": null, "nickname": text, "added_at": "2001-01-01T00:00:00.000Z", "sessions": 1});
    let message = json!({"id": text, "conversation": text, "from": text, "to": text,
        "at": "2001-01-02T10:00:00.000Z", "received_at": "2001-01-02T10:00:00.000Z", "text": text,
        "state": "delivered", "path": "mailbox", "kept_by": text, "gap_before": 3, "unread": true});
    let sent = json!({"id": text, "to": text, "state": "queued", "custodians": {"held": 0, "want": 8},
        "reason": "not-connected-yet"});
    let entry = json!({"id": text, "to": text, "state": "queued", "custodians": {"held": 0, "want": 8},
        "attempts": 1, "next_try": null, "reason": "mailbox-full"});
    let step = json!({"at": "2001-01-02T10:00:00.000Z", "what": text, "peer": text, "result": text});
    let request = json!({"id": text, "account": text, "name": text, "at": "2001-01-02T10:00:00.000Z",
        "until": "2001-01-02T10:00:00.000Z", "text": text});
    let peer = json!({"peer_id": text, "addresses": [text], "connected": true, "role": text, "since": null});
    let mut said = status();
    said["account"] = json!({"account": text, "name": text});
    said["peer_id"] = json!(text);
    said["listen"] = json!([text]);
    said["role"] = json!(text);
    said["health"] = json!({"ok": false, "reasons": [text]});
    let event =
        json!({"cursor": "9", "type": "message.received", "at": "2001-01-02T03:04:05.000Z", "data": message});
    Fake::start()
        .only("node.status", Canned::Ok(said, Vec::new()))
        .only("events.subscribe", Canned::Ok(json!({"subscription": "s1", "cursor": "7"}), vec![event]))
        .ok("contact.list", json!({"contacts": [contact.clone()]}))
        .ok("contact.show", contact.clone())
        .ok("contact.rename", contact.clone())
        .ok("contact.block", contact.clone())
        .ok("contact.unblock", contact.clone())
        .ok("contact.remove", json!({"state": text}))
        .ok("contact.add", json!({"contact": text, "account": text, "state": "requested", "known": true}))
        .ok("request.list", json!({"requests": [request], "accepts": "anyone"}))
        .ok("request.accept", contact)
        .ok("request.decline", json!({"state": text}))
        .ok(
            "invite.list",
            json!({"invites": [{"id": text, "expires": "2001-01-03T00:00:00.000Z", "uses": 1}]}),
        )
        .ok("message.read", json!({"messages": [message], "next": null}))
        .ok("message.send", sent.clone())
        .ok("outbox.list", json!({"messages": [entry.clone()]}))
        .ok("outbox.show", entry.clone())
        .ok("outbox.retry", json!({"messages": [entry]}))
        .ok("outbox.cancel", sent)
        .ok("message.why", json!({"id": text, "state": "queued", "steps": [step]}))
        .ok("peer.list", json!({"peers": [peer]}))
        .ok("id.show", json!({"account": text, "name": text}))
        .err("moon.phase", json!({"name": "no-such-contact", "detail": text}))
}

const COMMANDS: &[&str] = &[
    "",
    "status",
    "id show",
    "contact list",
    "contact show bob",
    "contact rename bob bob",
    "contact block bob",
    "contact unblock bob",
    "contact remove bob --yes",
    "add mur16zjcee7gdm75tryv3tedxn6srqemmaqus5ljlt9lzvdegvs0hpasdwr955 --as zed --text hi",
    "request list",
    "request accept 1",
    "request decline 1",
    "invite list",
    "read",
    "read bob",
    "send bob hi",
    "send bob hi --wait delivered --timeout 100ms",
    "outbox list",
    "outbox show 3f9a27",
    "outbox retry",
    "outbox cancel 3f9a27",
    "why 3f9a27",
    "peer list",
    "up",
    "api call moon.phase",
];

fn check(text: &str) -> Result<(), TestCaseError> {
    let fake = node(text);
    let mut through = Vec::new();
    for command in COMMANDS {
        let arguments: Vec<&str> = command.split(' ').filter(|argument| !argument.is_empty()).collect();
        for json in [false, true] {
            let more: &[&str] = if json { &["--json"] } else { &[] };
            let ran = fake.murmesh(&[&arguments, more].concat()).run();
            let shown = ran.stdout + &ran.stderr;
            if shown.chars().any(acts) || shown.contains("not canned") {
                through.push(format!("{command} {more:?}: {shown:?}"));
            }
        }
    }
    for following in [&["read", "bob", "--follow"][..], &["listen"]] {
        let lines = crate::bot::first_lines(&fake, following, 1).concat();
        if lines.chars().any(acts) {
            through.push(format!("{following:?}: {lines:?}"));
        }
    }
    prop_assert!(through.is_empty(), "{}", through.join("\n"));
    Ok(())
}

fn special() -> impl Strategy<Value = String> {
    let special = vec![
        "\u{1b}[2J",
        "\u{1b}]0;x\u{7}",
        "\u{1b}",
        "\u{9b}31m",
        "\u{9d}",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\0",
        "\u{7}",
        "\u{8}",
        "\u{7f}",
        "\u{85}",
        "\u{200e}",
        "\u{200f}",
        "\u{61c}",
        "\u{202a}",
        "\u{202e}",
        "\u{2066}",
        "\u{2069}",
        "\u{2028}",
        "\u{2029}",
        "\u{feff}",
        "[m",
        "'",
        "\"",
        "é",
        "שלום",
    ];
    let part = prop_oneof![3 => prop::sample::select(special).prop_map(str::to_owned), 1 => "[a-z]{1,3}"];
    prop::collection::vec(part, 1..12).prop_map(|parts| parts.concat())
}

/// All of them at once: whatever the cases below leave out.
#[test]
fn no_character_that_a_terminal_acts_on_is_printed() {
    let all: String =
        (0..=0x9f).chain(0x2000..0x2070).chain([0x61c, 0xfeff]).filter_map(char::from_u32).collect();
    assert!(all.chars().any(acts));
    check(&format!("a{all}b")).unwrap();
}

proptest! {
    // Each case runs some fifty programs.
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 40, ..ProptestConfig::default() })]
    #[test]
    fn no_text_of_others_moves_the_cursor_or_turns_a_line(text in special()) {
        check(&text)?;
    }
}

/// A document means what was said all the same.
#[test]
fn documents_keep_the_text() {
    let text = "\u{1b}[2J\u{202e}x\u{2028}";
    let document: Value = node(text).murmesh(&["request", "list", "--json"]).run().document();
    assert_eq!(document["requests"][0]["text"], text);
}
