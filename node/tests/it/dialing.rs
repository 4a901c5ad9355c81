//! What a node can be made to dial by others.

use std::net::TcpListener;

use libp2p::identity::Keypair;
use murmesh_node::links::{Command, ToMessenger};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::messenger::io::Input;
use murmesh_protocol::wire::frame::{Frame, PeerHint, Role};
use tokio::time::timeout;

use crate::attacker::{Attacker, hello};
use crate::stub::{PATIENCE, Stub, config};

/// A place that only counts who comes.
pub(crate) struct Door(TcpListener);

impl Door {
    pub(crate) fn new() -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Door(listener)
    }

    pub(crate) fn address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.0.local_addr().unwrap().port())
    }

    fn has_visitor(&self) -> bool {
        self.0.accept().is_ok()
    }

    async fn visitor(&self) -> std::net::TcpStream {
        loop {
            if let Ok((stream, _)) = self.0.accept() {
                return stream;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Some peer that is not there; its key is a point of the curve.
pub(crate) fn somebody() -> PeerId {
    murmesh_node::swarm::own_peer(&Keypair::generate_ed25519()).unwrap()
}

/// Story: a contact's whereabouts name 127.0.0.1:22 or the router at home, and the node knocks there.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_cannot_send_a_node_to_its_own_machine() {
    let mut everywhere = config(&Keypair::generate_ed25519(), vec![]);
    everywhere.listen = vec!["/ip4/0.0.0.0/tcp/0".parse().unwrap()];
    let mut node = Stub::with(everywhere);
    let network = async {
        while node.status().await.listen.iter().all(|address| address.contains("/127.0.0.1/")) {
            tokio::task::yield_now().await;
        }
    };
    if timeout(std::time::Duration::from_secs(5), network).await.is_err() {
        eprintln!("skipped: this machine has no network");
        return node.stop().await;
    }
    let (door, peer) = (Door::new(), somebody());
    for address in [door.address(), door.address().replace("ip4/127.0.0.1", "dns4/localhost")] {
        node.ask(vec![Command::Connect(peer, vec![address])]).await;
        assert!(matches!(node.told().await, ToMessenger::Input(Input::Unreachable(p)) if p == peer));
        assert!(!door.has_visitor());
    }
    // A ticket is the owner's own doing.
    node.ask(vec![Command::ConnectHint(door.address())]).await;
    timeout(PATIENCE, door.visitor()).await.expect("dialed");
    node.stop().await;
}

/// Story: somebody's PEERS name twenty peers at one victim, and the node floods it.
#[tokio::test(flavor = "multi_thread")]
async fn one_answer_about_peers_is_no_order_to_dial_them_all() {
    let node = Stub::new(vec![]);
    let address = node.address().await;
    // Nobody answers there, so dials stay under way.
    let door = Door::new();
    let mut attacker = Attacker::greeted(&node, &address, Role::Full).await;
    while attacker.hear().await.expect("still there") != Frame::AskPeers {}
    let hint = || PeerHint { peer: somebody(), addresses: vec![door.address()] };
    attacker.say(&Frame::Peers((0..20).map(|_| hint()).collect())).await;
    let mut visitors = Vec::new();
    for _ in 0..4 {
        visitors.push(timeout(PATIENCE, door.visitor()).await.expect("a few are dialed"));
    }
    // Five rounds of the node's timer, and no more came.
    let more = timeout(std::time::Duration::from_secs(1), door.visitor()).await;
    assert!(more.is_err(), "more than its share is dialed at once");
    node.stop().await;
}

/// Story: a stranger that is connected says it lives where a ticket points to; the ticket's hint was
/// then taken as reached, and its true owner was never dialed.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_the_place_a_ticket_points_to_by_saying_so() {
    let mut node = Stub::new(vec![]);
    let inviter = Stub::new(vec![]);
    let hint = inviter.address().await.to_string();
    let mut attacker = Attacker::connect(&node, &node.address().await).await;
    attacker.say(&hello(Role::Full, &[&hint])).await;
    node.up(attacker.peer).await;
    let heard = async {
        while node.status().await.connected < 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, heard).await.expect("its HELLO is in");
    node.ask(vec![Command::ConnectHint(hint.clone())]).await;
    loop {
        if let ToMessenger::Input(Input::HintReached(text, peer)) = node.told().await {
            assert_eq!((text, peer), (hint, inviter.peer));
            break;
        }
    }
    node.stop().await;
    inviter.stop().await;
}

/// Story: somebody names its own address for the contact's peer. It answers first, as another peer, and
/// the whole dial fails though the contact is there.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_somebody_else_answers_does_not_end_the_search() {
    let mut node = Stub::new(vec![]);
    let (contact, other) = (Stub::new(vec![]), Stub::new(vec![]));
    // The first is tried first, the second joins only in the next dial.
    let wrong = other.address().await.to_string();
    let truth = contact.address().await.to_string();
    let dead = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}");
    let addresses = vec![wrong, dead(1), dead(2), truth];
    node.ask(vec![Command::Connect(contact.peer, addresses)]).await;
    node.send(contact.peer, None, &Frame::AskPeers).await;
    match node.told().await {
        ToMessenger::Up(facts, _) => assert_eq!(facts.peer, contact.peer),
        told => panic!("{told:?}"),
    }
    for stub in [node, contact, other] {
        stub.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_failed_make_room_for_the_others() {
    let (mut node, contact) = (Stub::new(vec![]), Stub::new(vec![]));
    let mut addresses: Vec<String> = (1..4).map(|port| format!("/ip4/127.0.0.1/tcp/{port}")).collect();
    addresses.push(contact.address().await.to_string());
    node.ask(vec![Command::Connect(contact.peer, addresses)]).await;
    node.up(contact.peer).await;
    node.stop().await;
    contact.stop().await;
}

/// The other side of the rule: nodes that listen on everything still find each other on one machine, by
/// the addresses of its network, or by loopback where there is none.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_listen_on_everything_find_each_other_on_one_machine() {
    let everywhere = |peers| {
        let mut config = config(&Keypair::generate_ed25519(), peers);
        config.listen = vec!["/ip4/0.0.0.0/tcp/0".parse().unwrap()];
        Stub::with(config)
    };
    let hub = everywhere(vec![]);
    let address = hub.address().await;
    let others = [everywhere(vec![address.clone()]), everywhere(vec![address])];
    let met = async {
        for stub in &others {
            while stub.status().await.connected < 2 {
                tokio::task::yield_now().await;
            }
        }
    };
    timeout(PATIENCE, met).await.expect("each other, not only the hub");
    for stub in others {
        stub.stop().await;
    }
    hub.stop().await;
}
