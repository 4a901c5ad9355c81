//! A node made of canned answers, on a real socket; and the binary under test.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::OpenptFlags;
use rustix::termios::LocalModes;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the fake does at a method.
#[derive(Clone)]
pub(crate) enum Canned {
    /// Answers with the result, then tells these events.
    Ok(Value, Vec<Value>),
    /// Answers with a control error.
    Err(Value),
    /// Answers nothing.
    Silence,
    /// Closes the connection.
    HangUp,
    /// Answers with the result, then closes the connection.
    Farewell(Value),
}

/// A ticket that the protocol's parser takes.
pub(crate) const TICKET: &str = "MURMESH:MT1QYRSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWZGFPYYSJZGFPYYSJZGFPYYSJZGPQR9SQUGP5Y8S9JCQWYP2ZRCQEVQ8ZQAPPUU83L7D";

type Script = Arc<Mutex<BTreeMap<String, Vec<Canned>>>>;

/// A fake node on a temporary data directory.
pub(crate) struct Fake {
    pub(crate) dir: TempDir,
    script: Script,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Fake {
    /// A node that knows `system.hello`, `node.status` and `events.subscribe`.
    pub(crate) fn start() -> Fake {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake { dir, script: Script::default(), seen: Arc::default() };
        let listener = UnixListener::bind(fake.dir.path().join("api.sock")).unwrap();
        let (script, seen) = (Arc::clone(&fake.script), Arc::clone(&fake.seen));
        thread::spawn(move || serve(&listener, &script, &seen));
        fake.ok("system.hello", hello())
            .ok("events.subscribe", json!({"subscription": "s1", "cursor": "7"}))
            .ok("node.status", status())
    }

    /// A further answer to `method`; the last one repeats.
    pub(crate) fn can(self, method: &str, canned: Canned) -> Fake {
        self.script.lock().unwrap().entry(method.to_owned()).or_default().push(canned);
        self
    }

    /// The only answer to `method` from here on.
    pub(crate) fn only(self, method: &str, canned: Canned) -> Fake {
        self.script.lock().unwrap().insert(method.to_owned(), vec![canned]);
        self
    }

    pub(crate) fn ok(self, method: &str, result: Value) -> Fake {
        self.can(method, Canned::Ok(result, Vec::new()))
    }

    pub(crate) fn err(self, method: &str, error: Value) -> Fake {
        self.can(method, Canned::Err(error))
    }

    pub(crate) fn murmesh(&self, arguments: &[&str]) -> Run {
        Run::new(self.dir.path(), arguments)
    }

    /// Params of every request of `method` so far.
    pub(crate) fn asked(&self, method: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|call| call["method"] == method).map(|call| call["params"].clone()).collect()
    }
}

pub(crate) fn serve(listener: &UnixListener, script: &Script, seen: &Arc<Mutex<Vec<Value>>>) {
    for stream in listener.incoming() {
        let (script, seen) = (Arc::clone(script), Arc::clone(seen));
        thread::spawn(move || talk(stream.unwrap(), &script, &seen));
    }
}

fn talk(mut stream: UnixStream, script: &Script, seen: &Arc<Mutex<Vec<Value>>>) {
    for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
        let call: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(call["jsonrpc"], "2.0");
        seen.lock().unwrap().push(call.clone());
        let method = call["method"].as_str().unwrap();
        let canned = {
            let mut script = script.lock().unwrap();
            match script.get_mut(method) {
                Some(answers) if answers.len() > 1 => answers.remove(0),
                Some(answers) => answers[0].clone(),
                None => Canned::Err(json!({"name": "internal", "detail": format!("not canned: {method}")})),
            }
        };
        let mut lines = Vec::new();
        let last = matches!(canned, Canned::Farewell(_));
        match canned {
            Canned::Silence => {}
            Canned::HangUp => return,
            Canned::Farewell(result) => {
                lines.push(json!({"jsonrpc": "2.0", "id": call["id"], "result": result}))
            }
            Canned::Ok(result, events) => {
                lines.push(json!({"jsonrpc": "2.0", "id": call["id"], "result": result}));
                lines.extend(events.into_iter().map(|mut params| {
                    params["subscription"] = json!("s1");
                    json!({"jsonrpc": "2.0", "method": "event", "params": params})
                }));
            }
            Canned::Err(data) => lines.push(json!({"jsonrpc": "2.0", "id": call["id"],
                "error": {"code": -32000, "message": data["name"], "data": data}})),
        }
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        if stream.write_all(text.as_bytes()).is_err() || last {
            return;
        }
    }
}

pub(crate) fn hello() -> Value {
    json!({"api": 1, "version": "0.1.0", "pid": 4242})
}

pub(crate) fn status() -> Value {
    json!({
        "state": "running", "pid": 4242, "peer_id": "12D3KooWFakeAlice",
        "listen": ["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWFakeAlice"], "role": "full",
        "peers": {"connected": 3, "known": 5}, "outbox": {"queued": 1, "held": 2},
        "custody": {"envelopes": 4, "records": 6, "bytes": 12_345},
        "health": {"ok": true, "reasons": []},
        "account": {"account": "mur1alice", "name": "alice"}, "contacts": 2, "unread": 1,
        "started_at": "2001-01-02T03:04:05.000Z", "custodians_known": 4, "reach": "outside",
        "added_in_a_later_version": [1, 2, 3]
    })
}

pub(crate) fn contact(name: &str, state: &str, online: bool) -> Value {
    json!({"name": name, "account": format!("mur1{name}"), "state": state, "verified": false, "online": online,
        "seen_at": "2001-01-02T14:02:00.000Z", "nickname": name, "added_at": "2001-01-01T00:00:00.000Z",
        "sessions": 1})
}

pub(crate) fn state_event(state: &str, held: u32, extra: Value) -> Value {
    let mut data = json!({"id": "3f9a27c41d00", "to": "bob", "state": state,
        "custodians": {"held": held, "want": 8, "until": "2001-12-08T00:00:00.000Z"}, "after_ms": 84,
        "added_in_a_later_version": true});
    data.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"cursor": "8", "type": "message.state", "at": "2001-01-02T03:04:05.000Z", "data": data})
}

/// One call of the binary.
pub(crate) struct Run {
    command: Command,
    input: Vec<u8>,
    answers: Vec<(String, String)>,
}

/// What came of it.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn new(dir: &Path, arguments: &[&str]) -> Run {
        Run::of(Path::new(env!("CARGO_BIN_EXE_murmesh")), dir, arguments)
    }

    pub(crate) fn of(binary: &Path, dir: &Path, arguments: &[&str]) -> Run {
        let mut command = Command::new(binary);
        command.env_clear().env("TZ", "UTC").env("PATH", "/nowhere").env("USER", "tester");
        command.env("MURMESH_DATA_DIR", dir).args(arguments);
        Run { command, input: Vec::new(), answers: Vec::new() }
    }

    pub(crate) fn input(mut self, text: &str) -> Run {
        self.input = text.as_bytes().to_vec();
        self
    }

    /// Runs in another directory.
    pub(crate) fn within(mut self, dir: &Path) -> Run {
        self.command.current_dir(dir);
        self
    }

    /// On a terminal: types `text` once `question` is shown.
    pub(crate) fn answer(mut self, question: &str, text: &str) -> Run {
        self.answers.push((question.to_owned(), text.to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// Runs on a terminal of its own, types `input`, and returns what the terminal showed.
    pub(crate) fn on_terminal(mut self) -> Ran {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let terminal = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&terminal).unwrap();
        rustix::pty::unlockpt(&terminal).unwrap();
        let path = rustix::pty::ptsname(&terminal, Vec::new()).unwrap();
        let mut side = fs::File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
        let clone = || Stdio::from(side.try_clone().unwrap());
        self.command.stdin(clone()).stdout(clone()).stderr(clone()).env("TERM", "xterm");
        let mut child = self.command.spawn().unwrap();
        let mut terminal = fs::File::from(terminal);
        terminal.write_all(&self.input).unwrap();
        let answers = self.answers;
        let reader = thread::spawn(move || watch(terminal, &answers));
        let status = child.wait().unwrap().code().unwrap_or(-1);
        let modes = rustix::termios::tcgetattr(&side).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "left as it was");
        // What the command has shown comes before this, so nothing of it is lost.
        side.write_all(END).unwrap();
        let shown = String::from_utf8(reader.join().unwrap()).unwrap();
        let shown = shown.replace("\r\n", "\n").replace('\u{1b}', "ESC").replace('\r', "CR");
        Ran { status, stdout: shown, stderr: String::new() }
    }

    pub(crate) fn run(mut self) -> Ran {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        // A command that reads no input may be gone already.
        let _closed = child.stdin.take().unwrap().write_all(&self.input);
        let output = child.wait_with_output().unwrap();
        Ran {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// After everything that a command has shown.
const END: &[u8] = b"\0END";

/// Reads what is shown up to [`END`], and types each answer once its question is there.
fn watch(mut terminal: fs::File, answers: &[(String, String)]) -> Vec<u8> {
    let mut answers = answers.iter().peekable();
    let (mut shown, mut byte) = (Vec::new(), [0]);
    while !shown.ends_with(END) {
        terminal.read_exact(&mut byte).unwrap();
        shown.push(byte[0]);
        if let Some((_, text)) = answers.next_if(|(question, _)| shown.ends_with(question.as_bytes())) {
            terminal.write_all(text.as_bytes()).unwrap();
        }
    }
    shown.truncate(shown.len() - END.len());
    shown
}

impl Ran {
    /// Status, standard output, standard error, in one text to compare.
    pub(crate) fn all(&self) -> String {
        format!("exit {}\n{}--\n{}", self.status, self.stdout, self.stderr)
    }

    /// The command after `next: `, if there is one.
    pub(crate) fn hint(&self) -> Option<Vec<String>> {
        let line = self.stderr.lines().find_map(|line| line.trim().strip_prefix("next: murmesh "))?;
        Some(line.split(' ').map(str::to_owned).collect())
    }

    /// The one document of `--json`.
    pub(crate) fn document(&self) -> Value {
        assert!(self.stdout.starts_with("{\"v\":1"), "{}", self.stdout);
        assert_eq!(self.stdout.matches('\n').count(), 1, "{}", self.stdout);
        assert_eq!(self.stderr, "");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A directory with a copy of `murmesh` and a `murmeshd` of this shell script beside it. Both are written by
/// a process of their own: a program that this process has open for writing cannot be run while another
/// thread is about to start one.
pub(crate) fn install(script: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let write = "cp \"$1\" \"$2/murmesh\" && cat > \"$2/murmeshd\" && chmod 755 \"$2/murmeshd\"";
    let mut shell = Command::new("sh")
        .args(["-c", write, "sh"])
        .arg(env!("CARGO_BIN_EXE_murmesh"))
        .arg(dir.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    let murmesh = dir.path().join("murmesh");
    (dir, murmesh)
}
