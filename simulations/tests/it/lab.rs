//! Nodes of one test: each with a data directory of its own, started and stopped as a user would.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use murmesh_simulations::programs;
use serde_json::Value;
use tempfile::TempDir;

/// Longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Lab {
    root: TempDir,
    names: Vec<String>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) json: Value,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        Lab { root: tempfile::Builder::new().prefix("mm").tempdir().unwrap(), names: Vec::new() }
    }

    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let mut command = programs::isolated(&programs::find("murmesh").unwrap(), self.root.path());
        command.arg("--data-dir").arg(self.directory(name)).arg("--json").args(args);
        command
    }

    /// Runs one command of the CLI with `--json`: there must be exactly one document.
    pub(crate) fn run(&self, name: &str, args: &[&str]) -> Ran {
        let output = self.command(name, args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let json =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name} {args:?}: {error}: {text:?}"));
        Ran { exit: output.status.code().unwrap(), json }
    }

    /// Runs a command that must end well.
    pub(crate) fn ok(&self, name: &str, args: &[&str]) -> Value {
        let ran = self.run(name, args);
        assert_eq!(ran.exit, 0, "{name} {args:?}: {}", ran.json);
        assert_eq!(ran.json["v"], 1);
        ran.json
    }

    /// Starts a node on loopback; gives what `up` says.
    pub(crate) fn up(&mut self, name: &str, more: &[&str]) -> Value {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        let args = [&["up", "--listen", "/ip4/127.0.0.1/tcp/0"], more].concat();
        self.ok(name, &args)
    }

    /// A person: an account and a running node.
    pub(crate) fn person(&mut self, name: &str, more: &[&str]) -> Value {
        self.ok(name, &["init", "--name", name, "--non-interactive"]);
        self.up(name, more)
    }

    /// Custodians c0, c1, …, all knowing the first. Gives the address of the first.
    pub(crate) fn custodians(&mut self, count: usize) -> String {
        let first = self.up("c0", &[])["listen"][0].as_str().unwrap().to_owned();
        (1..count).for_each(|i| {
            self.up(&format!("c{i}"), &["--peer", &first]);
        });
        first
    }

    pub(crate) fn introduce(&self, inviter: &str, guest: &str) {
        let ticket = self.ok(inviter, &["invite"])["ticket"].as_str().unwrap().to_owned();
        let added = self.ok(guest, &["add", &ticket, "--wait", "connected"]);
        assert_eq!((added["contact"].as_str(), added["state"].as_str()), (Some(inviter), Some("connected")));
        self.until("both are connected", || {
            self.ok(inviter, &["contact", "show", guest])["state"] == "connected"
        });
    }

    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) -> Duration {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "never: {what}");
            std::thread::yield_now();
        }
        start.elapsed()
    }

    /// `kill -9`, by the process id that the node itself told.
    pub(crate) fn kill(&self, name: &str) {
        let pid = self.ok_or_degraded(name, &["status"])["pid"].as_u64().unwrap();
        let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(killed.success());
        self.until("the process is gone", || {
            !Command::new("kill")
                .args(["-0", &pid.to_string()])
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        });
    }

    /// `status` of a node with few peers is 9, which is no failure here.
    pub(crate) fn ok_or_degraded(&self, name: &str, args: &[&str]) -> Value {
        let ran = self.run(name, args);
        assert!(matches!(ran.exit, 0 | 9), "{name} {args:?}: {}", ran.json);
        ran.json
    }

    pub(crate) fn texts(&self, name: &str, with: &str) -> Vec<String> {
        let read = self.ok(name, &["read", with, "--limit", "100000"]);
        let messages = read["messages"].as_array().unwrap();
        messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
    }

    /// All bytes of all files of a node.
    pub(crate) fn files(&self, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = std::fs::read_dir(self.directory(name)).unwrap();
        let files = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }
}

impl Drop for Lab {
    /// Stops what this lab started, and nothing else.
    fn drop(&mut self) {
        for name in &self.names {
            let _ = self.command(name, &["down"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}
