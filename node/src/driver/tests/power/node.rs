//! One node of a world: a disk, and while there is power both real machines with the real loop's turns
//! around them. Everything the loop waits for is handed to it at once, so a turn never waits.

use std::collections::BTreeSet;
use std::io::Result;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use murmesh_crash_vfs::{Disk, VFS};
use murmesh_protocol::control::{Event, Request};
use murmesh_protocol::id::PeerId;
use murmesh_protocol::keeper::Config;
use murmesh_protocol::time::Time;
use rand::SeedableRng;
use rand::rngs::ChaCha20Rng;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::super::super::*;
use super::clock;
use crate::backend::NodeBackend;
use crate::control::EventHub;
use crate::files::Files;
use crate::links::{Answer, Command, MACHINE_QUEUE, Machines, ToKeeper, ToMessenger};
use crate::store::{CustodyStore, OpenError, Place, PrivateStore, Unlock};

/// Batches of a turn: one for each message that runs alone, and the rebuilding's.
const COMMANDS: usize = BATCH_MAX + 2;

/// A [`Disk`] as the stores see one.
#[derive(Debug)]
struct OnDisk(Disk);

impl Files for OnDisk {
    fn vfs(&self) -> Option<&str> {
        Some(VFS)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        self.0.read(path)
    }

    fn write_synced(&self, path: &Path, content: &[u8]) -> Result<()> {
        self.0.write(path, content)?;
        self.0.sync(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.0.remove(path)
    }

    fn sync_parent(&self, _: &Path) -> Result<()> {
        self.0.sync_directory()
    }

    fn restrict(&self, path: &Path) -> Result<()> {
        self.0.length(path).map(drop)
    }
}

/// Where the databases of a disk lie.
pub(super) fn place(disk: &Disk) -> Place {
    Place::new(Arc::new(OnDisk(disk.clone())), disk.directory())
}

/// A machine, its queue, and when it wakes by itself.
struct Loop<E: Engine> {
    driver: Driver<E>,
    messages: mpsc::Receiver<E::Message>,
    wakes: Time,
}

impl<E: Engine> Loop<E> {
    fn new(engine: E, messages: mpsc::Receiver<E::Message>) -> Loop<E> {
        let mut driver = Driver::new(engine, clock::now);
        driver.start().now_or_never().expect("its outputs have room");
        let wakes = wakes(&driver);
        Loop { driver, messages, wakes }
    }

    /// Does what is ready and hands over what is local; says whether there was anything.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        while self.driver.engine.hand_over().now_or_never().is_some() {
            busy = true;
        }
        let message = self.messages.try_recv().ok();
        if message.is_some() || self.wakes <= clock::now() {
            let turn = self.driver.turn(message, &mut self.messages);
            turn.now_or_never().expect("its outputs have room");
            self.wakes = wakes(&self.driver);
            busy = true;
        }
        busy
    }
}

fn wakes<E: Engine>(driver: &Driver<E>) -> Time {
    let sleep = u64::try_from(driver.sleep().as_millis()).unwrap_or(u64::MAX);
    clock::now().plus(sleep.max(1))
}

/// What a node did since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) commands: Vec<Command>,
    pub(super) events: Vec<Event>,
}

/// A node with power.
pub(super) struct Node {
    disk: Disk,
    messenger: Loop<MessengerEngine>,
    keeper: Loop<KeeperEngine>,
    pub(super) machines: Machines,
    commands: mpsc::Receiver<Vec<Command>>,
    next_event: Box<dyn FnMut() -> Option<Event>>,
    told: Told,
}

impl Node {
    /// Opens both databases and starts both machines from them.
    pub(super) fn start(
        disk: &Disk,
        peer: PeerId,
        account: bool,
        seed: u64,
    ) -> std::result::Result<Node, OpenError> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let place = place(disk);
        let custody = CustodyStore::open_at(&place)?;
        let store_rng = ChaCha20Rng::from_rng(&mut rng);
        let private =
            account.then(|| PrivateStore::open_at(&place, &Unlock::default(), store_rng)).transpose()?;
        if let Some(private) = &private {
            assert!(!private.rolled_back(), "a power cut is taken for an older copy");
        }
        let (messenger, messenger_messages) = mpsc::channel(MACHINE_QUEUE);
        let (keeper, keeper_messages) = mpsc::channel(MACHINE_QUEUE);
        let (runner, commands) = mpsc::channel(COMMANDS);
        let (asks, _) = mpsc::channel(1);
        let machines = Machines { messenger, keeper };
        let hub = Arc::new(EventHub::new(0));
        let backend = NodeBackend::new(machines.clone(), asks, CancellationToken::new(), clock::now(), None);
        let (mut follower, _) = hub.follow(Arc::new(backend), None, BTreeSet::new());
        let surroundings = Surroundings { keeper: machines.keeper.clone(), runner: runner.clone(), hub };
        let engine = MessengerEngine::new(peer, disk.directory(), Unlock::default(), private, surroundings);
        let config = Config { own_peer: peer, held_bytes_max: 64 << 20 };
        let custodian = KeeperEngine::new(config, custody, machines.messenger.clone(), runner);
        Ok(Node {
            disk: disk.clone(),
            messenger: Loop::new(engine.seeded(clock::now, rng), messenger_messages),
            keeper: Loop::new(custodian.by(clock::now), keeper_messages),
            machines,
            commands,
            next_event: Box::new(move || follower.next().now_or_never()?.ok()?),
            told: Told::default(),
        })
    }

    /// Runs both machines until nothing is ready, or the power is off.
    pub(super) fn settle(&mut self) {
        while self.disk.is_on() {
            let messenger = self.messenger.turn();
            self.gather();
            let keeper = self.disk.is_on() && self.keeper.turn();
            self.gather();
            if !messenger && !keeper {
                break;
            }
        }
    }

    fn gather(&mut self) {
        while let Ok(batch) = self.commands.try_recv() {
            self.told.commands.extend(batch);
        }
        self.told.events.extend(std::iter::from_fn(&mut self.next_event));
    }

    pub(super) fn take_told(&mut self) -> Told {
        std::mem::take(&mut self.told)
    }

    /// When it must be settled though nothing comes.
    pub(super) fn wakes(&self) -> Time {
        self.messenger.wakes.min(self.keeper.wakes)
    }

    /// Both machines run.
    pub(super) fn is_whole(&self) -> bool {
        self.messenger.driver.health == Health::Well && self.keeper.driver.health == Health::Well
    }

    pub(super) fn to_messenger(&self, message: ToMessenger) {
        // A full queue loses it, as a broken stream would.
        let _ = self.machines.messenger.try_send(message);
    }

    pub(super) fn to_keeper(&self, message: ToKeeper) {
        let _ = self.machines.keeper.try_send(message);
    }

    /// Asks as a client would.
    pub(super) fn ask(&self, request: Request) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        self.to_messenger(ToMessenger::Command(request, answer));
        answered
    }
}
