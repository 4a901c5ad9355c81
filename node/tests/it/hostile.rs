//! Peers that send what no honest peer sends: disconnected, and the node goes on.

use futures::AsyncReadExt;
use murmesh_protocol::id::Address;
use murmesh_protocol::limits::FRAME_BYTES_MAX;
use murmesh_protocol::wire::frame::{Frame, Role};
use tokio::time::timeout;

use crate::attacker::Attacker;
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
