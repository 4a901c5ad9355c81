//! The real `murmeshd` as a process of its own, asked over its real control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stub::PATIENCE;

/// A running node; killed when it is dropped.
pub(crate) struct Daemon {
    home: PathBuf,
    child: Child,
}

/// A client that has said hello.
pub(crate) struct Client {
    socket: BufReader<UnixStream>,
}

/// Waits for a condition, asked again and again.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Daemon {
    pub(crate) fn command(home: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_murmeshd"));
        command.env_remove("MURMESH_DATA_DIR").env_remove("MURMESH_PASSPHRASE_FILE").env_remove("RUST_LOG");
        command.arg("--data-dir").arg(home).args(["--listen", "/ip4/127.0.0.1/tcp/0", "--detached"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs one until it answers.
    pub(crate) fn start(home: &Path, arguments: &[&str]) -> Daemon {
        let child = Daemon::command(home, arguments).spawn().unwrap();
        let daemon = Daemon { home: home.to_owned(), child };
        wait_for("answers", || Client::connect(home).is_some());
        daemon
    }

    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        Client::connect(&self.home).unwrap().call(method, params)
    }

    pub(crate) fn send(&self, to: &str, text: &str) -> Result<Value, Value> {
        self.call("message.send", json!({"to": to, "text": text}))
    }

    /// Every text here, own and received.
    pub(crate) fn texts(&self) -> Vec<String> {
        let read =
            self.call("message.read", json!({"limit": 10_000, "peek": true, "unread": false})).unwrap();
        let messages = read["messages"].as_array().unwrap();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Where it listens, with its peer id.
    pub(crate) fn address(&self) -> String {
        self.call("node.status", json!({})).unwrap()["listen"][0].as_str().unwrap().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A field of `/proc/PID/status`, in KiB.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Alice and Bob, contacts of each other.
pub(crate) fn befriend(alice: &Daemon, bob: &Daemon) {
    for (node, name) in [(alice, "alice"), (bob, "bob")] {
        node.call("account.init", json!({"name": name})).unwrap();
    }
    let invite = alice.call("invite.create", json!({"no_address": false})).unwrap();
    bob.call("contact.add", json!({"ticket": invite["ticket"]})).unwrap();
    for node in [alice, bob] {
        wait_for("friends", || {
            node.call("contact.list", json!({})).unwrap()["contacts"][0]["state"] == "connected"
        });
    }
}

impl Client {
    /// None as long as nobody answers there.
    pub(crate) fn connect(home: &Path) -> Option<Client> {
        let socket = UnixStream::connect(home.join("api.sock")).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut client = Client { socket: BufReader::new(socket) };
        client.try_call("system.hello", &json!({"client": "test", "api": 1}))?.ok()?;
        Some(client)
    }

    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        self.try_call(method, &params).expect("an answer")
    }

    fn try_call(&mut self, method: &str, params: &Value) -> Option<Result<Value, Value>> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        self.write(format!("{request}\n").as_bytes()).ok()?;
        let mut line = String::new();
        self.socket.read_line(&mut line).ok()?;
        let mut answer: Value = serde_json::from_str(&line).ok()?;
        let error = answer["error"].take();
        Some(if error.is_null() { Ok(answer["result"].take()) } else { Err(error) })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.get_mut().write_all(bytes)
    }
}
