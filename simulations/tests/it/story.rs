//! The main job, black box: what interface and README promise to people who run the programs.

use crate::lab::Lab;

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn mail_arrives_after_the_sender_and_two_custodians_are_killed() {
    let mut lab = Lab::new();
    let first = lab.custodians(5);
    lab.person("alice", &["--peer", &first]);
    lab.person("bob", &[]);
    lab.introduce("alice", "bob");
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        let sent = lab.ok(from, &["send", to, "hello", "--wait", "delivered"]);
        assert_eq!(sent["state"], "delivered");
    }
    // Where he comes back to, he has to know: of the five two will be dead.
    lab.until("bob knows the five", || {
        lab.ok_or_degraded("bob", &["status"])["custodians_known"].as_u64() >= Some(5)
    });
    lab.ok("bob", &["down"]);
    for i in 0..10 {
        let sent = lab.ok("alice", &["send", "bob", &format!("while away {i}"), "--wait", "held"]);
        assert_eq!(sent["state"], "held");
        assert!(sent["custodians"]["held"].as_u64() >= Some(4), "{sent}");
    }
    lab.kill("alice");
    lab.kill("c1");
    lab.kill("c2");
    lab.up("bob", &[]);
    lab.until("everything is there", || lab.texts("bob", "alice").len() == 12);
    let texts = lab.texts("bob", "alice");
    let away: Vec<String> = (0..10).map(|i| format!("while away {i}")).collect();
    assert_eq!(texts[2..], away);
    // The sender learns of it when she is back.
    lab.up("alice", &["--peer", &first]);
    lab.until("alice knows", || {
        lab.ok("alice", &["outbox", "list"])["messages"].as_array().unwrap().is_empty()
    });
}

#[test]
fn killed_nodes_keep_their_ports_contacts_and_mail() {
    let mut lab = Lab::new();
    let first = lab.custodians(3);
    let before = lab.person("alice", &["--peer", &first]);
    lab.person("bob", &["--peer", &first]);
    lab.introduce("alice", "bob");
    lab.ok("alice", &["send", "bob", "one", "--wait", "delivered"]);
    lab.ok("bob", &["down"]);
    lab.ok("alice", &["send", "bob", "two", "--wait", "held"]);
    for name in ["alice", "c0", "c1", "c2"] {
        lab.kill(name);
    }
    let again = lab.up("alice", &["--peer", &first]);
    assert_eq!(before["listen"], again["listen"], "the same port");
    assert_eq!(before["peer_id"], again["peer_id"]);
    let custodian = lab.up("c0", &[]);
    assert_eq!(custodian["listen"][0].as_str(), Some(first.as_str()));
    lab.up("c1", &["--peer", &first]);
    lab.up("c2", &["--peer", &first]);
    assert_eq!(lab.ok("alice", &["contact", "list"])["contacts"][0]["name"], "bob");
    assert_eq!(lab.texts("alice", "bob"), ["one", "two"]);
    // What custodians had acknowledged survived their death: the sender is not needed.
    lab.ok("alice", &["down"]);
    lab.up("bob", &["--peer", &first]);
    lab.until("two is there", || lab.texts("bob", "alice") == ["one", "two"]);
}

#[test]
fn one_request_id_sends_once_also_across_a_kill() {
    let mut lab = Lab::new();
    lab.person("alice", &[]);
    lab.person("bob", &[]);
    lab.introduce("alice", "bob");
    let args = ["send", "bob", "only once", "--request-id", "r-1"];
    let first = lab.ok("alice", &args);
    lab.kill("alice");
    lab.up("alice", &[]);
    let second = lab.ok("alice", &args);
    assert_eq!(first["id"], second["id"]);
    lab.ok("alice", &["send", "bob", "last", "--wait", "delivered"]);
    assert_eq!(lab.texts("bob", "alice"), ["only once", "last"]);
    let other = lab.run("alice", &["send", "bob", "another text", "--request-id", "r-1"]);
    assert_eq!(other.json["error"]["name"], "client-id-reused");
}

#[test]
fn a_time_out_leaves_the_message_queued_and_says_so() {
    let mut lab = Lab::new();
    lab.person("alice", &[]);
    lab.person("bob", &[]);
    lab.introduce("alice", "bob");
    lab.ok("bob", &["down"]);
    let sent = lab.run("alice", &["send", "bob", "later", "--wait", "delivered", "--timeout", "1s"]);
    assert_eq!(sent.exit, 124, "{}", sent.json);
    assert_eq!(lab.ok("alice", &["outbox", "list"])["messages"][0]["state"], "queued");
    lab.up("bob", &[]);
    lab.until("later is there", || lab.texts("bob", "alice") == ["later"]);
}

#[test]
fn no_canary_is_in_any_custodian_any_log_or_a_directory_with_a_passphrase() {
    let mut lab = Lab::new();
    let first = lab.custodians(4);
    let passphrase = lab.directory("passphrase");
    std::fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    let with = ["--passphrase-file", passphrase.to_str().unwrap()];
    for name in ["canaryalice", "canarybob"] {
        let init = ["init", "--name", name, "--non-interactive", with[0], with[1]];
        lab.ok(name, &init);
        lab.up(name, &["--peer", &first, with[0], with[1]]);
    }
    lab.introduce("canaryalice", "canarybob");
    lab.ok("canarybob", &["down"]);
    // A thousand canaries in a hundred messages.
    for i in 0..100 {
        let text: Vec<String> = (0..10).map(|j| format!("canary-{i:02}{j}")).collect();
        lab.ok("canaryalice", &["send", "canarybob", &text.join(" ")]);
    }
    lab.until("all are held", || {
        let outbox = lab.ok("canaryalice", &["outbox", "list"]);
        outbox["messages"].as_array().unwrap().iter().all(|message| message["state"] == "held")
    });
    lab.up("canarybob", &["--peer", &first, with[0], with[1]]);
    lab.until("all have arrived", || lab.texts("canarybob", "canaryalice").len() == 100);
    let names = ["canaryalice", "canarybob", "c0", "c1", "c2", "c3"];
    let files: Vec<_> = names.iter().flat_map(|name| lab.files(name)).collect();
    assert!(files.len() > 30 && files.iter().any(|(path, _)| path.ends_with("murmeshd.log")));
    for (path, bytes) in &files {
        assert!(!contains(bytes, "canary"), "a canary in {}", path.display());
    }
    // A wrong passphrase opens nothing.
    lab.ok("canaryalice", &["down"]);
    std::fs::write(&passphrase, "wrong\n").unwrap();
    let locked = lab.run("canaryalice", &["up", with[0], with[1]]);
    assert_eq!((locked.exit, locked.json["error"]["name"].as_str()), (7, Some("locked")), "{}", locked.json);
}

/// A new user's node on loopback was killed; the printed hint `murmesh up` brought it back on all
/// interfaces and another port. And a `send` without an account left a public node running.
#[test]
fn a_start_without_flags_listens_where_it_did_and_a_failing_command_starts_nothing() {
    let mut lab = Lab::new();
    let before = lab.person("alice", &[]);
    lab.kill("alice");
    let again = lab.ok("alice", &["up"]);
    assert_eq!(before["listen"], again["listen"]);
    assert_eq!(lab.run("nobody", &["send", "bob", "x"]).json["error"]["name"], "no-account");
    assert_eq!(lab.run("nobody", &["status"]).exit, 3, "no node runs");
}

#[test]
fn refusals_have_their_exits() {
    let mut lab = Lab::new();
    assert_eq!(lab.run("alice", &["down"]).exit, 3);
    assert_eq!(lab.run("alice", &["status"]).exit, 3);
    lab.person("alice", &[]);
    assert_eq!(lab.run("alice", &["init", "--name", "x", "--non-interactive"]).exit, 8);
    let ticket = lab.ok("alice", &["invite"])["ticket"].as_str().unwrap().to_owned();
    assert_eq!(lab.run("alice", &["add", &ticket]).exit, 8, "one's own ticket");
    assert_eq!(lab.run("alice", &["add", "MURMESH:MT1XXXX"]).exit, 2);
    assert_eq!(lab.run("alice", &["send", "nobody", "x"]).exit, 4);
    assert_eq!(lab.run("alice", &["why", "00000000"]).exit, 4);
    lab.person("bob", &[]);
    assert_eq!(lab.ok("bob", &["add", &ticket, "--wait", "connected"])["state"], "connected");
    assert_eq!(lab.ok("bob", &["add", &ticket])["state"], "connected", "a second add changes nothing");
    lab.person("carol", &[]);
    assert_eq!(lab.run("carol", &["add", &ticket]).exit, 5, "used up");
    assert_eq!(lab.ok("alice", &["down"])["state"], "stopped");
}
