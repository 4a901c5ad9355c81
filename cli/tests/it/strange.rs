//! What a stranger to the program types: texts like flags, sizes, things left out.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::fake::{Fake, Run};

/// Story: `murmesh send bob "$text"` with `-hello` printed the help with status 0, which says that the message is on disk.
#[test]
fn a_text_that_begins_with_a_flag_is_never_taken_for_a_question() {
    let fake = Fake::start();
    for text in ["-hello", "-help me", "-qhello", "-h5"] {
        let ran = fake.murmesh(&["send", "bob", text]).run();
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{text}: {}", ran.all());
        let told =
            format!("error: there is no option {text} here; a text that begins with - goes after -- (E0001)");
        assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
        let ran = fake.murmesh(&["send", "bob", text, "--json"]).run();
        assert_eq!((ran.status, &ran.document()["error"]["name"]), (2, &json!("usage")), "{text}");
    }
    assert_eq!(fake.murmesh(&["contact", "rename", "bob", "-hal"]).run().status, 2);
    for asked in
        [&["send", "-h"][..], &["send", "-qh"], &["send", "--help"], &["-h"], &["contact", "show", "-h"]]
    {
        let ran = fake.murmesh(asked).run();
        assert!(ran.status == 0 && ran.stdout.contains("Usage: murmesh"), "{asked:?}: {}", ran.all());
    }
    assert_eq!(fake.asked("message.send"), Vec::<Value>::new());
}

/// Story: a script's text that was exactly `--help` printed the help with status 0, which says that it is on disk; and
/// one that was `-q` left the text to standard input.
#[test]
fn after_a_contact_a_text_that_is_a_flag_is_not_taken_for_a_question() {
    let fake = Fake::start();
    for text in ["--help", "-h", "-qh"] {
        for line in
            [&["send", "bob", text][..], &["send", "bob", text, "--json"], &["--quiet", "send", "bob", text]]
        {
            let ran = fake.murmesh(line).run();
            assert_eq!(ran.status, 2, "{line:?}: {}", ran.all());
            assert!(!ran.all().contains("Usage:"), "{line:?}: {}", ran.all());
        }
        let ran = fake.murmesh(&["send", "bob", text]).run();
        let told = format!(
            "error: is {text} the text? nothing was sent; a text that begins with - goes after -- (E0001)\n"
        );
        assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
        assert_eq!(ran.hint().unwrap(), ["help", "send"]);
    }
    let ran = fake.murmesh(&["send", "bob", "-q"]).run();
    assert!(
        ran.status == 2 && ran.stderr.contains("no TEXT, and nothing on standard input"),
        "{}",
        ran.all()
    );
    assert!(ran.stderr.contains("a text that begins with - goes after --"), "{}", ran.all());
    assert_eq!(fake.asked("message.send"), Vec::<Value>::new());
}

/// Story: `send ALICE` told only that there is no such contact, where alice was one.
#[test]
fn a_name_that_is_nearly_one_is_told() {
    let unknown = |who: &str| json!({"name": "no-such-contact", "detail": who});
    for (typed, told) in [
        ("ALICE", "no contact matches \"ALICE\"; nothing was done; did you mean alice?"),
        ("alcie", "did you mean alice?"),
        ("alic3", "did you mean alice?"),
        ("aalice", "did you mean alice?"),
        ("mallory", "no contact matches \"mallory\"; nothing was done (E0203)"),
    ] {
        let contacts = [
            crate::fake::contact("bob", "connected", true),
            crate::fake::contact("alice", "connected", true),
        ];
        let fake = Fake::start()
            .err("message.send", unknown(typed))
            .err("contact.show", unknown(typed))
            .ok("contact.list", json!({"contacts": contacts}));
        for line in [&["send", typed, "hi"][..], &["contact", "show", typed]] {
            let ran = fake.murmesh(line).run();
            assert!(ran.status == 4 && ran.stderr.contains(told), "{line:?}: {}", ran.all());
        }
    }
}

/// Story: whoever pasted a book was told how long a message may be, and not that it was the length that was wrong.
#[test]
fn what_is_wrong_with_a_text_is_told() {
    let fake = Fake::start();
    let long = "x".repeat(70_000);
    assert_data_eq!(
        fake.murmesh(&["send", "bob"]).input(&long).run().all(),
        str![[r#"
exit 2
--
error: the text cannot be sent: it has 70000 bytes, and a message has at most 60000; nothing was sent (E0303)
  next: murmesh help send

"#]]
    );
    assert_eq!(fake.asked("message.send"), Vec::<Value>::new());
    let fake = Fake::start().err("message.send", json!({"name": "bad-text", "detail": "60000"}));
    let ran = fake.murmesh(&["send", "bob", "x"]).run();
    assert!(
        ran.stderr.contains("the text cannot be sent: it has to have 1 to 60000 bytes;"),
        "{}",
        ran.stderr
    );
}

/// Story: the hints of these led to the list of all commands, or of all versions.
#[test]
fn the_hint_is_the_page_or_the_command_that_helps() {
    let range = json!({"name": "out-of-range", "detail": "it is from 1 to 2"});
    let fake = Fake::start()
        .err("message.send", range.clone())
        .err("invite.create", range)
        .err("nope", json!({"name": "bad-request", "detail": "no method nope"}))
        .ok("contact.show", crate::fake::contact("bob q", "connected", true));
    for (line, hint) in [
        ("send bob hi --expire 1s", "help send"),
        ("invite --uses 99999", "help invite"),
        ("api call nope", "api schema"),
        ("contact remove bob", "contact remove 'bob q' --yes"),
        ("outbox retry zzz", "help outbox retry"),
    ] {
        let ran = fake.murmesh(&line.split(' ').collect::<Vec<_>>()).run();
        assert_eq!(ran.hint().unwrap().join(" "), hint, "{line}: {}", ran.all());
        assert!(!ran.stderr.contains(['[', '<']), "as a person writes it: {}", ran.stderr);
    }
}

/// An error in the node's log has a name, and no code.
#[test]
fn an_error_is_explained_by_its_name_too() {
    let dir = tempfile::tempdir().unwrap();
    let help = |topic: &str| Run::new(dir.path(), &["help", topic]).run();
    assert_eq!(help("already-running").all(), help("E0104").all());
    assert!(help("already-running").stdout.starts_with("E0104 already-running\n"));
    assert!(help("listen").stdout.contains("Usage: murmesh listen"), "a command comes before an error");
}

#[test]
fn the_table_of_errors_fits_a_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Run::new(dir.path(), &["help", "errors"]).run();
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}
