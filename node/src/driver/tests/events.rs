//! What clients hear of connections.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use murmesh_protocol::control::EventBody;
use murmesh_protocol::id::PeerId;
use murmesh_protocol::messenger::io::PeerFacts;
use murmesh_protocol::time::Time;
use murmesh_protocol::wire::frame::Role;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::*;
use crate::backend::NodeBackend;
use crate::control::EventHub;
use crate::links::{Machines, SessionNumber, ToMessenger};
use crate::store::Unlock;

#[tokio::test]
async fn a_peer_that_changes_its_role_did_not_connect_again() {
    let home = tempfile::tempdir().unwrap();
    let (messenger, _) = mpsc::channel(16);
    let (keeper, _) = mpsc::channel(16);
    let (runner, _) = mpsc::channel(16);
    let (asks, _) = mpsc::channel(16);
    let hub = Arc::new(EventHub::new(0));
    let surroundings = Surroundings { keeper: keeper.clone(), runner, hub: hub.clone() };
    let machines = Machines { messenger, keeper };
    let backend = Arc::new(NodeBackend::new(machines, asks, CancellationToken::new(), Time(0), None));
    let (mut follower, _) = hub.follow(backend, None, BTreeSet::new());
    let directory = home.path().to_owned();
    let mut engine = MessengerEngine::new(PeerId([1; 32]), directory, Unlock::default(), None, surroundings);
    let facts = |role| PeerFacts {
        peer: PeerId([2; 32]),
        role,
        keeps: true,
        their_challenge: [0; 32],
        our_challenge: [0; 32],
        prefix: None,
    };
    for (role, session) in [(Role::Light, 1), (Role::Full, 1), (Role::Full, 2)] {
        let work = engine.accept(ToMessenger::Up(facts(role), SessionNumber(session))).unwrap();
        engine.step(&[work]).unwrap();
    }
    let mut ups = 0;
    while let Some(event) = follower.next().now_or_never() {
        ups += usize::from(matches!(event, Ok(Some(e)) if matches!(e.body, EventBody::PeerUp { .. })));
    }
    assert_eq!(ups, 2, "two connections, one change of role");
}
