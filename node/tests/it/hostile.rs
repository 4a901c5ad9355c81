//! Peers that send what no honest peer sends: disconnected, and the node goes on.

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use murmesh_node::swarm::streams::PROTOCOL;
use murmesh_protocol::limits::FRAME_BYTES_MAX;
use tokio::time::timeout;

use crate::stub::{PATIENCE, Stub};

fn attacker() -> Swarm<libp2p_stream::Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| libp2p_stream::Behaviour::new())
        .unwrap()
        .build()
}

/// Opens a frame stream, writes, and reads until the node hangs up.
async fn attack(node: &Stub, address: &Multiaddr, bytes: Vec<u8>) {
    let mut swarm = attacker();
    let id = libp2p::PeerId::from(node.keypair.public());
    let mut control = swarm.behaviour().new_control();
    swarm.dial(DialOpts::peer_id(id).addresses(vec![address.clone()]).build()).unwrap();
    // Before it, libp2p-stream may miss the connection and wait for ever.
    let connected =
        async { while !matches!(swarm.next().await, Some(SwarmEvent::ConnectionEstablished { .. })) {} };
    timeout(PATIENCE, connected).await.expect("connects");
    let driver = tokio::spawn(async move {
        loop {
            swarm.next().await;
        }
    });
    let attack = async {
        let mut stream = control.open_stream(id, PROTOCOL).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.flush().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    };
    timeout(PATIENCE, attack).await.expect("the node hangs up");
    driver.abort();
}

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
        attack(&node, &address, bytes).await;
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
