//! The binary itself: signals, kills, a failed start, one request without a node.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use murmesh_protocol::control::{ControlError, ErrorName};
use rustix::process::{Pid, Signal, kill_process};

use crate::stub::PATIENCE;

fn murmeshd(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_murmeshd"));
    command.env_remove("MURMESH_DATA_DIR").env_remove("MURMESH_PASSPHRASE_FILE").env_remove("RUST_LOG");
    command.arg("--data-dir").arg(home).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(home: &Path) -> Child {
    let mut command = murmeshd(home);
    command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--detached"]).spawn().unwrap()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn answers(home: &Path) -> bool {
    let Ok(mut socket) = std::os::unix::net::UnixStream::connect(home.join("api.sock")) else { return false };
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hello = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"system.hello\",\"params\":{\"client\":\"test\",\"api\":1}}\n";
    let mut answer = [0; 16];
    socket.write_all(hello).is_ok() && socket.read_exact(&mut answer).is_ok()
}

fn offline(home: &Path, request: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_murmeshd"));
    command.env_remove("MURMESH_PASSPHRASE_FILE").args(["offline", "--data-dir"]).arg(home);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_killed_node_leaves_nothing_in_the_way_and_a_signal_ends_it_in_time() {
    let home = tempfile::tempdir().unwrap();
    let mut first = run(home.path());
    wait_for("answers", || answers(home.path()));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(home.path().join("api.sock").exists(), "a killed node leaves its socket");
    let mut second = run(home.path());
    wait_for("answers again", || answers(home.path()));
    let mut third = run(home.path());
    assert!(!third.wait().unwrap().success());
    let why = std::fs::read(home.path().join("startup-error.json")).unwrap();
    assert_eq!(serde_json::from_slice::<ControlError>(&why).unwrap().name, ErrorName::AlreadyRunning);
    let started = Instant::now();
    kill_process(Pid::from_child(&second), Signal::TERM).unwrap();
    assert!(second.wait().unwrap().success());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!home.path().join("api.sock").exists());
    let log = std::fs::read_to_string(home.path().join("murmeshd.log")).unwrap();
    assert!(log.contains("stopped"), "{log}");
}

#[test]
fn a_failed_start_says_why_in_a_file_that_a_good_one_removes() {
    let home = tempfile::tempdir().unwrap();
    let error = || -> Option<ControlError> {
        serde_json::from_slice(&std::fs::read(home.path().join("startup-error.json")).ok()?).ok()
    };
    let fail = |arguments: &[&str]| {
        assert!(!murmeshd(home.path()).args(arguments).status().unwrap().success());
        error().unwrap().name
    };
    assert_eq!(fail(&["--listen", "nonsense"]), ErrorName::Listen);
    assert_eq!(fail(&["--listen", "/ip4/192.0.2.1/tcp/4001"]), ErrorName::Listen);
    std::fs::write(home.path().join("config.toml"), "[node]\nmnds = true\n").unwrap();
    assert_eq!(fail(&[]), ErrorName::BadConfig);
    std::fs::remove_file(home.path().join("config.toml")).unwrap();
    assert_eq!(fail(&["--passphrase-file", "/nonexistent"]), ErrorName::Permission);
    let mut node = run(home.path());
    wait_for("answers", || answers(home.path()));
    wait_for("removed", || error().is_none());
    kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
    assert!(node.wait().unwrap().success());
}

/// Story: a unit file whose node did not start showed `not started: {"name":"already-running"}` and status 1 for everything.
#[test]
fn a_failed_start_is_told_in_words_with_the_status_of_its_error() {
    let home = tempfile::tempdir().unwrap();
    let fail = |arguments: &[&str]| {
        let output = murmeshd(home.path()).args(arguments).stderr(Stdio::piped()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let same = format!("--data-dir {}", home.path().display());
    let told = |(status, text): (i32, String), expected: i32, words: &str, next: &str| {
        assert!(status == expected && !text.contains('{'), "{status}: {text}");
        assert!(text.ends_with(&format!("{words}\n  next: {next}\n")), "{text}");
    };
    std::fs::write(home.path().join("config.toml"), "[node]\nmdns = 5\n").unwrap();
    let (status, text) = fail(&[]);
    assert!(status == 2 && text.contains("murmeshd: not started: the configuration is wrong: "), "{text}");
    assert!(text.ends_with("(E0109)\n  next: murmesh help up\n") && !text.contains('{'), "{text}");
    std::fs::remove_file(home.path().join("config.toml")).unwrap();
    let words = "murmeshd: not started: cannot listen on nonsense: invalid multiaddr (E0108)";
    told(fail(&["--listen", "nonsense"]), 3, words, "murmesh help up");
    let sealed = fail(&["--passphrase-file", "/dev/null"]);
    let words =
        "not started: the account is locked: the passphrase file is empty; nothing was changed (E0403)";
    told(sealed, 7, words, &format!("murmesh up --passphrase-file - {same}"));
    let mut node = run(home.path());
    wait_for("answers", || answers(home.path()));
    let words = "murmeshd: not started: another node is running on this data directory (E0104)";
    told(fail(&[]), 3, words, &format!("murmesh status {same}"));
    kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
    node.wait().unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_murmeshd")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("Exit status:") && help.contains("    3  the node"), "{help}");
}

#[test]
fn a_node_in_the_foreground_says_where_it_listens() {
    let home = tempfile::tempdir().unwrap();
    let mut command = murmeshd(home.path());
    let mut node = command.args(["--listen", "/ip4/127.0.0.1/tcp/0"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for("answers", || answers(home.path()));
    kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
    let mut told = String::new();
    node.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(node.wait().unwrap().success());
    let lines = told.lines().collect::<Vec<_>>();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines[0] == format!("running: process {}", node.id()), "{told}");
    assert!(lines[1].starts_with("peer     12D3Koo"), "{told}");
    assert!(lines[2].starts_with("listen   /ip4/127.0.0.1/tcp/") && !lines[2].ends_with("/0"), "{told}");
}

#[test]
fn offline_requests_are_answered_with_one_line() {
    let home = tempfile::tempdir().unwrap();
    let ask = |method: &str| {
        let output =
            offline(home.path(), &format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"{method}\"}}\n"));
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(ask("id.show")["error"]["data"]["name"], "no-account");
    assert_eq!(ask("account.init")["result"]["created"], true);
    assert!(ask("id.show")["result"]["account"].as_str().unwrap().starts_with("mur1"));
    assert_eq!(ask("account.init")["error"]["data"]["name"], "already-initialised");
    assert_eq!(ask("node.status")["error"]["data"]["name"], "bad-request");
    assert_eq!(ask("no.method")["id"], 7);
    let mut node = run(home.path());
    wait_for("answers", || answers(home.path()));
    assert_eq!(ask("id.show")["error"]["data"]["name"], "already-running");
    kill_process(Pid::from_child(&node), Signal::TERM).unwrap();
    node.wait().unwrap();
}
