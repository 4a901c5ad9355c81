//! Every way to fail: words, codes, statuses.

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::fake::{Canned, Fake, Run};

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
        ran.stderr.contains(&format!("next: murmesh up --data-dir '{}'\n", path.display())),
        "{}",
        ran.all()
    );
}

#[test]
fn without_a_node_what_starts_none_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "status",
        "down",
        "read",
        "outbox list",
        "contact list",
        "why 3f9a27",
        "peer list",
        "send bob hi --no-start",
    ] {
        let ran = Run::new(dir.path(), &line.split(' ').collect::<Vec<_>>()).run();
        assert_eq!(ran.status, 3, "{line}");
        assert!(ran.stderr.starts_with("error: no node is running on this data directory (E0101)"), "{line}");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn usage_errors_are_status_two_and_one_document_for_a_bot() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "sned bob hi",
        "send",
        "send bob hi --timeout 30",
        "invite --uses 0",
        "listen --exec true",
        "add",
        "read --since x",
    ] {
        let mut arguments = line.split(' ').collect::<Vec<_>>();
        let ran = Run::new(dir.path(), &arguments).run();
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{line}: {}", ran.all());
        arguments.push("--json");
        let ran = Run::new(dir.path(), &arguments).run();
        assert_eq!((ran.status, &ran.document()["error"]["name"]), (2, &json!("usage")), "{line}");
    }
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
fn a_path_too_long_for_a_socket_is_told_before_anything_is_tried() {
    let dir = tempfile::tempdir().unwrap().path().join("d".repeat(100));
    let ran = Run::new(&dir, &["up", "--json"]).run();
    assert_eq!((ran.status, &ran.document()["error"]["name"]), (3, &json!("socket-path")));
}
