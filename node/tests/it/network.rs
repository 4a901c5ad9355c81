//! Two and more networks on loopback: hello, order, loss, crossing dials, coming back.

use libp2p::identity::Keypair;
use murmesh_node::links::{Ask, Command, ToMessenger};
use murmesh_protocol::id::{Address, EnvelopeId, PeerId};
use murmesh_protocol::messenger::io::{Input, PeerFault, QueryId};
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::frame::{CustodyReceipt, Frame, Role};
use tokio::time::timeout;

use crate::attacker::Attacker;
use crate::stub::{PATIENCE, Stub, config};

/// A frame for the Messenger that carries a number.
fn numbered(i: u64) -> Frame {
    Frame::Held { envelope: EnvelopeId([7; 32]), receipt: CustodyReceipt::Plain { until: Time(i) } }
}

fn number(frame: &Frame) -> u64 {
    match frame {
        Frame::Held { receipt: CustodyReceipt::Plain { until }, .. } => until.0,
        other => panic!("not numbered: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hellos_are_exchanged_and_challenges_cross() {
    let mut a = Stub::new(vec![]);
    let mut b = Stub::new(vec![a.address().await]);
    let (at_a, _) = a.up(b.peer).await;
    let (at_b, _) = b.up(a.peer).await;
    assert_eq!(at_a.their_challenge, at_b.our_challenge);
    assert_eq!(at_a.our_challenge, at_b.their_challenge);
    assert_ne!(at_a.our_challenge, at_a.their_challenge);
    assert_eq!((at_a.role, at_a.keeps, at_a.prefix), (Role::Full, true, None));
    a.stop().await;
    b.down_or_stopped().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_frames_each_way_arrive_in_order() {
    const FRAMES: u64 = 10_000;
    let mut a = Stub::new(vec![]);
    let mut b = Stub::new(vec![a.address().await]);
    let (_, session_a) = a.up(b.peer).await;
    let (_, session_b) = b.up(a.peer).await;
    let (peer_a, peer_b) = (a.peer, b.peer);
    let (to_a, to_b) = (b.network.commands.clone(), a.network.commands.clone());
    let sender = |commands: tokio::sync::mpsc::Sender<Vec<Command>>, to: PeerId, session| async move {
        for i in 0..FRAMES {
            let frame = numbered(i).to_bytes();
            let from = murmesh_protocol::route::Machine::Messenger;
            commands.send(vec![Command::Send { to, session: Some(session), frame, from }]).await.unwrap();
        }
    };
    let receive = |mut stub: Stub| async move {
        for i in 0..FRAMES {
            assert_eq!(number(&stub.frame().await.1), i);
        }
        stub
    };
    let started = std::time::Instant::now();
    let all = async {
        tokio::join!(sender(to_b, peer_b, session_a), sender(to_a, peer_a, session_b), receive(a), receive(b))
    };
    let ((), (), a, b) = timeout(PATIENCE, all).await.expect("all arrive");
    eprintln!("{} frames a second each way", FRAMES as u128 * 1_000 / started.elapsed().as_millis().max(1));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dials_that_cross_end_in_one_stream() {
    for _ in 0..5 {
        let (mut a, mut b) = (Stub::new(vec![]), Stub::new(vec![]));
        let (at_a, at_b) = (a.address().await.to_string(), b.address().await.to_string());
        tokio::join!(
            a.ask(vec![Command::Connect(b.peer, vec![at_b])]),
            b.ask(vec![Command::Connect(a.peer, vec![at_a])])
        );
        // Whatever happened before, in the end a marker sent each way arrives, once.
        let (mut number_a, mut number_b) = (a.up(b.peer).await.1, b.up(a.peer).await.1);
        let (mut heard_a, mut heard_b) = (false, false);
        a.send(b.peer, Some(number_a), &numbered(1)).await;
        b.send(a.peer, Some(number_b), &numbered(1)).await;
        while !(heard_a && heard_b) {
            tokio::select! {
                told = a.told() => match told {
                    ToMessenger::Up(_, number) => { number_a = number; a.send(b.peer, Some(number_a), &numbered(1)).await; }
                    ToMessenger::Input(Input::Frame(..)) => heard_a = true,
                    _ => {}
                },
                told = b.told() => match told {
                    ToMessenger::Up(_, number) => { number_b = number; b.send(a.peer, Some(number_b), &numbered(1)).await; }
                    ToMessenger::Input(Input::Frame(..)) => heard_b = true,
                    _ => {}
                },
            }
        }
        let settled = async {
            while (a.status().await.connected, b.status().await.connected) != (1, 1) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, settled).await.expect("one session each");
        a.stop().await;
        b.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_is_dialed_again_and_finds_its_way_back() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Some(directory.path().join("peers.json"));
    let mut a = Stub::new(vec![]);
    let address = a.address().await;
    let keypair = Keypair::generate_ed25519();
    let mut first = config(&keypair, vec![address]);
    first.cache.clone_from(&cache);
    let mut b = Stub::with(first);
    a.up(b.peer).await;
    b.up(a.peer).await;
    let cached = cache.clone().unwrap();
    let written = async {
        while !cached.exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, written).await.expect("the cache is written while running");
    b.network.task.abort();
    a.down(b.peer).await;
    // No `--peer` this time: the cache is enough.
    let mut again = config(&keypair, vec![]);
    again.cache = cache;
    let mut b = Stub::with(again);
    b.up(a.peer).await;
    a.up(b.peer).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newcomers_learn_of_the_others_and_connect_to_all() {
    let hub = Stub::new(vec![]);
    let address = hub.address().await;
    let others: Vec<Stub> = (0..5).map(|_| Stub::new(vec![address.clone()])).collect();
    let complete = async {
        for stub in &others {
            while stub.status().await.connected < 5 {
                tokio::task::yield_now().await;
            }
        }
    };
    timeout(PATIENCE, complete).await.expect("everyone is connected to everyone");
    let (answer, peers) = tokio::sync::oneshot::channel();
    hub.network.asks.send(Ask::Peers(answer)).await.unwrap();
    let peers = peers.await.unwrap().peers;
    assert!(peers.len() == 5 && peers.iter().all(|p| p.connected && p.role == "full"), "{peers:?}");
    for stub in others {
        stub.stop().await;
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_and_unreachable_peers_are_answered() {
    let a = Stub::new(vec![]);
    let mut b = Stub::new(vec![]);
    let hint = a.address().await.to_string();
    b.ask(vec![Command::ConnectHint(hint.clone()), Command::ConnectHint("/ip4/127.0.0.1/tcp/1".into())])
        .await;
    let (mut up, mut reached, mut failed) = (false, false, false);
    while !(reached && failed) {
        match b.told().await {
            ToMessenger::Up(facts, _) => up = facts.peer == a.peer,
            ToMessenger::Input(Input::HintReached(text, peer)) => {
                assert!(up, "up is told first");
                assert_eq!((text, peer), (hint.clone(), a.peer));
                reached = true;
            }
            ToMessenger::Input(Input::HintFailed(text)) => {
                assert_eq!(text, "/ip4/127.0.0.1/tcp/1");
                failed = true;
            }
            other => panic!("{other:?}"),
        }
    }
    // The same hint again: answered without another connection.
    b.ask(vec![Command::ConnectHint(hint.clone())]).await;
    assert!(matches!(b.told().await, ToMessenger::Input(Input::HintReached(text, _)) if text == hint));
    let nobody = PeerId([9; 32]);
    b.send(nobody, None, &numbered(0)).await;
    assert!(matches!(b.told().await, ToMessenger::Input(Input::Unreachable(peer)) if peer == nobody));
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_wait_for_a_dial_but_never_for_another_session() {
    let mut a = Stub::new(vec![]);
    let mut b = Stub::new(vec![]);
    let address = a.address().await.to_string();
    b.ask(vec![Command::Connect(a.peer, vec![address])]).await;
    b.send(a.peer, None, &numbered(1)).await;
    assert_eq!(number(&a.frame().await.1), 1);
    let (_, session) = b.up(a.peer).await;
    b.send(a.peer, Some(murmesh_node::links::SessionNumber(session.0 + 1)), &numbered(2)).await;
    b.send(a.peer, Some(session), &numbered(3)).await;
    assert_eq!(number(&a.frame().await.1), 3);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custodians_are_the_own_node_and_its_peers() {
    let mut a = Stub::new(vec![]);
    let mut b = Stub::new(vec![a.address().await]);
    b.up(a.peer).await;
    a.up(b.peer).await;
    let (query, address) = (QueryId(4), Address([3; 32]));
    let known = async {
        while b.status().await.custodians_known < 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, known).await.unwrap();
    b.ask(vec![Command::FindCustodians(query, address)]).await;
    let ToMessenger::Input(Input::Custodians(answered, region)) = b.told().await else { panic!("an answer") };
    assert_eq!(answered, query);
    let mut custodians = region.custodians;
    custodians.sort_unstable();
    let mut both = vec![a.peer, b.peer];
    both.sort_unstable();
    assert_eq!(custodians, both);
    a.stop().await;
    b.stop().await;
}

impl Stub {
    /// A good-bye of the other end arrives as an ordinary end.
    async fn down_or_stopped(&mut self) {
        loop {
            if let ToMessenger::Input(Input::PeerDown(_)) = self.told().await {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_at_the_bound_of_faults_is_gone_and_stays_away() {
    let mut a = Stub::new(vec![]);
    let mut b = Stub::new(vec![a.address().await]);
    a.up(b.peer).await;
    b.up(a.peer).await;
    a.ask(vec![Command::Misbehaved(b.peer, PeerFault::Malformed)]).await;
    a.down(b.peer).await;
    // It tries again, and is refused: the frame it wants to send cannot be delivered.
    b.down(a.peer).await;
    b.send(a.peer, None, &numbered(1)).await;
    loop {
        if let ToMessenger::Input(Input::Unreachable(peer)) = b.told().await {
            assert_eq!(peer, a.peer);
            break;
        }
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custodians_hear_of_each_other_in_their_topic() {
    let mut a = Stub::new(vec![]);
    let mut b = Stub::new(vec![a.address().await]);
    b.up(a.peer).await;
    a.up(b.peer).await;
    a.neighbour(b.peer).await;
    b.neighbour(a.peer).await;
    a.stop().await;
    b.neighbour_gone().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quic_works_when_it_is_asked_for() {
    let quic = || {
        let mut config = config(&Keypair::generate_ed25519(), vec![]);
        config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
        config
    };
    let mut a = Stub::with(quic());
    let mut second = quic();
    second.peers = vec![a.address().await];
    let mut b = Stub::with(second);
    let (_, session) = b.up(a.peer).await;
    a.up(b.peer).await;
    b.send(a.peer, Some(session), &numbered(1)).await;
    assert_eq!(number(&a.frame().await.1), 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_that_leads_to_oneself_fails() {
    let mut a = Stub::new(vec![]);
    let own = a.address().await.to_string();
    a.ask(vec![Command::ConnectHint(own.clone())]).await;
    assert!(matches!(a.told().await, ToMessenger::Input(Input::HintFailed(text)) if text == own));
    a.stop().await;
}

/// Nodes of a machine without IPv4 meet on IPv6 alike.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_ipv6_carry_a_message() {
    if let Err(error) = std::net::TcpListener::bind("[::1]:0") {
        eprintln!("skipped: this machine has no IPv6: {error}");
        return;
    }
    let six = |peers| {
        let mut config = config(&Keypair::generate_ed25519(), peers);
        config.listen = vec!["/ip6/::1/tcp/0".parse().unwrap()];
        config
    };
    let mut a = Stub::with(six(vec![]));
    let address = a.address().await;
    assert!(address.to_string().starts_with("/ip6/::1/tcp/"), "{address}");
    let mut b = Stub::with(six(vec![address.clone()]));
    let (_, session) = b.up(a.peer).await;
    a.up(b.peer).await;
    b.send(a.peer, Some(session), &numbered(1)).await;
    assert_eq!(number(&a.frame().await.1), 1);
    // Found by what others say, too: loopback is where these nodes are.
    let mut c = Stub::with(six(vec![address]));
    c.up(b.peer).await;
    for stub in [a, b, c] {
        stub.stop().await;
    }
}

/// Light peers keep mail only while there are few full ones (SPEC §8.2).
#[tokio::test(flavor = "multi_thread")]
async fn in_a_small_network_everybody_keeps_mail_and_in_a_larger_one_only_full_peers() {
    let mut node = Stub::new(vec![]);
    let address = node.address().await;
    let light = Attacker::greeted(&node, &address, Role::Light).await;
    node.up(light.peer).await;
    let mut full = Vec::new();
    for others in 1..=12 {
        let peer = Attacker::greeted(&node, &address, Role::Full).await;
        node.up(peer.peer).await;
        full.push(peer);
        let all_heard = async {
            while node.status().await.connected < others + 1 {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, all_heard).await.expect("its HELLO is in");
        node.ask(vec![Command::FindCustodians(QueryId(1), Address([3; 32]))]).await;
        let ToMessenger::Input(Input::Custodians(_, region)) = node.told().await else { panic!("an answer") };
        if others < 7 {
            assert!(region.custodians.contains(&light.peer), "{others} full ones: the light one counts");
        }
        if others == 12 {
            assert!(!region.custodians.contains(&light.peer), "twelve full ones are enough");
        }
        let status = node.status().await;
        assert!(status.known >= status.connected, "a peer that is up is known: {status:?}");
        assert_eq!(node.status().await.custodians_known, if others < 12 { others + 1 } else { others });
    }
    node.stop().await;
}

/// Whether multicast leaves and comes back here, asked as mDNS would.
fn has_multicast() -> std::io::Result<()> {
    use std::net::{Ipv4Addr, UdpSocket};
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?;
    socket.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    socket.send_to(b"murmesh", (group, socket.local_addr()?.port()))?;
    socket.recv_from(&mut [0; 16]).map(drop)
}

/// Neighbours in a local network find each other without being told anything. What mDNS says is hearsay:
/// it is dialed under the rule for what others name.
#[tokio::test(flavor = "multi_thread")]
async fn neighbours_in_a_local_network_find_each_other() {
    let probed = tokio::task::spawn_blocking(has_multicast).await.unwrap();
    if let Err(error) = probed {
        eprintln!("skipped: no multicast on this machine: {error}");
        return;
    }
    let neighbour = || {
        let mut config = config(&Keypair::generate_ed25519(), vec![]);
        config.listen = vec!["/ip4/0.0.0.0/tcp/0".parse().unwrap()];
        config.mdns = true;
        Stub::with(config)
    };
    let (mut a, mut b) = (neighbour(), neighbour());
    a.up(b.peer).await;
    b.up(a.peer).await;
    a.stop().await;
    b.stop().await;
}
