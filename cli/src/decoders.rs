//! Every decoder of the command line for what it did not make itself: arguments, addresses, durations, and the
//! lines of a node. No panic; what is refused is told in words; what is shown moves no cursor.
//!
//! The node is the user's own, so what its lines make of memory is not bounded here.

use clap::Parser;
use murmesh_protocol::control::{
    AddReply, ContactsReply, Event, HelloReply, InviteReply, OutboxReply, PeersReply, ReadReply, SendReply,
    StatusReply, WhyReply,
};
use proptest::prelude::*;

use crate::args::Args;
use crate::client::answer_of;
use crate::{duration, multiaddr};

/// Lines of a node, one of each shape that has something in it.
const LINES: [&str; 5] = [
    r#"{"jsonrpc":"2.0","id":1,"result":{"api":1,"version":"0.1.0","pid":7}}"#,
    r#"{"jsonrpc":"2.0","id":2,"result":{"contacts":[{"name":"bob","account":"mur1","state":"connected","verified":false,"online":true,"seen_at":"2026-11-24T03:22:25Z","nickname":null,"added_at":"2026-11-24T03:22:25Z","sessions":1}]}}"#,
    r#"{"jsonrpc":"2.0","id":3,"result":{"messages":[{"id":"ab","conversation":"bob","from":"bob","to":"me","at":"2026-11-24T03:22:25Z","received_at":null,"text":"h\u001b[31mi","state":"delivered"}],"next":null}}"#,
    r#"{"jsonrpc":"2.0","id":4,"error":{"code":-32000,"message":"no-account","data":{"name":"no-account"}}}"#,
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"newest","data":{"name":"newest","detail":[1]}}}"#,
];

fn read_line(line: &str) {
    let _ = answer_of::<HelloReply>(line).is_ok();
    let _ = answer_of::<ContactsReply>(line).is_ok();
    let _ = answer_of::<ReadReply>(line).is_ok();
    let _ = answer_of::<StatusReply>(line).is_ok();
    let _ = answer_of::<InviteReply>(line).is_ok();
    let _ = answer_of::<AddReply>(line).is_ok();
    let _ = answer_of::<SendReply>(line).is_ok();
    let _ = answer_of::<OutboxReply>(line).is_ok();
    let _ = answer_of::<WhyReply>(line).is_ok();
    let _ = answer_of::<PeersReply>(line).is_ok();
    let _ = serde_json::from_str::<Event>(line).is_ok();
}

#[test]
fn lines_of_a_node_are_read() {
    assert!(answer_of::<HelloReply>(LINES[0]).is_ok());
    assert!(answer_of::<ContactsReply>(LINES[1]).is_ok());
    assert!(answer_of::<ReadReply>(LINES[2]).is_ok());
    assert!(LINES[3..].iter().all(|line| answer_of::<HelloReply>(line).is_err()));
}

/// What may stand in an argument: near to what is meant, or anything.
fn argument() -> impl Strategy<Value = String> {
    let near = prop::sample::select(vec![
        "send",
        "add",
        "listen",
        "--since",
        "--timeout",
        "-1",
        "0",
        "1d",
        "99999999999999999999w",
        "bob",
        "--json",
        "/ip4/1.2.3.4/tcp/1",
        "--",
        "",
        "MURMESH:MT1",
        "contact",
        "list",
        "read",
        "--limit",
        "é",
        "\u{1b}[31m",
    ]);
    prop_oneof![near.prop_map(str::to_owned), "\\PC{0,20}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_line(line in "\\PC{0,300}") {
        read_line(&line);
    }

    #[test]
    fn a_line_that_somebody_has_changed(
        which in 0..LINES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~é]{0,4}"), 1..4),
    ) {
        let mut line: Vec<char> = LINES[which].chars().collect();
        for (from, to, other) in edits {
            let (from, to) = (from.index(line.len() + 1), to.index(line.len() + 1));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 12));
            line.splice(from..to, other.chars());
        }
        read_line(&line.into_iter().collect::<String>());
    }

    #[test]
    fn any_arguments(arguments in prop::collection::vec(argument(), 0..6)) {
        let arguments = std::iter::once("murmesh".to_owned()).chain(arguments);
        let _ = Args::try_parse_from(arguments).is_ok();
    }

    #[test]
    fn any_address_is_taken_as_it_is_or_refused_in_words(
        parts in prop::collection::vec(prop::sample::select(vec![
            "ip4", "ip6", "1.2.3.4", "::1", "tcp", "udp", "quic-v1", "p2p", "dns4", "1", "70000", "", " ", "é"]), 0..7),
        other in "\\PC{0,30}",
    ) {
        for text in [format!("/{}", parts.join("/")), parts.join("/"), other] {
            for read in [multiaddr::parse_peer(&text), multiaddr::parse_listen(&text)] {
                match read {
                    Ok(taken) => prop_assert_eq!(taken, text.clone()),
                    Err(why) => prop_assert!(!why.is_empty()),
                }
            }
        }
    }

    #[test]
    fn any_duration_is_a_number_and_a_unit(text in "[0-9]{0,22}[a-z]{0,3}", other in "\\PC{0,12}") {
        for text in [text, other] {
            if let Ok(ms) = duration::parse_ms(&text) {
                prop_assert!(text.starts_with(|c: char| c.is_ascii_digit()));
                prop_assert_eq!(ms == 0, text.trim_start_matches('0').starts_with(|c: char| c.is_ascii_lowercase()));
            }
        }
    }
}
