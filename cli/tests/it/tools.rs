//! Commands for operators and programs: `api`, `man`.

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::fake::{Fake, Run, contact};

#[test]
fn api_call_prints_the_result_as_it_is() {
    let new = json!({"moon": ["full", "hi\u{202e}"], "v": 7});
    let fake = Fake::start().ok("moon.phase", new).ok("contact.show", contact("bob", "connected", true));
    let ran = fake.murmesh(&["api", "call", "moon.phase"]).run();
    assert_eq!(
        (ran.status, ran.stdout.as_str()),
        (0, "{\"moon\":[\"full\",\"hi\\u202e\"],\"v\":7}\n"),
        "{}",
        ran.all()
    );
    assert_eq!(fake.asked("moon.phase"), [json!({})]);
    let piped =
        fake.murmesh(&["api", "call", "contact.show", "-", "--json"]).input("{\"who\": \"bob\"}\n").run();
    assert_eq!(piped.status, 0, "{}", piped.all());
    assert_eq!(piped.document()["result"], contact("bob", "connected", true));
    assert_eq!(fake.asked("contact.show"), [json!({"who": "bob"})]);
    assert_data_eq!(
        fake.murmesh(&["api", "call", "moon.phase", "--json"]).run().all(),
        str![[r#"
exit 0
{"v":1,"result":{"moon":["full","hi/u202e"],"v":7}}
--

"#]]
    );
}

#[test]
fn api_call_has_the_status_of_the_error() {
    let fake = Fake::start().err("contact.show", json!({"name": "no-such-contact", "detail": "zed"}));
    let ran = fake.murmesh(&["api", "call", "contact.show", r#"{"who":"zed"}"#, "--json"]).run();
    assert_eq!((ran.status, &ran.document()["error"]["code"]), (4, &json!("E0203")));
    for wrong in ["[1]", "{", "\"bob\"", ""] {
        let ran = fake.murmesh(&["api", "call", "contact.show", wrong]).run();
        assert!(
            ran.status == 2 && ran.stderr.contains("params are one JSON object"),
            "{wrong}: {}",
            ran.all()
        );
    }
    assert_eq!(fake.asked("contact.show").len(), 1, "what is no object is not sent");
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Run::new(dir.path(), &["api", "call", "node.status"]).run().status, 3, "no node is started");
}

#[test]
fn a_manual_page_of_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let main = Run::new(dir.path(), &["man"]).run();
    assert_eq!(main.status, 0, "{}", main.all());
    assert!(
        main.stdout.contains(".TH murmesh 1") && main.stdout.contains("murmesh\\-contact"),
        "{}",
        main.stdout
    );
    let pages = dir.path().join("man/man1");
    let ran = Run::new(dir.path(), &["man", "--json", "--dir", pages.to_str().unwrap()]).run();
    assert_eq!(ran.status, 0, "{}", ran.all());
    let files = ran.document()["files"].as_array().unwrap().clone();
    assert_eq!(std::fs::read_dir(&pages).unwrap().count(), files.len());
    for (name, said) in [
        ("murmesh.1", "First steps"),
        ("murmesh-send.1", "Exit status 0 means"),
        ("murmesh-contact-rename.1", "The new name"),
        ("murmesh-api-call.1", "standard input"),
    ] {
        assert!(files.contains(&json!(pages.join(name))), "{name}");
        let page = std::fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.starts_with(".ie") && page.contains(said), "{name}: {page}");
    }
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ran = Run::new(dir.path(), &["man", "--dir", file.to_str().unwrap()]).run();
    assert!(ran.status == 1 && ran.stderr.contains("E0004"), "{}", ran.all());
}
