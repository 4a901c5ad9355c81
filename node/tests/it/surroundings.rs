//! The real program where it is not alone and has not all it wants: other users, full disks, damaged and newer
//! files, a second node, clients that never read.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use murmesh_protocol::control::{ControlError, ErrorName};
use serde_json::{Value, json};

use crate::daemon::{Client, Daemon, befriend, wait_for};

/// Nobody.
const OTHER_USER: u32 = 65_534;
/// Tells the part of the other user where to connect.
const WHERE: &str = "MURMESH_TEST_SOCKET_OF_ANOTHER_USER";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Not a test: what the other user runs. Says on its standard output how far it got.
#[test]
#[ignore = "run as another user by the test below"]
fn as_another_user() {
    let Some(home) = std::env::var_os(WHERE) else { return };
    let socket = std::os::unix::net::UnixStream::connect(Path::new(&home).join("api.sock"));
    eprintln!("connected: {}", socket.is_ok());
    eprintln!("answered: {}", Client::connect(Path::new(&home)).is_some());
}

/// What another user gets from a node.
fn other_user(program: &Path, home: &Path) -> String {
    let mut command = Command::new(program);
    command.args(["--exact", "surroundings::as_another_user", "--ignored", "--nocapture"]);
    command.env(WHERE, home).current_dir("/").uid(OTHER_USER).gid(OTHER_USER);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn another_user_gets_no_answer_even_if_the_modes_let_him_in() {
    let home = tempfile::tempdir().unwrap();
    let _node = Daemon::start(home.path(), &[]);
    let socket = home.path().join("api.sock");
    assert_eq!((mode(home.path()), mode(&socket)), (0o700, 0o600));
    if !is_root() {
        eprintln!("skipped the rest: only root can be somebody else");
        return;
    }
    // A copy: he may not be able to reach the directory that this program is in.
    let shared = tempfile::tempdir().unwrap();
    std::fs::set_permissions(shared.path(), Permissions::from_mode(0o755)).unwrap();
    let program = shared.path().join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let got = other_user(&program, home.path());
    assert!(got.contains("connected: false") && got.contains("answered: false"), "{got}");
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let got = other_user(&program, home.path());
    assert!(got.contains("connected: true") && got.contains("answered: false"), "{got}");
    assert!(Client::connect(home.path()).is_some(), "the owner is answered");
}

/// A file system of a few MB, unmounted when it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(megabytes: u32) -> Option<SmallDisk> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "tmpfs"]);
        let mounted = is_root() && mount.arg(directory.path()).status().is_ok_and(|status| status.success());
        mounted.then_some(SmallDisk(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_new_messages_reads_on_and_recovers_by_itself() {
    let Some(disk) = SmallDisk::new(8) else {
        eprintln!("skipped: only root can mount a small disk");
        return;
    };
    let home = disk.0.path().join("node");
    let other = tempfile::tempdir().unwrap();
    let (alice, bob) = (Daemon::start(&home, &[]), Daemon::start(other.path(), &[]));
    befriend(&alice, &bob);
    alice.send("bob", "while there is room").unwrap();
    // Somebody else fills the disk, but for a little.
    let filler = disk.0.path().join("filler");
    let fill = |bytes: usize| {
        use std::io::Write;
        let mut file = std::fs::File::options().create(true).append(true).open(&filler).unwrap();
        let _full = (0..bytes / 4_096).try_for_each(|_| file.write_all(&[7; 4_096]));
    };
    fill(16 << 20);
    let mut accepted = 0;
    let refused = (0..3_000).find_map(|i| match alice.send("bob", &format!("{i} {}", "x".repeat(2_000))) {
        Ok(_) => {
            accepted += 1;
            None
        }
        Err(error) => Some(error),
    });
    let refused = refused.expect("a full disk refuses");
    eprintln!("{accepted} accepted on what was left, then: {refused}");
    assert_eq!(refused["data"]["name"], "disk", "{refused}");
    assert_eq!(alice.texts().len(), accepted + 1, "what was accepted is there, and what was refused is not");
    assert!(alice.call("node.status", json!({})).is_ok());
    assert!(alice.call("contact.list", json!({})).is_ok());
    std::fs::remove_file(&filler).unwrap();
    wait_for("accepted again", || alice.send("bob", "room again").is_ok());
    wait_for("all arrive", || {
        bob.texts().len() == accepted + 2 && bob.texts().contains(&"room again".to_owned())
    });
}

/// Why a node does not start.
fn why(home: &Path) -> ControlError {
    assert!(!Daemon::command(home, &[]).status().unwrap().success());
    serde_json::from_slice(&std::fs::read(home.join("startup-error.json")).unwrap()).unwrap()
}

#[test]
fn a_newer_or_damaged_database_is_refused_by_name_and_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let node = Daemon::start(home.path(), &[]);
    node.call("account.init", json!({"name": "alice"})).unwrap();
    drop(node);
    for name in ["private.db", "custody.db"] {
        let file = home.path().join(name);
        let connection = rusqlite::Connection::open(&file).unwrap();
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let newer = why(home.path());
        assert_eq!(newer.name, ErrorName::Database, "{name}");
        let connection = rusqlite::Connection::open(&file).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
        drop(connection);
        let (good, bad) = (std::fs::read(&file).unwrap(), vec![0x5a; 8_192]);
        std::fs::write(&file, &bad).unwrap();
        let damaged = why(home.path());
        assert_eq!(damaged.name, ErrorName::Database, "{name}");
        assert_ne!(newer.detail, damaged.detail, "{name}");
        eprintln!("{name}: {newer:?}, {damaged:?}");
        assert_eq!(std::fs::read(&file).unwrap(), bad, "{name}: left as it is");
        std::fs::write(&file, good).unwrap();
    }
    let node = Daemon::start(home.path(), &[]);
    assert_eq!(node.call("id.show", json!({})).unwrap()["name"], "alice");
}

#[test]
fn a_client_that_never_reads_costs_little_and_holds_up_nobody() {
    let home = tempfile::tempdir().unwrap();
    let node = Daemon::start(home.path(), &[]);
    let mut deaf = Client::connect(home.path()).unwrap();
    let before = node.memory_kib("VmRSS");
    let line = format!("{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": "node.status", "params": {}}));
    let flood = line.repeat(1_000);
    let writer = std::thread::spawn(move || {
        // 20 MB of questions at most: it ends when the node has had enough of them.
        let ended = (0..200).find(|_| deaf.write(flood.as_bytes()).is_err());
        (ended, deaf)
    });
    let mut slowest = Duration::ZERO;
    while !writer.is_finished() {
        let begun = Instant::now();
        let status: Value = node.call("node.status", json!({})).unwrap();
        assert!(status["peer_id"].is_string() || status.is_object());
        slowest = slowest.max(begun.elapsed());
    }
    let (ended, _deaf) = writer.join().unwrap();
    let grown = node.memory_kib("VmHWM").saturating_sub(before);
    eprintln!("ended: {ended:?}; others waited {slowest:?} at most; {grown} KiB more");
    assert!(ended.is_some(), "it is hung up on");
    assert!(grown < 64 * 1024, "{grown} KiB");
}
