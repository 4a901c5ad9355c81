//! What waits for peers is bounded, and nobody loses a frame without being told.

use libp2p::identity::Keypair;
use murmesh_node::links::{Command, SessionNumber, ToMessenger};
use murmesh_protocol::id::{Address, EnvelopeId, PeerId};
use murmesh_protocol::messenger::io::{Input, QueryId};
use murmesh_protocol::route::Machine;
use murmesh_protocol::wire::frame::{Frame, Role};
use tokio::time::timeout;

use crate::attacker::Attacker;
use crate::dialing::{Door, somebody};
use crate::stub::{PATIENCE, Stub, config};

/// A frame for the Messenger of so many bytes.
fn large(bytes: usize) -> Frame {
    Frame::Direct { inner: vec![7; bytes] }
}

fn send(to: PeerId, session: Option<SessionNumber>, frame: &Frame) -> Command {
    Command::Send { to, session, frame: frame.to_bytes(), from: Machine::Messenger }
}

/// Story: peers that do not read fill the node's memory, 48 MiB each.
#[tokio::test(flavor = "multi_thread")]
async fn when_all_queues_hold_too_much_the_fullest_is_disconnected_and_no_other() {
    const MIB: usize = 1 << 20;
    let mut small = config(&Keypair::generate_ed25519(), vec![]);
    small.queued_bytes_max = 4 * MIB;
    let mut node = Stub::with(small);
    let address = node.address().await;
    let mut friend = Stub::new(vec![address.clone()]);
    let (_, to_friend) = node.up(friend.peer).await;
    let asleep = Attacker::greeted(&node, &address, Role::Light).await;
    let (_, to_asleep) = node.up(asleep.peer).await;
    let filled = async {
        while node.status().await.queued_bytes < 5 * MIB / 2 {
            node.ask(vec![send(asleep.peer, Some(to_asleep), &large(60_000))]).await;
        }
    };
    timeout(PATIENCE, filled).await.expect("it does not read");
    // In one batch, so that the friend cannot have read it before the bound is met.
    let frames: Vec<Frame> = (0..60u8).map(|i| Frame::Direct { inner: vec![i; 60_000] }).collect();
    node.ask(frames.iter().map(|frame| send(friend.peer, Some(to_friend), frame)).collect()).await;
    for frame in &frames {
        assert_eq!(&friend.frame().await.1, frame);
    }
    assert!(matches!(node.told().await, ToMessenger::Input(Input::PeerDown(peer)) if peer == asleep.peer));
    node.stop().await;
    friend.stop().await;
}

fn question(number: u64) -> Command {
    Command::FindCustodians(QueryId(number), Address([1; 32]))
}

/// What a Messenger was told: `Err` of a peer that was given up, `Ok` of a question answered.
async fn told(node: &mut Stub) -> Result<u64, PeerId> {
    match node.told().await {
        ToMessenger::Input(Input::Custodians(QueryId(number), _)) => Ok(number),
        ToMessenger::Input(Input::Unreachable(peer)) => Err(peer),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_frame_too_many_for_a_dial_gives_all_of_them_up_and_says_so() {
    let (mut node, door, peer) = (Stub::new(vec![]), Door::new(), somebody());
    node.address().await;
    let frame = Frame::Full { envelope: EnvelopeId([1; 32]) };
    // Nobody answers at the door, so the dial is under way until its time-out.
    node.ask(vec![Command::Connect(peer, vec![door.address()])]).await;
    node.ask((0..256).map(|_| send(peer, None, &frame)).chain([question(1)]).collect()).await;
    assert_eq!(told(&mut node).await, Ok(1));
    node.ask(vec![send(peer, None, &frame), question(2)]).await;
    assert_eq!(told(&mut node).await, Err(peer));
    assert_eq!(told(&mut node).await, Ok(2));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_dials_together_let_so_many_bytes_wait() {
    let (mut node, door, first, second) = (Stub::new(vec![]), Door::new(), somebody(), somebody());
    node.address().await;
    for peer in [first, second] {
        node.ask(vec![Command::Connect(peer, vec![door.address()])]).await;
    }
    let many = |peer| (0..250).map(move |_| send(peer, None, &large(72_000)));
    node.ask(many(first).chain([question(1)]).collect()).await;
    assert_eq!(told(&mut node).await, Ok(1));
    node.ask(many(second).take(230).chain([question(2)]).collect()).await;
    assert_eq!(told(&mut node).await, Err(second));
    assert_eq!(told(&mut node).await, Ok(2));
    node.stop().await;
}
