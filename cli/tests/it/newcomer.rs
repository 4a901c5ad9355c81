//! What a new user ran into: each test is the story of one of them.

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use crate::fake::{Fake, Run};

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// Story: `up --listen foo` on a running node hinted to stop that node and start one that cannot listen.
#[test]
fn an_address_that_cannot_be_one_is_refused_before_the_node_is_asked() {
    let fake = Fake::start();
    let alone = tempfile::tempdir().unwrap();
    for address in ["foo", "/ip4/1.2.3.4", "/ip4/1.2.3/tcp/1", "/ip6/::1/tcp/65536", "/ip4/1.2.3.4/udp/1"] {
        let flags = [("--listen", "--listen MULTIADDR"), ("--peer", "--peer MULTIADDR")];
        for (flag, named) in flags {
            let running = fake.murmesh(&["up", flag, address]).run();
            let start = format!("error: {named}: \"{address}\": ");
            assert_eq!((running.status, running.stdout.as_str()), (2, ""), "{}", running.all());
            assert!(running.stderr.starts_with(&start), "{}", running.all());
            assert_eq!(running.hint().unwrap(), ["help", "up"]);
            let none = Run::new(alone.path(), &["up", flag, address]).run();
            assert_eq!(none.all(), running.all());
        }
    }
    assert_eq!(fake.asked("system.hello"), Vec::<Value>::new());
    assert_data_eq!(
        fake.murmesh(&["up", "--peer", "/ip4/1.2.3.4"]).run().all(),
        str![[r#"
exit 2
--
error: --peer MULTIADDR: "/ip4/1.2.3.4": the port is missing: /ip4/1.2.3.4/tcp/4001 or /ip4/1.2.3.4/udp/4001/quic-v1 (E0001)
  next: murmesh help up

"#]]
    );
    for line in [
        "up --peer /dns4/example.org/tcp/4001/p2p/12D3KooWFakeAlice",
        "up --peer /ip4/1.2.3.4/tcp/4001/ws",
        "up --listen /ip6/::/udp/0/quic-v1",
        "up --listen /memory/7",
    ] {
        let ran = fake.murmesh(&words(line)).run();
        assert!(ran.status == 0 && ran.stderr.contains("not applied: --"), "{line}: {}", ran.all());
    }
}
