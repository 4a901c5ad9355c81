//! Strangers: who knows an account and nothing else, and the person who is asked.

use serde_json::Value;

use crate::lab::Lab;

/// A person whom anybody may ask, and one who knows the account only; each with a way into the network.
fn strangers(lab: &mut Lab, first: &str) -> String {
    std::fs::create_dir_all(lab.directory("alice")).unwrap();
    let open = "[privacy]\naccept_requests = \"anyone\"\n";
    std::fs::write(lab.directory("alice").join("config.toml"), open).unwrap();
    lab.person("alice", &["--peer", first]);
    lab.person("bob", &["--peer", first]);
    for name in ["alice", "bob"] {
        lab.until("knows the custodians", || {
            lab.ok_or_degraded(name, &["status"])["custodians_known"].as_u64() >= Some(3)
        });
    }
    lab.ok("alice", &["id", "show"])["account"].as_str().unwrap().to_owned()
}

fn requests(lab: &Lab, name: &str) -> Vec<Value> {
    lab.ok(name, &["request", "list"])["requests"].as_array().unwrap().clone()
}

#[test]
fn a_stranger_is_let_in_though_they_are_never_up_together() {
    let mut lab = Lab::new();
    let first = lab.custodians(4);
    let account = strangers(&mut lab, &first);
    lab.ok("alice", &["down"]);
    let added = lab.ok("bob", &["add", &account, "--as", "alice", "--text", "it is me, from the train"]);
    assert_eq!((added["state"].as_str(), added["known"].as_bool()), (Some("requested"), Some(false)));
    assert_eq!(lab.ok("bob", &["send", "alice", "and this too", "--wait", "held"])["state"], "held");
    lab.until("the request is held", || {
        let outbox = lab.ok("bob", &["outbox", "list"]);
        outbox["messages"].as_array().unwrap().iter().all(|message| message["state"] == "held")
    });
    lab.ok("bob", &["down"]);
    lab.up("alice", &["--peer", &first]);
    lab.until("the request is there", || requests(&lab, "alice").len() == 1);
    let request = requests(&lab, "alice").remove(0);
    assert_eq!(
        (request["name"].as_str(), request["text"].as_str()),
        (Some("bob"), Some("it is me, from the train"))
    );
    assert_eq!(lab.ok_or_degraded("alice", &["status"])["requests"], 1);
    assert_eq!(lab.ok("alice", &["contact", "list"])["contacts"], Value::Array(vec![]));
    // Killed before it is answered, and killed right after.
    lab.kill("alice");
    lab.up("alice", &["--peer", &first]);
    let contact = lab.ok("alice", &["request", "accept", request["id"].as_str().unwrap(), "--as", "bob"]);
    assert_eq!(
        (contact["name"].as_str(), contact["account"].as_str()),
        (Some("bob"), request["account"].as_str())
    );
    lab.kill("alice");
    lab.up("alice", &["--peer", &first]);
    let both = ["it is me, from the train", "and this too"];
    lab.until("what he said is there", || lab.texts("alice", "bob") == both);
    assert_eq!(lab.ok("alice", &["send", "bob", "welcome", "--wait", "held"])["state"], "held");
    lab.ok("alice", &["down"]);
    lab.up("bob", &["--peer", &first]);
    lab.until("her answer is there", || {
        lab.texts("bob", "alice").last().map(String::as_str) == Some("welcome")
    });
    assert_eq!(lab.ok("bob", &["contact", "show", "alice"])["state"], "connected");
    lab.up("alice", &["--peer", &first]);
    lab.ok("alice", &["send", "bob", "and now?", "--wait", "delivered"]);
    lab.ok("bob", &["send", "alice", "yes", "--wait", "delivered"]);
    assert_eq!(lab.ok("alice", &["contact", "show", "bob"])["state"], "connected");
}

#[test]
fn who_is_declined_or_not_heard_sees_silence() {
    let mut lab = Lab::new();
    let first = lab.custodians(3);
    let account = strangers(&mut lab, &first);
    lab.ok("bob", &["add", &account, "--as", "alice", "--text", "hello?"]);
    lab.until("the request is there", || requests(&lab, "alice").len() == 1);
    let id = requests(&lab, "alice")[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(lab.ok("alice", &["request", "decline", &id])["state"], "declined");
    let again = lab.run("alice", &["request", "accept", &id]);
    assert_eq!((again.exit, again.json["error"]["name"].as_str()), (4, Some("no-such-request")));
    // Carol is up the whole time; her account hears nobody without a ticket.
    lab.person("carol", &["--peer", &first]);
    let carol = lab.ok("carol", &["id", "show"])["account"].as_str().unwrap().to_owned();
    lab.ok("bob", &["add", &carol, "--as", "carol", "--text", "hello?"]);
    for name in ["alice", "carol"] {
        lab.ok("bob", &["send", name, "anybody there?", "--wait", "held"]);
    }
    let shown = |name: &str| {
        let contact = lab.ok("bob", &["contact", "show", name]);
        (contact["state"].clone(), contact["online"].clone(), contact["seen_at"].clone())
    };
    assert_eq!(shown("alice"), shown("carol"));
    assert_eq!(shown("alice"), ("requested".into(), false.into(), Value::Null));
    assert_eq!((requests(&lab, "alice").len(), requests(&lab, "carol").len()), (0, 0));
    assert_eq!(lab.ok("carol", &["request", "list"])["accepts"], "with-invite");
    // A ticket lets anybody in, also who was declined.
    lab.introduce("bob", "alice");
    lab.until("what he said is there", || lab.texts("alice", "bob") == ["hello?", "anybody there?"]);
}
