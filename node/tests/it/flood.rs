//! Thousands of connections at once that never become peers, against a real process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::daemon::{Client, Daemon, befriend, wait_for};

const CONNECTIONS: usize = 5_000;
/// What a node may have open for strangers at once: 256 that are being greeted, and room for its own.
const DESCRIPTORS_MAX: usize = 600;
/// Memory that the flood may cost, in KiB.
const GROWTH_KIB_MAX: u64 = 128 * 1024;
/// Longer than a connection may take to greet.
const HANDSHAKE: Duration = Duration::from_secs(15);

/// This process may have so many sockets; none if the system does not let it.
fn allow(descriptors: u64) -> Option<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < descriptors) {
        let maximum = limit.maximum.filter(|maximum| *maximum < descriptors);
        let raised = Rlimit { current: Some(descriptors), maximum: maximum.or(limit.maximum) };
        setrlimit(Resource::Nofile, raised).ok()?;
    }
    Some(())
}

/// Where an address with `/ip4/…/tcp/…/p2p/…` is.
fn socket_of(address: &str) -> SocketAddr {
    let parts: Vec<&str> = address.split('/').collect();
    format!("{}:{}", parts[2], parts[4]).parse().unwrap()
}

/// One of four kinds of stranger.
fn stranger(to: SocketAddr, kind: usize) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).ok()?;
    let said: &[u8] = match kind % 4 {
        0 | 2 => b"",
        1 => &[0xff; 512],
        // The beginning of an honest greeting, and no more.
        _ => b"\x13/multistream/1.0.0\n\x07/noi",
    };
    // It may have hung up already.
    let _ = stream.write_all(said);
    Some(stream)
}

/// Whether the node has hung up on this one.
fn is_over(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 256];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

/// The worst of some round trips over the control socket, in ms, and of some messages to a friend.
fn talk(alice: &Daemon, home: &std::path::Path, bob: &Daemon, name: &str) -> (u128, u128) {
    let mut client = Client::connect(home).unwrap();
    let worst = |round: &mut dyn FnMut(usize)| {
        let times = (0..20).map(|i| {
            let begun = Instant::now();
            round(i);
            begun.elapsed().as_millis()
        });
        times.max().unwrap()
    };
    let pings = worst(&mut |_| drop(client.call("node.status", json!({})).unwrap()));
    let messages = worst(&mut |i| {
        let text = format!("{name} {i}");
        bob.send("alice", &text).unwrap();
        wait_for("delivered", || alice.texts().contains(&text));
    });
    (pings, messages)
}

#[test]
fn five_thousand_strangers_at_once_are_bounded_and_friends_go_on_talking() {
    if allow(CONNECTIONS as u64 + 1_000).is_none() {
        eprintln!("skipped: this process may not open {CONNECTIONS} sockets");
        return;
    }
    let (home_a, home_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (alice, bob) = (Daemon::start(home_a.path(), &[]), Daemon::start(home_b.path(), &[]));
    befriend(&alice, &bob);
    let before = talk(&alice, home_a.path(), &bob, "before");
    let (memory, descriptors) = (alice.memory_kib("VmRSS"), alice.descriptors());
    let to = socket_of(&alice.address());
    let begun = Instant::now();
    let mut strangers: Vec<TcpStream> = (0..CONNECTIONS).filter_map(|i| stranger(to, i)).collect();
    let (made, took) = (strangers.len(), begun.elapsed());
    let open = alice.descriptors();
    let during = talk(&alice, home_a.path(), &bob, "during");
    let peak = alice.memory_kib("VmHWM");
    eprintln!(
        "{made} of {CONNECTIONS} connections in {} ms; control and message, worst of 20: {before:?} ms before, {during:?} ms \
         during; memory {memory} KiB before, {peak} at most; descriptors {descriptors} before, {open} during",
        took.as_millis()
    );
    assert!(made > CONNECTIONS / 2, "{made}: the flood itself failed");
    assert!(open <= DESCRIPTORS_MAX, "{open} descriptors");
    assert!(peak.saturating_sub(memory) < GROWTH_KIB_MAX, "{memory} KiB before, {peak} at most");
    let refused = strangers.iter_mut().filter_map(|stream| is_over(stream).then_some(())).count();
    eprintln!("{refused} were refused at once");
    assert!(refused > made / 2, "{refused} of {made} were refused at once");
    let deadline = begun + took + HANDSHAKE * 2;
    while strangers.iter_mut().any(|stream| !is_over(stream)) {
        assert!(Instant::now() < deadline, "some are never told to go");
        std::thread::sleep(Duration::from_millis(50));
    }
    wait_for("descriptors come back", || alice.descriptors() <= descriptors + 20);
    let late = tempfile::tempdir().unwrap();
    let carol = Daemon::start(late.path(), &["--peer", &alice.address()]);
    wait_for("a newcomer gets in", || {
        carol.call("node.status", json!({})).unwrap()["peers"]["connected"].as_u64() >= Some(1)
    });
}
