//! A machine is made from a database that is an older copy while any call of the disk fails.

use std::sync::Arc;

use murmesh_crash_vfs::{Disk, Fault, FaultKind};
use murmesh_protocol::control::{ErrorName, NoParams, Request};
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;
use tokio::sync::{mpsc, oneshot};

use super::super::super::*;
use super::node::place;
use super::world::World;
use super::{clock, story};
use crate::control::EventHub;
use crate::links::ToMessenger;
use crate::store::{PrivateStore, Unlock};

fn engine(world: &World, disk: &Disk) -> MessengerEngine {
    let rng = || ChaCha20Rng::seed_from_u64(1);
    let store = PrivateStore::open_at(&place(disk), &Unlock::default(), rng()).unwrap();
    assert!(store.rolled_back());
    let (keeper, _) = mpsc::channel(1);
    let (runner, _) = mpsc::channel(1);
    let surroundings = Surroundings { keeper, runner, hub: Arc::new(EventHub::new(0)) };
    let peer = world.sites[0].peer;
    MessengerEngine::new(peer, disk.directory(), Unlock::default(), Some(store), surroundings)
        .seeded(clock::now, rng())
}

/// The account was there and its client was told that there is none, when the last write of the making
/// failed.
#[test]
fn an_account_that_cannot_be_made_ready_is_there_all_the_same() {
    let world = story::acquaintances(1);
    let mut failed = 0;
    for after in 1.. {
        let disk = world.sites[0].disk.copy();
        let path = disk.directory().join("private.generation");
        disk.write(&path, b"99").unwrap();
        let mut engine = engine(&world, &disk);
        disk.fail(Fault { kind: FaultKind::Io, after, lasting: false });
        let made = engine.rebuild();
        if disk.heal().is_empty() {
            break;
        }
        if made.is_err() {
            failed += 1;
            let (answer, mut answered) = oneshot::channel();
            assert!(engine.accept(ToMessenger::Command(Request::Contacts(NoParams {}), answer)).is_none());
            let told = answered.try_recv().unwrap().unwrap_err();
            assert_eq!(told.name, ErrorName::Internal, "call {after}");
        }
        engine.rebuild().unwrap();
    }
    assert!(failed > 3, "only {failed} failed");
}
