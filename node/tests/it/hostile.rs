//! Peers that send what no honest peer sends: disconnected, and the node goes on.

use futures::AsyncReadExt;
use murmesh_node::links::ToMessenger;
use murmesh_protocol::id::Address;
use murmesh_protocol::limits::FRAME_BYTES_MAX;
use murmesh_protocol::messenger::io::Input;
use murmesh_protocol::wire::frame::{Frame, Role};
use tokio::time::timeout;

use crate::attacker::{Attacker, hello};
use crate::stub::{PATIENCE, Stub};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_first_bytes_end_the_session_and_nothing_else() {
    let mut node = Stub::new(vec![]);
    let address = node.address().await;
    let oversized = u32::try_from(FRAME_BYTES_MAX + 1).unwrap().to_le_bytes().to_vec();
    let largest_claim = u32::MAX.to_le_bytes().to_vec();
    let empty = 0u32.to_le_bytes().to_vec();
    let garbage = [&64u32.to_le_bytes()[..], &[0xa5; 64]].concat();
    let not_a_hello = [&1u32.to_le_bytes()[..], &[19]].concat();
    let text = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".to_vec();
    for bytes in [oversized, largest_claim, empty, garbage, not_a_hello, text] {
        let mut attacker = Attacker::connect(&node, &address).await;
        attacker.write(&bytes).await;
        attacker.until_hung_up().await;
    }
    // Below the encryption: the connection is not even made.
    let port = address.to_string().rsplit('/').next().unwrap().parse::<u16>().unwrap();
    let mut raw = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut raw, &[0xff; 4096]).await.unwrap();
    let mut friend = Stub::new(vec![address]);
    friend.up(node.peer).await;
    node.up(friend.peer).await;
    let only_the_friend = async {
        while node.status().await.connected != 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, only_the_friend).await.expect("only the friend is connected");
    node.stop().await;
    friend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_connections_streams_only_the_first_counts() {
    let mut node = Stub::new(vec![]);
    let address = node.address().await;
    let mut attacker = Attacker::greeted(&node, &address, Role::Full).await;
    let (_, session) = node.up(attacker.peer).await;
    for _ in 0..100 {
        let Ok(mut stream) = attacker.another_stream().await else { continue };
        // Reset, or ended: nothing waits on the node's side.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("is not kept");
    }
    let marker = Frame::Missing { address: Address([1; 32]), ids: vec![] };
    node.send(attacker.peer, Some(session), &marker).await;
    while attacker.hear().await.expect("the first goes on") != marker {}
    node.stop().await;
}

/// Story: a peer became a custodian while it was connected, and the account never gave it mail to keep.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_role_reaches_both_machines_and_a_flood_of_them_ends() {
    let mut node = Stub::new(vec![]);
    let address = node.address().await;
    let mut peer = Attacker::greeted(&node, &address, Role::Light).await;
    let (before, session) = node.up(peer.peer).await;
    assert_eq!(before.role, Role::Light);
    // The same again changes nothing; the challenges are the session's.
    peer.say(&hello(Role::Light, &[])).await;
    peer.say(&hello(Role::Full, &[])).await;
    let ToMessenger::Up(after, again) = node.told().await else { panic!("told") };
    assert_eq!((after.role, again, after.our_challenge), (Role::Full, session, before.our_challenge));
    assert_eq!(after.their_challenge, before.their_challenge);
    node.neighbour_in(peer.peer, Role::Full).await;
    for _ in 0..40 {
        peer.say(&hello(Role::Light, &[])).await;
        peer.say(&hello(Role::Full, &[])).await;
    }
    let mut ups = 0;
    loop {
        match node.told().await {
            ToMessenger::Up(..) => ups += 1,
            ToMessenger::Input(Input::PeerDown(down)) => break assert_eq!(down, peer.peer),
            other => panic!("{other:?}"),
        }
    }
    assert!(ups < 32, "{ups}");
    node.stop().await;
}

/// Story: a peer that connects and leaves in a loop makes both machines commit twice each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_comes_and_goes_in_a_loop_is_banned() {
    let node = Stub::new(vec![]);
    let address = node.address().await;
    let keypair = libp2p::identity::Keypair::generate_ed25519();
    let looped = async {
        let mut sessions = 0;
        while let Some(mut peer) = Attacker::try_connect(&keypair, &node, &address).await {
            peer.say(&hello(Role::Full, &[])).await;
            // Its HELLO, if it is let in.
            let _ = peer.hear().await;
            sessions += 1;
        }
        sessions
    };
    let sessions = timeout(PATIENCE, looped).await.expect("comes to an end");
    assert!((30..=60).contains(&sessions), "{sessions}");
    node.stop().await;
}

/// Frames of the greatest length, unknown kinds, and a length that is never filled.
#[tokio::test(flavor = "multi_thread")]
async fn long_unknown_and_half_frames_hold_up_nobody() {
    let mut node = Stub::new(vec![]);
    let address = node.address().await;
    let mut slow = Attacker::greeted(&node, &address, Role::Full).await;
    let mut mute = Attacker::connect(&node, &address).await;
    let mut peer = Attacker::greeted(&node, &address, Role::Full).await;
    node.up(peer.peer).await;
    slow.write(&u32::try_from(FRAME_BYTES_MAX).unwrap().to_le_bytes()).await;
    slow.write(&[22]).await;
    mute.write(&[1]).await;
    let mut unknown = vec![0xf0; FRAME_BYTES_MAX];
    unknown[0] = 0x7f;
    let length = u32::try_from(unknown.len()).unwrap().to_le_bytes();
    for _ in 0..50 {
        peer.write(&[length.as_slice(), &unknown].concat()).await;
    }
    let longest = Frame::Direct { inner: vec![1; FRAME_BYTES_MAX - 8] };
    peer.say(&longest).await;
    let (from, frame) = node.frame().await;
    assert_eq!((from, frame), (peer.peer, longest));
    // Who does not even finish its HELLO has ten seconds.
    mute.until_hung_up().await;
    node.stop().await;
}
