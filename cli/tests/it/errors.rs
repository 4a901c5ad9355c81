//! Every way to fail: words, codes, statuses.

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::fake::{Canned, Fake, Run, TICKET};

#[test]
fn a_failure_says_what_happened_what_is_safe_and_what_to_type() {
    let fake =
        Fake::start().err("message.send", json!({"name": "no-such-contact", "detail": "zed\u{1b}[31m"}));
    assert_data_eq!(
        fake.murmesh(&["send", "zed", "hi"]).run().all(),
        str![[r#"
exit 4
--
error: no contact matches "zed"; nothing was done (E0203)
  next: murmesh contact list

"#]]
    );
    let json = fake.murmesh(&["send", "zed", "hi", "--json"]).run();
    json.document();
    assert_data_eq!(
        format!("exit {}\n{}", json.status, json.stdout),
        str![[r#"
exit 4
{"v":1,"error":{"code":"E0203","name":"no-such-contact","message":"no contact matches /"zed/"; nothing was done","hint":"murmesh contact list","retryable":false}}

"#]]
    );
}

#[test]
fn the_hint_repeats_the_data_directory_of_the_call() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("of alice");
    let ran = Run::new(dir.path(), &["read", "--data-dir", path.to_str().unwrap()]).run();
    assert!(
        ran.stderr.contains(&format!("next: murmesh init --data-dir '{}'\n", path.display())),
        "{}",
        ran.all()
    );
}

#[test]
fn without_a_node_what_starts_none_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for line in
        ["status", "read", "outbox list", "contact list", "why 3f9a27", "peer list", "send bob hi --no-start"]
    {
        let ran = Run::new(dir.path(), &line.split(' ').collect::<Vec<_>>()).run();
        assert_eq!(ran.status, 3, "{line}");
        assert!(ran.stderr.starts_with("error: no node is running on this data directory (E0101)"), "{line}");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn usage_errors_are_status_two_and_one_document_for_a_bot() {
    let dir = tempfile::tempdir().unwrap();
    for line in
        ["sned bob hi", "send", "send bob hi --timeout 30", "invite --uses 0", "add", "read --since x"]
    {
        let mut arguments = line.split(' ').collect::<Vec<_>>();
        let ran = Run::new(dir.path(), &arguments).run();
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{line}: {}", ran.all());
        arguments.push("--json");
        let ran = Run::new(dir.path(), &arguments).run();
        assert_eq!((ran.status, &ran.document()["error"]["name"]), (2, &json!("usage")), "{line}");
    }
}

const REFUSED: &[&str] = &[
    "sned bob hi",
    "send",
    "send bob hi there",
    "send bob --bogus",
    "send bob hi --timeout",
    "send bob hi --timeout 30",
    "send bob hi --wait nope",
    "status -q -v",
    "id",
    "contact --color never",
    "contact rename bob",
    "invite --uses 0",
    "listen --since junk",
    "read --since x",
    "read --limit x",
    "up --profile x",
    "help nonsense",
    "add",
];

/// Story: clap's own sentences stood between ours, with hints that could not be typed.
#[test]
fn usage_errors_are_in_the_words_of_every_other_error_and_their_hints_work() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = String::new();
    for line in REFUSED {
        let ran = Run::new(dir.path(), &line.split(' ').collect::<Vec<_>>()).run();
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{line}: {}", ran.all());
        let hint = ran.hint().unwrap();
        let help = Run::new(dir.path(), &hint.iter().map(String::as_str).collect::<Vec<_>>()).run();
        assert_eq!((help.status, help.stderr.as_str()), (0, ""), "{line}: {hint:?}");
        all += &format!("$ {line}\n{}", ran.stderr);
    }
    assert_data_eq!(
        all,
        str![[r#"
$ sned bob hi
error: there is no command "sned"; did you mean send? (E0001)
  next: murmesh help send
$ send
error: WHO is missing (E0001)
  next: murmesh help send
$ send bob hi there
error: "there" is one word too many; quote a text of several words (E0001)
  next: murmesh help send
$ send bob --bogus
error: there is no option --bogus here; a text that begins with - goes after -- (E0001)
  next: murmesh help send
$ send bob hi --timeout
error: --timeout DURATION: the value is missing (E0001)
  next: murmesh help send
$ send bob hi --timeout 30
error: --timeout DURATION: "30": a duration is a number and a unit: 500ms, 30s, 10m, 24h, 1d, 2w (E0001)
  next: murmesh help send
$ send bob hi --wait nope
error: --wait WAIT: "nope" is not a value of it; it is queued, held, delivered or read (E0001)
  next: murmesh help send
$ status -q -v
error: --quiet does not go with --verbose (E0001)
  next: murmesh help status
$ id
error: a command is missing after "id": show, qr (E0001)
  next: murmesh help id
$ contact --color never
error: a command is missing after "contact": list, show, rename, remove, block, unblock (E0001)
  next: murmesh help contact
$ contact rename bob
error: NAME is missing (E0001)
  next: murmesh help contact rename
$ invite --uses 0
error: --uses N: "0": it is a whole number from 1 to 4294967295 (E0001)
  next: murmesh help invite
$ listen --since junk
error: --since CURSOR: "junk": a cursor is a whole number, as an event tells it (E0001)
  next: murmesh help listen
$ read --since x
error: --since WHEN: "x": a duration is a number and a unit: 500ms, 30s, 10m, 24h, 1d, 2w; or it is a time: 2026-11-24T03:22:25Z (E0001)
  next: murmesh help read
$ read --limit x
error: --limit N: "x": it is a whole number from 1 to 4294967295 (E0001)
  next: murmesh help read
$ up --profile x
error: --profile PROFILE: "x" is not a value of it; it is home, server or phone (E0001)
  next: murmesh help up
$ help nonsense
error: no command or error code "nonsense" (E0001)
  next: murmesh help
$ add
error: a ticket is needed: @FILE, - for standard input, the ticket itself, or an account address (E0001)
  next: murmesh help add

"#]]
    );
}

/// Story: a missing passphrase file was told as a data directory that belongs to somebody else.
#[test]
fn a_passphrase_file_that_cannot_be_read_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    for (line, told) in [
        ("up --passphrase-file /nonexistent/file", "/nonexistent/file: no such file or directory;"),
        ("init --name a --passphrase-file /", "/: is a directory;"),
        (&format!("up --passphrase-file {}", empty.display()), "the first line is empty;"),
        ("up --passphrase-file -", "standard input: the first line is empty;"),
    ] {
        let ran = Run::new(&dir.path().join("d"), &line.split(' ').collect::<Vec<_>>()).run();
        assert_eq!(ran.status, 7, "{line}: {}", ran.all());
        assert!(ran.stderr.starts_with("error: cannot read the passphrase: "), "{}", ran.stderr);
        assert!(ran.stderr.contains(told) && ran.stderr.contains("(E0405)"), "{}", ran.stderr);
        let command = line.split(' ').next().unwrap();
        assert_eq!(ran.hint().unwrap(), [command, "--passphrase-file", "-"], "{line}");
    }
    let ran = Run::new(&dir.path().join("d"), &["id", "show"]).env("MURMESH_PASSPHRASE_FILE", "/none").run();
    assert!(ran.status == 7 && ran.stderr.contains("/none: no such file"), "{}", ran.all());
}

/// Story: a data directory that cannot be made pointed to a log inside it.
#[test]
fn a_data_directory_that_cannot_be_used_is_told_with_the_systems_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let locked = dir.path().join("locked");
    std::fs::create_dir_all(locked.join("lock")).unwrap();
    for (path, reason) in [(&file, ": file exists;"), (&locked, "/lock: is a directory;")] {
        for line in ["up", "up --foreground", "init --name a"] {
            let ran = Run::new(path, &line.split(' ').collect::<Vec<_>>()).run();
            assert_eq!(ran.status, 7, "{line}: {}", ran.all());
            assert!(ran.stderr.contains(&format!("{}{reason}", path.display())), "{}", ran.all());
        }
    }
    let ran = Run::new(&file, &["id", "show"]).run();
    assert!(ran.status == 7 && ran.stderr.contains("not a directory"), "{}", ran.all());
    assert_eq!(Run::new(&file, &["status"]).run().status, 3);
}

#[test]
fn a_file_that_is_not_there_is_status_four() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Run::new(dir.path(), &["add", "@/nonexistent/ticket"]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 4
--
error: there is no file /nonexistent/ticket; nothing was done (E0010)
  next: murmesh help errors

"#]]
    );
}

#[test]
fn ones_own_ticket_is_refused_with_what_to_do_instead() {
    let fake = Fake::start().err("contact.add", json!({"name": "own-ticket"}));
    let ran = fake.murmesh(&["add", "-"]).input(TICKET).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 8
--
error: this is your own ticket; nothing was done: give it to somebody else, and add theirs (E0213)
  next: murmesh add

"#]]
    );
}

#[test]
fn a_node_that_makes_no_sense_is_unreachable() {
    let fake = Fake::start().only("system.hello", Canned::HangUp);
    let ran = fake.murmesh(&["status", "--json"]).run();
    assert_eq!((ran.status, &ran.document()["error"]["code"]), (3, &json!("E0102")));
    let fake = Fake::start().only("node.status", Canned::Ok(json!({"state": 7}), vec![]));
    assert_eq!(fake.murmesh(&["status"]).run().status, 3);
    let fake = Fake::start().only("node.status", Canned::Err(json!({"name": "from-the-future"})));
    let ran = fake.murmesh(&["status"]).run();
    assert!(ran.status == 1 && ran.stderr.contains("from-the-future"), "{}", ran.all());
}

#[test]
fn a_node_that_stops_ends_those_who_listen_to_it() {
    let fake = Fake::start().can("message.read", Canned::HangUp);
    let asked = fake.murmesh(&["read", "--follow"]).run();
    assert!(asked.status == 3 && asked.stderr.contains("E0102"), "an answer is owed: {}", asked.all());
    let fake = Fake::start()
        .only("events.subscribe", Canned::Farewell(json!({"subscription": "s1", "cursor": "7"})));
    let ran = fake.murmesh(&["listen"]).run();
    assert_data_eq!(
        ran.all(),
        str![[r#"
exit 3
--
error: the node has stopped; what it had accepted is on disk (E0113)
  next: murmesh up

"#]]
    );
}

#[test]
fn a_path_too_long_for_a_socket_is_told_before_anything_is_tried() {
    let dir = tempfile::tempdir().unwrap().path().join("d".repeat(100));
    let ran = Run::new(&dir, &["up", "--json"]).run();
    let document = ran.document();
    assert_eq!((ran.status, &document["error"]["name"]), (3, &json!("socket-path")));
    let hint = document["error"]["hint"].as_str().unwrap();
    assert_eq!(hint, "murmesh up --data-dir ~/.murmesh", "a place that nobody else can write to");
}
