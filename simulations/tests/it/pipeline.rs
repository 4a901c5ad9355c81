//! Thousands of requests on one connection of the control socket (SPEC §10.1).

use std::time::{Duration, Instant};

use murmesh_protocol::control::{NoParams, Request};
use murmesh_simulations::client::{Client, Line};

use crate::lab::Lab;

/// Far more than the sockets, the node and its queues hold.
const REQUESTS: u64 = 20_000;

/// Story: a bench wrote 512 requests before it read an answer. On a slow disk the answers came one by one, filled its
/// socket, and the node read no more while it could not answer: both waited for the other, until the node dropped the
/// client after 20 s. What writes without end must read meanwhile; then nothing is lost.
#[test]
fn who_reads_while_it_writes_may_write_as_much_as_it_likes() {
    let mut lab = Lab::new();
    lab.person("alice", &[]);
    let client = Client::connect(&lab.directory("alice")).unwrap();
    let (mut writer, mut answers) = client.split().unwrap();
    let writing = std::thread::spawn(move || {
        let ids = (0..REQUESTS).map(|_| writer.write(&Request::Contacts(NoParams {})).unwrap());
        ids.collect::<Vec<_>>()
    });
    let patience = || Instant::now() + Duration::from_secs(30);
    let mut answered = Vec::new();
    for _ in 0..REQUESTS {
        let Ok(Some(Line::Answer(id, Ok(_)))) = answers.next(patience()) else {
            panic!("no answer after {}", answered.len());
        };
        answered.push(id);
    }
    answered.sort_unstable();
    assert_eq!(answered, writing.join().unwrap());
}
