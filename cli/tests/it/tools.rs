//! Commands for operators and programs: `api`, `config`, `man`, `status --watch`.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use murmesh_protocol::control::Request;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::bot;
use crate::fake::{Canned, Fake, Run, contact, install, state_event, status};

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
        assert!(!ran.stderr.contains(" line "), "{}", ran.all());
    }
    assert_eq!(fake.asked("contact.show").len(), 1, "what is no object is not sent");
    let ran = fake.murmesh(&["api", "call", "contact.show", "{\"who\": bob}"]).run();
    assert!(ran.stderr.contains("object: expected value at character 9 ("), "{}", ran.all());
    let detail = "unknown field `whom`, expected `who` at line 1 column 46";
    let fake = fake.only("contact.show", Canned::Err(json!({"name": "bad-request", "detail": detail})));
    let ran = fake.murmesh(&["api", "call", "contact.show", "{\"whom\": 1}"]).run();
    assert!(
        ran.stderr.contains("expected `who` (E0007)"),
        "where it is in a line that nobody typed: {}",
        ran.all()
    );
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
        ("murmesh-send.1", "DATA_DIR"),
        ("murmesh-up.1", "PASSPHRASE_FILE"),
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

/// A `murmeshd` that records its arguments and says what `answer` is.
fn config_install(answer: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    install(&format!("#!/bin/sh\necho \"$*\" > \"$3/asked\"\necho '{answer}'\n"))
}

#[test]
fn config_shows_what_the_node_makes_of_it() {
    let (_install, murmesh) = config_install(
        r#"{"result":{"file":"F","exists":true,"settings":[{"key":"profile","value":"home","source":"default"},{"key":"node.listen","value":["/ip4/127.0.0.1/tcp/0"],"source":"flag"},{"key":"node.mdns","value":false,"source":"file"},{"key":"log.level","value":"info","source":"environment"}]}}"#,
    );
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let run = |arguments: &[&str]| Run::of(&murmesh, dir.path(), arguments).env("PATH", &path).run();
    assert_data_eq!(
        run(&["config", "show"]).all(),
        str![[r#"
exit 0
profile = "home"                         # default

[node]
listen = ["/ip4/127.0.0.1/tcp/0"]        # flag
mdns = false                             # file

[log]
level = "info"                           # environment
--

"#]]
    );
    let asked = std::fs::read_to_string(dir.path().join("asked")).unwrap();
    assert_eq!(asked, format!("config --data-dir {}\n", dir.path().display()));
    assert_data_eq!(
        run(&["config", "show", "--json"]).all(),
        str![[r#"
exit 0
{"v":1,"file":"F","exists":true,"settings":[{"key":"profile","value":"home","source":"default"},{"key":"node.listen","value":["/ip4/127.0.0.1/tcp/0"],"source":"flag"},{"key":"node.mdns","value":false,"source":"file"},{"key":"log.level","value":"info","source":"environment"}]}
--

"#]]
    );
    let file = dir.path().join("new.toml");
    let checked = |file: &std::path::Path| run(&["config", "check", file.to_str().unwrap(), "--json"]);
    assert_eq!(checked(&file).status, 4, "no such file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(checked(&file).stdout, "{\"v\":1,\"file\":\"F\",\"exists\":true,\"ok\":true}\n");
    let asked = std::fs::read_to_string(dir.path().join("asked")).unwrap();
    assert!(asked.trim().ends_with(&format!("--config {}", file.display())), "{asked}");
    // The node need not be where the file was named from.
    let relative = Run::of(&murmesh, dir.path(), &["config", "check", "new.toml"]).env("PATH", &path);
    assert_eq!(relative.within(dir.path()).run().status, 0);
    let asked = std::fs::read_to_string(dir.path().join("asked")).unwrap();
    assert!(asked.trim().ends_with(&format!("--config {}", file.display())), "{asked}");
}

#[test]
fn a_wrong_configuration_is_status_two_with_its_place() {
    let (_install, murmesh) = config_install(
        r#"{"error":{"data":{"name":"bad-config","detail":"c.toml: line 5, column 3: no such key peer_max; the nearest is peers_max"}}}"#,
    );
    let dir = tempfile::tempdir().unwrap();
    let ran =
        Run::of(&murmesh, dir.path(), &["config", "check"]).env("PATH", std::env::var_os("PATH").unwrap());
    assert_data_eq!(
        ran.run().all(),
        str![[r#"
exit 2
--
error: the configuration is wrong: c.toml: line 5, column 3: no such key peer_max; the nearest is peers_max (E0109)
  next: murmesh config path

"#]]
    );
}

#[test]
fn a_wrong_configuration_has_its_place_in_fields() {
    let (_install, murmesh) = config_install(
        r#"{"error":{"data":{"name":"bad-config","detail":"c.toml: line 5, column 3: no","place":{"file":"c.toml","line":5,"column":3}}}}"#,
    );
    let dir = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let ran = Run::of(&murmesh, dir.path(), &["config", "check", "--json"]).env("PATH", path).run();
    let document = ran.document();
    assert_eq!((ran.status, &document["error"]["name"]), (2, &json!("bad-config")));
    let place = [&document["file"], &document["line"], &document["column"]];
    assert_eq!(place, [&json!("c.toml"), &json!(5), &json!(3)]);
}

#[test]
fn config_path_names_the_file_also_when_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    let ran = Run::new(dir.path(), &["config", "path"]).run();
    let none = "there is none yet: the defaults hold\n";
    assert_eq!((ran.status, ran.stdout, ran.stderr.as_str()), (0, format!("{}\n", file.display()), none));
    std::fs::write(&file, "[").unwrap();
    let ran = Run::new(dir.path(), &["config", "path"]).run();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let document = Run::new(dir.path(), &["config", "path", "--json"]).run().document();
    assert_eq!(document, json!({"v": 1, "file": file, "exists": true}));
}

/// The watch goes on over the end of a node, and ends by Ctrl-C.
#[test]
fn status_watch_tells_a_document_an_event_and_survives_a_restart() {
    let event =
        json!({"cursor": "8", "type": "peer.up", "at": "2001-01-02T03:04:05.000Z", "data": {"peer_id": "p"}});
    let subscribed = json!({"subscription": "s1", "cursor": "7"});
    let mut second = status();
    second["peers"]["connected"] = json!(4);
    let fake = Fake::start()
        .only("events.subscribe", Canned::Ok(subscribed, vec![event]))
        .can("node.status", Canned::Farewell(second.clone()))
        .ok("node.status", second);
    let mut child = Command::new(env!("CARGO_BIN_EXE_murmesh"))
        .args(["status", "--watch"])
        .env("MURMESH_DATA_DIR", fake.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let (first, changed, stopped, again) = (next(), next(), next(), next());
    assert_eq!([&first["peers"]["connected"], &changed["peers"]["connected"]], [3, 4]);
    assert_eq!(stopped, json!({"v": 1, "state": "stopped"}));
    assert_eq!(
        (&again["v"], &again["state"], &again["peers"]["connected"]),
        (&json!(1), &json!("running"), &json!(4))
    );
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    // A shell calls it 130.
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Run::new(dir.path(), &["status", "--watch"]).run().status, 3, "none to begin with");
}

#[test]
fn status_watch_redraws_on_a_terminal() {
    let fake =
        Fake::start().can("node.status", Canned::HangUp).err("node.status", json!({"name": "internal"}));
    let shown = fake.murmesh(&["status", "--watch"]).on_terminal();
    assert_eq!(shown.status, 1, "{}", shown.stdout);
    assert!(shown.stdout.starts_with("ESC[HESC[2Jnode     running since"), "{}", shown.stdout);
    assert!(shown.stdout.contains("ESC[HESC[2Jthe node has stopped; waiting for it"), "{}", shown.stdout);
}

/// Just what a document says of a value: types, required fields, names of states.
fn fits(schema: &Value, value: &Value, shapes: &Value) -> bool {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(&shapes[reference.rsplit('/').next().unwrap()], value, shapes);
    }
    let choices = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    if choices.is_some_and(|choices| !choices.iter().any(|choice| fits(choice, value, shapes))) {
        return false;
    }
    // A reference with a description of its own is wrapped.
    let parts = schema["allOf"].as_array();
    if parts.is_some_and(|parts| !parts.iter().all(|part| fits(part, value, shapes))) {
        return false;
    }
    let names = schema["enum"].as_array().is_none_or(|names| names.contains(value));
    let same = schema.get("const").is_none_or(|constant| constant == value);
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds = schema["type"].as_str().map_or_else(|| schema["type"].clone(), |kind| json!([kind]));
    let typed = kinds.as_array().is_none_or(|kinds| kinds.contains(&json!(kind)));
    let fields = schema["properties"].as_object().is_none_or(|fields| {
        fields.iter().all(|(name, field)| value.get(name).is_none_or(|value| fits(field, value, shapes)))
    });
    let required = schema["required"]
        .as_array()
        .is_none_or(|required| required.iter().all(|name| value.get(name.as_str().unwrap()).is_some()));
    let items = schema.get("items").is_none_or(|item| {
        value.as_array().is_none_or(|values| values.iter().all(|value| fits(item, value, shapes)))
    });
    names && same && typed && fields && required && items
}

#[test]
fn api_schema_has_every_method_and_the_shapes_that_the_commands_take() {
    let dir = tempfile::tempdir().unwrap();
    let ran = Run::new(dir.path(), &["api", "schema"]).run();
    assert_eq!(ran.status, 0, "{}", ran.all());
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(document["openrpc"].as_str().unwrap().starts_with("1."), "{document}");
    assert_eq!(Run::new(dir.path(), &["api", "schema", "--json"]).run().document()["schema"], document);
    let methods = document["methods"].as_array().unwrap();
    let mut names: Vec<_> = methods.iter().map(|method| method["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let mut known = Request::METHODS.to_vec();
    known.sort_unstable();
    assert_eq!(names, known);
    let shapes = &document["components"]["schemas"];
    for reference in ran.stdout.split("\"#/components/schemas/").skip(1) {
        assert!(shapes.get(reference.split('"').next().unwrap()).is_some(), "{reference:.40}");
    }
    let method = |name: &str| methods.iter().find(|method| method["name"] == name).unwrap();
    let send = method("message.send");
    let required = send["params"].as_array().unwrap().iter().filter(|param| param["required"] == true);
    assert_eq!(required.map(|param| &param["name"]).collect::<Vec<_>>(), ["to", "text"]);
    assert!(methods.iter().all(|method| method["summary"].is_string()));
    for (name, reply) in bot::replies() {
        let schema = &method(name)["result"]["schema"];
        assert!(fits(schema, &reply, shapes), "{name}: {reply}");
        if reply.as_object().is_some_and(|fields| !fields.is_empty()) {
            assert!(!fits(schema, &json!({}), shapes), "{name}: an empty reply is none");
        }
    }
    let event = state_event("held", 5, json!({}));
    assert!(fits(&document["x-event"], &event, shapes), "{event}");
    assert!(!fits(&document["x-event"], &state_event("lost", 5, json!({})), shapes), "no such state");
}
