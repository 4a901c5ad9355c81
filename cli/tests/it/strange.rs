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
    for asked in [&["send", "-h"][..], &["send", "bob", "-qh"], &["send", "--help", "-hello"], &["-h"]] {
        let ran = fake.murmesh(asked).run();
        assert!(ran.status == 0 && ran.stdout.contains("Usage: murmesh"), "{asked:?}: {}", ran.all());
    }
    assert_eq!(fake.asked("message.send"), Vec::<Value>::new());
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
