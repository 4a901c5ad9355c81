//! Every decoder of the node for bytes that it did not make itself, beside those of the core
//! (`protocol/src/decoders.rs`): what is typed into files and the environment, what clients say, what
//! custodians announce, what lies beside the databases. Read with valid values that somebody has changed.
//!
//! Not fuzz targets: they would link libp2p under the sanitizer. Whole damaged data directories are in
//! `tests/it/damaged.rs`, whole hostile peers in `tests/it/living.rs`.

use murmesh_protocol::id::PeerId;
use proptest::prelude::*;

use crate::swarm::translate::{self, Scope};
use crate::{config, control, swarm};

/// A decoder with what it reads when all is well.
struct Decoder {
    name: &'static str,
    read: fn(&[u8]) -> bool,
    samples: fn() -> Vec<Vec<u8>>,
    /// How often its own length an input may be allocated, beside 64 KiB.
    times: u64,
}

const ALL: &[Decoder] = &[
    // The operator's own file, of at most 64 KiB; toml keeps every error it meets, one a byte at worst (seen: 170).
    Decoder { name: "config", read: read_config, samples: configs, times: 256 },
    Decoder { name: "environment", read: read_environment, samples: values, times: 256 },
    // An unknown name is told back, in parts of the same line.
    Decoder { name: "control line", read: read_line, samples: lines, times: 8 },
    Decoder { name: "announcement", read: swarm::reads_announcement, samples: announcements, times: 4 },
    // A file of our own, of at most 1 MiB.
    Decoder { name: "peer cache", read: swarm::reads_cache, samples: caches, times: 64 },
    Decoder { name: "address", read: read_address, samples: addresses, times: 4 },
];

fn read_config(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok_and(|text| config::reads(text, &[]))
}

fn read_environment(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    config::reads("", &[(name.to_owned(), value.to_owned())])
}

fn read_line(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok_and(control::reads)
}

/// An address in a HELLO, a PEERS or a whereabouts.
fn read_address(bytes: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(bytes) else { return false };
    let heard = translate::addresses_in(&[text.to_owned()], PeerId([4; 32]), Scope::Loopback);
    heard.iter().all(|address| translate::is_transport(address) && !translate::is_name(address));
    !heard.is_empty()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn configs() -> Vec<Vec<u8>> {
    texts(&[
        "profile = \"server\"\n[node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\npeers_max = 7\nmdns = false\n",
        "[custody]\nheld_bytes_max = \"1GB\"\n[mail]\nexpire = \"14d\"\n[log]\nlevel = \"info\"\nformat = \"json\"\n",
        "node = { role = \"light\", peers = [] }\nprivacy.accept_requests = \"with-invite\"\n",
    ])
}

fn values() -> Vec<Vec<u8>> {
    texts(&["MURMESH_NODE__PEERS_MAX=9", "MURMESH_PROFILE=home", "MURMESH_NODE__LISTEN=[\"/ip6/::1/tcp/0\"]"])
}

fn lines() -> Vec<Vec<u8>> {
    texts(&[
        r#"{"jsonrpc":"2.0","id":1,"method":"system.hello","params":{"client":"x","api":1}}"#,
        r#"{"params":{"to":"bob","text":"h\u00e9 \"x\"","client_id":null},"id":"a","method":"message.send","jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","id":-7,"method":"node.status","x":[[],{"y":[1,2,null]}]}"#,
    ])
}

fn announcements() -> Vec<Vec<u8>> {
    vec![swarm::announcement()]
}

fn caches() -> Vec<Vec<u8>> {
    texts(&[
        r#"[{"peer":"12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq","addresses":["/ip4/127.0.0.1/tcp/1"],"full":true,"keeps":false,"seen":9}]"#,
    ])
}

fn addresses() -> Vec<Vec<u8>> {
    texts(&["/ip4/127.0.0.1/tcp/4001", "/ip6/2001:db8::1/udp/4001/quic-v1"])
}

/// Reads under the bound of memory.
fn checked(decoder: &Decoder, bytes: &[u8]) -> bool {
    let mut taken = false;
    let allocated = allocation_counter::measure(|| taken = (decoder.read)(bytes)).bytes_max;
    let most = 64 * 1024 + decoder.times * u64::try_from(bytes.len()).unwrap();
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(400)).unwrap());
    assert!(allocated <= most, "{}: {allocated} bytes for {}: {text:?}", decoder.name, bytes.len());
    taken
}

#[test]
fn what_is_written_today_is_taken() {
    for decoder in ALL {
        for sample in (decoder.samples)() {
            assert!(checked(decoder, &sample), "{}: {}", decoder.name, String::from_utf8_lossy(&sample));
        }
    }
}

/// Story: a line of 256 KiB that is one list of lists was made into twelve megabytes before anybody saw that it
/// was no request.
#[test]
fn what_is_much_of_little_stays_little() {
    let many = |part: &str, len: usize| part.repeat(len / part.len());
    let len = 250 * 1024;
    for part in ["[],", "{},", "0,", "\"\",", "null,", "{\"a\":0},"] {
        let list = format!("[{}0]", many(part, len));
        let object = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.status\",\"params\":{list}}}");
        let unknown = format!("{{\"jsonrpc\":\"2.0\",\"x\":{list},\"id\":1,\"method\":\"node.status\"}}");
        let send = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message.send\",\"params\":{{\"to\":{list},\"text\":\"\"}}}}"
        );
        let id = format!("{{\"jsonrpc\":\"2.0\",\"id\":{list},\"method\":\"node.status\"}}");
        for line in [list, object, send, id] {
            assert!(!checked(&ALL[2], line.as_bytes()), "{part}");
        }
        assert!(checked(&ALL[2], unknown.as_bytes()), "{part}");
    }
    for part in ["a", "\\u0001", "\\\"", "é"] {
        let name = many(part, len);
        let method = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{name}\"}}");
        let field = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"node.status\",\"params\":{{\"{name}\":0}}}}"
        );
        let id = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{name}\",\"method\":\"node.status\",\"params\":7}}");
        for line in [method, field, id] {
            assert!(!checked(&ALL[2], line.as_bytes()), "{part}");
        }
    }
    let deep = many("[", len);
    assert!(!checked(&ALL[2], deep.as_bytes()), "nor does the depth matter");
}

/// Story: CI failed on a file that was one line doubled a thousand times, since toml keeps every error until its end.
#[test]
fn a_file_that_is_all_errors_stays_bounded() {
    for start in ["", "a = ", "a = [", "a = {", "[a"] {
        for part in ["}\n", "[[a]]\n", "[a]\n", "a.", ".", "a={b=[", "\"", "=\n", "}, a = { b = 1 }\n"] {
            let text = format!("{start}{}", part.repeat(60_000 / part.len()));
            assert!(!checked(&ALL[0], text.as_bytes()), "{start}{part}");
            assert!(!checked(&ALL[1], format!("MURMESH_NODE__LISTEN={text}").as_bytes()), "{start}{part}");
        }
    }
}

/// A part of a text put somewhere else, doubled, or other text in its place.
fn edited(mut bytes: Vec<u8>, edits: &[(usize, usize, Vec<u8>, usize)]) -> Vec<u8> {
    for (from, to, other, times) in edits {
        let (from, to) = (from % (bytes.len() + 1), to % (bytes.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        let again = bytes.get(from..to).unwrap().repeat((*times).min(60_000 / (to - from).max(1)));
        if other.is_empty() {
            bytes.splice(from..from, again);
        } else {
            bytes.splice(from..(from + other.len()).min(bytes.len()), other.iter().copied());
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(which in 0..ALL.len(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        checked(&ALL[which], &bytes);
    }

    #[test]
    fn arbitrary_text(which in 0..ALL.len(), text in "\\PC{0,200}") {
        checked(&ALL[which], text.as_bytes());
    }

    #[test]
    fn valid_values_that_somebody_has_changed(
        which in 0..ALL.len(),
        sample in any::<prop::sample::Index>(),
        edits in prop::collection::vec(
            (0usize..4_096, 0usize..4_096, prop::collection::vec(any::<u8>(), 0..4), 0usize..2_000), 1..4),
    ) {
        let samples = (ALL[which].samples)();
        checked(&ALL[which], &edited(sample.get(&samples).clone(), &edits));
    }
}
