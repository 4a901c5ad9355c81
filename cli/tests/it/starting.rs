//! Starting, asking offline, and stopping a `murmeshd` that is a shell script or this test itself.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::fake::{Canned, Ran, Run, install, serve, status};

/// A `murmeshd` that records its arguments and becomes [`fake_murmeshd`] below.
fn script_of_a_node() -> String {
    let test = std::env::current_exe().unwrap();
    format!(
        "#!/bin/sh\nif [ \"$1\" = offline ]; then read line; \
         echo '{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"account\":\"mur1x\",\"name\":\"tester\"}}}}'; exit; fi\n\
         echo \"$*\" | sed 's|/dev/fd/[0-9]*|PIPE|' > \"$2/arguments\"\n\
         case \"$*\" in *--passphrase-file*) \
         cat \"$(echo \"$*\" | grep -o '/dev/fd/[0-9]*')\" > \"$2/passphrase\";; esac\n\
         FAKE_DIR=\"$2\" exec \"{}\" --ignored --exact starting::fake_murmeshd\n",
        test.display()
    )
}

/// Not a test: the process that the script above becomes. Holds the lock, answers, ends at `node.stop`.
#[test]
#[ignore = "run by the tests of this file as a process of its own"]
fn fake_murmeshd() {
    let Some(dir) = std::env::var_os("FAKE_DIR") else { return };
    let dir = Path::new(&dir);
    let mut lock = fs::File::create(dir.join("lock")).unwrap();
    lock.try_lock().unwrap();
    std::io::Write::write_all(&mut lock, format!("{}\n", std::process::id()).as_bytes()).unwrap();
    while dir.join("starting").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let deaf = dir.join("deaf").exists();
    let mut script = BTreeMap::new();
    let hello = json!({"api": 1, "version": "0.1.0", "pid": std::process::id()});
    let mut unbound = status();
    unbound["listen"] = json!([]);
    script.insert("system.hello".to_owned(), vec![Canned::Ok(hello, vec![])]);
    script.insert("node.status".to_owned(), vec![Canned::Ok(unbound, vec![]), Canned::Ok(status(), vec![])]);
    script.insert("node.stop".to_owned(), vec![Canned::Ok(json!({"state": "stopping"}), vec![])]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (script, watched) = (Arc::new(Mutex::new(script)), Arc::clone(&seen));
    let socket = dir.join("api.sock");
    let _stale = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || serve(&listener, &script, &watched));
    loop {
        std::thread::sleep(std::time::Duration::from_millis(10));
        if !deaf && seen.lock().unwrap().iter().any(|call| call["method"] == "node.stop") {
            std::thread::sleep(std::time::Duration::from_millis(100));
            std::process::exit(0);
        }
    }
}

fn run(murmesh: &Path, dir: &Path, line: &str) -> Ran {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Run::of(murmesh, dir, &line.split(' ').collect::<Vec<_>>()).env("PATH", path).run()
}

#[test]
fn up_waits_for_the_listeners_and_down_for_the_end() {
    let (_install, murmesh) = install(&script_of_a_node());
    let dir = tempfile::tempdir().unwrap();
    let flags = "--listen /ip4/127.0.0.1/tcp/0 --peer /ip4/127.0.0.1/tcp/9 --profile server";
    let file = dir.path().join("file");
    fs::write(&file, "secret\r\nmore").unwrap();
    let up = run(&murmesh, dir.path(), &format!("up {flags} --passphrase-file {} --json", file.display()));
    assert_eq!((up.status, &up.document()["listen"]), (0, &status()["listen"]), "{}", up.all());
    let arguments = fs::read_to_string(dir.path().join("arguments")).unwrap();
    let expected = format!("--data-dir {} {flags} --passphrase-file PIPE --detached", dir.path().display());
    assert_eq!(arguments.trim(), expected);
    assert_eq!(fs::read_to_string(dir.path().join("passphrase")).unwrap(), "secret");
    let again = run(&murmesh, dir.path(), "up");
    assert_data_eq!(
        again.all(),
        str![[r#"
exit 0
running already: process 4242
peer     12D3KooWFakeAlice
listen   /ip4/127.0.0.1/tcp/4001
--
messages to people who are offline are kept by others too: 4 peers known

"#]]
    );
    let again = run(&murmesh, dir.path(), "up --profile phone --listen /ip4/0.0.0.0/tcp/0");
    assert_data_eq!(
        again.all(),
        str![[r#"
exit 0
running already: process 4242
peer     12D3KooWFakeAlice
listen   /ip4/127.0.0.1/tcp/4001
--
it runs as it was started; not applied: --profile phone --listen /ip4/0.0.0.0/tcp/0
  next: murmesh down && murmesh up --profile phone --listen /ip4/0.0.0.0/tcp/0
messages to people who are offline are kept by others too: 4 peers known

"#]]
    );
    let again = run(&murmesh, dir.path(), "up --peer /ip4/192.0.2.7/tcp/1 --json");
    assert_eq!(
        (again.status, &again.document()["not_applied"]),
        (0, &json!(["--peer /ip4/192.0.2.7/tcp/1"]))
    );
    assert_eq!(up.document().get("not_applied"), None);
    let down = run(&murmesh, dir.path(), "down --json");
    assert_eq!(
        (down.status, down.stdout.as_str()),
        (0, "{\"v\":1,\"state\":\"stopped\"}\n"),
        "{}",
        down.all()
    );
    fs::File::open(dir.path().join("lock")).unwrap().try_lock().unwrap();
    assert_eq!(run(&murmesh, dir.path(), "down").status, 3);
}

#[test]
fn a_command_that_needs_a_node_starts_one_and_down_kills_one_that_is_deaf() {
    let (_install, murmesh) = install(&script_of_a_node());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("deaf"), "").unwrap();
    let sent = run(&murmesh, dir.path(), "send bob hi");
    assert!(sent.stderr.starts_with("starting the node\n"), "{}", sent.all());
    assert!(sent.stderr.contains("not canned: message.send"), "the node was asked: {}", sent.all());
    let down = run(&murmesh, dir.path(), "down");
    assert_eq!((down.status, down.stdout.as_str()), (0, "stopped\n"), "{}", down.all());
}

#[test]
fn down_ends_a_node_that_is_still_starting() {
    let (install, murmesh) = install(&script_of_a_node());
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("starting"), "").unwrap();
    let mut node = std::process::Command::new(install.path().join("murmeshd"))
        .arg("--data-dir")
        .arg(dir.path())
        .spawn()
        .unwrap();
    let has_lock = || fs::read_to_string(dir.path().join("lock")).is_ok_and(|pid| pid.ends_with('\n'));
    while !has_lock() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let down = run(&murmesh, dir.path(), "down");
    assert_eq!((down.status, down.stdout.as_str()), (0, "stopped\n"), "{}", down.all());
    node.wait().unwrap();
}

#[test]
fn a_node_that_ends_at_once_tells_why() {
    let (_install, murmesh) = install(
        "#!/bin/sh\necho '{\"name\":\"listen\",\"detail\":\"/ip4/1.2.3.4/tcp/1\"}' > \"$2/startup-error.json\"\nexit 1\n",
    );
    let dir = tempfile::tempdir().unwrap();
    assert_data_eq!(
        run(&murmesh, dir.path(), "up").all(),
        str![[r#"
exit 3
--
error: cannot listen on /ip4/1.2.3.4/tcp/1 (E0108)
  next: murmesh help up

"#]]
    );
    let (_install, murmesh) = install("#!/bin/sh\nexit 1\n");
    let ran = run(&murmesh, dir.path(), "up --json");
    assert_eq!(
        (ran.status, &ran.document()["error"]["name"]),
        (3, &json!("node-died")),
        "an older reason is not told again"
    );
}

/// Story: on a full disk `up` said "the node ended while starting" and to look into a log that was empty: the reason
/// could not be written either, only the file's name.
#[test]
fn a_reason_that_could_not_be_written_is_a_full_disk() {
    for written in ["", "{\"name\":\"dis"] {
        let script = format!("#!/bin/sh\nprintf '%s' '{written}' > \"$2/startup-error.json\"\nexit 1\n");
        let (_install, murmesh) = install(&script);
        let dir = tempfile::tempdir().unwrap();
        let ran = run(&murmesh, dir.path(), "up --json");
        assert_eq!((ran.status, &ran.document()["error"]["name"]), (8, &json!("disk")), "{written}");
    }
}

#[test]
fn init_and_id_ask_the_node_offline() {
    let (_install, murmesh) = install(
        "#!/bin/sh\nread line\necho \"$* $line\" | sed 's|/dev/fd/[0-9]*|PIPE|' > \"$3/asked\"\n\
         [ -z \"$5\" ] || cat \"$5\" >> \"$3/asked\"\n\
         echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"account\":\"mur1x\",\"name\":\"tester\",\"created\":true}}'\n",
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "secret\n").unwrap();
    assert_data_eq!(
        run(&murmesh, dir.path(), &format!("init --passphrase-file {}", file.display())).all(),
        str![[r#"
exit 0
mur1x
--
made the account of tester; its address:
next: murmesh invite --qr

"#]]
    );
    let asked = fs::read_to_string(dir.path().join("asked")).unwrap();
    let asked = asked.replace(&dir.path().display().to_string(), "DIR");
    assert_data_eq!(
        asked,
        str![[r#"
offline --data-dir DIR --passphrase-file PIPE {"jsonrpc":"2.0","id":1,"method":"account.init","params":{"name":"tester"}}
secret
"#]]
    );
    assert_eq!(run(&murmesh, dir.path(), "id show").stdout, "tester mur1x\n");
    let (_install, murmesh) = install(
        "#!/bin/sh\nread line\necho '{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"x\",\
         \"data\":{\"name\":\"already-initialised\",\"detail\":\"mur1x\"}}}'\n",
    );
    assert_data_eq!(
        run(&murmesh, dir.path(), "init --name a").all(),
        str![[r#"
exit 8
--
error: there is an account in this data directory already: mur1x; nothing was changed (E0202)
  next: murmesh id show

"#]]
    );
}

#[test]
fn without_a_node_program_nothing_is_started() {
    let (install, murmesh) = install("");
    fs::remove_file(install.path().join("murmeshd")).unwrap();
    let ran = Run::of(&murmesh, install.path(), &["up"]).run();
    assert!(ran.status == 3 && ran.stderr.contains("E0103"), "{}", ran.all());
}

/// Story: `down` on a node that had hung took 36 s, because each of its questions was waited for.
#[test]
fn down_has_five_seconds_for_everything_and_kills_a_node_that_hangs() {
    let (_install, murmesh) = install(&script_of_a_node());
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(&murmesh, dir.path(), "up").status, 0);
    let pid = fs::read_to_string(dir.path().join("lock")).unwrap();
    assert!(std::process::Command::new("kill").args(["-STOP", pid.trim()]).status().unwrap().success());
    let before = std::time::Instant::now();
    let down = run(&murmesh, dir.path(), "down");
    assert_eq!((down.status, down.stdout.as_str()), (0, "stopped\n"), "{}", down.all());
    assert!(before.elapsed() < std::time::Duration::from_secs(8), "{:?}", before.elapsed());
}
